//go:build linux

package load

import (
	"crypto/tls"
	"io"
	"math"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"gatehouse/bench/sock"
)

const (
	tickEvery = 50 * time.Millisecond
	// maxErrors ends a run that can only fail.
	maxErrors = 1000
	// sources are the addresses that connections per request come from.
	sources = 16
)

// window is the part of a run that counts, shared by its threads. Times count
// from the start of the run.
type window struct {
	base       time.Time
	begin, end atomic.Int64
	stop       atomic.Bool
}

func newWindow() *window {
	w := &window{base: time.Now()}
	w.begin.Store(math.MaxInt64)
	w.end.Store(math.MaxInt64)
	return w
}

func (w *window) now() time.Duration { return time.Since(w.base) }

func (w *window) holds(t time.Duration) bool {
	return int64(t) >= w.begin.Load() && int64(t) < w.end.Load()
}

// counters are what a thread or a worker finds out.
type counters struct {
	completed  atomic.Uint64 // checked replies since the start, read by others
	hist       Histogram     // those within the window
	errors     map[string]int64
	failed     int64
	reconnects int64
	unanswered int64
	agreed     string // TLS parameters
}

func (c *counters) fail(err error) {
	c.errors[label(err)]++
	c.failed++
}

// thread is one event loop with its share of the connections.
type thread struct {
	opts     *Options
	win      *window
	tls      *tls.Config
	requests [][]byte
	want     expectation
	poll     *sock.Poll
	conns    []*conn
	idle     []*conn   // open loop: free for the next request
	plan     *schedule // open loop; nil: closed loop
	scratch  []byte
	turn     int // requests sent so far, for hosts and source addresses
	lastTick time.Duration

	counters
}

func newThread(o *Options, win *window, config *tls.Config, requests [][]byte, conns int) (*thread, error) {
	poll, err := sock.NewPoll(256)
	if err != nil {
		return nil, err
	}
	t := &thread{opts: o, win: win, tls: config, requests: requests, want: o.expectation(), poll: poll, scratch: make([]byte, 64<<10)}
	t.errors = make(map[string]int64)
	for i := range conns {
		t.conns = append(t.conns, &conn{t: t, token: int32(i), fd: -1, head: make([]byte, maxReplyHead)})
	}
	return t, nil
}

// connect opens all connections.
func (t *thread) connect() error {
	for _, c := range t.conns {
		if err := c.open(); err != nil {
			return err
		}
	}
	return nil
}

// run drives the connections until the window is over. It keeps its OS thread
// and its processor: nothing else runs there.
func (t *thread) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer t.close()
	for _, c := range t.conns {
		t.next(c)
	}
	for !t.over() {
		t.dispatch()
		events, err := t.poll.Wait(t.patience())
		if err != nil {
			t.fail(err)
			return
		}
		for i := range events {
			t.handle(t.conns[events[i].Fd])
		}
		t.tick()
	}
}

func (t *thread) over() bool {
	if t.win.stop.Load() || t.failed > maxErrors {
		return true
	}
	return t.plan != nil && t.plan.over() && len(t.idle) == len(t.conns)
}

func (t *thread) patience() time.Duration {
	if t.plan == nil {
		return tickEvery
	}
	if len(t.idle) == 0 {
		return time.Millisecond
	}
	return t.plan.wait(t.win.now(), time.Millisecond)
}

// dispatch sends what is due, as far as there are free connections.
func (t *thread) dispatch() {
	for t.plan != nil && len(t.idle) > 0 {
		now := t.win.now()
		due, ok := t.plan.take(now)
		if !ok {
			return
		}
		// The one that has been free for longest: taking the latest would
		// use few connections, and so favour one worker of a proxy.
		c := t.idle[0]
		t.idle = t.idle[:copy(t.idle, t.idle[1:])]
		t.start(c, due, now)
	}
}

func (t *thread) start(c *conn, started, now time.Duration) {
	request := t.requests[t.turn*hostStride%len(t.requests)]
	t.turn++
	if err := c.send(request, started, now); err != nil {
		t.broken(c, err)
	}
}

// next gives a connection that is free something to do.
func (t *thread) next(c *conn) {
	if t.plan != nil {
		t.idle = append(t.idle, c)
		return
	}
	now := t.win.now()
	t.start(c, now, now)
}

func (t *thread) handle(c *conn) {
	if c.fd < 0 {
		return
	}
	done, err := c.ready()
	switch {
	case err == io.EOF && !c.busy:
		t.reconnects++
		t.reopen(c)
	case err != nil:
		t.broken(c, err)
	case done:
		t.finished(c)
	}
}

func (t *thread) finished(c *conn) {
	now := t.win.now()
	t.completed.Store(t.completed.Load() + 1) // the only writer: no locked instruction
	reference := now
	if t.plan != nil {
		reference = c.started
	}
	if t.win.holds(reference) {
		t.hist.Record(now - c.started)
	}
	c.busy = false
	if t.opts.PerRequest || c.reply.close {
		t.renew(c)
		return
	}
	t.next(c)
}

// renew replaces a connection that has served its last request.
func (t *thread) renew(c *conn) {
	if !t.opts.PerRequest {
		t.reconnects++
	}
	began := t.win.now()
	c.close()
	if err := c.open(); err != nil {
		t.broken(c, err)
		return
	}
	if t.plan != nil {
		t.idle = append(t.idle, c)
		return
	}
	t.start(c, began, began)
}

// reopen replaces an idle connection that the proxy has closed; in an open
// loop it is, and stays, among the free ones.
func (t *thread) reopen(c *conn) {
	c.close()
	if err := c.open(); err != nil {
		t.drop(c)
		t.broken(c, err)
	}
}

func (t *thread) drop(c *conn) {
	t.idle = slices.DeleteFunc(t.idle, func(other *conn) bool { return other == c })
}

// broken counts an error; the connection is opened again by a later tick.
func (t *thread) broken(c *conn, err error) {
	if !c.busy {
		t.drop(c)
	}
	t.fail(err)
	c.close()
	c.expires = t.win.now() + retryDelay
}

// tick ends requests that have taken too long and revives broken connections.
func (t *thread) tick() {
	now := t.win.now()
	if now-t.lastTick < tickEvery {
		return
	}
	t.lastTick = now
	for _, c := range t.conns {
		switch {
		case c.busy && now > c.expires:
			t.broken(c, errTimeout)
		case c.fd < 0 && now > c.expires:
			t.revive(c)
		}
	}
}

func (t *thread) revive(c *conn) {
	if err := c.open(); err != nil {
		t.broken(c, err)
		return
	}
	t.next(c)
}

// close ends all connections and counts what was due and not answered.
func (t *thread) close() {
	for _, c := range t.conns {
		if t.plan != nil && c.busy && t.win.holds(c.started) {
			t.unanswered++
		}
		c.close()
	}
	if t.plan != nil {
		t.unanswered += t.plan.left()
	}
	t.poll.Close()
}

// source is the address that the next connection comes from.
func (t *thread) source() netip.Addr {
	if !t.opts.PerRequest {
		return netip.Addr{}
	}
	return sourceAddr(t.turn)
}

func sourceAddr(turn int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 0, 1, byte(1 + turn%sources)})
}
