package authority

import (
	"runtime"
	"sync/atomic"

	"gatehouse/dnslb"
	"gatehouse/dnslb/server"
)

// Counters count the queries of one view. Each responder adds to a shard; Sum
// adds them up.
type Counters struct {
	shards []shard
}

// shards is how many there are: two for each processor, so that the sockets,
// of which there is one for each by default, do not share any.
func shards() int { return min(2*runtime.GOMAXPROCS(0), 64) }

// Sums is how often what happened.
type Sums struct {
	Rcodes     [24]uint64
	Types      [countedTypes]uint64
	Transports [5]uint64 // by server.Transport
	ECS        uint64    // queries with a subnet that was believed
	Limited    uint64    // responses that a rate limit kept back
	Slipped    uint64    // that it sent truncated
	Unusual    uint64    // queries that took the long way
	Profiles   []uint64  // by their order in the director
	Endpoints  []uint64  // by their ID: how often each was answered, or led to one that was
	Nothing    []uint64  // by profile: answers without an endpoint
}

// countedTypes are those below 66, the rest, and ANY.
const countedTypes = 68

// typeIndex is where a type is counted.
func typeIndex(t uint16) int {
	switch {
	case t < 66:
		return int(t)
	case t == typeANY:
		return 66
	}
	return 67
}

// TypeOf is the type that is counted at an index of Types; 0 is all others.
func TypeOf(i int) uint16 {
	switch i {
	case 66:
		return typeANY
	case 67:
		return 0
	}
	return uint16(i)
}

// shard is padded so that two do not share a cache line.
type shard struct {
	rcodes     [24]atomic.Uint64
	types      [countedTypes]atomic.Uint64
	transports [5]atomic.Uint64
	ecs        atomic.Uint64
	limited    atomic.Uint64
	slipped    atomic.Uint64
	unusual    atomic.Uint64
	profiles   []atomic.Uint64
	endpoints  []atomic.Uint64
	nothing    []atomic.Uint64
	_          [64]byte
}

// NewCounters makes the counters of a director's profiles, which may be nil.
func NewCounters(d *dnslb.Director) *Counters {
	c := &Counters{shards: make([]shard, shards())}
	if d == nil {
		return c
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.profiles = make([]atomic.Uint64, len(d.Profiles))
		s.nothing = make([]atomic.Uint64, len(d.Profiles))
		s.endpoints = make([]atomic.Uint64, len(d.Endpoints))
	}
	return c
}

func (c *Counters) shard(id uint32) *shard { return &c.shards[id%uint32(len(c.shards))] }

// note counts a query that was answered.
func (s *shard) note(rcode int, qtype uint16, from *server.Peer, ecs bool, p *dnslb.Profile, a *dnslb.Answer) {
	s.rcodes[min(rcode, len(s.rcodes)-1)].Add(1)
	s.types[typeIndex(qtype)].Add(1)
	s.transports[min(int(from.Transport), len(s.transports)-1)].Add(1)
	if ecs {
		s.ecs.Add(1)
	}
	if p == nil {
		return
	}
	s.profiles[p.Index()].Add(1)
	if len(a.Endpoints) == 0 {
		s.nothing[p.Index()].Add(1)
		return
	}
	for _, e := range a.Endpoints {
		s.endpoints[e.ID].Add(1)
	}
	for _, e := range a.Via {
		s.endpoints[e.ID].Add(1)
	}
}

// Sum adds up the shards.
func (c *Counters) Sum() *Sums {
	profiles := len(c.shards[0].profiles)
	t := &Sums{Profiles: make([]uint64, profiles), Nothing: make([]uint64, profiles), Endpoints: make([]uint64, len(c.shards[0].endpoints))}
	for i := range c.shards {
		s := &c.shards[i]
		addUp(t.Rcodes[:], s.rcodes[:])
		addUp(t.Types[:], s.types[:])
		addUp(t.Transports[:], s.transports[:])
		addUp(t.Profiles, s.profiles)
		addUp(t.Nothing, s.nothing)
		addUp(t.Endpoints, s.endpoints)
		t.ECS += s.ecs.Load()
		t.Limited += s.limited.Load()
		t.Slipped += s.slipped.Load()
		t.Unusual += s.unusual.Load()
	}
	return t
}

func addUp(to []uint64, from []atomic.Uint64) {
	for i := range from {
		to[i] += from[i].Load()
	}
}

// finish counts a query that is answered, and logs it.
func (r *Responder) finish(query, response []byte, from *server.Peer) {
	q, p := &r.query, &r.reply
	ecs := q.EDNS.ECS.Present
	r.counts.note(p.rcode, q.Type, from, ecs, p.profile, &r.answer)
	if r.log == nil || !r.log.Want() {
		return
	}
	r.event = Event{Peer: from, Query: query, Response: response, Name: q.Name, Type: q.Type, Class: q.Class, Rcode: p.rcode,
		ECS: q.EDNS.ECS, Scope: uint8(p.scope), DO: q.EDNS.Flags&0x8000 != 0, Profile: p.profile, Endpoints: r.answer.Endpoints}
	r.log.Put(&r.event)
	r.event = Event{}
}
