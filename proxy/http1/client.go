package http1

import (
	"errors"
	"io"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
)

// ClientConn is a connection to a backend, between exchanges or in one.
type ClientConn struct {
	Stream *stream.Conn
	Opened int64 // on the clock of stream.Now
	Used   int64 // end of the last exchange; 0 on a fresh connection
	Uses   int
}

// Upstream is one request to a backend and its response over HTTP/1.1. Its
// memory is kept from request to request; Bind gives it a connection.
type Upstream struct {
	// Response is the head that ReadHead read, valid until the next ReadHead
	// or Bind.
	Response httpmsg.Response

	conn     *ClientConn
	in       message
	out      []byte
	limits   Limits
	method   httpmsg.Method
	chunked  bool // the request body is sent so
	sent     int64
	heads    int    // response heads read, informational ones included
	upgrade  bool   // the request asked for one
	switchTo []byte // to this protocol
	allSent  bool   // the request is out to its end
	tripped  bool   // Start sent all of it, and went on to the response
	broken   bool
}

// maxInformational bounds the 1xx responses to one request (hostile-input
// row 75).
const maxInformational = 8

// Errors of a backend's that are ours to name.
var (
	errInformational = &Error{Status: 502, Reason: "too many informational responses", Info: "ERRORINFO_UPSTREAM_INVALID_RESPONSE"}
	errUnasked101    = &Error{Status: 502, Reason: "101 response that nobody asked for", Info: "ERRORINFO_UPSTREAM_INVALID_RESPONSE"}
	errBigResponse   = &Error{Status: 502, Reason: "response head over limits.responseHeadBytes", Info: "ERRORINFO_UPSTREAM_INVALID_RESPONSE"}
)

// NewUpstream makes an Upstream with its memory.
func NewUpstream() *Upstream {
	u := &Upstream{out: make([]byte, 0, 2048)}
	u.in.buf = make([]byte, bufferSize)
	u.in.cur = u.in.buf
	u.in.huge = true
	return u
}

// Bind readies u for a request on a connection.
func (u *Upstream) Bind(c *ClientConn, maxHead int) {
	u.conn = c
	u.in.reset(c.Stream)
	u.limits = Limits{HeadBytes: maxHead, Fields: 1000}
	u.sent, u.heads, u.chunked, u.upgrade, u.allSent, u.tripped, u.broken = 0, 0, false, false, false, false, false
	if cap(u.out) > bigBufferSize {
		u.out = make([]byte, 0, 2048)
	}
}

// Release lets go of the connection.
func (u *Upstream) Release() {
	u.conn = nil
	u.in.reset(nil)
}

// Conn is the connection that u is bound to.
func (u *Upstream) Conn() *ClientConn { return u.conn }

// Sent and Received are the bytes of the request and the response on the
// wire, TLS not counted.
func (u *Upstream) Sent() int64 { return u.sent }

// Received is the size of what came of the response.
func (u *Upstream) Received() int64 { return u.in.received() }

// Start sends the request head and the first piece of its body. With whole
// true the request ends with it, and Start also waits for the first bytes of
// the response until the deadline; that nothing has come by then is not an
// error. The error is stream.ErrStale when a kept connection turned out to be
// dead before anything was written.
func (u *Upstream) Start(r *httpmsg.Request, body []byte, whole bool, deadline int64) error {
	u.method = r.Method
	u.chunked = r.Body == httpmsg.BodyChunked
	u.upgrade = r.UpgradeTo.Len > 0
	u.switchTo = append(u.switchTo[:0], r.Bytes(r.UpgradeTo)...)
	u.allSent = whole
	u.appendHead(r)
	var tail []byte
	if u.chunked && r.Body != httpmsg.BodyNone {
		if len(body) > 0 {
			u.out = AppendChunkHead(u.out, len(body))
		}
		tail = chunkEnd(len(body) > 0, whole)
	}
	size := int64(len(u.out) + len(body) + len(tail))
	if !whole {
		return u.open(body, tail, size)
	}
	wire, n, err := u.conn.Stream.Trip(u.out, body, tail, u.in.buf, u.conn.Uses == 0, deadline)
	if wire > 0 {
		u.sent = size
	}
	u.tripped = wire >= size
	u.in.end = n
	u.in.fetched = int64(n)
	if err == stream.ErrTimeout {
		return nil
	}
	return err
}

// Awaited reports whether Start sent a whole request and went on to the
// response: its error is one of reading that.
func (u *Upstream) Awaited() bool { return u.tripped }

// open sends the beginning of a request whose body is still to come.
func (u *Upstream) open(body, tail []byte, size int64) error {
	if u.conn.Uses > 0 && !u.conn.Stream.Silent() {
		return stream.ErrStale
	}
	before := u.conn.Stream.Written()
	err := u.conn.Stream.Write(u.out, body, tail)
	if u.conn.Stream.Written() > before {
		u.sent = size
	}
	return err
}

// appendHead writes the request head. Hop-by-hop fields were stripped by the
// gateway; those that this hop needs are added here.
func (u *Upstream) appendHead(r *httpmsg.Request) {
	out := AppendRequestLine(u.out[:0], r)
	out = r.AppendLines(out)
	if u.chunked {
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case u.upgrade:
		out = append(out, "Connection: Upgrade\r\nUpgrade: "...)
		out = append(out, r.Bytes(r.UpgradeTo)...)
		out = append(out, "\r\n"...)
	case r.TETrailers:
		out = append(out, "Connection: TE\r\nTE: trailers\r\n"...)
	}
	if r.Expect100 && !u.allSent {
		out = append(out, "Expect: 100-continue\r\n"...)
	}
	u.out = append(out, "\r\n"...)
}

