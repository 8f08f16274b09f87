package relay

import (
	"net/netip"
	"os"
	"time"

	"gatehouse/proxy/l4"

	"golang.org/x/sys/unix"
)

const (
	// maxAccept is how many connections are accepted before other events
	// have their turn.
	maxAccept = 64
	// maxLast is how many are accepted from a socket that is to be closed.
	maxLast = 4096
)

// acceptor is a listening socket in a loop.
type acceptor struct {
	server *Server
	fd     int
	local  netip.AddrPort // invalid: each connection has its own
}

// listen accepts from a socket, which is the loop's from now on.
func (l *loop) listen(s *Server, from *Listener) error {
	a := &acceptor{server: s, fd: from.fd}
	// A socket that serves any address, or connections to others' (TPROXY) or
	// to every port, does not say where a client connected to.
	transparent, _ := unix.GetsockoptInt(from.fd, unix.SOL_IP, unix.IP_TRANSPARENT)
	if transparent == 0 && !from.addr.Addr().IsUnspecified() && s.use.Load().door.Addr.Port() != 0 {
		a.local = from.addr
	}
	_ = unix.Listen(from.fd, backlog(s.use.Load().door.Rule.Limits.Backlog)) // that of the process before may be another
	i := 0
	for i < len(l.acceptors) && l.acceptors[i] != nil {
		i++
	}
	if i == len(l.acceptors) {
		l.acceptors = append(l.acceptors, nil)
	}
	if err := l.watch(a.fd, unix.EPOLLIN, acceptorToken(i), 0); err != nil {
		sysClose(a.fd)
		return err
	}
	l.acceptors[i] = a
	return nil
}

// unlisten closes the sockets of a server; what waits in them is served.
func (l *loop) unlisten(s *Server) {
	for i, a := range l.acceptors {
		if a == nil || a.server != s {
			continue
		}
		for range maxLast {
			if !l.acceptOne(a) {
				break
			}
		}
		l.acceptors[i] = nil
		// A duplicate elsewhere would keep a closed one in the set.
		_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, a.fd, nil)
		sysClose(a.fd)
	}
}

// setBacklog changes how many connections wait to be accepted, which a second
// listen(2) does.
func (l *loop) setBacklog(s *Server, n int) {
	for _, a := range l.acceptors {
		if a != nil && a.server == s {
			_ = unix.Listen(a.fd, backlog(n))
		}
	}
}

func (l *loop) accept(a *acceptor) {
	for range maxAccept {
		if !l.acceptOne(a) {
			return
		}
	}
}

// acceptOne accepts a connection; false: there is none now.
func (l *loop) acceptOne(a *acceptor) bool {
	fd, errno := sysAccept(a.fd, &l.peer)
	switch errno {
	case 0:
		if a.server.opts.spared(fd) {
			l.report(a, unix.EMFILE)
			l.noRoom(a, fd)
			return true
		}
		l.admit(a, fd)
		return true
	case unix.EAGAIN:
		return false
	case unix.EMFILE, unix.ENFILE:
		l.report(a, errno)
		return l.turnAway(a)
	case unix.ENOMEM, unix.ENOBUFS:
		l.report(a, errno)
		l.pause()
		return false
	}
	return true // that connection has failed: a network error, or a reset
}

// admit lets a connection in that was accepted, or resets it.
func (l *loop) admit(a *acceptor, fd int) {
	t, ok := l.tuple(a, fd)
	if !ok {
		reset(fd)
		return
	}
	u := a.server.use.Load()
	if u.balancer.Admit(u.door, &t, l.now) != l4.NotRefused {
		reset(fd)
		return
	}
	l.begin(a.server, u, &t, fd)
}

// tuple is who has connected where; false: the kernel does not say.
func (l *loop) tuple(a *acceptor, fd int) (l4.Tuple, bool) {
	t := l4.Tuple{Protocol: l4.TCP, Client: l.peer.addrPort(), Frontend: a.local}
	if !t.Frontend.IsValid() {
		if sa, err := unix.Getsockname(fd); err == nil {
			t.Frontend = fromSockaddr(sa)
		}
	}
	return t, t.Client.IsValid() && t.Frontend.IsValid()
}

// turnAway resets a connection for which there is no descriptor: clients
// that are left to wait would pile up.
func (l *loop) turnAway(a *acceptor) bool {
	if l.spare < 0 {
		l.pause()
		return false
	}
	sysClose(l.spare)
	l.spare = -1
	fd, errno := sysAccept(a.fd, &l.peer)
	if errno == 0 {
		l.noRoom(a, fd)
	}
	l.reserve()
	return errno == 0
}

// noRoom resets a connection that there is no descriptor for.
func (l *loop) noRoom(a *acceptor, fd int) {
	t, ok := l.tuple(a, fd)
	u := a.server.use.Load()
	if ok && u.balancer.Admit(u.door, &t, l.now) == l4.NotRefused {
		u.balancer.Refuse(u.door, &t, l4.RefusedFlows)
	}
	reset(fd)
}

// pause accepts nothing until the next tick.
func (l *loop) pause() {
	if l.paused {
		return
	}
	l.paused = true
	l.nextTick = l.now + tick
	l.watchAcceptors(0)
}

func (l *loop) resume() {
	l.paused = false
	if l.spare < 0 {
		l.reserve()
	}
	l.watchAcceptors(unix.EPOLLIN)
}

func (l *loop) watchAcceptors(events uint32) {
	for i, a := range l.acceptors {
		if a != nil {
			e := unix.EpollEvent{Events: events, Fd: acceptorToken(i)}
			_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, a.fd, &e)
		}
	}
}

// report tells why nothing can be accepted, at most once a second.
func (l *loop) report(a *acceptor, errno unix.Errno) {
	if f := a.server.opts.Report; f != nil && (l.reported == 0 || l.now-l.reported > int64(time.Second)) {
		l.reported = l.now
		f(os.NewSyscallError("accept4", errno))
	}
}

// reset closes a socket with a RST.
func reset(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	sysClose(fd)
}
