package dnslb

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/dnslb/geo"
	"gatehouse/dnslb/latency"
	"gatehouse/health"
)

// world is a small earth: the third byte of 10.0.x.y, four values each, says
// where an address is: in the first place, the next, and so on, and again.
type world struct {
	places []geo.Place
	blocks [64]int  // the place of each four
	other  [64]bool // those in the second row of their place
}

func newWorld() *world {
	w := &world{places: []geo.Place{{}, {Country: "US", Subdivision: "CA"}, {Country: "US"}, {Country: "DE"}, {Country: "FR"}, {Country: "JP"}}}
	for i := range w.blocks {
		w.blocks[i] = i % len(w.places)
	}
	return w
}

// randomWorld has places in runs of random length.
func randomWorld(r *rand.Rand) *world {
	w := newWorld()
	for i := range w.blocks {
		if w.blocks[i] = r.IntN(len(w.places)); i > 0 && r.IntN(2) == 0 {
			w.blocks[i] = w.blocks[i-1]
		}
		w.other[i] = r.IntN(4) == 0
	}
	return w
}

func (w *world) Places() []geo.Place { return w.places }

func (w *world) Find(a netip.Addr) (int, netip.Prefix) {
	if !a.Is4() {
		return 0, netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	b := a.As4()
	p := netip.PrefixFrom(a, 22).Masked()
	if b[0] != 10 || b[1] != 0 {
		return 0, p
	}
	return w.blocks[b[2]/4], p
}

// division is a world with classes of its places or rows: by block, how long the
// largest prefix is that has one. 0.0.0.0 is outside the blocks, as most are.
type division struct {
	geo.Finder
	block [64]int
	one   bool // all is of one class
}

func (w *world) Divide(class []uint32) geo.Finder    { return divide(w, class) }
func (l distances) Divide(class []uint32) geo.Finder { return divide(l, class) }

// divide goes up from each block for as long as all blocks have one class, and
// from all blocks if what is outside has it, too.
func divide(f geo.Finder, class []uint32) geo.Finder {
	of := func(a netip.Addr) uint32 { n, _ := f.Find(a); return class[n] }
	uniform := func(from, to int) bool {
		for i := from; i < to; i++ {
			if of(in(i, 0)) != of(in(from, 0)) {
				return false
			}
		}
		return true
	}
	x := &division{Finder: f, one: uniform(0, 64) && of(in(0, 0)) == of(addr(0))}
	for i := range x.block {
		size := 1
		for size < 64 && uniform(i&^(2*size-1), i&^(2*size-1)+2*size) {
			size *= 2
		}
		x.block[i] = 23 - bits.Len(uint(size))
	}
	return x
}

func (x *division) Find(a netip.Addr) (int, netip.Prefix) {
	n, _ := x.Finder.Find(a)
	length := 0
	switch home := in(0, 0); {
	case x.one || a.Is6():
	case common(a, home) >= 16:
		length = x.block[a.As4()[2]/4]
	default:
		length = common(a, home) + 1
	}
	within, _ := a.Prefix(length)
	return n, within
}

// distances is the world as Latencies: a row is a place, or one of two with
// the same.
type distances struct{ *world }

func (l distances) Find(a netip.Addr) (int, netip.Prefix) {
	n, within := l.world.Find(a)
	if b := a.As16(); a.Is4() && b[12] == 10 && b[13] == 0 && l.other[b[14]/4] {
		n += len(l.places)
	}
	return n, within
}

func (l distances) Rows() int         { return 2 * len(l.places) }
func (l distances) Place(row int) int { return row % len(l.places) }

// regions are those that the tests name, in the order of their distance from
// the first row.
var regions = []string{"West US", "East US", "West Europe", "Japan East", "Brazil South"}

// number is the place of a region among those.
func number(r latency.Region) int { return slices.Index(regions, r.String()) }

// Order has the regions by how far their number is from the row's; those one
// away are equally near.
func (l distances) Order(row int, regions []latency.Region) (groups [][]latency.Region) {
	for d := range 100 {
		var group []latency.Region
		for _, r := range regions {
			if n := number(r) - row; n == d || n == -d {
				group = append(group, r)
			}
		}
		if group != nil {
			groups = append(groups, group)
		}
	}
	return groups
}

// in is an address in a place of the world.
func in(place int, host int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 0, byte(place * 4), byte(host)})
}

