package dnslb

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

func randomAddr(r *rand.Rand) netip.Addr {
	if r.IntN(2) == 0 {
		return netip.AddrFrom4([4]byte{10, byte(r.IntN(2)), byte(r.IntN(256)), byte(r.IntN(256))})
	}
	a := [16]byte{0x20, 1, 0xd, 0xb8, 0, byte(r.IntN(2)), byte(r.IntN(4))}
	a[15] = byte(r.IntN(256))
	return netip.AddrFrom16(a)
}

// Every address of the prefix has the same piece, the prefix that is one bit
// shorter has another one in it, and two prefixes are equal or disjoint.
func TestSpansFindTheLargestPrefixThatIsAlike(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	table := newSpanTable([]span{
		{netip.MustParseAddr("10.0.3.0"), netip.MustParseAddr("10.0.9.7"), 1},
		{netip.MustParseAddr("10.0.9.8"), netip.MustParseAddr("10.0.9.255"), 2},
		{netip.MustParseAddr("10.1.0.0"), netip.MustParseAddr("10.1.255.255"), 1},
		{netip.MustParseAddr("255.255.255.0"), netip.MustParseAddr("255.255.255.255"), 3},
		{netip.MustParseAddr("2001:db8:0:100::"), netip.MustParseAddr("2001:db8:0:1ff:ffff:ffff:ffff:ffff"), 4},
	})
	var seen []netip.Prefix
	for range 2000 {
		a := randomAddr(r)
		within := netip.PrefixFrom(a, table.bits(a)).Masked()
		s := table.family(a)
		piece := s.index(a)
		for range 50 {
			b := randomIn(r, within)
			if s.index(b) != piece {
				t.Fatalf("%s and %s are both in %s and in different pieces", a, b, within)
			}
		}
		if within.Bits() > 0 {
			parent := netip.PrefixFrom(a, within.Bits()-1).Masked()
			first, last := parent.Addr(), lastOf(parent)
			if s.index(first) == piece && s.index(last) == piece {
				t.Fatalf("%s: %s is alike as a whole, not only %s", a, parent, within)
			}
		}
		for _, p := range seen {
			if p != within && p.Overlaps(within) {
				t.Fatalf("%s and %s overlap", p, within)
			}
		}
		seen = append(seen, within)
	}
	for a, want := range map[string]int{"10.0.2.255": -1, "10.0.3.0": 1, "10.0.9.7": 1, "10.0.9.8": 2, "10.0.10.0": -1,
		"255.255.255.255": 3, "2001:db8:0:1ff::1": 4, "2001:db8:0:200::": -1, "::": -1} {
		if got := table.find(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %d, want %d", a, got, want)
		}
	}
}

func randomIn(r *rand.Rand, p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		if r.IntN(2) == 1 {
			b[i/8] |= 0x80 >> (i % 8)
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
