package secgroup

import "strings"

// Mismatch is in what respects a packet is not what a rule is about; 0: in
// none, the rule matches.
type Mismatch uint8

// The respects.
const (
	MissProtocol Mismatch = 1 << iota
	MissSource
	MissSourcePort
	MissDestination
	MissDestinationPort
)

// String lists the respects in words, as in "protocol, source port".
func (m Mismatch) String() string {
	var words []string
	for i, w := range [...]string{"protocol", "source", "source port", "destination", "destination port"} {
		if m&(1<<i) != 0 {
			words = append(words, w)
		}
	}
	return strings.Join(words, ", ")
}

// Step is one rule that was asked.
type Step struct {
	Rule *Rule
	// Miss is why the rule did not match; 0 in the last step, whose rule
	// decides.
	Miss Mismatch
	// Omitted is how many rules that did not match are left out in front of
	// this one.
	Omitted int
}

// MaxSteps bounds what Explain returns.
const MaxSteps = 100

// Explain says how Decide comes to its decision: each rule in the order of
// priorities up to the one that decides. If there are more than MaxSteps, it
// has the first ones and the last. It asks every rule, and is for people.
func (g *Group) Explain(p Packet) []Step {
	p = p.unmapped()
	var steps []Step
	for i := range g.rules {
		s := Step{Rule: &g.rules[i], Miss: g.rules[i].when.miss(&p)}
		switch {
		case s.Miss == 0:
			s.Omitted = i - len(steps)
			return append(steps, s)
		case len(steps) < MaxSteps-1:
			steps = append(steps, s)
		}
	}
	return steps // not reached: the last rule is about everything
}
