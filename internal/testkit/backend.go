package testkit

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Handler answers one request of which the head has been read. It writes raw bytes to c, may read the body from r, and
// may stall, reset or close c. When it returns with c open, the rest of the body is read and the next request awaited,
// unless the client asked for close. It must return once c.Done is closed.
type Handler func(c *Conn, r *Request)

// BackendOptions are the choices of StartBackend; the zero value is a plain-text origin on a free loopback port that fails the
// test when it receives anything but strictly formed requests.
type BackendOptions struct {
	Addr           string      // if empty, 127.0.0.1:0
	TLS            *tls.Config // if set, the origin speaks TLS
	AllowMalformed bool        // bad requests are only listed by Problems, not failures of the test
	RecordLimit    int         // bytes kept of each connection and of each body; if zero, 16 MiB
	ProxyProtocol  bool        // take one PROXY v1 line off each connection first; see Conn.Proxied
}

// Backend is a scripted HTTP/1.1 origin on real sockets that remembers every byte it received.
type Backend struct {
	// Addr is where it listens, as host:port; it stays the same over Stop and Start.
	Addr string

	t       testing.TB
	opts    BackendOptions
	handler atomic.Pointer[Handler]
	running sync.WaitGroup

	mu       sync.Mutex
	ln       net.Listener
	conns    []*Conn
	requests []*Request
	problems []string
}

// NewBackend starts a plain-text origin that lives until the test ends. A nil handler echoes (see Echo).
func NewBackend(t testing.TB, h Handler) *Backend {
	t.Helper()
	return StartBackend(t, BackendOptions{}, h)
}

// NewTLSBackend is NewBackend over TLS with one certificate.
func NewTLSBackend(t testing.TB, cert *Cert, h Handler) *Backend {
	t.Helper()
	return StartBackend(t, BackendOptions{TLS: &tls.Config{Certificates: []tls.Certificate{cert.TLS}}}, h)
}

// StartBackend starts an origin that lives until the test ends. A nil handler echoes (see Echo).
func StartBackend(t testing.TB, opts BackendOptions, h Handler) *Backend {
	t.Helper()
	if opts.Addr == "" {
		opts.Addr = "127.0.0.1:0"
	}
	if opts.RecordLimit == 0 {
		opts.RecordLimit = 16 << 20
	}
	b := &Backend{Addr: opts.Addr, t: t, opts: opts}
	b.Handle(h)
	b.Start()
	t.Cleanup(b.Close)
	return b
}

// Handle replaces the handler for the requests that come from now on. nil echoes.
func (b *Backend) Handle(h Handler) {
	if h == nil {
		h = Echo()
	}
	b.handler.Store(&h)
}

// Start listens again after Stop, on the same address. Meanwhile a connection of another process may have got the port,
// which lies among those that the kernel gives; mostly not for long.
func (b *Backend) Start() {
	b.t.Helper()
	var ln net.Listener
	var err error
	holds(patience, func() bool {
		ln, err = net.Listen("tcp", b.Addr)
		return !errors.Is(err, syscall.EADDRINUSE)
	})
	if err != nil {
		b.t.Fatalf("testkit: backend: %v", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ln, b.Addr = ln, ln.Addr().String()
	b.running.Go(func() { b.accept(ln) })
}

// Stop closes the listening socket and all connections: the address refuses until Start.
func (b *Backend) Stop() {
	b.mu.Lock()
	ln, conns := b.ln, b.conns
	b.ln = nil
	b.mu.Unlock()
	if ln != nil {
		ln.Close()
	}
	for _, c := range conns {
		c.end()
	}
}

// Close stops the backend and waits for its handlers; NewBackend has the test call it at its end.
func (b *Backend) Close() {
	b.Stop()
	done := make(chan struct{})
	go func() { b.running.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		b.t.Errorf("testkit: backend %s: a handler did not return after its connection was closed", b.Addr)
	}
}

func (b *Backend) accept(ln net.Listener) {
	for {
		tcp, err := ln.Accept()
		if err != nil {
			return
		}
		if c := b.admit(ln, tcp.(*net.TCPConn)); c != nil {
			b.running.Go(c.serve)
		}
	}
}

// admit lists a new connection, unless Stop came between its accept and now.
func (b *Backend) admit(ln net.Listener, tcp *net.TCPConn) *Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ln != ln {
		tcp.Close()
		return nil
	}
	c := newConn(b, len(b.conns)+1, tcp)
	b.conns = append(b.conns, c)
	return c
}

func (b *Backend) admitRequest(r *Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = append(b.requests, r)
}

// problem notes bytes that are no proper request: what sent them is broken, so the test fails unless it asked for them.
func (b *Backend) problem(c *Conn, err error) {
	b.mu.Lock()
	b.problems = append(b.problems, err.Error())
	b.mu.Unlock()
	if !b.opts.AllowMalformed {
		b.t.Errorf("testkit: backend %s, connection %d: %v\nreceived: %q", b.Addr, c.ID, err, clip(c.Received(), 2048))
	}
}

// Requests returns copies of the requests received so far, in order of their heads.
func (b *Backend) Requests() []*Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*Request, len(b.requests))
	for i, r := range b.requests {
		list[i] = r.snapshot()
	}
	return list
}

