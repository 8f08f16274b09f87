package relay

import (
	"gatehouse/proxy/l4"

	"golang.org/x/sys/unix"
)

const (
	// maxTurn is how many bytes of one direction are moved before other
	// flows have their turn.
	maxTurn = 1 << 20
	// steady is how often in a row little may come from a side before it
	// does not count as one from which much comes.
	steady = 4
	// much is what counts as much.
	much = 32 << 10
)

// outcome is what became of an attempt to move bytes.
type outcome uint8

const (
	more       outcome = iota // there may be more to move
	dry                       // nothing to read now
	full                      // the other side takes no more now
	over                      // all is read
	readError                 // the side that is read is broken
	writeError                // the other is
)

// pump moves what a side has sent to the other until there is nothing, or the
// other takes no more.
func (c *conn) pump(i int) {
	from := &c.sides[i]
	if from.eof || from.blocked {
		return
	}
	switch c.moveFrom(i) {
	case full:
		from.blocked = true
	case over:
		c.half(i)
	case more:
		c.later()
	case readError:
		c.finish(l4.EndReset, true)
	case writeError:
		// What a member says before it breaks off is for the client.
		if other := &c.sides[1-i]; !other.eof && !other.blocked {
			c.moveFrom(1 - i)
		}
		c.finish(l4.EndReset, true)
	}
}

// later goes on when others have had their turn.
func (c *conn) later() {
	if !c.waiting {
		c.waiting = true
		c.loop.again = append(c.loop.again, c)
	}
}

// half passes on that a side has shut down; after both the flow is over.
func (c *conn) half(i int) {
	c.sides[i].eof = true
	if c.sides[1-i].eof {
		c.finish(l4.EndClosed, false)
		return
	}
	sysShutdown(c.sides[1-i].fd)
}

func (c *conn) moveFrom(i int) outcome {
	from, to := &c.sides[i], &c.sides[1-i]
	if len(from.pending) > 0 {
		if o := c.flush(i); o != more {
			return o
		}
	}
	for left := maxTurn; left > 0; {
		var n int
		var o outcome
		if from.pipe != nil || from.bulk > 0 && !from.urgent && c.takePipe(from) {
			n, o = c.splice(i, left)
		} else {
			n, o = c.copy(from, to, i)
		}
		if o != more {
			return o
		}
		left -= n
	}
	return more
}

// flush writes what waits.
func (c *conn) flush(i int) outcome {
	from, to := &c.sides[i], &c.sides[1-i]
	n, errno := sysWrite(to.fd, from.pending)
	switch {
	case errno == unix.EAGAIN:
		return full
	case errno != 0:
		return writeError
	}
	c.passed(i, n)
	from.pending = from.pending[n:]
	if len(from.pending) > 0 {
		return full
	}
	from.pending = nil
	return more
}

// copy reads once and writes that.
func (c *conn) copy(from, to *side, i int) (int, outcome) {
	buf := c.loop.buf
	n, errno := sysRead(from.fd, buf)
	switch {
	case errno == unix.EAGAIN:
		return 0, dry
	case errno != 0:
		return 0, readError
	case n == 0:
		return 0, over
	}
	c.received(i)
	w, errno := sysWrite(to.fd, buf[:n])
	switch {
	case errno == unix.EAGAIN:
		w = 0
	case errno != 0:
		return 0, writeError
	}
	c.passed(i, w)
	if w < n {
		from.pending = append([]byte(nil), buf[w:n]...)
		return w, full
	}
	if n < len(buf) {
		if !from.hup && !from.urgent {
			return n, dry // what comes from here on is told
		}
		return n, more
	}
	from.bulk = steady
	return n, more
}

// received counts a read of a side.
func (c *conn) received(i int) {
	if i == client {
		c.SentPackets.Add(1)
	} else {
		c.ReceivedPackets.Add(1)
	}
}

// passed counts bytes that the other side has taken.
func (c *conn) passed(i, n int) {
	c.active = c.loop.now
	if i == backend {
		c.Received.Add(uint64(n))
		return
	}
	if c.unsaid > 0 { // the PROXY header
		header := min(n, c.unsaid)
		c.unsaid -= header
		n -= header
	}
	c.Sent.Add(uint64(n))
}
