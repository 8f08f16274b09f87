package server

import (
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"time"

	"gatehouse/config"
)

const (
	// handshakeTime bounds a TLS handshake, if TCPIdle is not shorter.
	handshakeTime = 5 * time.Second

	// A connection that the server ends is drained for so long and so many
	// bytes, because closing a socket with unread bytes resets it and may
	// take from the client answers that it has not read.
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 128 << 10
)

// longAgo is the deadline of those that are to end.
var longAgo = time.Unix(1, 0)

var (
	errPanicked = errors.New("the responder panicked")
	errGone     = errors.New("the client is gone or too slow")
	errTooLong  = errors.New("a message of more than 65535 bytes")
)

// conn is a TCP or TLS connection, served by one goroutine.
type conn struct {
	place // guarded by Connections.mu

	streams *streams
	raw     net.Conn
	rw      net.Conn // raw, or TLS over it
	peer    Peer
	answers int              // queries so far
	polite  bool             // ended by us, so that the client may still be sending
	first   [lengthSize]byte // all that an idle connection reads into
}

func newConn(s *streams, raw net.Conn) *conn {
	c := &conn{streams: s, raw: raw, rw: raw}
	c.peer.Transport = s.transport
	c.peer.Addr = boundTo(raw.RemoteAddr())
	local := boundTo(raw.LocalAddr())
	c.peer.Local, c.peer.LocalPort = local.Addr(), local.Port()
	c.owner, c.client = c, clientOf(c.peer.Addr.Addr())
	if s.tls != nil {
		c.rw = tls.Server(raw, s.tls)
	}
	return c
}

// evict ends the connection from outside.
func (c *conn) evict() {
	c.streams.stats.evicted.Add(1)
	c.raw.Close()
}

// serve answers until either side has had enough.
func (c *conn) serve() {
	if c.handshake() {
		for c.idle() && c.work() {
		}
	}
	if c.polite {
		c.linger()
	}
	c.rw.Close()
}

// handshake does that of TLS, if there is one to do.
func (c *conn) handshake() bool {
	secure, ok := c.rw.(*tls.Conn)
	if !ok {
		return true
	}
	c.expectWithin(handshakeTime)
	err := secure.Handshake()
	if err != nil {
		c.broken(err)
		c.rw = c.raw // nobody to say goodbye to
	}
	return err == nil
}

// idle waits for the first bytes of a query, which are all it keeps.
func (c *conn) idle() bool {
	c.expectWithin(math.MaxInt64)
	_, err := io.ReadFull(c.rw, c.first[:1])
	if err != nil {
		c.broken(err)
	}
	return err == nil
}

// work answers queries until the connection is idle again.
func (c *conn) work() bool {
	w := c.streams.workers.Get().(*worker)
	defer c.streams.workers.Put(w)
	w.begin(c)
	defer w.end()
	for c.await(&w.in) {
		if !w.answerAll() {
			return false
		}
		if !c.streams.bounds.wait(&c.place) {
			return false
		}
		if w.in.empty() {
			return true
		}
	}
	return false
}

// await reads until a message is whole, for which there is a time that does
// not begin anew with each byte.
func (c *conn) await(in *inbox) bool {
	c.expectWithin(math.MaxInt64)
	for !in.whole() {
		if err := in.fill(c.rw); err != nil {
			c.broken(err)
			return false
		}
	}
	return c.streams.bounds.begin(&c.place)
}

// expectWithin is how long reads may take, if TCPIdle is not shorter. TLS may
// have to write meanwhile.
func (c *conn) expectWithin(most time.Duration) {
	limits := (*config.DNSLimits)(nil)
	for now := c.streams.limits.Load(); now != limits; now = c.streams.limits.Load() {
		limits = now
		_ = c.raw.SetDeadline(time.Now().Add(min(most, limits.TCPIdle)))
	}
	// stop and setLimits set the mark first and then the deadline of all: one
	// of the two comes after ours.
	if c.streams.stopping.Load() {
		c.stop()
	}
}

// hurry shortens a wait that may have begun with more time.
func (c *conn) hurry(d time.Duration) {
	_ = c.raw.SetReadDeadline(time.Now().Add(d))
	if c.streams.stopping.Load() {
		c.stop()
	}
}

// stop lets the connection end once it would wait for a query.
func (c *conn) stop() { _ = c.raw.SetReadDeadline(longAgo) }

// write sends bytes, in less time than a client may be idle.
func (c *conn) write(p []byte) error {
	_ = c.raw.SetWriteDeadline(time.Now().Add(c.streams.limits.Load().TCPIdle))
	_, err := c.rw.Write(p)
	if err != nil {
		c.broken(err)
	}
	return err
}

// broken notes why the connection ends.
func (c *conn) broken(err error) {
	switch {
	case c.streams.stopping.Load():
		c.polite = true
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.streams.stats.timedOut.Add(1)
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed): // as it should be, or evicted
	default:
		c.streams.stats.socketErrors.Add(1)
	}
}

// linger says that no more is coming, and reads for a while what the client
// had under way.
func (c *conn) linger() {
	_ = c.raw.SetDeadline(time.Now().Add(min(lingerTime, c.streams.limits.Load().TCPIdle)))
	if secure, ok := c.rw.(*tls.Conn); ok {
		_ = secure.CloseWrite()
	}
	if half, ok := c.raw.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c.raw, lingerBytes)
}
