package waf

import (
	"strings"
	"unicode/utf8"

	"gatehouse/waf/body"
	"gatehouse/waf/variables"
)

// streams reports whether a body must not be held: it is sent as it comes,
// and both sides talk at once (gRPC).
func streams(mediaType string) bool {
	return mediaType == "application/grpc" || strings.HasPrefix(mediaType, "application/grpc+")
}

// isBinary reports whether a media type is of data that are no text, so that
// rules have nothing to look at. Of what is not known it says no.
func isBinary(mediaType string) bool {
	top, sub, _ := strings.Cut(mediaType, "/")
	switch top {
	case "image":
		return sub != "svg+xml"
	case "audio", "video", "font", "model":
		return true
	case "application":
		return binarySubtypes[sub] || strings.HasSuffix(sub, "+zip") || strings.HasSuffix(sub, "+gzip") || strings.HasSuffix(sub, "+proto") ||
			strings.HasSuffix(sub, "+cbor") || strings.HasSuffix(sub, "+octet-stream") || strings.HasPrefix(sub, "vnd.openxmlformats") || strings.HasPrefix(sub, "vnd.ms-")
	}
	return false
}

// binarySubtypes are those of application that are no text.
var binarySubtypes = func() map[string]bool {
	set := map[string]bool{}
	for sub := range strings.FieldsSeq("octet-stream zip gzip x-gzip x-tar x-bzip2 x-xz x-7z-compressed zstd pdf protobuf x-protobuf vnd.google.protobuf " +
		"msgpack x-msgpack vnd.msgpack cbor wasm java-archive vnd.android.package-archive x-git-receive-pack-request dns-message ocsp-request " +
		"timestamp-query pkcs7-mime pkcs10 pkix-cert x-sqlite3 vnd.sqlite3 x-minidump vnd.apache.arrow.stream vnd.apache.parquet avro x-thrift epub+zip " +
		"x-rar-compressed vnd.rar x-executable x-shockwave-flash msword x-debian-package x-rpm") {
		set[sub] = true
	}
	return set
}()

// looksBinary reports whether the beginning of a body has so many bytes that
// texts do not have that it is none.
func looksBinary(text string) bool {
	text = text[:min(len(text), 2048)]
	odd := controls(text)
	return odd*16 > len(text) || !utf8.ValidString(text[:max(len(text)-3, 0)]) && odd > 0
}

// isMostlyBinary is looksBinary for bodies of a type that nobody knows: two odd
// bytes do not make one of those unreadable.
func isMostlyBinary(text string) bool {
	text = text[:min(len(text), 2048)]
	return controls(text)*16 > len(text)
}

func controls(text string) (n int) {
	for i := range len(text) {
		if isControl(text[i]) {
			n++
		}
	}
	return n
}

func isControl(c byte) bool {
	return c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f' || c == 0x7f
}

// readLoosely takes a body apart whose type says nothing of its form: JSON, if
// it is JSON (browsers send it as text/plain), else one text. A few bytes that
// are no text do not make it binary: they are blanks.
//
// The Core Rule Set takes such a body for a form, and judges what is between
// its ampersands, which is neither what is sent nor what is read.
func readLoosely(contentType, text string, lim body.Limits) (b variables.Body, truncated bool) {
	start := strings.TrimLeft(text, " \t\r\n\x0b\x00\ufeff")
	lim.Strict = false
	if start != "" && (start[0] == '{' || start[0] == '[') {
		b, truncated, _ = body.Parse(variables.JSON, contentType, start, lim)
		if b.Error == "" {
			return b, truncated
		}
		// What is before the error is judged; so is the whole, as a text.
		b.Error, b.Processor = "", variables.None
	}
	b.Raw, b.Length = text, len(text)
	mediaType := mediaTypeOf(contentType)
	if strings.HasPrefix(mediaType, "multipart/") { // forms to some frameworks, whatever kind of multipart it is
		_, params, _ := strings.Cut(contentType, ";")
		parts, more, _ := body.Parse(variables.Multipart, "multipart/form-data;"+params, text, lim)
		truncated = truncated || more
		for _, p := range parts.ArgsPost {
			if p.Name != "" { // the rest is no field of a form
				b.ArgsPost = append(b.ArgsPost, p)
			}
		}
		b.Files = parts.Files
	}
	if mediaType != "" && !strings.HasPrefix(mediaType, "text/") && isMostlyBinary(text) && len(b.ArgsPost) == 0 {
		return b, truncated
	}
	b.ArgsPost = append(b.ArgsPost, variables.Pair{Name: "", Value: strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && isControl(byte(r)) {
			return ' '
		}
		return r
	}, text)})
	if strings.Count(text, "=") > 0 && !strings.ContainsAny(strings.TrimSpace(text), " \n\t{[<") { // a form by another name
		form, more := body.Query(text, lim.Args)
		b.ArgsPost, truncated = append(b.ArgsPost, form...), truncated || more
	}
	return b, truncated
}

// mediaTypeOf is a Content-Type without its parameters, in lower case.
func mediaTypeOf(contentType string) string {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(kind))
}
