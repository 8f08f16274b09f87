package l4

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"gatehouse/config"
)

// RuleLife is what lasts of a rule from one configuration to the next.
type RuleLife struct {
	Flows          atomic.Int64 // at the moment
	Total          atomic.Uint64
	Sent, Received atomic.Uint64 // bytes to and from members
	// SentPackets and ReceivedPackets are datagrams of UDP, and of TCP what
	// was read at once.
	SentPackets, ReceivedPackets atomic.Uint64
	Refused                      [refusals]atomic.Uint64

	rate    bucket
	clients clientTable
}

// bucket lets so many through in a second, and as many at once (the generic
// cell rate algorithm).
type bucket struct{ full atomic.Int64 } // when it would be full: nanoseconds

const second = int64(1e9)

// take takes one at a time in nanoseconds, unless that would be too many.
// 0 a second: there is no bound.
func (b *bucket) take(perSecond int, now int64) bool {
	if perSecond == 0 {
		return true
	}
	each := second / int64(perSecond)
	for {
		old := b.full.Load()
		next := max(old, now) + each
		if next-now > second {
			return false
		}
		if b.full.CompareAndSwap(old, next) {
			return true
		}
	}
}

// enter counts a flow in, or says why it is not let in. What entered must
// leave.
func (l *RuleLife) enter(limits *config.L4RuleLimits, client netip.Addr, now int64) Refusal {
	if n := l.Flows.Add(1); limits.Flows > 0 && n > int64(limits.Flows) {
		l.Flows.Add(-1)
		return RefusedFlows
	}
	why := l.clients.enter(limits, client, now, &l.rate)
	if why != NotRefused {
		l.Flows.Add(-1)
	}
	return why
}

// leave counts a flow out that entered.
func (l *RuleLife) leave(client netip.Addr) {
	l.Flows.Add(-1)
	l.clients.leave(client)
}

// clientTable counts flows by client while there are limits for that.
type clientTable struct {
	used   atomic.Bool // since the first limit there was
	shards [clientShards]clientShard
}

const (
	clientShards = 64
	// maxClients bounds one shard: a million clients in all.
	maxClients = 1 << 14
)

type clientShard struct {
	mu      sync.Mutex
	clients map[netip.Addr]*clientCount
}

type clientCount struct {
	flows int
	full  int64 // of its bucket
}

func (t *clientTable) shard(a netip.Addr) *clientShard {
	return &t.shards[mixAddr(0, a)%clientShards]
}

// enter counts a flow of a client in, unless that is too many of it, or of all
// by the rate. What a client has too many of takes nothing from the others,
// and what is too much of all takes nothing from the client.
func (t *clientTable) enter(limits *config.L4RuleLimits, client netip.Addr, now int64, rate *bucket) Refusal {
	if limits.FlowsPerClient == 0 && limits.FlowRatePerClient == 0 {
		if !rate.take(limits.FlowRate, now) {
			return RefusedRate
		}
		return NotRefused
	}
	t.used.Store(true)
	s := t.shard(client)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[client]
	if c == nil {
		if c = s.make(client, now); c == nil {
			return RefusedClient
		}
	}
	if limits.FlowsPerClient > 0 && c.flows >= limits.FlowsPerClient {
		return RefusedClient
	}
	full := c.full
	if n := limits.FlowRatePerClient; n > 0 {
		full = max(full, now) + second/int64(n)
		if full-now > second {
			return RefusedClientRate
		}
	}
	if !rate.take(limits.FlowRate, now) {
		return RefusedRate // an entry that is new goes when room is needed
	}
	c.full = full
	c.flows++
	return NotRefused
}

// make makes the entry of a client. Where there is no room, those without
// flows go; nil: all have some.
func (s *clientShard) make(client netip.Addr, now int64) *clientCount {
	if s.clients == nil {
		s.clients = map[netip.Addr]*clientCount{}
	}
	if len(s.clients) >= maxClients {
		s.sweep(now)
	}
	if len(s.clients) >= maxClients && !s.forgetOne() {
		return nil
	}
	c := &clientCount{}
	s.clients[client] = c
	return c
}

// sweep forgets clients of whom nothing is left to know.
func (s *clientShard) sweep(now int64) {
	for a, c := range s.clients {
		if c.flows == 0 && c.full <= now {
			delete(s.clients, a)
		}
	}
}

// forgetOne forgets a client without flows before its time.
func (s *clientShard) forgetOne() bool {
	for a, c := range s.clients {
		if c.flows == 0 {
			delete(s.clients, a)
			return true
		}
	}
	return false
}

func (t *clientTable) leave(client netip.Addr) {
	if !t.used.Load() {
		return
	}
	s := t.shard(client)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[client]
	if c == nil || c.flows == 0 {
		return // it entered before there was a limit
	}
	if c.flows--; c.flows == 0 && c.full == 0 {
		delete(s.clients, client)
	}
}
