package relay

import "golang.org/x/sys/unix"

// takePipe gives a side a pipe; false: there is none.
func (c *conn) takePipe(s *side) bool {
	s.pipe = c.loop.pipes.get(&c.server.opts, c.loop.now)
	return s.pipe != nil
}

// splice moves bytes inside the kernel: a pipe's fill in, and out.
func (c *conn) splice(i, most int) (int, outcome) {
	from := &c.sides[i]
	p := from.pipe
	if p.held == 0 {
		n, errno := sysSplice(from.fd, p.w, min(most, pipeSize))
		switch {
		case errno == unix.EAGAIN:
			c.givePipe(from)
			if from.urgent { // splice does not get past it, and copying does
				return 0, more
			}
			return 0, dry
		case errno != 0:
			return 0, readError
		case n == 0:
			c.givePipe(from)
			return 0, over
		}
		c.received(i)
		p.held = n
		if n >= much {
			from.bulk = steady
		} else {
			from.bulk--
		}
	}
	return c.empty(i)
}

// empty moves what the pipe of a side holds to the other.
func (c *conn) empty(i int) (moved int, o outcome) {
	p := c.sides[i].pipe
	for p.held > 0 {
		n, errno := sysSplice(p.r, c.sides[1-i].fd, p.held)
		switch {
		case errno == unix.EAGAIN:
			return moved, full
		case errno != 0:
			return moved, writeError
		}
		c.passed(i, n)
		p.held -= n
		moved += n
	}
	if c.sides[i].bulk == 0 {
		c.givePipe(&c.sides[i])
	}
	return moved, more
}

func (c *conn) givePipe(s *side) {
	c.loop.pipes.put(s.pipe)
	s.pipe = nil
}
