package doh

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/config"
	"gatehouse/dnslb/server"
)

// Accepting pauses after an error, such as having no descriptor left, from
// the shorter to the longer time.
const (
	shortPause = 5 * time.Millisecond
	longPause  = 200 * time.Millisecond
)

// conn is a TCP connection below TLS, which package net/http serves.
type conn struct {
	net.Conn
	seat     *server.Seat
	peer     server.Peer
	fresh    atomic.Bool // nothing of HTTP has come yet
	requests atomic.Int64

	mu    sync.Mutex // guards inUse, and Begin and Wait with it
	inUse int        // queries in hand
}

// begin keeps the connection for a query. It returns false if it is evicted.
func (c *conn) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inUse == 0 && !c.seat.Begin() {
		return false
	}
	c.inUse++
	return true
}

// end is the end of a query, after which the connection may wait.
func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inUse--; c.inUse == 0 {
		c.seat.Wait()
	}
}

// connKey is what a request's context has its conn under.
type connKey struct{}

// withConn gives the requests of a connection that.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, below(c))
}

func connOf(r *http.Request) *conn { return r.Context().Value(connKey{}).(*conn) }

// below is the conn that TLS runs over.
func below(c net.Conn) *conn { return c.(*tls.Conn).NetConn().(*conn) }

// listener admits connections within the bounds.
type listener struct {
	net.Listener
	bounds *server.Connections
	stats  *counters
	limits *atomic.Pointer[config.DNSLimits] // WaitingForWriting: what the kernel keeps for a client that does not read

	serving sync.WaitGroup // connections that package net/http has not ended

	mu      sync.Mutex // guards open, and stopped with it
	open    map[*conn]struct{}
	stopped bool
}

// accept returns the next connection that may stay. It fails only once there
// are no more: the listener is closed, or belongs to a newer process.
func (l *listener) accept() (*conn, error) {
	pause := shortPause
	for {
		raw, err := l.Listener.Accept()
		switch {
		case err == nil:
			pause = shortPause
			if c := l.take(raw); c != nil {
				return c, nil
			}
		case errors.Is(err, net.ErrClosed):
			return nil, err
		default:
			l.stats.socketErrors.Add(1)
			time.Sleep(pause)
			pause = min(2*pause, longPause)
		}
	}
}

// take admits a connection, or closes it and returns nil.
func (l *listener) take(raw net.Conn) *conn {
	c := &conn{Conn: raw}
	c.fresh.Store(true)
	c.peer.Transport = server.HTTPS
	c.peer.Addr = plain(raw.RemoteAddr())
	local := plain(raw.LocalAddr())
	c.peer.Local, c.peer.LocalPort = local.Addr(), local.Port()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped {
		c.seat = l.bounds.Admit(c.peer.Addr.Addr(), func() {
			l.stats.evicted.Add(1)
			raw.Close()
		})
	}
	if c.seat == nil {
		l.stats.turnedAway.Add(1)
		raw.Close()
		return nil
	}
	if b, ok := raw.(interface{ SetWriteBuffer(bytes int) error }); ok && b.SetWriteBuffer(l.limits.Load().WaitingForWriting) != nil {
		l.stats.socketErrors.Add(1)
	}
	l.stats.accepted.Add(1)
	l.stats.connections.Add(1)
	l.serving.Add(1)
	l.open[c] = struct{}{}
	return c
}

// follow is http.Server's ConnState.
func (l *listener) follow(nc net.Conn, state http.ConnState) {
	c := below(nc)
	switch state {
	case http.StateActive:
		c.fresh.Store(false)
	case http.StateClosed:
		l.forget(c)
	}
}

// forget ends the counting of a connection that is closed.
func (l *listener) forget(c *conn) {
	c.seat.Leave()
	l.mu.Lock()
	delete(l.open, c)
	l.mu.Unlock()
	l.stats.connections.Add(-1)
	l.serving.Done()
}

// stop takes no more connections, and ends those that have not begun.
func (l *listener) stop() {
	l.Close()
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.each(func(c *conn) {
		if c.fresh.Load() {
			c.Close()
		}
	})
}

// kill closes all connections.
func (l *listener) kill() { l.each(func(c *conn) { c.Close() }) }

func (l *listener) each(f func(*conn)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		f(c)
	}
}

// plain is the address of a socket without what depends on it: IPv4 mapped to
// IPv6, and zones.
func plain(a net.Addr) netip.AddrPort {
	ap, ok := a.(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return netip.AddrPort{}
	}
	p := ap.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
}
