package udp

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/testkit"
	"gatehouse/proxy/l4"
)

func TestEachClientGetsItsOwnAnswers(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::]:0", "[::1]:0"} {
		t.Run(at, func(t *testing.T) {
			a, b := named(t, "a"), named(t, "b")
			l := newLab(t, setup{at: at, members: []netip.AddrPort{a.addr(), b.addr()}})
			to := l.bound
			if to.Addr().IsUnspecified() && to.Addr().Is4() {
				to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.7"), to.Port())
			} else if to.Addr().IsUnspecified() {
				to = netip.AddrPortFrom(netip.IPv6Loopback(), to.Port())
			}
			var clients sync.WaitGroup
			seen := make([]map[byte]bool, 100)
			for i := range seen {
				c := newClient(t, to)
				seen[i] = map[byte]bool{}
				clients.Go(func() {
					for k := range 20 {
						want := fmt.Sprintf("client %d, datagram %d", i, k)
						got := c.ask(want)
						if got[1:] != want {
							t.Errorf("got %q, want %q", got, want)
							return
						}
						seen[i][got[0]] = true
					}
				})
			}
			clients.Wait()
			all := map[byte]int{}
			for i, s := range seen {
				if len(s) != 1 {
					t.Errorf("client %d was served by %d members", i, len(s))
				}
				for name := range s {
					all[name]++
				}
			}
			if all['a'] < 20 || all['b'] < 20 {
				t.Errorf("members have so many clients: %v", all)
			}
			if n := l.state.Flows.UDP.Load(); n != 100 {
				t.Errorf("%d flows, want 100", n)
			}
			l.server.Close()
			life := l.balancer.Rules[0].Life
			if s, r := life.SentPackets.Load(), life.ReceivedPackets.Load(); s != 2000 || r != 2000 {
				t.Errorf("%d and %d datagrams counted, want 2000", s, r)
			}
			if s, r := life.Sent.Load(), life.Received.Load(); r != s+2000 || l.life(a.addr()).Sent.Load()+l.life(b.addr()).Sent.Load() != s {
				t.Errorf("%d and %d bytes counted", s, r)
			}
		})
	}
}

// On a door of every address the answer comes from the one that was asked, and
// a client that asks two has two flows.
func TestAnswersComeFromTheAddressAsked(t *testing.T) {
	m := newMember(t, "127.0.0.1:0", nil)
	l := newLab(t, setup{at: "[::]:0", members: []netip.AddrPort{m.addr()}})
	c, err := net.ListenUDP("udp", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, a := range []string{"127.0.0.1", "127.0.0.2", "::1"} {
		to := netip.AddrPortFrom(netip.MustParseAddr(a), l.bound.Port())
		if _, err := c.WriteToUDPAddrPort([]byte(a), to); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			t.Fatal(err)
		}
		if string(buf[:n]) != a || plain(from) != to {
			t.Errorf("%q came from %v, want %v", buf[:n], from, to)
		}
	}
	if n := l.log.number(); n != 3 {
		t.Errorf("%d flows, want 3", n)
	}
	if got := l.log.flow(1).Frontend; got != netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), l.bound.Port()) {
		t.Errorf("the flow's frontend is %v", got)
	}
}

func TestDatagramsOfAllSizesStayWhole(t *testing.T) {
	for _, plain := range []bool{false, true} {
		for _, at := range []string{"127.0.0.1:0", "[::]:0"} {
			t.Run(fmt.Sprint(at, plain), func(t *testing.T) {
				m := newMember(t, "127.0.0.1:0", nil)
				l := newLab(t, setup{at: at, plain: plain, members: []netip.AddrPort{m.addr()}})
				c := newClient(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), l.bound.Port()))
				var total uint64
				sizes := []int{0, 1, 1472, 1473, 9000, 65507, 0, 7}
				for i, size := range sizes {
					want := string(pattern(size, i))
					if got := c.ask(want); got != want {
						t.Fatalf("%d bytes: got %d back", size, len(got))
					}
					total += uint64(size)
				}
				f := l.log.flow(0)
				n := uint64(len(sizes))
				if f.SentPackets.Load() != n || f.ReceivedPackets.Load() != n || f.Sent.Load() != total || f.Received.Load() != total {
					t.Errorf("counted %d/%d datagrams, %d/%d bytes; want %d, %d", f.SentPackets.Load(), f.ReceivedPackets.Load(), f.Sent.Load(), f.Received.Load(), n, total)
				}
			})
		}
	}
}

