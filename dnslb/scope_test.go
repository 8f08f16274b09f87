package dnslb

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/dnslb/geo"
	"gatehouse/dnslb/latency"
)

// scopeOf is the prefix that an answer is said to hold in.
func scopeOf(p *Profile, client netip.Addr) netip.Prefix {
	return netip.PrefixFrom(client, p.Locate(client).Bits).Masked()
}

// randomClient is in the small world as a rule.
func randomClient(r *rand.Rand) netip.Addr {
	switch r.IntN(10) {
	case 0:
		return addr(r.Uint32())
	case 1:
		return randomIn(r, netip.MustParsePrefix([]string{"2001:db8::/44", "::/64", "::fffe:0:0/95", "::/0"}[r.IntN(4)])).Unmap()
	}
	return netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(256)), byte(r.IntN(256))})
}

// Every address within the scope that Locate returns has the same answers,
// with the same chances: the same draw gives the same answer, whatever is known
// of the endpoints.
func TestTheScopeIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	narrow := 0
	for range 150 {
		d := compileIn(t, randomWorld(r), randomTree(t, r)...)
		s := d.Snapshot(randomKnown(r, len(d.Endpoints)))
		for _, p := range d.Profiles {
			for range 20 {
				client := randomClient(r)
				scope := scopeOf(p, client)
				if scope.Bits() > 0 {
					narrow++
				}
				for seed := range uint64(6) {
					other := randomIn(r, scope)
					a := ask(s, p, A, client, rand.New(rand.NewPCG(seed, 1)))
					b := ask(s, p, A, other, rand.New(rand.NewPCG(seed, 1)))
					if a != b {
						t.Fatalf("profile %s (%s), scope %s: %s gets %q, %s gets %q", p.Name, p.conf.Routing, scope, client, a, other, b)
					}
				}
			}
			if !p.ByClient() && p.Locate(in(1, 1)).Bits != 0 {
				t.Fatalf("profile %s goes by nothing, and has a scope", p.Name)
			}
		}
	}
	if narrow < 1000 {
		t.Fatalf("only %d scopes were longer than 0", narrow)
	}
}

// No scope has another one within, so that resolvers may keep all.
func TestScopesAreTheSameOrDisjoint(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 4))
	for range 100 {
		d := compileIn(t, randomWorld(r), randomTree(t, r)...)
		for _, p := range d.Profiles {
			var seen []netip.Prefix
			for range 60 {
				client := randomClient(r)
				scope := scopeOf(p, client)
				if again := scopeOf(p, randomIn(r, scope)); again != scope {
					t.Fatalf("profile %s (%s): an address in %s is in %s", p.Name, p.conf.Routing, scope, again)
				}
				for _, other := range seen {
					if other != scope && other.Overlaps(scope) {
						t.Fatalf("profile %s (%s): %s and %s", p.Name, p.conf.Routing, scope, other)
					}
				}
				if scope.Bits() > 0 && scope.Contains(mapped) {
					t.Fatalf("profile %s (%s): %s has addresses that are taken for IPv4", p.Name, p.conf.Routing, scope)
				}
				seen = append(seen, scope)
			}
		}
	}
}

// One bit less, and the scope has two addresses that the profile is configured
// to tell apart, as [distinction] has it.
func TestTheScopeIsTheWidest(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 4))
	wide := 0
	for range 25 {
		w := randomWorld(r)
		d := compileIn(t, w, randomTree(t, r)...)
		for _, p := range d.Profiles {
			if !p.ByClient() {
				continue
			}
			for range 12 {
				client := randomClient(r)
				if client.Is6() {
					continue // all are in one place
				}
				scope := scopeOf(p, client)
				if scope.Bits() < 22 {
					wide++
				}
				if scope.Bits() > 0 && !toldApart(w, p, client, scope.Bits()-1) {
					t.Fatalf("profile %s (%s): %s gets %s, but is told from no other in the parent of that", p.Name, p.conf.Routing, client, scope)
				}
			}
		}
	}
	if wide < 300 {
		t.Errorf("only %d scopes were wider than a block of the world", wide)
	}
}

