package config

import (
	"fmt"
	"strings"
)

// maxNesting is how many profiles a chain of nested ones may have, as in
// Azure.
const maxNesting = 10

// nesting is a walk over the graph of nested profiles.
type nesting struct {
	*tmChecker
	// levels of a profile: 1 without nested ones. 0: not visited yet; below
	// that, the walk is in it, and it is the first, second... of the chain.
	levels []int
	chain  []int // of profiles that the walk is in
}

// checkNesting refuses circles and what is nested too deep, each once.
func (c *tmChecker) checkNesting() {
	n := &nesting{tmChecker: c, levels: make([]int, len(c.t.Profiles))}
	for i := range c.t.Profiles {
		if n.levels[i] == 0 {
			n.visit(i)
		}
	}
}

// visit goes down; each profile is visited once.
func (n *nesting) visit(i int) {
	n.chain = append(n.chain, i)
	n.levels[i] = -len(n.chain)
	levels := 1
	for j, e := range n.t.Profiles[i].Endpoints {
		k, ok := n.profiles.at[e.Profile]
		if !ok || n.full() {
			continue
		}
		if n.levels[k] == 0 {
			n.visit(k)
		}
		at := fmt.Sprintf("profiles[%d].endpoints[%d].profile", i, j)
		switch {
		case n.levels[k] < 0:
			n.errorf(at, "nests in a circle: %s; remove one of these endpoints", n.circle(k))
		case n.levels[k] >= maxNesting:
			n.errorf(at, "profile %s has %d levels already, the most that is possible", quote(e.Profile), maxNesting)
		default:
			levels = max(levels, n.levels[k]+1)
		}
	}
	n.chain = n.chain[:len(n.chain)-1]
	n.levels[i] = levels
}

// circle names the profiles from the one that the walk has come back to, but
// not all of many.
func (n *nesting) circle(k int) string {
	chain, more := n.chain[-n.levels[k]-1:], false
	if len(chain) > maxNesting {
		chain, more = chain[:maxNesting], true
	}
	var names []string
	for _, i := range chain {
		names = append(names, quote(n.t.Profiles[i].Name))
	}
	if more {
		names = append(names, "...")
	}
	return strings.Join(append(names, quote(n.t.Profiles[k].Name)), " -> ")
}
