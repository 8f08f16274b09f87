package config

import (
	"fmt"
	"regexp"
	"strings"
)

// The keys of compression policies.

const (
	maxCompressionTypes = 100
	maxMinLength        = 1 << 20
)

// compressionTypes are what is text under another name, or compresses as if.
const compressionTypes = "[text/*, application/json, application/*+json, application/xml, application/*+xml, image/svg+xml, application/javascript, application/x-javascript, application/wasm, application/x-ndjson, font/ttf, font/otf, application/vnd.ms-fontobject]"

func compressionPolicyObject() object[CompressionPolicy] {
	coding := oneOf(
		choice[ContentCoding]{word: "zstd", v: CodingZstd},
		choice[ContentCoding]{word: "br", v: CodingBrotli},
		choice[ContentCoding]{word: "gzip", v: CodingGzip},
	)
	level := oneOf(
		choice[CompressionLevel]{word: "fast", v: CompressionFast},
		choice[CompressionLevel]{word: "balanced", v: CompressionBalanced},
		choice[CompressionLevel]{word: "small", v: CompressionSmall},
	)
	return object[CompressionPolicy]{at: func(p *CompressionPolicy, at Pos) { p.Pos = at }, fields: []field[CompressionPolicy]{
		key("name", func(p *CompressionPolicy) *string { return &p.Name }, name(), "What listeners and path maps call it; not off.").required(),
		key("encodings", func(p *CompressionPolicy) *[]ContentCoding { return &p.Encodings }, listOf(coding, 1), "What is offered: zstd, br and gzip. Of those that the client likes best, the first is taken.").or("[zstd, br, gzip]"),
		key("types", func(p *CompressionPolicy) *[]string { return &p.Types }, upTo(maxCompressionTypes, listOf(mediaPattern(), 1)), "Media types of the responses that are compressed; one * in each stands for any text, but not for text/event-stream.").or(compressionTypes),
		key("minLength", func(p *CompressionPolicy) *int { return &p.MinLength }, size(0, maxMinLength), "Shorter bodies stay as they are.").or("1KiB"),
		key("level", func(p *CompressionPolicy) *CompressionLevel { return &p.Level }, level, "fast, balanced, or small: for ever more time and memory.").or("balanced"),
	}}
}

var mediaSyntax = regexp.MustCompile(`^[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]*\*?[a-z0-9!#$&^_.+-]*$`)

// mediaPattern is a media type, with at most one * behind the slash.
func mediaPattern() value[string] {
	s := schema{"type": "string", "pattern": `^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]*\*?[A-Za-z0-9!#$&^_.+-]*$`, "maxLength": 127}
	return parsed("a media type such as text/*", s, func(text string) (string, error) {
		kind := strings.ToLower(text)
		switch {
		case len(kind) > 127 || !mediaSyntax.MatchString(kind) || strings.HasSuffix(kind, "/"):
			return "", fmt.Errorf("must be a media type such as application/json, text/* or application/*+json, not %s", quote(text))
		case strings.HasPrefix(kind, "application/grpc"):
			return "", fmt.Errorf("gRPC compresses its messages itself; remove it")
		}
		return kind, nil
	})
}
