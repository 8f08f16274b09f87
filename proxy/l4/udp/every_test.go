package udp

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/internal/testkit/netns"
	"gatehouse/proxy/l4"
	"gatehouse/proxy/l4/steer"
)

// The addresses of which doors are every port, and where clients of each and
// its members are.
var (
	vip4, vip6       = netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("2001:db8:f::10")
	everyMember      = netip.MustParseAddr("127.0.0.2")
	everyPorts       = []uint16{53, 4000, 65535}
	everyClients     = map[netip.Addr]string{vip4: "127.0.0.1", vip6: "::1"}
	everyPort        = setup{every: true, members: []netip.AddrPort{netip.AddrPortFrom(everyMember, 0)}}
	aloneEnvironment = "GATEHOUSE_TEST_ALONE"
)

// alone has a test run in a process and a host of its own, for steering changes
// those that the process has; it returns true there.
func alone(t *testing.T) bool {
	if os.Getenv(aloneEnvironment) != "" {
		if err := steer.Supported(); err != nil {
			t.Skip(err)
		}
		return true
	}
	h := netns.New(t, "balancer")
	h.Address(vip4.String())
	h.Address(vip6.String())
	var out bytes.Buffer
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), aloneEnvironment+"=1")
	cmd.Stdout, cmd.Stderr = &out, &out
	h.Must(cmd.Start)
	switch err := cmd.Wait(); {
	case err != nil:
		t.Errorf("%v\n%s", err, &out)
	case strings.Contains(out.String(), "--- SKIP"):
		t.Skip(out.String())
	case !strings.Contains(out.String(), "--- PASS: "+t.Name()):
		t.Errorf("it did not run:\n%s", &out)
	}
	return false
}

// steer leads every port of the door's address to it.
func (l *lab) steer(c net.PacketConn) {
	l.t.Helper()
	s, err := steer.Open()
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { s.Close() })
	if err := s.Set([]steer.Target{{Door: l.door(), Socket: c.(syscall.Conn)}}); err != nil {
		l.t.Fatal(err)
	}
}

// newEvery is a lab with a door of every port.
func newEvery(t *testing.T, vip netip.Addr, rule string) *lab {
	s := everyPort
	s.at, s.rule = netip.AddrPortFrom(vip, 0).String(), rule
	return newLab(t, s)
}

// serveEvery has members say which port they are.
func serveEvery(t *testing.T) {
	for _, port := range everyPorts {
		newMember(t, netip.AddrPortFrom(everyMember, port).String(), func(in []byte, _ netip.AddrPort) [][]byte {
			return [][]byte{fmt.Appendf(nil, "%d %s", port, in)}
		})
	}
}

// clientOf is a client of any port of an address.
func clientOf(t *testing.T, vip netip.Addr) *net.UDPConn {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(net.JoinHostPort(everyClients[vip], "0"))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// askEvery asks, and returns the answer and from where it came.
func askEvery(t *testing.T, c *net.UDPConn, at netip.AddrPort, data string) (string, netip.AddrPort) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort([]byte(data), at); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, from, err := c.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatalf("%s: %v", at, err)
	}
	return string(buf[:n]), plain(from)
}

// wantEvery asks a port twice: two datagrams of one flow.
func wantEvery(t *testing.T, c *net.UDPConn, at netip.AddrPort) {
	t.Helper()
	for range 2 {
		if got, from := askEvery(t, c, at, "x"); got != fmt.Sprint(at.Port(), " x") || from != at {
			t.Errorf("%s answers %q from %s", at, got, from)
		}
	}
}

