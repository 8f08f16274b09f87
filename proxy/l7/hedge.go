package l7

import (
	"context"
	"errors"
	"sync"
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy"
	"gatehouse/proxy/http1"
)

// errHedgeStopped ends a hedge that the flow needs no more.
var errHedgeStopped = errors.New("hedge was stopped")

// hedge is a second attempt beside the first, whose response takes long: the
// head that comes first wins, and the other attempt is given up (J. Dean, L.
// Barroso, The Tail at Scale, 2013). It has a goroutine and memory of its own.
// The flow reads what it found once done is closed.
type hedge struct {
	f       *flow
	up      *http1.Upstream
	backend *proxy.Backend
	t       *Transport
	done    chan struct{}

	// Found by the goroutine.
	err       error // nil: up has a final head
	connected int64
	answered  int64
	connect   int64 // how long it took
	reused    bool

	mu      sync.Mutex
	cancel  context.CancelFunc // of the dial
	conn    *http1.ClientConn  // nil: not bound yet, or not any more
	stopped bool
	won     bool // this head is the first: the flow's own was interrupted
	lost    bool // the flow has its own
}

// mayHedge tells whether a second member may be asked at the same time. Package
// config sees to it that members are asked over HTTP/1.1.
func (f *flow) mayHedge() bool {
	return f.target.Settings.Hedge.After > 0 && f.req.Body == httpmsg.BodyNone && f.req.UpgradeTo.Len == 0 &&
		(f.req.Method == httpmsg.GET || f.req.Method == httpmsg.HEAD)
}

// hedgedHead awaits the response head, from another member as well once the
// first has taken long. It returns the transport of the one that answered, and
// whether the client left.
func (f *flow) hedgedHead(t *Transport, deadline int64) (*Transport, error, bool) {
	err, gone := f.watchedHead(f.connected + min(int64(f.target.Settings.Hedge.After), deadline-f.connected))
	if err != stream.ErrTimeout || gone || stream.Now() >= deadline {
		return t, err, gone
	}
	h := f.startHedge(deadline)
	if h == nil {
		err, gone = f.watchedHead(deadline)
		return t, err, gone
	}
	f.hedge = h
	f.x.Watch(func() { f.up.Interrupt(); h.stop() })
	err = f.finalHead(deadline)
	if err == nil && h.beaten() {
		h.stop()
	}
	<-h.done // with an error of the first, the other one may still answer
	gone = f.x.Unwatch()
	f.hedge = nil
	if !h.won || gone {
		f.dropHedge(h)
		return t, err, gone
	}
	return f.adopt(t, h), nil, false
}

// watchedHead awaits the response head with an eye on the client.
func (f *flow) watchedHead(deadline int64) (err error, gone bool) {
	f.x.Watch(f.up.Interrupt)
	err = f.finalHead(deadline)
	return err, f.x.Unwatch()
}

// endHedgeOf ends, after a bug, what is left of a hedge.
func (f *flow) endHedgeOf(h *hedge) {
	if h != nil {
		f.hedge = nil
		h.stop()
		<-h.done
		f.dropHedge(h)
	}
	f.endHedge()
}

// startHedge asks a second member; nil if there is none, or the budget of
// retries is spent.
func (f *flow) startHedge(deadline int64) *hedge {
	f.endHedge() // of an attempt before this one, which a hedge has won
	p := f.target.Pool
	b, err := p.AcquireFor(f.hashKey(), f.backend)
	if err != nil {
		return nil
	}
	if !p.BeginHedge(f.target.Settings.Retries.Budget) {
		b.End()
		return nil
	}
	f.hedging = true
	if f.spare == nil {
		f.spare = http1.NewUpstream()
	}
	h := &hedge{f: f, up: f.spare, backend: b, t: b.Attached().(*Transport), done: make(chan struct{})}
	f.rec.Hedge = "lost"
	f.setHost(b)
	connect := min(f.target.Settings.ConnectTimeout, time.Duration(deadline-stream.Now()))
	go h.run(f.shard, connect, f.snap.Limits.WriteStall, f.snap.Limits.ResponseHeadBytes, deadline)
	return h
}

