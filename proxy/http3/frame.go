package http3

import (
	"io"

	"github.com/quic-go/quic-go/quicvarint"
)

// Types of frames (RFC 9114 7.2).
const (
	frameData        = 0x0
	frameHeaders     = 0x1
	frameCancelPush  = 0x3
	frameSettings    = 0x4
	framePushPromise = 0x5
	frameGoAway      = 0x7
	frameMaxPushID   = 0xd
)

// foreign reports whether a type is one of HTTP/2 that must not be used
// (RFC 9114 7.2.8).
func foreign(kind uint64) bool {
	switch kind {
	case 0x2, 0x6, 0x8, 0x9:
		return true
	}
	return false
}

// known reports whether a type is one that this package has a place for.
func known(kind uint64) bool {
	switch kind {
	case frameData, frameHeaders, frameCancelPush, frameSettings, framePushPromise, frameGoAway, frameMaxPushID:
		return true
	}
	return foreign(kind)
}

// frameHead is how a frame begins: what it is, how long its payload is, and how
// many bytes that took to say.
type frameHead struct {
	kind, length uint64
	size         int
}

// parseFrameHead takes the head of a frame from p; false: there is more to come
// of it.
func parseFrameHead(p []byte) (frameHead, bool) {
	kind, n, err := quicvarint.Parse(p)
	if err != nil {
		return frameHead{}, false
	}
	length, m, err := quicvarint.Parse(p[n:])
	if err != nil {
		return frameHead{}, false
	}
	return frameHead{kind, length, n + m}, true
}

// maxFrameHead is how long the head of a frame can be.
const maxFrameHead = 16

func appendFrameHead(dst []byte, kind uint64, length int) []byte {
	return quicvarint.Append(quicvarint.Append(dst, kind), uint64(length))
}

// nextFrame looks at the head of a frame, behind what is to be skipped; io.EOF
// at the end of the stream, where one would begin. It stays where it is until
// open, skip or payload: after an error that passes, such as a timeout,
// nextFrame finds it again.
func (r *reader) nextFrame(deadline int64) (frameHead, error) {
	for {
		n := min(uint64(r.buffered()), r.toSkip)
		r.pos += int(n)
		r.toSkip -= n
		if h, ok := parseFrameHead(r.bytes()); ok {
			return h, nil
		}
		middle := r.toSkip > 0 || r.buffered() > 0
		err := r.fill(maxFrameHead, deadline)
		if err == io.EOF && middle {
			return frameHead{}, connError{codeFrame} // RFC 9114 7.1
		}
		if err != nil {
			return frameHead{}, err
		}
	}
}

// open goes on to the payload of a frame.
func (r *reader) open(h frameHead) { r.pos += h.size }

// skip has a frame skipped.
func (r *reader) skip(h frameHead) {
	r.pos += h.size
	r.toSkip = h.length
}

// payload reads a frame's payload whole. It is valid until the next read.
func (r *reader) payload(h frameHead, deadline int64) ([]byte, error) {
	all := h.size + int(h.length)
	for r.buffered() < all {
		if err := r.fill(all, deadline); err != nil {
			return nil, truncated(err)
		}
	}
	p := r.bytes()[h.size:all]
	r.pos += all
	return p, nil
}

// truncated makes the end of a stream in the middle of a frame the error that
// it is (RFC 9114 7.1).
func truncated(err error) error {
	if err == io.EOF {
		return connError{codeFrame}
	}
	return err
}
