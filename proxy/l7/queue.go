package l7

import (
	"errors"
	"strconv"
	"time"

	"gatehouse/internal/stream"
	"gatehouse/internal/telemetry"
	"gatehouse/proxy"
)

// pick chooses a member and counts the request in. A retry does not wait: it
// has its place in the pool, and an answer if nobody takes it.
func (f *flow) pick(key uint64, pinned, failed *proxy.Backend) (*proxy.Backend, error) {
	if s := f.target.Settings; failed == nil && (s.MaxRequests > 0 || s.Queue.Length > 0) {
		return f.pickInTurn(key, pinned)
	}
	return f.pickNow(key, pinned, failed)
}

// pickNow chooses a member that has room.
func (f *flow) pickNow(key uint64, pinned, failed *proxy.Backend) (*proxy.Backend, error) {
	// Begin gives a place back that it does not get, for which whoever waits is
	// woken: that may be who is here, again and again.
	if pinned != nil && pinned != failed && pinned.HasRoom() && pinned.Begin() {
		return pinned, nil
	}
	return f.target.Pool.AcquireFor(key, failed)
}

// pickInTurn is pick for a pool that bounds its requests or has some wait.
func (f *flow) pickInTurn(key uint64, pinned *proxy.Backend) (*proxy.Backend, error) {
	busy := proxy.ErrBusy
	if !f.target.Pool.Waiting() { // there is nobody to overtake
		b, err := f.enter(key, pinned)
		if !errors.Is(err, proxy.ErrBusy) {
			return b, err
		}
		busy = err
	}
	if f.target.Settings.Queue.Length == 0 {
		return nil, busy
	}
	t, err := f.target.Pool.Queue()
	if err != nil {
		return nil, err
	}
	return f.queue(t, key, pinned)
}

// enter takes a place in the pool, and a member's.
func (f *flow) enter(key uint64, pinned *proxy.Backend) (*proxy.Backend, error) {
	p := f.target.Pool
	if f.target.Settings.MaxRequests > 0 {
		if !p.Enter() {
			return nil, proxy.ErrFull
		}
		f.entered = true
	}
	b, err := f.pickNow(key, pinned, nil)
	if err != nil && f.entered {
		f.entered = false
		p.StepBack()
	}
	return b, err
}

// leavePool gives the place in the pool back.
func (f *flow) leavePool() {
	if f.entered {
		f.entered = false
		f.target.Pool.Leave()
	}
}

// queue waits for a member, with an eye on the client.
func (f *flow) queue(t *proxy.Ticket, key uint64, pinned *proxy.Backend) (*proxy.Backend, error) {
	from, left := stream.Now(), make(chan struct{})
	f.x.Watch(func() { close(left) })
	b, how, err := f.awaitTurn(t, left, key, pinned)
	t.Leave(how)
	if f.x.Unwatch() && b == nil {
		err = errClientGone
	}
	f.rec.Queued = max(stream.Now()-from, 1)
	return b, err
}

func (f *flow) awaitTurn(t *proxy.Ticket, left <-chan struct{}, key uint64, pinned *proxy.Backend) (*proxy.Backend, proxy.WaitOutcome, error) {
	late := time.NewTimer(f.target.Settings.Queue.Timeout)
	defer late.Stop()
	look := time.NewTicker(time.Second) // a body that is not read yet hides the client's end from Watch
	defer look.Stop()
	for {
		select {
		case <-t.Turn():
		case <-left:
			return nil, proxy.WaitLeft, errClientGone
		case <-late.C:
			return nil, proxy.WaitTimedOut, proxy.ErrQueueTimeout
		case <-look.C:
			if !f.x.BodyDone() && f.x.Gone() {
				return nil, proxy.WaitLeft, errClientGone
			}
			continue
		}
		switch b, err := f.enter(key, pinned); {
		case err == nil:
			return b, proxy.WaitServed, nil
		case !errors.Is(err, proxy.ErrBusy):
			return nil, proxy.WaitFailed, err
		}
	}
}

// noMember answers a request that no member can take.
func (f *flow) noMember(err error) {
	switch {
	case err == errClientGone:
		f.clientLeft('Q')
		return
	case !errors.Is(err, proxy.ErrBusy):
		f.rec.Termination = telemetry.Termination{'P', 'Q'}
		f.refuse(502, err.Error(), telemetry.ErrorInfoUpstreamNoLive)
		return
	}
	f.rec.Termination = telemetry.Termination{'P', 'Q'}
	f.refuseFor(503, err.Error(), telemetry.ErrorInfoUpstreamNoLive, retryAfter(f.target.Settings.Queue.Timeout))
}

// retryAfter is when a client should come again: when those that wait now have
// been served or sent away (RFC 9110 10.2.3).
func retryAfter(queued time.Duration) string {
	return strconv.Itoa(max(1, int((queued+time.Second-1)/time.Second)))
}
