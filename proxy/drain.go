package proxy

import (
	"context"
	"time"
)

// Why backends are drained.
const (
	operatorWish = "drained by an operator"
	removed      = "removed"
	closing      = "pool is closing"
)

// drain is a backend's way out of use.
type drain struct {
	since   time.Time
	reason  string
	done    time.Time     // zero while something is in flight
	resumed chan struct{} // closed when the backend is wanted again
}

// lifecycle is the part of a backend that live.mu guards, but for what is
// set once.
type lifecycle struct {
	created  time.Time     // set once
	emptied  chan struct{} // set once; capacity 1: the last request in flight behind a shut gate has ended
	passed   bool          // whether probes let it into the members published last
	drain    *drain        // nil: in use
	ejection *ejection     // nil: not ejected
	lastOut  outing        // the ejection before

	priority int       // of its group
	fit      bool      // passes probes, not drained, not ejected: as of the last choice
	fitSince time.Time // while fit
	serves   bool      // is among the members published last
	parts    int       // of allParts, that its weight counts; while it serves
}

// beginDrain marks a backend. The caller publishes, and then shuts it.
func (l *live) beginDrain(b *Backend, reason string) {
	b.drain = &drain{since: time.Now(), reason: reason, resumed: make(chan struct{})}
	b.pardon()
}

// shut closes the gate of a marked backend, and has its attachment closed
// once nothing is in flight or the drain time is over.
func (l *live) shut(b *Backend) {
	b.closed.Store(true)
	d, patience := b.drain, l.opts.Drain
	l.opts.Logger.Info("backend is draining", "backend", b.name, "reason", d.reason, "inFlight", b.InFlight())
	l.tasks.Go(func() {
		if l.awaitEmpty(b, d, patience) {
			l.finish(b, d)
		}
	})
}

// awaitEmpty waits until nothing is in flight or there is no more time; false
// means that the backend was wanted again first.
func (l *live) awaitEmpty(b *Backend, d *drain, patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for b.InFlight() > 0 {
		select {
		case <-b.emptied: // perhaps of a drain before this: look again
		case <-timer.C:
			return true
		case <-l.cut:
			return true
		case <-d.resumed:
			return false
		}
	}
	return true
}

// finish ends a drain. What is attached stays where it is, for requests that
// outlive the drain, but is closed.
func (l *live) finish(b *Backend, d *drain) {
	l.mu.Lock()
	if b.drain != d {
		l.mu.Unlock()
		return
	}
	d.done = time.Now()
	if l.leaving[b.id] == b {
		delete(l.leaving, b.id)
	}
	l.opts.Logger.Info("backend is drained", "backend", b.name, "cut", b.InFlight(), "took", d.done.Sub(d.since))
	a := b.attached.Load()
	l.mu.Unlock()
	if a != nil {
		if err := a.Close(); err != nil {
			l.opts.Logger.Warn("closing what is kept for a backend", "backend", b.name, "error", err)
		}
	}
}

// resume puts a backend back into use, with a new attachment if the old one
// was closed. The caller publishes.
func (l *live) resume(b *Backend) {
	if b.drain == nil {
		return
	}
	if b.drain.done.IsZero() {
		close(b.drain.resumed)
	} else {
		l.attach(b)
	}
	b.drain = nil
	b.failures.Store(0)
	b.errors.Store(0)
	b.lastOut = outing{}
	b.closed.Store(false)
}

// retire drains a backend that is a member no more. It is no longer probed.
func (l *live) retire(b *Backend) {
	b.unwatch()
	b.pardon()
	b.fit, b.serves = false, false
	reason := removed
	if l.closed {
		reason = closing
	}
	switch {
	case b.drain == nil:
		l.leaving[b.id] = b
		l.beginDrain(b, reason)
		l.shut(b)
	case b.drain.done.IsZero(): // an operator began it
		l.leaving[b.id] = b
		b.drain.reason = reason
	}
}

// drainByName drains what an operator means, and returns how many that are.
func (l *live) drainByName(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	meant := 0
	var begun []*Backend
	for _, b := range l.order {
		if !b.answersTo(name) {
			continue
		}
		meant++
		if b.drain == nil {
			l.beginDrain(b, operatorWish)
			begun = append(begun, b)
		}
	}
	if len(begun) > 0 {
		l.publish()
	}
	for _, b := range begun {
		l.shut(b)
	}
	return meant
}

// undrainByName brings back what an operator means, and returns how many.
func (l *live) undrainByName(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	back := 0
	for _, b := range l.order {
		if b.drain == nil || !b.answersTo(name) {
			continue
		}
		l.opts.Logger.Info("backend is back in use", "backend", b.name)
		l.resume(b)
		back++
	}
	if back > 0 {
		l.publish()
	}
	return back
}

// drainedByName counts the members that a name means, and those of them that
// are drained.
func (l *live) drainedByName(name string) (meant, drained int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.order {
		if !b.answersTo(name) {
			continue
		}
		meant++
		if b.drain != nil {
			drained++
		}
	}
	return meant, drained
}

// close does what [Pool.Close] says.
func (l *live) close(ctx context.Context, p *Pool) error {
	l.mu.Lock()
	if l.closed || l.owner != p {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.stop()
	l.nextStep(false)
	gone := l.backends
	l.backends, l.order = nil, nil
	l.members.Store(l.nobody(ErrClosed))
	l.queue.freed()
	for _, b := range gone {
		l.retire(b)
	}
	l.mu.Unlock()

	joined := make(chan struct{})
	go func() {
		l.tasks.Wait()
		close(joined)
	}()
	select {
	case <-joined:
		return nil
	case <-ctx.Done():
		close(l.cut)
		<-joined
		return ctx.Err()
	}
}
