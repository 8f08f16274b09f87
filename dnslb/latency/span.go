package latency

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"

	"gatehouse/dnslb/geo"
)

// key is an address as spans have it: 128 bits, of which IPv4 has the first 32.
type key struct{ high, low uint64 }

func keyOf(a netip.Addr) key {
	if a.Is4() {
		b := a.As4()
		return key{high: uint64(binary.BigEndian.Uint32(b[:])) << 32}
	}
	b := a.As16()
	return key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (k key) addr(v4 bool) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.high)
	binary.BigEndian.PutUint64(b[8:], k.low)
	if v4 {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(b)
}

func (k key) less(o key) bool { return k.high < o.high || k.high == o.high && k.low < o.low }

// end is the last key of a prefix that begins at k, as far as 128 bits go.
func (k key) end(length int) key {
	if length < 64 {
		return key{k.high | math.MaxUint64>>length, math.MaxUint64}
	}
	return key{k.high, k.low | math.MaxUint64>>(length-64)}
}

// next is the key after k; ok is false after the last.
func (k key) next() (n key, ok bool) {
	low, carry := bits.Add64(k.low, 1, 0)
	high, over := bits.Add64(k.high, 0, carry)
	return key{high, low}, over == 0
}

func (k key) before() key {
	low, borrow := bits.Sub64(k.low, 1, 0)
	return key{k.high - borrow, low}
}

// common is how many leading bits two keys share.
func (k key) common(o key) int {
	if k.high != o.high {
		return bits.LeadingZeros64(k.high ^ o.high)
	}
	return 64 + bits.LeadingZeros64(k.low^o.low)
}

// spans cover a family: span i reaches from its start up to the next one's.
type spans struct {
	starts []key
	values []int32
	// index has, for each first 16 bits, the span that holds their first
	// key, and one more at its end: the last span.
	index []int32
}

// lay makes the index.
func (s *spans) lay() {
	s.index = make([]int32, 1<<16+1)
	at := 0
	for i := range 1 << 16 {
		for at+1 < len(s.starts) && !(key{high: uint64(i) << 48}).less(s.starts[at+1]) {
			at++
		}
		s.index[i] = int32(at)
	}
	s.index[1<<16] = int32(len(s.starts) - 1)
}

// none is the value of a span of which nothing was measured, and later of the
// one whose addresses are looked up elsewhere.
const none = -1

// begin starts a span, unless the last one has the same value. One that begins
// where the last does takes its place.
func (s *spans) begin(at key, value int32) {
	if n := len(s.starts); n > 0 && s.starts[n-1] == at {
		s.starts, s.values = s.starts[:n-1], s.values[:n-1]
	}
	if n := len(s.values); n > 0 && s.values[n-1] == value {
		return
	}
	s.starts, s.values = append(s.starts, at), append(s.values, value)
}

// find returns the value at a key and the length of the largest prefix around
// it within its span, or with changes, spans, within those from one of these up
// to the next. There are some spans.
func (s *spans) find(k key, changes *geo.Marks) (value int32, length int) {
	at := int(s.index[k.high>>48])
	n := int(s.index[k.high>>48+1]) - at + 1
	for n > 1 {
		half := n / 2
		if !k.less(s.starts[at+half]) {
			at += half
		}
		n -= half
	}
	first, next := at, at+1
	if changes != nil {
		first, next = changes.Before(at), changes.After(at)
	}
	if first > 0 {
		length = k.common(s.starts[first].before()) + 1
	}
	if next < len(s.starts) {
		length = max(length, k.common(s.starts[next])+1)
	}
	return s.values[at], length
}

// changes marks the spans that have another class than the one before. What is
// looked up elsewhere is in none.
func (s *spans) changes(class []uint32) *geo.Marks {
	before := uint32(math.MaxUint32)
	return geo.NewMarks(len(s.values), func(i int) bool {
		now := uint32(math.MaxUint32)
		if v := s.values[i]; v != none {
			now = class[v]
		}
		changed := now != before
		before = now
		return changed
	})
}

// node is a prefix that was measured.
type node struct {
	prefix      netip.Prefix
	parent      int32 // the smallest that holds it; none
	first, last int32 // its measurements, without last
}

// nodesOf makes nodes of sorted measurements.
func nodesOf(all []measurement) (nodes []node) {
	for i := 0; i < len(all); {
		n := node{prefix: all[i].prefix, parent: int32(len(nodes)) - 1, first: int32(i)}
		for i < len(all) && all[i].prefix == n.prefix {
			i++
		}
		n.last = int32(i)
		for n.parent != none && !nodes[n.parent].prefix.Contains(n.prefix.Addr()) {
			n.parent = nodes[n.parent].parent
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// spread lays out the nodes of one family: each span has the smallest node that
// holds it.
func spread(nodes []node, v4 bool) (s spans) {
	var open []int32
	s.begin(key{}, none)
	leave := func(until key, all bool) {
		for len(open) > 0 {
			n := nodes[open[len(open)-1]]
			last := keyOf(n.prefix.Addr()).end(n.prefix.Bits())
			if !all && !last.less(until) {
				return
			}
			open = open[:len(open)-1]
			if next, ok := last.next(); ok {
				s.begin(next, top(open))
			}
		}
	}
	for i, n := range nodes {
		if n.prefix.Addr().Is4() != v4 {
			continue
		}
		first := keyOf(n.prefix.Addr())
		leave(first, false)
		open = append(open, int32(i))
		s.begin(first, int32(i))
	}
	leave(key{}, true)
	return s
}

func top(stack []int32) int32 {
	if len(stack) == 0 {
		return none
	}
	return stack[len(stack)-1]
}

// mapped is where IPv4-mapped addresses begin and what comes after them: they
// are looked up as IPv4.
var mapped, afterMapped = key{low: 0xffff << 32}, key{low: 1 << 48}

// cross cuts spans of nodes where the place changes, and gives each the value
// of row for the place and node, which is none where nothing was measured.
func cross(s spans, v4 bool, db *geo.Database, row func(place int, node int32) int32) (out spans) {
	for i, node := range s.values {
		last := key{math.MaxUint64, math.MaxUint64}
		if i+1 < len(s.starts) {
			last = s.starts[i+1].before()
		}
		for at, ok := s.starts[i], true; ok && !last.less(at); {
			if !v4 && at == mapped {
				out.begin(at, none)
				at = afterMapped
				continue
			}
			place, end := db.Range(at.addr(v4))
			out.begin(at, row(place, node))
			next := end.Next()
			if ok = next.IsValid(); ok {
				at = keyOf(next)
			}
		}
	}
	out.lay()
	return out
}