// run asks the member. It makes the flow's own wait end when it has the first
// head, or when that is over as well.
func (h *hedge) run(shard uint32, connectTimeout, stall time.Duration, maxHead int, deadline int64) {
	defer close(h.done)
	defer h.f.gw.survive(func() { h.err = errClientGone })
	h.err = errHedgeStopped
	c, err := h.connection(shard, connectTimeout)
	if err != nil {
		h.err = err
		return
	}
	c.Stream.Stall = stall
	h.up.Bind(c, maxHead)
	if !h.bound(c) {
		return
	}
	h.connected = stream.Now()
	if h.err = h.up.Start(h.f.req, nil, true, deadline); h.err != nil {
		return
	}
	if h.err = h.head(deadline); h.err == nil {
		h.answered = stream.Now()
		h.first()
	}
}

// head reads heads until a final one. Informational ones are for who has the
// first, and that may be the other.
func (h *hedge) head(deadline int64) error {
	for {
		if err := h.up.ReadHead(deadline); err != nil {
			return err
		}
		if h.up.Response.Status >= 200 {
			return nil
		}
	}
}

// connection is a kept connection to the member or a new one.
func (h *hedge) connection(shard uint32, timeout time.Duration) (*http1.ClientConn, error) {
	if c := h.t.get(shard, false); c != nil {
		h.reused = true
		return c, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	h.mu.Lock()
	h.cancel = cancel
	stopped := h.stopped
	h.mu.Unlock()
	if stopped {
		return nil, errHedgeStopped
	}
	from := stream.Now()
	c, err := h.t.dial(ctx)
	h.connect = stream.Now() - from
	switch {
	case err == nil:
		h.backend.ConnectOK()
	case !isOurs(err) && !h.isStopped():
		h.backend.ConnectFailed(err)
	}
	return c, err
}

// bound notes the connection for who stops the hedge; false: that has happened.
func (h *hedge) bound(c *http1.ClientConn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conn = c
	return !h.stopped
}

func (h *hedge) isStopped() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stopped
}

// first says that the hedge has a head, and stops the flow's wait for its own
// if that has none.
func (h *hedge) first() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped || h.lost {
		return
	}
	h.won = true
	h.f.up.Interrupt()
}

// beaten says that the flow has a head of its own; false: the hedge was first.
func (h *hedge) beaten() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lost = !h.won
	return h.lost
}

// stop makes the hedge's goroutine return soon.
func (h *hedge) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
	if h.cancel != nil {
		h.cancel()
	}
	if h.conn != nil {
		h.conn.Stream.Interrupt()
	}
}

// dropHedge ends a hedge that is of no use. Its connection goes with it: a
// response may be on its way.
func (f *flow) dropHedge(h *hedge) {
	f.judge(h)
	f.endAttempt(h.up, h.t, h.backend)
	f.endHedge()
	f.setHost(f.backend)
}

// judge tells the member what became of a hedge that did not win.
func (f *flow) judge(h *hedge) {
	now := stream.Now()
	switch {
	case h.connected == 0: // it was not asked
	case h.isStopped() || h.err == nil:
		h.backend.Abandoned(now, now-h.connected)
	case !h.reused:
		h.backend.Failed(shortError(h.err))
	}
}

// adopt makes the hedge the attempt of the flow, and gives the first one up.
func (f *flow) adopt(t *Transport, h *hedge) *Transport {
	now := stream.Now()
	f.backend.Abandoned(now, now-f.connected)
	f.endAttempt(f.one, t, f.backend)
	f.one, f.spare, f.backend = h.up, f.one, h.backend
	f.up = f.one
	f.connected, f.answered = h.connected, h.answered
	r := &f.rec
	r.Tr, r.BackendStatus, r.Backend, r.Reused, r.Tc = h.answered-h.connected, f.one.Response.Status, h.backend.Name(), h.reused, h.connect
	r.Hedge = "won"
	f.repin = f.repin || f.pin != nil && f.backend != f.pin
	f.target.Pool.HedgeWon()
	return h.t
}

// endAttempt closes the connection of an attempt and gives its member back.
func (f *flow) endAttempt(up *http1.Upstream, t *Transport, b *proxy.Backend) {
	if c := up.Conn(); c != nil {
		up.Release()
		t.discard(c)
	}
	b.End()
}

// endHedge ends what startHedge counted with the pool.
func (f *flow) endHedge() {
	if f.hedging {
		f.hedging = false
		f.target.Pool.EndRetry()
	}
}
