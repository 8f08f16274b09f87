package http2

import (
	"io"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy/http1"
)

// Exchange is one request of a client and its response: a stream. It holds the
// pooled memory that the request lives in.
type Exchange struct {
	// Data belongs to the handler and stays with the pooled exchange.
	Data any

	c         *Conn
	id        uint32
	req       httpmsg.Request
	head      []byte // the request as text, which req points into
	refusal   *http1.Error
	headStart int64
	first     bool
	idleSince int64
	headBytes int64
	grpc      bool
	accept    string // the backend's answer to the key of an extended CONNECT; empty: it is none

	// The rest is under c.mu.
	cond     sync.Cond
	deadline int64 // of a wait on cond; 0: none
	reset    bool  // by the client or us, or the connection is gone
	theirEnd bool  // the client has sent all of the request
	ourEnd   bool  // END_STREAM is out
	aborted  bool
	spoiled  bool
	started  bool // a final head is out
	finished bool // the response is whole

	// The request body.
	body        []byte // came, and was not taken
	taken       []byte // what ReadBody returned last
	held        int    // bytes of body that HoldBody has shown
	length      int64  // by Content-Length; -1: unknown
	came        int64  // bytes of content
	allowed     int64  // what the client may still send
	returned    int64  // allowed, but the client was not told yet
	got         int64  // of DATA frames
	trailer     []byte
	bodyStart   int64
	continued   bool
	interrupted bool

	// The response.
	window int64 // what may still be sent
	sent   int64
	sendBy int64 // the deadline of a wait to send; 0: none
	direct bool  // who waits is to write itself
	inLine bool

	watch     func()
	notifying bool
}

var exchanges = sync.Pool{New: func() any { return new(Exchange) }}

// begin binds a pooled exchange to a stream.
func (x *Exchange) begin(c *Conn, b *block) {
	data, req, head, body, taken, trailer := x.Data, x.req, x.head[:0], x.body[:0], x.taken[:0], x.trailer[:0]
	*x = Exchange{Data: data, req: req, head: head, body: body, taken: taken, trailer: trailer}
	x.c, x.id = c, b.id
	x.cond.L = &c.mu
	x.req.Reset(nil)
	x.headStart, x.headBytes = b.began, int64(b.bytes)
	x.bodyStart = b.began
	x.allowed = streamWindow
	x.theirEnd = b.ends
	x.length = -1
	c.mu.Lock()
	x.window = c.peerWindow
	c.mu.Unlock()
}

// maxKept is the memory that an exchange keeps for its body in the pool.
const maxKept = 64 << 10

// run serves the exchange. It is called by a goroutine of the pool.
func (x *Exchange) run() {
	if x.refusal != nil {
		x.c.handler.RefuseStream(x, x.refusal)
	} else {
		x.c.handler.ServeStream(x)
	}
	x.end()
}

// end closes the stream and gives the exchange back.
func (x *Exchange) end() {
	c := x.c
	c.mu.Lock()
	for x.notifying {
		x.cond.Wait()
	}
	x.watch = nil
	delete(c.streams, x.id)
	switch {
	case x.reset || c.dead:
	case x.aborted || !x.finished:
		c.appendReset(x.id, x.abortCode())
	case !x.theirEnd:
		c.appendReset(x.id, http2.ErrCodeNo) // the rest is not wanted (RFC 9113 8.1)
	}
	c.unread -= int64(len(x.body))
	c.giveBack(int64(len(x.body)))
	if c.serving--; c.serving == 0 {
		c.lastEnd = stream.Now()
		if c.draining || c.large.Load() {
			c.stream.Interrupt() // the reader has something to do then
		}
	}
	c.tend()
	c.trim()
	if x.spoiled { // somebody may use it still
		x.leave()
		c.mu.Unlock()
		c.running.Done()
		return
	}
	c.mu.Unlock()
	x.c = nil
	if cap(x.body) > maxKept {
		x.body = nil
	}
	if cap(x.taken) > maxKept {
		x.taken = nil
	}
	exchanges.Put(x)
	c.running.Done()
}

