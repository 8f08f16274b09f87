package l7

import (
	"math/rand/v2"
	"slices"
	"time"

	"gatehouse/config"
	"gatehouse/internal/telemetry"
)

// beginRetry counts the request among the retries of its pool, once; false if
// there are too many.
func (f *flow) beginRetry() bool {
	if !f.retrying {
		f.retrying = f.target.Pool.BeginRetry(f.target.Settings.Retries.Budget)
	}
	return f.retrying
}

// endRetry ends what beginRetry counted.
func (f *flow) endRetry() {
	if f.retrying {
		f.retrying = false
		f.target.Pool.EndRetry()
	}
}

// backoff pauses before the attempt behind that one; false: the client left
// meanwhile.
func (f *flow) backoff(attempt int) bool {
	pause := f.target.Settings.Retries.Backoff << min(attempt, 5)
	if pause <= 0 {
		return true
	}
	// Requests that failed together must not come again together.
	late := time.NewTimer(pause/2 + rand.N(pause/2+1))
	defer late.Stop()
	left := make(chan struct{})
	f.x.Watch(func() { close(left) })
	select {
	case <-late.C:
	case <-left:
	}
	if !f.x.Unwatch() {
		return true
	}
	f.giveUpNext()
	f.clientLeft('H')
	return false
}

// giveUpNext gives the member back that the next attempt would have gone to.
func (f *flow) giveUpNext() {
	if f.next != nil {
		f.next.End()
		f.next = nil
	}
}

// headDeadline is until when a request that was sent at that time is given to
// have a response head. With a timeout for each try, requestTimeout is for all
// of them, and the try that nothing can follow has what is left of it.
func (f *flow) headDeadline(from int64, mayRetry bool) int64 {
	s := f.target.Settings
	if s.Retries.PerTry == 0 {
		return from + int64(s.RequestTimeout)
	}
	if f.firstSent == 0 {
		f.firstSent = from
	}
	last := f.firstSent + int64(s.RequestTimeout)
	if f.lastWait = s.RequestTimeout; mayRetry && s.Retries.OnTimeout && f.req.Method.Idempotent() && from+int64(s.Retries.PerTry) < last {
		f.lastWait = s.Retries.PerTry
		return from + int64(s.Retries.PerTry)
	}
	return last
}

// waited is how long a response that did not come was waited for.
func (f *flow) waited() time.Duration {
	if f.lastWait > 0 {
		return f.lastWait
	}
	return f.target.Settings.RequestTimeout
}

// retryStatus decides whether another member is asked because of the status of
// a response, none of which has been passed on. It is dropped only if that will
// happen: the other member has counted the request in.
func (f *flow) retryStatus(t *Transport, l *load, mayRetry bool) bool {
	on := f.target.Settings.Retries.OnStatus
	if len(on) == 0 || !mayRetry || !l.whole || !f.req.Method.Idempotent() || !slices.Contains(on, f.rec.BackendStatus) {
		return false
	}
	next, err := f.target.Pool.AcquireFor(f.hashKey(), f.backend)
	if err != nil {
		return false
	}
	if !f.beginRetry() {
		next.End()
		return false
	}
	f.next = next
	f.failure = failure{f.rec.BackendStatus, "", telemetry.ErrorInfoUpstreamInvalid, telemetry.Termination{'S', 'H'}}
	f.recycle(t)
	f.rec.BackendStatus, f.rec.Tr, f.answered = 0, -1, 0
	return true
}

// recycle keeps the connection of a response that nobody gets, if all of that
// is there.
func (f *flow) recycle(t *Transport) {
	_, end, err := f.up.Buffered()
	f.rec.BackendIn, f.rec.BackendOut = f.up.Received(), f.up.Sent()
	if err != nil || !end {
		f.drop(t)
		return
	}
	f.keep(t)
}

// sendFailed decides what follows when a request could not be sent, or its
// connection ended in the first moment after that: awaited says that it was out.
func (f *flow) sendFailed(err error, awaited, mayRetry bool) outcome {
	f.connectionFailed(err)
	what := "send: "
	if awaited {
		what = "no response: "
	}
	f.failure = failure{502, what + shortError(err), telemetry.ErrorInfoUpstreamClosed, telemetry.Termination{'S', 'H'}}
	if mayRetry && f.target.Settings.Retries.OnReset {
		return retryMember
	}
	f.refuseAs(f.failure)
	return settled
}

// patienceWith is patience, but no longer than what comes sooner.
func patienceWith(s *config.BackendSettings) int64 {
	p := min(patience, int64(s.RequestTimeout))
	if s.Retries.PerTry > 0 {
		p = min(p, int64(s.Retries.PerTry))
	}
	if s.Hedge.After > 0 {
		p = min(p, int64(s.Hedge.After))
	}
	return p
}
