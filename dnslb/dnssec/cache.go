package dnssec

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"sync/atomic"

	"github.com/miekg/dns"
)

const (
	shards     = 16
	oneShard   = 1024 // with fewer entries than this, one shard keeps the bound exact
	entryBytes = 640  // what an entry takes beside its packed record, with its place in map and list, roughly
)

// digest is what a signature is found by: SHA-256 of a set in canonical form.
// Clients choose names, so nothing weaker will do.
type digest [sha256.Size]byte

// signature is one that was made. Only used changes.
type signature struct {
	rr      *dns.RRSIG
	packed  []byte // with the owner in lower case, not compressed
	from    int64  // Unix time in seconds from which it is valid
	refresh int64  // when a new one is due
	until   int64  // when it is no longer good

	used atomic.Bool // since the cache last looked for what to drop
}

func (s *signature) fresh(now int64) bool  { return s.from <= now && now < s.refresh }
func (s *signature) usable(now int64) bool { return s.from <= now && now < s.until }
func (s *signature) size() int             { return len(s.packed) + entryBytes }

// cache keeps signatures within bounds. It drops the oldest that was not used
// since it last came to be the oldest, so that names asked for once do not
// displace those that are asked for often.
type cache struct {
	shards  []shard
	evicted atomic.Uint64
}

// shard is a part of the cache with a lock of its own.
type shard struct {
	mu         sync.RWMutex
	maxEntries int
	maxBytes   int
	byDigest   map[digest]*list.Element // of node
	order      list.List                // the oldest first
	bytes      int
	flights    map[digest]*flight
}

type node struct {
	digest    digest
	signature *signature
}

// flight is a signature that is being made: who else wants it waits for done.
type flight struct {
	done      chan struct{}
	signature *signature
	err       error
}

func newCache(maxEntries, maxBytes int) *cache {
	n := shards
	if maxEntries < oneShard {
		n = 1
	}
	c := &cache{shards: make([]shard, n)}
	for i := range c.shards {
		c.shards[i] = shard{
			maxEntries: maxEntries / n,
			maxBytes:   maxBytes / n,
			byDigest:   map[digest]*list.Element{},
			flights:    map[digest]*flight{},
		}
	}
	return c
}

func (c *cache) shard(d *digest) *shard { return &c.shards[int(d[0])%len(c.shards)] }

// get returns a signature, whether it is still good or not; nil: none.
func (c *cache) get(d *digest) *signature {
	s := c.shard(d)
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.byDigest[*d]
	if e == nil {
		return nil
	}
	found := e.Value.(*node).signature
	if !found.used.Load() { // a store would take the line from the other processors each time
		found.used.Store(true)
	}
	return found
}

// once returns what sign makes, which is called only once at a time for a
// digest, and keeps it. If another call has just made a fresh one, that is it.
func (c *cache) once(d *digest, now int64, sign func() (*signature, error)) (*signature, error) {
	s := c.shard(d)
	s.mu.Lock()
	if e := s.byDigest[*d]; e != nil && e.Value.(*node).signature.fresh(now) {
		s.mu.Unlock()
		return e.Value.(*node).signature, nil
	}
	if f := s.flights[*d]; f != nil {
		s.mu.Unlock()
		<-f.done
		return f.signature, f.err
	}
	f := &flight{done: make(chan struct{})}
	s.flights[*d] = f
	s.mu.Unlock()

	f.signature, f.err = sign()

	s.mu.Lock()
	delete(s.flights, *d)
	if f.err == nil {
		c.evicted.Add(s.put(*d, f.signature))
	}
	s.mu.Unlock()
	close(f.done)
	return f.signature, f.err
}

// put adds or replaces a signature and returns how many others had to go. One
// that alone exceeds the bounds is not kept.
func (s *shard) put(d digest, sig *signature) (evicted uint64) {
	if e := s.byDigest[d]; e != nil {
		s.drop(e)
	}
	if s.maxEntries < 1 || sig.size() > s.maxBytes {
		return 0
	}
	for len(s.byDigest) >= s.maxEntries || s.bytes+sig.size() > s.maxBytes {
		oldest := s.order.Front()
		if oldest.Value.(*node).signature.used.Swap(false) {
			s.order.MoveToBack(oldest)
			continue
		}
		s.drop(oldest)
		evicted++
	}
	s.byDigest[d] = s.order.PushBack(&node{d, sig})
	s.bytes += sig.size()
	return evicted
}

func (s *shard) drop(e *list.Element) {
	n := s.order.Remove(e).(*node)
	delete(s.byDigest, n.digest)
	s.bytes -= n.signature.size()
}

// size returns what the cache holds.
func (c *cache) size() (entries, bytes int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		entries += len(s.byDigest)
		bytes += s.bytes
		s.mu.RUnlock()
	}
	return entries, bytes
}
