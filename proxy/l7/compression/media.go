package compression

import (
	"bytes"
	"strings"

	"gatehouse/internal/httpmsg"
)

// media is a pattern of media types: text before and after a star, or a whole
// type, in lower case.
type media struct {
	before, after string
	star          bool
}

func newMedia(pattern string) media {
	before, after, star := strings.Cut(strings.ToLower(pattern), "*")
	return media{before, after, star}
}

func (m media) matches(kind []byte) bool {
	if !m.star {
		return httpmsg.EqualFold(kind, m.before)
	}
	rest := len(kind) - len(m.before)
	return rest > len(m.after) && httpmsg.EqualFold(kind[:len(m.before)], m.before) && httpmsg.EqualFold(kind[len(kind)-len(m.after):], m.after)
}

// takes reports whether a Content-Type is one of the policy's. gRPC has a
// compression of its own, by message. Events (text/event-stream) come for
// hours, and an encoder is kept for each: only who names them means them.
func (p *Policy) takes(contentType []byte) bool {
	kind := contentType
	if i := bytes.IndexByte(kind, ';'); i >= 0 {
		kind = kind[:i]
	}
	kind = httpmsg.TrimSpace(kind)
	const grpc = "application/grpc"
	if len(kind) >= len(grpc) && httpmsg.EqualFold(kind[:len(grpc)], grpc) {
		return false
	}
	events := httpmsg.EqualFold(kind, "text/event-stream")
	for _, m := range p.types {
		if m.matches(kind) && !(events && m.star) {
			return true
		}
	}
	return false
}
