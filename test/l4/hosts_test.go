package l4

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// kept is a member of both families that sees the client's own address.
const kept = `
frontends: [{name: front, address: FRONT}]
backendPools: [{name: pool, members: [10.0.0.2]}, {name: pool6, members: ["fd00:1::2"]}]
rules:
  - {name: stream, frontend: front, protocol: tcp, frontendPort: 8080, backendPool: pool, transparent: true, connectTimeout: 300ms}
  - {name: datagram, frontend: front, protocol: udp, frontendPort: 8080, backendPool: pool, transparent: true}
  - {name: stream6, frontend: front6, protocol: tcp, frontendPort: 8080, backendPool: pool6, transparent: true}
  - {name: datagram6, frontend: front6, protocol: udp, frontendPort: 8080, backendPool: pool6, transparent: true}
`

// The manual, followed: what is missing is told before it is there, and
// then members see who the client is.
func TestHostsTransparent(t *testing.T) {
	for _, as := range []string{"the balancer", "the balancer with nftables"} {
		t.Run(as, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath("nft"); err != nil && strings.Contains(as, "nftables") {
				t.Skip("nft is not installed")
			}
			h := newHosts(t, 1, 1)
			a := h.members[0]
			a6 := newMemberIn(t, a.host, "a6", "fd00:1::2", h.port, h.health)
			b := h.start(h.fill(strings.Replace(kept, "FRONT}", `FRONT}, {name: front6, address: "`+front6+`"}`, 1)))
			a.host.Document("l4lb-transparent.md", "a member")

			said := b.check()
			for _, mend := range []string{"ip rule add iif eth1 lookup 100", "ip route add local 0.0.0.0/0 dev lo table 100",
				"ip -6 rule add iif eth1 lookup 100", "ip -6 route add local ::/0 dev lo table 100"} {
				if !strings.Contains(said, "try: "+mend+"\n") || !strings.Contains(b.log(), "try: "+mend) {
					t.Errorf("neither check nor the start may leave out %q:\n%s%s", mend, said, b.log())
				}
			}
			client := h.clients[0]
			if _, err := client.visit(h.door()); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("a connection before answers come back: %v", err)
			}
			b.wantRefused("stream", "connect", 1)

			h.balancer.Document("l4lb-transparent.md", as)
			if said := b.check(); strings.Contains(said, "warning") {
				t.Errorf("with all that the manual asks for: %s", said)
			}
			keepsAddress(t, client, a, h.door(), client.ip)
			keepsAddress(t, client, a6, h.door6(), client.v6)
		})
	}
}

// keepsAddress wants a member to see a client as it is, by TCP and UDP.
func keepsAddress(t *testing.T, client *visitor, m *member, door string, want netip.Addr) {
	t.Helper()
	s := client.open(door)
	if err := s.echo("hello"); err != nil || m.sees() != want {
		t.Errorf("%s: the member sees %s: %v", s.LocalAddr(), m.sees(), err)
	}
	m.forget()
	u := client.openUDP(door)
	if who, err := u.ask(soon); who != m.name || m.sees() != want {
		t.Errorf("datagrams from %s: the member sees %s: %q %v", u.LocalAddr(), m.sees(), who, err)
	}
}

// Members that see the balancer's address are told the client's by a header.
// The member gives back what it gets, which begins with it.
func TestHostsProxyProtocol(t *testing.T) {
	t.Parallel()
	h := newHosts(t, 2, 1)
	h.start(h.fill(both(`
frontends: [{name: front, address: FRONT}]
backendPools: [{name: pool, members: [MEMBERS]}]
rules:
  - {name: one, frontend: front, protocol: tcp, frontendPort: 8080, backendPool: pool, proxyProtocol: v1}
  - {name: two, frontend: front, protocol: tcp, frontendPort: 8082, backendPort: 8080, backendPool: pool, proxyProtocol: v2}
`)))
	for _, client := range h.clients {
		for _, front := range []string{h.front, front6} {
			for port, header := range map[uint16]func(from, to netip.AddrPort) string{8080: proxyV1, 8082: proxyV2} {
				to := netip.AddrPortFrom(netip.MustParseAddr(front), port)
				s := client.open(to.String())
				want := header(netip.MustParseAddrPort(s.LocalAddr().String()), to) + "hello"
				fmt.Fprint(s, "hello")
				got := make([]byte, len(want))
				if _, err := io.ReadFull(s.read, got); err != nil || string(got) != want {
					t.Errorf("%s to %s: the member gets %q, want %q: %v", client.Name, to, got, want, err)
				}
			}
		}
	}
	if near := netip.MustParseAddr("10.0.0.1"); h.members[0].sees() != near {
		t.Errorf("connections come from %s, want the balancer's own address", h.members[0].sees())
	}
}