// profileOf makes a profile from a line for each endpoint:
//
//	name target [key=value ...]
func profileOf(t testing.TB, name string, routing config.RoutingMethod, lines ...string) config.Profile {
	t.Helper()
	p := config.Profile{Name: name, Zone: "tm.example", Enabled: true, Routing: routing, TTL: 30 * time.Second, DegradedTTL: 30 * time.Second, MaxReturn: 2,
		Monitor: config.Monitor{Protocol: config.MonitorHTTP}}
	for i, line := range lines {
		words := strings.Fields(line)
		e := config.Endpoint{Name: words[0], Enabled: true, Weight: 1, Priority: i + 1, MinChildEndpoints: 1}
		if a, err := netip.ParseAddr(words[1]); err == nil {
			e.Address = a
		} else if nested, ok := strings.CutPrefix(words[1], "@"); ok {
			e.Profile = nested
		} else {
			e.Host = words[1]
		}
		for _, w := range words[2:] {
			set(t, &e, w)
		}
		p.Endpoints = append(p.Endpoints, e)
	}
	return p
}

func set(t testing.TB, e *config.Endpoint, word string) {
	key, value, _ := strings.Cut(word, "=")
	number := func() (n int) {
		if _, err := fmt.Sscan(value, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	switch key {
	case "weight":
		e.Weight = number()
	case "priority":
		e.Priority = number()
	case "port":
		e.Port = number()
	case "min":
		e.MinChildEndpoints = number()
	case "min4":
		e.MinChildIPv4 = number()
	case "min6":
		e.MinChildIPv6 = number()
	case "geo":
		e.Geo = strings.Split(value, ",")
	case "at":
		e.Location = strings.ReplaceAll(value, "_", " ")
	case "off":
		e.Enabled = false
	case "always":
		e.AlwaysServe = true
	case "nets":
		for _, s := range strings.Split(value, ",") {
			p := netip.MustParsePrefix(s)
			e.Subnets = append(e.Subnets, config.AddressRange{First: p.Addr(), Last: lastOf(p)})
		}
	default:
		t.Fatalf("no key %q", key)
	}
}

// compile compiles profiles in the small world.
func compile(t testing.TB, profiles ...config.Profile) *Director {
	t.Helper()
	return compileIn(t, newWorld(), profiles...)
}

func compileIn(t testing.TB, w *world, profiles ...config.Profile) *Director {
	t.Helper()
	d, err := Compile(&config.TrafficManager{Profiles: profiles}, w, distances{w})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// known reads states: a letter for each endpoint, in the order of the
// configuration: + well, - not, ? untried, o switched off.
func known(t testing.TB, d *Director, letters string) []Known {
	t.Helper()
	list := make([]Known, len(d.Endpoints))
	if len(letters) != len(list) {
		t.Fatalf("%d letters for %d endpoints", len(letters), len(list))
	}
	for i, l := range letters {
		switch l {
		case '+':
			list[i].Health = health.Healthy
		case '-':
			list[i].Health = health.Unhealthy
		case 'o':
			list[i] = Known{Health: health.Healthy, Switch: SwitchedOff}
		}
	}
	return list
}

func newRand() *rand.Rand { return rand.New(rand.NewPCG(7, 9)) }

// ask answers once and returns the names of those chosen.
func ask(s *Snapshot, p *Profile, f Family, client netip.Addr, r *rand.Rand) string {
	c := p.Locate(client)
	var a Answer
	s.Answer(p, f, &c, r, &a)
	if a.NXDomain {
		return "NXDOMAIN"
	}
	var names []string
	for _, e := range a.Endpoints {
		names = append(names, e.Name)
	}
	return strings.Join(names, " ")
}

// possible is everything that asking often gives, in the order first seen.
func possible(s *Snapshot, p *Profile, f Family, client netip.Addr) map[string]int {
	r := newRand()
	seen := map[string]int{}
	for range 300 {
		seen[ask(s, p, f, client, r)]++
	}
	return seen
}

func addr(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
