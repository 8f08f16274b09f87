package latency

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/dnslb/geo"
	"gatehouse/internal/testkit"
)

func build(t testing.TB, csv string, previous *Table) *Table {
	t.Helper()
	table, err := Build(geo.Builtin(), strings.NewReader(csv), previous)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// of is a table of places alone.
func of(places ...geo.Place) *Table { return &Table{places: places, priors: priorsOf(places)} }

func region(t testing.TB, name string) Region {
	t.Helper()
	r, ok := Find(name)
	if !ok {
		t.Fatalf("no region %q", name)
	}
	return r
}

func TestTheNearestRegionOfWellKnownPlaces(t *testing.T) {
	tests := []struct{ country, state, want string }{
		{"DE", "", "Germany"}, {"JP", "", "Japan East"}, {"BR", "", "Brazil South"}, {"ZA", "", "South Africa North"},
		{"NZ", "", "New Zealand North"}, {"US", "CA", "West US"}, {"US", "VA", "East US"}, {"AU", "", "Australia"},
		{"AU", "VIC", "Australia Southeast"}, {"GB", "", "UK South"}, {"CA", "ON", "Canada Central"}, {"SG", "", "Southeast Asia"},
		{"US", "TX", "South Central US"}, {"AR", "", "Chile Central"}, {"KE", "", "South Africa North"},
	}
	for _, tt := range tests {
		table := of(geo.Place{Country: tt.country, Subdivision: tt.state})
		group := table.Order(0, Regions())[0]
		if !strings.HasPrefix(group[0].String(), tt.want) {
			t.Errorf("%s %s: %v, want %s", tt.country, tt.state, group, tt.want)
		}
	}
}

func TestGermanyHasItsRegionsBeforeTheUnitedStates(t *testing.T) {
	table := of(geo.Place{Country: "DE"})
	for _, name := range []string{"Germany North", "Germany West Central"} {
		for i, s := range sites {
			if s.country == "US" && table.RTT(0, Region(i)) <= table.RTT(0, region(t, name))+20 {
				t.Errorf("%s has %v ms, %s %v", s.name, table.RTT(0, Region(i)), name, table.RTT(0, region(t, name)))
			}
		}
	}
}

func TestACountryWithARegionHasOneNearby(t *testing.T) {
	for _, s := range sites {
		table := of(geo.Place{Country: s.country})
		at, _ := pointOf(table.places[0])
		best := sites[table.Order(0, Regions())[0][0]]
		if best.country != s.country && distance(at, best.point()) > 600 {
			t.Errorf("%s: %s", s.country, best.name)
		}
	}
}

func TestFindRegionByEitherName(t *testing.T) {
	for _, r := range Regions() {
		for _, name := range []string{r.String(), r.Name(), strings.ToUpper(r.Name()), " " + r.String()} {
			if got, ok := Find(name); !ok || got != r {
				t.Errorf("%q: %v %v", name, got, ok)
			}
		}
	}
	for _, name := range []string{"", "europe", "West Europe 2"} {
		if r, ok := Find(name); ok {
			t.Errorf("%q is %s", name, r)
		}
	}
}

func TestMeasurementsRefineWhatIsExpected(t *testing.T) {
	table := build(t, `prefix,region,rttMs,samples
# a comment
128.0.0.0/6,West Europe,100,20
128.232.0.0/16,uksouth,40,60
128.232.1.0/24,uksouth,80,20
::ffff:128.232.2.0/120,eastus,7,1000000000`, nil)
	find := func(addr string) int {
		row, _ := table.Find(netip.MustParseAddr(addr))
		return row
	}
	gb, elsewhere := slices.Index(table.places, geo.Place{Country: "GB", Continent: "EU"}), find("8.8.8.8")
	uk, europe, us := region(t, "uksouth"), region(t, "westeurope"), region(t, "eastus")
	prior := float64(table.RTT(gb, uk))
	tests := []struct {
		name, addr string
		r          Region
		want       float64
	}{
		{"three to one", "128.232.7.7", uk, (40*60 + prior*20) / 80},
		{"within another", "128.232.1.1", uk, ((40*60+prior*20)/80 + 80) / 2},
		{"from the larger prefix", "128.232.1.1", europe, (100 + float64(table.RTT(gb, europe))) / 2},
		{"not measured", "128.232.1.1", us, float64(table.RTT(gb, us))},
		{"mapped", "::ffff:128.232.2.9", us, 7},
	}
	for _, tt := range tests {
		if got := float64(table.RTT(find(tt.addr), tt.r)); math.Abs(got-tt.want) > 0.11 {
			t.Errorf("%s: %v ms, want %v", tt.name, got, tt.want)
		}
	}
	sources := map[int]string{gb: "country GB", elsewhere: "country US", 0: "unknown place", find("128.232.1.1"): "measured 128.232.1.0/24, 20 samples"}
	for row, want := range sources {
		if got := table.Source(row); got != want {
			t.Errorf("source %q, want %q", got, want)
		}
	}
}

// randomCSV has prefixes in and about each other.
func randomCSV(random *rand.Rand, lines, shortest int) string {
	var b strings.Builder
	seen := map[netip.Prefix]bool{}
	for range lines {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(24 + random.UintN(3)), byte(random.UintN(3)), byte(random.UintN(4)), byte(random.Uint32())}), shortest+random.IntN(33-shortest))
		if random.IntN(2) == 0 {
			b := [16]byte{0x2a, byte(random.UintN(3)), byte(random.UintN(3)), byte(random.UintN(4))}
			if random.IntN(4) == 0 {
				b[0] = 0
			}
			p = netip.PrefixFrom(netip.AddrFrom16(b), shortest-1+random.IntN(65))
		}
		if p = p.Masked(); !seen[p] {
			seen[p] = true
			fmt.Fprintf(&b, "%s,%s,%d,%d\n", p, Region(random.IntN(len(sites))), 1+random.IntN(200), 1+random.IntN(50))
		}
	}
	return b.String()
}