// A client's scope takes in its neighbours that a profile is not configured to
// tell from it, and no others.
func TestNeighboursThatAreAlikeShareAScope(t *testing.T) {
	w := newWorld()
	for i := range w.blocks { // a /19 each
		w.blocks[i] = []int{1, 2, 3, 4, 5, 5, 0, 0}[i/8] // US-CA, US, DE, FR, JP, nowhere
	}
	w.other[20] = true // 10.0.80.0/22 of DE
	const ca, us, de, fr, jp, nowhere, outside = "10.0.20.1", "10.0.40.1", "10.0.70.1", "10.0.100.1", "10.0.130.1", "10.0.250.1", "11.1.1.1"
	geographic := func(name string, lines ...string) config.Profile {
		return profileOf(t, name, config.RouteGeographic, append(lines, "w 192.0.2.9 geo=WORLD")...)
	}
	d := compileIn(t, w,
		geographic("regions", "us 192.0.2.1 geo=US", "eu 192.0.2.2 geo=GEO-EU"),
		geographic("lists", "one 192.0.2.1 geo=US,US-CA,DE", "two 192.0.2.2 geo=JP"),
		geographic("world"),
		geographic("child", "ca 192.0.2.1 geo=US-CA", "de 192.0.2.2 geo=DE"),
		geographic("child2", "jp 192.0.2.1 geo=JP"),
		geographic("europe", "us 192.0.2.1 geo=US", "eu @child geo=GEO-EU"),
		geographic("europe2", "us 192.0.2.1 geo=US", "eu @child2 geo=GEO-EU"),
		geographic("america", "us @child geo=US", "eu 192.0.2.1 geo=GEO-EU"),
		geographic("ranges", "us 192.0.2.1 geo=US", "eu @child geo=GEO-EU nets=10.0.0.0/18"),
		profileOf(t, "near", config.RoutePerformance, "a 192.0.2.1 at=Japan_East", "b 192.0.2.2 at=Brazil_South"),
		geographic("near in europe", "eu @near geo=GEO-EU"),
		profileOf(t, "subnets", config.RouteSubnet, "a 192.0.2.1 nets=10.0.0.0/24,10.0.1.0/24", "b 192.0.2.2 nets=10.0.2.0/24"))
	tests := []struct{ profile, client, want string }{
		{"regions", ca, "10.0.0.0/18"}, {"regions", us, "10.0.0.0/18"}, {"regions", fr, "10.0.64.0/18"},
		{"regions", jp, "10.0.128.0/17"}, {"regions", nowhere, "10.0.128.0/17"}, {"regions", outside, "11.0.0.0/8"}, {"regions", "200.1.1.1", "128.0.0.0/1"},
		{"lists", ca, "10.0.0.0/18"}, {"lists", de, "10.0.64.0/19"}, {"lists", fr, "10.0.96.0/19"}, {"lists", jp, "10.0.128.0/18"},
		{"world", ca, "0.0.0.0/0"}, {"world", outside, "0.0.0.0/0"}, {"world", "2001:db8::1", "2000::/3"},
		{"europe", ca, "10.0.0.0/18"}, {"europe", de, "10.0.64.0/19"}, {"europe", fr, "10.0.96.0/19"},
		{"europe2", ca, "10.0.0.0/18"}, {"europe2", de, "10.0.64.0/18"},
		{"america", ca, "10.0.0.0/19"}, {"america", us, "10.0.32.0/19"}, {"america", de, "10.0.64.0/18"},
		{"ranges", ca, "10.0.0.0/19"}, {"ranges", us, "10.0.32.0/19"}, {"ranges", de, "10.0.64.0/19"},
		{"near", ca, "10.0.0.0/18"}, {"near", "10.0.81.1", "10.0.80.0/22"}, {"near", de, "10.0.64.0/20"},
		{"near in europe", ca, "10.0.0.0/18"}, {"near in europe", "10.0.81.1", "10.0.80.0/22"}, {"near in europe", fr, "10.0.96.0/19"},
		{"subnets", "10.0.1.7", "10.0.0.0/23"}, {"subnets", "10.0.2.7", "10.0.2.0/24"}, {"subnets", "10.0.3.7", "10.0.3.0/24"},
	}
	for _, tt := range tests {
		if got := scopeOf(d.Profile(tt.profile), netip.MustParseAddr(tt.client)).String(); got != tt.want {
			t.Errorf("%s, client %s: %s, want %s", tt.profile, tt.client, got, tt.want)
		}
	}
}

// A range that is all of a family has no edge, and yet a client that is known
// is another than one that is not.
func TestARangeOfAllGoesByTheClient(t *testing.T) {
	d := compile(t, profileOf(t, "all", config.RouteSubnet, "a 192.0.2.1 nets=0.0.0.0/0,::/0", "rest 192.0.2.2"),
		profileOf(t, "above", config.RoutePriority, "x @all"))
	for _, p := range d.Profiles {
		if got := scopeOf(p, in(1, 1)); !p.ByClient() || got.Bits() != 0 {
			t.Errorf("profile %s: %v, %s", p.Name, p.ByClient(), got)
		}
	}
}

// counted counts how often the built-in database is divided, into one class.
type counted struct {
	*geo.Database
	divided int
}

func (c *counted) Divide(class []uint32) geo.Finder {
	c.divided++
	return whole{c.Database}
}

type whole struct{ *geo.Database }

