package http1

import (
	"strconv"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
)

// Exchange is one request of a client and its response over HTTP/1.1. It
// holds the pooled memory that the request lives in.
type Exchange struct {
	// Data belongs to the handler and stays with the pooled exchange, so that
	// its own per-request state is pooled along.
	Data any

	HeadStart int64 // when the first bytes of the head were read
	HeadDone  int64
	// Ended is when the handler was done, which it may set to spare a look at
	// the clock.
	Ended int64

	c   *ServerConn
	req httpmsg.Request
	in  message
	out []byte // the response head

	wireFrom  int // where the head begins in in.buf
	bodyStart int64
	continued bool // 100 (Continue) was sent, or is not to be

	closing  bool // the connection ends with this exchange
	lingers  bool
	started  bool // a final response head was written
	finished bool // the response is whole
	aborted  bool
	spoiled  bool
	tunnel   bool
	chunked  bool // the response is
	sent     int64

	watch watch
}

// attach binds a pooled exchange to a connection.
func (x *Exchange) attach(c *ServerConn) {
	x.c = c
	x.in.reset(c.Stream)
	x.reset()
}

// detach drops what belongs to the connection.
func (x *Exchange) detach() {
	x.in.reset(nil)
	x.c = nil
}

// reset readies x for the next request on its connection.
func (x *Exchange) reset() {
	x.continued, x.closing, x.started, x.finished = false, false, false, false
	x.aborted, x.tunnel, x.chunked, x.lingers = false, false, false, false
	x.sent = 0
	x.HeadStart, x.HeadDone, x.Ended = 0, 0, 0
	x.req.Reset(nil)
	if cap(x.out) > bigBufferSize {
		x.out = make([]byte, 0, 2048)
	}
}

func (x *Exchange) received(n int) {
	x.in.end = n
	x.in.fetched = int64(n)
}

// Conn is the client's connection.
func (x *Exchange) Conn() *ServerConn { return x.c }

// Request is the request, valid until the exchange is over.
func (x *Exchange) Request() *httpmsg.Request { return &x.req }

// First reports whether this is the first request on its connection, and
// since when the connection was idle.
func (x *Exchange) First() (first bool, idleSince int64) {
	if x.c.requests <= 1 {
		return true, x.c.Opened
	}
	return false, x.c.lastEnd
}

// Received and Sent are the bytes of the request and the response as they
// crossed the wire, TLS not counted. Of a request that is refused or not read
// to its end, Received counts what has come so far, whether somebody looked at
// it or not; where the end is not known, everything that came counts.
func (x *Exchange) Received() int64 { return x.in.received() + x.in.unread() }

// Sent is the size of the response so far.
func (x *Exchange) Sent() int64 { return x.sent }

// BodyDone reports whether the whole request body was read.
func (x *Exchange) BodyDone() bool { return x.in.done }

// Awaits100 reports whether the client waits for 100 (Continue) before it
// sends its body.
func (x *Exchange) Awaits100() bool {
	return x.req.Expect100 && !x.continued && !x.in.done && x.in.pos == x.in.end
}

// HoldBody reads the request body until it is whole or max bytes are held.
// With wait false it takes only what has arrived. What is held stays valid
// until the exchange is over or ReadBody is called.
func (x *Exchange) HoldBody(max int, wait bool) (held []byte, whole bool, err error) {
	if wait {
		if err := x.continueBody(); err != nil {
			return nil, false, err
		}
	}
	was := &x.in.buf[0]
	held, whole, err = x.in.hold(max, wait, x.bodyDeadline)
	if was != &x.in.buf[0] {
		x.req.SetWire(x.in.buf[x.wireFrom:x.in.headLen])
	}
	return held, whole, bodyError(err)
}

// ReadBody returns the next piece of the request body, valid until the next
// call; io.EOF after the last. Errors of the client's are *Error.
func (x *Exchange) ReadBody() ([]byte, error) {
	if err := x.continueBody(); err != nil {
		return nil, err
	}
	p, err := x.in.next(x.bodyDeadline())
	return p, bodyError(err)
}

// Trailers adds the request's trailer fields that may be forwarded.
func (x *Exchange) Trailers(dst *httpmsg.Fields) {
	if x.in.kind == httpmsg.BodyChunked {
		announced, _ := x.req.Get(httpmsg.Trailer)
		x.in.chunk.Trailers(dst, announced)
	}
}

// bodyError makes a deadline that came a refusal with a status.
func bodyError(err error) error {
	if err == stream.ErrTimeout {
		return ErrBodyTimeout
	}
	return err
}

// ErrBodyTimeout refuses a request whose body does not come, or too slowly.
var ErrBodyTimeout = &Error{Status: 408, Reason: "request body too slow", Info: "ERRORINFO_CLIENT_TIMED_OUT"}

