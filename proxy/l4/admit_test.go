package l4

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"
)

const limited = `
limits: {tcpFlows: 9, udpFlows: 9, udpFlowsPerClient: 3}
frontends: [{name: public, address: 203.0.113.10}]
backendPools: [{name: web, members: [10.0.0.1]}]
rules:
  - {name: web, frontend: public, protocol: tcp, frontendPort: 80, backendPool: web, limits: {%s}}
  - {name: dns, frontend: public, protocol: udp, frontendPort: 80, backendPool: web}
`

// begin lets a flow in as a plane does; nil: it was refused.
func (l *lab) begin(f *Tuple, at time.Duration) (*Flow, Refusal) {
	d := l.Door(f.Frontend, f.Protocol)
	if why := l.Admit(d, f, int64(at)); why != NotRefused {
		return nil, why
	}
	p := d.Route().Pick(f)
	flow := &Flow{Tuple: *f, Rule: d.Rule, Member: p.Next()}
	l.state.Flows.Add(flow)
	return flow, NotRefused
}

func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		limits  string
		clients int // that connect in turn
		udp     bool
		most    int
		why     Refusal
	}{
		{"flows: 3", 5, false, 3, RefusedFlows},
		{"flowsPerClient: 2", 2, false, 4, RefusedClient},
		{"flowRate: 4", 20, false, 4, RefusedRate},
		{"flowRatePerClient: 3", 2, false, 6, RefusedClientRate},
		{"", 20, false, 9, RefusedFlows},
		{"", 1, true, 3, RefusedClient},
		{"", 20, true, 9, RefusedFlows},
	} {
		l := newLab(t, fmt.Sprintf(limited, tt.limits))
		tuple := func(i int) *Tuple {
			f := tcp(fmt.Sprintf("198.51.100.%d:%d", 1+i%tt.clients, 1000+i), 80)
			if tt.udp {
				f.Protocol = UDP
			}
			return f
		}
		var flows []*Flow
		var why Refusal
		for i := range 20 {
			f, refused := l.begin(tuple(i), 0)
			if f != nil {
				flows = append(flows, f)
			} else {
				why = refused
			}
		}
		if len(flows) != tt.most || why != tt.why {
			t.Errorf("%q: %d flows, want %d; refused for %q, want %q", tt.limits, len(flows), tt.most, why, tt.why)
		}
		if n := l.Rules[0].Life.Refused[tt.why].Load() + l.Rules[1].Life.Refused[tt.why].Load(); n != uint64(20-tt.most) {
			t.Errorf("%q: %d refusals counted", tt.limits, n)
		}
		for _, f := range flows {
			l.state.Flows.Remove(f, EndClosed)
		}
		if f, why := l.begin(tuple(0), 10*time.Second); f == nil {
			t.Errorf("%q: refused for %s when all have gone and time has passed", tt.limits, why)
		}
	}
}

func TestARateLetsThroughWhatItSays(t *testing.T) {
	l := newLab(t, fmt.Sprintf(limited, "flowRate: 10"))
	in := 0
	for ms := range 10_000 {
		if f, _ := l.begin(tcp("198.51.100.1:1000", 80), time.Duration(ms)*time.Millisecond); f != nil {
			in++
			l.state.Flows.Remove(f, EndClosed)
		}
	}
	if in < 105 || in > 111 { // 10 at once, 10 a second for 10 seconds
		t.Errorf("%d in 10 seconds", in)
	}
}

// What is refused for one limit takes nothing from another: a client that
// tries too often leaves the rate of the rule to others, and a rule that is
// busy leaves clients theirs.
func TestWhatIsRefusedUsesNoRate(t *testing.T) {
	for _, tt := range []struct {
		limits string
		first  Refusal // that the greedy client meets
	}{
		{"flowRate: 10, flowRatePerClient: 2", RefusedClientRate},
		{"flowRate: 10, flowsPerClient: 2", RefusedClient},
		{"flowRate: 2, flowRatePerClient: 10", RefusedRate},
	} {
		l := newLab(t, fmt.Sprintf(limited, tt.limits))
		for i := range 50 {
			_, why := l.begin(tcp(fmt.Sprintf("198.51.100.1:%d", 1000+i), 80), 0)
			if want := tt.first; i >= 2 && why != want {
				t.Fatalf("%s: flow %d: %v, want %v", tt.limits, i, why, want)
			}
		}
		client, at := "198.51.100.2:1000", time.Duration(0)
		if tt.first == RefusedRate {
			client, at = "198.51.100.1:2000", time.Second/2 // there is room for one again
		}
		if _, why := l.begin(tcp(client, 80), at); why != NotRefused {
			t.Errorf("%s: the flow that is not too much: %v", tt.limits, why)
		}
	}
}

