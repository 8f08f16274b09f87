package http2

import (
	"errors"
	"io"
	"time"

	"golang.org/x/net/http2"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/multiplex"
)

// Upstream is one request to a backend and its response: a stream of a
// [ClientConn], and what http1.Upstream is over HTTP/1.1. Its memory is kept
// from request to request; [ClientConn.Open] gives it a connection.
//
// One goroutine uses it, with one exception: SendBody and SendEnd may run
// beside the methods that read.
type Upstream struct {
	c         *ClientConn
	reused    bool
	maxHead   int
	method    httpmsg.Method
	response  httpmsg.Response
	headText  []byte // what response points into
	body      []byte // what ReadBody returned last
	readTimer *time.Timer
	sendTimer *time.Timer
	ready     chan struct{} // something has come, or it is over
	room      chan struct{} // something may be sent, or it is over

	// The rest is under c.mu.
	id          uint32 // 0: the request was not begun
	begun       int64
	whole       bool  // Start sent all of it
	ourEnd      bool  // END_STREAM is out
	theirEnd    bool  // the response is whole
	answered    bool  // its final head has come
	refused     bool  // the backend has not looked at the request
	interrupted bool  // nobody wants the response
	stopped     bool  // nobody wants the rest of the request
	err         error // the stream is over

	heads    int    // that have come, informational ones included
	pending  []byte // those that ReadHead did not take
	ends     []int  // of each in pending
	inbox    []byte // content that was not taken
	trailer  []byte
	length   int64 // by Content-Length; -1: unknown
	came     int64 // bytes of content
	allowed  int64 // what may still come
	returned int64 // allowed, but the backend was not told yet
	received int64
	window   int64 // what may still be sent
	sent     int64
}

// errStopped ends SendBody when the rest of a request is not wanted.
var errStopped = errors.New("the rest of the request is not wanted")

// NewUpstream makes an Upstream with its memory.
func NewUpstream() *Upstream {
	u := &Upstream{ready: make(chan struct{}, 1), room: make(chan struct{}, 1),
		readTimer: time.NewTimer(time.Hour), sendTimer: time.NewTimer(time.Hour)}
	u.readTimer.Stop()
	u.sendTimer.Stop()
	return u
}

// begin binds u to a connection. c.mu is held.
func (u *Upstream) begin(c *ClientConn, maxHead int) {
	*u = Upstream{c: c, reused: c.uses > 0, maxHead: maxHead, response: u.response, headText: u.headText, body: u.body,
		readTimer: u.readTimer, sendTimer: u.sendTimer, ready: u.ready, room: u.room,
		pending: u.pending[:0], ends: u.ends[:0], inbox: u.inbox[:0], trailer: u.trailer[:0],
		length: -1, allowed: upstreamWindow}
}

// Conn is the connection that u has; nil: none.
func (u *Upstream) Conn() *ClientConn { return u.c }

// Reused reports whether the connection had a request before this one.
func (u *Upstream) Reused() bool { return u.reused }

// Release gives the connection back. What was not sent or received by then is
// given up, which the backend is told.
func (u *Upstream) Release() {
	if u.c == nil {
		return
	}
	u.leave()
	u.c = nil
	u.response.Reset(nil)
	for _, p := range [...]*[]byte{&u.headText, &u.body, &u.pending, &u.inbox, &u.trailer} {
		if cap(*p) > maxKept {
			*p = nil
		}
	}
}

// Spoil is Release for when somebody may use u still: its memory must not be
// used again.
func (u *Upstream) Spoil() {
	if u.c != nil {
		u.leave()
		u.Interrupt()
		u.Shut()
	}
}

func (u *Upstream) leave() {
	c := u.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if u.id != 0 && c.streams[u.id] == u {
		delete(c.streams, u.id)
		u.giveUp()
	}
	c.taken--
	c.lastEnd = stream.Now()
	if c.leaving {
		c.leave()
	} else if c.taken == 0 {
		c.work.Signal() // it gives back memory
	}
}

// giveUp tells the backend that a stream is not wanted any further. c.mu is
// held.
func (u *Upstream) giveUp() {
	c := u.c
	if u.theirEnd && u.ourEnd || c.dead {
		return
	}
	if u.heads == 0 && c.lastRead < u.begun {
		c.suspect = true
	}
	c.out = appendReset(c.out, u.id, http2.ErrCodeCancel)
	c.work.Signal()
}

