package http1

import (
	"errors"
	"io"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
)

// Handler answers requests.
type Handler interface {
	// Options returns what applies to the next request of a connection.
	Options(c *ServerConn) *Options
	// Serve answers one request. When it returns the exchange is over;
	// nothing of it may be kept.
	Serve(x *Exchange)
	// Refuse answers what could not be read as a request, or came too
	// slowly. The connection is closed after it; with a status of zero it is
	// to be ended by Abort, without an answer.
	Refuse(x *Exchange, why *Error)
}

// Options bound a connection's requests.
type Options struct {
	Limits
	HeadTimeout time.Duration // for a whole head; and for the first byte on a new connection
	IdleTimeout time.Duration // between two requests
	BodyMinRate int           // bytes per second after BodyGrace; 0: none
	// StreamSilence is how long the body of a request of gRPC may be silent,
	// which keeps no rate: it is a conversation. If zero, for ever.
	StreamSilence time.Duration
}

// BodyGrace is how long a request body may be slower than the minimum rate.
const BodyGrace = 10 * time.Second

// BodySilence is how long a request body may be silent, whatever its average
// rate (Azure gives a client 60 s to send its request).
const BodySilence = time.Minute

// maxDrain is how much of an unwanted request body is read to keep a
// connection, or to let the client see a response before a reset.
const maxDrain = 64 << 10

// lingerTime bounds the drain in time.
const lingerTime = 2 * time.Second

// Linger is how long a connection that is to go is kept for a request that
// may be on its way, when no response has said yet that it goes.
const Linger = time.Second

// States of a connection, kept in ServerConn.state.
const (
	busy    = int32(iota)
	idle    // waits for the first byte of a request
	leaving // was idle and is being told to go
	told    // has been
)

// ServerConn is a client's connection. One goroutine runs Serve on it.
type ServerConn struct {
	Stream *stream.Conn
	Peer   netip.AddrPort // who the client is: from the PROXY header if there was one
	Local  netip.AddrPort
	Shard  uint32 // spreads counters over cores
	Opened int64
	Data   any // the handler's

	handler  Handler
	options  *Options
	x        *Exchange // nil while the connection waits
	state    atomic.Int32
	draining atomic.Bool
	requests int
	quick    bool // the last request came soon after the one before
	lastEnd  int64
}

// Init prepares a connection; Serve runs it.
func (c *ServerConn) Init(s *stream.Conn, h Handler) {
	c.Stream, c.handler, c.Opened = s, h, stream.Now()
	c.Peer, c.Local = s.RemoteAddr(), s.LocalAddr()
}

// Drain makes the response to the next request the last one, which is then
// awaited for no longer than Linger; but see Leave. It may be called from any
// goroutine.
func (c *ServerConn) Drain() { c.draining.Store(true) }

// Leave ends the connection if it is idle, and otherwise does what Drain
// does. A request that arrives at this very moment is still answered. It is
// for connections that were idle already when Drain was called.
func (c *ServerConn) Leave() {
	c.Drain()
	if c.state.CompareAndSwap(idle, leaving) {
		c.Stream.Interrupt()
		c.state.Store(told)
	}
}

// Idle reports whether the connection waits for a request.
func (c *ServerConn) Idle() bool { return c.state.Load() != busy }

// Serve runs the connection until it ends, and closes it.
func (c *ServerConn) Serve() {
	for c.serveOne() {
	}
	if c.x != nil {
		c.Unlend()
	}
}

// serveOne reads and answers one request; false ends the connection.
func (c *ServerConn) serveOne() bool {
	c.options = c.handler.Options(c)
	if (c.x == nil || c.x.in.end == 0) && !c.awaitRequest() {
		c.Stream.Close()
		return false
	}
	x := c.x
	if !x.readHead() {
		return false
	}
	c.requests++
	c.handler.Serve(x)
	return x.end()
}

