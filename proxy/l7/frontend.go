package l7

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/config"
	"gatehouse/internal/proxyproto"
	"gatehouse/internal/stream"
	"gatehouse/internal/telemetry"
	"gatehouse/internal/tlscert"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/http2"
)

// Frontend accepts the connections of one address. It lives as long as the
// address is configured, across reloads.
type Frontend struct {
	// ID is the frontend's place in Snapshot.Sites.
	ID int

	gw       *Gateway
	listener net.Listener
	acceptor *stream.Acceptor

	conns    connSet
	live     atomic.Int64 // connections, from accept on
	stopping atomic.Bool
	running  sync.WaitGroup // accept loops and connections
}

// NewFrontend makes a frontend for a bound socket, which it owns from then
// on; Serve runs it, Close drops one that was not run.
func (g *Gateway) NewFrontend(id int, l net.Listener) (*Frontend, error) {
	a, err := stream.NewAcceptor(l)
	if err != nil {
		return nil, err
	}
	return &Frontend{ID: id, gw: g, listener: l, acceptor: a}, nil
}

// Close closes the socket. Connections that were accepted stay.
func (fe *Frontend) Close() {
	fe.listener.Close()
	fe.acceptor.Close()
}

// Serve accepts connections until Stop. It returns when the last connection
// has ended.
func (fe *Frontend) Serve() {
	fe.running.Add(1)
	fe.accept()
	fe.running.Done()
	fe.running.Wait()
}

// accept is the accept loop; it waits out errors such as too many open files.
func (fe *Frontend) accept() {
	var wait time.Duration
	for {
		s, err := fe.acceptor.Accept()
		if err == nil {
			wait = 0
			fe.running.Add(1)
			fe.live.Add(1)
			go fe.connection(s, fe.gw.shards.Add(1))
			continue
		}
		if fe.stopping.Load() || errors.Is(err, os.ErrClosed) {
			return
		}
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		fe.gw.log.Warn("accept failed", "address", fe.listener.Addr().String(), "error", err, "wait", wait)
		time.Sleep(wait)
	}
}

// conn is a client's connection with what is known of it. It keeps nothing of
// the configuration under which it was accepted, which it may outlive by far.
type conn struct {
	http1.ServerConn
	fe         *Frontend
	secure     bool // TLS from the client
	layer4     bool // no requests
	tlsGroup   string
	tlsFor     string // name of the listener that did the handshake
	clientCert *tlscert.ClientCert
	tlsVersion uint16
	cipher     uint16
	serverName string
	offered    []uint16                   // cipher suites, the first of them
	handshake  int64                      // how long the PROXY header and TLS took; -1: neither
	trusted    bool                       // the peer is a trusted proxy
	counted    netip.Addr                 // what the connection counts as in clients
	h2         atomic.Pointer[http2.Conn] // nil: HTTP/1.1
	draining   atomic.Bool

	prev, next *conn
}

// growStack has the stack grow once to what most requests need, while there is
// next to nothing on it to move. It would double several times on the way
// there, and each time all frames are moved and looked through.
//
//go:noinline
func growStack() {
	var room [stackRoom]byte
	stackUse(&room)
}

const stackRoom = 6 << 10

//go:noinline
func stackUse(*[stackRoom]byte) {}

// connection runs one accepted connection to its end.
func (fe *Frontend) connection(s *stream.Conn, shard uint32) {
	growStack()
	defer fe.running.Done()
	defer fe.live.Add(-1)
	defer fe.gw.survive(func() { s.Abort() })
	snap := fe.gw.acquire(shard)
	sites := snap.sites(fe.ID)
	limits := snap.Limits
	trusted := snap.Trusted
	snap.release(shard)
	if sites == nil {
		s.Close()
		return
	}
	s.Stall = limits.WriteStall
	first := sites.First()
	c := &conn{fe: fe, secure: first.HTTPS, layer4: first.Layer4, handshake: -1}
	c.Init(s, fe.gw)
	c.Shard = shard
	c.Data = c
	c.trusted = trusted.Contains(c.Peer.Addr())
	fe.admit(c, first.Metrics, first.ProxyFrom.Contains(c.Peer.Addr()), first.HTTP2, &limits)
}

// admit serves a connection within the limits; proxied says that it begins
// with a PROXY header, cleartext that it may be HTTP/2 without TLS.
func (fe *Frontend) admit(c *conn, m *telemetry.Listener, proxied, cleartext bool, limits *config.Limits) {
	all, perClient := limits.Connections, limits.ConnectionsPerClient
	defer fe.gw.connections.Add(-1)
	if n := fe.gw.connections.Add(1); all > 0 && n > int64(all) {
		m.LimitHit(c.Shard, telemetry.LimitConnections)
		fe.turnAway(c, m, telemetry.RejectConnections, refusal503)
		return
	}
	defer fe.uncount(c)
	if !proxied && !fe.count(c, m, perClient) {
		return
	}
	m.Opened(c.Shard)
	defer m.Closed(c.Shard)
	fe.conns.add(c)
	defer fe.conns.remove(c)
	deadline := stream.Now() + int64(limits.HeadTimeout)
	if proxied && !(fe.identify(c, m, deadline) && fe.count(c, m, perClient)) {
		return
	}
	if c.secure && !fe.handshake(c, m, deadline) {
		return
	}
	if c.layer4 {
		fe.carry(c, m)
		return
	}
	c.serve(cleartext, int64(limits.HeadTimeout))
}

