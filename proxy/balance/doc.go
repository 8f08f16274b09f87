// Package balance picks a member of a pool by weight: it knows members as
// indexes, and neither sockets nor HTTP.
//
// A picker is made for a fixed list of weights and is thrown away when the
// list changes. Picking takes no lock and allocates nothing.
package balance

// Picker chooses among the members it was made for. It is safe for
// concurrent use.
type Picker interface {
	// Pick returns the index of a member, or -1 if there is none. It
	// never returns avoid (-1 avoids nobody), nor a member whose Load is
	// negative. A pick that avoids a member takes no turn. The key stands
	// for what the request is about, and matters to Hash only.
	Pick(key uint64, avoid int) int
}

// Load says how many requests member i has in flight, or a negative number
// if it must not be picked now because it is full. It must not block.
type Load func(i int) int64

// positive is a weight fit for arithmetic: what is not positive counts as 1,
// and nothing is heavier than maxWeight.
func positive(weight int) int64 {
	return int64(min(max(weight, 1), maxWeight))
}

// maxWeight keeps products of weights, loads and lengths within 64 bits.
const maxWeight = 1 << 20