// awaitRequest waits for the first bytes of a request, holding no buffer.
func (c *ServerConn) awaitRequest() bool {
	wait := c.options.IdleTimeout
	if c.requests == 0 {
		wait = c.options.HeadTimeout
	}
	c.state.Store(idle)
	if c.draining.Load() {
		wait = min(wait, Linger)
	}
	from := c.lastEnd
	if c.requests == 0 {
		from = stream.Now()
	}
	if c.x != nil && !c.Stream.Plain() {
		c.Unlend() // TLS reads ahead by itself, and lends only then
	}
	n, err := c.readFirst(from, from+int64(wait))
	if err == stream.ErrInterrupted {
		// Told to leave: only what has arrived already is still answered.
		c.awaitTold()
		n, err = c.Stream.ReadLent(c, stream.Now()+int64(leaveGrace))
	}
	if !c.state.CompareAndSwap(idle, busy) {
		c.awaitTold()
		c.state.Store(busy)
	}
	if err != nil {
		return false
	}
	c.x.received(n)
	return true
}

// readFirst reads the first bytes of a request. A client that came back soon
// is expected to do so again; for others a section is not worth its making.
func (c *ServerConn) readFirst(from, deadline int64) (int, error) {
	if !c.quick {
		return c.Stream.ReadLent(c, deadline)
	}
	return c.Stream.ReadNext(c, from, deadline)
}

// quickly is how soon after the last response a request comes that is likely
// to be followed by others.
const quickly = int64(time.Second / 2)

// leaveGrace is more than it takes to look whether anything has arrived.
const leaveGrace = 20 * time.Millisecond

// awaitTold waits for the other goroutine's Leave to be over, so that its
// Interrupt cannot come later and end a read of the next request.
func (c *ServerConn) awaitTold() {
	for c.state.Load() == leaving {
		runtime.Gosched()
	}
	c.Stream.Resume()
}

// Lend takes an exchange and its buffers into use.
func (c *ServerConn) Lend() []byte {
	if c.x == nil {
		c.x = exchanges.Get().(*Exchange)
		c.x.attach(c)
	}
	return c.x.in.buf
}

// Unlend gives the exchange back.
func (c *ServerConn) Unlend() {
	x := c.x
	c.x = nil
	if x.spoiled {
		return
	}
	x.detach()
	exchanges.Put(x)
}

var exchanges = sync.Pool{New: func() any {
	x := &Exchange{out: make([]byte, 0, 2048)}
	x.in.buf = make([]byte, bufferSize)
	x.in.cur = x.in.buf
	return x
}}

// readHead reads and parses the head whose first bytes are there. False means
// that the request was refused or the client is gone, and the connection was
// closed.
func (x *Exchange) readHead() bool {
	x.HeadStart = stream.Now()
	x.c.quick = x.c.requests > 0 && x.HeadStart-x.c.lastEnd < quickly
	deadline := x.HeadStart + int64(x.c.options.HeadTimeout)
	x.HeadDone = 0
	done := x.HeadStart // if it came in one piece
	scanned, skipped := 0, false
	for {
		if !skipped {
			skipped = x.skipEmptyLine()
		}
		end, next, err := HeadEnd(x.in.buf[x.in.pos:x.in.end], scanned)
		if err == nil && end > 0 {
			x.HeadDone = done
			return x.parse(end)
		}
		if err != nil {
			return x.refuse(err)
		}
		scanned = next
		if err := x.moreHead(deadline); err != nil {
			return x.refuse(err)
		}
		done = stream.Now()
	}
}

// skipEmptyLine skips one CRLF before a request line, which RFC 9112 2.2 asks
// for; true once there is nothing more to skip.
func (x *Exchange) skipEmptyLine() bool {
	b := x.in.buf[x.in.pos:x.in.end]
	if len(b) >= 2 && b[0] == '\r' && b[1] == '\n' {
		x.in.pos += 2
		return true
	}
	return len(b) >= 2 || len(b) == 1 && b[0] != '\r'
}

// moreHead reads on, within the limits.
func (x *Exchange) moreHead(deadline int64) error {
	limit := x.c.options.HeadBytes
	if x.in.end-x.in.pos > limit {
		return errHeadTooLarge
	}
	if x.in.end == len(x.in.buf) && !x.in.grow() {
		return errHeadTooLarge
	}
	err := x.in.fill(deadline)
	if errors.Is(err, stream.ErrTimeout) {
		return errHeadTimeout
	}
	return err
}

