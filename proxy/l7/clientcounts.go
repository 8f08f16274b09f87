package l7

import (
	"hash/maphash"
	"net/netip"
	"sync"
)

// clientCounts counts open connections by client address.
type clientCounts struct {
	once   sync.Once
	seed   maphash.Seed
	shards [32]clientShard
}

type clientShard struct {
	mu sync.Mutex
	n  map[netip.Addr]int32
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

// add counts a connection; false, uncounted, when the client has max already.
func (c *clientCounts) add(a netip.Addr, max int) bool {
	s := c.shard(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	if int(s.n[a]) >= max {
		return false
	}
	if s.n == nil {
		s.n = map[netip.Addr]int32{}
	}
	s.n[a]++
	return true
}

func (c *clientCounts) remove(a netip.Addr) {
	s := c.shard(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n[a]--; s.n[a] <= 0 {
		delete(s.n, a)
	}
}