// bodyDeadline is when the next byte must be there: for the body to keep the
// minimum rate, and in any case before BodySilence is over, so that a burst
// does not buy silence.
func (x *Exchange) bodyDeadline() int64 {
	silence := stream.Now() + int64(BodySilence)
	rate := int64(x.c.options.BodyMinRate)
	if rate <= 0 {
		return silence
	}
	return min(silence, x.bodyStart+int64(BodyGrace)+x.in.taken/rate*int64(1e9))
}

// continueBody tells a client that waits for it to send the body.
func (x *Exchange) continueBody() error {
	if !x.Awaits100() {
		return nil
	}
	return x.Continue()
}

// Continue sends 100 (Continue) if the client waits for it.
func (x *Exchange) Continue() error {
	if !x.Awaits100() {
		return nil
	}
	x.continued = true
	x.bodyStart = stream.Now()
	return x.write([]byte("HTTP/1.1 100 Continue\r\n\r\n"), nil, nil)
}

// KeepFromContinue says that the body will be read while a response may be
// written: no 100 (Continue) may come in between.
func (x *Exchange) KeepFromContinue() {
	x.continued = true
	x.c.Stream.Share()
}

// CloseAfter ends the connection after this exchange; before Respond, the
// response says so.
func (x *Exchange) CloseAfter() { x.closing = true }

// Retire is CloseAfter.
func (x *Exchange) Retire() { x.closing = true }

// Inform sends an informational response (1xx) other than 101.
func (x *Exchange) Inform(r *httpmsg.Response) error {
	if x.req.Minor == 0 {
		return nil // HTTP/1.0 knows no 1xx (RFC 9110 15.2)
	}
	if r.Status == 100 {
		x.continued = true
		x.bodyStart = stream.Now()
	}
	x.out = AppendStatusLine(x.out[:0], r.Status, r.Bytes(r.Reason))
	x.out = r.AppendLines(x.out)
	x.out = append(x.out, "\r\n"...)
	return x.write(x.out, nil, nil)
}

// Respond sends the head of the final response with the first piece of its
// body; end says that the body ends with it. Framing fields are the
// exchange's to write: r must not carry Connection or Transfer-Encoding, and
// Content-Length only if Body is BodyLength or the response has no body.
func (x *Exchange) Respond(r *httpmsg.Response, body []byte, end bool) error {
	x.started = true
	bodiless := x.req.Method == httpmsg.HEAD || r.Status == 204 || r.Status == 304
	x.closing = x.closing || x.c.draining.Load() || !x.in.done && !x.mayDrain()
	x.appendHead(r, bodiless)
	if bodiless {
		x.finished = true
		return x.write(x.out, nil, nil)
	}
	x.finished = end
	if !x.chunked {
		return x.write(x.out, body, nil)
	}
	if len(body) > 0 {
		x.out = AppendChunkHead(x.out, len(body))
	}
	return x.write(x.out, body, chunkEnd(len(body) > 0, end))
}

// chunkEnd is what follows a piece of a chunked body.
func chunkEnd(data, end bool) []byte {
	switch {
	case data && end:
		return crlfLastChunk
	case data:
		return crlfLastChunk[:2]
	case end:
		return crlfLastChunk[2:]
	}
	return nil
}

var crlfLastChunk = []byte("\r\n0\r\n\r\n")

