package compression

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"gatehouse/internal/stream"
)

// burst is how much more time than its share compression may take at once.
const burst = int64(250 * time.Millisecond)

// defaultMemory bounds encoders in use where nothing else is said.
const defaultMemory = 64 << 20

// budget is what compression may cost: a share of the processors' time, as a
// bucket that leaks, and memory.
type budget struct {
	share   atomic.Int64 // of one processor, in percent; 0: no bound
	settled atomic.Int64 // when what was spent is paid for by the share

	most  atomic.Int64
	in    atomic.Int64 // bytes of memory in use
	inUse atomic.Int64 // encoders
}

// limit sets the share of all processors in percent, 100: no bound, and the
// memory; 0: 64 MiB.
func (b *budget) limit(percent int, bytes int64) {
	share := int64(percent) * int64(runtime.GOMAXPROCS(0))
	if percent >= 100 {
		share = 0
	}
	b.share.Store(share)
	b.most.Store(bytes)
}

// overspent reports whether compression has used its share up for now.
func (b *budget) overspent() bool {
	return b.share.Load() > 0 && b.settled.Load()-stream.Now() > burst
}

// spend notes time that was worked from one point to another.
func (b *budget) spend(from, to int64) {
	share := b.share.Load()
	if share == 0 || to <= from {
		return
	}
	cost := (min(to-from, math.MaxInt64/100) * 100) / share
	for {
		was := b.settled.Load()
		if b.settled.CompareAndSwap(was, max(was, to)+cost) {
			return
		}
	}
}

// take takes memory for an encoder; false when there is none.
func (b *budget) take(n int64) bool {
	most := b.most.Load()
	if most == 0 {
		most = defaultMemory
	}
	if b.in.Add(n) > most {
		b.in.Add(-n)
		return false
	}
	b.inUse.Add(1)
	return true
}

// give gives back what take took.
func (b *budget) give(n int64) {
	b.in.Add(-n)
	b.inUse.Add(-1)
}