func proxyV1(from, to netip.AddrPort) string {
	family := "TCP4"
	if from.Addr().Is6() {
		family = "TCP6"
	}
	return fmt.Sprintf("PROXY %s %s %s %d %d\r\n", family, from.Addr(), to.Addr(), from.Port(), to.Port())
}

func proxyV2(from, to netip.AddrPort) string {
	head := "\x21\x11\x00\x0c" // version 2, PROXY; TCP over IPv4; twelve bytes
	if from.Addr().Is6() {
		head = "\x21\x21\x00\x24"
	}
	return "\r\n\r\n\x00\r\nQUIT\n" + head + string(from.Addr().AsSlice()) + string(to.Addr().AsSlice()) +
		string([]byte{byte(from.Port() >> 8), byte(from.Port()), byte(to.Port() >> 8), byte(to.Port())})
}

// gone are the ways in which a member goes without a word, and comes back.
var gone = map[string]struct{ away, back func(*member) }{
	"its packets are dropped": {(*member).cut, (*member).mend},
	"its cable is pulled": {
		func(m *member) { m.host.IP("link set dev balancer down") },
		func(m *member) { m.host.IP("link set dev balancer up") }},
}

// The datagrams of a client go to another member when its own has gone, in the
// time that the probe takes to find out, and stay there when it is back.
func TestHostsUDPMoves(t *testing.T) {
	const found = time.Second + 2*900*time.Millisecond // by the probe of probed
	for name, gone := range gone {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHosts(t, 1, 2)
			a := h.members[0]
			a.openToBlackholes()
			b := h.start(h.fill(probed))
			b.settled()
			u := h.clients[0].openUDPTo(h.door(), "a")
			gone.away(a)
			began := time.Now()
			testkit.Eventually(t, soon, "the datagrams to move", func() bool {
				who, err := u.ask(200 * time.Millisecond)
				return err == nil && who == "b"
			})
			if took := time.Since(began); took > found+10*time.Second {
				t.Errorf("the datagrams moved after %v, want %v", took, found)
			}
			stays := func() {
				t.Helper()
				for range 20 {
					if who, err := u.ask(soon); who != "b" {
						t.Fatalf("a datagram has an answer of %q: %v", who, err)
					}
				}
			}
			stays()
			gone.back(a)
			b.becomes(a, "up")
			stays()
			h.clients[0].openUDPTo(h.door(), "a")
		})
	}
}

// What is drained keeps the connections that it has, and gets no others.
func TestHostsDrain(t *testing.T) {
	t.Parallel()
	h := newHosts(t, 2, 2)
	b := h.start(h.fill(ordinary))
	b.settled()
	u := h.clients[1].openUDPTo(h.door(), "a")
	var there []*stream
	for _, c := range h.clients {
		there = append(there, c.openTo(h.door(), "a"))
	}
	goOn := func() {
		t.Helper()
		for _, s := range there {
			if err := s.echo("still there"); err != nil {
				t.Error(err)
			}
		}
	}
	b.command("drain", "a")
	b.becomes(h.members[0], "drained")
	goOn()
	for range 20 {
		for _, c := range h.clients {
			s := c.open(h.door())
			if s.member != "b" {
				t.Fatalf("a new connection goes to %s", s.member)
			}
			s.Close()
		}
	}
	if who, err := u.ask(soon); who != "b" {
		t.Errorf("datagrams go to %q: %v", who, err)
	}
	goOn()
	b.command("undrain", "a")
	b.becomes(h.members[0], "up")
	for _, c := range h.clients {
		c.openTo(h.door(), "a")
	}
	goOn()
}