// appendHead writes the response head with its framing.
func (x *Exchange) appendHead(r *httpmsg.Response, bodiless bool) {
	out := AppendStatusLine(x.out[:0], r.Status, r.Bytes(r.Reason))
	out = r.AppendLines(out)
	switch {
	case bodiless || r.Body == httpmsg.BodyNone && r.Status < 200:
	case r.Body == httpmsg.BodyLength || r.Body == httpmsg.BodyNone:
		if r.Count(httpmsg.ContentLength) == 0 {
			out = append(out, "Content-Length: "...)
			out = strconv.AppendInt(out, max(r.ContentLength, 0), 10)
			out = append(out, "\r\n"...)
		}
	case x.req.Minor == 0:
		x.closing = true // the body ends with the connection
	default:
		x.chunked = true
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case x.closing:
		out = append(out, "Connection: close\r\n"...)
	case x.req.Minor == 0:
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	x.out = append(out, "\r\n"...)
}

// WriteBody sends a piece of the response body.
func (x *Exchange) WriteBody(p []byte) error {
	if !x.chunked {
		return x.write(p, nil, nil)
	}
	if len(p) == 0 {
		return nil
	}
	x.out = AppendChunkHead(x.out[:0], len(p))
	return x.write(x.out, p, crlfLastChunk[:2])
}

// WriteLast sends the last piece of the response body, and its end with it.
func (x *Exchange) WriteLast(p []byte) error {
	x.finished = true
	if !x.chunked {
		return x.write(p, nil, nil)
	}
	x.out = AppendChunkHead(x.out[:0], len(p))
	return x.write(x.out, p, crlfLastChunk)
}

// Finish ends the response body; trailers may be nil.
func (x *Exchange) Finish(trailers *httpmsg.Fields) error {
	x.finished = true
	if !x.chunked {
		return nil
	}
	if trailers == nil || trailers.Len() == 0 {
		return x.write(crlfLastChunk[2:], nil, nil)
	}
	x.out = append(x.out[:0], "0\r\n"...)
	x.out = trailers.AppendLines(x.out)
	x.out = append(x.out, "\r\n"...)
	return x.write(x.out, nil, nil)
}

// Abort ends the connection so that the client cannot take what it got for a
// whole response.
func (x *Exchange) Abort() { x.aborted = true }

// Spoil cuts the connection and keeps the exchange's memory from being used
// again: nobody knows what state it is in.
func (x *Exchange) Spoil() { x.aborted, x.spoiled = true, true }

// Started reports whether the head of a final response was written.
func (x *Exchange) Started() bool { return x.started }

// Direct returns the client's stream if body bytes may be moved to it as they
// are, and nil if they need framing or encryption.
func (x *Exchange) Direct() *stream.Conn {
	if x.chunked || !x.c.Stream.Plain() {
		return nil
	}
	return x.c.Stream
}

// Moved notes n bytes of the body that were written to Direct.
func (x *Exchange) Moved(n int64) { x.sent += n }

const (
	// maxRecord is the plain text of one TLS record.
	maxRecord = 16 << 10
	// maxCopied is up to where one piece is cheaper for the kernel than the
	// copy that makes it.
	maxCopied = 2 << 10
)

func (x *Exchange) write(a, b, d []byte) error {
	x.sent += int64(len(a) + len(b) + len(d))
	most := maxCopied
	if !x.c.Stream.Plain() {
		most = maxRecord
	}
	if len(b) > 0 && len(a)+len(b)+len(d) <= most {
		x.out = append(append(append(x.out[:0], a...), b...), d...) // a is x.out itself or short
		return x.c.Stream.Write(x.out, nil, nil)
	}
	return x.c.Stream.Write(a, b, d)
}

// Switch sends a 101 response and gives the connection up to a tunnel. The
// bytes that came behind the request are returned; they belong to the new
// protocol.
func (x *Exchange) Switch(r *httpmsg.Response, protocol []byte) (stream.Tunnel, []byte, error) {
	x.started, x.finished, x.tunnel = true, true, true
	x.c.Stream.Share()
	out := AppendStatusLine(x.out[:0], r.Status, r.Bytes(r.Reason))
	out = r.AppendLines(out)
	out = append(out, "Connection: Upgrade\r\nUpgrade: "...)
	out = append(out, protocol...)
	x.out = append(out, "\r\n\r\n"...)
	return x.c.Stream, x.in.buf[x.in.pos:x.in.end], x.write(x.out, nil, nil)
}

// watch looks for the client leaving while nothing else reads from it.
type watch struct {
	done chan struct{}
	gone bool
	on   bool
}

// Watch starts to look for the client leaving; onGone is called from another
// goroutine, at most once. Unwatch must follow. It does nothing while the
// request body is not read to its end: its reader sees the client leave.
func (x *Exchange) Watch(onGone func()) {
	x.in.settle()
	if !x.in.done || x.in.big != nil || x.in.end == len(x.in.buf) {
		return
	}
	x.c.Stream.Share()
	x.watch = watch{done: make(chan struct{}), on: true}
	go x.watchClient(onGone)
}

// watchClient reads ahead, which keeps what a pipelining client sends.
func (x *Exchange) watchClient(onGone func()) {
	defer close(x.watch.done)
	for x.in.end < len(x.in.buf) {
		n, err := x.in.s.Read(x.in.buf[x.in.end:], stream.Never)
		x.in.end += n
		x.in.fetched += int64(n)
		if err == stream.ErrInterrupted {
			return
		}
		if err != nil {
			x.watch.gone = true
			onGone()
			return
		}
	}
}

// Unwatch stops looking and reports whether the client is gone.
func (x *Exchange) Unwatch() (gone bool) {
	if !x.watch.on {
		return false
	}
	x.in.s.Interrupt()
	<-x.watch.done
	x.in.s.Resume()
	x.watch.on = false
	return x.watch.gone
}

// Gone reports whether the client has closed or reset its connection, for
// when nobody comes to read what it sent before. It may be called while
// another goroutine reads the body.
func (x *Exchange) Gone() bool { return x.c.Stream.HungUp() }

// InterruptBody makes ReadBody in another goroutine return; ResumeBody undoes
// it once that goroutine is done.
func (x *Exchange) InterruptBody() { x.in.s.Interrupt() }

// ResumeBody undoes InterruptBody.
func (x *Exchange) ResumeBody() { x.in.s.Resume() }

// Linger makes a closing connection wait for the client to have read the
// response, because it may still be sending.
func (x *Exchange) Linger() { x.lingers = true }
