package health

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// Pause forgets the verdict and ends the probes until Resume. What is paused is
// untried, with Since the time of the pause, and is no witness for watches that
// begin. A running probe is told to end, and its result is void.
//
// Like Reset and Resume it does not call changed, but a call about what was
// before may still be on its way.
func (w *Watch) Pause() {
	t := w.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.paused || w.stopped {
		return
	}
	w.paused = true
	w.forget()
	if w.index >= 0 {
		heap.Remove(&t.queue, w.index)
	}
}

// Resume ends a pause: probes begin within a second. What is not paused is
// left as it is.
func (w *Watch) Resume() {
	t := w.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.paused && !w.stopped {
		w.paused = false
		w.begin()
	}
}

// Reset forgets the verdict: the watch is as if it had just been added, and
// nothing known of its address. Probes begin anew within a second; a pause goes
// on.
func (w *Watch) Reset() {
	t := w.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.stopped {
		return
	}
	w.forget()
	if w.index >= 0 {
		heap.Remove(&t.queue, w.index)
		w.begin()
	}
}

// forget makes w untried and a running probe void. The caller holds
// table.mu.
func (w *Watch) forget() {
	w.generation++
	w.spread = false
	status := Status{Since: time.Now()}.judge(w.policy)
	w.status.Store(&status)
	if w.cancel != nil {
		w.cancel()
	}
}

// begin queues the first probe. The caller holds table.mu.
func (w *Watch) begin() {
	if w.taken {
		return // the probe that is ending queues the next, at once
	}
	w.due = time.Now().Add(rand.N(min(w.policy.Interval, firstWithin)))
	w.table.push(w)
}
