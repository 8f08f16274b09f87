package geo

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// classesOf are two or three of the places of a database, at random.
func classesOf(random *rand.Rand, d *Database) []uint32 {
	class := make([]uint32, len(d.Places()))
	kinds := 2 + random.UintN(2)
	for i := range class {
		class[i] = uint32(random.UintN(kinds))
	}
	return class
}

// uniform tells whether all addresses of a prefix have one class, and none of
// them is looked up elsewhere, by going over all entries within.
func uniform(c *content, class []uint32, p netip.Prefix) bool {
	t := &c.v6
	if p.Addr().Is4() {
		t = &c.v4
	} else if p.Contains(join(mapped, false)) {
		return false
	}
	if len(t.place) == 0 {
		return true
	}
	first, end := bounds(p)
	from := t.entry(first.high, first.low)
	for i := from; i <= t.entry(end.high, end.low); i++ {
		if class[t.place[i]] != class[t.place[from]] {
			return false
		}
	}
	return true
}

// The prefix has one class, its parent has not, and all in it have the same:
// that is the leaf of a tree of the map in which equal neighbours are merged.
func TestADivisionTellsTheLargestPrefixOfAClass(t *testing.T) {
	for name, d := range databases() {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(2, 2))
			for range 3 {
				class := classesOf(random, d)
				x := d.Divide(class)
				addrs := edges(random, d.content.Load())
				random.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
				for _, addr := range addrs[:min(len(addrs), 400)] {
					n, within := x.Find(addr)
					if place, narrow := d.Find(addr); place != n || within.Bits() > narrow.Bits() {
						t.Fatalf("%s: place %d within %s, want %d and no less than %s", addr, n, within, place, narrow)
					}
					for _, other := range []netip.Addr{within.Addr(), last(within), inside(random, within)} {
						if _, within2 := x.Find(other); within2 != within {
							t.Fatalf("%s is within %s, but %s in it within %s", addr, within, other, within2)
						}
					}
					if parent, _ := addr.Prefix(max(within.Bits()-1, 0)); !uniform(d.content.Load(), class, within) || within.Bits() > 0 && uniform(d.content.Load(), class, parent) {
						t.Fatalf("%s: %s is not the largest of one class", addr, within)
					}
				}
			}
		})
	}
}

func TestADivisionOutlivesItsDatabase(t *testing.T) {
	d := databases()["random 1"]
	addr := netip.MustParseAddr("0.0.0.1")
	n, _ := d.Find(addr)
	x := d.Divide(make([]uint32, len(d.Places())))
	if x := d.Divide(make([]uint32, 3)); x != Finder(d) {
		t.Errorf("classes of other places are taken: %v", x)
	}
	d.Close()
	if got, within := x.Find(addr); got != n || within.Bits() != 0 {
		t.Errorf("place %d within %s, want %d", got, within, n)
	}
	if x := d.Divide(make([]uint32, 4)); x != Finder(d) {
		t.Errorf("a closed database is divided: %v", x)
	}
}

// The ceiling: 100 ns and no allocation, where all of a class are far apart and
// where they are near.
func TestADivisionIsFastAndAllocatesNothing(t *testing.T) {
	d := Builtin()
	some := make([]uint32, len(d.Places()))
	some[7] = 1
	v4, v6 := mixed(t)
	for name, class := range map[string][]uint32{"one": make([]uint32, len(some)), "two": some, "many": classesOf(rand.New(rand.NewPCG(1, 1)), d)} {
		begin := time.Now()
		x := d.Divide(class)
		t.Logf("%s: divided in %v", name, time.Since(begin))
		for family, addrs := range map[string][]netip.Addr{"IPv4": v4, "IPv6": v6} {
			if n := testing.AllocsPerRun(100, func() { x.Find(addrs[7]) }); n != 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
			testkit.Fast(t, name+" "+family, 100*time.Nanosecond, func() time.Duration {
				begin := time.Now()
				for _, a := range addrs {
					x.Find(a)
				}
				return time.Since(begin) / time.Duration(len(addrs))
			})
		}
	}
}