// SendBody sends a piece of the request body. It may run beside ReadHead and
// ReadBody.
func (u *Upstream) SendBody(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	u.sent += int64(len(p))
	if !u.chunked {
		return u.conn.Stream.Write(p, nil, nil)
	}
	u.out = AppendChunkHead(u.out[:0], len(p))
	return u.conn.Stream.Write(u.out, p, crlfLastChunk[:2])
}

// SendEnd ends the request body; trailers may be nil.
func (u *Upstream) SendEnd(trailers *httpmsg.Fields) error {
	if !u.chunked {
		u.allSent = true
		return nil
	}
	u.out = append(u.out[:0], "0\r\n"...)
	if trailers != nil {
		u.out = trailers.AppendLines(u.out)
	}
	u.out = append(u.out, "\r\n"...)
	err := u.conn.Stream.Write(u.out, nil, nil)
	u.allSent = err == nil // a connection with half of it is of no use
	return err
}

// ReadHead reads the next response head into Response: an informational one
// or the final one. stream.ErrTimeout means that the deadline came; ReadHead
// may be called again.
func (u *Upstream) ReadHead(deadline int64) error {
	scanned := 0
	for {
		end, next, err := HeadEnd(u.in.buf[u.in.pos:u.in.end], scanned)
		if err != nil {
			return u.bad(err)
		}
		if end > 0 {
			return u.parse(end)
		}
		scanned = next
		if u.in.end-u.in.pos > u.limits.HeadBytes || u.in.end == len(u.in.buf) && !u.in.grow() {
			return u.bad(errBigResponse)
		}
		if err := u.in.fill(deadline); err != nil {
			return err
		}
	}
}

// bad marks the connection as not to be used again.
func (u *Upstream) bad(err error) error {
	u.broken = true
	var e *Error
	if errors.As(err, &e) && e.Status != 502 {
		return &Error{Status: 502, Reason: "response: " + e.Reason, Info: "ERRORINFO_UPSTREAM_INVALID_RESPONSE"}
	}
	return err
}

func (u *Upstream) parse(n int) error {
	start := u.in.pos
	if err := ParseResponse(u.in.buf[start:start+n], &u.Response, u.method, &u.limits); err != nil {
		return u.bad(err)
	}
	u.heads++
	switch status := u.Response.Status; {
	case status == 101 && !u.switches():
		return u.bad(errUnasked101)
	case status < 200 && u.heads > maxInformational:
		return u.bad(errInformational)
	}
	u.in.startBody(start+n, u.Response.Body, u.Response.ContentLength)
	return nil
}

// switches reports whether a 101 response switches to the protocol that was
// asked for, and says so (RFC 9110 7.8; row 39).
func (u *Upstream) switches() bool {
	to, ok := u.Response.Get(httpmsg.Upgrade)
	return u.upgrade && ok && httpmsg.EqualFoldBytes(to, u.switchTo)
}

// Buffered returns what has arrived of the response body already, and whether
// the body ends with it.
func (u *Upstream) Buffered() (p []byte, end bool, err error) {
	for !u.in.done && u.in.pos < u.in.end {
		p, err = u.in.decode()
		if err != nil {
			return nil, false, err
		}
		if len(p) > 0 {
			p = u.in.gather(p)
			break
		}
	}
	// Trailers are Finish's to send.
	return p, u.in.done && !(u.in.kind == httpmsg.BodyChunked && u.in.chunk.hasTrailers()), nil
}

// ReadBody returns the next piece of the response body, valid until the next
// call; io.EOF after the last, io.ErrUnexpectedEOF when the backend ended too
// early.
func (u *Upstream) ReadBody(deadline int64) ([]byte, error) {
	return u.in.next(deadline)
}

// BodyDone reports whether the response body has been read to its end.
func (u *Upstream) BodyDone() bool { return u.in.done }

// Trailers adds the response's trailer fields that may be forwarded.
func (u *Upstream) Trailers(dst *httpmsg.Fields) {
	if u.in.kind == httpmsg.BodyChunked {
		announced, _ := u.Response.Get(httpmsg.Trailer)
		u.in.chunk.Trailers(dst, announced)
	}
}

// Direct returns the backend's stream and how many bytes of the body may be
// moved from it as they are; zero when they need to be looked at.
func (u *Upstream) Direct() (*stream.Conn, int64) { return u.in.s, u.in.direct() }

// Moved notes n body bytes that were moved from Direct.
func (u *Upstream) Moved(n int64) { u.in.moved(n) }

// Head is the head that ReadHead read last.
func (u *Upstream) Head() *httpmsg.Response { return &u.Response }

// Refused is false: HTTP/1.1 cannot say that a request was not looked at.
func (u *Upstream) Refused() bool { return false }

// Tunnel returns the stream and the bytes that came behind a 101 response.
func (u *Upstream) Tunnel() (*stream.Conn, []byte) {
	return u.in.s, u.in.cur[u.in.pos:u.in.end]
}

// Reusable reports whether the connection may carry another request: both
// messages are complete, nothing is left over, and nobody said close.
func (u *Upstream) Reusable() bool {
	return u.allSent && u.heads > 0 && u.in.done && u.in.pos == u.in.end && !u.broken &&
		!u.Response.Close && u.Response.Status >= 200 && u.in.kind != httpmsg.BodyToClose
}

// Interrupt makes a read of the response in another goroutine return.
func (u *Upstream) Interrupt() { u.in.s.Interrupt() }

// Shut ends the connection under a SendBody in another goroutine.
func (u *Upstream) Shut() {
	u.broken = true
	u.in.s.Abort()
}

// Answered reports whether any byte of a response has come.
func (u *Upstream) Answered() bool { return u.in.fetched > 0 || u.heads > 0 }

// IsCutOff reports whether an error of ReadBody is the backend's ending too
// early.
func IsCutOff(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }
