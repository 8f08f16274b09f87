package relay

import (
	"net/netip"

	"gatehouse/config"
	"gatehouse/proxy/l4"

	"golang.org/x/sys/unix"
)

// early is what a flow needs until it is connected.
type early struct {
	pick       l4.Pick
	to         *l4.Route
	tried      bool
	deadline   int64
	prev, next *conn
}

// earlyList is the flows of a loop that are not connected yet.
type earlyList struct{ head *conn }

func (el *earlyList) add(c *conn) {
	c.early = &early{next: el.head}
	if el.head != nil {
		el.head.early.prev = c
	}
	el.head = c
}

func (el *earlyList) remove(c *conn) {
	e := c.early
	if e == nil {
		return
	}
	if e.prev != nil {
		e.prev.early.next = e.next
	} else {
		el.head = e.next
	}
	if e.next != nil {
		e.next.early.prev = e.prev
	}
	c.early = nil
}

// expire ends attempts to connect, and clients that say nothing, whose time
// is over. While a member takes its time, who waits for it is watched: most
// members do not, and it costs less to watch clients later.
func (l *loop) expire() {
	for c := l.early.head; c != nil; {
		next := c.early.next
		if l.now >= c.early.deadline {
			if c.phase == peeking {
				c.refuse(l4.RefusedHeader)
			} else {
				c.failed()
			}
		} else if c.phase == connecting && c.enterClient() != nil {
			c.refuse(l4.RefusedConnect)
		}
		c = next
	}
}

// route sends the flow to one of the members of a pool.
func (c *conn) route(to *l4.Route) {
	if to == nil {
		c.refuse(l4.RefusedSNI)
		return
	}
	c.phase = connecting
	c.early.to, c.early.pick = to, to.Pick(&c.Tuple)
	c.connect()
}

// connect begins to connect to the next member, as long as there is one.
func (c *conn) connect() {
	for {
		m := c.early.pick.Next()
		if m == nil {
			why := l4.RefusedNoMember
			if c.early.tried {
				why = l4.RefusedConnect
			}
			c.refuse(why)
			return
		}
		c.early.tried = true
		c.Member, c.Backend = m, c.early.to.Target(m, &c.Tuple)
		switch errno := c.dial(); errno {
		case 0:
			c.early.deadline = c.loop.now + int64(c.Rule.Config.ConnectTimeout)
			return
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ENOSPC:
			c.refuse(l4.RefusedConnect) // other members would not help
			return
		}
		m.Life.Failed.Add(1)
	}
}

// dial begins to connect to the member.
func (c *conn) dial() unix.Errno {
	fd, err := unix.Socket(family(c.Backend.Addr()), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return errnoOf(err)
	}
	if c.server.opts.spared(fd) {
		sysClose(fd)
		return unix.EMFILE
	}
	s := &c.sides[backend]
	*s = side{fd: fd}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if c.Rule.Config.Transparent {
		err = bindAs(fd, c.Client.Addr())
	}
	if err == nil {
		var to sockaddr
		if errno := sysConnect(fd, &to, to.set(c.Backend)); errno != 0 && errno != unix.EINPROGRESS {
			err = errno
		}
	}
	if err == nil {
		err = c.watchSide(backend)
	}
	if err != nil {
		c.closeSide(backend, false)
	}
	return errnoOf(err)
}

// bindAs makes a socket connect from a client's address, with any port: the
// client's own may be taken towards that member by another of its flows. The
// kernel refuses an address of another family than the member's.
func bindAs(fd int, a netip.Addr) error {
	level, option := unix.SOL_IP, unix.IP_TRANSPARENT
	if a.Is6() {
		level, option = unix.SOL_IPV6, unix.IPV6_TRANSPARENT
	}
	if err := unix.SetsockoptInt(fd, level, option, 1); err != nil {
		return err
	}
	// The port is chosen when the destination is known, so that flows to
	// different members can share one.
	if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return err
	}
	return unix.Bind(fd, sockaddrOf(netip.AddrPortFrom(a, 0)))
}

// failed gives a member up and goes on to the next.
func (c *conn) failed() {
	c.Member.Life.Failed.Add(1)
	c.closeSide(backend, true)
	c.connect()
}

// connected goes on when the attempt to connect has an end.
func (c *conn) connected(events uint32) {
	switch {
	case events&(unix.EPOLLERR|unix.EPOLLHUP) != 0:
		c.failed()
		return
	case events&unix.EPOLLOUT == 0:
		return
	}
	c.start()
	c.greet()
	// What the client has sent is told when its socket is entered, but that
	// it is often there already saves a turn.
	if c.enterClient() != nil {
		c.finish(l4.EndReset, true)
		return
	}
	c.pump(client)
	if c.phase == relaying && events&unix.EPOLLIN != 0 {
		c.pump(backend)
	}
}

// greet puts the PROXY header before what the client has sent.
func (c *conn) greet() {
	v := c.Rule.Config.ProxyProtocol
	if v == config.ProxyProtocolOff {
		return
	}
	s := &c.sides[client]
	header := c.server.opts.Header(nil, v, &c.Tuple)
	c.unsaid = len(header)
	s.pending = append(header, s.pending...)
}
