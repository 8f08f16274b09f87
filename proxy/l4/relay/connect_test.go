package relay

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"gatehouse/internal/testkit"
	"gatehouse/proxy/l4"

	"golang.org/x/sys/unix"
)

// failures are those of the member of an address.
func (l *lab) failures(addr string) uint64 {
	for _, m := range l.b.Rules[0].Route().Status() {
		if m.Key() == addr {
			return m.Life.Failed.Load()
		}
	}
	l.t.Fatalf("no member %s", addr)
	return 0
}

func TestNextMemberWhenOneRefuses(t *testing.T) {
	dead := testkit.RefusingAddr(t)
	m := newMember(t, echo)
	l := newLab(t, options{}, dead, m.addr)
	for range 20 {
		c := l.dial()
		say(t, c, "x")
		hear(t, c, "x")
		c.Close()
	}
	if n := l.failures(dead); n == 0 || n == 20 {
		t.Errorf("%d attempts failed", n)
	}
	if n := l.failures(m.addr); n != 0 {
		t.Errorf("%d attempts failed where all is well", n)
	}
}

// deaf is an address that drops what wants to connect: its queue is full.
func deaf(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	unix.Listen(fd, 0)
	sa, _ := unix.Getsockname(fd)
	addr := fromSockaddr(sa).String()
	for range 8 { // until one is not answered
		c, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the queue does not fill")
	return ""
}

func within(d time.Duration) func(*l4.Rule) {
	return func(r *l4.Rule) { r.Config.ConnectTimeout = d }
}

func TestNextMemberWhenOneIsSilent(t *testing.T) {
	lost := deaf(t)
	m := newMember(t, echo)
	l := newLab(t, options{rule: within(50 * time.Millisecond)}, lost, m.addr)
	for range 10 {
		c := l.dial()
		began := time.Now()
		say(t, c, "x")
		hear(t, c, "x")
		c.Close()
		if d := time.Since(began); d > 4*time.Second { // of the 5 s that a member has by default
			t.Fatalf("it took %v", d)
		}
	}
	if n := l.failures(lost); n == 0 || n == 10 {
		t.Errorf("%d attempts failed", n)
	}
}

func TestNobodyCanBeReached(t *testing.T) {
	for _, tt := range []struct {
		name     string
		settings string
		member   func() string
		want     l4.Refusal
	}{
		{"closed", "", func() string { return testkit.RefusingAddr(t) }, l4.RefusedConnect},
		{"silent", "", func() string { return deaf(t) }, l4.RefusedConnect},
		{"another family", ", transparent: true", func() string { return "[::1]:9" }, l4.RefusedConnect},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := tt.member()
			l := newLab(t, options{settings: tt.settings, rule: within(50 * time.Millisecond)}, addr)
			l.hearRefused()
			if why := l.refusal(); why != tt.want {
				t.Errorf("refused: %v", why)
			}
			l.loops.each(func(int, *loop) {}) // it is told before it has ended
			if n := l.failures(addr); n != 1 {
				t.Errorf("%d attempts failed", n)
			}
			if n := l.state.Flows.TCP.Load() + l.b.Rules[0].Life.Flows.Load(); n != 0 || l.s.Live() != 0 {
				t.Errorf("%d flows are left, %d live", n, l.s.Live())
			}
		})
	}
}

func TestNobodyIsWell(t *testing.T) {
	m := newMember(t, echo)
	l := newLab(t, options{}, m.addr)
	if l.b.Drain("web", "127.0.0.1") != 1 {
		t.Fatal("no such member")
	}
	l.hearRefused()
	if why := l.refusal(); why != l4.RefusedNoMember {
		t.Errorf("refused: %v", why)
	}
}

func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		settings string
		want     l4.Refusal
	}{
		{", limits: {flows: 2}", l4.RefusedFlows},
		{", limits: {flowsPerClient: 2}", l4.RefusedClient},
		{", limits: {flowRate: 2}", l4.RefusedRate},
	} {
		m := newMember(t, echo)
		l := newLab(t, options{settings: tt.settings}, m.addr)
		// All are let in, or not, at one moment, whenever they come.
		release := l.hold()
		open := []net.Conn{l.dial(), l.dial()}
		late := l.dial()
		release()
		for _, c := range open {
			say(t, c, "x")
			hear(t, c, "x")
		}
		hearReset(t, late)
		if why := l.refusal(); why != tt.want {
			t.Errorf("%s: refused: %v", tt.settings, why)
		}
		for _, c := range open {
			c.Close()
		}
		testkit.Eventually(t, 5*time.Second, "flows to end", func() bool { return l.s.Live() == 0 })
		if tt.want == l4.RefusedRate {
			continue
		}
		c := l.dial()
		say(t, c, "x")
		hear(t, c, "x")
	}
}

// The client's address is kept where the kernel allows that.
func TestTransparent(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs CAP_NET_ADMIN")
	}
	m := newMember(t, nil)
	l := newLab(t, options{settings: ", transparent: true"}, m.addr)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 77)}}
	for range 2 {
		c, err := d.Dial("tcp", l.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		b := m.take()
		if a := b.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); a != netip.MustParseAddr("127.0.0.77") {
			t.Errorf("the member sees %v", a)
		}
		say(t, b, "x")
		hear(t, c, "x")
	}
}

// A client that is gone does not hold a place until its member is given up;
// one that has only shut down waits for its answer.
func TestClientGoesWhileTheMemberIsConnected(t *testing.T) {
	l := newLab(t, options{settings: ", connectTimeout: 1m"}, deaf(t))
	gone, waits := l.dial(), l.dial()
	say(t, waits, "question")
	waits.CloseWrite()
	testkit.Eventually(t, 5*time.Second, "two flows", func() bool { return l.s.Live() == 2 })
	gone.SetLinger(0)
	gone.Close()
	refused := &l.b.Rules[0].Life.Refused
	testkit.Eventually(t, 5*time.Second, "the end of one", func() bool { return l.s.Live() == 1 })
	for range 3 { // looks of the loop
		l.loops.each(func(_ int, lp *loop) { lp.expire() })
	}
	if n := refused[l4.RefusedGone].Load(); n != 1 || l.s.Live() != 1 {
		t.Errorf("%d gone, %d flows left", n, l.s.Live())
	}
}

// What the client says while its member takes its time is not lost.
func TestSlowMemberHearsAll(t *testing.T) {
	m := newMember(t, nil)
	l := newLab(t, options{settings: ", connectTimeout: 300ms"}, deaf(t), m.addr)
	var clients []*net.TCPConn
	for range 8 { // some of which begin with the deaf one
		c := l.dial()
		say(t, c, "before")
		clients = append(clients, c)
	}
	for range clients {
		b := m.take()
		hear(t, b, "before")
		b.Write([]byte("ok"))
	}
	for _, c := range clients {
		hear(t, c, "ok")
	}
}
