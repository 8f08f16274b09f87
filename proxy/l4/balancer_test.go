package l4

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"

	"gatehouse/config"
)

// lab is a balancer of one text, and what a test does with it.
type lab struct {
	*Balancer
	t     *testing.T
	state *State
	names map[string][]netip.Addr
}

func newLab(t *testing.T, text string) *lab {
	t.Helper()
	l := &lab{t: t, state: NewState(), names: map[string][]netip.Addr{}}
	l.load(text)
	return l
}

func (l *lab) load(text string) {
	l.t.Helper()
	conf, _, err := config.ParseLoadBalancer("l.yaml", []byte(text))
	if err != nil {
		l.t.Fatal(err)
	}
	b, err := Compile(conf, func(host string) []netip.Addr { return l.names[host] }, l.state, l.Balancer)
	if err != nil {
		l.t.Fatal(err)
	}
	l.Balancer = b
	l.state.Forget(b)
}

// tcp is the flow of a client's port to a port of the frontend.
func tcp(client string, to int) *Tuple {
	return &Tuple{TCP, netip.MustParseAddrPort(client), netip.AddrPortFrom(netip.MustParseAddr("203.0.113.10"), uint16(to))}
}

// member is the name of the first choice.
func (l *lab) member(t *Tuple) string {
	l.t.Helper()
	d := l.Door(t.Frontend, t.Protocol)
	if d == nil {
		l.t.Fatalf("no door for %v", t)
	}
	p := d.Route().Pick(t)
	if m := p.Next(); m != nil {
		return m.Name
	}
	return ""
}

// set says what the checks of an address found.
func (l *lab) set(addr string, h Health) {
	for _, c := range l.Checks() {
		if c.Target.Addr().String() == addr {
			l.Learn(c, h)
		}
	}
}

const five = `
frontends: [{name: public, address: 203.0.113.10}]
backendPools: [{name: web, members: [10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5]}]
probes: [{name: p, port: 80%s}]
rules:
  - {name: web, frontend: public, protocol: tcp, frontendPort: 80, backendPool: web, probe: p%s}
`

// clients calls f with many flows.
func clients(f func(i int, t *Tuple)) {
	for i := range 5000 {
		f(i, tcp(fmt.Sprintf("198.51.%d.%d:%d", i/250, 1+i%250, 1024+i*7%60000), 80))
	}
}

func TestFlowsSpreadOverAllMembers(t *testing.T) {
	l := newLab(t, fmt.Sprintf(five, "", ""))
	n := map[string]int{}
	clients(func(_ int, f *Tuple) { n[l.member(f)]++ })
	for i := 1; i <= 5; i++ {
		if got := n[fmt.Sprintf("10.0.0.%d", i)]; math.Abs(float64(got)-1000) > 120 {
			t.Errorf("10.0.0.%d: %d of 5000", i, got)
		}
	}
}

// When a member goes down its flows go elsewhere, evenly, and no others move;
// when it comes back all is as it was.
func TestOnlyFlowsOfADeadMemberMove(t *testing.T) {
	l := newLab(t, fmt.Sprintf(five, "", ""))
	var before []string
	clients(func(_ int, f *Tuple) { before = append(before, l.member(f)) })
	l.set("10.0.0.3", Down)
	taken := map[string]int{}
	clients(func(i int, f *Tuple) {
		now := l.member(f)
		switch {
		case before[i] != "10.0.0.3" && now != before[i]:
			t.Fatalf("%v moved from %s to %s", f, before[i], now)
		case before[i] == "10.0.0.3":
			taken[now]++
		}
	})
	if len(taken) != 4 || slices.Min([]int{taken["10.0.0.1"], taken["10.0.0.2"], taken["10.0.0.4"], taken["10.0.0.5"]}) < 150 {
		t.Errorf("who took over: %v", taken)
	}
	l.set("10.0.0.3", Up)
	clients(func(i int, f *Tuple) {
		if now := l.member(f); now != before[i] {
			t.Fatalf("%v is not back: %s, not %s", f, now, before[i])
		}
	})
}

func TestNobodyIsWell(t *testing.T) {
	for _, tt := range []struct{ probe, want string }{{"", ""}, {", noHealthyBackends: allUp", "same"}} {
		l := newLab(t, fmt.Sprintf(five, tt.probe, ""))
		f := tcp("198.51.100.1:4000", 80)
		want := l.member(f)
		if tt.want == "" {
			want = ""
		}
		for i := 1; i <= 5; i++ {
			l.set(fmt.Sprintf("10.0.0.%d", i), Down)
		}
		if got := l.member(f); got != want {
			t.Errorf("%q: %q, want %q", tt.probe, got, want)
		}
	}
}

func TestAMemberIsTriedOnce(t *testing.T) {
	l := newLab(t, fmt.Sprintf(five, "", ""))
	l.set("10.0.0.2", Down)
	p := l.Door(tcp("198.51.100.1:4000", 80).Frontend, TCP).Route().Pick(tcp("198.51.100.1:4000", 80))
	var all []string
	for m := p.Next(); m != nil; m = p.Next() {
		all = append(all, m.Name)
	}
	slices.Sort(all)
	if want := []string{"10.0.0.1", "10.0.0.3", "10.0.0.4", "10.0.0.5"}; !slices.Equal(all, want) {
		t.Errorf("%v", all)
	}
}

