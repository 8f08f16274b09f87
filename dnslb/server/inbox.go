package server

import (
	"encoding/binary"
	"io"
	"slices"
)

const (
	// lengthSize is the length before each message on a stream (RFC 1035
	// 4.2.2).
	lengthSize = 2

	// inboxSize is the buffer of a connection in use: several usual queries.
	// A longer message gets a buffer of its length for as long as it takes.
	inboxSize = 2048

	maxMessage = 65535
)

// inbox takes messages from a stream.
type inbox struct {
	buf        []byte // never shorter than inboxSize
	start, end int    // what was read and not yet taken
}

// begin starts anew, with bytes that were already read.
func (b *inbox) begin(first []byte) {
	if len(b.buf) != inboxSize {
		b.buf = make([]byte, inboxSize)
	}
	b.start, b.end = 0, copy(b.buf, first)
}

// empty tells whether nothing of a message is there.
func (b *inbox) empty() bool { return b.start == b.end }

// need is how many bytes the next message takes with its length, as far as is
// known.
func (b *inbox) need() int {
	if b.end-b.start < lengthSize {
		return lengthSize
	}
	return lengthSize + int(binary.BigEndian.Uint16(b.buf[b.start:]))
}

// whole tells whether a message is there.
func (b *inbox) whole() bool { return b.end-b.start >= b.need() }

// next takes a message, which is valid until fill or begin; nil: none is
// there. An empty message is not nil.
func (b *inbox) next() []byte {
	if !b.whole() {
		return nil
	}
	message := b.buf[b.start+lengthSize : b.start+b.need() : b.start+b.need()]
	b.start += b.need()
	return message
}

// fill reads once, as much as is there and fits. It must not be called while
// a message is whole.
func (b *inbox) fill(r io.Reader) error {
	if b.start > 0 {
		b.start, b.end = 0, copy(b.buf, b.buf[b.start:b.end])
	}
	if n := b.need(); n > len(b.buf) {
		b.buf = slices.Grow(b.buf, n-len(b.buf))[:n]
	}
	n, err := r.Read(b.buf[b.end:])
	b.end += n
	if n > 0 {
		return nil // an error will come again
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}
