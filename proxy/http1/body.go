package http1

import (
	"io"
	"sync"
	"sync/atomic"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
)

// bufferSize is what a head is read into, and what is left of it the first
// piece of the body. Most messages fit.
const bufferSize = 16 << 10

// bigBufferSize is lent while a body is longer than that, and for heads that
// need it.
const bigBufferSize = 64 << 10

// hugeBufferSize is lent instead while more than that is known to come of a
// response: each piece costs a read, a write, and waking whoever waits for it.
const hugeBufferSize = 128 << 10

// maxHuge is how many of them are lent at once: responses to clients that do not
// read hold theirs.
const maxHuge = 256

var hugeLent atomic.Int64

var (
	bigBuffers  = sync.Pool{New: func() any { b := make([]byte, bigBufferSize); return &b }}
	hugeBuffers = sync.Pool{New: func() any { b := make([]byte, hugeBufferSize); return &b }}
)

// message is what is received of one message on a stream: its head, and
// behind it what has arrived of its body, taken out of its framing piece by
// piece.
type message struct {
	s *stream.Conn

	buf     []byte  // the head and what came with it
	headLen int     // of buf
	grown   *[]byte // buf's memory when it came from bigBuffers
	small   []byte  // buf's own memory meanwhile

	cur      []byte // where unread bytes are: buf, or big
	pos, end int    // the unread bytes of cur
	big      *[]byte
	huge     bool // big may be of hugeBuffers: a backend's, since slow clients are many

	kind    httpmsg.BodyKind
	left    int64 // of a body with a length
	chunk   ChunkReader
	done    bool  // the whole body was read
	taken   int64 // body bytes given out
	fetched int64 // bytes taken from the stream since begin
}

// received is the size of what was received of this message on the wire.
func (m *message) received() int64 { return m.fetched - int64(m.end-m.pos) }

// unread is how many bytes have come of what is left of this message: they are
// not counted as received yet. Behind chunks there may be the next message,
// which only reading on would tell.
func (m *message) unread() int64 {
	n := int64(m.end - m.pos)
	switch {
	case m.done:
		return 0
	case m.kind == httpmsg.BodyLength:
		return min(n, m.left)
	}
	return n
}

// begin readies m for the next message, keeping unread bytes of the last one
// (a pipelined request).
func (m *message) begin() {
	rest := m.cur[m.pos:m.end]
	if m.grown != nil && len(rest) <= len(m.small) {
		copy(m.small, rest)
		bigBuffers.Put(m.grown)
		m.grown, m.buf = nil, m.small
	} else if m.pos > 0 || m.big != nil {
		copy(m.buf, rest)
	}
	m.end = len(rest)
	m.dropBig()
	m.cur, m.pos, m.headLen = m.buf, 0, 0
	m.kind, m.left, m.done, m.taken = httpmsg.BodyNone, 0, false, 0
	m.fetched = int64(m.end)
}

// reset forgets everything received.
func (m *message) reset(s *stream.Conn) {
	m.pos, m.end = 0, 0
	m.begin()
	m.s = s
}

func (m *message) dropBig() {
	switch {
	case m.big == nil:
		return
	case len(*m.big) == hugeBufferSize:
		hugeBuffers.Put(m.big)
		hugeLent.Add(-1)
	default:
		bigBuffers.Put(m.big)
	}
	m.big = nil
}

// grow moves an incomplete head to a larger buffer; false when there is none.
func (m *message) grow() bool {
	if m.grown != nil {
		return false
	}
	m.small = m.buf
	m.grown = bigBuffers.Get().(*[]byte)
	copy(*m.grown, m.buf[:m.end])
	m.buf = *m.grown
	m.cur = m.buf
	return true
}

// fill reads more of a head.
func (m *message) fill(deadline int64) error {
	n, err := m.s.Read(m.buf[m.end:], deadline)
	m.end += n
	m.fetched += int64(n)
	return err
}

// startBody notes where the head ended and how the body is framed.
func (m *message) startBody(headLen int, kind httpmsg.BodyKind, length int64) {
	m.headLen, m.pos = headLen, headLen
	m.kind, m.left = kind, length
	m.done = kind == httpmsg.BodyNone || kind == httpmsg.BodyLength && length == 0
	if kind == httpmsg.BodyChunked {
		m.chunk.Reset()
	}
}

// next returns the next piece of the body, valid until the call after;
// io.EOF after the last.
func (m *message) next(deadline int64) ([]byte, error) {
	for {
		if m.done {
			return nil, io.EOF
		}
		if m.pos < m.end {
			data, err := m.decode()
			if err == nil && len(data) > 0 {
				data = m.gather(data)
			}
			if err != nil || len(data) > 0 {
				return data, err
			}
			continue
		}
		if m.kind == httpmsg.BodyChunked && m.chunk.err != nil {
			return nil, m.chunk.err // gather met it
		}
		if err := m.refill(deadline); err != nil {
			return nil, err
		}
	}
}

