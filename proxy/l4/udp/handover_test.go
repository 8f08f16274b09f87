package udp

import (
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"testing"

	"gatehouse/proxy/l4"
)

// heir is a lab that goes on with the sockets of another's door.
func (l *lab) heir(s setup) *lab {
	l.t.Helper()
	h := &lab{t: l.t, state: l4.NewState(), log: &journal{}, bound: l.bound}
	h.state.Flows.Log = h.log
	var err error
	if h.engine, err = NewEngine(&h.state.Flows, Options{Loops: 2}); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(h.engine.Close)
	h.compile(s)
	var conns []net.PacketConn
	for _, c := range l.server.conns {
		file, err := c.(*net.UDPConn).File()
		if err != nil {
			l.t.Fatal(err)
		}
		conn, err := net.FilePacketConn(file)
		file.Close()
		if err != nil {
			l.t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	if h.server, err = h.engine.NewServer(conns, h.balancer, h.door()); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(h.server.Close)
	return h
}

func (l *lab) start() {
	l.t.Helper()
	if err := l.server.Start(); err != nil {
		l.t.Fatal(err)
	}
}

// hand hands the flows over, by way of JSON.
func (l *lab) hand(h *lab) int {
	l.t.Helper()
	l.server.Stop()
	records, files := l.server.Flows()
	text, err := json.Marshal(records)
	if err != nil {
		l.t.Fatal(err)
	}
	var read []FlowRecord
	if err := json.Unmarshal(text, &read); err != nil {
		l.t.Fatal(err)
	}
	n, err := h.server.Adopt(read, files)
	if err != nil {
		l.t.Fatal(err)
	}
	l.server.Close()
	return n
}

// The member sees each client at one address, before and after.
func TestFlowsAreHandedOver(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::]:0", "[::1]:0"} {
		t.Run(at, func(t *testing.T) {
			m := newMember(t, "127.0.0.1:0", func(_ []byte, from netip.AddrPort) [][]byte { return [][]byte{[]byte(from.String())} })
			s := setup{at: at, members: []netip.AddrPort{m.addr()}}
			old := newLab(t, s)
			to := old.bound
			if to.Addr().IsUnspecified() {
				to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.3"), to.Port())
			}
			var clients []*client
			var seen []string
			for range 20 {
				c := newClient(t, to)
				clients, seen = append(clients, c), append(seen, c.ask("x"))
			}
			next := old.heir(s)
			old.server.Stop()
			for _, c := range clients {
				c.send("waits") // for who takes over
			}
			if n := old.hand(next); n != 20 {
				t.Fatalf("%d flows adopted, want 20", n)
			}
			next.start()
			for i, c := range clients {
				if got := c.receive(); got != seen[i] {
					t.Errorf("client %d moved from %s to %s", i, seen[i], got)
				}
			}
			if n := next.state.Flows.UDP.Load(); n != 20 || next.balancer.Rules[0].Life.Flows.Load() != 20 {
				t.Errorf("%d flows counted, %d under the rule", n, next.balancer.Rules[0].Life.Flows.Load())
			}
			if n := old.state.Flows.UDP.Load(); n != 0 || old.log.count(l4.EndStopping) != 20 {
				t.Errorf("%d flows are left, %d ended", n, old.log.count(l4.EndStopping))
			}
		})
	}
}

func TestOnlyFlowsThatStillFitAreAdopted(t *testing.T) {
	a, b := named(t, "a"), named(t, "b")
	old := newLab(t, setup{members: []netip.AddrPort{a.addr(), b.addr()}})
	var clients []*client
	gone := 0
	for range 20 {
		c := newClient(t, old.bound)
		if c.ask("")[0] == 'b' {
			gone++
		}
		clients = append(clients, c)
	}
	next := old.heir(setup{members: []netip.AddrPort{a.addr()}, rule: ", limits: {flows: 30, flowRate: 50}"})
	if n := old.hand(next); n != 20-gone || n == 0 || gone == 0 {
		t.Errorf("%d flows adopted, %d were of the other member", n, gone)
	}
	next.start()
	for _, c := range clients {
		if got := c.ask("")[0]; got != 'a' {
			t.Errorf("served by %c", got)
		}
	}
}

// What a record says is believed only as far as it can be seen.
func TestForgedRecordsAreNotAdopted(t *testing.T) {
	a := named(t, "a")
	l := newLab(t, setup{members: []netip.AddrPort{a.addr()}})
	good := FlowRecord{Rule: "rule", Client: netip.MustParseAddrPort("127.0.0.9:1000"), Frontend: l.bound, Pool: "pool",
		Member: a.addr().String(), Target: a.addr()}
	port := uint16(2000)
	for name, change := range map[string]func(*FlowRecord){
		"":             func(*FlowRecord) {},
		"rule":         func(r *FlowRecord) { r.Rule = "other" },
		"pool":         func(r *FlowRecord) { r.Pool = "other" },
		"member":       func(r *FlowRecord) { r.Member = "192.0.2.1" },
		"target":       func(r *FlowRecord) { r.Target = l.bound },
		"client":       func(r *FlowRecord) { r.Client = netip.AddrPort{} },
		"client of v6": func(r *FlowRecord) { r.Client = netip.MustParseAddrPort("[::1]:1000") },
		"frontend":     func(r *FlowRecord) { r.Frontend = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), l.bound.Port()) },
		"port":         func(r *FlowRecord) { r.Frontend = netip.AddrPortFrom(l.bound.Addr(), 1) },
	} {
		r, to := good, a.addr()
		port++
		r.Client = netip.AddrPortFrom(r.Client.Addr(), port) // one flow is not another's
		change(&r)
		if n, err := l.server.Adopt([]FlowRecord{r}, []*os.File{socketTo(t, to)}); err != nil || (n == 1) != (name == "") {
			t.Errorf("another %s: %d adopted, %v", name, n, err)
		}
	}
	for want := 1; want >= 0; want-- {
		if n, _ := l.server.Adopt([]FlowRecord{good}, []*os.File{socketTo(t, a.addr())}); n != want {
			t.Errorf("%d adopted, want %d: one flow once", n, want)
		}
	}
	good.Client = netip.MustParseAddrPort("127.0.0.9:1001")
	if n, _ := l.server.Adopt([]FlowRecord{good}, []*os.File{socketTo(t, l.bound)}); n != 0 {
		t.Error("a socket that is connected elsewhere was adopted")
	}
	if _, err := l.server.Adopt([]FlowRecord{good}, nil); err == nil {
		t.Error("a record without a socket was no error")
	}
}

// On a door of IPv6 every address can be written, but none at all.
func TestRecordsWithoutAClient(t *testing.T) {
	a := named(t, "a")
	l := newLab(t, setup{at: "[::1]:0", members: []netip.AddrPort{a.addr()}})
	r := FlowRecord{Rule: "rule", Frontend: l.bound, Pool: "pool", Member: a.addr().String(), Target: a.addr()}
	if n, err := l.server.Adopt([]FlowRecord{r}, []*os.File{socketTo(t, a.addr())}); n != 0 || err != nil {
		t.Errorf("%d adopted, %v", n, err)
	}
}

func socketTo(t *testing.T, to netip.AddrPort) *os.File {
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	return f
}
