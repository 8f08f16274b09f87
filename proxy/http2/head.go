package http2

import (
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gatehouse/internal/stream"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/multiplex"
)

// block is a field block on its way in: HEADERS and what continues it.
type block struct {
	id       uint32 // 0: there is none
	x        *Exchange
	trailers bool
	ends     bool  // the stream
	began    int64 // when its first bytes came
	bytes    int   // compressed
	err      http2.ErrCode
	section  multiplex.Section
}

// field takes one field.
func (b *block) field(f hpack.HeaderField) {
	if b.err == 0 {
		b.section.Field(f.Name, f.Value)
		return
	}
	b.section.Skip(f.Name, f.Value)
}

// headers begins a request, or is the trailers of one.
func (c *Conn) headers(f *http2.HeadersFrame) error {
	id := f.StreamID
	o := c.handler.Options()
	c.mu.Lock()
	c.refuseLate()
	x := c.streams[id]
	last, serving, open, draining := c.last, c.serving, c.open(), c.goneAway
	ended := x != nil && x.theirEnd // x may be over, and another's, once c.mu is free
	c.mu.Unlock()
	b := &c.block
	*b = block{id: id, x: x, ends: f.StreamEnded(), began: stream.Now(), section: b.section}
	b.section.Begin(&o.Limits)
	switch {
	case x != nil:
		b.trailers = true
		b.section.BeginTrailers()
		if ended {
			return http2.ConnectionError(http2.ErrCodeStreamClosed)
		}
		if !f.StreamEnded() {
			b.err = http2.ErrCodeProtocol
		}
	case id%2 == 0:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case id <= last:
		if !c.wasReset(id) {
			return http2.ConnectionError(http2.ErrCodeStreamClosed)
		}
		b.trailers, b.x = true, nil // late ones
	case serving >= maxServing || open >= MaxStreams || draining:
		b.err = http2.ErrCodeRefusedStream
	}
	if b.x == nil && !b.trailers {
		c.mu.Lock()
		c.last = id
		c.mu.Unlock()
	}
	if b.err == 0 && f.HasPriority() && f.Priority.StreamDep == id {
		b.err = http2.ErrCodeProtocol
	}
	return c.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
}

// open is how many streams are open as the client counts, who may hear of a
// response's end before the handler is done. c.mu is held.
func (c *Conn) open() int {
	n := len(c.streams)
	if n < MaxStreams {
		return n // few enough in any case
	}
	for _, x := range c.streams {
		if x.theirEnd && x.ourEnd {
			n--
		}
	}
	return n
}

func (c *Conn) wasReset(id uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resets.has(id)
}

// fragment takes a piece of a field block. All of it is decoded, also of a
// request that is refused, for the sake of those that follow; but there is an
// end to that.
func (c *Conn) fragment(p []byte, end bool) error {
	b := &c.block
	if b.bytes > 0 || len(p) == 0 { // not the first, or an empty one
		if len(p) == 0 && !end {
			if err := c.spend(multiplex.CostEmpty); err != nil {
				return err
			}
		}
		if err := c.spend(multiplex.CostUnknown); err != nil {
			return err
		}
	}
	if b.bytes += len(p); b.bytes > 2*c.handler.Options().HeadBytes {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	// Longer than what is refused with 431, so that a long field is; and no
	// longer than what ends the connection.
	c.decoder.SetMaxStringLength(4 * c.handler.Options().HeadBytes)
	if _, err := c.decoder.Write(p); err != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	if b.section.Bomb() {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm) // a bomb
	}
	if !end {
		return nil
	}
	if err := c.decoder.Close(); err != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	err := c.complete()
	b.id, b.x = 0, nil
	return err
}

// complete is the end of a block.
func (c *Conn) complete() error {
	b := &c.block
	switch {
	case b.trailers && b.x == nil:
		return nil // of a stream that we have reset
	case b.trailers:
		return c.trailers()
	case b.err == http2.ErrCodeRefusedStream:
		if err := c.spend(multiplex.CostReset); err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.appendReset(b.id, b.err)
		return c.answered()
	}
	if b.err != 0 {
		b.section.Malformed = true
	}
	b.section.Check(b.ends)
	return c.begin()
}

// begin begins a request.
func (c *Conn) begin() error {
	b := &c.block
	refusal := b.section.Refusal
	if refusal != nil && refusal.Status == 0 {
		// Somebody has to note it, which costs something.
		if err := c.spend(multiplex.CostError); err != nil {
			return err
		}
	}
	x := exchanges.Get().(*Exchange)
	x.begin(c, b)
	c.seen++
	c.mu.Lock()
	c.streams[b.id] = x
	c.serving++
	x.first, x.idleSince = c.seen == 1, max(c.lastEnd, c.active)
	c.mu.Unlock()
	if refusal == nil {
		refusal = x.parse(b, c.handler.Options())
	}
	x.refusal = refusal
	c.running.Add(1)
	pool.Do(task{x: x})
	return nil
}

// parse makes the request.
func (x *Exchange) parse(b *block, o *http1.Options) *http1.Error {
	p, err := b.section.Parse(x.head[:0], &x.req, &o.Limits, b.ends)
	x.head, x.length, x.accept, x.grpc = p.Head, p.Length, p.Accept, p.GRPC
	return err
}

// trailers ends a request body with fields.
func (c *Conn) trailers() error {
	b := &c.block
	lines, ok := b.section.TrailerLines()
	if b.err == 0 && !ok {
		b.err = http2.ErrCodeProtocol
	}
	if b.err != 0 {
		return streamError(b.id, b.err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.streams[b.id]
	if x == nil {
		return nil
	}
	if x.length >= 0 && x.came != x.length {
		return streamError(b.id, http2.ErrCodeProtocol)
	}
	x.trailer = append(x.trailer[:0], lines...)
	x.theirEnd = true
	x.cond.Broadcast()
	return nil
}
