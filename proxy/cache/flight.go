package cache

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// Outcome is how a flight ended.
type Outcome uint8

const (
	// Stored: the response is in the cache; look for it.
	Stored Outcome = iota
	// Left: the client of who asked has left; somebody else should ask.
	Left
	// Useless: there is no response that others may have. Everybody asks for
	// himself, at once.
	Useless
)

// Flight is a request to a backend whose response others wait for.
type Flight struct {
	cache   *Cache
	shard   *shard
	id      uint64
	once    sync.Once
	outcome Outcome // Valid once done is closed
	done    chan struct{}
	waiting atomic.Int32
}

// Join finds the flight for a query, or begins one, which the caller leads and
// has to end. A leader looks for the response once more: a flight may have just
// ended.
func (c *Cache) Join(q *Query) (f *Flight, leads bool) {
	hash := c.hash(q.Key)
	s := c.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	id := c.flightID(s, q)
	if f := s.flights[id]; f != nil {
		f.waiting.Add(1)
		return f, false
	}
	f = &Flight{cache: c, shard: s, id: id, done: make(chan struct{})}
	s.flights[id] = f
	return f, true
}

// flightID is a number for what would be the same response. What it varies by
// is known from those that are stored: different ones are asked for beside each
// other. That two share a number by chance costs a wait.
func (c *Cache) flightID(s *shard, q *Query) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	write := func(b []byte) {
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	write(q.Key)
	write(q.Extra)
	for _, e := range s.uris[string(q.Key)] {
		if e.extra != string(q.Extra) || e.pass {
			continue
		}
		for i := range e.vary {
			text, _ := appendValues(nil, q.Fields, e.vary[i].name)
			write(text)
		}
		break
	}
	return h.Sum64()
}

// End ends a flight; only the first call counts.
func (f *Flight) End(o Outcome) {
	f.once.Do(func() {
		f.shard.mu.Lock()
		if f.shard.flights[f.id] == f {
			delete(f.shard.flights, f.id)
		}
		f.shard.mu.Unlock()
		f.outcome = o
		close(f.done)
	})
}

// Done is closed when the flight has ended; Outcome is known then.
func (f *Flight) Done() <-chan struct{} { return f.done }

// Outcome is how it ended.
func (f *Flight) Outcome() Outcome { return f.outcome }

// Leave ends a wait. One that has lasted too long gives the flight up for
// everybody who comes later: they begin another.
func (f *Flight) Leave(tooLong bool) {
	f.waiting.Add(-1)
	if !tooLong {
		return
	}
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	if f.shard.flights[f.id] == f {
		delete(f.shard.flights, f.id)
	}
}

// Waiting is how many wait.
func (f *Flight) Waiting() int { return int(f.waiting.Load()) }
