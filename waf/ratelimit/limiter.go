package ratelimit

import (
	"hash/maphash"
	"math"
	"time"
)

// Settings of a limit.
type Settings struct {
	// Requests is how many of one group pass in a window. If it is less
	// than 1, none does. At most 2^31-1.
	Requests int
	// Window is the length of the window; if zero, a minute. Less than 15
	// milliseconds count as 15.
	Window time.Duration
	// Groups is how many groups are counted at the same time; if zero,
	// 1048576. A group takes 100 to 200 bytes from its first request
	// until it is idle, which it is a window after its last, and others
	// come: each that comes removes up to four idle ones.
	//
	// The table has 64 parts, and a group belongs in one of them. When it
	// has no room, further groups are counted there as if they were one:
	// those who came first are served as ever, and nobody passes a limit by
	// being many. [Stats] has the number of such requests.
	Groups int
}

const defaultGroups = 1 << 20

// normal is the settings with defaults and bounds applied.
func (s Settings) normal() Settings {
	s.Requests = min(max(s.Requests, 0), math.MaxInt32)
	if s.Window == 0 {
		s.Window = time.Minute
	}
	s.Window = max(s.Window, steps*time.Millisecond)
	if s.Groups == 0 {
		s.Groups = defaultGroups
	}
	s.Groups = max(s.Groups, shards)
	return s
}

// Limiter is a [Store] in memory: exact, and for this process only.
type Limiter struct {
	settings Settings
	counters *counters
}

// shards is the number of parts of a table, each with its own lock.
const shards = 64

// counters are the windows of all groups.
type counters struct {
	grid   grid
	seed   maphash.Seed
	shards [shards]shard
}

// New returns a limiter that has counted nothing.
func New(s Settings) *Limiter {
	s = s.normal()
	return &Limiter{settings: s, counters: &counters{
		// Rounded up, so that the steps are no shorter than the window.
		grid: grid{start: time.Now(), step: (s.Window + steps - 1) / steps},
		seed: maphash.MakeSeed(),
	}}
}

// Keep returns a limiter with these settings that goes on counting where old
// is, for a configuration that is loaded again. Old, which may be nil, is the
// limiter that had this one's identity: the same policy and rule. A limit with
// another window starts from zero; another number of requests holds at once,
// for what was counted too. Old stays usable, and shares its counts.
func Keep(old *Limiter, s Settings) *Limiter {
	s = s.normal()
	switch {
	case old == nil || s.Window != old.settings.Window:
		return New(s)
	case s == old.settings:
		return old
	}
	return &Limiter{settings: s, counters: old.counters}
}

// Allow implements [Store].
func (l *Limiter) Allow(key Key, now time.Time) (ok bool, retryAfter time.Duration, remaining int) {
	c, limit := l.counters, uint32(l.settings.Requests)
	if limit == 0 {
		return false, l.settings.Window, 0
	}
	s := &c.shards[maphash.Comparable(c.seed, key)%shards]
	step := c.grid.at(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.find(key, step, l.settings.Groups/shards)
	w.advance(step)
	if w.sum >= limit {
		return false, c.grid.until(w.frees(limit), now), 0
	}
	w.count()
	return true, 0, int(limit - w.sum)
}

// Stats say how full a limiter is.
type Stats struct {
	// Groups is how many groups are counted now, idle ones that nobody
	// looked at yet among them.
	Groups int
	// Shared is how many requests since the start were counted with those
	// of others, because there was no room for their group.
	Shared uint64
}

// Stats returns the present figures. It takes one lock after the other.
func (l *Limiter) Stats() (total Stats) {
	for i := range l.counters.shards {
		s := &l.counters.shards[i]
		s.mu.Lock()
		total.Groups += len(s.groups)
		total.Shared += s.shared
		s.mu.Unlock()
	}
	return total
}
