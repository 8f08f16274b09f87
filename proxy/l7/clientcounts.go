package l7

import (
	"hash/maphash"
	"net/netip"
	"sync"
)

// clientCounts counts what clients take, by their addresses: connections, or
// bytes. It has an entry only for who takes something.
type clientCounts struct {
	once   sync.Once
	seed   maphash.Seed
	shards [32]clientShard
}

type clientShard struct {
	mu sync.Mutex
	n  map[netip.Addr]int64
}

func (c *clientCounts) shard(a netip.Addr) *clientShard {
	c.once.Do(func() { c.seed = maphash.MakeSeed() })
	return &c.shards[maphash.Comparable(c.seed, a)%uint64(len(c.shards))]
}

// clientKey is what counts as one client: an IPv4 address, or an IPv6 /64,
// since a single host has at least that many addresses.
func clientKey(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// add counts n more; false, uncounted, when the client would have more than
// most.
func (c *clientCounts) add(a netip.Addr, n, most int64) bool {
	s := c.shard(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n[a]+n > most {
		return false
	}
	if s.n == nil {
		s.n = map[netip.Addr]int64{}
	}
	s.n[a] += n
	return true
}

// of is what a client has.
func (c *clientCounts) of(a netip.Addr) int64 {
	s := c.shard(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n[a]
}

func (c *clientCounts) remove(a netip.Addr, n int64) {
	s := c.shard(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n[a] -= n; s.n[a] <= 0 {
		delete(s.n, a)
	}
}
