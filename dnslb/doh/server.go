package doh

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/config"
	"gatehouse/dnslb/server"
)

// Config is what a Server is made from. NewResponder and TLS are needed.
type Config struct {
	// NewResponder makes a Responder; each query borrows one. It must be safe
	// for use by several goroutines at once.
	NewResponder func() server.Responder

	// TLS has the certificates. Its NextProtos are not used, and versions
	// below 1.2 are not spoken; what its GetConfigForClient returns, if
	// anything, is used as it is.
	TLS *tls.Config

	// Path is where queries are taken. If empty, /dns-query.
	Path string

	// Limits; see server.Config for what they are if zero. UDPSize means
	// nothing here. TCPIdle is also the most time for a request, which is
	// never above 5 s; a client that does not read its answer has twice that.
	// Of WaitingForWriting every 2 KiB let a connection have one request more
	// at once over HTTP/2, up to 100.
	Limits config.DNSLimits

	// Connections are the bounds shared with Servers of this and of package
	// server. If nil, those in Limits are for this one alone.
	Connections *server.Connections

	// Listen opens the socket, such as one that an older process hands over.
	// If nil, net.ListenConfig does.
	Listen func(ctx context.Context, lc *net.ListenConfig, network, address string) (net.Listener, error)

	// Drain bounds how long Run goes on for requests in hand. If zero, 5 s.
	Drain time.Duration

	// Log gets panics of Responders and, at level debug, what package
	// net/http has to say of connections. If nil, nobody does.
	Log *slog.Logger
}

// Server answers on one address.
type Server struct {
	conf       Config // but for what may change
	path       atomic.Pointer[string]
	limits     atomic.Pointer[config.DNSLimits]
	drain      atomic.Int64 // a time.Duration
	responders *server.Responders
	exchanges  sync.Pool // of *exchange
	stats      *counters
	listener   *listener
	requests   gate
	ran        atomic.Bool

	serving sync.WaitGroup  // fronts, and who hands connections to them
	failed  chan error      // why a front ended by itself
	ended   context.Context // once nothing is in hand any more
	end     context.CancelFunc

	mu      sync.Mutex // guards what follows
	running bool
	stopped bool                // no connection is taken any more
	front   *front              // of new connections
	fronts  map[*front]struct{} // that serve
}

const (
	defaultPath  = "/dns-query" // RFC 8484 4.1's examples
	defaultDrain = 5 * time.Second

	// requestTime bounds a TLS handshake, and reading a request from its first
	// byte to its last, if TCPIdle is not shorter.
	requestTime = 5 * time.Second

	// headerBytes bounds a request's header, and so the message of a GET.
	headerBytes = 16 << 10

	// Of HTTP/2: the memory that WaitingForWriting lends to each stream, the
	// most streams, and what is received ahead of reading, which cannot be
	// less for a connection (RFC 9113 6.9.2) or a frame (6.5.2).
	streamBytes     = 2 << 10
	mostStreams     = 100
	streamWindow    = 16 << 10
	connWindow      = 64 << 10
	largestFrame    = 16 << 10
	headerTableSize = 4 << 10
)

// Listen binds the socket of a Server. An unspecified address is all of the
// machine's, of both families. With port 0 one is chosen.
func Listen(ctx context.Context, address netip.AddrPort, c Config) (*Server, error) {
	address = netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
	if err := c.complete(); err != nil {
		return nil, fmt.Errorf("listen on %v for https: %w", address, err)
	}
	lc := &net.ListenConfig{KeepAlive: -1} // connections do not stay idle for as long
	lc.SetMultipathTCP(false)
	ln, err := c.Listen(ctx, lc, "tcp", listenAddress(address))
	if err != nil {
		return nil, fmt.Errorf("listen on %v for https: %w", address, err)
	}
	s := &Server{
		conf: c, stats: new(counters), responders: server.NewResponders(c.NewResponder, c.Log),
		failed: make(chan error, 1), fronts: make(map[*front]struct{}),
	}
	s.ended, s.end = context.WithCancel(context.Background())
	s.limits.Store(&c.Limits)
	s.SetPath(c.Path)
	s.SetDrain(c.Drain)
	long := make(chan struct{}, longMessages)
	s.exchanges.New = func() any { return newExchange(long) }
	s.listener = &listener{
		Listener: ln, bounds: c.Connections, stats: s.stats,
		limits: &s.limits, open: make(map[*conn]struct{}),
	}
	s.front = s.newFront()
	return s, nil
}

