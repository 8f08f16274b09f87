package geo

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// databases are the built-in one and some of random ranges, most of whose
// entries are small or begin within the low half.
func databases() map[string]*Database {
	random := rand.New(rand.NewPCG(7, 8))
	all := map[string]*Database{"built-in": Builtin()}
	places := []Place{{}, {Country: "DE"}, {Country: "FR"}, {Country: "US", Subdivision: "CA"}}
	for _, name := range []string{"random 1", "random 2", "random 3", "random 4"} {
		c := &content{places: places}
		c.v4, c.v6 = randomTable(random, true), randomTable(random, false)
		all[name] = newDatabase(name, c)
	}
	all["empty"] = newDatabase("empty", &content{places: places[:1]})
	return all
}

// randomTable has starts that share long prefixes, as in real tables.
func randomTable(random *rand.Rand, v4 bool) table {
	var r ranges
	at := address{}
	for range 400 {
		r.begin(at, uint16(random.IntN(4)))
		step := uint64(1) << random.UintN(28)
		if random.IntN(2) == 0 {
			step = random.Uint64N(step) + 1
		}
		var next address
		switch {
		case v4:
			next = address{high: at.high + step<<32}
		case random.IntN(2) == 0:
			next = address{high: at.high + step<<20}
		default:
			next = address{at.high, at.low + step<<random.UintN(30)}
		}
		if !at.less(next) {
			break
		}
		at = next
	}
	r.ended = true
	return r.finish()
}

// edges are addresses about the starts of some entries, and others at random.
func edges(random *rand.Rand, c *content) (list []netip.Addr) {
	for _, v4 := range []bool{true, false} {
		t := c.v6
		if v4 {
			t = c.v4
		}
		list = append(list, random4(random), random6(random), join(address{}, v4))
		for range min(len(t.place)*2, 2000) {
			at := t.start(random.IntN(len(t.place)))
			list = append(list, join(at, v4))
			if at != (address{}) {
				list = append(list, join(at.before(), v4))
			}
		}
	}
	return append(list, netip.IPv6Unspecified(), netip.MustParseAddr("::fffe:ffff:ffff"), netip.MustParseAddr("::1:0:0:0"),
		netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), netip.MustParseAddr("255.255.255.255"))
}

func random4(random *rand.Rand) netip.Addr { return join(address{high: random.Uint64()}, true) }
func random6(random *rand.Rand) netip.Addr {
	return join(address{random.Uint64(), random.Uint64()}, false)
}

// last is the last address of a prefix.
func last(p netip.Prefix) netip.Addr {
	_, a := bounds(p)
	return join(a, p.Addr().Is4())
}

// inside is an address of a prefix at random.
func inside(random *rand.Rand, p netip.Prefix) netip.Addr {
	first, end := bounds(p)
	return join(address{first.high | random.Uint64()&(first.high^end.high), first.low | random.Uint64()&(first.low^end.low)}, p.Addr().Is4())
}

func TestFindTellsThePlaceOfLookup(t *testing.T) {
	for name, d := range databases() {
		t.Run(name, func(t *testing.T) {
			for _, addr := range edges(rand.New(rand.NewPCG(1, 1)), d.content.Load()) {
				n, within := d.Find(addr)
				if got, want := d.Places()[n], d.Lookup(addr); got != want {
					t.Errorf("%s: %v, want %v", addr, got, want)
				}
				if !within.Contains(addr) || within != within.Masked() {
					t.Errorf("%s: within %s", addr, within)
				}
			}
		})
	}
}

// Every address of the prefix has its place and its prefix, and the prefix is
// the largest: one bit less takes in another entry.
func TestFindTellsTheLargestPrefix(t *testing.T) {
	for name, d := range databases() {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(2, 2))
			for _, addr := range edges(random, d.content.Load()) {
				n, within := d.Find(addr)
				for _, other := range []netip.Addr{within.Addr(), last(within), inside(random, within), inside(random, within)} {
					if n2, within2 := d.Find(other); n2 != n || within2 != within {
						t.Fatalf("%s is place %d within %s, but %s in it is %d within %s", addr, n, within, other, n2, within2)
					}
				}
				if !largest(d, n, within) {
					t.Fatalf("%s: %s has the same place within its parent", addr, within)
				}
			}
		})
	}
}

