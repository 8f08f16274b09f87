package proxy

import (
	"fmt"
	"slices"
	"time"
)

// choice is how the members that serve were chosen.
type choice struct {
	priority  int  // the last group that serves
	panic     bool // too few are well: all serve, well or not
	desperate bool // those that serve are ejected, for want of others
}

// group is the members of one priority.
type group struct {
	priority int
	members  []*Backend
}

// groups are the members by priority, the lowest number first.
func (l *live) groups() []group {
	var all []group
	for _, b := range l.order {
		i, found := slices.BinarySearchFunc(all, b.priority, func(g group, p int) int { return g.priority - p })
		if !found {
			all = slices.Insert(all, i, group{priority: b.priority})
		}
		all[i].members = append(all[i].members, b)
	}
	return all
}

// review notes who is well. Of a member that was away, the response times of
// old mean nothing.
func (l *live) review(now time.Time) {
	for _, b := range l.order {
		b.passed = b.passes()
		fit := b.passed && b.drain == nil && b.ejection == nil
		if fit && !b.fit {
			b.fitSince = now
			b.latency.Forget()
		}
		b.fit, b.serves = fit, false
	}
}

// choose says who serves: the well members of the first priority group, and of
// the next ones as long as too few are well.
func (l *live) choose() (serving []*Backend, how choice) {
	var present, ejected []*Backend
	threshold := l.opts.PanicThreshold
	how.panic = threshold > 0
	for _, g := range l.groups() {
		how.priority = g.priority
		fit, there := 0, 0
		for _, b := range g.members {
			if b.drain != nil {
				continue
			}
			there++
			present = append(present, b)
			switch {
			case b.fit:
				fit++
				serving = append(serving, b)
			case b.passed:
				ejected = append(ejected, b)
			}
		}
		// Whom an operator drained is missing, but does not mean that what
		// the others' probes say cannot be right.
		if there > 0 && fit*100 >= threshold*there {
			how.panic = false
		}
		if fit > 0 && fit*100 >= max(l.opts.MinHealthy, threshold)*len(g.members) {
			break
		}
	}
	switch {
	case how.panic && len(present) > 0:
		return present, how
	case len(serving) == 0 && len(ejected) > 0:
		// Refusing everybody because nobody could be reached a moment ago
		// would be worse than trying.
		how.desperate = true
		serving = ejected
	}
	how.panic = false
	return serving, how
}

// standby is the well members of the first group behind those that serve.
func (l *live) standby(how choice) (next []*Backend) {
	for _, g := range l.groups() {
		for _, b := range g.members {
			if g.priority > how.priority && b.fit {
				next = append(next, b)
			}
		}
		if next != nil {
			break
		}
	}
	return next
}

// A member in slow start has so many parts of its weight, of all parts.
const (
	allParts   = 20
	leastParts = 2
)

// ramp is the weights that count now. Those of members in slow start rise in
// steps; as they count relative to each other, nothing happens when all begin
// together, as at the start of the process. It reports whether there are steps
// to come.
func (l *live) ramp(serving []*Backend, how choice, now time.Time) (weights []int, more bool) {
	least, most := allParts, 0
	for _, b := range serving {
		b.parts = allParts
		if l.opts.SlowStart > 0 && !how.panic && !how.desperate {
			b.parts = partsAfter(now.Sub(b.fitSince), l.opts.SlowStart)
		}
		least, most = min(least, b.parts), max(most, b.parts)
	}
	for _, b := range serving {
		weight := b.Weight()
		if least < most {
			weight *= b.parts
		} else {
			b.parts = allParts
		}
		weights = append(weights, weight)
	}
	return weights, least < most
}

func partsAfter(age, window time.Duration) int {
	if age >= window {
		return allParts
	}
	return max(int(allParts*age/window), leastParts)
}

// publish shows requests which backends may be used from now on.
func (l *live) publish() {
	now := time.Now()
	l.review(now)
	serving, how := l.choose()
	weights, more := l.ramp(serving, how, now)
	for _, b := range serving {
		b.serves = true
	}
	l.tell(how)
	m := newMembers(serving, weights, &l.opts, &l.cursor)
	if len(serving) == 0 {
		m.err = l.whyNobody()
	}
	if next := l.standby(how); len(next) > 0 {
		weights := make([]int, len(next))
		for i, b := range next {
			weights[i] = b.Weight()
		}
		m.standby = newMembers(next, weights, &l.opts, &l.standbyCursor)
	}
	l.members.Store(m)
	l.queue.freed()
	l.nextStep(more)
}

// tell logs what changed about the choice.
func (l *live) tell(how choice) {
	was := l.choice
	l.choice = how
	switch {
	case how.panic && !was.panic:
		l.opts.Logger.Warn("too few backends are healthy: all are used", "census", l.census())
	case was.panic && !how.panic:
		l.opts.Logger.Info("enough backends are healthy: only they are used")
	}
	if how.priority != was.priority && how.priority != 0 && was.priority != 0 {
		l.opts.Logger.Info("priority groups serve up to another number", "priority", how.priority, "before", was.priority)
	}
}

// nextStep has weights in slow start rise.
func (l *live) nextStep(more bool) {
	if l.step != nil {
		l.step.Stop()
		l.step = nil
	}
	if !more {
		return
	}
	l.step = time.AfterFunc(l.opts.SlowStart/allParts, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.closed {
			l.publish()
		}
	})
}

// role says, for people, what a member's part in the choice is, if it is not
// simply that those who are well serve.
func (b *Backend) role() string {
	switch how := b.live.choice; {
	case b.fit && !b.serves:
		return fmt.Sprintf("on standby: priority %d serves", how.priority)
	case b.serves && how.panic && !b.fit:
		return "used because too few are healthy"
	case b.serves && how.desperate:
		return "used for want of others"
	case b.serves && b.parts < allParts:
		return fmt.Sprintf("slow start: %d %% of its weight", b.parts*100/allParts)
	}
	return ""
}