// gather adds the chunks that have arrived behind a piece to it, moving them
// up over what framed them: many small chunks cost one write and not one each.
// An error is left for the next call, which finds it again.
func (m *message) gather(piece []byte) []byte {
	if m.kind != httpmsg.BodyChunked {
		return piece
	}
	to := m.pos // the piece ends where the decoder stands
	for m.pos < m.end && !m.done {
		data, err := m.decode()
		if err != nil {
			break
		}
		copy(m.cur[to:], data)
		to += len(data)
		piece = piece[:len(piece)+len(data)]
	}
	return piece
}

// decode takes one piece out of the unread bytes; an empty one means that
// more bytes are needed or that the body is done.
func (m *message) decode() ([]byte, error) {
	unread := m.cur[m.pos:m.end]
	switch m.kind {
	case httpmsg.BodyChunked:
		data, n, done, err := m.chunk.Next(unread)
		m.pos += n
		m.done = done
		m.taken += int64(len(data))
		return data, err
	case httpmsg.BodyLength:
		unread = unread[:min(int64(len(unread)), m.left)]
		m.left -= int64(len(unread))
		m.done = m.left == 0
	}
	m.pos += len(unread)
	m.taken += int64(len(unread))
	return unread, nil
}

// refill reads more of the body over what was read before. The head stays.
func (m *message) refill(deadline int64) error {
	m.chooseBuffer()
	from := 0
	if m.big == nil {
		from = m.headLen
	}
	room := m.cur[from:]
	switch m.kind {
	case httpmsg.BodyLength:
		room = room[:min(int64(len(room)), m.left)] // never into the next message
	case httpmsg.BodyChunked:
		room = room[:min(len(room), bufferSize/2)] // what follows must fit behind a head
	}
	n, err := m.s.Read(room, deadline)
	m.pos, m.end = from, from+n
	m.fetched += int64(n)
	if n > 0 {
		return nil
	}
	return m.endOfStream(err)
}

// chooseBuffer lends a big buffer when more is to come than fits.
func (m *message) chooseBuffer() {
	if m.big != nil {
		return
	}
	room := len(m.buf) - m.headLen
	long := m.kind == httpmsg.BodyLength && m.left > int64(room)
	switch {
	case long && m.huge && m.left > bigBufferSize && borrowHuge():
		m.big = hugeBuffers.Get().(*[]byte)
	case long || room < bufferSize/2:
		m.big = bigBuffers.Get().(*[]byte)
	default:
		return
	}
	m.cur = *m.big
}

// borrowHuge reports whether one more of hugeBuffers may be lent.
func borrowHuge() bool {
	if hugeLent.Add(1) <= maxHuge {
		return true
	}
	hugeLent.Add(-1)
	return false
}

// endOfStream tells the end of a body that ends with its connection from one
// that was cut off.
func (m *message) endOfStream(err error) error {
	if err != io.EOF {
		return err
	}
	if m.kind == httpmsg.BodyToClose {
		m.done = true
		return nil
	}
	return io.ErrUnexpectedEOF
}

// settle lets go of the big buffer once the body in it is used up.
func (m *message) settle() {
	if m.big != nil && m.done && m.pos == m.end {
		m.dropBig()
		m.cur, m.pos, m.end = m.buf, m.headLen, m.headLen
	}
}

// direct is the number of body bytes that are still to come and may be moved
// from the stream without being looked at: none while some are buffered.
func (m *message) direct() int64 {
	if m.pos < m.end || m.kind != httpmsg.BodyLength || !m.s.Plain() {
		return 0
	}
	return m.left
}

// moved notes n bytes that were moved directly.
func (m *message) moved(n int64) {
	m.left -= n
	m.taken += n
	m.fetched += n
	m.done = m.left == 0
}

// hold collects the body behind the head, out of its framing, until it is
// whole or max bytes are held or the buffer is full. With wait false it takes
// only what has arrived.
func (m *message) hold(max int, wait bool, deadline func() int64) (held []byte, whole bool, err error) {
	from := m.pos
	to := from
	for {
		for m.pos < m.end && !m.done && to-from < max {
			data, err := m.decode()
			if err != nil {
				return nil, false, err
			}
			if to != m.pos-len(data) { // bytes that framing stood between move up
				copy(m.buf[to:], data)
			}
			to += len(data)
		}
		if m.done || to-from >= max || !wait || !m.makeRoom(to) {
			return m.buf[from:to], m.done, nil
		}
		n, err := m.s.Read(m.holdRoom(), deadline())
		m.end += n
		m.fetched += int64(n)
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, false, err
		}
	}
}

// makeRoom gives held bytes, which end at to, room to grow; false when the
// buffer is as large as it gets.
func (m *message) makeRoom(to int) bool {
	if m.pos == m.end {
		m.pos, m.end = to, to
	}
	return m.end < len(m.buf) || m.grow()
}

// holdRoom is where the next bytes of a held body go: not beyond its end,
// when that is known.
func (m *message) holdRoom() []byte {
	room := m.buf[m.end:]
	if m.kind == httpmsg.BodyLength {
		room = room[:min(int64(len(room)), m.left)]
	}
	return room
}
