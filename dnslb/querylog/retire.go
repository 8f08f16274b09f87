package querylog

import (
	"context"
	"slices"
	"time"
)

// retireTime is how long a dnstap that is not wanted any more may take to send
// what waits.
const retireTime = 2 * tapTimeout

// name is where a tap sends to, as in Options; empty: nil, there is none.
func (t *tap) name() string {
	if t == nil {
		return ""
	}
	return t.dnstap
}

// startTap begins to send to a file or socket, or ends that if it is empty.
func (l *Logger) startTap(dnstap string) *tap {
	var t *tap
	if dnstap != "" {
		t = newTap(dnstap, &l.opts, l.complain)
		go t.run()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tap.Store(t)
	return t
}

// retireTap lets a tap send what waits and end by itself, and counts it for
// the last time then.
func (l *Logger) retireTap(t *tap) {
	if t == nil {
		return
	}
	l.mu.Lock()
	l.tap.Store(nil)
	l.retired = append(l.retired, t)
	l.mu.Unlock()
	t.close()
	go func() {
		late := time.AfterFunc(retireTime, t.abort)
		defer late.Stop()
		<-t.done
		l.mu.Lock()
		defer l.mu.Unlock()
		t.addTo(&l.gone)
		l.retired = slices.DeleteFunc(l.retired, func(r *tap) bool { return r == t })
	}()
}

// endTaps ends all taps once they have sent what waits, or by force when ctx is
// done.
func (l *Logger) endTaps(ctx context.Context) (err error) {
	l.mu.Lock()
	taps := slices.Clone(l.retired)
	l.mu.Unlock()
	if t := l.tap.Load(); t != nil {
		taps = append(taps, t)
	}
	for _, t := range taps {
		t.close()
	}
	for _, t := range taps {
		if failure := wait(ctx, t.done); failure != nil {
			t.abort()
			err = failure
		}
	}
	return err
}
