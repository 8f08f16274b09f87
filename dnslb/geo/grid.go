package geo

import "math"

// grid divides some successive entries of a table into buckets of equal size:
// those whose start has the same high half but for the last bits. Addresses
// are dense in places, so that a bucket may have one entry or thousands.
type grid struct {
	before int    // the entry that holds up to first
	first  uint64 // where the first bucket begins
	shift  int    // a bucket has 1<<shift high halves
	// index has the entry that holds where a bucket begins, and at its
	// end, one more, the last entry of all.
	index []uint32
}

const (
	// maxBuckets bounds the coarse grid to 256 KiB. Fine ones have at most
	// as many buckets as entries.
	maxBuckets = 1 << 16
	// crowd is how many entries a bucket may have without a finer grid.
	crowd = 16
)

// narrow returns the bucket of an address and the entries, both included,
// among which is the one that holds it.
func (g *grid) narrow(high uint64) (bucket, from, to int) {
	if high < g.first {
		return 0, g.before, g.before
	}
	bucket = int(min((high-g.first)>>g.shift, uint64(len(g.index)-2)))
	return bucket, int(g.index[bucket]), int(g.index[bucket+1])
}

// newGrid returns the grid of the entries between from and to, of which high
// has the starts.
func newGrid(high []uint64, from, to, limit int) grid {
	if from == to {
		return grid{before: from, first: math.MaxUint64, index: []uint32{uint32(from), uint32(from)}}
	}
	g := grid{before: from, first: high[from+1]}
	span := high[to] - g.first
	for span>>g.shift >= uint64(limit) {
		g.shift++
	}
	buckets := int(span>>g.shift) + 1
	g.index = make([]uint32, buckets+1)
	entry := from
	for i := range buckets {
		begin := g.first + uint64(i)<<g.shift
		for entry < to && high[entry+1] <= begin {
			entry++
		}
		g.index[i] = uint32(entry)
	}
	g.index[buckets] = uint32(to)
	return g
}

// lay makes the grids of a table.
func (t *table) lay() {
	t.coarse = newGrid(t.high, 0, len(t.high)-1, maxBuckets)
	t.fine = make([]uint16, len(t.coarse.index)-1)
	t.grids = make([]grid, 1) // the number 0 stands for none
	for bucket := range t.fine {
		from, to := int(t.coarse.index[bucket]), int(t.coarse.index[bucket+1])
		if to-from > crowd && len(t.grids) <= math.MaxUint16 {
			t.fine[bucket] = uint16(len(t.grids))
			t.grids = append(t.grids, newGrid(t.high, from, to, to-from))
		}
	}
}
