package http2

import (
	"sync"

	"golang.org/x/net/http2"

	"gatehouse/internal/httpmsg"
	"gatehouse/proxy/multiplex"
)

// encoder makes field blocks. It has no dynamic table: what goes to clients is
// not kept, so that nothing of one response can be told from the size of
// another, and text need not be copied.
type encoder struct {
	buf   []byte
	lower []byte
	told  bool // the peer, since its last word on the size of tables, that ours is empty
}

// noTable says that the dynamic table is empty: in the first block, and in that
// after each of the peer's settings for it (RFC 7541 4.2, RFC 9113 4.3.1).
const noTable = 0x20

// begin begins a block.
func (e *encoder) begin() {
	e.buf = e.buf[:0]
	if !e.told {
		e.told = true
		e.buf = append(e.buf, noTable)
	}
}

func (e *encoder) trim() { e.buf, e.lower = trimmed(e.buf), trimmed(e.lower) }

// block is the field block of a response head, or of trailers with status 0.
// It is valid until the next call.
func (e *encoder) block(status int, f *httpmsg.Fields) []byte {
	e.begin()
	if status != 0 {
		e.write(":status", multiplex.StatusText(status))
	}
	if f != nil {
		for i := range f.Len() {
			id, name, value, ok := f.At(i)
			if ok && multiplex.MayPass(id) {
				e.field(knownNames[id], name, text(value))
			}
		}
	}
	return e.buf
}

// field encodes a field that is none of the static table's, though its name may
// be: at index, unless that is 0.
func (e *encoder) field(index byte, name []byte, value string) {
	if index != 0 {
		e.buf = appendLiteral(e.buf, index, "", value)
		return
	}
	e.lower = httpmsg.AppendLower(e.lower[:0], name)
	e.write(text(e.lower), value)
}

// write encodes a field, of which nothing is kept.
func (e *encoder) write(name, value string) { e.buf = appendField(e.buf, name, value) }

// appendHead appends HEADERS, and CONTINUATION where it takes more, and returns
// how large the block is. c.mu is held.
func (c *Conn) appendHead(id uint32, status int, f *httpmsg.Fields, end bool) int {
	b := c.encoder.block(status, f)
	c.out = appendBlock(c.out, b, id, end)
	return len(b)
}

// appendData appends a DATA frame; with end it ends the stream.
func appendData(dst []byte, id uint32, p []byte, end bool) []byte {
	var flags http2.Flags
	if end {
		flags = http2.FlagDataEndStream
	}
	dst = appendFrameHead(withRoom(dst, frameHead+len(p)), len(p), http2.FrameData, flags, id)
	return append(dst, p...)
}

// outBuffers are lent to connections that have much to write: they give it back
// often, and would have to grow a new one each time.
var outBuffers = sync.Pool{New: func() any { b := make([]byte, 0, outBuffer); return &b }}

// outBuffer is the size of such a buffer: what may wait, and a frame.
const outBuffer = maxOut + maxFrame + 1<<10

// withRoom makes room for n more bytes.
func withRoom(p []byte, n int) []byte {
	if need := len(p) + n; need <= cap(p) || need <= maxFrame || need > outBuffer {
		return p // append does
	}
	return append((*outBuffers.Get().(*[]byte))[:0], p...)
}

// maxIdleBuffer is how large each buffer of an idle connection may be.
const maxIdleBuffer = 4 << 10

// trimmed is p, emptied, unless an idle connection need not have it.
func trimmed(p []byte) []byte {
	if cap(p) <= maxIdleBuffer {
		return p[:0]
	}
	if cap(p) == outBuffer {
		giveBack(p)
	}
	return nil
}

// giveBack is a function of its own, since p is in memory that is allocated.
//
//go:noinline
func giveBack(p []byte) { outBuffers.Put(&p) }

func appendFrameHead(dst []byte, length int, kind http2.FrameType, flags http2.Flags, id uint32) []byte {
	dst = append(dst, byte(length>>16), byte(length>>8), byte(length), byte(kind), byte(flags))
	return appendUint32(dst, id)
}

func appendUint32(dst []byte, n uint32) []byte {
	return append(dst, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

func (c *Conn) appendWindowUpdate(id, increment uint32) {
	c.out = appendWindowUpdate(c.out, id, increment)
}

func (c *Conn) appendReset(id uint32, code http2.ErrCode) {
	c.resets.add(id)
	c.out = appendReset(c.out, id, code)
}

func (c *Conn) appendGoAway(last uint32, code http2.ErrCode) {
	c.out = appendGoAway(c.out, last, code)
}

// tend sees to it that what is in out gets written. c.mu is held.
func (c *Conn) tend() {
	if c.queued || c.writing || c.dead || len(c.out) == 0 {
		return
	}
	c.queued = true
	c.running.Add(1)
	pool.Do(task{c: c})
}

// writeOut writes what there is, until there is nothing or somebody else does.
func (c *Conn) writeOut() {
	defer c.running.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queued = false
	for len(c.out) > 0 && !c.dead && !c.writing && !c.directNext() {
		c.flush(nil)
	}
	c.trim()
}

// flush writes what there is, and behind it some pieces. c.mu is held, but not
// meanwhile.
func (c *Conn) flush(pieces [][]byte) {
	p := c.out
	c.out, c.spare, c.control = c.spare[:0], nil, 0
	c.writing = true
	c.mu.Unlock()
	var err error
	if pieces == nil {
		err = c.stream.Write(p, nil, nil)
	} else {
		pieces[0] = p
		err = c.stream.WriteAll(pieces)
	}
	c.mu.Lock()
	c.writing = false
	c.spare = p[:0]
	if err != nil {
		c.kill()
		c.stream.Cut() // the reader must not wait for one who does not read
	}
	if c.goneAway {
		c.room.Broadcast() // somebody waits for the last word to be out
	}
	c.passOn()
}

// vector is the memory of what is written directly: what waits in out, and the
// frames of a piece of a body, each with its head.
type vector struct {
	pieces [1 + 2*maxFrames][]byte
	heads  [maxFrames * frameHead]byte
}

// maxFrames are the frames of what is written directly at most.
const maxFrames = 8

// frameHead is the size of a frame's head.
const frameHead = 9

// frames cuts p into DATA frames of a stream; with end the last one ends it.
func (v *vector) frames(id uint32, p []byte, end bool) [][]byte {
	pieces, heads := v.pieces[:1], v.heads[:0]
	for len(p) > 0 {
		n := min(len(p), maxFrame)
		var flags http2.Flags
		if end && n == len(p) {
			flags = http2.FlagDataEndStream
		}
		heads = appendFrameHead(heads, n, http2.FrameData, flags, id)
		pieces = append(pieces, heads[len(heads)-frameHead:], p[:n])
		p = p[n:]
	}
	return pieces
}

// writeDirect writes data of the stream as it is, without a copy in out. It is
// the others' turn then. Nobody else writes. c.mu is held, but not meanwhile.
func (x *Exchange) writeDirect(p []byte, end bool) {
	c := x.c
	if c.vector == nil {
		c.vector = new(vector)
	}
	if c.line.next == x {
		c.line.next = nil
	}
	c.flush(c.vector.frames(x.id, p, end))
	clear(c.vector.pieces[:])
	c.tend() // what came meanwhile
}
