package cache

import "sync/atomic"

// Result is what a cache did for a request; a label of its metrics, and what
// the access log says.
type Result uint8

const (
	// None: the request had nothing to do with a cache.
	None Result = iota
	// Hit: answered from the cache.
	Hit
	// HitStale: the same, with a response that is not fresh any more.
	HitStale
	// Collapsed: answered with a response that another request fetched.
	Collapsed
	// Revalidated: answered from the cache, after the backend was asked.
	Revalidated
	// Expired: the response was stale, and the backend gave another.
	Expired
	// Miss: there was none.
	Miss
	// Bypass: the request is not for a cache.
	Bypass
	// Unavailable: only-if-cached, and there was none.
	Unavailable

	nResults
)

// Results are all that are counted.
func Results() []Result {
	return []Result{Hit, HitStale, Collapsed, Revalidated, Expired, Miss, Bypass, Unavailable}
}

var resultNames = [nResults]string{None: "", Hit: "hit", HitStale: "stale", Collapsed: "collapsed", Revalidated: "revalidated",
	Expired: "expired", Miss: "miss", Bypass: "bypass", Unavailable: "unavailable"}

// String is its name; empty for None.
func (r Result) String() string {
	if r < nResults {
		return resultNames[r]
	}
	return ""
}

// counters are the cache's own.
type counters struct {
	results                        [nResults]atomic.Uint64
	evictions, stores, backgrounds atomic.Uint64
}

// Count counts what a cache did.
func (c *Cache) Count(r Result) { c.stats.results[r].Add(1) }

// CountBackground counts a validation behind a client's back.
func (c *Cache) CountBackground() { c.stats.backgrounds.Add(1) }

// Stats is the state of a cache at some time.
type Stats struct {
	Name        string            `json:"name"`
	Bytes       int64             `json:"bytes"`
	MaxBytes    int64             `json:"maxBytes"`
	Entries     int               `json:"entries"`
	Requests    map[string]uint64 `json:"requests"`
	Stores      uint64            `json:"stores"`
	Evictions   uint64            `json:"evictions"`
	Backgrounds uint64            `json:"backgroundValidations"`
}

// Stats looks at the cache.
func (c *Cache) Stats() Stats {
	s := Stats{Name: c.name, Bytes: c.used.Load(), MaxBytes: c.max.Load(), Requests: map[string]uint64{},
		Stores: c.stats.stores.Load(), Evictions: c.stats.evictions.Load(), Backgrounds: c.stats.backgrounds.Load()}
	for _, r := range Results() {
		s.Requests[r.String()] = c.stats.results[r].Load()
	}
	for i := range c.shards {
		h := &c.shards[i]
		h.mu.RLock()
		for _, list := range h.uris {
			s.Entries += len(list)
		}
		h.mu.RUnlock()
	}
	return s
}