// Start sends the request head and the first piece of its body. With whole
// true the request ends with it, and Start also waits for the beginning of the
// response until the deadline; that nothing has come by then is not an error.
func (u *Upstream) Start(r *httpmsg.Request, body []byte, whole bool, deadline int64) error {
	c := u.c
	c.mu.Lock()
	defer c.mu.Unlock()
	u.method, u.begun = r.Method, stream.Now()
	err := u.awaitRoom()
	if err == nil && !c.usable() {
		err = ErrUnavailable // it has to leave by now
	}
	if err != nil {
		u.refused, u.err = true, err
		return err
	}
	u.id, u.window = c.nextID, c.peerWindow
	c.nextID += 2
	c.streams[u.id] = u
	u.ourEnd = whole && len(body) == 0
	block := c.encoder.request(r, c.scheme(), r.Expect100 && !whole)
	c.out = appendBlock(c.out, block, u.id, u.ourEnd)
	u.sent = int64(len(block))
	c.work.Signal()
	if err := u.send(body, whole); err != nil && (u.refused || u.err == nil && !u.stopped) {
		return err // any other, whoever reads will find
	}
	u.whole = whole
	for whole && u.heads == 0 && u.err == nil && stream.Now() < deadline {
		u.wait(u.ready, u.readTimer, deadline)
	}
	return nil
}

func (c *ClientConn) scheme() string {
	if c.stream.Plain() {
		return "http"
	}
	return "https"
}

// Awaited reports whether Start sent a whole request and went on to the
// response: its error is one of reading that.
func (u *Upstream) Awaited() bool {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	return u.whole
}

// Refused reports whether the backend has said that it did not look at the
// request, or was not sent it: it may be sent again, whatever its method.
func (u *Upstream) Refused() bool {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	return u.refused
}

// SendBody sends a piece of the request body.
func (u *Upstream) SendBody(p []byte) error {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	return u.send(p, false)
}

// SendEnd ends the request body; trailers may be nil.
func (u *Upstream) SendEnd(trailers *httpmsg.Fields) error {
	c := u.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := u.awaitRoom(); err != nil || u.ourEnd {
		return err
	}
	if trailers == nil || trailers.Len() == 0 {
		c.out = appendFrameHead(c.out, 0, http2.FrameData, http2.FlagDataEndStream, u.id)
	} else {
		block := c.encoder.block(0, trailers)
		c.out = appendBlock(c.out, block, u.id, true)
		u.sent += int64(len(block))
	}
	u.ourEnd = true
	c.work.Signal()
	return nil
}

// Shut ends a SendBody in another goroutine.
func (u *Upstream) Shut() {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	u.stop()
}

// stop ends the sending. c.mu is held.
func (u *Upstream) stop() {
	u.stopped = true
	u.wakeSender()
}

// fail ends the stream, which is in c.streams no longer. c.mu is held.
func (u *Upstream) fail(err error) {
	u.err = err
	u.wakeReader()
	u.wakeSender()
}

func (u *Upstream) wakeReader() { wake(u.ready) }
func (u *Upstream) wakeSender() { wake(u.room) }

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is awake, or will be
	}
}

// wait waits to be woken, or until the deadline. c.mu is held, but not
// meanwhile.
func (u *Upstream) wait(woken <-chan struct{}, timer *time.Timer, deadline int64) {
	mu := &u.c.mu
	mu.Unlock()
	defer mu.Lock()
	if deadline == stream.Never {
		<-woken
		return
	}
	timer.Reset(time.Duration(deadline - stream.Now()))
	select {
	case <-woken:
	case <-timer.C:
	}
	timer.Stop()
}

// Head is the head that ReadHead read last, valid until the next ReadHead.
func (u *Upstream) Head() *httpmsg.Response { return &u.response }

// ReadHead reads the next response head: an informational one or the final
// one. stream.ErrTimeout means that the deadline came; ReadHead may be called
// again.
func (u *Upstream) ReadHead(deadline int64) error {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	for len(u.ends) == 0 {
		if err := u.trouble(deadline); err != nil {
			return err
		}
		u.wait(u.ready, u.readTimer, deadline)
	}
	if u.interrupted {
		return stream.ErrInterrupted
	}
	n := u.ends[0]
	u.headText = append(u.headText[:0], u.pending[:n]...)
	u.pending = append(u.pending[:0], u.pending[n:]...)
	u.ends = append(u.ends[:0], u.ends[1:]...)
	for i := range u.ends {
		u.ends[i] -= n
	}
	return u.parse()
}

// parse makes the response of a head. c.mu is held.
func (u *Upstream) parse() error {
	limits := http1.Limits{HeadBytes: u.maxHead, Fields: maxResponseFields}
	if len(u.headText) > u.maxHead {
		return errBigResponse
	}
	r := &u.response
	if err := http1.ParseResponse(u.headText, r, u.method, &limits); err != nil {
		if e, ok := errors.AsType[*http1.Error](err); ok && e.Status != 502 {
			return invalid(e.Reason)
		}
		return err
	}
	if r.Body == httpmsg.BodyToClose {
		r.Body = httpmsg.BodyNone // it ended with its head
	}
	r.Close = false
	return nil
}

