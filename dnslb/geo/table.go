package geo

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"net/netip"
)

// table maps addresses of one family to numbers of places. Entry i holds from
// its start up to the start of entry i+1. An address is 128 bits, high half
// first; an IPv4 address is the top 32 of them.
type table struct {
	high  []uint64
	low   []uint64 // nil if all are zero, as in nearly every table
	place []uint16

	// coarse narrows the search to the entries of one of its buckets. A
	// bucket with many has a grid of its own: fine, by the number of the
	// bucket, is the number in grids, 0 if there is none.
	coarse grid
	fine   []uint16
	grids  []grid
}

// find returns the number of the place of an address, 0 if it is not known.
func (t *table) find(high, low uint64) uint16 {
	if len(t.place) == 0 {
		return 0
	}
	return t.place[t.entry(high, low)]
}

// entry returns the entry that holds an address. The table has some.
func (t *table) entry(high, low uint64) int {
	bucket, entry, last := t.coarse.narrow(high)
	if last-entry > crowd {
		if fine := t.fine[bucket]; fine != 0 {
			_, entry, last = t.grids[fine].narrow(high)
		}
	}
	// Halving without a branch on what is compared: what is looked up
	// cannot be foretold, and a wrong guess costs more than the step.
	for n := last - entry + 1; n > 1; {
		half := n / 2
		if t.high[entry+half] <= high {
			entry += half
		}
		n -= half
	}
	if t.low != nil && t.high[entry] == high {
		entry = t.refine(entry, high, low)
	}
	return entry
}

// refine returns the entry that holds an address, last being the last whose
// high half is not above its own: of those with the same high half, some may
// begin above it. There are few as a rule, so it looks near last first.
func (t *table) refine(last int, high, low uint64) int {
	above := func(i int) bool { return t.high[i] == high && t.low[i] > low }
	from, to := last, last+1
	for step := 1; above(from); step *= 2 {
		from, to = max(from-step, 0), from // entry 0 begins at address 0
	}
	for to-from > 1 {
		if mid := int(uint(from+to) / 2); above(mid) {
			to = mid
		} else {
			from = mid
		}
	}
	return from
}

// ranges is a table in the making: ranges are added in ascending order.
type ranges struct {
	table
	next  address // the first address after the last range
	ended bool    // the last range reaches the end of the address space
}

// address is an address as tables have them.
type address struct{ high, low uint64 }

func (a address) less(b address) bool {
	return a.high < b.high || a.high == b.high && a.low < b.low
}

// after is the next address; ok is false if there is none.
func (a address) after() (b address, ok bool) {
	low, carry := bits.Add64(a.low, 1, 0)
	high, over := bits.Add64(a.high, 0, carry)
	return address{high, low}, over == 0
}

// maxRanges bounds the memory of a table to some 300 MB.
const maxRanges = 1 << 24

var (
	errOrder  = errors.New("ranges overlap or are not in ascending order")
	errRanges = errors.New("more than 16 million ranges")
)

// add appends the range from first to last, both included.
func (r *ranges) add(first, last address, place uint16) error {
	if r.ended || first.less(r.next) || last.less(first) {
		return errOrder
	}
	if len(r.place) >= maxRanges {
		return errRanges
	}
	if r.next.less(first) {
		r.begin(r.next, 0)
	}
	r.begin(first, place)
	next, ok := last.after()
	r.next, r.ended = next, !ok
	return nil
}

// begin starts an entry, unless the last one has the same place.
func (r *ranges) begin(at address, place uint16) {
	if n := len(r.place); n > 0 && r.place[n-1] == place {
		return
	}
	if at.low != 0 && r.low == nil {
		r.low = make([]uint64, len(r.high), max(len(r.high)*2, 16))
	}
	if r.low != nil {
		r.low = append(r.low, at.low)
	}
	r.high = append(r.high, at.high)
	r.place = append(r.place, place)
}

// finish closes the last range and lays the grids.
func (r *ranges) finish() table {
	if len(r.place) == 0 {
		return table{}
	}
	if !r.ended {
		r.begin(r.next, 0)
	}
	t := table{high: clip(r.high), low: clip(r.low), place: clip(r.place)}
	t.lay()
	return t
}

// clip copies a slice that grew into one that fits: tables live long.
func clip[T any](s []T) []T {
	if s == nil {
		return nil
	}
	return append(make([]T, 0, len(s)), s...)
}

// split cuts an address into the halves that tables have.
func split(addr netip.Addr) (high, low uint64) {
	b := addr.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

// split4 is split for IPv4.
func split4(addr netip.Addr) uint64 {
	b := addr.As4()
	return uint64(binary.BigEndian.Uint32(b[:])) << 32
}

// join is the reverse of split and split4.
func join(a address, v4 bool) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.high)
	binary.BigEndian.PutUint64(b[8:], a.low)
	if v4 {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(b)
}