// Many datagrams of one flow at once keep their order and their boundaries,
// whatever their sizes are.
func TestBurstsKeepOrderAndBoundaries(t *testing.T) {
	for _, plain := range []bool{false, true} {
		m := newMember(t, "127.0.0.1:0", nil)
		l := newLab(t, setup{plain: plain, loops: 1, sockets: 1, members: []netip.AddrPort{m.addr()}})
		c := newClient(t, l.bound)
		c.ask("begin")
		sizes := []int{100, 100, 100, 40, 100, 0, 0, 100, 200, 200, 1, 1, 1200, 1200, 1200, 1200, 1200, 300, 300, 300, 301, 9000, 9000, 65507, 64}
		for range 20 {
			for i, size := range sizes {
				c.send(string(pattern(size, i)))
			}
			for i, size := range sizes {
				if got := c.receive(); got != string(pattern(size, i)) {
					t.Fatalf("plain %v: datagram %d: got %d bytes, want %d", plain, i, len(got), size)
				}
			}
		}
		f := l.log.flow(0)
		if n := uint64(20*len(sizes) + 1); f.SentPackets.Load() != n || f.ReceivedPackets.Load() != n {
			t.Errorf("counted %d and %d datagrams, want %d", f.SentPackets.Load(), f.ReceivedPackets.Load(), n)
		}
	}
}

func TestFlowMovesWhenItsMemberGoesDown(t *testing.T) {
	a, b := named(t, "a"), named(t, "b")
	l := newLab(t, setup{members: []netip.AddrPort{a.addr(), b.addr()}})
	c := newClient(t, l.bound)
	first := c.ask("1")
	down, other := a, "b2"
	if first == "b1" {
		down, other = b, "a2"
	}
	l.set(down.addr(), l4.Down)
	if got := c.ask("2"); got != other {
		t.Errorf("got %q, want %q", got, other)
	}
	if n := l.log.count(l4.EndMoved); n != 1 {
		t.Errorf("%d flows moved, want 1", n)
	}
	// It stays where it is: what it came from may be shaky.
	l.set(down.addr(), l4.Up)
	if got := c.ask("2"); got != other {
		t.Errorf("after the return got %q, want %q", got, other)
	}
	if down := l.life(down.addr()); down.Flows.Load() != 0 || down.Total.Load() != 1 || down.Sent.Load() != 1 || down.Received.Load() != 2 {
		t.Errorf("the first member: %d flows, %d in all, %d and %d bytes", down.Flows.Load(), down.Total.Load(), down.Sent.Load(), down.Received.Load())
	}
}

func TestNobodyIsWell(t *testing.T) {
	a := named(t, "a")
	l := newLab(t, setup{members: []netip.AddrPort{a.addr()}})
	c := newClient(t, l.bound)
	c.ask("1")
	l.set(a.addr(), l4.Down)
	c.send("2")
	l.eventually("a refusal", func() bool { return l.refused(l4.RefusedNoMember) == 1 })
	c.silent(50 * time.Millisecond)
	if n := l.log.count(l4.EndMoved); n != 1 {
		t.Errorf("%d flows moved, want 1", n)
	}
	l.set(a.addr(), l4.Up)
	if got := c.ask("3"); got != "a3" {
		t.Errorf("got %q", got)
	}
	if st := l.server.Stats(); st.Refused != 1 || st.Flows != 1 {
		t.Errorf("stats: %+v", st)
	}
}

