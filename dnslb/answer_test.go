package dnslb

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/dnslb/geo"
	"gatehouse/dnslb/latency"
	"gatehouse/health"
)

func TestStatesAreDecidedInOrder(t *testing.T) {
	p := profileOf(t, "www", config.RoutePriority, "a 192.0.2.1", "b 192.0.2.2 off", "c 192.0.2.3 always", "n @child")
	child := profileOf(t, "child", config.RoutePriority, "x 192.0.2.9")
	d := compile(t, p, child)
	tests := []struct {
		letters string
		want    string
		profile ProfileState
	}{
		{"+++++", "Online Disabled Unmonitored Online", ProfileOnline},
		{"-++++", "Degraded Disabled Unmonitored Online", ProfileDegraded},
		{"?++++", "CheckingEndpoint Disabled Unmonitored Online", ProfileOnline},
		{"o-o+-", "Disabled Disabled Disabled Degraded", ProfileDegraded},
		{"oooo+", "Disabled Disabled Disabled Disabled", ProfileInactive},
		{"?ooo?", "CheckingEndpoint Disabled Disabled Disabled", ProfileChecking},
		{"oo?+?", "Disabled Disabled Unmonitored CheckingEndpoint", ProfileOnline},
		{"ooo+o", "Disabled Disabled Disabled Stopped", ProfileInactive},
	}
	for _, tt := range tests {
		t.Run(tt.letters, func(t *testing.T) {
			s := d.Snapshot(known(t, d, tt.letters))
			var got []string
			for _, e := range d.Profiles[0].Endpoints {
				got = append(got, s.State(e).String())
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if s.ProfileState(d.Profiles[0]) != tt.profile {
				t.Errorf("profile is %s, want %s", s.ProfileState(d.Profiles[0]), tt.profile)
			}
		})
	}
	// What the operator switches on is on, and a disabled profile makes its
	// endpoints inactive and those that stand for it stopped.
	on := known(t, d, "+++++")
	on[1].Switch = SwitchedOn
	if s := d.Snapshot(on); s.State(d.Endpoints[1]) != Online {
		t.Errorf("switched on: %s", s.State(d.Endpoints[1]))
	}
	child.Enabled = false
	d = compile(t, p, child)
	s := d.Snapshot(known(t, d, "+++++"))
	if x, n := s.State(d.Endpoint("child/x")), s.State(d.Endpoint("www/n")); x != Inactive || n != Stopped || s.ProfileState(d.Profile("child")) != ProfileDisabled {
		t.Errorf("disabled child: its endpoint is %s, the one for it %s", x, n)
	}
}

// The bad cases of every method: what is answered when endpoints are degraded
// or gone. A comma separates answers of which any may be given.
func TestServingMatrix(t *testing.T) {
	geo := []string{"us 192.0.2.1 geo=US", "na 192.0.2.2 geo=GEO-NA", "de 192.0.2.3 geo=DE"}
	sub := []string{"a 192.0.2.1 nets=10.0.0.0/24", "b 192.0.2.2 nets=10.0.1.0/24", "rest 192.0.2.3"}
	perf := []string{"west 192.0.2.1 at=West_US", "east 192.0.2.2 at=East_US", "eu 192.0.2.3 at=West_Europe", "eu2 192.0.2.4 at=West_Europe"}
	azure := func(p *config.Profile) { p.OnUnhealthy = config.UnhealthyServe }
	empty := func(p *config.Profile) { p.OnUnhealthy = config.UnhealthyNoData }
	nx := func(p *config.Profile) { p.NXDomain, p.UnmatchedNXDomain = true, true }
	tests := []struct {
		name    string
		routing config.RoutingMethod
		lines   []string
		change  func(*config.Profile)
		letters string
		client  netip.Addr
		want    string
	}{
		{"priority", config.RoutePriority, geo, nil, "+++", in(3, 1), "us"},
		{"priority by number", config.RoutePriority, []string{"a 192.0.2.1 priority=9", "b 192.0.2.2 priority=3"}, nil, "++", in(3, 1), "b"},
		{"priority, first down", config.RoutePriority, geo, nil, "-++", in(3, 1), "na"},
		{"priority, untried is served", config.RoutePriority, geo, nil, "?++", in(3, 1), "us"},
		{"priority, all down", config.RoutePriority, geo, nil, "---", in(3, 1), "us"},
		{"priority, all down, one off", config.RoutePriority, geo, nil, "o--", in(3, 1), "na"},
		{"priority, all off", config.RoutePriority, geo, nil, "ooo", in(3, 1), ""},
		{"priority, all off, Azure", config.RoutePriority, geo, nx, "ooo", in(3, 1), "NXDOMAIN"},
		{"weighted", config.RouteWeighted, geo, nil, "+++", in(3, 1), "de,na,us"},
		{"weighted, one down", config.RouteWeighted, geo, nil, "+-+", in(3, 1), "de,us"},
		{"weighted, all down", config.RouteWeighted, geo, nil, "--o", in(3, 1), "na,us"},
		{"performance, nearest", config.RoutePerformance, perf, nil, "++++", in(1, 1), "east"},
		{"performance, ties", config.RoutePerformance, perf, nil, "++++", in(2, 1), "eu,eu2"},
		{"performance, ties, one down", config.RoutePerformance, perf, nil, "++-+", in(2, 1), "eu2"},
		{"performance, region down", config.RoutePerformance, perf, nil, "++--", in(3, 1), "east"},
		{"performance, all down", config.RoutePerformance, perf, nil, "----", in(3, 1), "eu,eu2"},
		{"geographic", config.RouteGeographic, geo, nil, "+++", in(2, 1), "us"},
		{"geographic, state without a mapping", config.RouteGeographic, geo, nil, "+++", in(1, 1), "us"},
		{"geographic, down climbs", config.RouteGeographic, geo, nil, "-++", in(2, 1), "na"},
		{"geographic, down, Azure", config.RouteGeographic, geo, azure, "-++", in(2, 1), "us"},
		{"geographic, down, empty", config.RouteGeographic, geo, empty, "-++", in(2, 1), ""},
		{"geographic, all of the way down", config.RouteGeographic, geo, nil, "--+", in(2, 1), "us"},
		{"geographic, off climbs", config.RouteGeographic, geo, azure, "o++", in(2, 1), "na"},
		{"geographic, off climbs, empty", config.RouteGeographic, geo, empty, "o++", in(2, 1), "na"},
		{"geographic, nothing mapped", config.RouteGeographic, geo, nil, "+++", in(5, 1), ""},
		{"geographic, unknown place", config.RouteGeographic, geo, nil, "+++", in(0, 1), ""},
		{"geographic, unknown place, world", config.RouteGeographic, append(geo, "w 192.0.2.4 geo=WORLD"), nil, "++++", in(0, 1), "w"},
		{"geographic, no client, world", config.RouteGeographic, append(geo, "w 192.0.2.4 geo=WORLD"), nil, "++++", netip.Addr{}, "w"},
		{"multiValue", config.RouteMultiValue, geo, nil, "+-+", in(3, 1), "de us,us de"},
		{"multiValue, all down", config.RouteMultiValue, geo, nil, "--o", in(3, 1), "na us,us na"},
		{"subnet", config.RouteSubnet, sub, nil, "+++", in(0, 1), "a"},
		{"subnet, rest", config.RouteSubnet, sub, nil, "+++", in(3, 1), "rest"},
		{"subnet, no client", config.RouteSubnet, sub, nil, "+++", netip.Addr{}, "rest"},
		{"subnet, down", config.RouteSubnet, sub, nil, "-++", in(0, 1), "rest"},
		{"subnet, down, rest too", config.RouteSubnet, sub, nil, "-+-", in(0, 1), "a"},
		{"subnet, down, Azure", config.RouteSubnet, sub, azure, "-++", in(0, 1), "a"},
		{"subnet, down, empty", config.RouteSubnet, sub, empty, "-++", in(0, 1), ""},
		{"subnet, off", config.RouteSubnet, sub, nil, "o++", in(0, 1), "rest"},
		{"subnet, nothing matches", config.RouteSubnet, sub[:2], nil, "++", in(3, 1), ""},
		{"subnet, nothing matches, Azure", config.RouteSubnet, sub[:2], nx, "++", in(3, 1), "NXDOMAIN"},
		{"subnet override of geographic", config.RouteGeographic, []string{"us 192.0.2.1 geo=US", "de 192.0.2.3 geo=DE nets=10.0.8.0/24"}, nil, "++", in(2, 1), "de"},
		{"subnet override of geographic, down", config.RouteGeographic, []string{"us 192.0.2.1 geo=US", "de 192.0.2.3 geo=DE nets=10.0.8.0/24"}, nil, "+-", in(2, 1), "us"},
		{"subnet override of geographic, down, Azure", config.RouteGeographic, []string{"us 192.0.2.1 geo=US", "de 192.0.2.3 geo=DE nets=10.0.8.0/24"}, azure, "+-", in(2, 1), "de"},
		{"subnet override of performance", config.RoutePerformance, []string{"w 192.0.2.1 at=West_US nets=10.0.12.0/24", "eu 192.0.2.3 at=West_Europe"}, nil, "++", in(3, 1), "w"},
		{"subnet override of performance, down", config.RoutePerformance, []string{"w 192.0.2.1 at=West_US nets=10.0.12.0/24", "eu 192.0.2.3 at=West_Europe"}, azure, "-+", in(3, 1), "eu"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conf := profileOf(t, "www", tt.routing, tt.lines...)
			if tt.change != nil {
				tt.change(&conf)
			}
			d := compile(t, conf)
			s := d.Snapshot(known(t, d, tt.letters))
			got := strings.Join(slices.Sorted(maps.Keys(possible(s, d.Profiles[0], A, tt.client))), ",")
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			x := s.Explain(d.Profiles[0], A, ptr(d.Profiles[0].Locate(tt.client)), newRand())
			if x.NXDomain != (tt.want == "NXDOMAIN") || len(x.Answer) == 0 != (tt.want == "" || x.NXDomain) {
				t.Errorf("explained as %+v", x)
			}
			for _, e := range x.Steps[0].Endpoints {
				if e.Why == "" || e.Chosen != slices.Contains(x.Answer, "www/"+e.Name) {
					t.Errorf("explained %+v, answered %s", e, x.Answer)
				}
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

func TestWhatIsAskedForDecidesWhoCanAnswer(t *testing.T) {
	lines := []string{"four 192.0.2.1", "six 2001:db8::1 port=8443", "name east.example.net"}
	tests := []struct {
		routing config.RoutingMethod
		late    bool
		flatten bool
		want    [families]string // A, AAAA, Service, Other
	}{
		{config.RoutePriority, false, false, [families]string{"four", "six", "six", ""}}, // no CNAME beside addresses
		{config.RoutePriority, true, false, [families]string{"four", "", "", ""}},
		{config.RoutePriority, false, true, [families]string{"four", "six", "six", ""}},
		{config.RouteMultiValue, false, false, [families]string{"four name", "six", "six", ""}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.routing, tt.late, tt.flatten), func(t *testing.T) {
			conf := profileOf(t, "www", tt.routing, lines...)
			conf.LateMatch, conf.Flatten = tt.late, tt.flatten
			d := compile(t, conf)
			k := known(t, d, "+++")
			k[2].Addresses = []netip.Addr{netip.MustParseAddr("198.51.100.7")}
			s := d.Snapshot(k)
			for f := range families {
				names := strings.Fields(ask(s, d.Profiles[0], f, in(1, 1), newRand()))
				slices.Sort(names)
				if got := strings.Join(names, " "); got != tt.want[f] {
					t.Errorf("family %d: %q, want %q", f, got, tt.want[f])
				}
			}
		})
	}
}

// A name whose IPv6 endpoints are down and IPv4 ones well goes by what is
// asked for: the child that has something well of that family.
func TestANestedProfileIsWellWhereItsFamilyIs(t *testing.T) {
	d := compile(t,
		profileOf(t, "www", config.RoutePriority, "one @one", "two @two"),
		profileOf(t, "one", config.RoutePriority, "four 192.0.2.1", "six 2001:db8::1"),
		profileOf(t, "two", config.RoutePriority, "four 192.0.2.2", "six 2001:db8::2"))
	s := d.Snapshot(known(t, d, "??+-++"))
	var a Answer
	p := d.Profile("www")
	for f, want := range map[Family]string{A: "one/four", AAAA: "two/six"} {
		s.Answer(p, f, ptr(p.Locate(in(1, 1))), newRand(), &a)
		if a.Endpoints[0].Key != want || len(a.Way) != 2 {
			t.Errorf("family %d: %s after %d profiles, want %s", f, a.Endpoints[0].Key, len(a.Way), want)
		}
	}
}

func TestMinChildEndpoints(t *testing.T) {
	child := profileOf(t, "child", config.RouteWeighted, "a 192.0.2.1", "b 192.0.2.2", "c 2001:db8::1")
	tests := []struct {
		line, letters string
		want          State
	}{
		{"n @child", "?+--", Online},
		{"n @child", "?---", Degraded},
		{"n @child", "??--", Checking},
		{"n @child min=2", "?+--", Degraded},
		{"n @child min=2", "?+?-", Checking},
		{"n @child min=2", "?++-", Online},
		{"n @child min=3 min4=2 min6=1", "?+++", Online},
		{"n @child min4=2", "?+-+", Degraded},
		{"n @child min6=1", "?++-", Degraded},
		{"n @child min6=1", "?++?", Checking},
		{"n @child", "?ooo", Stopped},
	}
	for _, tt := range tests {
		d := compile(t, profileOf(t, "www", config.RoutePriority, tt.line), child)
		if got := d.Snapshot(known(t, d, tt.letters)).State(d.Endpoints[0]); got != tt.want {
			t.Errorf("%s with %s: %s, want %s", tt.line, tt.letters, got, tt.want)
		}
	}
}

func TestWeightedIsAsOftenAsItsWeights(t *testing.T) {
	d := compile(t, profileOf(t, "www", config.RouteWeighted, "a 192.0.2.1 weight=1", "b 192.0.2.2 weight=2", "c 192.0.2.3 weight=7", "d 192.0.2.4 weight=90"))
	s := d.Snapshot(known(t, d, "++++"))
	const n = 200_000
	counts := map[string]int{}
	r := newRand()
	for range n {
		counts[ask(s, d.Profiles[0], A, in(1, 1), r)]++
	}
	chi := 0.0
	for name, share := range map[string]float64{"a": .01, "b": .02, "c": .07, "d": .90} {
		diff := float64(counts[name]) - n*share
		chi += diff * diff / (n * share)
	}
	if chi > 16.27 { // 3 degrees of freedom, p = 0.001
		t.Errorf("chi-square %.1f, counts %v", chi, counts)
	}
}

func TestMultiValueDrawsEachSetAlike(t *testing.T) {
	conf := profileOf(t, "www", config.RouteMultiValue, "a 192.0.2.1", "b 192.0.2.2", "c 192.0.2.3", "d 192.0.2.4")
	d := compile(t, conf)
	s := d.Snapshot(known(t, d, "++++"))
	counts := map[string]int{}
	r := newRand()
	const n = 24_000
	for range n {
		counts[ask(s, d.Profiles[0], A, in(1, 1), r)]++
	}
	chi := 0.0
	for _, c := range counts {
		diff := float64(c) - n/12.0
		chi += diff * diff / (n / 12.0)
	}
	if len(counts) != 12 || chi > 31.3 { // 11 degrees of freedom, p = 0.001
		t.Errorf("chi-square %.1f, %d ordered pairs: %v", chi, len(counts), counts)
	}
}

func TestStickyKeepsANetworkWhereItIs(t *testing.T) {
	conf := profileOf(t, "www", config.RouteWeighted, "a 192.0.2.1 weight=1", "b 192.0.2.2 weight=1", "c 192.0.2.3 weight=2")
	conf.Sticky, conf.StickyIPv4, conf.StickyIPv6 = true, 24, 56
	d := compile(t, conf)
	p := d.Profiles[0]
	all, less := d.Snapshot(known(t, d, "+++")), d.Snapshot(known(t, d, "+-+"))
	counts := map[string]int{}
	const n = 20_000
	for i := range uint32(n) {
		client := addr(0x0b000000 + i<<8)
		before := ask(all, p, A, client, newRand())
		counts[before]++
		if other := ask(all, p, A, client.Next(), rand.New(rand.NewPCG(1, uint64(i)))); other != before {
			t.Fatalf("%s: %s and %s in one network", client, before, other)
		}
		if after := ask(less, p, A, client, newRand()); before != "b" && after != before {
			t.Fatalf("%s moved from %s to %s though only b is down", client, before, after)
		}
		if c := p.Locate(client); c.Bits != 24 {
			t.Fatalf("scope %d", c.Bits)
		}
	}
	for name, share := range map[string]float64{"a": .25, "b": .25, "c": .5} {
		if got := float64(counts[name]) / n; math.Abs(got-share) > 0.02 {
			t.Errorf("%s has %.3f of the networks, want %.2f", name, got, share)
		}
	}
}

func TestDegradedTTL(t *testing.T) {
	conf := profileOf(t, "www", config.RoutePriority, "a 192.0.2.1", "b 192.0.2.2")
	conf.DegradedTTL = 5e9
	d := compile(t, conf)
	var a Answer
	for letters, want := range map[string]uint32{"++": 30, "+-": 5, "o+": 30} {
		d.Snapshot(known(t, d, letters)).Answer(d.Profiles[0], A, &Client{}, newRand(), &a)
		if a.TTL != want {
			t.Errorf("%s: TTL %d, want %d", letters, a.TTL, want)
		}
	}
}

// randomTree makes profiles that nest each other, with every method.
func randomTree(t testing.TB, r *rand.Rand) []config.Profile {
	regions := []string{"West_US", "East_US", "West_Europe", "Japan_East", "Brazil_South"}
	codes := []string{"WORLD", "GEO-NA", "US", "US-CA", "GEO-EU", "DE", "FR", "JP"}
	var list []config.Profile
	const n = 6
	for i := n - 1; i >= 0; i-- {
		routing := config.RoutingMethod(1 + r.IntN(6))
		var lines []string
		third := r.Perm(64)
		owners := r.Perm(len(codes))
		for j := range 2 + r.IntN(3) {
			line := fmt.Sprintf("e%d 192.0.%d.%d weight=%d at=%s geo=%s", j, i, j+1, 1+r.IntN(5), regions[r.IntN(len(regions))], codes[owners[j]])
			if r.IntN(2) == 0 {
				line += "," + codes[owners[j+4]]
			}
			if r.IntN(3) == 0 && i < n-1 && routing != config.RouteMultiValue {
				line = strings.Replace(line, fmt.Sprintf("192.0.%d.%d", i, j+1), fmt.Sprintf("@p%d", i+1+r.IntN(n-1-i)), 1)
			}
			if routing == config.RouteSubnet && j > 0 || (routing == config.RouteGeographic || routing == config.RoutePerformance) && r.IntN(2) == 0 {
				line += fmt.Sprintf(" nets=10.0.%d.0/%d", third[j], 24+r.IntN(5))
			}
			if r.IntN(8) == 0 {
				line += " off"
			}
			lines = append(lines, line)
		}
		p := profileOf(t, fmt.Sprintf("p%d", i), routing, lines...)
		p.OnUnhealthy = config.OnUnhealthy(r.IntN(3))
		p.LateMatch = r.IntN(4) == 0
		if routing == config.RouteWeighted && r.IntN(2) == 0 {
			p.Sticky, p.StickyIPv4, p.StickyIPv6 = true, 20+r.IntN(8), 56
		}
		list = append(list, p)
	}
	return list
}

func randomKnown(r *rand.Rand, n int) []Known {
	list := make([]Known, n)
	for i := range list {
		list[i] = Known{Health: health.State(r.IntN(3)), Switch: Switch(max(r.IntN(8)-5, 0))}
	}
	return list
}

// A snapshot made step by step is the one made at once.
func TestChangesGiveTheSnapshotOfTheWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		d := compile(t, randomTree(t, r)...)
		s := d.Snapshot(make([]Known, len(d.Endpoints)))
		for range 10 {
			id := r.IntN(len(d.Endpoints))
			s = s.With(map[int]Known{id: randomKnown(r, 1)[0]})
		}
		whole := d.Snapshot(s.known)
		for _, p := range d.Profiles {
			if s.ProfileState(p) != whole.ProfileState(p) {
				t.Fatalf("profile %s: %s, want %s", p.Name, s.ProfileState(p), whole.ProfileState(p))
			}
			for seed := range uint64(20) {
				client := in(r.IntN(6), 1)
				a := ask(s, p, A, client, rand.New(rand.NewPCG(seed, 1)))
				if b := ask(whole, p, A, client, rand.New(rand.NewPCG(seed, 1))); a != b {
					t.Fatalf("profile %s: %q, want %q", p.Name, a, b)
				}
			}
		}
		if s.With(map[int]Known{0: s.known[0]}) != s {
			t.Fatal("nothing is new, and the snapshot is another")
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	w := newWorld()
	for _, tt := range []struct {
		name     string
		profiles []config.Profile
		places   Places
		want     string
	}{
		{"a cycle", []config.Profile{profileOf(t, "a", config.RoutePriority, "x @b"), profileOf(t, "b", config.RoutePriority, "y @a")}, w, `profile "a" is nested in itself`},
		{"no such profile", []config.Profile{profileOf(t, "a", config.RoutePriority, "x @b")}, w, `endpoint "a/x": there is no profile "b"`},
		{"no such region", []config.Profile{profileOf(t, "a", config.RoutePerformance, "x 192.0.2.1 at=Atlantis")}, w, `profile "a": endpoint "x": there is no region "Atlantis"`},
		{"no places", []config.Profile{profileOf(t, "a", config.RouteGeographic, "x 192.0.2.1 geo=DE")}, nil, `profile "a": geographic routing needs a database of places`},
		{"no method", []config.Profile{profileOf(t, "a", 77, "x 192.0.2.1")}, w, `profile "a": no routing method 77`},
	} {
		_, err := Compile(&config.TrafficManager{Profiles: tt.profiles}, tt.places, distances{w})
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestAnsweringAllocatesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	rnd := newRand()
	for range 20 {
		d := compile(t, randomTree(t, r)...)
		s := d.Snapshot(randomKnown(r, len(d.Endpoints)))
		var a Answer
		var c Client
		for _, p := range d.Profiles {
			client := in(r.IntN(6), 1)
			if n := testing.AllocsPerRun(100, func() {
				c = p.Locate(client)
				s.Answer(p, A, &c, rnd, &a)
			}); n != 0 {
				t.Fatalf("%v allocations (%s)", n, p.conf.Routing)
			}
		}
	}
}

// With the built-in places, and clients of which most have one.
func BenchmarkAnswer(b *testing.B) {
	table, err := latency.Build(geo.Builtin(), nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	r := newRand()
	clients := make([]netip.Addr, 1024)
	for i := range clients {
		clients[i] = addr(r.Uint32N(224 << 24))
	}
	for routing := config.RoutePriority; routing <= config.RouteSubnet; routing++ {
		b.Run(routing.String(), func(b *testing.B) {
			conf := profileOf(b, "www", routing, "a 192.0.2.1 at=West_US geo=US", "b 192.0.2.2 at=West_Europe geo=DE", "c 192.0.2.3 at=Japan_East geo=WORLD")
			d, err := Compile(&config.TrafficManager{Profiles: []config.Profile{conf}}, geo.Builtin(), table)
			if err != nil {
				b.Fatal(err)
			}
			s, p := d.Snapshot(make([]Known, 3)), d.Profiles[0]
			var a Answer
			var c Client
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c = p.Locate(clients[i%len(clients)])
				s.Answer(p, A, &c, r, &a)
			}
		})
	}
}

// Of two endpoints that stand for one profile, the one that was chosen is said
// to be.
func TestExplanationsTellNestedEndpointsApart(t *testing.T) {
	d := compile(t, profileOf(t, "www", config.RouteGeographic, "de @child geo=DE", "us @child geo=US"),
		profileOf(t, "child", config.RoutePriority, "x 192.0.2.9"))
	p := d.Profile("www")
	s := d.Snapshot(known(t, d, "+++"))
	for _, tt := range []struct {
		client netip.Addr
		want   string
	}{{in(2, 1), "us"}, {in(3, 1), "de"}} {
		for _, e := range s.Explain(p, A, ptr(p.Locate(tt.client)), newRand()).Steps[0].Endpoints {
			if e.Chosen != (e.Name == tt.want) {
				t.Errorf("%v: %+v, want %s", tt.client, e, tt.want)
			}
		}
	}
}

// An endpoint that is as near as the one that was drawn is not said to be
// farther.
func TestExplanationsOfTies(t *testing.T) {
	d := compile(t, profileOf(t, "www", config.RoutePerformance, "east 192.0.2.2 at=East_US", "eu 192.0.2.3 at=West_Europe", "eu2 192.0.2.4 at=West_Europe"))
	p := d.Profile("www")
	for _, e := range d.Snapshot(known(t, d, "+++")).Explain(p, A, ptr(p.Locate(in(2, 1))), newRand()).Steps[0].Endpoints {
		want := "another region is nearer"
		if e.Name != "east" {
			want = "is as near; another was drawn"
		}
		if !e.Chosen && e.Why != want {
			t.Errorf("%+v, want %q", e, want)
		}
	}
}
