package main

import (
	"context"

	"gatehouse/health"
	"gatehouse/health/probe"
	"gatehouse/proxy/l4"
)

// watch begins to ask the members of the next configuration; those that are
// asked already, in the same way, go on. The caller holds the lock.
func (a *app) watch(prev, next *running) {
	for _, c := range next.balancer.Checks() {
		checker, err := probe.MemberChecker(c.Probe, c.Target)
		if err != nil {
			checker = failing{err}
		}
		w := a.health.Watch(probe.MemberSubject(c.Probe, c.Target), checker, probe.MemberPolicy(c.Probe), func(s health.Status) { a.learn(next, c, s) })
		next.watches[c] = w
		next.balancer.Learn(c, verdict(w.Status()))
	}
	next.balancer.Refresh() // what was found since it was compiled is no news to Learn
	for _, w := range prev.watches {
		w.Stop() // after those of the same key have taken over what it knows
	}
}

// verdict is a status as the balancer has it.
func verdict(s health.Status) l4.Health {
	switch s.State {
	case health.Healthy:
		return l4.Up
	case health.Unhealthy:
		return l4.Down
	}
	return l4.Untried
}

// learn takes what a probe found, unless the configuration was replaced: the
// next one has asked.
func (a *app) learn(r *running, c *l4.Check, s health.Status) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current != r {
		return
	}
	a.log.Info("member", "probe", c.Probe.Name, "target", c.Target.String(), "member", c.Host, "state", s.State.String(), "reason", s.Reason)
	r.balancer.Learn(c, verdict(s))
}

// failing is the checker of what cannot be asked.
type failing struct{ err error }

// Check implements [health.Checker].
func (f failing) Check(context.Context) error { return f.err }