// One client, even from one port of its own, asks each port apart.
func TestAnswersComeFromThePortThatWasAsked(t *testing.T) {
	if !alone(t) {
		return
	}
	serveEvery(t)
	for vip := range everyClients {
		l := newEvery(t, vip, "")
		asked := map[netip.AddrPort]bool{}
		for _, c := range []*net.UDPConn{clientOf(t, vip), clientOf(t, vip)} {
			for _, port := range everyPorts {
				at := netip.AddrPortFrom(vip, port)
				wantEvery(t, c, at)
				asked[at] = true
			}
		}
		if n := l.log.number(); n != 6 || l.server.exits.count() != 3 {
			t.Errorf("%d flows by %d ports, want 6 by 3", n, l.server.exits.count())
		}
		for i := range l.log.number() {
			f := l.log.flow(i)
			if !asked[f.Frontend] || f.Backend != netip.AddrPortFrom(everyMember, f.Frontend.Port()) || f.SentPackets.Load() != 2 {
				t.Errorf("a flow to %s by %s with %d datagrams", f.Backend, f.Frontend, f.SentPackets.Load())
			}
			f.Close(l4.EndOperator)
			left := []int{3, 3, 3, 2, 1, 0}[i]
			l.eventually(fmt.Sprint(left, " ports are left"), func() bool { return l.server.exits.count() == left })
		}
	}
}

// A program of this machine has the address of the door as its own.
func TestAClientMayHaveTheAddressOfTheDoor(t *testing.T) {
	if !alone(t) {
		return
	}
	serveEvery(t)
	for vip := range everyClients {
		l := newEvery(t, vip, "")
		c := newClient(t, netip.AddrPortFrom(vip, 4000))
		if from := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr(); from != vip {
			t.Fatalf("the client is %s", from)
		}
		if got := c.ask("x"); got != "4000 x" {
			t.Errorf("%s answers %q", vip, got)
		}
		l.server.Close()
	}
}

// A flow that ends with its last answer sends that first.
func TestTheLastAnswerLeavesBeforeItsPortIsClosed(t *testing.T) {
	if !alone(t) {
		return
	}
	serveEvery(t)
	for vip := range everyClients {
		l := newEvery(t, vip, ", responses: 1")
		c := clientOf(t, vip)
		for range 20 {
			if got, from := askEvery(t, c, netip.AddrPortFrom(vip, 53), "x"); got != "53 x" || from.Port() != 53 {
				t.Errorf("%s answers %q from %s", vip, got, from)
			}
			l.eventually("the port is closed", func() bool { return l.server.exits.count() == 0 })
		}
	}
}

func TestJoinedDatagramsOfEveryPort(t *testing.T) {
	if !alone(t) {
		return
	}
	const segment, number = 700, 50
	data := pattern(segment*number, 3)
	newMember(t, netip.AddrPortFrom(everyMember, 4000).String(), nil)
	for vip := range everyClients {
		l := newEvery(t, vip, "")
		c := newClient(t, netip.AddrPortFrom(vip, 4000))
		joining(t, c.UDPConn, segment)
		c.send(string(data))
		got := 0
		for got < len(data) {
			part, _ := joined(t, c.UDPConn)
			if string(part) != string(data[got:min(got+len(part), len(data))]) {
				t.Fatalf("at %d: other bytes", got)
			}
			got += len(part)
		}
		if f := l.log.flow(0); l.log.number() != 1 || f.Frontend.Port() != 4000 || f.SentPackets.Load() != number {
			t.Errorf("%d flows, the first with %d datagrams to %s", l.log.number(), f.SentPackets.Load(), f.Frontend)
		}
		l.server.Close()
	}
}

func TestPortsAreBounded(t *testing.T) {
	if !alone(t) {
		return
	}
	l := newEvery(t, vip4, "")
	c := clientOf(t, vip4)
	first := uint16(10_000)
	for i := range uint16(mostExits + 2) {
		if _, err := c.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(vip4, first+i)); err != nil {
			t.Fatal(err)
		}
		l.eventually("it is seen", func() bool { return l.log.number()+int(l.server.Stats().Refused) == int(i)+1 })
	}
	if n, refused := l.server.exits.count(), l.refused(l4.RefusedPort); n != mostExits || refused != 2 {
		t.Errorf("%d ports, %d refused", n, refused)
	}
	// One that has flows may have more, and another when one ends.
	if _, err := clientOf(t, vip4).WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(vip4, first)); err != nil {
		t.Fatal(err)
	}
	l.eventually("it has another flow", func() bool { return l.log.number() == mostExits+1 })
	l.log.flow(1).Close(l4.EndOperator)
	l.eventually("a port is closed", func() bool { return l.server.exits.count() == mostExits-1 })
	_, _ = c.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(vip4, first+mostExits))
	l.eventually("another is in its place", func() bool { return l.log.number() == mostExits+2 })
}