func TestFindTellsTheSmallestMeasuredPrefixAndTheLargestOfTheRow(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	tables := 8
	if testkit.Race {
		tables = 2
	}
	for i := range tables {
		table := build(t, randomCSV(random, 1+random.IntN(60), 1+i%2*15), nil) // half of them leave gaps
		for _, addr := range probes(random, table) {
			got, within := table.Find(addr)
			place, _ := geo.Builtin().Find(addr)
			if p, n := table.row(got); int(p) != place || n != smallest(table, addr) {
				t.Fatalf("%s: place %d node %d, want %d %d", addr, p, n, place, smallest(table, addr))
			}
			end := keyOf(within.Addr()).end(within.Bits()).addr(within.Addr().Is4())
			for _, other := range []netip.Addr{within.Addr(), end} {
				if row2, within2 := table.Find(other); row2 != got || within2 != within {
					t.Fatalf("%s is %d within %s, but %s is %d within %s", addr, got, within, other, row2, within2)
				}
			}
			for _, n := range table.nodes {
				if n.prefix.Bits() > within.Bits() && within.Contains(n.prefix.Addr()) {
					t.Fatalf("%s: %s has the measured %s within", addr, within, n.prefix)
				}
			}
			if within.Bits() > 0 && !sliced(table, within) {
				t.Fatalf("%s: %s is not the largest", addr, within)
			}
		}
	}
}

