package udp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/internal/testkit"
	"gatehouse/proxy/l4"
)

func TestFlowsAreClosedFromOutside(t *testing.T) {
	m := newMember(t, "127.0.0.1:0", nil)
	l := newLab(t, setup{members: []netip.AddrPort{m.addr()}})
	var clients sync.WaitGroup
	for range 20 {
		c := newClient(t, l.bound)
		clients.Go(func() {
			for range 50 {
				c.send("x")
				if _, err := c.read(10 * time.Millisecond); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
			}
		})
	}
	stop := make(chan struct{})
	var closers sync.WaitGroup
	for range 3 {
		closers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				l.state.Flows.Each(func(f *l4.Flow) bool {
					f.Close(l4.EndOperator)
					return true
				})
				time.Sleep(time.Millisecond)
			}
		})
	}
	clients.Wait()
	close(stop)
	closers.Wait()
	l.eventually("all to end", func() bool {
		if !l.allRead() {
			return false // and may begin flows yet
		}
		l.state.Flows.Each(func(f *l4.Flow) bool { f.Close(l4.EndOperator); return true })
		return l.state.Flows.UDP.Load() == 0
	})
	if n := l.log.count(l4.EndOperator); n != l.log.number() || n < 20 {
		t.Errorf("%d flows ended, %d began", n, l.log.number())
	}
	if n := l.balancer.Rules[0].Life.Flows.Load(); n != 0 {
		t.Errorf("%d flows counted under the rule", n)
	}
}

// allRead tells whether the door has read, and done with, what clients have
// sent to it. Who has sent no empty datagrams asks.
func (l *lab) allRead() bool {
	for _, f := range l.server.fronts {
		if n, err := unix.IoctlGetInt(f.fd, unix.TIOCINQ); err != nil || n > 0 {
			return false
		}
	}
	l.rounds()
	return true
}

// A socket that somebody is about to send by is closed only after that: its
// number may be another's then.
func TestSocketsInUseStayOpen(t *testing.T) {
	m := newMember(t, "127.0.0.1:0", nil)
	l := newLab(t, setup{members: []netip.AddrPort{m.addr()}})
	c := newClient(t, l.bound)
	c.ask("x")
	f := l.server.table.all()[0]
	if !f.pin(l.server.rules.Load(), 1) {
		t.Fatal("the flow cannot go on")
	}
	f.Close(l4.EndOperator)
	l.eventually("the end", func() bool { return l.log.count(l4.EndOperator) == 1 })
	f.loop.call(func() {})
	if f.fd < 0 || f.pin(l.server.rules.Load(), 1) {
		t.Errorf("the socket is %d", f.fd)
	}
	if f.finish(l4.EndMoved) {
		t.Error("the flow ended twice")
	}
	c.ask("y") // by a flow of its own
	f.unpin()
	l.eventually("the socket to be closed", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.fd < 0
	})
}

// When there are no descriptors left new flows are refused, and those there
// are go on.
func TestNoDescriptorsLeft(t *testing.T) {
	m := newMember(t, "127.0.0.1:0", nil)
	l := newLab(t, setup{members: []netip.AddrPort{m.addr()}})
	old, c := newClient(t, l.bound), newClient(t, l.bound)
	old.ask("x")
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = 1
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	c.send("x")
	for start := time.Now(); l.refused(l4.RefusedFlows) == 0 && time.Since(start) < 5*time.Second; {
		time.Sleep(time.Millisecond)
	}
	got := old.ask("y")
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if n := l.refused(l4.RefusedFlows); n != 1 || got != "y" {
		t.Errorf("%d refusals, %q from the old flow", n, got)
	}
	if c.ask("x") != "x" || l.life(m.addr()).Failed.Load() != 0 {
		t.Error("not as before")
	}
}

// New flows leave some descriptors to others.
func TestDescriptorsThatAreNotForFlows(t *testing.T) {
	m := newMember(t, "127.0.0.1:0", nil)
	l := newLab(t, setup{members: []netip.AddrPort{m.addr()}, most: 1})
	newClient(t, l.bound).send("x")
	l.eventually("a refusal", func() bool { return l.refused(l4.RefusedFlows) == 1 })
	if n := l.life(m.addr()).Failed.Load(); n != 0 {
		t.Errorf("%d failures of the member", n)
	}
}

// Stop leaves what clients send to others; what members send still arrives.
func TestDrainWaitsForAnswers(t *testing.T) {
	asked := make(chan netip.AddrPort, 1)
	m := newMember(t, "127.0.0.1:0", func(_ []byte, from netip.AddrPort) [][]byte {
		asked <- from
		return nil
	})
	l := newLab(t, setup{members: []netip.AddrPort{m.addr()}, held: true})
	c := newClient(t, l.bound)
	c.send("x")
	from := <-asked
	drained := make(chan struct{})
	go func() {
		l.server.Drain(context.Background())
		close(drained)
	}()
	l.eventually("the sockets to step aside", l.aside)
	l.clock.pass(300 * time.Millisecond)
	c.send("unread")
	if _, err := c.read(5 * time.Second); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("who has not heard that nobody reads: %v", err)
	}
	if _, err := m.WriteToUDPAddrPort([]byte("late"), from); err != nil {
		t.Fatal(err)
	}
	if got := c.receive(); got != "late" {
		t.Errorf("got %q", got)
	}
	l.clock.pass(quiet - 100*time.Millisecond)
	select {
	case <-drained:
		t.Error("drained 0.9 s after an answer, want 1 s")
	case <-time.After(2 * tick):
	}
	l.clock.pass(100 * time.Millisecond)
	select {
	case <-drained:
	case <-time.After(10 * time.Second):
		t.Fatal("not drained")
	}
	if n := l.log.count(l4.EndStopping); n != 1 || len(asked) != 0 {
		t.Errorf("%d flows ended, %d datagrams were read", n, len(asked))
	}
}

