package l7

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/stream"
	"gatehouse/proxy"
	"gatehouse/proxy/http1"
)

const (
	// maxIdleUpstream bounds the idle connections kept to one member.
	maxIdleUpstream = 1024
	// upstreamIdle is how long an idle connection is kept; most servers close
	// theirs after 60 s or more, and those that do sooner are noticed.
	upstreamIdle = 55 * time.Second
	// recentlyUsed is how short a connection must have been idle to carry a
	// request that cannot be repeated.
	recentlyUsed = 5 * time.Second
	// idleShards spreads the idle connections of a member over cores.
	idleShards = 8
)

// Transport keeps the connections to one member: shared by all client
// connections, the last used first.
type Transport struct {
	gw      *Gateway
	backend *proxy.Backend
	tls     *tls.Config // nil: plain
	two     *shared     // connections of HTTP/2; nil: none are made
	tlsTwo  *tls.Config // tls, with HTTP/2 offered beside HTTP/1.1

	idle   [idleShards]idleStack
	nIdle  atomic.Int64
	closed atomic.Bool // set with mu held; put reads it with its stack's

	mu   sync.Mutex
	open map[*http1.ClientConn]struct{} // idle and in use; nothing is added once closed
}

// errTransportClosed is what a dial ends with that was under way when its
// member was closed: that says nothing about the member.
var errTransportClosed = errors.New("member was closed meanwhile")

type idleStack struct {
	mu    sync.Mutex
	conns []*http1.ClientConn
	_     [32]byte
}

// NewTransport makes the transport of a member; it is what a pool attaches to
// its backends. tlsConfig is nil for plain HTTP.
func (g *Gateway) NewTransport(b *proxy.Backend, tlsConfig *tls.Config) *Transport {
	t := &Transport{gw: g, backend: b, tls: tlsConfig,
		open: map[*http1.ClientConn]struct{}{}}
	g.mu.Lock()
	g.transports[t] = struct{}{}
	g.mu.Unlock()
	return t
}

// Close ends every connection, also those in use: the member is drained, or
// its drain time is over. A dial under way fails once it is done.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.closed.Store(true)
	t.mu.Unlock()
	t.gw.mu.Lock()
	delete(t.gw.transports, t)
	t.gw.mu.Unlock()
	t.closeIdle(1<<63 - 1)
	t.cutOpen()
	if t.two != nil {
		t.two.close()
	}
	return nil
}

func (t *Transport) cutOpen() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.open {
		c.Stream.Cut() // its user sees an error and discards it
	}
}

// Idle and Open count connections: kept for later, and in all.
func (t *Transport) Idle() int64 { return t.nIdle.Load() }

// Open counts the open connections, idle ones included.
func (t *Transport) Open() int {
	n := 0
	if t.two != nil {
		n = t.two.count()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return n + len(t.open)
}

// get returns an idle connection, nil if there is none: of this shard, or
// else of another. recent asks for one that was used a short time ago.
func (t *Transport) get(shard uint32, recent bool) *http1.ClientConn {
	if t.nIdle.Load() == 0 {
		return nil
	}
	after := int64(0)
	if recent {
		after = stream.Now() - int64(recentlyUsed)
	}
	for i := range uint32(idleShards) {
		if c := t.idle[(shard+i)%idleShards].pop(after); c != nil {
			t.nIdle.Add(-1)
			return c
		}
	}
	return nil
}

// pop takes the connection that was used last, if that was after a time.
func (s *idleStack) pop(after int64) *http1.ClientConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.conns)
	if n == 0 || s.conns[n-1].Used < after {
		return nil
	}
	c := s.conns[n-1]
	s.conns[n-1] = nil
	s.conns = s.conns[:n-1]
	return c
}

// put keeps a connection for the next request.
func (t *Transport) put(shard uint32, c *http1.ClientConn, now int64) {
	c.Used = now
	if t.nIdle.Load() >= maxIdleUpstream || !t.keep(&t.idle[shard%idleShards], c) {
		t.discard(c)
	}
}