func TestAPortOfAnotherProgramIsRefused(t *testing.T) {
	if !alone(t) {
		return
	}
	l := newEvery(t, vip4, "")
	other, err := net.ListenUDP("udp", &net.UDPAddr{IP: vip4.AsSlice(), Port: 4000})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := clientOf(t, vip4).WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(vip4, 4000)); err != nil {
		t.Fatal(err)
	}
	l.eventually("it is refused", func() bool { return l.refused(l4.RefusedPort) == 1 })
	l.rounds() // it is told before it is counted
	if n := l.balancer.Rules[0].Life.Flows.Load(); n != 0 || l.server.Stats().Refused != 1 {
		t.Errorf("%d flows, %d refused", n, l.server.Stats().Refused)
	}
}

func TestFlowsOfEveryPortAreHandedOver(t *testing.T) {
	if !alone(t) {
		return
	}
	serveEvery(t)
	for vip := range everyClients {
		s := everyPort
		s.at = netip.AddrPortFrom(vip, 0).String()
		old := newLab(t, s)
		c := clientOf(t, vip)
		for _, port := range everyPorts {
			wantEvery(t, c, netip.AddrPortFrom(vip, port))
		}
		next := old.heir(s)
		if n := old.hand(next); n != 3 || next.server.exits.count() != 3 || old.server.exits.count() != 0 {
			t.Fatalf("%d flows adopted by %d ports, %d are left, want 3, 3, 0", n, next.server.exits.count(), old.server.exits.count())
		}
		next.start()
		for _, port := range everyPorts {
			wantEvery(t, c, netip.AddrPortFrom(vip, port))
		}
		if n := next.log.number(); n != 3 {
			t.Errorf("%d flows, want those 3", n)
		}
		next.server.Close()
		if n := next.server.exits.count(); n != 0 {
			t.Errorf("%d ports are open", n)
		}
	}
}

// Somebody who claims to be the door has it answer itself, but once.
func TestADoorDoesNotTalkToItself(t *testing.T) {
	local := netip.MustParseAddr("127.0.0.1")
	conns, err := Listen(t.Context(), netip.AddrPortFrom(local, 0), 2)
	if err != nil {
		t.Fatal(err)
	}
	var ports [2]uint16
	for i, c := range conns {
		defer c.Close()
		ports[i] = c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	}
	ports[1]--
	tuple := func(client netip.Addr, from, to int) *l4.Tuple {
		return &l4.Tuple{Protocol: l4.UDP, Client: netip.AddrPortFrom(client, ports[from]), Frontend: netip.AddrPortFrom(local, ports[to])}
	}
	e := &exits{addr: local, byPort: map[uint16]*exit{}}
	x, why := e.take(tuple(local, 1, 0))
	if why != l4.NotRefused {
		t.Fatal(why)
	}
	for _, tt := range []struct {
		client   netip.Addr
		from, to int
		want     l4.Refusal
	}{
		{local, 0, 1, l4.RefusedPort},
		{local, 1, 1, l4.RefusedPort},
		{local, 1, 0, l4.NotRefused},
		{everyMember, 0, 0, l4.NotRefused}, // somebody else's port of the same number
	} {
		y, why := e.take(tuple(tt.client, tt.from, tt.to))
		if why != tt.want {
			t.Errorf("from %s, port %d to %d: %q, want %q", tt.client, tt.from, tt.to, why, tt.want)
		}
		if y != nil {
			e.leave(y)
		}
	}
	e.leave(x)
	if x, why = e.take(tuple(local, 0, 1)); x == nil {
		t.Errorf("a port that is closed is refused as a client: %s", why)
	} else {
		e.leave(x)
	}
	if n := e.count(); n != 0 {
		t.Errorf("%d are left", n)
	}
}

func TestWhatKeepsAPortClosed(t *testing.T) {
	for errno, want := range map[unix.Errno]l4.Refusal{unix.EMFILE: l4.RefusedFlows, unix.EADDRINUSE: l4.RefusedPort, unix.EACCES: l4.RefusedPort} {
		if got := refusalOf(fmt.Errorf("reply: %w", errno)); got != want {
			t.Errorf("%v: %q, want %q", errno, got, want)
		}
	}
}
