package main

import (
	"context"
	"fmt"

	"gatehouse/dnslb"
	"gatehouse/health"
	"gatehouse/health/probe"
)

// watch begins to probe the endpoints of the next configuration; those that
// are probed already, in the same way, go on. The caller holds the lock.
func (a *app) watch(prev, next *running) {
	old := map[string]*health.Watch{}
	if prev.director != nil {
		for id, w := range prev.watches {
			old[prev.director.Endpoints[id].Key] = w
		}
	}
	for _, e := range next.director.Endpoints {
		m := e.Monitor()
		if m == nil {
			continue
		}
		checker, err := probe.Prober{}.Checker(*m, *e.Config())
		if err != nil {
			checker = failing{err}
		}
		id := e.ID
		w := a.health.Watch(probe.MonitorSubject(*e.Profile().Config(), *e.Config()), checker, probe.MonitorPolicy(*m), func(health.Status) { a.changes.endpoint(next, id) })
		if !a.probed(e) {
			w.Pause()
		}
		next.watches[id] = w
	}
	for _, w := range old {
		w.Stop() // after those of the same key have taken over what it knows
	}
}

// probed tells whether an endpoint is to be probed: not if it, or its profile,
// is disabled. The caller holds the lock.
func (a *app) probed(e *dnslb.Endpoint) bool {
	on := e.Config().Enabled && a.switches[e.Key] != dnslb.SwitchedOff || a.switches[e.Key] == dnslb.SwitchedOn
	return on && e.Profile().Config().Enabled
}

// failing is the checker of what cannot be probed.
type failing struct{ err error }

func (f failing) Check(context.Context) error { return f.err }

// turn is what enable and disable do: the operator's word goes before the
// configuration's until it is taken back.
func (a *app) turn(key string, to dnslb.Switch) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.current
	e := r.director.Endpoint(key)
	if e == nil {
		return fmt.Errorf("there is no endpoint %q; `trafficmgr endpoints` lists them as PROFILE/ENDPOINT", key)
	}
	a.switches[key] = to
	if to == dnslb.AsConfigured {
		delete(a.switches, key)
	}
	if w := r.watches[e.ID]; w != nil {
		if a.probed(e) {
			w.Resume()
		} else {
			w.Pause()
		}
	}
	a.changes.endpoint(r, e.ID)
	return nil
}
