package l7

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"gatehouse/internal/stream"
	"gatehouse/internal/telemetry"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/http3"
)

// QUICFrontend accepts the HTTP/3 connections of one address. It lives as long
// as HTTP/3 is configured there, across reloads, beside the Frontend of the
// address.
type QUICFrontend struct {
	// ID is the frontend's place in Snapshot.Sites.
	ID int

	gw        *Gateway
	socket    *http3.Socket
	transport *quic.Transport
	stop      context.CancelFunc // ends accepting
	stopped   context.Context

	shaking  atomic.Int64 // handshakes under way
	live     atomic.Int64 // connections, once accepted
	stopping atomic.Bool
	running  sync.WaitGroup // connections
	conns    quicConns
}

// NewQUICFrontend makes a frontend for a bound socket, which it owns from then
// on; Serve runs it, Close drops one that was not run.
func (g *Gateway) NewQUICFrontend(id int, socket *http3.Socket) *QUICFrontend {
	fe := &QUICFrontend{ID: id, gw: g, socket: socket}
	fe.stopped, fe.stop = context.WithCancel(context.Background())
	fe.transport = &quic.Transport{Conn: socket, ConnectionIDGenerator: socket,
		VerifySourceAddress: fe.suspicious, ConnContext: fe.connecting}
	return fe
}

const (
	// fewHandshakes is how many may be under way before clients have to show
	// that they are at their address (RFC 9000 8.1.2).
	fewHandshakes = 64
	// maxHandshakes is how many may be under way at all.
	maxHandshakes = 2048
)

// Addr is the address the frontend is bound to.
func (fe *QUICFrontend) Addr() net.Addr { return fe.socket.LocalAddr() }

// Connections is the number of open connections of the frontend.
func (fe *QUICFrontend) Connections() int { return int(fe.live.Load()) }

// Close closes the socket of a frontend that was not run.
func (fe *QUICFrontend) Close() { fe.socket.Close() }

// Serve accepts connections until Stop. It returns when the last connection has
// ended, and closes the socket.
func (fe *QUICFrontend) Serve() {
	defer fe.socket.Close()
	l, err := fe.transport.ListenEarly(&tls.Config{GetConfigForClient: fe.configFor}, &quic.Config{GetConfigForClient: fe.quicConfig})
	if err != nil {
		fe.gw.log.Error("no HTTP/3: QUIC cannot use the socket", "address", fe.Addr().String(), "error", err)
		<-fe.stopped.Done()
		return
	}
	for {
		q, err := l.Accept(fe.stopped)
		if err != nil {
			break
		}
		fe.running.Add(1)
		fe.live.Add(1)
		go fe.connection(q, fe.gw.shards.Add(1))
	}
	l.Close()
	fe.running.Wait()
	fe.transport.Close()
}

// hello is a connection on its way through the handshake.
type hello struct {
	metrics  *telemetry.Listener
	began    int64
	done     atomic.Bool
	listener *Listener // that does the handshake
	offered  []uint16
}

// helloKey is where the context of a connection has its hello.
type helloKey struct{}

var errBusy = errors.New("too many handshakes")

// suspicious reports whether a client has to show that it is where it says.
func (fe *QUICFrontend) suspicious(net.Addr) bool { return fe.shaking.Load() >= fewHandshakes }

// connecting takes a client's first packet; the error is that there are too
// many already.
func (fe *QUICFrontend) connecting(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	sites := fe.gw.current.Load().sites(fe.ID)
	if sites == nil || fe.stopping.Load() {
		return nil, errNoListener
	}
	if fe.shaking.Add(1) > maxHandshakes {
		fe.shaking.Add(-1)
		sites.First().Metrics.Rejected(0, telemetry.RejectConnections)
		return nil, errBusy
	}
	h := &hello{metrics: sites.First().Metrics, began: stream.Now()}
	context.AfterFunc(ctx, func() {
		if fe.shaken(h) {
			h.metrics.HandshakeFailed(0, telemetry.ClassifyTLSError(handshakeError(context.Cause(ctx))))
		}
	})
	return context.WithValue(ctx, helloKey{}, h), nil
}

// handshakeError is QUIC's error as those of TCP are.
func handshakeError(err error) error {
	if _, ok := errors.AsType[*quic.HandshakeTimeoutError](err); ok {
		return context.DeadlineExceeded
	}
	if _, ok := errors.AsType[*quic.IdleTimeoutError](err); ok {
		return context.DeadlineExceeded
	}
	return err
}

// shaken notes the end of a handshake; false: it was noted before.
func (fe *QUICFrontend) shaken(h *hello) bool {
	if h.done.Swap(true) {
		return false
	}
	fe.shaking.Add(-1)
	return true
}

// configFor chooses the listener that does the handshake.
func (fe *QUICFrontend) configFor(info *tls.ClientHelloInfo) (*tls.Config, error) {
	l := fe.gw.listenerFor(fe.ID, info.ServerName)
	if l == nil || l.QUIC == nil {
		return nil, errNoListener
	}
	if h, ok := info.Context().Value(helloKey{}).(*hello); ok {
		h.listener, h.offered = l, offeredBy(info)
	}
	return l.QUIC, nil
}

// quicConfig is what applies to a connection that begins.
func (fe *QUICFrontend) quicConfig(*quic.ClientInfo) (*quic.Config, error) {
	sites := fe.gw.current.Load().sites(fe.ID)
	if sites == nil {
		return nil, errNoListener
	}
	return http3.Config(fe.gw.options.Load(), sites.First().EarlyData), nil
}

