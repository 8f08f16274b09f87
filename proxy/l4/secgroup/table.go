package secgroup

import "math/bits"

// table has a set of rules for each interval of one kind of number.
//
// Sets are without their empty words: summary has a bit for each word that is
// not empty, in as many words as all sets have (blocks), and at says where the
// first one that a word of summary stands for is in words. Set 0 is empty.
type table struct {
	narrow []uint32 // where the intervals begin, the first at 0: IPv4, ports
	wide   []key    // the same of IPv6
	of     []uint32 // the set of each interval

	summary []uint64
	at      []uint32
	words   []uint64

	exact bool // whether a set has no rule that is not interested
}

// row is one set of a table.
type row struct {
	summary []uint64
	at      []uint32
	words   []uint64
}

func (t *table) row(set uint32, blocks int) row {
	from := int(set) * blocks
	return row{t.summary[from : from+blocks], t.at[from : from+blocks], t.words}
}

// word is a word of the set: number bit of a block.
func (r *row) word(block, bit int) uint64 {
	s := r.summary[block]
	if s>>bit&1 == 0 {
		return 0
	}
	return r.words[int(r.at[block])+bits.OnesCount64(s&(1<<bit-1))]
}

// findNarrow is the set of the interval that a number is in.
func (t *table) findNarrow(n uint32) uint32 {
	from, left := 0, len(t.narrow)
	for left > 1 {
		half := left / 2
		if t.narrow[from+half] <= n {
			from += half
		}
		left -= half
	}
	return t.of[from]
}

// findWide is the same of IPv6.
func (t *table) findWide(k key) uint32 {
	from, left := 0, len(t.wide)
	for left > 1 {
		half := left / 2
		if t.wide[from+half].compare(k) <= 0 {
			from += half
		}
		left -= half
	}
	return t.of[from]
}

// bytes is the memory that the table takes.
func (t *table) bytes() int {
	return 4*len(t.narrow) + 16*len(t.wide) + 4*len(t.of) + 8*len(t.summary) + 4*len(t.at) + 8*len(t.words)
}
