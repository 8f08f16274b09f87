package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gatehouse/config"
)

// Config is what a Server is made from. Only NewResponder is needed.
type Config struct {
	// NewResponder makes a Responder; see there for how many. It must be safe
	// for use by several goroutines at once.
	NewResponder func() Responder

	// Transports are those to listen for, each once. If empty, UDP and TCP.
	Transports []Transport

	// TLS has the certificates; needed for that transport alone. Without
	// NextProtos only clients that ask for "dot" or for nothing are served.
	TLS *tls.Config

	// Limits; each that is zero or less is 1232 bytes over UDP, 1000
	// connections, 100 of one client, 10 s idle, 10000 queries, 64 KiB
	// waiting. UDPSize is brought into 512 to 4096.
	Limits config.DNSLimits

	// Connections are the bounds that several Servers share. If nil, those
	// in Limits are for this one alone.
	Connections *Connections

	// Sockets is how many UDP sockets share the address, each with its own
	// goroutine. If zero, as many as GOMAXPROCS.
	Sockets int

	// Drain bounds how long Run goes on for the connections that have
	// queries in hand. If zero, 5 s.
	Drain time.Duration

	// ListenPacket and Listen open sockets, such as those that an older
	// process hands over; which are asked for in the same order each time.
	// If nil, those of net.ListenConfig.
	ListenPacket func(ctx context.Context, lc *net.ListenConfig, network, address string) (net.PacketConn, error)
	Listen       func(ctx context.Context, lc *net.ListenConfig, network, address string) (net.Listener, error)

	// Log gets panics of Responders. If nil, nobody does.
	Log *slog.Logger
}

// Server answers on one address.
type Server struct {
	udp     []*udpSocket
	streams []*streams
	panics  *panicLog
	drain   atomic.Int64 // a time.Duration
	ran     atomic.Bool
}

const (
	defaultDrain = 5 * time.Second

	// portAttempts is how often a port is chosen anew, if any would do,
	// because one that is free for UDP need not be for TCP.
	portAttempts = 10
)

// Listen binds the sockets of a Server, or none of them. An unspecified
// address is all of the machine's, of both families; answers leave from the
// one that was asked. With port 0 one is chosen, the same for all transports.
func Listen(ctx context.Context, address netip.AddrPort, c Config) (*Server, error) {
	if err := c.complete(); err != nil {
		return nil, fmt.Errorf("listen on %v: %w", address, err)
	}
	address = netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
	for attempt := 1; ; attempt++ {
		s, err := bind(ctx, address, &c)
		if err == nil {
			return s, nil
		}
		if address.Port() != 0 || attempt == portAttempts || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("listen on %v: %w", address, err)
		}
	}
}

