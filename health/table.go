package health

import (
	"container/heap"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// firstWithin bounds the random delay of a first probe: long enough that
// thousands do not start in the same instant, short enough to know soon.
const firstWithin = time.Second

// Options configure NewTable. The zero value works.
type Options struct {
	// Concurrency bounds how many probes run at once; the others wait,
	// the longest due first. If zero, 512: what does not answer holds its
	// place for a whole timeout.
	Concurrency int
}

// Table runs probes and holds their verdicts. Add watches at any time; they
// are probed while Run runs.
type Table struct {
	slots chan struct{}
	wake  chan struct{} // capacity 1: the head of the queue has changed

	mu       sync.Mutex
	queue    queue                         // what waits for its next probe
	byKey    map[string]*Watch             // the latest watch of each key
	byGroup  map[group]map[*Watch]struct{} // all that run
	recalled recollection
}

// NewTable returns a table that watches nothing.
func NewTable(o Options) *Table {
	if o.Concurrency <= 0 {
		o.Concurrency = 512
	}
	return &Table{
		slots:   make(chan struct{}, o.Concurrency),
		wake:    make(chan struct{}, 1),
		byKey:   make(map[string]*Watch),
		byGroup: make(map[group]map[*Watch]struct{}),
	}
}

// Watch is one probed thing. Its status is read without a lock.
type Watch struct {
	table   *Table
	subject Subject
	changed func(Status)
	status  atomic.Pointer[Status]

	// Guarded by table.mu.
	checker    Checker
	policy     Policy
	generation int // counts Updates: the result of a probe begun before is void
	due        time.Time
	index      int                // in table.queue; -1 if it is not there
	taken      bool               // from the queue, to be probed: probe puts it back
	cancel     context.CancelFunc // ends the running probe; nil if none runs
	spread     bool               // the first probe of a steady policy is over
	paused     bool
	stopped    bool
}

// Watch adds a thing to be probed. If one with the same key is being watched,
// the new watch begins with its status, and Lookup finds the new one. Else it
// begins with the best that watches know which ask the address in the same way.
// Where there are none, it begins untried, but for an address that all others
// call unhealthy: what is known to be down is not tried on clients because it
// is to be asked in another way. One success brings it back then.
//
// changed, if not nil, is called after a probe has changed State or Usable,
// one call at a time and with no lock held; after Stop it may be called once
// more.
func (t *Table) Watch(about Subject, c Checker, p Policy, changed func(Status)) *Watch {
	p = p.withDefaults()
	w := &Watch{table: t, subject: about, changed: changed, checker: c, policy: p}
	now := time.Now()
	w.due = now.Add(rand.N(min(p.Interval, firstWithin)))

	t.mu.Lock()
	defer t.mu.Unlock()
	status := t.begin(about, p, now).judge(p)
	w.status.Store(&status)
	t.byKey[about.Key] = w
	for _, g := range about.groups() {
		if t.byGroup[g] == nil {
			t.byGroup[g] = make(map[*Watch]struct{})
		}
		t.byGroup[g][w] = struct{}{}
	}
	t.push(w)
	return w
}

// Lookup returns the status of the thing with the given key, and false if
// nothing of that key is watched.
func (t *Table) Lookup(key string) (Status, bool) {
	t.mu.Lock()
	w := t.byKey[key]
	t.mu.Unlock()
	if w == nil {
		return Status{}, false
	}
	return w.Status(), true
}

// Status returns what is known now.
func (w *Watch) Status() Status { return *w.status.Load() }

// Update replaces the checker and the policy; the verdict so far stands. A
// probe that runs is abandoned and begun anew, and the next one comes no
// later than the new interval says. It does not call changed.
func (w *Watch) Update(c Checker, p Policy) {
	p = p.withDefaults()
	t := w.table
	t.mu.Lock()
	defer t.mu.Unlock()
	w.checker, w.policy = c, p
	w.generation++
	status := w.Status().judge(p)
	w.status.Store(&status)
	switch {
	case w.cancel != nil:
		w.cancel()
	case w.index >= 0:
		if latest := time.Now().Add(p.Interval); w.due.After(latest) {
			w.due = latest
		}
		heap.Fix(&t.queue, w.index)
		t.poke()
	}
}

// Stop ends the watch. A running probe is told to end, and its result is
// void.
func (w *Watch) Stop() {
	t := w.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.stopped {
		return
	}
	w.stopped = true
	if w.index >= 0 {
		heap.Remove(&t.queue, w.index)
	}
	if w.cancel != nil {
		w.cancel()
	}
	if t.byKey[w.subject.Key] == w {
		delete(t.byKey, w.subject.Key)
	}
	for _, g := range w.subject.groups() {
		delete(t.byGroup[g], w)
		if len(t.byGroup[g]) == 0 {
			delete(t.byGroup, g)
		}
	}
}

// Run probes until ctx is done, and returns when no probe runs any more.
func (t *Table) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case t.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		w := t.next(ctx)
		if w == nil {
			<-t.slots
			return
		}
		running.Go(func() {
			t.probe(ctx, w)
			<-t.slots
		})
	}
}

