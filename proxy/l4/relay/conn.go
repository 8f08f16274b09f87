package relay

import (
	"time"

	"gatehouse/proxy/l4"

	"golang.org/x/sys/unix"
)

// phase is how far a flow is.
type phase uint8

const (
	peeking    phase = iota // for the first bytes of the client
	connecting              // to a member
	relaying
	ended
)

// The sides of a flow.
const (
	client  = 0
	backend = 1
)

// conn is a flow and its two sockets. It belongs to its loop.
type conn struct {
	l4.Flow
	loop   *loop
	server *Server
	use    *use
	early  *early // until it is connected
	sides  [2]side

	active  int64  // when a byte was last seen
	idle    int64  // how long none may be seen: nanoseconds
	looked  int64  // when the segments were counted last
	seen    uint32 // segments from both sides then; 0: it could not be said
	unsaid  int    // bytes to the member that are not the client's
	slot    int32
	phase   phase
	waiting bool // in the loop's list of those to go on with
	entered bool // the client's socket is in the loop's set
}

// side is one of the sockets, and what was read from it.
type side struct {
	fd      int    // -1: none
	pending []byte // read, and not taken by the other side
	pipe    *pipe  // in use while it is being filled or holds bytes
	blocked bool   // the other side takes no more until it says so
	eof     bool   // all is read
	hup     bool   // the peer has shut down, or is gone: read to the end
	urgent  bool   // it has sent urgent data, at which reads end early
	bulk    uint8  // whether much comes at once: 0, no; else how often less may come
}

// begin makes a flow of a connection that was let in.
func (l *loop) begin(s *Server, u *use, t *l4.Tuple, fd int) {
	rule := u.door.Rule
	c := &conn{loop: l, server: s, use: u, idle: int64(rule.Config.IdleTimeout), active: l.now}
	c.Tuple, c.Rule = *t, rule
	c.sides[client].fd, c.sides[backend].fd = fd, -1
	s.live.Add(1)
	l.place(c)
	l.early.add(c)
	if len(rule.SNI) > 0 {
		c.peek()
		return
	}
	c.route(u.door.Route())
}

// watchSide enters a socket in the loop's set; what it can do already is
// told at once.
func (c *conn) watchSide(i int) error {
	more := int32(c.loop.slots[c.slot].generation<<1) | int32(i)
	return c.loop.watch(c.sides[i].fd, unix.EPOLLIN|unix.EPOLLPRI|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET, c.slot, more)
}

// enterClient enters the client's socket, once.
func (c *conn) enterClient() error {
	if c.entered {
		return nil
	}
	c.entered = true
	return c.watchSide(client)
}

// ready goes on after an event of a side.
func (c *conn) ready(i int, events uint32) {
	const over = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	s := &c.sides[i]
	if events&over != 0 {
		s.hup = true
	}
	if events&unix.EPOLLPRI != 0 {
		s.urgent = true
	}
	switch c.phase {
	case relaying:
		c.relay(i, events)
	case connecting:
		if i == backend {
			c.connected(events)
		} else if events&unix.EPOLLERR != 0 {
			c.refuse(l4.RefusedGone)
		}
	case peeking:
		c.readFirst()
	}
}

// relay moves what an event allows to be moved.
func (c *conn) relay(i int, events uint32) {
	s, other := &c.sides[i], &c.sides[1-i]
	if events&unix.EPOLLOUT != 0 && other.blocked {
		other.blocked = false
		c.pump(1 - i)
	}
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 && c.phase == relaying {
		c.pump(i)
	}
	if events&unix.EPOLLERR != 0 && c.phase == relaying && (s.eof || s.blocked) {
		// Nobody will read from it to find that out.
		c.finish(l4.EndReset, true)
	}
}

// move moves all that can be moved.
func (c *conn) move() {
	for i := range c.sides {
		if c.phase == relaying {
			c.pump(i)
		}
	}
}

// start begins to relay: the member is connected.
func (c *conn) start() {
	c.loop.early.remove(c)
	c.phase = relaying
	c.active = c.loop.now
	c.Started = time.Now()
	c.Close = func(why l4.End) { c.loop.post(func() { c.stop(why) }) }
	c.server.opts.Flows.Add(&c.Flow)
}

// stop ends the flow at somebody's wish: with RST if its rule wants idle
// flows to end so, else with FIN.
func (c *conn) stop(why l4.End) {
	switch c.phase {
	case ended:
	case relaying:
		c.finish(why, c.Rule.Config.TCPReset)
	default:
		c.refuse(l4.RefusedStopping)
	}
}

// finish ends a flow that was entered.
func (c *conn) finish(why l4.End, withReset bool) {
	c.release(withReset)
	c.server.opts.Flows.Remove(&c.Flow, why)
	c.server.left()
}

// refuse ends one that was not.
func (c *conn) refuse(why l4.Refusal) {
	c.loop.early.remove(c)
	c.release(true)
	c.use.balancer.Refuse(c.use.door, &c.Tuple, why)
	c.server.left()
}

// release gives back all that the flow holds.
func (c *conn) release(withReset bool) {
	c.phase = ended
	c.loop.vacate(c)
	for i := range c.sides {
		s := &c.sides[i]
		if s.pipe != nil {
			c.loop.pipes.put(s.pipe)
		}
		s.pipe, s.pending = nil, nil
		c.closeSide(i, withReset)
	}
}

func (c *conn) closeSide(i int, withReset bool) {
	s := &c.sides[i]
	switch {
	case s.fd < 0:
	case withReset:
		reset(s.fd)
	default:
		sysClose(s.fd)
	}
	s.fd = -1
}