var errBigResponse = &http1.Error{Status: 502, Reason: "response head over limits.responseHeadBytes", Info: "ERRORINFO_UPSTREAM_INVALID_RESPONSE"}

// trouble is why there is nothing to wait for. c.mu is held.
func (u *Upstream) trouble(deadline int64) error {
	switch {
	case u.interrupted:
		return stream.ErrInterrupted
	case u.err != nil:
		return u.err
	case deadline != stream.Never && stream.Now() >= deadline:
		return stream.ErrTimeout
	}
	return nil
}

// isBodiless reports whether a response with this status has no content.
func (u *Upstream) isBodiless(status int) bool {
	return u.method == httpmsg.HEAD || status == 204 || status == 304
}

// take takes a piece of the response body, which is in a frame of that size.
// c.mu is held.
func (u *Upstream) take(p []byte, size int64, end bool) error {
	if u.allowed -= size; u.allowed < 0 {
		return streamError(u.id, http2.ErrCodeFlowControl)
	}
	u.came += int64(len(p))
	u.received += size
	switch {
	case !u.answered:
		return streamError(u.id, http2.ErrCodeProtocol)
	case u.theirEnd:
		return streamError(u.id, http2.ErrCodeStreamClosed)
	case u.length >= 0 && (u.came > u.length || end && u.came < u.length):
		return streamError(u.id, http2.ErrCodeProtocol) // row 28
	}
	u.theirEnd = end
	u.giveBack(size - int64(len(p)))
	u.inbox = append(u.inbox, p...)
	u.wakeReader()
	return nil
}

// giveBack returns bytes of the stream's window, some at a time. c.mu is held.
func (u *Upstream) giveBack(n int64) {
	u.returned += n
	if u.returned >= upstreamWindow/4 && !u.theirEnd && u.err == nil {
		c := u.c
		c.out = appendWindowUpdate(c.out, u.id, uint32(u.returned))
		u.allowed += u.returned
		u.returned = 0
		c.work.Signal()
	}
}

// Buffered returns what has arrived of the response body already, and whether
// the response ends with it.
func (u *Upstream) Buffered() (p []byte, end bool, err error) {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	if len(u.inbox) > 0 {
		p = u.next()
	}
	return p, u.theirEnd && len(u.trailer) == 0, nil // trailers are Finish's to send
}

// next takes all that has come. c.mu is held.
func (u *Upstream) next() []byte {
	u.body, u.inbox = u.inbox, u.body[:0]
	u.giveBack(int64(len(u.body)))
	return u.body
}

// ReadBody returns the next piece of the response body, valid until the next
// call; io.EOF after the last.
func (u *Upstream) ReadBody(deadline int64) ([]byte, error) {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	for len(u.inbox) == 0 {
		if u.theirEnd && !u.interrupted {
			return nil, io.EOF
		}
		if err := u.trouble(deadline); err != nil {
			return nil, err
		}
		u.wait(u.ready, u.readTimer, deadline)
	}
	if u.interrupted {
		return nil, stream.ErrInterrupted
	}
	return u.next(), nil
}

// BodyDone reports whether the response body has been read to its end.
func (u *Upstream) BodyDone() bool {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	return u.theirEnd && len(u.inbox) == 0
}

// Trailers adds the response's trailer fields that may be forwarded. Those of
// gRPC, which has its result there, need not be announced.
func (u *Upstream) Trailers(dst *httpmsg.Fields) {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	if multiplex.IsGRPC(u.headText) {
		http1.AddUnannounced(dst, u.trailer)
		return
	}
	announced, _ := u.response.Get(httpmsg.Trailer)
	http1.AddTrailers(dst, u.trailer, announced)
}

// Interrupt makes a read of the response in another goroutine return.
func (u *Upstream) Interrupt() {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	u.interrupted = true
	u.wakeReader()
}

// Answered reports whether any of a response has come.
func (u *Upstream) Answered() bool {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	return u.heads > 0
}

// Sent is the size of the request's field blocks and data.
func (u *Upstream) Sent() int64 {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	return u.sent
}

// Received is that of the response.
func (u *Upstream) Received() int64 {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	return u.received
}

// Direct returns nil: the body needs framing.
func (u *Upstream) Direct() (*stream.Conn, int64) { return nil, 0 }

// Moved is for Direct.
func (u *Upstream) Moved(int64) {}
