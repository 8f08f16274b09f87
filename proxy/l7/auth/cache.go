package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

const (
	cacheShards = 16
	// cacheShard is how many entries a shard of a cache has at most: with the
	// identity of a large token, 4 KiB each.
	cacheShard = 256
	// cacheTime is how long what was verified is believed.
	cacheTime = time.Minute
)

// digest stands for what a client showed: secrets are not kept.
type digest [sha256.Size]byte

// cache keeps what was verified for a short time. Its zero value is not ready;
// see newCache.
type cache[V any] struct {
	secret [32]byte // so that nobody can choose digests
	shards [cacheShards]struct {
		mu      sync.Mutex
		entries map[digest]cached[V]
	}
}

type cached[V any] struct {
	value V
	until time.Time
}

func newCache[V any]() *cache[V] {
	c := &cache[V]{}
	rand.Read(c.secret[:])
	for i := range c.shards {
		c.shards[i].entries = map[digest]cached[V]{}
	}
	return c
}

// digest is the key of a text.
func (c *cache[V]) digest(text []byte) digest {
	var buf [1024]byte
	b := append(append(buf[:0], c.secret[:]...), text...)
	return sha256.Sum256(b)
}

func (c *cache[V]) get(d digest, now time.Time) (v V, ok bool) {
	s := &c.shards[d[0]%cacheShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[d]
	if ok && !now.Before(e.until) {
		delete(s.entries, d)
		ok = false
	}
	if !ok {
		return v, false
	}
	return e.value, true
}

// put keeps a value; one that is there already, any, goes when there is no
// room.
func (c *cache[V]) put(d digest, v V, until time.Time) {
	s := &c.shards[d[0]%cacheShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) >= cacheShard {
		for other := range s.entries {
			delete(s.entries, other)
			break
		}
	}
	s.entries[d] = cached[V]{v, until}
}