func TestAdministrativeStates(t *testing.T) {
	l := newLab(t, `
frontends: [{name: public, address: 203.0.113.10}]
backendPools: [{name: web, members: [{address: 10.0.0.1, adminState: up}, {address: 10.0.0.2, adminState: down}]}]
probes: [{name: p, port: 80, noHealthyBackends: allUp}]
rules: [{name: web, frontend: public, protocol: tcp, frontendPort: 80, backendPool: web, probe: p}]
`)
	f := tcp("198.51.100.1:4000", 80)
	l.set("10.0.0.1", Down)
	l.set("10.0.0.2", Up)
	if got := l.member(f); got != "10.0.0.1" {
		t.Errorf("up and down by hand: %q", got)
	}
	if n := l.Drain("web", "10.0.0.1"); n != 1 {
		t.Errorf("drained %d", n)
	}
	if got := l.member(f); got != "" {
		t.Errorf("drained and down by hand: %q; allUp is about probes only", got)
	}
	if l.Undrain("", "10.0.0.1"); l.member(f) != "10.0.0.1" {
		t.Error("not back after undrain")
	}
}

// With sourceIP a client has one member over all ports and protocols of rules
// that share a pool.
func TestDistributions(t *testing.T) {
	for _, tt := range []struct {
		distribution             string
		samePort, otherPort, udp bool // the same member for another: client port, frontend port, protocol
	}{{"default", false, false, false}, {"sourceIPProtocol", true, true, false}, {"sourceIP", true, true, true}} {
		text := fmt.Sprintf(five, "", ", distribution: "+tt.distribution) +
			fmt.Sprintf("  - {name: tls, frontend: public, protocol: tcp, frontendPort: 443, backendPool: web, distribution: %s}\n", tt.distribution) +
			fmt.Sprintf("  - {name: quic, frontend: public, protocol: udp, frontendPort: 443, backendPool: web, distribution: %s}\n", tt.distribution)
		l := newLab(t, text)
		same, other, udp := true, true, true
		for i := range 100 {
			a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 1000)
			first := l.member(&Tuple{TCP, a, tcp("0.0.0.0:1", 80).Frontend})
			same = same && first == l.member(&Tuple{TCP, netip.AddrPortFrom(a.Addr(), 2000), tcp("0.0.0.0:1", 80).Frontend})
			other = other && first == l.member(&Tuple{TCP, a, tcp("0.0.0.0:1", 443).Frontend})
			udp = udp && first == l.member(&Tuple{UDP, a, tcp("0.0.0.0:1", 443).Frontend})
		}
		if same != tt.samePort || other != tt.otherPort || udp != tt.udp {
			t.Errorf("%s: another client port %v, another port %v, another protocol %v", tt.distribution, same, other, udp)
		}
	}
}

// Two instances with their members in another order choose alike.
func TestInstancesAgree(t *testing.T) {
	a := newLab(t, fmt.Sprintf(five, "", ""))
	b := newLab(t, `
frontends: [{name: other, address: 203.0.113.10}]
backendPools: [{name: pool, members: [10.0.0.4, {address: 10.0.0.2, name: second}, 10.0.0.5, 10.0.0.1, 10.0.0.3]}]
rules: [{name: rule, frontend: other, protocol: tcp, frontendPort: 80, backendPool: pool}]
`)
	clients(func(_ int, f *Tuple) {
		x, y := a.member(f), b.member(f)
		if y == "second" {
			y = "10.0.0.2"
		}
		if x != y {
			t.Fatalf("%v: %s and %s", f, x, y)
		}
	})
}

func TestHostNamesAreTheirAddresses(t *testing.T) {
	l := newLab(t, "frontends: []")
	text := `
frontends: [{name: public, address: 203.0.113.10}]
backendPools: [{name: web, members: [app.internal, 10.0.0.9]}]
rules: [{name: web, frontend: public, protocol: tcp, frontendPort: 80, backendPool: web}]
`
	l.load(text)
	seen := func() map[string]bool {
		all := map[string]bool{}
		clients(func(_ int, f *Tuple) { all[l.member(f)] = true })
		return all
	}
	if all := seen(); len(all) != 1 || !all["10.0.0.9"] {
		t.Errorf("before the name is known: %v", all)
	}
	l.names["app.internal"] = []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::ffff:10.0.0.9"), netip.MustParseAddr("10.0.0.2")}
	l.load(text)
	if all := seen(); len(all) != 3 || !all["app.internal(10.0.0.1)"] || !all["app.internal(10.0.0.2)"] {
		t.Errorf("afterwards: %v", all)
	}
}

