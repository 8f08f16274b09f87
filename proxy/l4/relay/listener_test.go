package relay

import (
	"net/netip"
	"os"
	"testing"

	"gatehouse/proxy/l4"

	"golang.org/x/sys/unix"
)

func TestBacklog(t *testing.T) {
	for _, tt := range []struct{ backlog, least, most int }{{7, 7, 7}, {0, 100, mostBacklog}} {
		list, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), 1, ListenOptions{Backlog: tt.backlog})
		if err != nil {
			t.Fatal(err)
		}
		defer list[0].Close()
		// Of a listening socket the kernel says its backlog in this field.
		info, err := unix.GetsockoptTCPInfo(list[0].fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil || int(info.Sacked) < tt.least || int(info.Sacked) > tt.most {
			t.Errorf("backlog %d: %d, %v", tt.backlog, info.Sacked, err)
		}
	}
}

// The sockets of a door have the backlog of the configuration in use, whoever
// opened them.
func TestBacklogChanges(t *testing.T) {
	l := newLab(t, options{rule: func(r *l4.Rule) { r.Limits.Backlog = 5 }, loops: 2})
	want := func(n uint32) {
		t.Helper()
		l.loops.each(func(_ int, lp *loop) {
			info, err := unix.GetsockoptTCPInfo(lp.acceptors[0].fd, unix.IPPROTO_TCP, unix.TCP_INFO)
			if err != nil || info.Sacked != n {
				t.Errorf("backlog %d, want %d: %v", info.Sacked, n, err)
			}
		})
	}
	want(5)
	next := l.compile(", limits: {backlog: 9}")
	l.s.Use(next, next.Doors[0])
	want(9)
}

// A door of every port does not know which one a connection asked for.
func TestSocketOfEveryPort(t *testing.T) {
	l, err := newLoop()
	if err != nil {
		t.Fatal(err)
	}
	defer l.end()
	list, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), 1, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{}
	s.Use(nil, &l4.Door{Addr: netip.MustParseAddrPort("127.0.0.1:0"), Rule: &l4.Rule{}})
	if err := l.listen(s, list[0]); err != nil {
		t.Fatal(err)
	}
	if got := l.acceptors[0].local; got.IsValid() {
		t.Errorf("%v", got)
	}
}

// A transparent socket asks of each connection where it was to go.
func TestTransparentSocket(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs CAP_NET_ADMIN")
	}
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, transparent := range []bool{false, true} {
			l, err := newLoop()
			if err != nil {
				t.Fatal(err)
			}
			list, err := Listen(netip.MustParseAddrPort(at), 1, ListenOptions{Transparent: transparent})
			if err != nil {
				t.Fatal(err)
			}
			s := &Server{}
			s.Use(nil, &l4.Door{Addr: netip.MustParseAddrPort(at[:len(at)-1] + "80"), Rule: &l4.Rule{}})
			if err := l.listen(s, list[0]); err != nil {
				t.Fatal(err)
			}
			if got := l.acceptors[0].local; got.IsValid() == transparent {
				t.Errorf("%s, transparent %v: %v", at, transparent, got)
			}
			l.end()
		}
	}
}