func TestFlowMovesWhenItsMemberIsRemoved(t *testing.T) {
	a, b := named(t, "a"), named(t, "b")
	l := newLab(t, setup{members: []netip.AddrPort{a.addr()}})
	c := newClient(t, l.bound)
	c.ask("1")
	l.reload(setup{members: []netip.AddrPort{b.addr(), a.addr()}})
	if got := c.ask("2"); got != "a2" {
		t.Errorf("with another member beside its own: %q", got)
	}
	if n := l.log.number(); n != 1 {
		t.Errorf("%d flows: a reload has moved one that could go on", n)
	}
	l.reload(setup{members: []netip.AddrPort{b.addr()}})
	if got := c.ask("3"); got != "b3" {
		t.Errorf("without its own: %q", got)
	}
	if n := l.log.count(l4.EndMoved); n != 1 {
		t.Errorf("%d flows moved, want 1", n)
	}
}

// Flows go on through any number of reloads, and lose nothing.
func TestReloadsUnderTraffic(t *testing.T) {
	a, b := named(t, "a"), named(t, "b")
	s := setup{members: []netip.AddrPort{a.addr(), b.addr()}}
	l := newLab(t, s)
	var clients sync.WaitGroup
	for range 20 {
		c := newClient(t, l.bound)
		clients.Go(func() {
			name := c.ask("")
			for range 100 {
				if got := c.ask(""); got != name {
					t.Errorf("moved from %s to %s", name, got)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { clients.Wait(); close(done) }()
	n := 0
	for going := true; going; n++ {
		l.reload(s)
		select {
		case <-done:
			going = false
		case <-time.After(time.Millisecond):
		}
	}
	if l.log.number() != 20 || n < 5 {
		t.Errorf("%d flows, want 20; %d reloads", l.log.number(), n)
	}
}

func TestFlowMovesWhenItsMemberIsDrained(t *testing.T) {
	a, b := named(t, "a"), named(t, "b")
	l := newLab(t, setup{members: []netip.AddrPort{a.addr(), b.addr()}})
	c := newClient(t, l.bound)
	own := c.ask("")
	m := a
	if own == "b" {
		m = b
	}
	if l.balancer.Drain("pool", m.addr().String()) != 1 {
		t.Fatal("no such member")
	}
	if got := c.ask(""); got == own {
		t.Errorf("still with %q", got)
	}
}

func TestIdleFlowsEnd(t *testing.T) {
	m := newMember(t, "127.0.0.1:0", nil)
	l := newLab(t, setup{rule: ", idleTimeout: 1s", members: []netip.AddrPort{m.addr()}, held: true})
	idle, busy := newClient(t, l.bound), newClient(t, l.bound)
	idle.ask("x")
	for range 9 {
		busy.ask("y")
		l.clock.pass(tick)
	}
	busy.ask("y")
	time.Sleep(2 * tick) // they are looked at
	if n := l.log.count(l4.EndIdle); n != 0 {
		t.Errorf("%d flows ended after 0.9 s, want 1 s", n)
	}
	l.clock.pass(2 * tick)
	l.eventually("the idle one to end", func() bool { return l.log.count(l4.EndIdle) > 0 })
	l.rounds()
	if n := l.log.count(l4.EndIdle); n != 1 {
		t.Errorf("%d flows ended, want the idle one", n)
	}
	if got, want := l.log.last.Client, idle.LocalAddr().(*net.UDPAddr).AddrPort(); got != want {
		t.Errorf("the flow of %v ended, want %v", got, want)
	}
	l.clock.pass(time.Second)
	l.eventually("the other one to end", func() bool { return l.log.count(l4.EndIdle) == 2 })
	if idle.ask("z") != "z" {
		t.Error("no new flow after the old one")
	}
}

// Traffic in one direction is traffic.
func TestFlowsOfOneDirectionAreNotIdle(t *testing.T) {
	peers := make(chan netip.AddrPort, 1000)
	m := newMember(t, "127.0.0.1:0", func(_ []byte, from netip.AddrPort) [][]byte {
		peers <- from
		return nil
	})
	// One loop, so that who says nothing is looked at with the others.
	l := newLab(t, setup{loops: 1, rule: ", idleTimeout: 1s", members: []netip.AddrPort{m.addr()}, held: true})
	talks, listens, silent := newClient(t, l.bound), newClient(t, l.bound), newClient(t, l.bound)
	silent.send("x")
	<-peers
	listens.send("x")
	to := <-peers
	for range 18 {
		talks.send("x")
		<-peers
		if _, err := m.WriteToUDPAddrPort([]byte("y"), to); err != nil {
			t.Fatal(err)
		}
		listens.receive()
		l.clock.pass(tick)
	}
	l.eventually("the silent one to end", func() bool { return l.log.count(l4.EndIdle) > 0 })
	l.rounds()
	if n := l.log.number(); n != 3 || l.log.count(l4.EndIdle) != 1 {
		t.Errorf("%d flows began, %d ended", n, l.log.count(l4.EndIdle))
	}
}

func TestFlowEndsWithTheAnswersExpected(t *testing.T) {
	m := newMember(t, "127.0.0.1:0", func(in []byte, _ netip.AddrPort) [][]byte { return [][]byte{in, in, in} })
	l := newLab(t, setup{rule: ", responses: 2", members: []netip.AddrPort{m.addr()}})
	c := newClient(t, l.bound)
	for i := range 5 {
		c.ask("x")
		c.receive()
		l.eventually("the end", func() bool { return l.log.count(l4.EndAnswered) == i+1 })
	}
	c.silent(50 * time.Millisecond) // the third answers
	if n := l.log.number(); n != 5 {
		t.Errorf("%d flows, want 5", n)
	}
	if f := l.log.flow(0); f.ReceivedPackets.Load() != 2 {
		t.Errorf("%d answers counted", f.ReceivedPackets.Load())
	}
}

// Answers are awaited to every datagram, so that several questions at once
// lose none.
func TestAnswersToSeveralQuestionsAreExpected(t *testing.T) {
	var mu sync.Mutex
	var held [][]byte
	m := newMember(t, "127.0.0.1:0", func(in []byte, _ netip.AddrPort) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		if held = append(held, append([]byte(nil), in...)); len(held) < 3 {
			return nil
		}
		return held
	})
	l := newLab(t, setup{rule: ", responses: 1", members: []netip.AddrPort{m.addr()}})
	c := newClient(t, l.bound)
	for _, q := range []string{"1", "2", "3"} {
		c.send(q)
	}
	for _, q := range []string{"1", "2", "3"} {
		if got := c.receive(); got != q {
			t.Errorf("got %q, want %q", got, q)
		}
	}
	l.eventually("the end", func() bool { return l.log.count(l4.EndAnswered) == 1 })
}

func TestLimitsHold(t *testing.T) {
	m := newMember(t, "127.0.0.1:0", nil)
	l := newLab(t, setup{rule: ", limits: {flows: 3}", members: []netip.AddrPort{m.addr()}})
	for range 3 {
		newClient(t, l.bound).ask("x")
	}
	c := newClient(t, l.bound)
	c.send("x")
	l.eventually("a refusal", func() bool { return l.refused(l4.RefusedFlows) == 1 })
	c.silent(20 * time.Millisecond)
	l.log.flow(0).Close(l4.EndOperator)
	l.eventually("the end", func() bool { return l.log.count(l4.EndOperator) == 1 })
	c.ask("x")
}

// A flow that moves takes its own place: at the limit it is let in.
func TestFlowsMoveAtTheLimit(t *testing.T) {
	a, b := named(t, "a"), named(t, "b")
	l := newLab(t, setup{rule: ", limits: {flows: 1}", members: []netip.AddrPort{a.addr(), b.addr()}})
	c := newClient(t, l.bound)
	for range 3 {
		down := a
		if c.ask("")[0] == 'b' {
			down = b
		}
		l.set(down.addr(), l4.Down)
		c.ask("")
		l.set(down.addr(), l4.Up)
	}
	if n := l.log.count(l4.EndMoved); n != 3 {
		t.Errorf("%d moves, want 3", n)
	}
}

// A member whose port is closed costs datagrams, not the flow.
func TestClosedPortOfAMember(t *testing.T) {
	// No port that somebody else may be given while the member is gone.
	at := netip.MustParseAddrPort(testkit.FreeAddr(t))
	at = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.72"), at.Port())
	m := newMember(t, at.String(), nil)
	l := newLab(t, setup{members: []netip.AddrPort{at}})
	c := newClient(t, l.bound)
	c.ask("1")
	m.stop()
	for i := range 3 {
		c.send("lost")
		l.eventually("the failure", func() bool { return l.life(at).Failed.Load() == uint64(i)+1 })
	}
	c.silent(20 * time.Millisecond) // neither an error
	newMember(t, at.String(), nil)
	if got := c.ask("2"); got != "2" {
		t.Errorf("got %q", got)
	}
	if n := l.log.number(); n != 1 {
		t.Errorf("%d flows, want 1", n)
	}
	if f := l.log.flow(0); f.SentPackets.Load() != 5 {
		t.Errorf("%d datagrams counted, want 5", f.SentPackets.Load())
	}
}

func TestThousandsOfFlowsLeaveNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("10 000 flows")
	}
	const flows, sockets = 10_000, 10 // each socket has its flows with many addresses
	m := newMember(t, "127.0.0.1:0", nil)
	l := newLab(t, setup{at: "0.0.0.0:0", rule: ", idleTimeout: 2s", members: []netip.AddrPort{m.addr()}, held: true})
	before := testkit.Count(t)
	for range sockets {
		c, err := net.ListenUDP("udp4", nil)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		for i := range flows / sockets {
			to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), l.bound.Port())
			if _, err := c.WriteToUDPAddrPort([]byte("x"), to); err != nil {
				t.Fatal(err)
			}
			if i%20 == 19 {
				for range 20 {
					if _, err := c.Read(buf); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		c.Close()
	}
	if n := l.log.number(); n != flows {
		t.Errorf("%d flows began, want %d", n, flows)
	}
	l.clock.pass(3 * time.Second)
	l.eventually("all to end", func() bool { return l.server.Stats().Flows == 0 })
	before.Settle(t, 5*time.Second)
	for _, lp := range l.engine.loops {
		lp.call(func() {
			if lp.wheel.n != 0 || lp.ticking || len(lp.free) != len(lp.places)-firstPlace-1 {
				t.Errorf("a loop has %d flows, ticking %v, %d of %d places free", lp.wheel.n, lp.ticking, len(lp.free), len(lp.places))
			}
		})
	}
}

// The hash by which the kernel chooses a socket changes with their number: the
// flow does not. Here the datagrams of each client come to both sockets in
// turn, as if it changed all the time.
func TestFlowsSurviveAnotherSocket(t *testing.T) {
	m := newMember(t, "127.0.0.1:0", nil)
	l := newLab(t, setup{sockets: 1, members: []netip.AddrPort{m.addr()}})
	var clients []*client
	for range 40 {
		c := newClient(t, l.bound)
		c.ask("x")
		clients = append(clients, c)
	}
	l.addSocket()
	for _, c := range clients {
		if c.ask("y") != "y" {
			t.Error("wrong answer")
		}
	}
	if n := l.log.number(); n != 40 {
		t.Errorf("%d flows, want 40", n)
	}
	other := l.server.fronts[1]
	l.set(m.addr(), l4.Down)
	l.set(m.addr(), l4.Up)
	// Those that move go to the loop of the socket that they now come to.
	l.reload(setup{members: []netip.AddrPort{newMember(t, "127.0.0.1:0", nil).addr()}})
	for _, c := range clients {
		c.ask("z")
	}
	n := 0
	for _, f := range l.server.table.all() {
		if f.out == other.fd {
			n++
		}
	}
	if n < 5 || l.log.count(l4.EndMoved) != 40 {
		t.Errorf("%d of the flows are with the new socket, %d moved", n, l.log.count(l4.EndMoved))
	}
}

// addSocket adds a socket to the door, of another loop.
func (l *lab) addSocket() {
	conns, err := Listen(l.t.Context(), l.bound, 1)
	if err != nil {
		l.t.Fatal(err)
	}
	s := l.server
	f := &front{server: s, loop: l.engine.loops[1], fd: -1}
	if s.fronts[0].loop == f.loop {
		f.loop = l.engine.loops[0]
	}
	if err := f.prepare(conns[0]); err != nil {
		l.t.Fatal(err)
	}
	s.mu.Lock()
	s.fronts, s.conns = append(s.fronts, f), append(s.conns, conns...)
	s.mu.Unlock()
	f.loop.call(func() { err = f.begin() })
	if err != nil {
		l.t.Fatal(err)
	}
}
