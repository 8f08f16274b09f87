package l7

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
)

// goodbyeTime is how long the sides of a WebSocket have, once they were told
// that it ends, to answer and to close.
const goodbyeTime = time.Second

// goingAway is the status of a close frame of a server that goes down (RFC
// 6455 7.4.1).
const goingAway = 1001

// frames follows the frames of one direction of a WebSocket (RFC 6455 5.2)
// past which bytes are copied, so that it is known where one of ours may
// stand. Extensions change what is in frames, not what they look like. A
// message may be in several frames: a control frame may come between them.
type frames struct {
	head   [14]byte
	have   int    // bytes of a head that is not whole
	left   uint64 // of the payload
	closed bool   // a close frame came: nothing may follow
	broken bool   // no frames
}

// opcodeClose is the one frame whose meaning matters.
const opcodeClose = 8

// pass notes bytes that went on.
func (f *frames) pass(p []byte) {
	for len(p) > 0 && !f.broken {
		if f.left > 0 {
			n := min(f.left, uint64(len(p)))
			f.left -= n
			p = p[n:]
			continue
		}
		if f.have == 0 && len(p) >= len(f.head) { // the whole head is there
			copy(f.head[:], p)
			p = p[headLen(p[1]):]
			f.begin()
			continue
		}
		f.head[f.have] = p[0]
		f.have++
		p = p[1:]
		if f.have >= 2 && f.have == headLen(f.head[1]) {
			f.begin()
		}
	}
}

// headLen is the length of a frame's head by its second byte.
func headLen(second byte) int {
	n := 2
	switch second & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if second&0x80 != 0 {
		n += 4
	}
	return n
}

// begin reads a whole head.
func (f *frames) begin() {
	switch length := f.head[1] & 0x7f; length {
	case 126:
		f.left = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		f.left = binary.BigEndian.Uint64(f.head[2:])
		f.broken = f.left>>63 != 0
	default:
		f.left = uint64(length)
	}
	f.closed = f.closed || f.head[0]&0x0f == opcodeClose
	f.have = 0
}

// atBoundary reports whether a close frame may be put here.
func (f *frames) atBoundary() bool {
	return f.have == 0 && f.left == 0 && !f.closed && !f.broken
}

// appendClose appends a close frame; what goes to a server is masked (RFC 6455
// 5.3).
func appendClose(dst []byte, masked bool) []byte {
	if !masked {
		dst = append(dst, 0x80|opcodeClose, 2)
		return binary.BigEndian.AppendUint16(dst, goingAway)
	}
	var mask [4]byte
	_, _ = rand.Read(mask[:]) // it does not fail
	dst = append(append(dst, 0x80|opcodeClose, 0x80|2), mask[:]...)
	return append(dst, byte(goingAway>>8)^mask[0], byte(goingAway&0xff)^mask[1])
}

// isWebSocket reports whether a protocol that is switched to has frames.
func isWebSocket(protocol []byte) bool { return httpmsg.EqualFold(protocol, "websocket") }

// sayGoodbye tells the side that c writes to why there will be no more, where
// that is possible: a WebSocket, in good health, that is ended from here.
func (c *copier) sayGoodbye() {
	tn := c.tn
	if c.frames == nil || !tn.leaving.Load() && !tn.timedOut.Load() || tn.failure.Load() != nil || !c.frames.atBoundary() {
		return
	}
	if c.dst.Write(appendClose(nil, c.to == 'S'), nil, nil) == nil {
		tn.goodbyes.Add(1)
	}
}

// hearOut reads what still comes from the sides of a tunnel that have been
// told that it ends. Closing a socket with something unread in it would be a
// reset, which can overtake what was said.
func (tn *tunnel) hearOut(sides ...stream.Tunnel) {
	if tn.goodbyes.Load() == 0 {
		return
	}
	deadline := stream.Now() + int64(goodbyeTime)
	c := &copier{}
	defer c.Unlend()
	for _, s := range sides {
		r, ok := s.(interface{ Resume() })
		if !ok {
			continue
		}
		r.Resume()
		for {
			if _, err := s.ReadLent(c, deadline); err != nil || stream.Now() >= deadline {
				break
			}
		}
	}
}
