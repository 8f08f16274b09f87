package udp

import (
	"context"
	"net/netip"
	"testing"
)

// A rule that is removed and comes back gets all datagrams, while the sockets
// that it had wait for the last answers, which still reach their clients.
func TestSocketsThatDrainTakeNothingFromOthers(t *testing.T) {
	for at, to := range map[string]string{"127.0.0.1:0": "127.0.0.1", "0.0.0.0:0": "127.0.0.1", "[::]:0": "127.0.0.1", "[::1]:0": "::1"} {
		t.Run(at, func(t *testing.T) {
			asked := make(chan netip.AddrPort, 1)
			slow := newMember(t, "127.0.0.1:0", func(_ []byte, from netip.AddrPort) [][]byte {
				asked <- from
				return nil
			})
			quick := newMember(t, "127.0.0.1:0", nil)
			l := newLab(t, setup{at: at, members: []netip.AddrPort{slow.addr()}, held: true})
			door := netip.AddrPortFrom(netip.MustParseAddr(to), l.bound.Port())
			old := newClient(t, door)
			old.send("x")
			from := <-asked
			drained := make(chan struct{})
			go func() {
				l.server.Drain(t.Context())
				close(drained)
			}()
			l.eventually("the sockets to step aside", l.aside)
			conns, err := Listen(context.Background(), l.bound, 2)
			if err != nil {
				t.Fatal(err)
			}
			l.compile(setup{members: []netip.AddrPort{quick.addr()}})
			next, err := l.engine.NewServer(conns, l.balancer, l.door())
			if err == nil {
				err = next.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			defer next.Close()
			for range 30 {
				if got := newClient(t, door).ask("x"); got != "x" {
					t.Errorf("answered %q", got)
				}
			}
			if _, err := slow.WriteToUDPAddrPort([]byte("late"), from); err != nil {
				t.Fatal(err)
			}
			if got := old.receive(); got != "late" {
				t.Errorf("the old client got %q", got)
			}
			l.clock.pass(quiet)
			<-drained
		})
	}
}
