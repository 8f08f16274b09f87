package proxy

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/stream"
)

// Why a request did not get a place. They are [ErrBusy] in other words.
var (
	ErrFull         = fmt.Errorf("%w: the pool is at maxRequests", ErrBusy)
	ErrQueueFull    = fmt.Errorf("%w: the queue is full", ErrBusy)
	ErrQueueTimeout = fmt.Errorf("%w: waited for queue.timeout", ErrBusy)
)

// queue is the requests that wait for a member, first come, first served.
// Only the first ever asks for one: whoever gives a place back wakes it, and
// when it leaves it wakes the next, so that nobody is overtaken and there is no
// rush when many places become free at once.
type queue struct {
	waiting atomic.Int64 // read whenever a request ends, written by who waits
	length  atomic.Int64 // how many may wait; 0: nobody

	mu          sync.Mutex
	first, last *Ticket
	full        uint64
	ended       [outcomes]uint64
	waits       waits
}

// Ticket is a request's place in the queue of a pool. It is for one goroutine,
// which must Leave.
type Ticket struct {
	q          *queue
	turn       chan struct{} // capacity 1
	from       int64
	prev, next *Ticket
}

// WaitOutcome is how a request's wait in a queue ended.
type WaitOutcome uint8

const (
	WaitServed   WaitOutcome = iota // it has a member
	WaitTimedOut                    // it waited for too long
	WaitLeft                        // its client left
	WaitFailed                      // there was nobody left to wait for
	outcomes     = iota
)

// String is the outcome as metrics have it.
func (o WaitOutcome) String() string {
	names := [...]string{"served", "timeout", "client_left", "no_member"}
	if int(o) < len(names) {
		return names[o]
	}
	return "invalid"
}

// Waiting tells whether requests wait for a member of the pool: who comes now
// has to queue.
func (p *Pool) Waiting() bool { return p.live.queue.waiting.Load() > 0 }

// Queue takes a place behind those that wait. The error is ErrQueueFull, or
// ErrBusy if the pool has no queue.
func (p *Pool) Queue() (*Ticket, error) {
	q := p.live.queue
	most := q.length.Load()
	if most == 0 {
		return nil, ErrBusy
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting.Load() >= most {
		q.full++
		return nil, ErrQueueFull
	}
	t := &Ticket{q: q, turn: make(chan struct{}, 1), from: stream.Now(), prev: q.last}
	if q.last == nil {
		q.first = t
	} else {
		q.last.next = t
	}
	q.last = t
	// Counted before the first try: what ends after that sees that somebody
	// waits, and what has ended before leaves a place that the try finds.
	q.waiting.Add(1)
	q.wakeFirst()
	return t, nil
}

// Turn is ready when the request is the first and should try to get a member.
// If it gets none it waits on.
func (t *Ticket) Turn() <-chan struct{} { return t.turn }

// Leave gives the place up.
func (t *Ticket) Leave(how WaitOutcome) {
	q := t.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.prev == nil {
		q.first = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next == nil {
		q.last = t.prev
	} else {
		t.next.prev = t.prev
	}
	q.waiting.Add(-1)
	q.ended[how]++
	q.waits.observe(stream.Now() - t.from)
	q.wakeFirst()
}

// wake has the first in the queue try: there may be a place.
func (q *queue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wakeFirst()
}

func (q *queue) wakeFirst() {
	if q.first == nil {
		return
	}
	select {
	case q.first.turn <- struct{}{}:
	default: // it is awake
	}
}

// freed tells the queue that there may be a place.
func (q *queue) freed() {
	if q.waiting.Load() > 0 {
		q.wake()
	}
}

// waitBounds are the buckets of waits, in seconds.
var waitBounds = [...]float64{.001, .005, .01, .05, .1, .5, 1, 5, 10, 60}

// waits counts how long requests have waited.
type waits struct {
	n       uint64
	sum     int64 // nanoseconds
	buckets [len(waitBounds)]uint64
}

func (w *waits) observe(ns int64) {
	w.n++
	w.sum += ns
	for i, bound := range waitBounds {
		if time.Duration(ns).Seconds() <= bound {
			w.buckets[i]++
		}
	}
}

// QueueStatus is the state of a pool's queue. The totals are since the pool
// was there first.
type QueueStatus struct {
	Length   int    `json:"length"` // how many may wait
	Waiting  int    `json:"waiting"`
	Full     uint64 `json:"full"` // refused because as many waited
	Served   uint64 `json:"served"`
	TimedOut uint64 `json:"timedOut"`
	Left     uint64 `json:"left"` // their clients left
	Failed   uint64 `json:"failed"`

	Waits       uint64             `json:"waits"`
	WaitSeconds float64            `json:"waitSeconds"` // of all together
	Buckets     map[float64]uint64 `json:"-"`           // cumulative, by upper bound in seconds
}

// status is nil for a pool that never had a queue.
func (q *queue) status() *QueueStatus {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.length.Load() == 0 && q.waits.n == 0 {
		return nil
	}
	s := &QueueStatus{
		Length: int(q.length.Load()), Waiting: int(q.waiting.Load()), Full: q.full,
		Served: q.ended[WaitServed], TimedOut: q.ended[WaitTimedOut], Left: q.ended[WaitLeft], Failed: q.ended[WaitFailed],
		Waits: q.waits.n, WaitSeconds: time.Duration(q.waits.sum).Seconds(), Buckets: map[float64]uint64{},
	}
	for i, bound := range waitBounds {
		s.Buckets[bound] = q.waits.buckets[i]
	}
	return s
}
