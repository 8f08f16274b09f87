package secgroup

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// key is an address or a port as a number. IPv4 addresses and ports have 0 in
// hi.
type key struct{ hi, lo uint64 }

// The largest keys.
var (
	top4    = key{lo: 1<<32 - 1}
	top6    = key{^uint64(0), ^uint64(0)}
	topPort = key{lo: 1<<16 - 1}
)

func (k key) compare(other key) int {
	switch {
	case k == other:
		return 0
	case k.hi < other.hi || k.hi == other.hi && k.lo < other.lo:
		return -1
	}
	return 1
}

// next is the key behind k, which is not top6.
func (k key) next() key {
	k.lo++
	if k.lo == 0 {
		k.hi++
	}
	return k
}

// before is the key in front of k, which is not 0.
func (k key) before() key {
	if k.lo == 0 {
		k.hi--
	}
	k.lo--
	return k
}

// keyOf is the key of a valid address, which is not IPv4-mapped.
func keyOf(a netip.Addr) key {
	if a.Is4() {
		four := a.As4()
		return key{lo: uint64(binary.BigEndian.Uint32(four[:]))}
	}
	sixteen := a.As16()
	return key{binary.BigEndian.Uint64(sixteen[:8]), binary.BigEndian.Uint64(sixteen[8:])}
}

// span is keys, both ends included.
type span struct{ first, last key }

// ranges are spans in order, with a gap between each two.
type ranges []span

// merged puts spans in order and joins those that touch. It takes the list.
func merged(list []span) ranges {
	slices.SortFunc(list, func(a, b span) int { return a.first.compare(b.first) })
	out := list[:0]
	for _, s := range list {
		if n := len(out); n > 0 && (s.first.compare(out[n-1].last) <= 0 || s.first == out[n-1].last.next()) {
			if s.last.compare(out[n-1].last) > 0 {
				out[n-1].last = s.last
			}
			continue
		}
		out = append(out, s)
	}
	return slices.Clip(out)
}

// without are the keys up to top that are not in r.
func (r ranges) without(top key) ranges {
	var out ranges
	from := key{}
	for _, s := range r {
		if from != s.first {
			out = append(out, span{from, s.first.before()})
		}
		if s.last == top {
			return out
		}
		from = s.last.next()
	}
	return append(out, span{from, top})
}

func (r ranges) contains(k key) bool {
	i, found := slices.BinarySearchFunc(r, k, func(s span, k key) int { return s.first.compare(k) })
	return found || i > 0 && k.compare(r[i-1].last) <= 0
}
