package zone

import "gatehouse/dnslb/wire"

// Match is how a name is known.
type Match uint8

// The matches.
const (
	NotMine  Match = iota // no zone holds the name
	Exact                 // the name itself, perhaps an empty non-terminal
	Wild                  // by a wildcard
	NoName                // the zone does not have it
	Referral              // another server has authority
)

// Found is where a name leads.
type Found struct {
	Match Match
	Zone  *Zone
	// Node is the name, the wildcard, the closest name above that there is,
	// or the cut.
	Node *Node
}

// Find looks for the name of a query.
func (s *Set) Find(q *wire.Query) Found {
	lower, labels := q.Lower(), q.Labels()
	at := 0
	if len(labels) > s.maxLabels { // what has more labels than any name is not there
		at = len(labels) - s.maxLabels
	}
	for ; at < len(labels); at++ {
		n := s.nodes[string(lower[labels[at]:])]
		if n == nil {
			continue
		}
		if at == 0 {
			return n.found(q.Type)
		}
		return n.above()
	}
	return Found{}
}

// typeDS is that of the records about a child zone that its parent has (RFC
// 4035 3.1.4.1).
const typeDS = 43

// found is the node as the name that was asked for.
func (n *Node) found(qtype uint16) Found {
	if n.Above != nil && qtype == typeDS {
		n = n.Above
	}
	if n.Cut != nil && !(n.Cut == n && qtype == typeDS) {
		return Found{Referral, n.Zone, n.Cut}
	}
	return Found{Exact, n.Zone, n}
}

// above is the node as the closest name above the one that was asked for.
func (n *Node) above() Found {
	switch {
	case n.Cut != nil:
		return Found{Referral, n.Zone, n.Cut}
	case n.Wildcard != nil:
		return Found{Wild, n.Zone, n.Wildcard}
	}
	return Found{NoName, n.Zone, n}
}

// Node is the node of a name in wire format, in lower case; nil: there is
// none.
func (s *Set) Node(name []byte) *Node { return s.nodes[string(name)] }

// Walk calls f with each node of a zone, in no order.
func (s *Set) Walk(z *Zone, f func(*Node)) {
	for _, n := range s.nodes {
		if n.Zone == z {
			f(n)
		} else if n.Above != nil && n.Above.Zone == z {
			f(n.Above)
		}
	}
}
