package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"gatehouse/config"
	"gatehouse/proxy/l4"
	"gatehouse/proxy/l4/flowlog"
)

// leave waits for the flows of a door that was closed, for a time. The caller
// holds the lock.
func (a *app) leave(n *door, patience time.Duration) {
	a.leaving.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if n.tcp != nil {
			_ = n.tcp.Drain(ctx)
		}
		if n.udp != nil {
			if !a.upgrader.Handing() { // else the next process goes on with the flows
				n.udp.Drain(ctx)
			}
			n.udp.Close()
		}
	})
}

// openLog opens the file of the flow log, unless it is the one in use.
func (a *app) openLog(prev, next *running) error {
	c := next.conf.FlowLog
	switch {
	case !c.Enabled:
		return nil
	case prev.conf != nil && prev.conf.FlowLog == c:
		next.logFile = prev.logFile
		return nil
	}
	f, err := flowlog.Open(&c)
	if err != nil {
		err = fmt.Errorf("flow log: %w", err)
		if draft, failure := config.LoadLoadBalancerDraft(a.source.file); a.source.file != "" && failure == nil {
			return draft.Problem("flowLog.output", err.Error())
		}
		return err
	}
	next.logFile = f
	return nil
}

// settling is since when flows have no place in the configuration.
type settling struct {
	mu    sync.Mutex
	since map[lost]time.Time
	timer *time.Timer // runs when the next of them has to end; nil: none has
}

// lost is a flow without a place; who carries flows may use their memory
// again.
type lost struct {
	flow    *l4.Flow
	started time.Time
}

// settleFlows ends the flows that a configuration has no place for: at once
// those that a security group no longer lets in, and when they had the time
// to drain those whose member, or rule, is gone. UDP flows of a member that
// is gone move by themselves.
func (a *app) settleFlows(r *running) {
	s := &a.settling
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	now, since := time.Now(), map[lost]time.Time{}
	wait := time.Duration(-1)
	a.state.Flows.Each(func(f *l4.Flow) bool {
		if denied(r.balancer, f) {
			f.Close(l4.EndDenied)
			return true
		}
		if !orphan(r.balancer, f) {
			return true
		}
		key := lost{f, f.Started}
		begun, ok := s.since[key]
		if !ok {
			begun = now
		}
		since[key] = begun
		if left := begun.Add(drainOf(r, f)).Sub(now); left <= 0 {
			f.Close(l4.EndDrained)
		} else if wait < 0 || left < wait {
			wait = left
		}
		return true
	})
	s.since = since
	if wait > 0 {
		s.timer = time.AfterFunc(wait, func() { a.settleFlows(a.running()) })
	}
}

// denied tells whether a security group no longer lets a flow in, and says
// that this ends flows.
func denied(b *l4.Balancer, f *l4.Flow) bool {
	g := b.Flushes(f.Rule.Frontend)
	if g == nil {
		return false
	}
	allow, _ := g.Decide(&f.Tuple)
	return !allow
}

// lateTime is how long flows may be late before they are looked at: a reload
// under load makes many, and one look is for all.
const lateTime = 100 * time.Millisecond

// settleLate settles flows that were let in by a configuration before the one
// in use and began after it came: when that was put to work they were not
// there.
func (a *app) settleLate() {
	if a.late.CompareAndSwap(false, true) {
		time.AfterFunc(lateTime, func() {
			a.late.Store(false)
			a.settleFlows(a.running())
		})
	}
}

// orphan tells whether a flow's member or rule is gone.
func orphan(b *l4.Balancer, f *l4.Flow) bool { return !b.Has(f.Member) || !b.HasRule(f.Rule.Name) }

// drainOf is how long a flow without a place may go on: as its pool says, or,
// where that is gone too, the process's own time.
func drainOf(r *running, f *l4.Flow) time.Duration {
	if p := r.balancer.Pool(f.Member.Pool); p != nil {
		return p.Drain
	}
	return r.conf.Drain
}