// An idle connection ends on both wires, with RST or FIN, and not before its
// time; one with traffic goes on.
func TestHostsIdleTimeout(t *testing.T) {
	for reset, want := range map[string]string{"true": "reset", "false": "closed"} {
		t.Run("tcpReset "+reset, func(t *testing.T) {
			t.Parallel()
			h := newHosts(t, 2, 1)
			h.start(strings.Replace(h.fill(ordinary), "connectTimeout: 1s", "idleTimeout: 3s, tcpReset: "+reset, 1))
			busy := h.clients[1].open(h.door())
			s := h.clients[0].open(h.door())
			const timeout = 3*time.Second - 10*time.Millisecond // the balancer's clock ticks
			began := time.Now()
			if err := s.echo("hello"); err != nil {
				t.Fatal(err)
			}
			how := make(chan string, 1)
			go func() { how <- s.end(soon) }()
			for got := ""; got == ""; {
				select {
				case got = <-how:
					if took := time.Since(began); got != want || took < timeout || took > timeout+10*time.Second {
						t.Errorf("the client sees %s after %v, want %s", got, took, want)
					}
				case <-time.After(100 * time.Millisecond):
				}
				if err := busy.echo("busy"); err != nil {
					t.Fatal("the connection with traffic: ", err)
				}
			}
			var ends []ending
			testkit.Eventually(t, soon, "the end at the member", func() bool {
				ends = h.members[0].ended()
				return len(ends) > 0
			})
			if e := ends[0]; len(ends) > 1 || e.how != want || e.at.Sub(began) < timeout {
				t.Errorf("the member sees %s, %v after the connection was used, and %d more, want %s", e.how, e.at.Sub(began), len(ends)-1, want)
			}
		})
	}
}

// officeOnly is a security group with names for addresses.
const officeOnly = `
securityGroups:
  - name: edge
    attach: [front]
    rules:
      - {name: no-scanner, priority: 100, access: deny, source: scanners}
      - {name: office-only, priority: 200, access: allow, source: office, destinationPorts: 8080}
addressGroups:
  - {name: scanners, addresses: [198.51.100.66, "2001:db8:c:2::/64"]}
  - {name: office, addresses: [198.51.100.0/25, "2001:db8:c:1::/64", "2001:db8:c:2::2"]}
`

// Who is let in goes to a member; a connection of others is reset and their
// datagrams are dropped; and explain says so.
func TestHostsSecurityGroup(t *testing.T) {
	t.Parallel()
	h := newHosts(t, 3, 2)
	b := h.start(h.fill(both(ordinary) + officeOnly))
	b.settled()
	for i, want := range []struct{ access, rule string }{
		{"Allow", "office-only"}, {"Deny", "no-scanner"}, {"Deny", "DefaultRule_DenyAllInBound"},
	} {
		for _, door := range []string{h.door(), h.door6()} {
			if want.access == "Allow" {
				s := h.clients[i].open(door)
				b.explains("tcp", s.LocalAddr(), door, want.access, want.rule, s.member)
				u := h.clients[i].openUDP(door)
				who, err := u.ask(soon)
				if err != nil {
					t.Error(err)
				}
				b.explains("udp", u.LocalAddr(), door, want.access, want.rule, who)
				continue
			}
			if _, err := h.clients[i].visit(door); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("a connection of %s: %v", h.clients[i].Name, err)
			}
			u := h.clients[i].openUDP(door)
			if who, err := u.ask(300 * time.Millisecond); !silent(err) {
				t.Errorf("a datagram of %s: %q %v", h.clients[i].Name, who, err)
			}
			for _, protocol := range []string{"tcp", "udp"} {
				b.explains(protocol, u.LocalAddr(), door, want.access, want.rule, "")
			}
		}
	}
	b.wantRefused("stream", "security", 4)
	b.wantRefused("datagram", "security", 4)
}

// A member of whom nothing is heard any more costs new connections the time to
// try another until its probe tells, and no other connection anything. What it
// had goes on when it is back.
func TestHostsMemberCutOff(t *testing.T) {
	for name, gone := range gone {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			memberCutOff(t, gone.away, gone.back)
		})
	}
}