func (w whole) Find(a netip.Addr) (int, netip.Prefix) {
	n, _ := w.Database.Find(a)
	within, _ := a.Prefix(0)
	return n, within
}

// Profiles that tell the same places apart share a division, whatever they call
// them, and only so many are made, for those with names first: the scopes of the
// others are those of the database.
func TestDivisionsAreSharedAndBounded(t *testing.T) {
	var countries []string
	for _, p := range geo.Builtin().Places() {
		if geo.KnownRegion(p.Country) && p.Country != "GB" {
			countries = append(countries, p.Country)
		}
	}
	var profiles []config.Profile
	add := func(name, country string) *config.Profile {
		profiles = append(profiles, profileOf(t, name, config.RouteGeographic, "x 192.0.2.1 geo="+country, "w 192.0.2.2 geo=WORLD"))
		return &profiles[len(profiles)-1]
	}
	for _, c := range countries[:maxDivisions+5] {
		add("nested "+c, c).Zone = ""
	}
	for i := range 300 {
		add(fmt.Sprint("like ", i), "GB")
	}
	places := &counted{Database: geo.Builtin()}
	d, err := Compile(&config.TrafficManager{Profiles: profiles}, places, nil)
	if err != nil {
		t.Fatal(err)
	}
	if places.divided != maxDivisions {
		t.Errorf("%d divisions", places.divided)
	}
	client := netip.MustParseAddr("8.8.8.8")
	_, narrow := places.Find(client)
	for _, p := range d.Profiles {
		got := scopeOf(p, client)
		want := narrow
		if p.conf.Zone != "" || p.index < maxDivisions-1 {
			want = netip.MustParsePrefix("0.0.0.0/0")
		}
		if got != want {
			t.Errorf("profile %s: %s, want %s", p.Name, got, want)
		}
	}
}

// toldApart tells whether a profile tells a client from another in a prefix
// around it: from one of the edges of the world or of a /28 in it.
func toldApart(w *world, p *Profile, client netip.Addr, bits int) bool {
	within := netip.PrefixFrom(client, bits).Masked()
	own := distinction(w, p, client)
	b := client.As4()
	b[bits/8] ^= 0x80 >> (bits % 8)
	others := []netip.Addr{netip.AddrFrom4(b)}
	for i := range 4096 {
		others = append(others, netip.AddrFrom4([4]byte{10, 0, byte(i >> 4), byte(i << 4)}))
	}
	for i := range 16 {
		others = append(others, addr(0x0a000000^1<<(31-i)))
	}
	return slices.ContainsFunc(others, func(a netip.Addr) bool {
		return within.Contains(a) && distinction(w, p, a) != own
	})
}

// distinction is what a profile makes of a client: it is written from the
// configuration and not with what the profile was compiled to.
func distinction(w *world, p *Profile, client netip.Addr) string {
	row, _ := distances{w}.Find(client)
	var b strings.Builder
	chain(&b, distances{w}, p, row)
	ranges(&b, p, client)
	return b.String()
}

// chain writes who would answer clients of a row and its place in turn, here and
// below.
func chain(b *strings.Builder, l distances, p *Profile, row int) {
	var first []string
	switch p.conf.Routing {
	case config.RouteGeographic:
		for _, code := range geo.RegionsOf(l.places[l.Place(row)]) {
			for _, e := range p.conf.Endpoints {
				if slices.Contains(e.Geo, code) && !slices.Contains(first, e.Name) {
					first = append(first, e.Name)
				}
			}
		}
	case config.RoutePerformance:
		var used []latency.Region
		for _, e := range p.conf.Endpoints {
			if r, _ := latency.Find(e.Location); !slices.Contains(used, r) {
				used = append(used, r)
			}
		}
		first = append(first, fmt.Sprint(l.Order(row, used)))
	}
	fmt.Fprintf(b, "%s%q(", p.Name, first)
	for _, e := range p.Endpoints {
		if e.nested != nil && (p.conf.Routing != config.RouteGeographic || slices.Contains(first, e.Name) || len(e.conf.Subnets) > 0) {
			chain(b, l, e.nested, row)
		}
	}
	b.WriteString(")")
}

// ranges writes whose ranges a client is in, here and below, and its network
// where that counts.
func ranges(b *strings.Builder, p *Profile, client netip.Addr) {
	if p.conf.Sticky {
		n, _ := client.Prefix(p.conf.StickyIPv4)
		fmt.Fprint(b, n)
	}
	for _, e := range p.Endpoints {
		for _, r := range e.conf.Subnets {
			if !client.Less(r.First) && !r.Last.Less(client) {
				fmt.Fprint(b, " in ", e.Key)
			}
		}
		if e.nested != nil {
			ranges(b, e.nested, client)
		}
	}
}
