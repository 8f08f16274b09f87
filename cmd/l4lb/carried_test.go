package main

import (
	"net/netip"
	"sync"
	"testing"

	"gatehouse/config"
	"gatehouse/proxy/l4"
)

// Bytes of flows that end while metrics are read are neither lost nor counted
// twice: a counter that goes back is taken for a restart.
func TestCountersOfTrafficDoNotGoBack(t *testing.T) {
	conf, _, err := config.ParseLoadBalancer("l.yaml", []byte(`
frontends: [{name: public, address: 127.0.0.1}]
backendPools: [{name: web, members: [127.0.0.2]}]
rules: [{name: web, frontend: public, protocol: tcp, frontendPort: 80, backendPool: web}]
`))
	if err != nil {
		t.Fatal(err)
	}
	state := l4.NewState()
	b, err := l4.Compile(conf, nil, state, nil)
	if err != nil {
		t.Fatal(err)
	}
	door := b.Doors[0]
	tuple := l4.Tuple{Protocol: l4.TCP, Client: netip.MustParseAddrPort("127.0.0.9:4000"), Frontend: door.Addr}
	pick := door.Route().Pick(&tuple)
	member := pick.Next()
	const each, turns = 1000, 20_000
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			for range turns {
				if why := b.Admit(door, &tuple, 1); why != l4.NotRefused {
					t.Error(why)
					return
				}
				f := &l4.Flow{Tuple: tuple, Rule: door.Rule, Member: member}
				state.Flows.Add(f)
				f.Sent.Add(each)
				state.Flows.Remove(f, l4.EndClosed)
			}
		})
	}
	ended := make(chan struct{})
	go func() { wait.Wait(); close(ended) }()
	var c carried
	for last, running := uint64(0), true; running; {
		select {
		case <-ended:
			running = false
		default:
		}
		now := c.read(b.Rules, &state.Flows)[0].sent
		if now < last || now > 2*each*turns {
			t.Fatalf("%d bytes after %d", now, last)
		}
		last = now
	}
	if got := c.read(b.Rules, &state.Flows)[0].sent; got != 2*each*turns {
		t.Errorf("%d bytes in the end, want %d", got, 2*each*turns)
	}
}
