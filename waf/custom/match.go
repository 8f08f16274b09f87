package custom

import (
	"fmt"
	"net/netip"
	"strings"
)

// MaxValue is how many bytes of a value a Hit keeps.
const MaxValue = 256

// Match is a rule that matches a request.
type Match struct {
	Rule  *Rule // as it was given to Compile
	Index int   // where it was in that list
	Hits  []Hit // why: one for each of its conditions, in order
}

// Hit is why a condition holds.
type Hit struct {
	Variable Variable
	Name     string // of the field, cookie or argument, up to MaxValue bytes; else empty
	Operator Operator
	Value    string // what satisfied the operator, transformed, up to MaxValue bytes
	Negated  bool   // the condition holds because no value satisfies the operator: Name is the selector, Value empty
}

// String says it for people: requestHeaders:User-Agent contains "sqlmap".
func (h Hit) String() string {
	variable := h.Variable.String()
	if h.Name != "" {
		variable += ":" + h.Name
	}
	if h.Negated {
		return fmt.Sprintf("%s not %s", variable, h.Operator)
	}
	return fmt.Sprintf("%s %s: %q", variable, h.Operator, h.Value)
}

// String says it for people.
func (m Match) String() string {
	hits := make([]string, len(m.Hits))
	for i, h := range m.Hits {
		hits[i] = h.String()
	}
	return fmt.Sprintf("%s (priority %d, %s): %s", m.Rule.Name, m.Rule.Priority, m.Rule.Action, strings.Join(hits, ", "))
}

// describe tells why a rule that matches does. Looking for it again keeps
// notes out of the way of requests that match nothing.
func (e *Evaluation) describe(r *compiled) Match {
	m := Match{Rule: r.rule, Index: r.index, Hits: make([]Hit, len(r.conditions))}
	for i := range r.conditions {
		m.Hits[i] = e.hit(&r.conditions[i])
	}
	return m
}

func (e *Evaluation) hit(c *condition) Hit {
	h := Hit{Operator: c.Operator, Negated: c.Negate}
	if c.Negate {
		h.Variable, h.Name = c.Variables[0].Variable, bounded(c.Variables[0].Selector)
		return h
	}
	f, _ := e.find(c)
	h.Variable, h.Name, h.Value = f.variable, bounded(f.name), bounded(f.value)
	switch f.variable {
	case RemoteAddr:
		h.Value = e.addressText(c, e.request.Client.Addr())
	case SocketAddr:
		h.Value = e.addressText(c, e.request.Peer.Addr())
	}
	return h
}

// addressText is an address, and its country where that was asked for.
func (e *Evaluation) addressText(c *condition, a netip.Addr) string {
	text := a.Unmap().String()
	if c.Operator == GeoMatch {
		text += " (" + countryOf(a, e.country) + ")"
	}
	return bounded(text)
}

// bounded copies the beginning of a text, which must not keep a whole body in
// memory, nor change with scratch.
func bounded(s string) string {
	return strings.Clone(s[:min(len(s), MaxValue)])
}
