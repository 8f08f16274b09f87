package proxy

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/config"
)

const (
	// adaptWindow and adaptSamples are how long, and how many responses, are
	// looked at before a limit is changed.
	adaptWindow  = int64(time.Second)
	adaptSamples = 10
	// adaptStart is the first limit of a member of which nothing is known.
	adaptStart = 20
	// adaptDrift is what the baseline rises by in a window at the least limit:
	// half a minute after a member has become slower for good, that is taken
	// for normal.
	adaptDrift = 1.02
	// adaptOutlier is how much more than what is tolerated a single response
	// counts at most: one timeout is no overload.
	adaptOutlier = 4
)

// adaptive finds the limit of requests in flight to a member by its response
// times: additive increase, multiplicative decrease, where the decrease is the
// gradient of Envoy's adaptive concurrency filter and of Netflix's
// concurrency-limits, what is tolerated by what was measured. The baseline is
// the lowest mean of a window; it drifts up only at the least limit.
type adaptive struct {
	opts config.Adaptive
	b    *Backend

	limit    atomic.Int64
	baseline atomic.Int64 // nanoseconds; 0: unknown

	// Of the current window.
	ends    atomic.Int64
	n, sum  atomic.Int64
	used    atomic.Bool // at least half of the limit was in use
	turning atomic.Bool
}

// adapt gives a backend the adaptive limit that the options ask for. What was
// learnt stays.
func (b *Backend) adapt(fixed int, o config.Adaptive) {
	b.limits.Lock()
	defer b.limits.Unlock()
	b.fixed = int64(fixed)
	old := b.adaptive.Load()
	switch {
	case o.Max == 0:
		b.adaptive.Store(nil)
	case old == nil || old.opts != o:
		a := &adaptive{opts: o, b: b}
		a.limit.Store(a.within(adaptStart))
		if old != nil {
			a.limit.Store(a.within(old.limit.Load()))
			a.baseline.Store(old.baseline.Load())
		}
		b.adaptive.Store(a)
	}
	b.setLimit()
}

// limits guards what a backend's limit is made of.
type limits struct {
	sync.Mutex
	fixed int64 // 0: none
}

// setLimit puts the lower limit into force. The caller holds b.limits.
func (b *Backend) setLimit() {
	most := b.fixed
	if a := b.adaptive.Load(); a != nil {
		if l := a.limit.Load(); most == 0 || l < most {
			most = l
		}
	}
	b.limit.Store(most)
}

func (a *adaptive) within(n int64) int64 {
	return min(max(n, int64(a.opts.Min), 1), int64(a.opts.Max))
}

// tolerated is the mean response time up to which the limit rises.
func (a *adaptive) tolerated() int64 { return a.baseline.Load() * int64(a.opts.Tolerance) / 100 }

// observe takes note of a response, or of a failure as one that took long.
func (a *adaptive) observe(now, took int64) {
	if t := a.tolerated(); t > 0 {
		took = min(took, adaptOutlier*t)
	}
	a.sum.Add(took)
	n := a.n.Add(1)
	if !a.used.Load() && int64(a.b.InFlight())*2 >= a.limit.Load() {
		a.used.Store(true)
	}
	if n >= adaptSamples && now >= a.ends.Load() && a.turning.CompareAndSwap(false, true) {
		a.turn(now)
		a.turning.Store(false)
	}
}

// turn ends a window, and sets the limit for the next.
func (a *adaptive) turn(now int64) {
	a.ends.Store(now + adaptWindow)
	n, sum := a.n.Swap(0), a.sum.Swap(0)
	used := a.used.Swap(false)
	if n < adaptSamples {
		return // another turn was quicker
	}
	mean := max(sum/n, 1)
	a.learn(mean)
	limit := float64(a.limit.Load())
	switch gradient := float64(a.tolerated()) / float64(mean); {
	case gradient < 1:
		limit *= max(gradient, .5)
	case used:
		limit += math.Sqrt(limit)
	}
	a.limit.Store(a.within(int64(math.Round(limit))))
	a.b.limits.Lock()
	a.b.setLimit()
	a.b.limits.Unlock()
	a.b.queue.freed()
}

// learn lowers the baseline at once. It raises it slowly, and only at the least
// limit: with more in flight, that may be what makes responses slow.
func (a *adaptive) learn(mean int64) {
	base := a.baseline.Load()
	if base == 0 || mean < base {
		a.baseline.Store(mean)
		return
	}
	if a.limit.Load() == a.within(0) {
		a.baseline.Store(min(mean, int64(float64(base)*adaptDrift)+1))
	}
}
