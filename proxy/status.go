package proxy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gatehouse/health"
	"gatehouse/internal/stream"
)

// snapshot is the state of b. The caller holds live.mu.
func (b *Backend) snapshot() BackendStatus {
	s := BackendStatus{
		Name:     b.name,
		Target:   b.target,
		Weight:   b.Weight(),
		Priority: b.priority,
		InFlight: b.InFlight(),
		Limit:    int(b.limit.Load()),
		Requests: b.Requests(),

		Ejections: b.ejections.Load(),
	}
	if b.serves {
		s.EffectiveWeight = float64(s.Weight*b.parts) / allParts
	}
	if b.live.timed.Load() {
		s.ResponseSeconds = b.latency.Seconds(stream.Now())
	}
	switch {
	case b.drain != nil && b.drain.done.IsZero():
		s.State, s.Since, s.Reason = Draining, b.drain.since, b.drain.reason
	case b.drain != nil:
		s.State, s.Since, s.Reason = Drained, b.drain.done, b.drain.reason
	default:
		b.judge(&s)
	}
	return s
}

// judge fills in what probes, ejection and the choice of members say.
func (b *Backend) judge(s *BackendStatus) {
	s.Since, s.Reason = b.created, "not probed"
	if b.watch != nil {
		verdict := b.watch.Status()
		s.Since, s.Reason = verdict.Since, verdict.Reason
		switch {
		case verdict.State == health.Healthy:
			s.State = Healthy
		case !verdict.Usable:
			s.State = Unhealthy
		}
		switch {
		case verdict.Checked.IsZero():
			s.Reason = "no probe has ended yet"
		case verdict.State != health.Unhealthy && verdict.Reason != "":
			// Too few to change the state, which it is not the reason for.
			s.Reason = "last probe failed: " + verdict.Reason
		}
	}
	if b.ejection != nil && s.State != Unhealthy {
		s.State, s.Since, s.Reason = Ejected, b.ejection.since, b.ejection.reason
	}
	switch role := b.role(); {
	case role != "" && s.Reason != "":
		s.Reason += "; " + role
	case role != "":
		s.Reason = role
	}
}

// statusOf is the state of the pool.
func (l *live) statusOf() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Status{Pool: l.name, Settings: l.settings, Balance: l.opts.Balance.String(), Panic: l.choice.panic, RetriesOverBudget: l.overBudget.Load()}
	s.Hedges, s.HedgesWon = l.hedges.Load(), l.hedgesWon.Load()
	s.Queue = l.queue.status()
	for _, b := range l.order {
		s.Backends = append(s.Backends, b.snapshot())
	}
	members := len(s.Backends)
	for _, b := range l.leaving {
		s.Backends = append(s.Backends, b.snapshot())
	}
	slices.SortFunc(s.Backends[members:], func(a, b BackendStatus) int { return cmp.Compare(a.Name, b.Name) })
	for _, n := range l.names {
		s.Names = append(s.Names, n.snapshot())
	}
	slices.SortFunc(s.Names, func(a, b NameStatus) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

// whyNobody is the reason for having nobody to send requests to.
func (l *live) whyNobody() error {
	if len(l.order) > 0 {
		return fmt.Errorf("%w: %s", ErrUnusable, l.census())
	}
	if len(l.names) == 0 {
		return ErrEmpty
	}
	var hosts []string
	for _, n := range l.names {
		text := n.host
		if n.reason != "" {
			text += ": " + n.reason
		}
		hosts = append(hosts, text)
	}
	slices.Sort(hosts)
	text := hosts[0]
	if more := len(hosts) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return fmt.Errorf("%w: %s", ErrUnresolved, text)
}

// census counts the states of members, and gives the reason of the first that
// is unhealthy.
func (l *live) census() string {
	var counts [Drained + 1]int
	example := ""
	for _, b := range l.order {
		s := b.snapshot()
		counts[s.State]++
		if s.State == Unhealthy && example == "" {
			example = s.Reason
		}
	}
	var parts []string
	for state, n := range counts {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, BackendState(state)))
		}
	}
	text := strings.Join(parts, ", ")
	if example != "" {
		text += " (" + example + ")"
	}
	return text
}
