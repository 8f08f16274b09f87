package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"gatehouse/proxy/l4"
)

// Health events, with Azure's names and the times after which what is still so
// is told again (LoadBalancerHealthEvent).
const (
	eventNoBackends    = "NoHealthyBackends"
	eventPathWarning   = "DataPathAvailabilityWarning"
	eventPathCritical  = "DataPathAvailabilityCritical"
	eventPortsHigh     = "HighSnatPortUsage"
	eventPortsOut      = "SnatPortExhaustion"
	againNoBackends    = time.Hour
	againOthers        = 5 * time.Minute
	pathWindow         = time.Minute
	pathWarning        = 0.90
	pathCritical       = 0.25
	portsHigh          = 0.75
	eventsEvery        = time.Second
	leastFlowsToJudge  = 10 // a window with fewer says nothing
	portRangeFile      = "/proc/sys/net/ipv4/ip_local_port_range"
	defaultSourcePorts = 28232 // of the kernel's own range, 32768 to 60999
)

// events watches for what an operator should know at once.
type events struct {
	app   *app
	log   *slog.Logger
	ports int // that one address has for flows to one target

	told   map[string]time.Time // by event and subject: when it was told
	paths  map[string]*path     // by rule
	window time.Time            // begin of that of the paths
}

// path is what became of a rule's flows in a window.
type path struct{ good, bad uint64 } // before it

func newEvents(a *app) *events {
	return &events{app: a, log: a.log, ports: sourcePorts(), told: map[string]time.Time{}, paths: map[string]*path{}}
}

// sourcePorts is how many local ports one address has for flows to one target.
func sourcePorts() int {
	text, err := os.ReadFile(portRangeFile)
	var first, last int
	if err == nil {
		_, err = fmt.Sscan(string(text), &first, &last)
	}
	if err != nil || last < first {
		return defaultSourcePorts
	}
	return last - first + 1
}

// watchEvents looks each second.
func (a *app) watchEvents(ctx context.Context) error {
	e := newEvents(a)
	tick := time.NewTicker(eventsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			e.look(now)
		}
	}
}

// look tells what is so now and was not, and what is no longer.
func (e *events) look(now time.Time) {
	b := e.app.running().balancer
	judge := now.Sub(e.window) >= pathWindow
	if judge {
		e.window = now
	}
	for _, r := range b.Rules {
		up, all := 0, 0
		for _, rt := range b.RoutesOf(r) {
			u, n := rt.Up()
			up, all = up+u, all+n
		}
		e.tell(now, eventNoBackends, r.Name, all > 0 && up == 0, againNoBackends, slog.LevelError, "frontend", r.Frontend, "members", all)
		if judge {
			e.judgePath(now, r)
		}
	}
	e.judgePorts(now)
}

// judgePath compares flows that reached a member with those that did not.
func (e *events) judgePath(now time.Time, r *l4.Rule) {
	p := e.paths[r.Name]
	if p == nil {
		p = &path{}
		e.paths[r.Name] = p
	}
	good := r.Life.Total.Load()
	bad := r.Life.Refused[l4.RefusedConnect].Load() + r.Life.Refused[l4.RefusedNoMember].Load()
	newGood, newBad := good-p.good, bad-p.bad
	p.good, p.bad = good, bad
	share := 1.0
	if n := newGood + newBad; n >= leastFlowsToJudge {
		share = float64(newGood) / float64(n)
	}
	args := []any{"frontend", r.Frontend, "reached", newGood, "failed", newBad}
	e.tell(now, eventPathCritical, r.Name, share < pathCritical, againOthers, slog.LevelError, args...)
	e.tell(now, eventPathWarning, r.Name, share < pathWarning && share >= pathCritical, againOthers, slog.LevelWarn, args...)
}

// judgePorts looks how many local ports the flows to each target take.
func (e *events) judgePorts(now time.Time) {
	used := portsInUse(&e.app.state.Flows)
	for target, n := range used {
		args := []any{"used", n, "of", e.ports}
		e.tell(now, eventPortsOut, target.String(), n >= e.ports, againOthers, slog.LevelError, args...)
		e.tell(now, eventPortsHigh, target.String(), float64(n) > portsHigh*float64(e.ports) && n < e.ports, againOthers, slog.LevelWarn, args...)
	}
	for key := range e.told {
		event, subject, _ := strings.Cut(key, " ")
		if target, err := netip.ParseAddrPort(subject); err == nil && used[target] == 0 && (event == eventPortsHigh || event == eventPortsOut) {
			e.tell(now, event, subject, false, 0, slog.LevelInfo)
		}
	}
}

// portsInUse counts the flows from this machine's own addresses by target.
func portsInUse(flows *l4.Flows) map[netip.AddrPort]int {
	used := map[netip.AddrPort]int{}
	flows.Each(func(f *l4.Flow) bool {
		if !f.Rule.Config.Transparent {
			used[f.Backend]++
		}
		return true
	})
	return used
}

// tell logs an event when it begins, again after some time, and its end.
func (e *events) tell(now time.Time, event, subject string, so bool, again time.Duration, level slog.Level, args ...any) {
	key := event + " " + subject
	last, told := e.told[key]
	switch {
	case so && (!told || now.Sub(last) >= again):
		e.told[key] = now
		e.log.Log(context.Background(), level, "health event", slices.Concat([]any{"event", event, "subject", subject}, args)...)
	case !so && told:
		delete(e.told, key)
		e.log.Info("health event over", "event", event, "subject", subject)
	}
}