// count counts a connection as its client's; false when that has too many and
// the connection was closed.
func (fe *Frontend) count(c *conn, m *telemetry.Listener, perClient int) bool {
	key := clientKey(c.Peer.Addr())
	if perClient == 0 || c.trusted || !key.IsValid() {
		return true
	}
	if !fe.gw.clients.add(key, 1, int64(perClient)) {
		m.LimitHit(c.Shard, telemetry.LimitConnectionsPerClient)
		fe.turnAway(c, m, telemetry.RejectPerClient, refusal429)
		return false
	}
	c.counted = key
	return true
}

func (fe *Frontend) uncount(c *conn) {
	if c.counted.IsValid() {
		fe.gw.clients.remove(c.counted, 1)
	}
}

// The answers to connections over a limit, on plain HTTP where the client
// can read them.
const (
	refusal429 = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\nRetry-After: 1\r\n\r\n"
	refusal503 = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\nRetry-After: 1\r\n\r\n"
	refusal400 = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 49\r\nConnection: close\r\n\r\n" +
		"This port speaks HTTPS. Use an https:// address.\n"
)

// turnAway closes a connection that is over a limit, without waiting for it.
func (fe *Frontend) turnAway(c *conn, m *telemetry.Listener, why telemetry.Rejection, answer string) {
	m.Rejected(c.Shard, why)
	fe.gw.logLimited("connection refused", "client", c.Peer.Addr().String(), "limit", why.String())
	c.Stream.Stall = time.Second
	if !c.secure && !c.layer4 {
		c.Stream.Write([]byte(answer), nil, nil)
		c.Stream.CloseWrite()
	}
	c.Stream.Close()
}

// identify reads the PROXY header of a peer that must send one; false when
// the connection was closed. Who is trusted is whom the header names, not the
// load balancer that sent it: that one adds no fields, so that none are to be
// believed for its sake.
func (fe *Frontend) identify(c *conn, m *telemetry.Listener, deadline int64) bool {
	if err := readProxyHeader(c, deadline); err != nil {
		m.Rejected(c.Shard, telemetry.RejectProxyProtocol)
		fe.gw.logLimited("PROXY header refused", "peer", c.Peer.Addr().String(), "error", err.Error())
		c.Stream.Close() // without a reply (hostile-input row 67)
		return false
	}
	c.handshake = stream.Now() - c.Opened
	c.trusted = fe.gw.current.Load().Trusted.Contains(c.Peer.Addr())
	return true
}

// readProxyHeader takes the client's address from a PROXY protocol header.
func readProxyHeader(c *conn, deadline int64) error {
	buf := make([]byte, proxyproto.MaxHeader)
	have := 0
	for {
		n, err := c.Stream.Peek(buf, have, deadline)
		if err != nil {
			return err
		}
		h, err := proxyproto.Parse(buf[:n])
		if err == nil {
			if h.Source.IsValid() {
				c.Peer, c.Local = h.Source, h.Destination
			}
			return c.Stream.Discard(h.Len)
		}
		if !errors.Is(err, proxyproto.ErrIncomplete) || n == len(buf) {
			return err
		}
		have = n
	}
}

// handshake does the TLS handshake.
func (fe *Frontend) handshake(c *conn, m *telemetry.Listener, deadline int64) bool {
	var chosen *Listener
	var challenge *tls.Config
	var offered []uint16
	choose := &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if challenge = fe.challenged(h); challenge != nil {
			return challenge, nil
		}
		chosen = fe.listenerFor(h.ServerName)
		offered = offeredBy(h)
		if chosen == nil || chosen.TLS == nil {
			return nil, errNoListener
		}
		return tlscert.For(chosen.TLS, h), nil
	}}
	if err := c.Stream.ServeTLS(choose, deadline); err != nil {
		m.HandshakeFailed(c.Shard, telemetry.ClassifyTLSError(err))
		fe.logRefused(c, chosen, err)
		if !c.layer4 {
			fe.answerPlainHTTP(c, err)
		}
		c.Stream.Close()
		return false
	}
	if challenge != nil {
		fe.challengeMet(c)
		return false
	}
	state := c.Stream.TLS().ConnectionState()
	c.tlsGroup, c.tlsFor = chosen.TLSGroup, chosen.Name
	c.clientCert = chosen.ClientAuth.Admitted(state.PeerCertificates, time.Now())
	c.tlsVersion, c.cipher, c.serverName = state.Version, state.CipherSuite, state.ServerName
	c.offered = offered
	chosen = nil // the connection may keep choose
	c.handshake = stream.Now() - c.Opened
	m.Handshake(c.Shard, state.Version, state.DidResume)
	return true
}