func memberCutOff(t *testing.T, away, back func(*member)) {
	h := newHosts(t, 1, 3)
	client, c := h.clients[0], h.members[2]
	c.openToBlackholes()
	b := h.start(h.fill(probed))
	b.settled()
	client.openTo(h.door(), "c").Close()
	before := b.quiet()

	there := map[string]*stream{}
	for _, name := range []string{"a", "b", "c"} {
		there[name] = client.openTo(h.door(), name)
	}
	goOn := func(names ...string) {
		t.Helper()
		for _, name := range names {
			if err := there[name].echo("still there"); err != nil {
				t.Errorf("a connection to %s: %v", name, err)
			}
		}
	}
	away(c)
	const series = `gatehouse_l4_member_connect_failures_total{member="c",pool="pool"}`
	wantElsewhere(t, client, h.door())
	failed := b.metric(series)
	if failed == 0 {
		t.Error("no connection was tried at the member first")
	}
	goOn("a", "b")
	b.becomes(c, "down")
	for range 50 {
		client.open(h.door()).Close()
	}
	if n := b.metric(series); n != failed {
		t.Errorf("the member was tried %v times after it was known to be down", n-failed)
	}
	goOn("a", "b")
	late := make(chan error, 1)
	go func() { late <- there["c"].echo("sent meanwhile") }()
	back(c)
	b.becomes(c, "up")
	client.openTo(h.door(), "c").Close()
	if err := <-late; err != nil {
		t.Errorf("the connection that the member had: %v", err)
	}
	goOn("a", "b", "c")

	for _, s := range there {
		s.Close()
	}
	if after := b.quiet(); after.descriptors > before.descriptors+5 || after.goroutines > before.goroutines+5 {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// wantElsewhere opens many connections at once of which c is to have some and
// does not answer: all go to others, some after a connectTimeout of 300 ms.
func wantElsewhere(t *testing.T, client *visitor, door string) {
	t.Helper()
	const many = 30
	took := make(chan time.Duration, many)
	for range many {
		go func() {
			began := time.Now()
			s, err := client.visit(door)
			if err != nil {
				t.Error(err)
			} else if s.Close(); s.member == "c" {
				t.Error("a member that is cut off has answered")
			}
			took <- time.Since(began)
		}()
	}
	longest := time.Duration(0)
	for range many {
		longest = max(longest, <-took)
	}
	if longest < 250*time.Millisecond || longest > 4*time.Second { // of the 5 s that it may take by default
		t.Errorf("the longest of %d connections took %v, want connectTimeout", many, longest)
	}
}

// narrow has rules that let two flows a second in: of each client, or of all.
const narrow = `
frontends: [{name: front, address: FRONT}]
backendPools: [{name: pool, members: [MEMBERS]}]
rules:
  - {name: stream, frontend: front, protocol: tcp, frontendPort: 8080, backendPool: pool, limits: {flowRate: 10, flowRatePerClient: 2}}
  - {name: datagram, frontend: front, protocol: udp, frontendPort: 8080, backendPool: pool, limits: {flowRate: 10, flowRatePerClient: 2}}
  - {name: strait, frontend: front, protocol: tcp, frontendPort: 8082, backendPort: 8080, backendPool: pool, limits: {flowRate: 2}}
`

// What is too much is refused and counted, for the client and for the rule,
// and costs no other client anything. Bursts of one second are let in.
func TestHostsRates(t *testing.T) {
	t.Parallel()
	h := newHosts(t, 2, 1)
	b := h.start(h.fill(narrow))
	greedy, modest := h.clients[0], h.clients[1]
	const tries = 30
	atRate := func(rule, reason string, burst func() (in int)) {
		t.Helper()
		began := time.Now()
		in := burst()
		if most := 2 + int(2*time.Since(began).Seconds()) + 1; in < 2 || in > most {
			t.Errorf("%s: %d of %d flows are let in, want 2 to %d", rule, in, tries, most)
		}
		b.wantRefused(rule, reason, tries-in)
	}
	streams := func(door string, clients ...*visitor) func() int {
		return func() (in int) {
			for i := range tries {
				s, err := clients[i%len(clients)].visit(door)
				switch {
				case err == nil:
					in++
					s.Close()
				case !errors.Is(err, syscall.ECONNRESET):
					t.Errorf("a connection over the limit: %v", err)
				}
			}
			return in
		}
	}
	atRate("stream", "client_rate", streams(h.door(), greedy))
	modest.open(h.door())
	atRate("strait", "rate", streams(h.at(8082), greedy, modest))
	atRate("datagram", "client_rate", func() int {
		for range tries {
			fmt.Fprint(greedy.openUDP(h.door()), "x")
		}
		const seen = `gatehouse_l4_flows_total{rule="datagram"}`
		testkit.Eventually(t, soon, "every datagram to be let in or refused", func() bool {
			return b.metric(seen)+b.metric(`gatehouse_l4_refused_total{reason="client_rate",rule="datagram"}`) >= tries
		})
		return int(b.metric(seen))
	})
	if who, err := modest.openUDP(h.door()).ask(soon); err != nil {
		t.Errorf("a datagram of another client: %q %v", who, err)
	}
	for _, door := range []string{h.door(), h.at(8082)} {
		testkit.Eventually(t, soon, "a client to be let in again", func() bool {
			_, err := greedy.visit(door)
			return err == nil
		})
	}
}