func TestInboundNATRulesMapPorts(t *testing.T) {
	l := newLab(t, `
frontends: [{name: public, address: 203.0.113.10}]
backendPools: [{name: web, members: [10.0.0.1, {address: 10.0.0.2, adminState: down, name: two}, 10.0.0.3]}]
inboundNatRules:
  - {name: ssh, frontend: public, protocol: tcp, frontendPorts: 50000-50009, backendPool: web, backendPort: 22}
  - {name: db, frontend: public, protocol: tcp, frontendPort: 5432, backendPool: web, member: two}
`)
	for port, want := range map[int]string{50000: "10.0.0.1:22", 50001: "10.0.0.2:22", 50002: "10.0.0.3:22", 50003: "", 5432: "10.0.0.2:5432"} {
		f := tcp("198.51.100.1:4000", port)
		d, got := l.Door(f.Frontend, TCP), ""
		if d != nil {
			p := d.Route().Pick(f)
			got = d.Route().Target(p.Next(), f).String()
		}
		if got != want {
			t.Errorf("port %d: %q, want %q", port, got, want)
		}
	}
}

func TestEveryPortOfAnAddress(t *testing.T) {
	l := newLab(t, `
frontends: [{name: public, address: 203.0.113.10}]
backendPools: [{name: all, members: [10.0.0.1]}, {name: web, members: ["10.0.0.2:8080"]}]
rules:
  - {name: all, frontend: public, protocol: all, backendPool: all}
  - {name: web, frontend: public, protocol: tcp, frontendPort: 80, backendPool: web}
`)
	for _, tt := range []struct {
		f    *Tuple
		want string
	}{{tcp("198.51.100.1:4000", 80), "10.0.0.2:8080"}, {tcp("198.51.100.1:4000", 81), "10.0.0.1:81"}, {&Tuple{UDP, netip.MustParseAddrPort("198.51.100.1:4000"), netip.MustParseAddrPort("203.0.113.10:80")}, "10.0.0.1:80"}} {
		d := l.Door(tt.f.Frontend, tt.f.Protocol)
		p := d.Route().Pick(tt.f)
		if got := d.Route().Target(p.Next(), tt.f).String(); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.f, got, tt.want)
		}
	}
}

// What a reload leaves: verdicts, counts and what was drained.
func TestAReloadKeepsWhatIsKnown(t *testing.T) {
	l := newLab(t, fmt.Sprintf(five, "", ""))
	l.set("10.0.0.1", Down)
	l.Drain("", "10.0.0.2")
	l.Rules[0].Life.Total.Add(7)
	l.load(fmt.Sprintf(five, "", ", idleTimeout: 1m"))
	status := l.Rules[0].Route().Status()
	if status[0].State != StateDown || status[1].State != StateDrained || status[2].State != StateUntried || l.Rules[0].Life.Total.Load() != 7 {
		t.Errorf("%v %v %v, %d flows", status[0].State, status[1].State, status[2].State, l.Rules[0].Life.Total.Load())
	}
	l.load("frontends: []")
	if len(l.state.verdicts) != 0 || len(l.state.rules) != 0 || len(l.state.lives) != 1 {
		t.Errorf("left: %d verdicts, %d rules, %d members", len(l.state.verdicts), len(l.state.rules), len(l.state.lives))
	}
}

// What is found between the compilation of a balancer and its first flow is
// seen by it.
func TestABalancerIsRefreshedBeforeUse(t *testing.T) {
	l := newLab(t, fmt.Sprintf(five, "", ""))
	next, err := Compile(l.Config, nil, l.state, l.Balancer)
	if err != nil {
		t.Fatal(err)
	}
	l.set("10.0.0.1", Down)
	l.Drain("", "10.0.0.2")
	for _, c := range next.Checks() {
		next.Learn(c, c.Health()) // no news
	}
	next.Refresh()
	status := next.Rules[0].Route().Status()
	if status[0].State != StateDown || status[1].State != StateDrained || status[0].Eligible || status[1].Eligible {
		t.Errorf("%v, %v", status[0].State, status[1].State)
	}
}

func TestAFlowAsksWhetherItsMemberIsStillServed(t *testing.T) {
	l := newLab(t, fmt.Sprintf(five, "", ""))
	rt := l.Rules[0].Route()
	p := rt.Pick(tcp("198.51.100.1:4000", 80))
	m, seen := p.Next(), Seen{}
	if !rt.Serves(m, &seen) {
		t.Error("not served at first")
	}
	l.set(m.Addr.String(), Down)
	if rt.Serves(m, &seen) {
		t.Error("served while it is down")
	}
	if n := testing.AllocsPerRun(100, func() { rt.Serves(m, &seen); p := rt.Pick(tcp80); p.Next() }); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}

var tcp80 = tcp("198.51.100.1:4000", 80)

func BenchmarkPick(b *testing.B) {
	conf, _, err := config.ParseLoadBalancer("l.yaml", fmt.Appendf(nil, five, "", ""))
	if err != nil {
		b.Fatal(err)
	}
	bal, err := Compile(conf, nil, NewState(), nil)
	if err != nil {
		b.Fatal(err)
	}
	rt := bal.Rules[0].Route()
	b.ReportAllocs()
	for b.Loop() {
		p := rt.Pick(tcp80)
		p.Next()
	}
}