// complete checks the configuration and fills in the defaults.
func (c *Config) complete() error {
	if c.NewResponder == nil {
		return errors.New("no responder")
	}
	if c.TLS == nil || len(c.TLS.Certificates) == 0 && c.TLS.GetCertificate == nil && c.TLS.GetConfigForClient == nil {
		return errors.New("no certificate")
	}
	c.TLS = c.TLS.Clone()
	c.TLS.NextProtos = []string{"h2", "http/1.1"}
	c.TLS.MinVersion = max(c.TLS.MinVersion, tls.VersionTLS12)
	if !fitsHTTP2(c.TLS) {
		return errors.New("cipher suites without ECDHE and AES_128_GCM_SHA256, which HTTP/2 needs (RFC 9113 9.2.2)")
	}
	c.Path = cmp.Or(c.Path, defaultPath)
	if !strings.HasPrefix(c.Path, "/") {
		return fmt.Errorf("path %q does not begin with /", c.Path)
	}
	c.Limits = server.Defaults(c.Limits)
	if c.Connections == nil {
		c.Connections = server.NewConnections(c.Limits)
	}
	if c.Listen == nil {
		c.Listen = func(ctx context.Context, lc *net.ListenConfig, network, address string) (net.Listener, error) {
			return lc.Listen(ctx, network, address)
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// fitsHTTP2 tells whether package net/http will take a configuration.
func fitsHTTP2(c *tls.Config) bool {
	return c.CipherSuites == nil || c.MinVersion >= tls.VersionTLS13 ||
		slices.Contains(c.CipherSuites, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256) ||
		slices.Contains(c.CipherSuites, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
}

// httpServer makes the server of a complete configuration.
func (c *Config) httpServer(h http.Handler, follow func(net.Conn, http.ConnState)) *http.Server {
	within := min(requestTime, c.Limits.TCPIdle)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Server{
		Handler:                      h,
		TLSConfig:                    c.TLS.Clone(), // package net/http adds to it
		Protocols:                    protocols,
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            within,
		ReadTimeout:                  within,
		WriteTimeout:                 2 * within,
		IdleTimeout:                  c.Limits.TCPIdle,
		MaxHeaderBytes:               headerBytes,
		ConnContext:                  withConn,
		ConnState:                    follow,
		ErrorLog:                     slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          min(max(c.Limits.WaitingForWriting/streamBytes, 1), mostStreams),
			MaxDecoderHeaderTableSize:     headerTableSize,
			MaxEncoderHeaderTableSize:     headerTableSize,
			MaxReadFrameSize:              largestFrame,
			MaxReceiveBufferPerConnection: connWindow,
			MaxReceiveBufferPerStream:     streamWindow,
			WriteByteTimeout:              2 * within,
		},
	}
}

// listenAddress is an address as package net wants it: an unspecified one
// without a host, which is that of both families.
func listenAddress(a netip.AddrPort) string {
	if a.Addr().IsUnspecified() {
		return net.JoinHostPort("", strconv.Itoa(int(a.Port())))
	}
	return a.String()
}

// Addr is the address that server.HTTPS is bound to; not valid for others.
func (s *Server) Addr(t server.Transport) netip.AddrPort {
	if t != server.HTTPS {
		return netip.AddrPort{}
	}
	return plain(s.listener.Addr())
}

// Run answers until ctx ends. Then it takes no more requests, finishes those
// in hand no longer than Drain, closes all connections and returns nil, with
// nothing left behind. If its listener is closed by a handover it goes on with
// the connections there are. It is called once.
func (s *Server) Run(ctx context.Context) error {
	if !s.ran.CompareAndSwap(false, true) {
		return errors.New("a server runs only once")
	}
	s.mu.Lock()
	s.running = true
	s.open(s.front)
	s.mu.Unlock()
	s.serving.Go(s.accept)
	var err error
	select {
	case err = <-s.failed:
	case <-ctx.Done():
	}
	s.stop()
	s.listener.serving.Wait()
	s.serving.Wait()
	return err
}

// Close closes the socket of a Server that does not run: one that was never
// to be.
func (s *Server) Close() { s.listener.Close() }

// Stats may be called at any time.
func (s *Server) Stats() Stats { return s.stats.stats() }
