// Package maglev builds the lookup table of Eisenbud et al., "Maglev: A Fast
// and Reliable Software Network Load Balancer" (NSDI 2016), section 3.4, with
// weights: each entry gets its share of the slots, and when an entry is added
// or removed few slots change hands that need not.
//
// A table depends on the entries' keys and weights and on the seed, not on the
// order in which they are given.
package maglev

import (
	"cmp"
	"math/bits"
	"slices"

	"gatehouse/proxy/balance"
)

// Entry is one of those that share the slots.
type Entry struct {
	// Key is the entry's identity, unique in the table.
	Key string
	// Weight is its share, at least 1.
	Weight int
}

// Table tells for each slot the index of an entry, as Build was given them.
type Table []uint16

// MaxEntries is how many entries a table can have.
const MaxEntries = 1 << 15

// sizes are primes: of the slots there are at least slotsPerShare for the
// smallest share, as far as the largest size goes.
var sizes = [...]int{1021, 4093, 16381, 65537, 655373}

const slotsPerShare = 100

// size is how many slots a table of the entries has.
func size(entries []Entry) int {
	total, least := 0, entries[0].Weight
	for _, e := range entries {
		total += e.Weight
		least = min(least, e.Weight)
	}
	for _, s := range sizes {
		if s >= total/least*slotsPerShare {
			return s
		}
	}
	return sizes[len(sizes)-1]
}

// Build makes the table; nil if there are no entries. It takes less than a
// millisecond for a dozen entries, and some 30 ms for thousands.
func Build(entries []Entry, seed uint64) Table {
	if len(entries) == 0 {
		return nil
	}
	if len(entries) > MaxEntries {
		panic("maglev: too many entries")
	}
	walks := newWalks(entries)
	t := make(Table, size(entries))
	for i := range walks {
		walks[i].begin(len(t), seed)
	}
	taken := make([]bool, len(t))
	heaviest := 0
	for _, w := range walks {
		heaviest = max(heaviest, w.weight)
	}
	for filled := 0; ; {
		for i := range walks {
			w := &walks[i]
			// In a round the heaviest take one slot, the others their part.
			if w.credit += w.weight; w.credit < heaviest {
				continue
			}
			w.credit -= heaviest
			t[w.next(taken)] = uint16(w.index)
			if filled++; filled == len(t) {
				return t
			}
		}
	}
}

// walk is an entry's way through the slots: every slot once.
type walk struct {
	index, weight int
	key           string
	at, skip      int
	credit        int
}

// newWalks sorts the entries by key.
func newWalks(entries []Entry) []walk {
	walks := make([]walk, len(entries))
	for i, e := range entries {
		walks[i] = walk{index: i, weight: e.Weight, key: e.Key}
	}
	slices.SortFunc(walks, func(a, b walk) int { return cmp.Compare(a.key, b.key) })
	return walks
}

func (w *walk) begin(slots int, seed uint64) {
	w.at = int(balance.Sum(w.key, seed) % uint64(slots))
	w.skip = int(balance.Sum(w.key, seed^0x9e3779b97f4a7c15)%uint64(slots-1)) + 1
}

// next takes the first slot on the way that is free.
func (w *walk) next(taken []bool) int {
	for taken[w.at] {
		w.step(len(taken))
	}
	at := w.at
	taken[at] = true
	w.step(len(taken))
	return at
}

func (w *walk) step(slots int) {
	if w.at += w.skip; w.at >= slots {
		w.at -= slots
	}
}

// Lookup is the index of the entry that a hash leads to. The table must not
// be empty.
func (t Table) Lookup(hash uint64) int {
	slot, _ := bits.Mul64(hash, uint64(len(t)))
	return int(t[slot])
}
