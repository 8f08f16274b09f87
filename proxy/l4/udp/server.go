package udp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/proxy/l4"
	"gatehouse/proxy/l4/steer"
)

// Server is a door: an address that clients send to.
type Server struct {
	engine   *Engine
	address  netip.AddrPort
	wildcard bool   // bound to every address
	exits    *exits // of a door of every port (HA ports); nil: of one port
	rules    atomic.Pointer[rules]
	table    table
	stats    counters
	open     sync.WaitGroup // sockets of flows
	answered atomic.Int64   // when a member sent something, roughly

	mu      sync.Mutex
	fronts  []*front
	conns   []net.PacketConn
	stopped bool
	closed  bool
}

// rules are what holds for a door at the moment.
type rules struct {
	balancer *l4.Balancer
	door     *l4.Door
}

// source is where the socket to a member is bound to; not valid: anywhere.
func (r *rules) source(t *l4.Tuple) netip.AddrPort {
	if r.door.Rule.Config.Transparent {
		return t.Client
	}
	return netip.AddrPort{}
}

// NewServer makes the Server of a door by its sockets, which are the Server's
// from then on, and stay open until it is closed. They are bound to one
// address, and there may be any number of them: one per loop is best. Listen
// makes such. Those of a door of every port are bound to one port, whichever it
// is, and what comes for the others is led to them (package steer). If there is
// an error, the sockets are closed. Nothing is read before Start.
func (e *Engine) NewServer(sockets []net.PacketConn, b *l4.Balancer, d *l4.Door) (*Server, error) {
	s := &Server{engine: e, conns: sockets}
	s.Use(b, d)
	if err := s.prepare(); err != nil {
		s.Close()
		return nil, fmt.Errorf("udp %v: %w", d.Addr, err)
	}
	return s, nil
}

func (s *Server) prepare() error {
	if len(s.conns) == 0 {
		return errNoSocket
	}
	bound, ok := s.conns[0].LocalAddr().(*net.UDPAddr)
	if !ok {
		return errNoSocket
	}
	s.address = plain(bound.AddrPort())
	s.wildcard = s.address.Addr().IsUnspecified()
	if s.rules.Load().door.Addr.Port() == 0 {
		if s.wildcard {
			return errEverything
		}
		s.exits = &exits{addr: s.address.Addr(), byPort: map[uint16]*exit{}}
	}
	loops := s.engine.loops
	first := int(s.engine.next.Add(1) - 1)
	for i, c := range s.conns {
		f := &front{server: s, loop: loops[(first+i)%len(loops)], fd: -1}
		s.fronts = append(s.fronts, f)
		if err := f.prepare(c); err != nil {
			return err
		}
	}
	return nil
}

// Start begins to read what clients send. If there is an error, the Server
// must be closed.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return fmt.Errorf("udp %v: %w", s.address, net.ErrClosed)
	}
	for _, f := range s.fronts {
		var err error
		if !f.loop.call(func() { err = f.begin() }) {
			err = net.ErrClosed
		}
		if err != nil {
			return fmt.Errorf("udp %v: %w", s.address, err)
		}
	}
	return nil
}

// prepare makes a socket one that can be served.
func (f *front) prepare(c net.PacketConn) error {
	conn, ok := c.(syscall.Conn)
	if !ok {
		return fmt.Errorf("%T is not a socket", c)
	}
	var err error
	if f.fd, err = duplicate(conn); err != nil {
		return err
	}
	if err := setOptions(f.fd, f.server.wildcard, f.server.engine.joins); err != nil {
		return err
	}
	if f.server.exits != nil {
		return steer.RecordDestination(f.fd)
	}
	return nil
}

// begin has the loop read the socket.
func (f *front) begin() error {
	f.slot = f.loop.take(nil, f)
	if err := f.loop.watch(f.fd, f.slot, unix.EPOLLIN); err != nil {
		f.loop.leave(f.slot)
		return err
	}
	f.watched = true
	return nil
}

// end has the loop read it no more.
func (f *front) end() {
	if f.watched {
		f.loop.unwatch(f.fd)
		f.loop.leave(f.slot)
		f.watched = false
	}
}

// Use changes what holds for new flows, and for how long those there are go
// on: each does with its member while that is served. A shorter idle time holds
// for flows that there are once the longer one, or 100 s, are over.
func (s *Server) Use(b *l4.Balancer, d *l4.Door) { s.rules.Store(&rules{b, d}) }

// Addr is the address the door is bound to; that of every port, to any one.
func (s *Server) Addr() netip.AddrPort { return s.address }

// asked is the address and port that a client asked.
func (s *Server) asked(k *key, a *arrival) netip.AddrPort {
	switch {
	case s.exits != nil:
		return netip.AddrPortFrom(s.address.Addr(), k.asked())
	case s.wildcard:
		if local := a.local(); local.IsValid() {
			return netip.AddrPortFrom(local, s.address.Port())
		}
	}
	return s.address
}

// touch notes that a member sent something.
func (s *Server) touch(now int64) {
	if now-s.answered.Load() > int64(tick)/4 {
		s.answered.Store(now)
	}
}

// Stop ends the reading of what clients send; that is for who else has the
// sockets. What members send goes on to the clients.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped = true
	for _, f := range s.fronts {
		f.loop.call(f.end)
	}
}

// quiet is for how long members must have sent nothing for Drain to be done.
const quiet = time.Second

// Drain stops, waits until members have sent nothing for a second, there are
// no flows, or ctx has ended, and closes.
func (s *Server) Drain(ctx context.Context) {
	s.Stop()
	s.stepAside()
	since := s.engine.now()
	check := time.NewTicker(tick / 2)
	defer check.Stop()
	for s.table.count.Load() > 0 && s.engine.now()-max(since, s.answered.Load()) < int64(quiet) {
		select {
		case <-check.C:
		case <-ctx.Done():
			s.Close()
			return
		}
	}
	s.Close()
}

// stepAside leaves what clients send to sockets that are bound to the same
// address later, as when a rule comes back: the kernel would go on to give
// these here their share, which nobody reads. It gives nothing to one that is
// connected to itself, and answers can leave by it as before. Where there are no
// others clients are told at once that nobody reads (ICMP).
func (s *Server) stepAside() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exits != nil || s.closed {
		return // or what clients send is led elsewhere already
	}
	self := s.address
	for _, f := range s.fronts {
		if s.wildcard {
			loopback := netip.IPv6Loopback()
			if domain, err := unix.GetsockoptInt(f.fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err == nil && domain == unix.AF_INET {
				loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
			}
			self = netip.AddrPortFrom(loopback, s.address.Port())
		}
		// If that fails it is as it was before.
		_ = unix.Connect(f.fd, sockaddr(self))
	}
}

// Close stops, ends all flows (l4.EndStopping) and closes the sockets.
func (s *Server) Close() {
	s.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	for _, f := range s.table.all() {
		f.close(l4.EndStopping)
	}
	s.open.Wait()
	for _, f := range s.fronts {
		f.loop.call(f.close)
	}
	for _, c := range s.conns {
		c.Close()
	}
}

// close closes the socket; it is for the loop, when there are no flows.
func (f *front) close() {
	if f.fd >= 0 {
		unix.Close(f.fd)
		f.fd = -1
	}
}
