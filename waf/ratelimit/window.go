package ratelimit

import "time"

// steps is how many steps a window has; slots is one more, for the step that
// is not over yet.
const (
	steps = 15
	slots = steps + 1
)

// window counts the requests of one group in the steps that matter.
type window struct {
	last   int64 // the number of the latest step that counts here
	sum    uint32
	counts [slots]uint32 // by step, modulo slots
}

// advance forgets what is too old at a step. Time does not run backwards: an
// earlier step is the latest one.
func (w *window) advance(step int64) {
	if step-w.last >= slots {
		*w = window{last: step}
		return
	}
	for w.last < step {
		w.last++
		w.sum -= w.counts[w.last%slots]
		w.counts[w.last%slots] = 0
	}
}

// idle tells whether nothing counts any more at a step.
func (w *window) idle(step int64) bool { return step-w.last >= slots }

// count adds a request to the latest step.
func (w *window) count() {
	w.counts[w.last%slots]++
	w.sum++
}

// frees returns the step from which on less than limit counts, if nothing is
// added.
func (w *window) frees(limit uint32) int64 {
	left := w.sum
	for step := w.last - steps; step <= w.last; step++ {
		if left < limit {
			return step + steps
		}
		left -= w.counts[(step+slots)%slots]
	}
	return w.last + slots
}

// grid divides time into steps.
type grid struct {
	start time.Time
	step  time.Duration
}

// at is the number of the step of a time. Numbers begin high enough for the
// steps before the first.
func (g grid) at(now time.Time) int64 { return slots + max(int64(now.Sub(g.start)/g.step), 0) }

// until is how long it is until a step begins, at least a nanosecond.
func (g grid) until(step int64, now time.Time) time.Duration {
	return max(g.start.Add(time.Duration(step-slots)*g.step).Sub(now), 1)
}
