package relay

import (
	"time"

	"gatehouse/proxy/l4"

	"golang.org/x/sys/unix"
)

const (
	// peekTime is how long a client may take to say where it wants to go.
	peekTime = 10 * time.Second
	// maxPeek is how much it may say.
	maxPeek = 20 << 10
)

// peek waits for what the client says first.
func (c *conn) peek() {
	c.phase = peeking
	c.early.deadline = c.loop.now + int64(peekTime)
	if c.enterClient() != nil {
		c.refuse(l4.RefusedConnect)
	}
}

// readFirst reads more of it, and routes the flow when it is enough.
func (c *conn) readFirst() {
	s := &c.sides[client]
	for {
		n, errno := sysRead(s.fd, c.loop.buf[:maxPeek-len(s.pending)])
		switch {
		case errno == unix.EAGAIN:
			return
		case errno != 0 || n == 0:
			c.refuse(l4.RefusedHeader)
			return
		}
		c.SentPackets.Add(1)
		s.pending = append(s.pending, c.loop.buf[:n]...)
		choice := c.server.opts.Choose(c.Rule, s.pending)
		switch {
		case choice.Refuse != l4.NotRefused:
			c.refuse(choice.Refuse)
			return
		case choice.More && len(s.pending) == maxPeek:
			c.refuse(l4.RefusedHeader)
			return
		case choice.More:
			continue
		case choice.Index < 0:
			c.route(c.use.door.Route())
		default:
			c.route(c.Rule.RouteFor(choice.Index))
		}
		return
	}
}
