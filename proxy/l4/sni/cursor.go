package sni

import "encoding/binary"

// cursor takes pieces from the front of a message. Once one was not there, it
// has failed and all others are empty.
type cursor struct {
	rest   []byte
	failed bool
}

func (c *cursor) take(n int) []byte {
	if n > len(c.rest) {
		c.failed, c.rest = true, nil
		return nil
	}
	piece := c.rest[:n]
	c.rest = c.rest[n:]
	return piece
}

func (c *cursor) uint8() int {
	if b := c.take(1); b != nil {
		return int(b[0])
	}
	return 0
}

func (c *cursor) uint16() int {
	if b := c.take(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

// vector8 takes bytes behind their number in one byte.
func (c *cursor) vector8() []byte { return c.take(c.uint8()) }

// vector16 takes bytes behind their number in two bytes.
func (c *cursor) vector16() []byte { return c.take(c.uint16()) }
