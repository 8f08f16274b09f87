package dnssec

import (
	"sync/atomic"
	"time"
)

// bucket is a token bucket: how often something may happen in a second, with
// bursts of a tenth of that. It is safe for concurrent use.
type bucket struct {
	start    time.Time
	interval int64        // nanoseconds for one token
	depth    int64        // nanoseconds for a full bucket
	empty    atomic.Int64 // the time, in nanoseconds since start, up to which tokens are spent
}

func newBucket(perSecond int) *bucket {
	b := &bucket{start: time.Now(), interval: int64(time.Second) / int64(perSecond)}
	b.depth = max(b.interval, int64(100*time.Millisecond))
	return b
}

// take takes a token unless fewer than the given share of a full bucket, 0 to
// 1, would remain.
func (b *bucket) take(reserve float64) bool {
	now := int64(time.Since(b.start))
	limit := now + b.depth - int64(reserve*float64(b.depth))
	for {
		empty := b.empty.Load()
		next := max(empty, now) + b.interval
		if next > limit {
			return false
		}
		if b.empty.CompareAndSwap(empty, next) {
			return true
		}
	}
}
