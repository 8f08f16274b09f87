package geo

import (
	"encoding/csv"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

func TestBuiltinKnowsWellKnownAddresses(t *testing.T) {
	tests := []struct {
		name, addr string
		want       Place
	}{
		{"a public resolver", "8.8.8.8", Place{Country: "US", Continent: "NA"}},
		{"University of Cambridge", "128.232.0.1", Place{Country: "GB", Continent: "EU"}},
		{"University of Tokyo", "130.69.1.1", Place{Country: "JP", Continent: "AS"}},
		{"University of Sao Paulo", "143.107.1.1", Place{Country: "BR", Continent: "SA"}},
		{"University of Cape Town", "137.158.1.1", Place{Country: "ZA", Continent: "AF"}},
		{"Australian academic network", "139.80.1.1", Place{Country: "NZ", Continent: "OC"}},
		{"Deutsche Telekom", "2003:c0:8000::1", Place{Country: "DE", Continent: "EU"}},
		{"RIPE NCC", "2001:67c:2e8::1", Place{Country: "NL", Continent: "EU"}},
		{"IPv4-mapped", "::ffff:128.232.0.1", Place{Country: "GB", Continent: "EU"}},
		{"a zone is ignored", "2003:c0:8000::1%eth0", Place{Country: "DE", Continent: "EU"}},
		{"IPv4 end", "255.255.255.255", Place{}},
		{"IPv6 end", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Place{}},
		{"IPv4 begin", "0.0.0.0", Place{}},
		{"IPv6 begin", "::", Place{}},
		{"loopback", "127.0.0.1", Place{}},
		{"loopback, IPv6", "::1", Place{}},
		{"private 10", "10.1.2.3", Place{}},
		{"private 172.16, which the source gives to AU", "172.16.0.1", Place{}},
		{"private 192.168", "192.168.255.255", Place{}},
		{"shared", "100.64.0.1", Place{}},
		{"link-local", "169.254.169.254", Place{}},
		{"link-local, IPv6", "fe80::1", Place{}},
		{"unique local", "fd00::1", Place{}},
		{"multicast", "224.0.0.1", Place{}},
		{"documentation", "192.0.2.1", Place{}},
		{"documentation, IPv6, which the source gives to JP", "2001:db8::1", Place{}},
		{"6to4 of a British address", "2002:80e8:1::1", Place{}},
		{"6to4, which the source gives to CA", "2002:5a0:3602::1", Place{}},
		{"Teredo", "2001:0:4136:e378:8000:63bf:3fff:fdd2", Place{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Builtin().Lookup(netip.MustParseAddr(tt.addr)); got != tt.want {
				t.Errorf("%s: %+v, want %+v", tt.addr, got, tt.want)
			}
		})
	}
	if got := Builtin().Lookup(netip.Addr{}); got != (Place{}) {
		t.Errorf("no address: %+v", got)
	}
}

// line is one of the sample in testdata: three lines around every 1000th of
// the tables that the built-in database is made from, where none overlap.
type line struct {
	first, last netip.Addr
	country     string
}

func sample(t testing.TB) (lines []line) {
	t.Helper()
	for _, name := range []string{"ipv4", "ipv6"} {
		f, err := os.Open("testdata/geo-whois-asn-country-" + name + ".csv")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		records, err := csv.NewReader(f).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			lines = append(lines, line{netip.MustParseAddr(r[0]), netip.MustParseAddr(r[1]), r[2]})
		}
	}
	return lines
}

func TestBuiltinHasTheRangesOfItsSource(t *testing.T) {
	d, lines := Builtin(), sample(t)
	if len(lines) < 1500 {
		t.Fatalf("a sample of only %d lines", len(lines))
	}
	for _, l := range lines {
		for _, addr := range []netip.Addr{l.first, l.last} {
			if got := d.Lookup(addr).Country; got != l.country {
				t.Errorf("%s: %q, want %q as from %s to %s", addr, got, l.country, l.first, l.last)
			}
		}
	}
}

func TestBuiltinIsSmallSharedAndStays(t *testing.T) {
	if len(countries) > 4<<20 {
		t.Errorf("%d bytes are embedded, more than 4 MB", len(countries))
	}
	d := Builtin()
	d.Close()
	if d != Builtin() || d.Lookup(netip.MustParseAddr("8.8.8.8")).Country != "US" {
		t.Error("closing the built-in database took it from the others")
	}
	if d.HasSubdivisions() {
		t.Error("claims to have subdivisions")
	}
	if got := d.Description(); !strings.HasPrefix(got, "@ip-location-db/geo-whois-asn-country 2.") {
		t.Errorf("description %q", got)
	}
}

// mixed are addresses at random, half within the ranges of the sample, which
// is where clients are, half anywhere.
func mixed(t testing.TB) (v4, v6 []netip.Addr) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, l := range sample(t) {
		if l.first.Is4() {
			v4 = append(v4, l.first, netip.AddrFrom4([4]byte{byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), 1}))
		} else {
			b := l.first.As16()
			b[3], b[4], b[5] = byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32())
			v6 = append(v6, l.first, netip.AddrFrom16(b))
		}
	}
	random.Shuffle(len(v4), func(i, j int) { v4[i], v4[j] = v4[j], v4[i] })
	random.Shuffle(len(v6), func(i, j int) { v6[i], v6[j] = v6[j], v6[i] })
	return v4, v6
}

// The ceiling: 60 ns and no allocation.
func TestLookupIsFastAndAllocatesNothing(t *testing.T) {
	d := Builtin()
	v4, v6 := mixed(t)
	for name, addrs := range map[string][]netip.Addr{"IPv4": v4, "IPv6": v6} {
		if n := testing.AllocsPerRun(100, func() { d.Lookup(addrs[7]) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		testkit.Fast(t, name, 60*time.Nanosecond, func() time.Duration {
			begin := time.Now()
			for _, a := range addrs {
				d.Lookup(a)
			}
			return time.Since(begin) / time.Duration(len(addrs))
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	d := Builtin()
	v4, v6 := mixed(b)
	for name, addrs := range map[string][]netip.Addr{"IPv4": v4, "IPv6": v6} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				d.Lookup(addrs[i%len(addrs)])
			}
		})
	}
}

// BenchmarkScattered looks all over the tables, so that the time is that of
// caches that miss.
func BenchmarkScattered(b *testing.B) {
	c := Builtin().content.Load()
	for name, t := range map[string]*table{"IPv4": &c.v4, "IPv6": &c.v6} {
		b.Run(name, func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, 2))
			at := make([]uint64, 1<<17)
			for i := range at {
				at[i] = t.high[random.IntN(len(t.high))] + random.Uint64N(1<<20)
			}
			for i := 0; b.Loop(); i++ {
				t.find(at[i%len(at)], 5)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for b.Loop() {
		if _, err := Decode(countries); err != nil {
			b.Fatal(err)
		}
	}
}
