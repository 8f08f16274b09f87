//go:build linux

package load

// chunks follows a chunked body (RFC 9112 7.1) without extensions and trailer
// fields, which no proxy here adds.
type chunks struct {
	state  chunkState
	digits int
	size   int // of the chunk whose head is being read, then what is left of it
	total  int // bytes of the body
}

type chunkState uint8

const (
	inSize chunkState = iota
	afterSize
	inData
	afterData
	afterDataCR
	atEnd
	afterEndCR
	allDone
)

// maxSizeDigits allows chunks of up to 256 MiB.
const maxSizeDigits = 7

// pass looks at what came. rest is what is there behind the body's end.
func (c *chunks) pass(p []byte) (rest []byte, err error) {
	for len(p) > 0 && c.state != allDone {
		if c.state == inData {
			n := min(c.size, len(p))
			c.size -= n
			c.total += n
			p = p[n:]
			if c.size == 0 {
				c.state = afterData
			}
			continue
		}
		if !c.step(p[0]) {
			return nil, errMalformed
		}
		p = p[1:]
	}
	return p, nil
}

// step takes one byte that is no data; false if it may not stand there.
func (c *chunks) step(b byte) bool {
	if c.state == inSize && b != '\r' {
		return c.digit(b)
	}
	want, next := byte('\r'), c.state+1
	switch c.state {
	case inSize:
		if c.digits == 0 {
			return false
		}
	case afterSize:
		want = '\n'
		if c.size == 0 {
			next = atEnd
		}
	case afterDataCR:
		want, next = '\n', inSize
		c.digits, c.size = 0, 0
	case afterEndCR:
		want = '\n'
	}
	c.state = next
	return b == want
}

func (c *chunks) digit(b byte) bool {
	v := b - '0'
	if lower := b | 0x20; 'a' <= lower && lower <= 'f' {
		v = lower - 'a' + 10
	} else if b < '0' || b > '9' {
		return false
	}
	c.size = c.size<<4 | int(v)
	c.digits++
	return c.digits <= maxSizeDigits
}