func TestWhatIsRefusedLaterLeaves(t *testing.T) {
	l := newLab(t, fmt.Sprintf(limited, "flows: 1, flowsPerClient: 1"))
	f := tcp("198.51.100.1:1000", 80)
	for range 3 {
		d := l.Door(f.Frontend, TCP)
		if why := l.Admit(d, f, 0); why != NotRefused {
			t.Fatal(why)
		}
		l.Refuse(d, f, RefusedConnect)
	}
	if life := l.Rules[0].Life; life.Flows.Load() != 0 || life.Refused[RefusedConnect].Load() != 3 || life.Total.Load() != 0 {
		t.Errorf("%d flows, %d refusals, %d in all", life.Flows.Load(), life.Refused[RefusedConnect].Load(), life.Total.Load())
	}
}

// A flow counts from when it is let in, not from when it has a member: one
// that hangs makes no room for more.
func TestFlowsThatAreBeingConnectedCount(t *testing.T) {
	l := newLab(t, fmt.Sprintf(limited, ""))
	f := tcp("198.51.100.1:1000", 80)
	d := l.Door(f.Frontend, TCP)
	in := 0
	for range 20 {
		if l.Admit(d, f, 0) == NotRefused {
			in++
		}
	}
	if in != 9 {
		t.Errorf("%d let in, of at most 9", in)
	}
	l.Refuse(d, f, RefusedConnect)
	if why := l.Admit(d, f, 0); why != NotRefused {
		t.Errorf("refused for %s when one had gone", why)
	}
}

// The table of clients stays bounded, whoever comes; those with flows stay.
func TestClientsAreForgotten(t *testing.T) {
	l := newLab(t, fmt.Sprintf(limited, "flowRatePerClient: 1, flowsPerClient: 1"))
	table := &l.Rules[0].Life.clients
	stays := tcp("198.51.100.1:1000", 80)
	if f, why := l.begin(stays, 0); f == nil {
		t.Fatal(why)
	}
	s := table.shard(stays.Client.Addr())
	for i, n := 0, 0; n < maxClients+100; i++ {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if table.shard(a) != s {
			continue
		}
		n++
		if f, _ := l.begin(&Tuple{TCP, netip.AddrPortFrom(a, 1), stays.Frontend}, 0); f != nil {
			l.state.Flows.Remove(f, EndClosed)
		}
	}
	if len(s.clients) > maxClients || s.clients[stays.Client.Addr()] == nil {
		t.Errorf("%d clients of at most %d; the one with a flow is there: %v", len(s.clients), maxClients, s.clients[stays.Client.Addr()] != nil)
	}
}

func TestFlowsAreFound(t *testing.T) {
	l := newLab(t, fmt.Sprintf(limited, ""))
	l.Config.Limits.TCPFlows = 1 << 20
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() {
			var mine []*Flow
			for i := range 500 {
				f, why := l.begin(tcp(fmt.Sprintf("198.51.100.%d:%d", c, 1000+i), 80), 0)
				if f == nil {
					t.Error(why)
					return
				}
				f.Sent.Add(2)
				mine = append(mine, f)
				if i%5 > 0 {
					l.state.Flows.Remove(mine[len(mine)-1], EndClosed)
					mine = mine[:len(mine)-1]
				}
			}
		})
	}
	wg.Wait()
	n := 0
	l.state.Flows.Each(func(f *Flow) bool { n++; return true })
	life := l.Rules[0].Life
	if n != 800 || l.state.Flows.TCP.Load() != 800 || life.Flows.Load() != 800 || life.Total.Load() != 4000 || life.Sent.Load() != 6400 || l.state.Flows.Ended(EndClosed) != 3200 {
		t.Errorf("%d flows, counted %d and %d, %d in all, %d bytes, %d ended", n, l.state.Flows.TCP.Load(), life.Flows.Load(), life.Total.Load(), life.Sent.Load(), l.state.Flows.Ended(EndClosed))
	}
	n = 0
	l.state.Flows.Each(func(f *Flow) bool { n++; return n < 10 })
	if n != 10 {
		t.Errorf("did not stop: %d", n)
	}
}