// abortCode says why a stream ends before its response is whole.
func (x *Exchange) abortCode() http2.ErrCode {
	if x.refusal != nil {
		return http2.ErrCodeProtocol
	}
	return http2.ErrCodeInternal
}

// leave notes that nothing of the stream goes on. c.mu is held.
func (x *Exchange) leave() {
	x.reset = true
	x.cond.Broadcast()
	if f := x.watch; f != nil {
		x.watch, x.notifying = nil, true
		go x.notify(f)
	}
}

func (x *Exchange) notify(f func()) {
	f()
	c := x.c
	c.mu.Lock()
	x.notifying = false
	x.cond.Broadcast()
	c.mu.Unlock()
}

// wait waits for something to happen to the stream, no longer than until the
// deadline. c.mu is held.
func (x *Exchange) wait(deadline int64) {
	x.deadline = deadline
	x.c.tick()
	x.cond.Wait()
	x.deadline = 0
}

// Conn is the client's connection.
func (x *Exchange) Conn() *Conn { return x.c }

// Request is the request, valid until the exchange is over.
func (x *Exchange) Request() *httpmsg.Request { return &x.req }

// HeadStart is when the first bytes of the head came.
func (x *Exchange) HeadStart() int64 { return x.headStart }

// First reports whether this is the first request on its connection, and since
// when the connection was idle.
func (x *Exchange) First() (first bool, idleSince int64) { return x.first, x.idleSince }

// Received is the size of the frames of the request.
func (x *Exchange) Received() int64 {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	return x.headBytes + x.got
}

// Sent is the size of the response's field blocks and data.
func (x *Exchange) Sent() int64 {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	return x.sent
}

// BodyDone reports whether the whole request body was read.
func (x *Exchange) BodyDone() bool {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	return x.theirEnd && len(x.body) == x.held
}

// Awaits100 reports whether the client waits for 100 (Continue) before it sends
// its body.
func (x *Exchange) Awaits100() bool {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	return x.req.Expect100 && !x.continued && !x.theirEnd && x.came == 0
}

// Continue sends 100 (Continue) if the client waits for it.
func (x *Exchange) Continue() error {
	if !x.Awaits100() {
		return nil
	}
	x.mayContinue()
	return x.writeHead(100, nil, false)
}

func (x *Exchange) mayContinue() {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	x.continued = true
	x.bodyStart = stream.Now()
}

// KeepFromContinue says that the body will be read while a response may be
// written: no 100 (Continue) may come in between.
func (x *Exchange) KeepFromContinue() {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	x.continued = true
}

// bodyDeadline is when the next byte of the body must be there, as with
// HTTP/1.1: for the body to keep the minimum rate, and before it was silent for
// too long.
func (x *Exchange) bodyDeadline(o *http1.Options) int64 {
	if x.grpc {
		return streamDeadline(o.StreamSilence)
	}
	minRate := o.BodyMinRate
	silence := stream.Now() + int64(http1.BodySilence)
	if minRate <= 0 {
		return silence
	}
	return min(silence, x.bodyStart+int64(http1.BodyGrace)+x.came/int64(minRate)*int64(1e9))
}

// streamDeadline is when the next message of a stream must be there.
func streamDeadline(silence time.Duration) int64 {
	if silence <= 0 {
		return stream.Never
	}
	return stream.Now() + int64(silence)
}

