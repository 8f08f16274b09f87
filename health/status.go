// Package health decides from probes whether things are well: a state machine
// with thresholds for each, and a Table that runs thousands of probes on a
// bounded number of goroutines and holds the verdicts that pickers read.
//
// How a probe asks is a [Checker]; package health/probe has some.
package health

import (
	"context"
	"errors"
	"time"
)

// Refused is the reason of a check that got an answer, and the answer was no:
// a refused or reset connection, another status than those expected. A timeout
// is none.
type Refused string

// Error is the reason.
func (r Refused) Error() string { return string(r) }

// Checker asks once whether something is well.
//
// Check returns nil if it is; the text of an error is the reason shown to
// people: short, and the same each time the cause is the same. It must return
// soon after ctx is done, must not keep connections, and is never called
// concurrently with itself for one watch.
type Checker interface {
	Check(ctx context.Context) error
}

// Policy says how often to probe and how much it takes to change a verdict.
// What is zero or negative takes the default named.
type Policy struct {
	Interval time.Duration // from the start of one probe to the next, a tenth more or less; default 30s
	Timeout  time.Duration // for one probe; default 30s

	// Steady keeps to Interval without the tenth, so that a failure that
	// begins right after a probe is known at the latest after
	// UnhealthyThreshold*Interval + Timeout; otherwise a tenth of the first
	// term may be added. So that what began together does not stay together,
	// the second probe comes early: at a random moment of the first interval.
	Steady bool

	// UnhealthyThreshold is how many failures in a row it takes to go down;
	// default 3.
	UnhealthyThreshold int
	// HealthyThreshold is how many successes in a row it takes to come
	// back; default 1. The first verdict needs only one success.
	HealthyThreshold int
	// HoldDown is the least time that something stays down, counted from
	// when it went down. Successes before that count, but it takes one after
	// that to come back; failures do not make it longer. Default none.
	HoldDown time.Duration
	// RefusedAtOnce lets one failure that is [Refused] take something down,
	// whatever UnhealthyThreshold says: a refusal is an answer, and the next
	// one would be no other.
	RefusedAtOnce bool
	// Damping keeps what flaps down for longer each time: for Interval when it
	// goes down again within ten minutes of coming back, and for twice as long
	// each time after, two minutes at most. Steady for ten minutes, it begins
	// anew.
	Damping bool
	// StartUnhealthy keeps what has not been tried yet out of use (Azure).
	// Otherwise it is used until probes say no.
	StartUnhealthy bool
}

func (p Policy) withDefaults() Policy {
	if p.Interval <= 0 {
		p.Interval = 30 * time.Second
	}
	if p.Timeout <= 0 {
		p.Timeout = 30 * time.Second
	}
	if p.UnhealthyThreshold <= 0 {
		p.UnhealthyThreshold = 3
	}
	if p.HealthyThreshold <= 0 {
		p.HealthyThreshold = 1
	}
	return p
}

// State is the verdict of the probes.
type State uint8

const (
	// Untried means that there is no verdict yet: no success, and fewer
	// failures than the threshold.
	Untried State = iota
	Healthy
	Unhealthy
)

// String is the state in lower case; what is no state is "invalid".
func (s State) String() string {
	switch s {
	case Untried:
		return "untried"
	case Healthy:
		return "healthy"
	case Unhealthy:
		return "unhealthy"
	}
	return "invalid"
}

// Status is what is known of one probed thing. It is a value and never
// changes.
type Status struct {
	State State
	Since time.Time // when State last changed
	// Usable is State seen through the policy: an untried thing is usable
	// unless the policy has StartUnhealthy.
	Usable bool
	// Reason is why the last probe failed, also while that has not changed
	// State yet; empty after a success and before the first probe.
	Reason string
	// Streak counts the latest probes with the same outcome: successes if
	// positive, failures if negative.
	Streak int
	// Flaps counts how often it went down soon after it had come back.
	Flaps int
	// Fell tells whether it ever went down.
	Fell    bool
	Checked time.Time     // when the last probe ended; zero before the first
	Took    time.Duration // how long it took
}

// observe is the state machine: it returns the status after a probe that
// ended at now with err, the outcome.
func (s Status) observe(p Policy, now time.Time, took time.Duration, err error) Status {
	s.Checked, s.Took = now, took
	next := s.State
	if err == nil {
		s.Streak, s.Reason = max(s.Streak, 0)+1, ""
		if s.State != Unhealthy || s.recovers(p, now) {
			next = Healthy
		}
	} else {
		s.Streak, s.Reason = min(s.Streak, 0)-1, err.Error()
		if -s.Streak >= p.UnhealthyThreshold || p.RefusedAtOnce && errors.As(err, new(Refused)) {
			next = Unhealthy
		}
	}
	if next != s.State {
		if next == Unhealthy {
			s.flap(now)
		}
		s.State, s.Since = next, now
	}
	return s.judge(p)
}

// recovers tells whether what is down has succeeded often enough, and has been
// down long enough.
func (s Status) recovers(p Policy, now time.Time) bool {
	hold := p.HoldDown
	if p.Damping {
		hold = max(hold, s.damping(p))
	}
	return s.Streak >= p.HealthyThreshold && now.Sub(s.Since) >= hold
}

const (
	// flapWithin is how long something has to be steady to be trusted again.
	flapWithin = 10 * time.Minute
	// mostDamping bounds how long what flaps is kept down.
	mostDamping = 2 * time.Minute
)

// flap counts that something goes down at now.
func (s *Status) flap(now time.Time) {
	if s.State == Healthy && !s.Since.IsZero() && now.Sub(s.Since) < flapWithin && s.Fell {
		s.Flaps++
	} else {
		s.Flaps = 0
	}
	s.Fell = true
}

// damping is how long what flaps stays down.
func (s Status) damping(p Policy) time.Duration {
	if s.Flaps == 0 {
		return 0
	}
	hold := p.Interval
	for range s.Flaps - 1 {
		if hold *= 2; hold >= mostDamping {
			return mostDamping
		}
	}
	return min(hold, mostDamping)
}

// judge sets Usable.
func (s Status) judge(p Policy) Status {
	s.Usable = s.State == Healthy || s.State == Untried && !p.StartUnhealthy
	return s
}
