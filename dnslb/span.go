package dnslb

import (
	"net/netip"
	"slices"
)

// spans divides the addresses of one family into pieces that follow on each
// other: piece i is from start[i] up to the address before start[i+1]. The
// first begins at the family's first address.
type spans struct {
	start []netip.Addr
	value []int // of each piece; -1: none
}

// spanTable has the pieces of both families.
type spanTable struct{ v4, v6 spans }

// span is a range of addresses with a value.
type span struct {
	first, last netip.Addr
	value       int
}

// newSpanTable lays out ranges that do not overlap.
func newSpanTable(list []span) *spanTable {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b span) int { return a.first.Compare(b.first) })
	t := &spanTable{v4: spans{}, v6: spans{}}
	t.v4.begin(netip.IPv4Unspecified(), -1)
	t.v6.begin(netip.IPv6Unspecified(), -1)
	for _, s := range list {
		family := t.family(s.first)
		family.begin(s.first, s.value)
		if after := s.last.Next(); after.IsValid() {
			family.begin(after, -1)
		}
	}
	return t
}

// newBounds is a table with a piece from each of the cuts, in ascending order,
// up to the next.
func newBounds(cuts []netip.Addr) *spanTable {
	t := newSpanTable(nil)
	for i, at := range cuts {
		t.family(at).begin(at, i)
	}
	return t
}

// cuts are where pieces begin, but for the first of each family.
func (t *spanTable) cuts() []netip.Addr { return slices.Concat(t.v4.start[1:], t.v6.start[1:]) }

// begin starts a piece, unless the last one has the same value. What began at
// the same address before is nothing.
func (s *spans) begin(at netip.Addr, value int) {
	if n := len(s.start); n > 0 && s.start[n-1] == at {
		s.start, s.value = s.start[:n-1], s.value[:n-1]
	}
	if n := len(s.start); n > 0 && s.value[n-1] == value {
		return
	}
	s.start, s.value = append(s.start, at), append(s.value, value)
}

func (t *spanTable) family(a netip.Addr) *spans {
	if a.Is4() {
		return &t.v4
	}
	return &t.v6
}

// find returns the value of an address, -1 if it has none.
func (t *spanTable) find(a netip.Addr) int {
	s := t.family(a)
	return s.value[s.index(a)]
}

// bits is the length of the largest prefix that contains an address and lies
// within its piece. Such prefixes are equal or disjoint.
func (t *spanTable) bits(a netip.Addr) int {
	s := t.family(a)
	i := s.index(a)
	least := 0
	if i > 0 {
		least = common(a, s.start[i].Prev()) + 1
	}
	if i+1 < len(s.start) {
		least = max(least, common(a, s.start[i+1])+1)
	}
	return least
}

// index is the piece of an address.
func (s *spans) index(a netip.Addr) int {
	from, to := 0, len(s.start)
	for to-from > 1 {
		if mid := (from + to) / 2; s.start[mid].Compare(a) <= 0 {
			from = mid
		} else {
			to = mid
		}
	}
	return from
}

// common is how many leading bits two addresses of one family share.
func common(a, b netip.Addr) int {
	x, y := a.As16(), b.As16()
	n := 0
	for i := range x {
		d := x[i] ^ y[i]
		if d == 0 {
			n += 8
			continue
		}
		for d&0x80 == 0 {
			n, d = n+1, d<<1
		}
		break
	}
	if a.Is4() {
		n -= 96
	}
	return n
}
