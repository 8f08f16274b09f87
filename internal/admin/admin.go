// Package admin is the operator's side of a process over HTTP: health,
// metrics, status, reload and whatever a binary adds, and the client that its
// commands talk to it with.
//
// The operator's server (New) listens on loopback or a unix socket only, and
// answers no browser that another site directs at it. A second, read-only
// server (NewMetrics) serves health and metrics on any address.
package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/netutil"

	"gatehouse/internal/daemon"
)

// Options is what a Server shows. Address is required; every other field may
// be left zero, and what depends on it is then missing.
type Options struct {
	// Name is the binary's, for people: "appgw".
	Name string

	// Version is shown on the index page.
	Version string

	// Address is host:port or "unix:/path". For New the host must be
	// loopback: 127.0.0.0/8, [::1] or a name that resolves to one of them.
	Address string

	// Listen opens the socket; Upgrader.Listen in a process that can be
	// upgraded. If nil, daemon.Listen.
	Listen daemon.ListenFunc

	// Ready returns nil if the process serves, else why it does not:
	// Daemon.Ready.
	Ready func() error

	// Gatherer is what /metrics shows.
	Gatherer prometheus.Gatherer

	// Status returns what /status shows, as encoding/json writes it. It is
	// called from several goroutines.
	Status func() any

	// Reload is what POST /reload calls with the trigger "admin":
	// Reloader.Reload.
	Reload func(ctx context.Context, trigger string) error

	// Log gets what goes wrong. If nil, discarded.
	Log *slog.Logger
}

// Limits of both servers.
const (
	maxConnections = 64
	maxHeaderBytes = 16 << 10
	maxBodyBytes   = 64 << 10

	headerTimeout = 5 * time.Second
	readTimeout   = 15 * time.Second
	idleTimeout   = 30 * time.Second
	// writeTimeout has to suffice for a reload and for a CPU profile.
	writeTimeout = 2 * time.Minute
	// stopTimeout is how long requests under way may take when the task ends.
	stopTimeout = 3 * time.Second
)

// Server is a task that serves HTTP. Endpoints are added before Run.
type Server struct {
	opts      Options
	network   string // tcp or unix
	address   string // without the network
	public    bool   // the read-only server
	mux       *http.ServeMux
	endpoints []endpoint // for the index page
	ready     chan struct{}
}

// New makes the operator's server.
func New(opts Options) (*Server, error) {
	s, err := newServer(opts, false)
	if err != nil {
		return nil, fmt.Errorf("admin address %q: %w", opts.Address, err)
	}
	s.addHealth()
	if opts.Status != nil {
		s.Get("/status", "what runs, in JSON", func(*http.Request) (any, error) { return opts.Status(), nil })
	}
	if opts.Reload != nil {
		s.addReload()
	}
	s.addProfiles()
	s.addIndex()
	return s, nil
}

// NewMetrics makes the read-only server, which has /healthz, /readyz and
// /metrics and nothing else.
func NewMetrics(opts Options) (*Server, error) {
	s, err := newServer(opts, true)
	if err != nil {
		return nil, fmt.Errorf("metrics address %q: %w", opts.Address, err)
	}
	s.addHealth()
	return s, nil
}

// Servers are the tasks of a process's operator: the server at address, unless
// that is "off", to which add, if not nil, adds what the binary has beyond the
// others, and the read-only one, if metrics is not empty. Options.Address is
// not looked at.
func Servers(opts Options, address, metrics string, add func(*Server)) (tasks []daemon.Task, err error) {
	if address != "off" {
		opts.Address = address
		s, err := New(opts)
		if err != nil {
			return nil, err
		}
		if add != nil {
			add(s)
		}
		tasks = append(tasks, s)
	}
	if metrics != "" {
		opts.Address = metrics
		s, err := NewMetrics(opts)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, s)
	}
	return tasks, nil
}

// newServer makes a server without endpoints.
func newServer(opts Options, public bool) (*Server, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Listen == nil {
		opts.Listen = daemon.Listen
	}
	s := &Server{opts: opts, public: public, mux: http.NewServeMux(), ready: make(chan struct{})}
	s.network, s.address = splitAddress(opts.Address)
	if s.network == "unix" {
		if s.address == "" {
			return nil, errors.New("no path")
		}
		return s, nil
	}
	host, _, err := net.SplitHostPort(s.address)
	if err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(host); !public && (host == "" || err == nil && !ip.Unmap().IsLoopback()) {
		return nil, errors.New("neither loopback nor a unix socket; for health and metrics on other addresses there is metrics.address")
	}
	return s, nil
}

// splitAddress returns the network and address of an admin address.
func splitAddress(address string) (network, rest string) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", address
}

// String names the task.
func (s *Server) String() string {
	if s.public {
		return "metrics " + s.opts.Address
	}
	return "admin " + s.opts.Address
}

// Ready is closed when the server listens.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Run serves until ctx is cancelled. If its listener is closed by a handover
// it accepts no more and waits for that.
func (s *Server) Run(ctx context.Context) error {
	l, err := s.listen(ctx)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
		// HTTP/2 only adds ways to spend memory here.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(netutil.LimitListener(l, maxConnections)) }()
	close(s.ready)
	select {
	case err = <-done:
		if errors.Is(err, net.ErrClosed) {
			server.SetKeepAlivesEnabled(false)
			<-ctx.Done()
			return s.stop(server)
		}
		return errors.Join(err, server.Close())
	case <-ctx.Done():
	}
	err = s.stop(server)
	<-done
	return err
}

// stop ends the requests under way, by force after a while.
func (s *Server) stop(server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		s.opts.Log.Warn("requests cut", "server", s.String(), "error", err)
		return server.Close()
	}
	return nil
}

// listen opens the socket, and makes sure that a name has not led it
// elsewhere.
func (s *Server) listen(ctx context.Context) (net.Listener, error) {
	l, err := s.opts.Listen(ctx, nil, s.network, s.address)
	if err != nil {
		return nil, err
	}
	if s.public || isLocal(l.Addr()) {
		return l, nil
	}
	l.Close()
	return nil, fmt.Errorf("%s is not loopback", l.Addr())
}

// isLocal tells whether only this machine can reach an address.
func isLocal(a net.Addr) bool {
	switch a := a.(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	}
	return false
}

// handler is what every request goes through.
func (s *Server) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setHeaders(w.Header())
		if reason := s.refuse(r); reason != "" {
			http.Error(w, reason, http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
		s.mux.ServeHTTP(w, r)
	})
}

// setHeaders keeps browsers from doing anything clever with an answer.
func setHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy",
		"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	// Not no-referrer: a form would then be sent with Origin: null.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// discard reads what is left of a bounded body.
func discard(r *http.Request) error {
	_, err := io.Copy(io.Discard, r.Body)
	return err
}
