package main

import (
	"sync"

	"gatehouse/proxy/l4"
)

// traffic is what a rule has carried, and its flows at the moment.
type traffic struct {
	sent, received, sentPackets, receivedPackets uint64
	tcp, udp                                     int
}

// carried adds up what flows that ended and those that there are have carried.
// A flow that ends while that is read is counted in neither: what is shown
// does not go back for that, as Prometheus would take it for a restart and
// count all of it again.
type carried struct {
	mu    sync.Mutex
	shown map[*l4.RuleLife]traffic
}

// read returns the traffic of each rule.
func (c *carried) read(rules []*l4.Rule, flows *l4.Flows) []traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	list, at := make([]traffic, len(rules)), map[*l4.RuleLife]*traffic{}
	for i, r := range rules { // before the flows, so that none counts twice
		list[i] = traffic{sent: r.Life.Sent.Load(), received: r.Life.Received.Load(), sentPackets: r.Life.SentPackets.Load(), receivedPackets: r.Life.ReceivedPackets.Load()}
		at[r.Life] = &list[i]
	}
	flows.Each(func(f *l4.Flow) bool {
		if t := at[f.Rule.Life]; t != nil {
			t.add(f)
		}
		return true
	})
	shown := map[*l4.RuleLife]traffic{}
	for life, t := range at {
		t.atLeast(c.shown[life])
		shown[life] = *t
	}
	c.shown = shown
	return list
}

func (t *traffic) add(f *l4.Flow) {
	t.sent, t.received = t.sent+f.Sent.Load(), t.received+f.Received.Load()
	t.sentPackets, t.receivedPackets = t.sentPackets+f.SentPackets.Load(), t.receivedPackets+f.ReceivedPackets.Load()
	if f.Protocol == l4.UDP {
		t.udp++
	} else {
		t.tcp++
	}
}

func (t *traffic) atLeast(o traffic) {
	t.sent, t.received = max(t.sent, o.sent), max(t.received, o.received)
	t.sentPackets, t.receivedPackets = max(t.sentPackets, o.sentPackets), max(t.receivedPackets, o.receivedPackets)
}
