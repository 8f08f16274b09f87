package telemetry

import (
	"sync/atomic"
	"time"
)

// buckets is how many bounds a histogram has; one more bucket takes the rest.
const buckets = 15

// bucketBounds are upper bounds, inclusive as in Prometheus. They begin below
// a millisecond, where a gateway in one data centre has its median, and end
// beyond the default requestTimeout.
func bucketBounds() [buckets]int64 {
	return [buckets]int64{
		int64(500 * time.Microsecond), int64(time.Millisecond), int64(2500 * time.Microsecond),
		int64(5 * time.Millisecond), int64(10 * time.Millisecond), int64(25 * time.Millisecond),
		int64(50 * time.Millisecond), int64(100 * time.Millisecond), int64(250 * time.Millisecond),
		int64(500 * time.Millisecond), int64(time.Second), int64(2500 * time.Millisecond),
		int64(5 * time.Second), int64(10 * time.Second), int64(30 * time.Second),
	}
}

// histogram counts durations. The number of observations is the sum of the
// buckets, which saves the hot path one atomic addition.
type histogram struct {
	sum    atomic.Uint64 // nanoseconds
	counts [buckets + 1]atomic.Uint64
}

// observe counts a duration in nanoseconds; one that was not measured (below
// zero) counts as zero.
func (h *histogram) observe(ns int64) {
	ns = max(ns, 0)
	h.sum.Add(uint64(ns))
	h.counts[bucketOf(ns)].Add(1)
}

// bucketOf is a binary search written out: the compiler keeps the bounds in
// the instructions.
func bucketOf(ns int64) int {
	if ns <= int64(100*time.Millisecond) {
		return fastBucket(ns)
	}
	bounds := bucketBounds()
	for i := 8; i < buckets; i++ {
		if ns <= bounds[i] {
			return i
		}
	}
	return buckets
}

// fastBucket finds one of the first eight buckets.
func fastBucket(ns int64) int {
	switch {
	case ns <= int64(500*time.Microsecond):
		return 0
	case ns <= int64(time.Millisecond):
		return 1
	case ns <= int64(2500*time.Microsecond):
		return 2
	case ns <= int64(5*time.Millisecond):
		return 3
	case ns <= int64(10*time.Millisecond):
		return 4
	case ns <= int64(25*time.Millisecond):
		return 5
	case ns <= int64(50*time.Millisecond):
		return 6
	}
	return 7
}

// tally is a histogram summed up over shards.
type tally struct {
	sum    uint64
	counts [buckets + 1]uint64
}

func (t *tally) add(h *histogram) {
	t.sum += h.sum.Load()
	for i := range h.counts {
		t.counts[i] += h.counts[i].Load()
	}
}

// cumulative returns the count, the sum in seconds and the cumulative buckets
// as Prometheus wants them.
func (t *tally) cumulative() (count uint64, sum float64, upTo map[float64]uint64) {
	upTo = make(map[float64]uint64, buckets)
	for i, b := range bucketBounds() {
		count += t.counts[i]
		upTo[time.Duration(b).Seconds()] = count
	}
	return count + t.counts[buckets], float64(t.sum) / 1e9, upTo
}