// next waits until something is due and takes it from the queue; nil once
// ctx is done.
func (t *Table) next(ctx context.Context) *Watch {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		w, wait := t.pop()
		if w != nil {
			return w
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-t.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// pop takes what is due from the queue, or says how long to wait for it.
func (t *Table) pop() (*Watch, time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		return nil, time.Hour
	}
	if wait := time.Until(t.queue[0].due); wait > 0 {
		return nil, wait
	}
	w := heap.Pop(&t.queue).(*Watch)
	w.taken = true
	return w, 0
}

// probe runs one probe, tells of a change, and queues the next.
func (t *Table) probe(ctx context.Context, w *Watch) {
	t.mu.Lock()
	if w.stopped || w.paused {
		w.taken = false
		t.mu.Unlock()
		return
	}
	checker, policy, generation := w.checker, w.policy, w.generation
	probeCtx, cancel := context.WithTimeout(ctx, policy.Timeout)
	w.cancel = cancel
	t.mu.Unlock()

	start := time.Now()
	err := checker.Check(probeCtx)
	if err != nil && errors.Is(probeCtx.Err(), context.DeadlineExceeded) {
		err = timeoutError(policy.Timeout)
	}
	cancel()
	if ctx.Err() == nil {
		t.record(w, generation, start, err)
	}
	t.requeue(w, generation, start)
}

// record enters a result, unless it is void.
func (t *Table) record(w *Watch, generation int, start time.Time, err error) {
	t.mu.Lock()
	if w.stopped || w.generation != generation {
		t.mu.Unlock()
		return
	}
	before, now := w.Status(), time.Now()
	after := before.observe(w.policy, now, now.Sub(start), err)
	w.status.Store(&after)
	t.mu.Unlock()
	if w.changed != nil && (before.State != after.State || before.Usable != after.Usable) {
		w.changed(after)
	}
}

// requeue sets when the next probe is due: an interval after the last one
// began, or at once if that took longer or was abandoned.
func (t *Table) requeue(w *Watch, generation int, start time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.cancel, w.taken = nil, false
	if w.stopped || w.paused {
		return
	}
	w.due = time.Now()
	if w.generation == generation {
		if next := start.Add(w.gap()); next.After(w.due) {
			w.due = next
		}
	}
	t.push(w)
}

// gap is the time from the start of a probe to the next. The caller holds
// table.mu.
func (w *Watch) gap() time.Duration {
	switch {
	case !w.policy.Steady:
		return jitter(w.policy.Interval)
	case !w.spread:
		w.spread = true
		return rand.N(w.policy.Interval)
	}
	return w.policy.Interval
}

// jitter is d, a tenth more or less, so that what began together does not
// stay together.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// push queues w. The caller holds t.mu.
func (t *Table) push(w *Watch) {
	heap.Push(&t.queue, w)
	if w.index == 0 {
		t.poke()
	}
}

func (t *Table) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// timeoutError is the reason for a probe that took too long.
type timeoutError time.Duration

func (e timeoutError) Error() string { return "timeout after " + time.Duration(e).String() }

// queue is a heap of watches by due time; each knows its index.
type queue []*Watch

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push implements [heap.Interface].
func (q *queue) Push(x any) {
	w := x.(*Watch)
	w.index = len(*q)
	*q = append(*q, w)
}

// Pop implements [heap.Interface].
func (q *queue) Pop() any {
	old := *q
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	w.index = -1
	return w
}
