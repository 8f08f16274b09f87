package proxy

import "time"

// defaultEjection is how long an ejection lasts if the options do not say.
const defaultEjection = 10 * time.Second

// cause is what a backend is ejected for.
type cause uint8

const (
	byConnects cause = iota // a connection that stands is the cure
	byErrors                // only time is
)

// ejection is a backend's time out after failures.
type ejection struct {
	since  time.Time
	cause  cause
	length time.Duration
	reason string
	timer  *time.Timer
}

// outing is a past ejection: when it ended and how long it was to be.
type outing struct {
	ended  time.Time
	length time.Duration
}

// eject takes a backend out for a time.
func (l *live) eject(b *Backend, why cause, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.backends[b.id] != b || b.ejection != nil || !l.mayEject() {
		return
	}
	e := &ejection{since: time.Now(), cause: why, reason: reason}
	e.length = b.lastOut.next(e.since, l.opts.Ejection.Time, l.opts.Ejection.MaxTime)
	e.timer = time.AfterFunc(e.length, func() { l.ejectionOver(b, e) })
	b.ejection = e
	b.ejections.Add(1)
	l.opts.Logger.Warn("backend is ejected", "backend", b.name, "reason", e.reason, "for", e.length)
	l.publish()
}

// next is the length of an ejection that begins now: twice that of the one
// before, unless the backend has been in use for as long since.
func (o outing) next(now time.Time, first, most time.Duration) time.Duration {
	if o.length == 0 || now.Sub(o.ended) >= o.length {
		return first
	}
	return max(first, min(2*o.length, most))
}

// mayEject tells whether one more member may be out. One always may.
func (l *live) mayEject() bool {
	out := 0
	for _, b := range l.order {
		if b.ejection != nil {
			out++
		}
	}
	most := l.opts.Ejection.MaxShare
	return out == 0 || most == 0 || (out+1)*100 <= most*len(l.order)
}

// ejectionOver lets a backend be tried again: the counts of failures stand,
// so that one more ejects it again, and one that is none forgives all.
func (l *live) ejectionOver(b *Backend, e *ejection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || b.ejection != e {
		return
	}
	b.lastOut = outing{time.Now(), e.length}
	b.ejection = nil
	l.opts.Logger.Info("backend is tried again", "backend", b.name)
	l.publish()
}

// readmit ends early an ejection for connect failures: a connection was made.
func (l *live) readmit(b *Backend) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || b.ejection == nil || b.ejection.cause != byConnects {
		return
	}
	b.pardon()
	l.opts.Logger.Info("backend is reached again", "backend", b.name)
	l.publish()
}

// pardon drops an ejection.
func (b *Backend) pardon() {
	if b.ejection != nil {
		b.ejection.timer.Stop()
		b.ejection, b.lastOut = nil, outing{}
	}
}