// The largest prefix of one class, whether its rows are measured or those of
// places, and the same for all addresses in it.
func TestADivisionTellsTheLargestPrefixOfAClass(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	tables := []int{0, 50, 1, 60}
	if testkit.Race {
		tables = tables[:2]
	}
	for _, lines := range tables {
		table := build(t, randomCSV(random, lines, 8), nil)
		class := make([]uint32, table.Rows())
		for i := range class {
			class[i] = uint32(random.UintN(3) / 2)
		}
		x, wider := table.Divide(class), 0
		addrs := append(probes(random, table), netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("2a00::1"), netip.MustParseAddr("128.232.0.1"))
		for _, addr := range addrs {
			row, within := x.Find(addr)
			want, narrow := table.Find(addr)
			if row != want || within.Bits() > narrow.Bits() || table.Place(row) != placeOf(addr) {
				t.Fatalf("%s: row %d within %s, want %d and no less than %s", addr, row, within, want, narrow)
			}
			if within.Bits() < narrow.Bits() {
				wider++
			}
			for _, other := range []netip.Addr{within.Addr(), keyOf(within.Addr()).end(within.Bits()).addr(addr.Is4())} {
				if _, within2 := x.Find(other); within2 != within {
					t.Fatalf("%s is within %s, but %s in it within %s", addr, within, other, within2)
				}
			}
			if parent, _ := addr.Prefix(max(within.Bits()-1, 0)); !uniform(table, class, within) || uniform(table, class, parent) {
				t.Fatalf("%s: %s is not the largest of one class", addr, within)
			}
		}
		if wider == 0 {
			t.Errorf("with %d lines no prefix is wider", lines)
		}
	}
	table := build(t, "1.0.0.0/24,uksouth,3,1", nil)
	if x := table.Divide(make([]uint32, 3)); x != geo.Finder(table) {
		t.Error("classes of other rows are taken")
	}
}

func placeOf(addr netip.Addr) int {
	place, _ := geo.Builtin().Find(addr)
	return place
}

// uniform tells whether the rows of a prefix have one class, and none of its
// addresses is looked up elsewhere.
func uniform(t *Table, class []uint32, p netip.Prefix) bool {
	if p.Contains(netip.MustParseAddr("::ffff:0:0")) {
		return false
	}
	v4 := p.Addr().Is4()
	first, _ := t.Find(p.Addr())
	for at, ok := keyOf(p.Addr()), true; ok && !keyOf(p.Addr()).end(p.Bits()).less(at); {
		row, within := t.Find(at.addr(v4))
		if class[row] != class[first] {
			return false
		}
		at, ok = keyOf(within.Addr()).end(within.Bits()).next()
	}
	return true
}

// smallest is found by going over all nodes.
func smallest(t *Table, addr netip.Addr) int32 {
	best := int32(none)
	for i, n := range t.nodes {
		if n.prefix.Contains(addr) && (best == none || n.prefix.Bits() > t.nodes[best].prefix.Bits()) {
			best = int32(i)
		}
	}
	return best
}

// sliced tells whether the parent of a prefix is more than one row: the other
// half has another row at its first address or is cut itself.
func sliced(t *Table, p netip.Prefix) bool {
	parent, _ := p.Addr().Prefix(p.Bits() - 1)
	if parent.Contains(netip.MustParseAddr("::ffff:0:0")) {
		return true
	}
	v4 := p.Addr().Is4()
	first := keyOf(parent.Addr())
	row, _ := t.Find(p.Addr())
	for at, ok := first, true; ok && !first.end(parent.Bits()).less(at); {
		other, within := t.Find(at.addr(v4))
		if other != row {
			return true
		}
		at, ok = keyOf(within.Addr()).end(within.Bits()).next()
	}
	return false
}

// probes are addresses at the edges of the measured prefixes and at random.
func probes(random *rand.Rand, t *Table) (all []netip.Addr) {
	for _, n := range t.nodes {
		k, v4 := keyOf(n.prefix.Addr()), n.prefix.Addr().Is4()
		end := k.end(n.prefix.Bits())
		all = append(all, k.addr(v4), end.addr(v4))
		if next, ok := end.next(); ok {
			all = append(all, next.addr(v4))
		}
		if k != (key{}) {
			all = append(all, k.before().addr(v4))
		}
		all = append(all, key{random.Uint64(), random.Uint64()}.addr(v4), key{k.high | random.Uint64()>>20, 1}.addr(v4))
	}
	for i, a := range all {
		if a.Is4In6() {
			all[i] = a.Unmap()
		}
	}
	return all
}

