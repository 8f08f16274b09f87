package server

import (
	"encoding/binary"
	"slices"
)

const (
	// outboxSize is the buffer for the answers of a connection in use, and
	// what one of them can take without a copy.
	outboxSize = 8 << 10
	answerRoom = 4 << 10
)

// outbox collects messages for a stream, each after its length.
type outbox struct {
	buf []byte
}

// empty tells whether there is nothing to write.
func (b *outbox) empty() bool { return len(b.buf) == 0 }

// room is where the next message can be made: empty, behind the place of its
// length.
func (b *outbox) room() []byte {
	if b.buf == nil {
		b.buf = make([]byte, 0, outboxSize)
	}
	b.buf = slices.Grow(b.buf, lengthSize+answerRoom)
	at := len(b.buf) + lengthSize
	return b.buf[:cap(b.buf)][at:at]
}

// add adds a message of at most maxMessage bytes, be it in the room or not.
func (b *outbox) add(message []byte) {
	at := len(b.buf)
	b.buf = slices.Grow(b.buf, lengthSize+len(message))
	b.buf = b.buf[:at+lengthSize+len(message)]
	copy(b.buf[at+lengthSize:], message) // nothing to do if it is there
	binary.BigEndian.PutUint16(b.buf[at:], uint16(len(message)))
}

// clear forgets what was written.
func (b *outbox) clear() { b.buf = b.buf[:0] }

// shrink gives back a buffer that has grown.
func (b *outbox) shrink() {
	if cap(b.buf) > 2*outboxSize {
		b.buf = nil
	}
}