// maxOffered is how many cipher suites of a client are remembered; honest ones
// offer fewer.
const maxOffered = 64

func offeredBy(h *tls.ClientHelloInfo) []uint16 {
	return slices.Clone(h.CipherSuites[:min(len(h.CipherSuites), maxOffered)])
}

// logRefused tells why a client's certificate was refused, or that there is
// none of ours to show. Clients without one are only counted: scanners have
// none.
func (fe *Frontend) logRefused(c *conn, l *Listener, err error) {
	var refused *tlscert.ClientError
	var missing *tlscert.MissingError
	if errors.As(err, &missing) {
		fe.gw.logLimited("handshake without a certificate", "client", c.Peer.Addr().String(), "listener", l.Name, "name", missing.Name, "reason", missing.Why)
	}
	if errors.As(err, &refused) {
		fe.gw.logLimited("client certificate refused", "client", c.Peer.Addr().String(), "listener", l.Name,
			"reason", refused.Detail, "subject", refused.Subject)
	}
}

var errNoListener = errors.New("no listener")

// answerPlainHTTP tells a client that spoke HTTP to an HTTPS port.
func (fe *Frontend) answerPlainHTTP(c *conn, err error) {
	var notTLS tls.RecordHeaderError
	if errors.As(err, &notTLS) && notTLS.Conn != nil && looksLikeHTTP(notTLS.RecordHeader) {
		c.Stream.Write([]byte(refusal400), nil, nil)
		c.Stream.CloseWrite()
	}
}

// looksLikeHTTP tells requests from what is no worth an answer, such as PROXY
// headers from peers that may not send any (row 67).
func looksLikeHTTP(start [5]byte) bool {
	switch string(start[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "DELET", "PATCH", "OPTIO":
		return true
	}
	return false
}

// listenerFor returns the listener whose certificates a client is shown: that
// of the name it asks for, otherwise the one with the best rule.
func (fe *Frontend) listenerFor(serverName string) *Listener {
	return fe.gw.listenerFor(fe.ID, serverName)
}

func (g *Gateway) listenerFor(id int, serverName string) *Listener {
	sites := g.current.Load().sites(id)
	if sites == nil {
		return nil
	}
	if sites.First().Layer4 {
		return sites.Find([]byte(lowerHost(serverName))) // nothing that follows says what is meant
	}
	if serverName != "" {
		if l := sites.Find([]byte(lowerHost(serverName))); l != nil {
			return l
		}
	}
	return sites.First()
}

func (s *Snapshot) sites(id int) *Sites {
	if id >= len(s.Sites) {
		return nil
	}
	return s.Sites[id]
}

// Addr is the address the frontend is bound to.
func (fe *Frontend) Addr() net.Addr { return fe.listener.Addr() }

// Connections is the number of open connections of the frontend.
func (fe *Frontend) Connections() int { return fe.conns.len() }

// Stop closes the socket and sends the connections away: the next response on
// each says close; those that are idle are closed after a short while, since
// a request may be on its way; what is still there when ctx ends is cut,
// WebSockets after they have been told and had a second to answer.
func (fe *Frontend) Stop(ctx context.Context) {
	fe.stopping.Store(true)
	fe.Close()
	fe.conns.drain()
	fe.leaveWhenIdle(ctx)
	if fe.gw.tunnels.leave(fe.ID) > 0 {
		awaitEnd(&fe.live, time.Now().Add(goodbyeTime+goodbyeTime/2))
	}
	fe.conns.each(func(c *conn) { c.Stream.Cut() })
}

// awaitEnd waits for the connections that live counts to end, but not longer
// than until.
func awaitEnd(live *atomic.Int64, until time.Time) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for live.Load() > 0 && time.Now().Before(until) {
		<-tick.C
	}
}

// leaveWhenIdle waits for the connections to end.
func (fe *Frontend) leaveWhenIdle(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	lingered := time.After(http1.Linger)
	for fe.live.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-lingered:
			// Those that become idle later linger by themselves.
			fe.conns.each(func(c *conn) { c.Leave() })
		case <-tick.C:
		}
	}
}

// connSet is the open connections of a frontend.
type connSet struct {
	mu       sync.Mutex
	head     *conn
	n        int
	draining bool
}

// add adds a connection. One that was accepted just before the frontend
// stopped is served once.
func (s *connSet) add(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.next = s.head
	if s.head != nil {
		s.head.prev = c
	}
	s.head = c
	s.n++
	if s.draining {
		c.Drain()
	}
}

// drain makes the next response on each connection its last.
func (s *connSet) drain() {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	s.each(func(c *conn) { c.Drain() })
}

func (s *connSet) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		s.head = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
	s.n--
}

func (s *connSet) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// each calls f with every connection; f must not block.
func (s *connSet) each(f func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := s.head; c != nil; c = c.next {
		f(c)
	}
}
