//go:build linux

package load

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"os"
	"runtime"
	"sync"
	"time"

	"gatehouse/bench/proc"
)

// openGrace is how long an open loop waits for the last replies.
const openGrace = 2 * time.Second

// maxExtension bounds how much longer a run takes for the sake of
// Options.AtLeast.
const maxExtension = 10 * time.Second

// self is the group of Result.CPU that is the generator itself.
const self = "load"

// Run drives the proxy as the options say. Wrong replies and broken
// connections do not end a run, they are counted in the result; an error
// means that there is no result.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	var config *tls.Config
	if o.TLS != nil {
		var err error
		if config, err = o.TLS.config(); err != nil {
			return nil, err
		}
	}
	if o.QUIC {
		return runQUIC(ctx, &o, config)
	}
	if o.Streams > 0 {
		return runStreams(ctx, &o)
	}
	if config != nil && o.PerRequest {
		return runHandshakes(ctx, &o, config)
	}
	return runLoops(ctx, &o, config)
}

// runLoops is Run with event loops.
func runLoops(ctx context.Context, o *Options, config *tls.Config) (*Result, error) {
	win := newWindow()
	threads, err := newThreads(o, win, config)
	if err != nil {
		return nil, err
	}
	// The loops keep their processors; one more is for who measures.
	before := runtime.GOMAXPROCS(len(threads) + 1)
	defer runtime.GOMAXPROCS(before)

	all := make([]*counters, len(threads))
	var loops sync.WaitGroup
	for i, t := range threads {
		all[i] = &t.counters
		if o.Rate > 0 {
			now := win.now()
			t.plan = newSchedule(now, now+o.Warmup+o.Duration, o.Rate/float64(len(threads)))
		}
		loops.Go(t.run)
	}
	m := &meter{opts: o, win: win, counters: all}
	err = m.measure(ctx, &loops)
	win.stop.Store(true)
	loops.Wait()
	if err != nil {
		return nil, err
	}
	return m.result(), nil
}

// newThreads makes the event loops and connects them.
func newThreads(o *Options, win *window, config *tls.Config) ([]*thread, error) {
	requests, err := o.requests()
	if err != nil {
		return nil, err
	}
	threads := make([]*thread, 0, max(1, o.Threads))
	for i := range cap(threads) {
		conns := (o.Conns + i) / cap(threads)
		t, err := newThread(o, win, config, requests, conns)
		if err == nil {
			threads = append(threads, t)
			err = t.connect()
		}
		if err != nil {
			for _, t := range threads {
				t.close()
			}
			return nil, err
		}
	}
	return threads, nil
}

// meter measures what happens between the two ends of the window.
type meter struct {
	opts     *Options
	win      *window
	counters []*counters

	seconds float64
	count   uint64
	cpu     map[string]int64
}

// snapshot is the state of the counters at one moment.
type snapshot struct {
	at    time.Time
	count uint64
	cpu   map[string]int64
}

func (m *meter) snapshot() (snapshot, error) {
	s := snapshot{cpu: make(map[string]int64)}
	groups := maps.Clone(m.opts.Watch)
	if groups == nil {
		groups = make(map[string][]int)
	}
	groups[self] = []int{os.Getpid()}
	var errs []error
	for name, pids := range groups {
		cpu, err := proc.CPUTime(pids...)
		s.cpu[name] = int64(cpu)
		errs = append(errs, err)
	}
	s.count = m.completed()
	s.at = time.Now()
	return s, errors.Join(errs...)
}

// measure waits for the warm-up, opens the window, waits for its end, and for
// the last replies of an open loop.
func (m *meter) measure(ctx context.Context, loops *sync.WaitGroup) error {
	if err := sleep(ctx, m.opts.Warmup); err != nil {
		return err
	}
	now := m.win.now()
	if m.opts.AtLeast == 0 {
		m.win.end.Store(int64(now + m.opts.Duration))
	}
	m.win.begin.Store(int64(now))
	from, err := m.snapshot()
	if err != nil {
		return err
	}
	if err := sleep(ctx, m.opts.Duration); err != nil {
		return err
	}
	if err := m.extend(ctx, from.count+m.opts.AtLeast); err != nil {
		return err
	}
	to, err := m.snapshot()
	if err != nil {
		return err
	}
	m.difference(from, to)
	if m.opts.Rate > 0 {
		await(loops, openGrace)
	}
	return nil
}

// extend waits until enough replies have been counted, and closes the window.
func (m *meter) extend(ctx context.Context, enough uint64) error {
	if m.opts.AtLeast == 0 {
		return nil
	}
	for waited := time.Duration(0); m.completed() < enough && waited < maxExtension; waited += tickEvery {
		if err := sleep(ctx, tickEvery); err != nil {
			return err
		}
	}
	m.win.end.Store(int64(m.win.now()))
	return nil
}

// completed is how many replies all threads have had since the start.
func (m *meter) completed() (n uint64) {
	for _, c := range m.counters {
		n += c.completed.Load()
	}
	return n
}

func (m *meter) difference(from, to snapshot) {
	m.seconds = to.at.Sub(from.at).Seconds()
	m.count = to.count - from.count
	m.cpu = make(map[string]int64)
	for name, cpu := range to.cpu {
		m.cpu[name] = cpu - from.cpu[name]
	}
}

// result sums up the counters, whose owners have ended.
func (m *meter) result() *Result {
	var hist Histogram
	r := &Result{Requests: m.count, Seconds: m.seconds, CPU: m.cpu, CPUCount: m.count, Errors: make(map[string]int64)}
	for _, c := range m.counters {
		hist.Add(&c.hist)
		r.Total += c.completed.Load()
		r.Reconnects += c.reconnects
		r.Unanswered += c.unanswered
		for name, n := range c.errors {
			r.Errors[name] += n
		}
		if c.agreed != "" {
			r.TLS = c.agreed
		}
	}
	r.RPS = float64(r.Requests) / r.Seconds
	r.P50 = milliseconds(hist.Quantile(0.50))
	r.P99 = milliseconds(hist.Quantile(0.99))
	r.Max = milliseconds(hist.Max())
	return r
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// await waits for the group, at most for the given time.
func await(group *sync.WaitGroup, limit time.Duration) {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(limit):
	}
}
