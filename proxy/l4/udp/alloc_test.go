package udp

import (
	"net/netip"
	"testing"
	"time"

	"gatehouse/proxy/l4"
)

// A datagram costs no memory, either way: only flows do.
func TestDatagramsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the calls made under the race detector allocate")
	}
	for _, at := range []string{"127.0.0.1:0", "[::]:0"} {
		answer := make([][]byte, 1)
		m := newMember(t, "127.0.0.1:0", func(in []byte, _ netip.AddrPort) [][]byte {
			answer[0] = in
			return answer
		})
		l := newLab(t, setup{at: at, members: []netip.AddrPort{m.addr()}})
		c := newClient(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), l.bound.Port()))
		out, in := pattern(300, 0), make([]byte, 1000)
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		perRun := testing.AllocsPerRun(1000, func() {
			for range 10 {
				_, _ = c.Write(out)
			}
			for range 10 {
				if _, err := c.Read(in); err != nil {
					t.Fatal(err)
				}
			}
		})
		if perRun >= 1 { // of ten datagrams
			t.Errorf("%s: %v allocations for ten datagrams and their answers", at, perRun)
		}
	}
}

// Nor does one that is refused.
func TestRefusedDatagramsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the calls made under the race detector allocate")
	}
	m := newMember(t, "127.0.0.1:0", nil)
	l := newLab(t, setup{members: []netip.AddrPort{m.addr()}})
	l.state.Flows.Log = nil
	l.set(m.addr(), l4.Down)
	c := newClient(t, l.bound)
	out := pattern(300, 0)
	perRun := testing.AllocsPerRun(1000, func() {
		before := l.refused(l4.RefusedNoMember)
		_, _ = c.Write(out)
		for l.refused(l4.RefusedNoMember) == before {
			time.Sleep(time.Microsecond)
		}
	})
	if perRun >= 1 {
		t.Errorf("%v allocations", perRun)
	}
}