// keep puts a connection on a stack, unless the transport is closed. That is
// asked with the stack locked: Close comes to the stack after it has said so,
// and finds what was put there before.
func (t *Transport) keep(s *idleStack, c *http1.ClientConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.closed.Load() {
		return false
	}
	s.conns = append(s.conns, c)
	t.nIdle.Add(1)
	return true
}

// discard closes a connection that is not to be used again.
func (t *Transport) discard(c *http1.ClientConn) {
	t.mu.Lock()
	delete(t.open, c)
	t.mu.Unlock()
	c.Stream.Close()
}

// closeIdle closes the connections that are idle for too long at a time.
func (t *Transport) closeIdle(now int64) {
	for i := range t.idle {
		for _, c := range t.idle[i].takeOld(now - int64(upstreamIdle)) {
			t.nIdle.Add(-1)
			t.discard(c)
		}
	}
	if t.two != nil {
		t.two.tend(now, now-int64(upstreamIdle))
	}
}

// takeOld takes the connections last used before a time: the oldest are at
// the bottom.
func (s *idleStack) takeOld(before int64) []*http1.ClientConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.conns) && s.conns[n].Used < before {
		n++
	}
	if n == 0 {
		return nil
	}
	old := append([]*http1.ClientConn(nil), s.conns[:n]...)
	s.conns = append(s.conns[:0], s.conns[n:]...)
	return old
}

// dial opens a connection of HTTP/1.1. It returns errTransportClosed if Close
// was called before it was done.
func (t *Transport) dial(ctx context.Context) (*http1.ClientConn, error) {
	s, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	return t.secure(ctx, s)
}

// connect opens a connection on which nothing has been sent.
func (t *Transport) connect(ctx context.Context) (*stream.Conn, error) {
	network, address := "tcp", t.backend.Addr().String()
	if path := t.backend.Unix(); path != "" {
		network, address = "unix", path
	}
	nc, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	s, err := stream.New(nc)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return s, nil
}

// secure begins TLS on a connection where the member has it, and counts it as
// open.
func (t *Transport) secure(ctx context.Context, s *stream.Conn) (*http1.ClientConn, error) {
	if err := handshake(ctx, s, t.tls); err != nil {
		return nil, err
	}
	return t.own(s)
}

// handshake begins TLS, unless config is nil. With an error the connection is
// closed.
func handshake(ctx context.Context, s *stream.Conn, config *tls.Config) error {
	if config == nil {
		return nil
	}
	err := s.DialTLS(config, until(ctx))
	if err != nil {
		s.Abort()
	}
	return err
}

// own makes a connection of HTTP/1.1 of a stream.
func (t *Transport) own(s *stream.Conn) (*http1.ClientConn, error) {
	c := &http1.ClientConn{Stream: s, Opened: stream.Now()}
	if !t.adopt(c) {
		s.Close()
		return nil, errTransportClosed
	}
	return c, nil
}

// adopt counts a connection as open, unless the transport is closed: Close
// would not find it any more.
func (t *Transport) adopt(c *http1.ClientConn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed.Load() {
		return false
	}
	t.open[c] = struct{}{}
	return true
}

// until is a context's deadline as one of a stream's.
func until(ctx context.Context) int64 {
	at, ok := ctx.Deadline()
	if !ok {
		return stream.Never
	}
	return stream.Now() + int64(time.Until(at))
}

// KeepAlive is how connections to clients and members are asked whether anybody
// is still there: they are given up three minutes after the other side has
// vanished. Those that only wait for a next request are closed before they are
// asked. Thousands that were opened together are asked together, and what the
// queue of an interface drops then, it drops again the next time: a few
// questions in a short time would end connections that are well.
func KeepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 90 * time.Second, Interval: 15 * time.Second, Count: 6}
}

// dialer has TCP keep-alives, so that a member that vanished is noticed.
var dialer = net.Dialer{KeepAliveConfig: KeepAlive()}
