package cache

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

const (
	nShards = 32
	// maxVariants bounds the responses that are kept for one URI.
	maxVariants = 64
	// maxVary bounds the fields that a response may vary by.
	maxVary = 32
	// nEpochs is among how many counters the URIs share those that tell of
	// invalidation.
	nEpochs = 1 << 12
)

// Cache is a bounded set of responses. It is safe for use by any number of
// goroutines.
type Cache struct {
	name string
	rule KeyRule
	seed maphash.Seed

	max    atomic.Int64 // bytes
	used   atomic.Int64 // reserved: entries, those that are being sent still, and captures
	start  atomic.Uint32
	shards [nShards]shard
	epochs [nEpochs]atomic.Uint32

	stats counters
}

// shard is a part of the URIs.
type shard struct {
	mu      sync.RWMutex
	uris    map[string][]*Entry // the variants of each, the newest first
	flights map[uint64]*Flight
	evict   evictor
}

// New makes an empty cache that takes at most so many bytes.
func New(name string, maxBytes int64, rule KeyRule) *Cache {
	c := &Cache{name: name, rule: rule, seed: maphash.MakeSeed()}
	c.max.Store(maxBytes)
	for i := range c.shards {
		c.shards[i].uris = map[string][]*Entry{}
		c.shards[i].flights = map[uint64]*Flight{}
	}
	return c
}

// Name is what the configuration calls it.
func (c *Cache) Name() string { return c.name }

// Rule is what its keys are made by.
func (c *Cache) Rule() *KeyRule { return &c.rule }

// SetMaxBytes changes the bound, and evicts what is beyond it.
func (c *Cache) SetMaxBytes(n int64) {
	c.max.Store(n)
	for c.used.Load() > n && c.evictAny() {
	}
}

func (c *Cache) hash(key []byte) uint64 { return maphash.Bytes(c.seed, key) }

func (c *Cache) shard(hash uint64) *shard { return &c.shards[hash%nShards] }

func (c *Cache) epoch(hash uint64) *atomic.Uint32 { return &c.epochs[hash/nShards%nEpochs] }

// Lookup returns the stored response for a query, nil if there is none. It
// must be released.
func (c *Cache) Lookup(q *Query) *Entry {
	s := c.shard(c.hash(q.Key))
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found *Entry
	for _, e := range s.uris[string(q.Key)] {
		if e.extra != string(q.Extra) || !matches(e.vary, q.Fields) {
			continue
		}
		if found = e; !e.pass { // a mark is for those that there is no response for
			break
		}
	}
	if found == nil {
		return nil
	}
	found.refs.Add(1)
	if n := found.freq.Load(); n < maxFreq {
		found.freq.Store(n + 1) // a use that is lost does no harm
	}
	return found
}

// reserve takes n bytes, for which others are evicted; false if there is no
// room even so.
func (c *Cache) reserve(n int64) bool {
	for {
		used, most := c.used.Load(), c.max.Load()
		switch {
		case n > most:
			return false
		case used+n > most:
			if !c.evictAny() {
				return false
			}
		case c.used.CompareAndSwap(used, used+n):
			return true
		}
	}
}

// evictAny evicts one entry; false if there is none. Those that were never used
// again go first, in whatever shard they are.
func (c *Cache) evictAny() bool {
	for i := range uint32(2 * nShards) {
		s := &c.shards[(c.start.Load()+i)%nShards]
		s.mu.Lock()
		var e *Entry
		if i >= nShards || s.evict.crowded() {
			e = s.evict.victim()
		}
		if e != nil {
			s.remove(e)
		}
		s.mu.Unlock()
		if e != nil {
			c.start.Add(i + 1)
			c.stats.evictions.Add(1)
			e.Release()
			return true
		}
	}
	return false
}

// put makes an entry, whose size is reserved, one of the cache's, in the place
// of those that it replaces. With since it is dropped if its URI was
// invalidated after that; false tells.
func (c *Cache) put(e *Entry, since uint32) bool {
	hash := c.hash([]byte(e.key))
	s := c.shard(hash)
	s.mu.Lock()
	if c.epoch(hash).Load() != since {
		s.mu.Unlock()
		e.Release()
		return false
	}
	var gone []*Entry
	kept := make([]*Entry, 1, 2)
	kept[0] = e
	for _, old := range s.uris[e.key] {
		if old.extra == e.extra && (old.pass || !e.pass && same(old.vary, e.vary)) || len(kept) == maxVariants {
			gone = append(gone, old)
		} else {
			kept = append(kept, old)
		}
	}
	s.uris[e.key] = kept
	s.evict.add(e, hash, gone)
	s.mu.Unlock()
	for _, old := range gone {
		old.Release()
	}
	return true
}

// remove takes an entry out of its shard, which is locked. It is not released.
func (s *shard) remove(e *Entry) {
	s.evict.drop(e)
	list := s.uris[e.key]
	if len(list) <= 1 {
		delete(s.uris, e.key)
		return
	}
	kept := make([]*Entry, 0, len(list)-1)
	for _, other := range list {
		if other != e {
			kept = append(kept, other)
		}
	}
	s.uris[e.key] = kept
}

// Forget removes one entry, which the caller has got from Lookup, if it is
// still there.
func (c *Cache) Forget(e *Entry) {
	s := c.shard(c.hash([]byte(e.key)))
	s.mu.Lock()
	there := e.in != nil
	if there {
		s.remove(e)
	}
	s.mu.Unlock()
	if there {
		e.Release()
	}
}
