package waf

import (
	"slices"
	"sync/atomic"
	"time"
)

// Metrics count what a policy does. All are safe for concurrent use.
type Metrics struct {
	Outcomes    [NumOutcomes]atomic.Uint64 // requests and responses, by outcome
	Groups      groupCounters              // rules that matched, by group
	Asked       atomic.Uint64              // messages for which the rule engine was asked
	Judged      atomic.Uint64              // messages judged by the managed rules
	Errors      atomic.Uint64              // errors of the firewall itself
	Verified    atomic.Uint64              // messages judged without the index, too
	Differences atomic.Uint64              // of them those judged otherwise
	Partial     atomic.Uint64              // bodies of which only the beginning was inspected
	Nanoseconds atomic.Uint64              // that judging took
}

// groupCounters has a counter for each group of rules.
type groupCounters [32]atomic.Uint64

// add counts a match of a group.
func (c *groupCounters) add(name string) {
	c[groupNumber(name)].Add(1)
}

// Each calls yield for every group with what was counted.
func (c *groupCounters) Each(yield func(group string, n uint64)) {
	for i := range groups {
		yield(groups[i].name, c[i].Load())
	}
	yield("other", c[len(groups)].Load())
}

func groupNumber(name string) int {
	if i := slices.IndexFunc(groups, func(g group) bool { return g.name == name }); i >= 0 {
		return i
	}
	return len(groups)
}

// count counts an event.
func (m *Metrics) count(e *Event) {
	m.Outcomes[e.Outcome].Add(1)
	for i := range e.Matches {
		m.Groups.add(e.Matches[i].Group)
	}
}

// took counts the time that judging took.
func (m *Metrics) took(d time.Duration) { m.Nanoseconds.Add(uint64(d)) }