// HoldBody reads the request body until it is whole or max bytes are held, or
// as many as the client may send ahead. With wait false it takes only what has
// arrived. What is held stays valid until the exchange is over or ReadBody is
// called.
func (x *Exchange) HoldBody(max int, wait bool) (held []byte, whole bool, err error) {
	if wait {
		if err := x.Continue(); err != nil {
			return nil, false, err
		}
	}
	o := x.c.handler.Options()
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	deadline := x.bodyDeadline(o)
	for was := len(x.body); wait && len(x.body) < max && !x.theirEnd && !x.full(); {
		if err := x.bodyTrouble(deadline); err != nil {
			return nil, false, err
		}
		x.wait(deadline)
		if len(x.body) != was {
			was, deadline = len(x.body), x.bodyDeadline(o)
		}
	}
	if x.reset {
		return nil, false, errGone
	}
	x.held = min(len(x.body), max)
	return x.body[:x.held], x.theirEnd && x.held == len(x.body), nil
}

// full reports whether the client may have to wait until some of this body, or
// of another on the connection, is taken before it can send more. c.mu is held.
func (x *Exchange) full() bool { return x.allowed < maxFrame || x.c.bodyRoom() < maxFrame }

// bodyTrouble is why the wait for the body is over. c.mu is held.
func (x *Exchange) bodyTrouble(deadline int64) error {
	switch {
	case x.interrupted:
		return stream.ErrInterrupted
	case x.reset:
		return errGone
	case deadline != stream.Never && stream.Now() >= deadline:
		return http1.ErrBodyTimeout
	}
	return nil
}

// ReadBody returns the next piece of the request body, valid until the next
// call; io.EOF after the last. It goes on behind what was held.
func (x *Exchange) ReadBody() ([]byte, error) {
	if err := x.Continue(); err != nil {
		return nil, err
	}
	o := x.c.handler.Options()
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	x.drop(x.held)
	x.held = 0
	for deadline := x.bodyDeadline(o); len(x.body) == 0; {
		if x.theirEnd && !x.reset {
			return nil, io.EOF
		}
		if err := x.bodyTrouble(deadline); err != nil {
			return nil, err
		}
		x.wait(deadline)
	}
	if x.reset {
		return nil, errGone
	}
	x.taken, x.body = x.body, x.taken[:0]
	x.credit(int64(len(x.taken)))
	return x.taken, nil
}

// drop forgets the first n bytes of the body. c.mu is held.
func (x *Exchange) drop(n int) {
	if n == 0 {
		return
	}
	x.body = append(x.body[:0], x.body[n:]...)
	x.credit(int64(n))
}

// credit lets the client send n bytes more. c.mu is held.
func (x *Exchange) credit(n int64) {
	x.c.unread -= n
	x.c.giveBack(n)
	x.giveBack(n)
}

// giveBack returns bytes of the stream's window to the client, some at a time.
// c.mu is held.
func (x *Exchange) giveBack(n int64) {
	x.returned += n
	if x.returned >= streamWindow/4 && !x.theirEnd && !x.reset {
		x.c.appendWindowUpdate(x.id, uint32(x.returned))
		x.allowed += x.returned
		x.returned = 0
		x.c.tend()
	}
}

// Trailers adds the request's trailer fields that may be forwarded.
func (x *Exchange) Trailers(dst *httpmsg.Fields) {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	announced, _ := x.req.Get(httpmsg.Trailer)
	http1.AddTrailers(dst, x.trailer, announced)
}

// InterruptBody makes ReadBody in another goroutine return; ResumeBody undoes
// it once that goroutine is done.
func (x *Exchange) InterruptBody() {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	x.interrupted = true
	x.cond.Broadcast()
}

// ResumeBody undoes InterruptBody.
func (x *Exchange) ResumeBody() {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	x.interrupted = false
}

// Watch looks for the client leaving; onGone is called from another goroutine,
// at most once. Unwatch must follow.
func (x *Exchange) Watch(onGone func()) {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	x.watch = onGone
	if x.reset {
		x.leave()
	}
}

// Unwatch stops looking and reports whether the client is gone.
func (x *Exchange) Unwatch() (gone bool) {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	x.watch = nil
	for x.notifying {
		x.cond.Wait()
	}
	return x.reset
}

// Gone reports whether the client has given the request up.
func (x *Exchange) Gone() bool {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	return x.reset
}