// quicConn is a client's connection with what is known of it.
type quicConn struct {
	fe   *QUICFrontend
	http *http3.Conn
	what Connection
}

// connection runs one accepted connection to its end.
func (fe *QUICFrontend) connection(q *quic.Conn, shard uint32) {
	defer fe.running.Done()
	defer fe.live.Add(-1)
	defer fe.gw.survive(func() { turnAwayQUIC(q) })
	h, _ := q.Context().Value(helloKey{}).(*hello)
	snap := fe.gw.acquire(shard)
	sites := snap.sites(fe.ID)
	limits, trusted := snap.Limits, snap.Trusted
	snap.release(shard)
	if h == nil || sites == nil {
		turnAwayQUIC(q)
		return
	}
	m := sites.First().Metrics
	defer fe.gw.connections.Add(-1)
	if n := fe.gw.connections.Add(1); limits.Connections > 0 && n > int64(limits.Connections) {
		m.LimitHit(shard, telemetry.LimitConnections)
		fe.refuse(q, h, shard, telemetry.RejectConnections)
		return
	}
	if !sites.First().EarlyData && !fe.awaitHandshake(q) {
		return
	}
	peer := http3.AddrPort(q.RemoteAddr())
	if key := clientKey(peer.Addr()); limits.ConnectionsPerClient > 0 && !trusted.Contains(peer.Addr()) {
		if !fe.gw.clients.add(key, 1, int64(limits.ConnectionsPerClient)) {
			m.LimitHit(shard, telemetry.LimitConnectionsPerClient)
			fe.refuse(q, h, shard, telemetry.RejectPerClient)
			return
		}
		defer fe.gw.clients.remove(key, 1)
	}
	m.Opened(shard)
	defer m.Closed(shard)
	fe.serve(q, h, m, peer, shard, limits.WriteStall)
}

// awaitHandshake waits for the end of the handshake; false when it failed.
func (fe *QUICFrontend) awaitHandshake(q *quic.Conn) bool {
	select {
	case <-q.HandshakeComplete():
		return true
	case <-q.Context().Done():
		return false
	}
}

// serve serves a connection that was let in.
func (fe *QUICFrontend) serve(q *quic.Conn, h *hello, m *telemetry.Listener, peer netip.AddrPort, shard uint32, stall time.Duration) {
	state := q.ConnectionState().TLS
	l := h.listener
	c := &quicConn{fe: fe, http: http3.NewConn(q, multiplexedQUIC{fe.gw}, stall)}
	c.what = Connection{Frontend: fe.ID, Peer: peer, Local: http3.AddrPort(q.LocalAddr()), Shard: shard, Secure: true,
		TLSGroup: l.TLSGroup, TLSFor: l.Name, ClientCert: l.ClientAuth.Admitted(state.PeerCertificates, time.Now()),
		TLSVersion: state.Version, Cipher: state.CipherSuite, ServerName: state.ServerName,
		Handshake: stream.Now() - h.began, Offered: h.offered, Trips: c.http}
	c.http.Data = c
	fe.shaken(h)
	h.listener = nil // the connection may outlive it
	m.Handshake(shard, state.Version, state.DidResume)
	fe.conns.add(c)
	defer fe.conns.remove(c)
	c.http.Serve()
}

func (fe *QUICFrontend) refuse(q *quic.Conn, h *hello, shard uint32, why telemetry.Rejection) {
	fe.shaken(h) // it is no failure of the handshake
	h.metrics.Rejected(shard, why)
	fe.gw.logLimited("connection refused", "client", q.RemoteAddr().String(), "limit", why.String())
	turnAwayQUIC(q)
}

// turnAwayQUIC closes a connection that is not served.
func turnAwayQUIC(q *quic.Conn) {
	_ = q.CloseWithError(http3.ExcessiveLoad, "") // it does not fail
}

// Stop stops accepting and sends the connections away: clients are told to
// open no more streams; idle connections are closed after a short while, what
// is still there when ctx ends is cut, WebSockets after they have been told and
// had a second to answer.
func (fe *QUICFrontend) Stop(ctx context.Context) {
	fe.stopping.Store(true)
	fe.stop()
	fe.conns.drain()
	fe.leaveWhenIdle(ctx)
	if fe.gw.tunnels.leave(fe.ID) > 0 {
		awaitEnd(&fe.live, time.Now().Add(goodbyeTime+goodbyeTime/2))
	}
	fe.conns.each((*http3.Conn).Cut)
}

// leaveWhenIdle waits for the connections to end.
func (fe *QUICFrontend) leaveWhenIdle(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	lingered := time.After(http1.Linger)
	for fe.live.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-lingered:
			// Those that become idle later linger by themselves.
			fe.conns.each((*http3.Conn).Leave)
		case <-tick.C:
		}
	}
}

// quicConns is the open connections of a frontend.
type quicConns struct {
	mu       sync.Mutex
	all      map[*quicConn]struct{}
	draining bool
}

func (s *quicConns) add(c *quicConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[*quicConn]struct{}{}
	}
	s.all[c] = struct{}{}
	if s.draining {
		c.http.Drain()
	}
}

func (s *quicConns) remove(c *quicConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
}

func (s *quicConns) drain() {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	s.each((*http3.Conn).Drain)
}

// each calls f with every connection.
func (s *quicConns) each(f func(*http3.Conn)) {
	s.mu.Lock()
	all := make([]*quicConn, 0, len(s.all))
	for c := range s.all {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		f(c.http)
	}
}