// largest tells whether the half beside a prefix has an address of another
// place, which is then at the half's first or last address, or next to a start
// within.
func largest(d *Database, n int, p netip.Prefix) bool {
	if p.Bits() == 0 {
		return true
	}
	parent, _ := p.Addr().Prefix(p.Bits() - 1)
	if parent.Addr().Is6() && parent.Contains(join(mapped, false)) {
		return true
	}
	c := d.content.Load()
	t := &c.v6
	if p.Addr().Is4() {
		t = &c.v4
	}
	if len(t.place) == 0 {
		return false
	}
	first, end := bounds(parent)
	return t.entry(first.high, first.low) != t.entry(end.high, end.low)
}

// The ranges follow on each other, have one place each and cover both families
// but for the mapped addresses.
func TestRangesCoverAllAddresses(t *testing.T) {
	for name, d := range databases() {
		for _, at := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			n, before := 0, -1
			for ; at.IsValid(); n++ {
				place, end := d.Range(at)
				if want, _ := d.Find(at); place != want || end.Less(at) || end.BitLen() != at.BitLen() {
					t.Fatalf("%s: place %d from %s to %s, want %d", name, place, at, end, want)
				}
				if got, _ := d.Find(end); got != place || place == before {
					t.Fatalf("%s: %s to %s is place %d, then %d; before it is %d", name, at, end, place, got, before)
				}
				if at, before = end.Next(), place; at == join(mapped, false) {
					at, before = netip.MustParseAddr("::1:0:0:0"), -1
				}
			}
			if c := d.content.Load(); n > len(c.v4.place)+len(c.v6.place)+2 {
				t.Errorf("%s: %d ranges", name, n)
			}
		}
	}
	d := databases()["random 1"]
	d.Close()
	if n, end := d.Range(netip.MustParseAddr("1.2.3.4")); n != 0 || end.String() != "255.255.255.255" {
		t.Errorf("closed: %d up to %s", n, end)
	}
}

func TestFindTakesMappedAddressesForIPv4AndNoZone(t *testing.T) {
	d := Builtin()
	n, within := d.Find(netip.MustParseAddr("128.232.0.1"))
	if d.Places()[n].Country != "GB" || within.Bits() > 16 {
		t.Fatalf("%v within %s", d.Places()[n], within)
	}
	if n2, within2 := d.Find(netip.MustParseAddr("::ffff:128.232.0.1")); n2 != n || within2 != within {
		t.Errorf("mapped: %d within %s, want %d within %s", n2, within2, n, within)
	}
	n, within = d.Find(netip.MustParseAddr("2003:c0:8000::1"))
	if n2, within2 := d.Find(netip.MustParseAddr("2003:c0:8000::1%eth0")); n2 != n || within2 != within || n == 0 {
		t.Errorf("with a zone: %d within %s, want %d within %s", n2, within2, n, within)
	}
}

// ::/3 is without a place in the built-in database, but the mapped addresses
// within it are IPv4 and have one.
func TestNoPrefixOfIPv6HoldsMappedAddresses(t *testing.T) {
	for _, addr := range []string{"::1", "::fffe:0:0", "0:0:0:1::", "100::1"} {
		n, within := Builtin().Find(netip.MustParseAddr(addr))
		if n != 0 || within.Contains(netip.MustParseAddr("::ffff:8.8.8.8")) {
			t.Errorf("%s: place %d within %s", addr, n, within)
		}
	}
}

func TestAClosedDatabaseFindsTheWholeFamily(t *testing.T) {
	d := databases()["random 1"]
	d.Close()
	tests := []struct{ addr, want string }{
		{"1.2.3.4", "0.0.0.0/0"}, {"::ffff:1.2.3.4", "0.0.0.0/0"}, {"2001:db8::1", "::/0"},
	}
	for _, tt := range tests {
		if n, within := d.Find(netip.MustParseAddr(tt.addr)); n != 0 || within.String() != tt.want {
			t.Errorf("%s: %d within %s, want %s", tt.addr, n, within, tt.want)
		}
	}
	if p := d.Places(); len(p) != 1 || p[0] != (Place{}) {
		t.Errorf("places %v", p)
	}
	if n, within := Builtin().Find(netip.Addr{}); n != 0 || within.IsValid() {
		t.Errorf("no address: %d within %s", n, within)
	}
}

// The ceiling: 80 ns and no allocation.
func TestFindIsFastAndAllocatesNothing(t *testing.T) {
	d := Builtin()
	v4, v6 := mixed(t)
	for name, addrs := range map[string][]netip.Addr{"IPv4": v4, "IPv6": v6} {
		if n := testing.AllocsPerRun(100, func() { d.Find(addrs[7]) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		testkit.Fast(t, name, 80*time.Nanosecond, func() time.Duration {
			begin := time.Now()
			for _, a := range addrs {
				d.Find(a)
			}
			return time.Since(begin) / time.Duration(len(addrs))
		})
	}
}