// complete checks the configuration and fills in the defaults.
func (c *Config) complete() error {
	if c.NewResponder == nil {
		return errors.New("no responder")
	}
	c.Limits = Defaults(c.Limits)
	if len(c.Transports) == 0 {
		c.Transports = []Transport{UDP, TCP}
	}
	for _, t := range c.Transports {
		if t != UDP && t != TCP && t != TLS {
			return fmt.Errorf("transport %v is not for this server", t)
		}
		if t == TLS && c.TLS == nil {
			return errors.New("no certificate for tls")
		}
	}
	if c.TLS != nil && len(c.TLS.NextProtos) == 0 {
		c.TLS = c.TLS.Clone()
		c.TLS.NextProtos = []string{"dot"} // RFC 7858 3.1, IANA's registry
	}
	if c.Connections == nil {
		c.Connections = NewConnections(c.Limits)
	}
	if c.Sockets <= 0 {
		c.Sockets = runtime.GOMAXPROCS(0)
	}
	if c.ListenPacket == nil {
		c.ListenPacket = listenPacket
	}
	if c.Listen == nil {
		c.Listen = listen
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

func listenPacket(ctx context.Context, lc *net.ListenConfig, network, address string) (net.PacketConn, error) {
	return lc.ListenPacket(ctx, network, address)
}

func listen(ctx context.Context, lc *net.ListenConfig, network, address string) (net.Listener, error) {
	return lc.Listen(ctx, network, address)
}

// Defaults fills in what is not set; see Config.Limits.
func Defaults(l config.DNSLimits) config.DNSLimits {
	set := func(n *int, d int) {
		if *n <= 0 {
			*n = d
		}
	}
	set(&l.UDPSize, 1232) // what passes without fragments: DNS Flag Day 2020
	l.UDPSize = min(max(l.UDPSize, 512), 4096)
	set(&l.TCPConnections, 1000)
	set(&l.TCPPerClient, 100)
	set(&l.TCPQueries, 10000)
	set(&l.WaitingForWriting, 64<<10)
	if l.TCPIdle <= 0 {
		l.TCPIdle = 10 * time.Second // RFC 7766 6.2.3: a few seconds
	}
	return l
}

// bind opens all sockets, those of streams first: where the port is chosen, one
// that is free for streams is all but surely free for UDP, and not the other
// way round, since each connection that ended leaves its port taken for a while.
func bind(ctx context.Context, address netip.AddrPort, c *Config) (s *Server, err error) {
	s = &Server{panics: &panicLog{log: c.Log}}
	s.SetDrain(c.Drain)
	defer func() {
		if err != nil {
			s.Close()
			s = nil
		}
	}()
	for _, t := range c.Transports {
		if t == UDP {
			continue
		}
		if err := s.bindStream(ctx, &address, t, c); err != nil {
			return s, err
		}
	}
	if slices.Contains(c.Transports, UDP) {
		err = s.bindUDP(ctx, &address, c)
	}
	return s, err
}

// bindUDP opens the UDP sockets of an address, and fills in its port. The
// first is bound to the address alone, so that it fails if another process
// has it, and then shares it with the others.
func (s *Server) bindUDP(ctx context.Context, address *netip.AddrPort, c *Config) error {
	lc := &net.ListenConfig{}
	for range c.Sockets {
		conn, err := c.ListenPacket(ctx, lc, "udp", listenAddress(*address))
		if err != nil {
			return err
		}
		g := newGuard(c.NewResponder, s.panics)
		u, err := newUDPSocket(conn, address.Addr(), g, c.Limits.UDPSize)
		if err != nil {
			conn.Close()
			g.close()
			return err
		}
		s.udp = append(s.udp, u)
		if err := setShared(u.raw); err != nil {
			return err
		}
		lc.Control = func(_, _ string, raw syscall.RawConn) error { return setShared(raw) }
		fillPort(address, conn.LocalAddr())
	}
	return nil
}

// bindStream opens the listening socket for TCP or TLS, and fills in the port
// of the address.
func (s *Server) bindStream(ctx context.Context, address *netip.AddrPort, t Transport, c *Config) error {
	lc := &net.ListenConfig{KeepAlive: -1} // connections do not stay idle for as long
	lc.SetMultipathTCP(false)
	ln, err := c.Listen(ctx, lc, "tcp", listenAddress(*address))
	if err != nil {
		return err
	}
	st := &streams{
		listener: ln, transport: t, bounds: c.Connections,
		stats: new(counters), open: make(map[*conn]struct{}),
	}
	st.limits.Store(&c.Limits)
	if t == TLS {
		st.tls = c.TLS
	}
	st.workers.New = func() any { return newWorker(newGuard(c.NewResponder, s.panics)) }
	s.streams = append(s.streams, st)
	fillPort(address, ln.Addr())
	raw, err := rawConn(ln)
	if err != nil {
		return err
	}
	return setSendBuffer(raw, c.Limits.WaitingForWriting)
}

// listenAddress is an address as package net wants it: an unspecified one
// without a host, which is that of both families.
func listenAddress(a netip.AddrPort) string {
	if a.Addr().IsUnspecified() {
		return net.JoinHostPort("", strconv.Itoa(int(a.Port())))
	}
	return a.String()
}

// fillPort takes over the port that was chosen.
func fillPort(address *netip.AddrPort, bound net.Addr) {
	if address.Port() == 0 {
		*address = netip.AddrPortFrom(address.Addr(), boundTo(bound).Port())
	}
}

// boundTo is the address of a socket.
func boundTo(a net.Addr) netip.AddrPort {
	ap, ok := a.(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return netip.AddrPort{}
	}
	return plain(ap.AddrPort())
}

// plain is an address without what depends on the socket: IPv4 mapped to IPv6,
// and zones.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// Addr is the address that a transport is bound to; not valid if it is none of
// the Server's.
func (s *Server) Addr(t Transport) netip.AddrPort {
	if t == UDP && len(s.udp) > 0 {
		return boundTo(s.udp[0].conn.LocalAddr())
	}
	for _, st := range s.streams {
		if st.transport == t {
			return boundTo(st.listener.Addr())
		}
	}
	return netip.AddrPort{}
}

// Run answers until ctx ends. Then it answers the queries it has read, waits
// for connections to take the answers no longer than Drain, closes all sockets
// and returns nil, with nothing left behind. Datagrams that it has not read are
// for who has taken the sockets over. It is called once.
func (s *Server) Run(ctx context.Context) error {
	if !s.ran.CompareAndSwap(false, true) {
		return errors.New("a server runs only once")
	}
	var sockets sync.WaitGroup
	for _, u := range s.udp {
		sockets.Go(u.serve)
	}
	for _, st := range s.streams {
		st.serving.Go(st.accept)
	}
	<-ctx.Done()
	for _, u := range s.udp {
		u.stop()
	}
	for _, st := range s.streams {
		st.stop()
	}
	late := time.AfterFunc(time.Duration(s.drain.Load()), func() {
		for _, st := range s.streams {
			st.kill()
		}
	})
	defer late.Stop()
	sockets.Wait()
	for _, st := range s.streams {
		st.serving.Wait()
	}
	s.Close()
	return nil
}

// Close closes the sockets of a Server that does not run: one that was never
// to be.
func (s *Server) Close() {
	for _, u := range s.udp {
		u.close()
	}
	for _, st := range s.streams {
		st.listener.Close()
	}
}

// Stats may be called at any time.
func (s *Server) Stats() Stats {
	var sum Stats
	for _, u := range s.udp {
		u.stats.addTo(&sum.UDP)
	}
	for _, st := range s.streams {
		if st.transport == TLS {
			st.stats.addTo(&sum.TLS)
		} else {
			st.stats.addTo(&sum.TCP)
		}
	}
	return sum
}
