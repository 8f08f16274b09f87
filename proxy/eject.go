package proxy

import (
	"fmt"
	"time"

	"gatehouse/health"
)

// defaultEjection is how long an ejection lasts if the options do not say.
const defaultEjection = 10 * time.Second

// ejection is a backend's time out after connect failures.
type ejection struct {
	since  time.Time
	reason string
	timer  *time.Timer
}

// eject takes a backend out for a time, after n connect failures of which err
// is the last.
func (l *live) eject(b *Backend, n int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.backends[b.id] != b || b.ejection != nil {
		return
	}
	e := &ejection{
		since:  time.Now(),
		reason: fmt.Sprintf("%d connect failures: %s", n, health.Reason(err)),
	}
	length := l.opts.Ejection.Time
	if length <= 0 {
		length = defaultEjection
	}
	e.timer = time.AfterFunc(length, func() { l.ejectionOver(b, e) })
	b.ejection = e
	l.opts.Logger.Warn("backend is ejected", "backend", b.name, "reason", e.reason, "for", length)
	l.publish()
}

// ejectionOver lets a backend be tried again: the count of failures stands,
// so that one more ejects it again, and one connection forgives all.
func (l *live) ejectionOver(b *Backend, e *ejection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || b.ejection != e {
		return
	}
	b.ejection = nil
	l.opts.Logger.Info("backend is tried again", "backend", b.name)
	l.publish()
}

// readmit ends an ejection early: a connection was made.
func (l *live) readmit(b *Backend) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || b.ejection == nil {
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
		b.ejection = nil
	}
}