// The refusals that are the connection's and not the parser's.
var (
	errHeadTooLarge = &Error{Status: 431, Reason: "request head too large", Info: "ERRORINFO_INVALID_HEADER"}
	// No status: what such a peer sent is not worth an answer (row 67).
	errProxyHeader = &Error{Reason: "PROXY header from a peer that may not send one", Info: "ERRORINFO_INVALID_REQUEST"}
	errHeadTimeout = &Error{Status: 408, Reason: "request head not complete in time", Info: "ERRORINFO_CLIENT_TIMED_OUT"}
)

// parse makes the request of a complete head of n bytes.
func (x *Exchange) parse(n int) bool {
	if n > x.c.options.HeadBytes {
		return x.refuse(errHeadTooLarge)
	}
	start := x.in.pos
	head := x.in.buf[start : start+n]
	if err := ParseRequest(head, &x.req, &x.c.options.Limits); err != nil {
		return x.refuse(err)
	}
	x.wireFrom = start
	x.in.startBody(start+n, x.req.Body, x.req.ContentLength)
	x.bodyStart = x.HeadStart
	// What comes behind a request to switch protocols may be of the new one:
	// if it is not switched to, nobody can say what those bytes are (row 35).
	x.closing = x.req.Close || x.req.UpgradeTo.Len > 0
	return true
}

// refuse answers a request that cannot be served, or, when the client itself
// is gone, just ends the connection.
func (x *Exchange) refuse(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		x.c.Stream.Close()
		return false
	}
	if e.Status == 400 && x.c.requests == 0 && isProxyHeader(x.in.buf[:x.in.end]) {
		e = errProxyHeader
	}
	x.closing, x.lingers = true, true
	x.in.done, x.in.pos = true, x.in.end // whatever follows is not looked at
	x.c.handler.Refuse(x, e)
	if x.aborted {
		x.c.Stream.Abort()
		return false
	}
	x.goodbye()
	return false
}

// isProxyHeader reports whether what came instead of a request is a PROXY
// protocol header, which this peer is not to send.
func isProxyHeader(b []byte) bool {
	const v1, v2 = "PROXY ", "\r\n\r\n\x00\r\nQUIT\n"
	return len(b) >= len(v1) && (string(b[:len(v1)]) == v1 || string(b[:len(v1)]) == v2[:len(v1)])
}

// end finishes the exchange; true keeps the connection for another request.
func (x *Exchange) end() bool {
	c := x.c
	if c.lastEnd = x.Ended; c.lastEnd == 0 {
		c.lastEnd = stream.Now()
	}
	switch {
	case x.aborted || !x.finished:
		c.Stream.Abort()
		return false
	case x.tunnel:
		return false // its owner closed it
	case x.closing || !x.drainBody():
		x.goodbye()
		return false
	}
	x.in.begin()
	x.reset()
	return true // the exchange is given back when nothing more has come
}

// drainBody reads what is left of a short request body that nobody wanted, so
// that the connection can be kept.
func (x *Exchange) drainBody() bool {
	if x.in.done {
		return true
	}
	if !x.mayDrain() {
		return false
	}
	deadline := stream.Now() + int64(lingerTime)
	for n := 0; n <= maxDrain; {
		p, err := x.in.next(deadline)
		if err == io.EOF {
			return true
		}
		if err != nil {
			return false
		}
		n += len(p)
	}
	return false
}

// mayDrain reports whether drainBody is worth trying. No other goroutine may
// be reading the body.
func (x *Exchange) mayDrain() bool {
	if x.req.Expect100 && !x.continued {
		return false // whether what comes is the body, nobody knows
	}
	return x.in.kind != httpmsg.BodyLength || x.in.left <= maxDrain
}

// goodbye closes the connection after a response. While the client may still
// be sending, it reads and forgets for a short while first: closing with
// unread bytes would reset the connection and might take the response with it
// (RFC 9112 9.6).
func (x *Exchange) goodbye() {
	if !x.in.done || x.in.pos < x.in.end || x.lingers {
		x.c.Stream.CloseWrite()
		x.discard()
	}
	x.c.Stream.Close()
}

// discard reads until the client stops, for lingerTime at most: it may well
// send a long body to its end before it reads the response.
func (x *Exchange) discard() {
	deadline := stream.Now() + int64(lingerTime)
	for {
		if _, err := x.c.Stream.Read(x.in.buf, deadline); err != nil || stream.Now() >= deadline {
			return
		}
	}
}
