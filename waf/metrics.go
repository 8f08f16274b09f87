package waf

import (
	"slices"
	"sync/atomic"
	"time"

	"gatehouse/waf/azure"
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
	Partial     atomic.Uint64              // messages of which a part was not inspected
	Nanoseconds atomic.Uint64              // that judging took
}

func newMetrics() *Metrics { return &Metrics{Groups: newGroupCounters()} }

// groupCounters has a counter for each group of rules, and one for the rest.
type groupCounters struct {
	names  []string
	counts []atomic.Uint64
}

func newGroupCounters() (c groupCounters) {
	for _, g := range azure.Groups() {
		c.names = append(c.names, g.Short)
	}
	c.names = append(c.names, "other")
	c.counts = make([]atomic.Uint64, len(c.names))
	return c
}

// add counts a match of a group.
func (c *groupCounters) add(name string) {
	i := slices.Index(c.names, name)
	if i < 0 {
		i = len(c.names) - 1
	}
	c.counts[i].Add(1)
}

// Each calls yield for every group with what was counted.
func (c *groupCounters) Each(yield func(group string, n uint64)) {
	for i, name := range c.names {
		yield(name, c.counts[i].Load())
	}
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
