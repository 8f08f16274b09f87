package gcra

import (
	"math"
	"time"
)

// Settings of a limit. The zero value of a field is its least one.
type Settings struct {
	// Requests pass within Per; at most 1 000 000 in no less than a second.
	Requests int
	Per      time.Duration
	// Burst is how many pass at once, when none has come for long.
	Burst int
	// Keys is how many groups are told apart. When there are as many, a new
	// one takes the place of one that is furthest from its limit, of those
	// that are looked at: who is at the limit is not forgotten for the sake of
	// those who come.
	Keys int
	// DryRun lets pass what is over the limit, and counts it.
	DryRun bool
}

// normal is the settings within their bounds.
func (s Settings) normal() Settings {
	s.Requests = min(max(s.Requests, 1), 1_000_000)
	s.Per = max(s.Per, time.Second)
	s.Burst = max(s.Burst, 1)
	s.Keys = max(s.Keys, shards)
	return s
}

// Limiter decides whether requests pass. It is safe for concurrent use.
type Limiter struct {
	settings Settings
	interval int64 // between two requests, in nanoseconds
	depth    int64 // how much of that Burst requests are
	table    *table
}

// New returns a limiter that has counted nothing.
func New(s Settings) *Limiter { return Keep(nil, s) }

// Keep returns a limiter with these settings that goes on counting where old
// is, for a configuration that is loaded again; old may be nil. Both may be
// used, and share what they count.
func Keep(old *Limiter, s Settings) *Limiter {
	s = s.normal()
	l := &Limiter{settings: s, interval: (int64(s.Per) + int64(s.Requests) - 1) / int64(s.Requests)}
	l.depth = math.MaxInt64 / 4
	if int64(s.Burst) < l.depth/l.interval {
		l.depth = int64(s.Burst) * l.interval
	}
	if old != nil {
		l.table = old.table
		return l
	}
	l.table = &table{seeds: newSeeds()}
	return l
}

// Answer says what becomes of a request.
type Answer struct {
	OK        bool          // it passes
	Over      bool          // it is over the limit; with OK: a dry run
	Remaining int           // how many more would pass now
	Wait      time.Duration // until the next one passes; 0: at once
	Reset     time.Duration // until Burst of them pass
}

// Allow decides on a request of a group, at a time in nanoseconds on a clock
// that does not go backwards, and counts it if it passes.
func (l *Limiter) Allow(k Key, now int64) Answer {
	s := l.table.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	full := s.at(k, now, l.settings.Keys/shards)
	full = min(max(full, now), now+l.depth) // a limit that was wider, too
	next := full + l.interval
	if next-now > l.depth {
		s.groups[k] = full
		if l.settings.DryRun {
			s.spared++
		} else {
			s.refused++
		}
		return Answer{OK: l.settings.DryRun, Over: true, Wait: time.Duration(next - l.depth - now), Reset: time.Duration(full - now)}
	}
	s.groups[k] = next
	s.passed++
	a := Answer{OK: true, Remaining: int((l.depth - (next - now)) / l.interval), Reset: time.Duration(next - now)}
	if a.Remaining == 0 {
		a.Wait = time.Duration(next + l.interval - l.depth - now)
	}
	return a
}

// Stats are what a limiter has counted since it was new, settings that came
// before included.
type Stats struct {
	Passed, Refused uint64
	Spared          uint64 // over the limit in a dry run
	Keys            int    // groups that are known now, idle ones among them
	Evicted         uint64 // groups that were forgotten before they were idle, for want of room
}

// Stats returns the present figures. It takes one lock after the other.
func (l *Limiter) Stats() (total Stats) {
	for i := range l.table.shards {
		s := &l.table.shards[i]
		s.mu.Lock()
		total.Passed += s.passed
		total.Refused += s.refused
		total.Spared += s.spared
		total.Evicted += s.evicted
		total.Keys += len(s.groups)
		s.mu.Unlock()
	}
	return total
}
