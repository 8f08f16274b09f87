package http2

import (
	"bytes"
	"unsafe"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gatehouse/internal/httpmsg"
	"gatehouse/proxy/multiplex"
)

// encoder makes field blocks. It has no dynamic table: what goes to clients is
// not kept, so that nothing of one response can be told from the size of
// another, and text need not be copied.
type encoder struct {
	buf   bytes.Buffer
	enc   *hpack.Encoder
	lower []byte
}

func (e *encoder) init() {
	e.enc = hpack.NewEncoder(&e.buf)
	e.enc.SetMaxDynamicTableSizeLimit(0)
}

func (e *encoder) trim() {
	if e.buf.Cap() > maxIdleBuffer {
		e.buf = bytes.Buffer{}
	}
	e.lower = trimmed(e.lower)
}

// block is the field block of a response head, or of trailers with status 0.
// It is valid until the next call.
func (e *encoder) block(status int, f *httpmsg.Fields) []byte {
	e.buf.Reset()
	if status != 0 {
		e.write(":status", multiplex.StatusText(status))
	}
	if f != nil {
		for i := range f.Len() {
			id, name, value, ok := f.At(i)
			if ok && multiplex.MayPass(id) {
				e.lower = httpmsg.AppendLower(e.lower[:0], name)
				e.write(unsafe.String(unsafe.SliceData(e.lower), len(e.lower)), unsafe.String(unsafe.SliceData(value), len(value)))
			}
		}
	}
	return e.buf.Bytes()
}

// write encodes a field, of which nothing is kept.
func (e *encoder) write(name, value string) {
	_ = e.enc.WriteField(hpack.HeaderField{Name: name, Value: value}) // a bytes.Buffer takes everything
}

// appendHead appends HEADERS, and CONTINUATION where it takes more, and returns
// how large the block is. c.mu is held.
func (c *Conn) appendHead(id uint32, status int, f *httpmsg.Fields, end bool) int {
	b := c.encoder.block(status, f)
	c.out = appendBlock(c.out, b, id, end)
	return len(b)
}

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
	if c.writing || c.dead || len(c.out) == 0 {
		return
	}
	c.writing = true
	c.running.Add(1)
	pool.Do(task{c: c})
}

// writeOut writes what there is, until there is nothing.
func (c *Conn) writeOut() {
	defer c.running.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out) > 0 && !c.dead {
		p := c.out
		c.out, c.spare, c.control = c.spare[:0], nil, 0
		c.mu.Unlock()
		err := c.stream.Write(p, nil, nil)
		c.mu.Lock()
		c.spare = p[:0]
		if err != nil {
			c.kill()
			c.stream.Cut() // the reader must not wait for one who does not read
		}
		c.passOn()
	}
	c.writing = false
	c.trim()
	if c.goneAway {
		c.room.Broadcast() // somebody waits for the last word to be out
	}
}
