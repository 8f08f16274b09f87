package compression

import (
	"gatehouse/config"
	"gatehouse/internal/stream"
)

// PieceMax is how much may be given to an encoder at once: it bounds what
// waits to be sent.
const PieceMax = 32 << 10

// keptMax is how large an output buffer may be to be pooled.
const keptMax = 128 << 10

// Encoder encodes one body. One goroutine uses it.
type Encoder struct {
	engine *Engine
	coding config.ContentCoding
	level  config.CompressionLevel
	w      writer
	out    []byte
}

// Write implements io.Writer for the library.
func (c *Encoder) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	return len(p), nil
}

// encoder takes an encoder from the pool, or makes one; nil when there is no
// memory for another.
func (e *Engine) encoder(coding config.ContentCoding, level config.CompressionLevel) (*Encoder, error) {
	if !e.budget.take(codings[coding].memory[level]) {
		return nil, nil
	}
	c, _ := e.pools[coding][level].Get().(*Encoder)
	if c == nil {
		w, err := codings[coding].open(codings[coding].level[level])
		if err != nil {
			e.budget.give(codings[coding].memory[level])
			return nil, err
		}
		c = &Encoder{engine: e, coding: coding, level: level, w: w}
	}
	c.out = c.out[:0]
	c.w.Reset(c)
	return c, nil
}

// Whole encodes a body that is there as a whole; the result is valid until
// the encoder is released.
func (c *Encoder) Whole(body []byte) ([]byte, error) {
	from := stream.Now()
	_, err := c.w.Write(body)
	if err == nil {
		err = c.w.Close()
	}
	c.engine.budget.spend(from, stream.Now())
	return c.out, err
}

// Encode encodes a piece of at most PieceMax bytes. It returns what can be
// sent, which is valid until the next call; with flush that is all that the
// client needs to decode the piece.
func (c *Encoder) Encode(p []byte, flush bool) ([]byte, error) {
	from := stream.Now()
	c.out = c.out[:0]
	_, err := c.w.Write(p)
	if err == nil && flush {
		err = c.w.Flush()
	}
	c.engine.budget.spend(from, stream.Now())
	c.count(len(p))
	return c.out, err
}

// Finish returns the end.
func (c *Encoder) Finish() ([]byte, error) {
	from := stream.Now()
	c.out = c.out[:0]
	err := c.w.Close()
	c.engine.budget.spend(from, stream.Now())
	c.count(0)
	return c.out, err
}

func (c *Encoder) count(in int) {
	n := &c.engine.counts
	n.in[c.coding].Add(int64(in))
	n.out[c.coding].Add(int64(len(c.out)))
}

// Release gives the encoder back to the pool.
func (c *Encoder) Release() {
	c.Drop()
	if cap(c.out) > keptMax {
		c.out = nil
	}
	c.engine.pools[c.coding][c.level].Put(c)
}

// Drop gives the encoder up: nobody knows what state it is in.
func (c *Encoder) Drop() {
	c.engine.budget.give(codings[c.coding].memory[c.level])
}