func TestATableBuiltAgainKeepsWhatChangedLittle(t *testing.T) {
	before := build(t, "128.232.0.0/16,uksouth,100,1000000\n128.232.0.0/16,eastus,20,1000000", nil)
	tests := []struct {
		name, csv      string
		uksouth, eastu float64
	}{
		{"10 percent and 5 ms", "128.232.0.0/16,uksouth,110,1000000\n128.232.0.0/16,eastus,15,1000000", 100, 20},
		{"more", "128.232.0.0/16,uksouth,110.5,1000000\n128.232.0.0/16,eastus,25.5,1000000", 110.5, 25.5},
	}
	for _, tt := range tests {
		table := build(t, "1.0.0.0/24,uksouth,3,1\n"+tt.csv, before)
		row, _ := table.Find(netip.MustParseAddr("128.232.0.1"))
		uk, us := float64(table.RTT(row, region(t, "uksouth"))), float64(table.RTT(row, region(t, "eastus")))
		if math.Abs(uk-tt.uksouth) > 0.11 || math.Abs(us-tt.eastu) > 0.11 {
			t.Errorf("%s: %v and %v ms", tt.name, uk, us)
		}
	}
}

func TestOrderGroupsWhatIsNearlyEqual(t *testing.T) {
	csv := ""
	for i, rtt := range []string{"10", "12", "12.2", "100", "105", "106", "14.3"} {
		csv += fmt.Sprintf("128.232.0.0/16,%s,%s,1000000000\n", Region(i), rtt)
	}
	table := build(t, csv, nil)
	row, _ := table.Find(netip.MustParseAddr("128.232.0.1"))
	got := fmt.Sprint(table.Order(row, []Region{6, 5, 4, 3, 2, 1, 0, 0}))
	want := fmt.Sprint([][]Region{{0, 1}, {2}, {6}, {3, 4}, {5}})
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if table.Order(row, nil) != nil {
		t.Error("groups of nothing")
	}
}

func TestBadMeasurementsAreRefused(t *testing.T) {
	tests := []struct{ name, csv, want string }{
		{"fields", "# x\n\n1.0.0.0/8,eastus,1", "line 3: 3 fields"},
		{"prefix", "1.0.0/8,eastus,1,1", "line 1: prefix"},
		{"host bits", "1.0.0.1/8,eastus,1,1", "not the first address"},
		{"region", "1.0.0.0/8,atlantis,1,1", `no region "atlantis"`},
		{"not a number", "1.0.0.0/8,eastus,NaN,1", "rttMs"},
		{"negative", "1.0.0.0/8,eastus,-1,1", "rttMs"},
		{"outlier", "1.0.0.0/8,eastus,3001,1", "rttMs"},
		{"samples", "1.0.0.0/8,eastus,1,0", "samples"},
		{"too many samples", "1.0.0.0/8,eastus,1,1000000001", "samples"},
		{"twice", "1.0.0.0/8,eastus,1,1\n::ffff:1.0.0.0/104,East US,2,1", "twice"},
		{"a second header", "1.0.0.0/8,eastus,1,1\nprefix,region,rttMs,samples", "line 2"},
		{"a long line", "1.0.0.0/8," + strings.Repeat("x", 2000), "line 1"},
		{"too many lines", strings.Repeat("\n", maxLines+1), "more than 1000000 lines"},
		{"too many bytes", strings.Repeat("#"+strings.Repeat("x", 998)+"\n", 70000), "bytes"},
	}
	for _, tt := range tests {
		_, err := Build(geo.Builtin(), strings.NewReader(tt.csv), nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// The ceiling: 150 ns and no allocation.
func TestFindIsFastAndAllocatesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 9))
	var csv strings.Builder
	var addrs []netip.Addr
	for i := range 20000 {
		b := [4]byte{byte(20 + i>>12), byte(i >> 4), byte(i << 4), 0}
		fmt.Fprintf(&csv, "%s/24,eastus,%d,9\n", netip.AddrFrom4(b), 1+i%100)
		b[3], b[2] = 7, b[2]+byte(random.UintN(2))
		addrs = append(addrs, netip.AddrFrom4(b))
	}
	table := build(t, csv.String(), nil)
	random.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	if n := testing.AllocsPerRun(100, func() { table.Find(addrs[7]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	testkit.Fast(t, "Find", 150*time.Nanosecond, func() time.Duration {
		begin := time.Now()
		for _, a := range addrs {
			table.Find(a)
		}
		return time.Since(begin) / time.Duration(len(addrs))
	})
}