// Last returns the newest request, waiting a little for its end; the test fails if there is none.
func (b *Backend) Last() *Request {
	b.t.Helper()
	var last *Request
	Eventually(b.t, 5*time.Second, "a complete request at the backend", func() bool {
		list := b.Requests()
		if len(list) > 0 {
			last = list[len(list)-1]
		}
		return last != nil && last.Complete
	})
	return last
}

// RequestCount is the number of request heads received.
func (b *Backend) RequestCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.requests)
}

// ConnCount is the number of connections ever accepted.
func (b *Backend) ConnCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.conns)
}

// OpenConns is the number of connections that neither side has closed yet.
func (b *Backend) OpenConns() int {
	open := 0
	for _, c := range b.Conns() {
		select {
		case <-c.ended:
		default:
			open++
		}
	}
	return open
}

// Conns returns the connections in order of their acceptance, closed ones included.
func (b *Backend) Conns() []*Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*Conn(nil), b.conns...)
}

// Problems lists what was wrong with the bytes received.
func (b *Backend) Problems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.problems...)
}

// Received returns every byte received, connection after connection.
func (b *Backend) Received() []byte {
	var all []byte
	for _, c := range b.Conns() {
		all = append(all, c.Received()...)
	}
	return all
}

// Conn is one connection accepted by a Backend. Read gives bytes after the current message (tunnels) and Write sends raw
// bytes; both belong to the handler.
type Conn struct {
	ID      int    // from 1, in order of acceptance
	Proxied string // the PROXY protocol line, without CRLF, if BackendOptions asked for it
	net.Conn
	tcp     *net.TCPConn
	br      *bufio.Reader
	backend *Backend
	once    sync.Once
	done    chan struct{} // closed when the backend or the handler closes the connection
	ended   chan struct{} // closed when serve is over

	mu       sync.Mutex
	received []byte
	total    int64
	readErr  error
}

func newConn(b *Backend, id int, tcp *net.TCPConn) *Conn {
	c := &Conn{ID: id, Conn: tcp, tcp: tcp, backend: b, done: make(chan struct{}), ended: make(chan struct{})}
	if b.opts.TLS != nil {
		c.Conn = tls.Server(tcp, b.opts.TLS)
	}
	c.br = bufio.NewReader(recorder{c})
	return c
}

// recorder reads from the connection and keeps a copy.
type recorder struct{ c *Conn }