func TestDrainEndsWithItsContext(t *testing.T) {
	m := newMember(t, "127.0.0.1:0", nil)
	// Without its context it would not end: no time passes.
	l := newLab(t, setup{members: []netip.AddrPort{m.addr()}, held: true})
	newClient(t, l.bound).ask("x")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	drained := make(chan struct{})
	go func() {
		l.server.Drain(ctx)
		close(drained)
	}()
	select {
	case <-drained:
	case <-time.After(10 * time.Second):
		t.Fatal("not drained")
	}
}

// aside tells whether the sockets of the door take nothing from clients any
// more.
func (l *lab) aside() bool {
	for _, f := range l.server.fronts {
		if _, err := unix.Getpeername(f.fd); err != nil {
			return false
		}
	}
	return true
}

// The member sees the address of the client.
func TestTransparent(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::]:0"} {
		m := newMember(t, "127.0.0.1:0", func(_ []byte, from netip.AddrPort) [][]byte { return [][]byte{[]byte(from.Addr().Unmap().String())} })
		l := newLab(t, setup{at: at, rule: ", transparent: true", members: []netip.AddrPort{m.addr()}})
		c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 55)}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(l.bound.Port())})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		one := client{c, t}
		one.send("x")
		if unix.Geteuid() != 0 {
			l.eventually("a refusal", func() bool { return l.refused(l4.RefusedConnect) == 1 })
			t.Skip("needs CAP_NET_ADMIN: refused, as it should be")
		}
		if got := one.receive(); got != "127.0.0.55" {
			t.Errorf("the member saw %s", got)
		}
		l.reload(setup{members: []netip.AddrPort{m.addr()}})
		if got := one.ask("x"); got != "127.0.0.1" {
			t.Errorf("after the reload the member saw %s", got)
		}
	}
}

// A datagram that claims to come from the door would go round for ever.
func TestDatagramsFromTheDoorItselfAreIgnored(t *testing.T) {
	m := newMember(t, "127.0.0.1:0", nil)
	l := newLab(t, setup{sockets: 1, members: []netip.AddrPort{m.addr()}})
	fd := l.server.fronts[0].fd
	if err := unix.Sendto(fd, []byte("x"), 0, sockaddr(l.bound)); err != nil {
		t.Fatal(err)
	}
	l.eventually("the datagram", func() bool { return l.server.Stats().Ignored == 1 })
	if n := l.log.number(); n != 0 {
		t.Errorf("%d flows", n)
	}
}

// Datagrams for which there was no room are counted.
func TestOverflowIsCounted(t *testing.T) {
	m := newMember(t, "127.0.0.1:0", nil)
	l := newLab(t, setup{sockets: 1, members: []netip.AddrPort{m.addr()}})
	f := l.server.fronts[0]
	f.loop.call(f.end) // nobody reads
	c := newClient(t, l.bound)
	data := string(pattern(60_000, 0))
	for range 300 {
		c.send(data)
	}
	l.eventually("an overflow", func() bool { return l.server.Stats().Overflowed > 0 })
	if n := l.server.Stats().Overflowed; n > 300 {
		t.Errorf("%d of 300 datagrams overflowed", n)
	}
}

// A door of any port does not get one that another shares: each would have a
// part of the other's datagrams.
func TestAnyPortIsNobodyElses(t *testing.T) {
	testkit.NoLeak(t)
	const doors = 1200 // of 28 000 ports
	taken := map[netip.AddrPort]bool{}
	for range doors {
		conns, err := Listen(t.Context(), netip.MustParseAddrPort("127.0.0.71:0"), 1)
		if err != nil {
			t.Fatal(err)
		}
		defer conns[0].Close()
		taken[conns[0].LocalAddr().(*net.UDPAddr).AddrPort()] = true
	}
	if len(taken) != doors {
		t.Errorf("%d doors have %d ports", doors, len(taken))
	}
}

func TestDoorsThatCannotBe(t *testing.T) {
	testkit.NoLeak(t)
	state := l4.NewState()
	e, err := NewEngine(&state.Flows, Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	conns, err := Listen(t.Context(), netip.MustParseAddrPort("0.0.0.0:0"), 2)
	if err != nil {
		t.Fatal(err)
	}
	every := &l4.Door{Addr: netip.MustParseAddrPort("0.0.0.0:0"), Protocol: l4.UDP, Rule: &l4.Rule{}}
	if _, err := e.NewServer(conns, nil, every); !errors.Is(err, errEverything) {
		t.Errorf("a door of every port of every address: %v", err)
	}
	one := &l4.Door{Addr: netip.MustParseAddrPort("127.0.0.1:53"), Protocol: l4.UDP, Rule: &l4.Rule{}}
	if _, err := e.NewServer(nil, nil, one); !errors.Is(err, errNoSocket) {
		t.Errorf("a door without sockets: %v", err)
	}
	if _, err := Listen(t.Context(), netip.MustParseAddrPort("192.0.2.1:53"), 2); err == nil {
		t.Error("bound to somebody else's address")
	}
}
