package balance

import (
	"math"
	"sync/atomic"
	"time"
)

// decay is how long a response time is remembered: a member that has not been
// asked for that long looks e times as fast, until it is asked again.
const decay = 10 * time.Second

// leastTime is the shortest response time that is told from none.
const leastTime = float32(1e-6)

// Latency is the peak EWMA of a member's response times: a response that took
// longer than the average is the average from then on, a shorter one lowers it
// by its age. So a member that becomes slow is left alone at once, and comes
// back gradually. The zero value knows nothing. It takes no lock.
//
// Points in time are nanoseconds on any clock that does not go back.
type Latency struct {
	// state is the average in seconds as a float32 above the millisecond it
	// is of, which wraps around after 49 days; 0: nothing is known.
	state atomic.Uint64
}

func pack(average float32, ms uint32) uint64 {
	return uint64(math.Float32bits(max(average, leastTime)))<<32 | uint64(ms)
}

// unpack returns an average and how much of it is left at ms.
func unpack(state uint64, ms uint32) (average, left float32) {
	average = math.Float32frombits(uint32(state >> 32))
	age := int32(ms - uint32(state)) // negative: another goroutine was faster
	if age <= 0 {
		return average, 1
	}
	return average, float32(math.Exp(-float64(age) / float64(decay/time.Millisecond)))
}

func millisecond(now int64) uint32 { return uint32(now / int64(time.Millisecond)) }

// Observe adds a response that took so many nanoseconds.
func (l *Latency) Observe(now, took int64) {
	ms, sample := millisecond(now), float32(float64(took)/1e9)
	for {
		old := l.state.Load()
		average, left := unpack(old, ms)
		switch {
		case old == 0 || sample > average:
			average = sample
		case left == 1:
			return // the same millisecond: its first response stands for all
		default:
			average = average*left + sample*(1-left)
		}
		if l.state.CompareAndSwap(old, pack(average, ms)) {
			return
		}
	}
}

// AtLeast adds a request that was given up unanswered after so many
// nanoseconds: it can only raise the average.
func (l *Latency) AtLeast(now, took int64) {
	if float64(took)/1e9 > l.Seconds(now) {
		l.Observe(now, took)
	}
}

// Seconds is the average, less what it has lost since; 0 if nothing is known.
func (l *Latency) Seconds(now int64) float64 {
	state := l.state.Load()
	if state == 0 {
		return 0
	}
	average, left := unpack(state, millisecond(now))
	return float64(max(average*left, leastTime))
}

// Forget makes it know nothing: of a member that was away, the average says
// only how long.
func (l *Latency) Forget() { l.state.Store(0) }
