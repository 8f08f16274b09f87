package http3

import (
	"context"
	"sync"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/multiplex"
)

// Exchange is one request of a client and its response: a stream. It holds the
// pooled memory that the request lives in.
type Exchange struct {
	// Data belongs to the handler and stays with the pooled exchange.
	Data any

	c         *Conn
	stream    *quic.Stream
	section   multiplex.Section
	req       httpmsg.Request
	head      []byte // the request as text, which req points into
	refusal   *http1.Error
	headStart int64
	first     bool
	idleSince int64
	early     bool
	grpc      bool
	accept    string // the backend's answer to the key of an extended CONNECT; empty: it is none

	// The request body; see body.go.
	in        reader
	left      uint64 // of the DATA frame that is being read
	held      []byte // what HoldBody has shown
	length    int64  // by Content-Length; -1: unknown
	came      int64  // bytes of content
	theirEnd  bool   // the client has sent all of the request, and it was read
	trailed   bool   // no content follows
	trailer   []byte
	bodyStart int64
	continued bool
	bad       error // what was wrong with the body

	// The response; see respond.go.
	out      []byte
	encoder  *qpack.Encoder
	block    blockWriter
	lower    []byte
	sent     int64
	started  bool // a final head is out
	finished bool // the response is whole
	aborted  bool
	spoiled  bool

	unwatch func() bool
	watched *watch
}

// watch is one use of Watch.
type watch struct {
	mu   sync.Mutex
	over bool
	f    func()
}

func (w *watch) fire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.f()
	}
}

var exchanges = sync.Pool{New: func() any {
	x := new(Exchange)
	x.encoder = qpack.NewEncoder(&x.block)
	return x
}}

// task is an exchange to serve.
type task struct{ x *Exchange }

var pool multiplex.Workers[task]

// Run does it.
func (t task) Run() { t.x.run() }

// begin binds a pooled exchange to a stream.
func (x *Exchange) begin(c *Conn, s *quic.Stream) {
	x.c, x.stream = c, s
	x.req.Reset(nil)
	x.in.reset(s)
	x.headStart = stream.Now()
	x.bodyStart = x.headStart
	x.refusal, x.early, x.accept = nil, false, ""
	x.left, x.length, x.came = 0, -1, 0
	x.theirEnd, x.trailed, x.continued, x.bad = false, false, false, nil
	x.held, x.trailer = x.held[:0], x.trailer[:0]
	x.sent, x.started, x.finished, x.aborted, x.spoiled = 0, false, false, false, false
}

// run reads the request and serves it. It is called by a goroutine of the pool.
func (x *Exchange) run() {
	x.early = !x.c.shaken()
	err := x.readHead(x.c.handler.Options())
	switch {
	case err != nil:
		x.giveUp(err)
	case x.refusal != nil:
		x.c.handler.RefuseStream(x, x.refusal)
	default:
		x.c.handler.ServeStream(x)
	}
	x.end(err == nil)
}

// shaken reports whether the handshake is over: nobody else repeats what the
// client says from then on.
func (c *Conn) shaken() bool {
	select {
	case <-c.quic.HandshakeComplete():
		return true
	default:
		return false
	}
}

// end closes the stream and gives the exchange back; answered says that there
// was a request.
func (x *Exchange) end(answered bool) {
	if answered {
		x.close()
	}
	x.stream.ReleaseStreamCredit()
	c, spoiled := x.c, x.spoiled
	x.c, x.stream, x.in.source = nil, nil, nil
	if !spoiled { // otherwise somebody may use it still
		x.trim()
		exchanges.Put(x)
	}
	c.ended()
	c.running.Done()
}

// close ends both directions of the stream.
func (x *Exchange) close() {
	gone := x.Gone()
	if x.aborted || !x.finished {
		x.stream.CancelWrite(quic.StreamErrorCode(x.abortCode()))
	}
	if !x.theirEnd {
		why := codeNo // the rest is not wanted (RFC 9114 4.1)
		if x.aborted || !x.finished {
			why = x.abortCode()
		}
		x.stream.CancelRead(quic.StreamErrorCode(why))
	}
	if gone {
		x.c.failed(x.c.spend(multiplex.CostReset))
	}
}

// abortCode says why a stream ends before its response is whole.
func (x *Exchange) abortCode() code {
	if x.refusal != nil || x.bad != nil {
		return codeMessage
	}
	return codeInternal
}

// maxKept is how large each buffer of a pooled exchange may be.
const maxKept = 64 << 10

func (x *Exchange) trim() {
	x.section.Trim(maxKept)
	for _, p := range []*[]byte{&x.in.buf, &x.held, &x.out, &x.block.buf, &x.head} {
		if cap(*p) > maxKept {
			*p = nil
		}
	}
}

// Conn is the client's connection.
func (x *Exchange) Conn() *Conn { return x.c }

// Request is the request, valid until the exchange is over.
func (x *Exchange) Request() *httpmsg.Request { return &x.req }

// HeadStart is when the stream was opened.
func (x *Exchange) HeadStart() int64 { return x.headStart }

// First reports whether this is the first request on its connection, and since
// when the connection was idle.
func (x *Exchange) First() (first bool, idleSince int64) { return x.first, x.idleSince }

// Early reports whether the request came before the end of the handshake: it
// may be a replay (RFC 8470).
func (x *Exchange) Early() bool { return x.early }

// Received is the size of the request's frames.
func (x *Exchange) Received() int64 { return x.in.total }

// Sent is the size of the response's frames.
func (x *Exchange) Sent() int64 { return x.sent }

// Watch looks for the client leaving; onGone is called from another goroutine,
// at most once. Unwatch must follow.
func (x *Exchange) Watch(onGone func()) {
	x.watched = &watch{f: onGone}
	x.unwatch = context.AfterFunc(x.stream.Context(), x.watched.fire)
}

// Unwatch stops looking and reports whether the client is gone.
func (x *Exchange) Unwatch() (gone bool) {
	if x.unwatch != nil {
		x.unwatch()
		x.watched.mu.Lock() // and waits for onGone
		x.watched.over = true
		x.watched.mu.Unlock()
		x.unwatch, x.watched = nil, nil
	}
	return x.Gone()
}

// Gone reports whether the client has given the request up.
func (x *Exchange) Gone() bool {
	return !x.finished && x.stream.Context().Err() != nil
}