func (r recorder) Read(p []byte) (int, error) {
	n, err := r.c.Conn.Read(p)
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.c.total += int64(n)
	r.c.received = append(r.c.received, p[:min(n, max(0, r.c.backend.opts.RecordLimit-len(r.c.received)))]...)
	if err != nil && !isTimeout(err) {
		r.c.readErr = err
	}
	return n, err
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func (c *Conn) serve() {
	defer close(c.ended)
	defer c.end()
	if c.backend.opts.ProxyProtocol && !c.takeProxyLine() {
		return
	}
	for c.serveOne() {
	}
}

func (c *Conn) takeProxyLine() bool {
	line, err := readLine(c.br)
	if err != nil || !strings.HasPrefix(line, "PROXY ") {
		c.backend.problem(c, malformed("no PROXY line: %q %v", line, err))
		return false
	}
	c.Proxied = line
	return true
}

// serveOne reads and answers one request; false ends the connection.
func (c *Conn) serveOne() bool {
	r, err := readRequestHead(c.br, c.backend.opts.RecordLimit)
	if err != nil {
		c.refuse(err)
		return false
	}
	r.Conn, r.conn = c.ID, c
	c.backend.admitRequest(r)
	(*c.backend.handler.Load())(c, r)
	if c.closed() {
		return false
	}
	// A client that still waits for 100 Continue may or may not send the body now; only closing is unambiguous.
	if r.body != nil && strings.EqualFold(r.Get("Expect"), "100-continue") && !r.NoContinue {
		return false
	}
	if _, err := r.ReadBody(); err != nil {
		c.refuse(err)
		return false
	}
	return !wantsClose(r)
}

// refuse answers bytes that are no request. A client that merely left is no problem.
func (c *Conn) refuse(err error) {
	if !errors.Is(err, errMalformed) || c.closed() {
		return
	}
	c.backend.problem(c, err)
	_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
}

func wantsClose(r *Request) bool {
	connection := strings.ToLower(strings.Join(r.Values("Connection"), ","))
	if r.Proto == "HTTP/1.0" {
		return !strings.Contains(connection, "keep-alive")
	}
	return strings.Contains(connection, "close")
}

func (c *Conn) closed() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// end closes the connection once, without a TLS close_notify that could block on a full socket.
func (c *Conn) end() {
	c.once.Do(func() {
		close(c.done)
		c.tcp.Close()
	})
}

// Done is closed when the connection is closed from this side: by the handler, or because the backend stops.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Read reads what follows the current message; use Request.Read for the body of one.
func (c *Conn) Read(p []byte) (int, error) { return c.br.Read(p) }

// Send writes s as it is. Errors are for the peer to explain: a test that minds uses Write.
func (c *Conn) Send(s string) { _, _ = c.Write([]byte(s)) }

// Dribble sends s in pieces of n bytes with a pause between them; it stops when the connection does.
func (c *Conn) Dribble(s string, n int, pause time.Duration) {
	for len(s) > 0 {
		piece := s[:min(n, len(s))]
		if _, err := c.Write([]byte(piece)); err != nil {
			return
		}
		s = s[len(piece):]
		select {
		case <-c.done:
			return
		case <-time.After(pause):
		}
	}
}

// Close ends the connection with FIN, after a close_notify under TLS.
func (c *Conn) Close() error {
	if t, ok := c.Conn.(*tls.Conn); ok && !c.closed() {
		_ = t.CloseWrite()
	}
	c.end()
	return nil
}

// CloseWrite sends FIN and goes on reading.
func (c *Conn) CloseWrite() error {
	if t, ok := c.Conn.(*tls.Conn); ok {
		_ = t.CloseWrite()
	}
	return c.tcp.CloseWrite()
}

// Reset ends the connection with RST.
func (c *Conn) Reset() {
	_ = c.tcp.SetLinger(0)
	c.end()
}

// Stall does nothing until the connection or the backend is closed from this side, or d has passed (0: no limit).
func (c *Conn) Stall(d time.Duration) {
	var timeout <-chan time.Time
	if d > 0 {
		timeout = time.After(d)
	}
	select {
	case <-c.done:
	case <-timeout:
	}
}

// WaitPeer reads and drops until the peer ends the connection: nil is FIN, an error is its reset or that it did not within
// that time. Only the handler may call it.
func (c *Conn) WaitPeer(within time.Duration) error {
	_ = c.SetReadDeadline(time.Now().Add(within))
	_, err := io.Copy(io.Discard, c.br)
	return err
}

// Received returns every byte received on this connection so far (decrypted under TLS), up to RecordLimit.
func (c *Conn) Received() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.received)
}

// ReceivedLen counts the bytes received, also beyond RecordLimit.
func (c *Conn) ReceivedLen() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// ReadError is how reading ended: io.EOF for FIN, a reset, or nil while the peer is still there.
func (c *Conn) ReadError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readErr
}

func clip(b []byte, n int) []byte {
	return b[:min(len(b), n)]
}
