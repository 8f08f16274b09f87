package cidr

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// slow is the oracle: every prefix is asked.
func slow(prefixes []netip.Prefix, a netip.Addr) (hits []int) {
	for i, p := range prefixes {
		if unmap(p).Contains(a.Unmap()) {
			hits = append(hits, i)
		}
	}
	return hits
}

func randomPrefix(r *rand.Rand) netip.Prefix {
	if r.IntN(2) == 0 {
		a := netip.AddrFrom4([4]byte{10, byte(r.IntN(3)), byte(r.IntN(256)), byte(r.IntN(256))})
		return netip.PrefixFrom(a, r.IntN(33)).Masked()
	}
	b := [16]byte{0x20, 1, 0xd, 0xb8, 4: byte(r.IntN(4)), 15: byte(r.IntN(256))}
	return netip.PrefixFrom(netip.AddrFrom16(b), r.IntN(129)).Masked()
}

func TestVisitFindsWhatALinearSearchFinds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var table Table[int]
		var prefixes []netip.Prefix
		for i := range 200 {
			p := randomPrefix(r)
			prefixes = append(prefixes, p)
			table.Insert(p, i)
		}
		for range 500 {
			a := randomPrefix(r).Addr()
			var got []int
			table.Visit(a, func(i int) bool { got = append(got, i); return true })
			slices.Sort(got)
			if want := slow(prefixes, a); !slices.Equal(got, want) {
				t.Fatalf("Visit(%v) = %v, want %v", a, got, want)
			}
		}
	}
}

func TestMappedAddressesAreIPv4(t *testing.T) {
	s := Set([]netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.0/120")})
	for _, a := range []string{"192.0.2.7", "::ffff:192.0.2.7"} {
		if !s.Contains(netip.MustParseAddr(a)) {
			t.Errorf("%s is not found", a)
		}
	}
	if s.Contains(netip.MustParseAddr("192.0.3.7")) || s.Contains(netip.MustParseAddr("2001:db8::1")) {
		t.Error("a stranger is found")
	}
}

func TestVisitGoesFromShortToLongAndStops(t *testing.T) {
	var table Table[string]
	for _, p := range []string{"10.1.2.0/24", "0.0.0.0/0", "10.0.0.0/8", "10.1.2.3/32"} {
		table.Insert(netip.MustParsePrefix(p), p)
	}
	var got []string
	table.Visit(netip.MustParseAddr("10.1.2.3"), func(p string) bool {
		got = append(got, p)
		return len(got) < 3
	})
	if want := []string{"0.0.0.0/0", "10.0.0.0/8", "10.1.2.0/24"}; !slices.Equal(got, want) {
		t.Errorf("visited %v, want %v", got, want)
	}
}

func BenchmarkContains10000(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	var table Table[struct{}]
	for range 10000 {
		table.Insert(netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256)), 0}), 24), struct{}{})
	}
	a := netip.MustParseAddr("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		table.Contains(a)
	}
}
