package l7

import (
	"math/bits"
	"sync/atomic"

	"gatehouse/internal/httpmsg"
)

// Split shares the requests of a target among several, by weight (Gateway API:
// weighted backendRefs).
type Split struct {
	parts []part
	total uint64
	next  atomic.Uint64
}

type part struct {
	target *Target
	until  uint64 // the sum of the weights up to this one
}

// Add adds a target; one of weight 0 or less gets nothing.
func (s *Split) Add(t *Target, weight int) {
	s.total += uint64(max(weight, 0))
	s.parts = append(s.parts, part{t, s.total})
}

// weight is the weight of a part.
func (s *Split) weight(i int) uint64 {
	if i == 0 {
		return s.parts[0].until
	}
	return s.parts[i].until - s.parts[i-1].until
}

// golden is 2^64 divided by the golden ratio: its multiples, modulo 2^64, are
// spread over all numbers as evenly as multiples of one number can be, whatever
// a prefix of them is looked at.
const golden = 0x9e3779b97f4a7c15

// pick chooses the next target; nil if none has a weight. Of any n picks in a
// row, each target gets its share but for the odd one.
func (s *Split) pick() *Target {
	if s.total == 0 {
		return nil
	}
	at, _ := bits.Mul64(s.next.Add(1)*golden, s.total) // 0 to total-1, without the bias of a remainder
	for i := range s.parts {
		if at < s.parts[i].until {
			return s.parts[i].target
		}
	}
	return nil // not reached
}

// share makes the target the one that serves the request, where several share
// it; false when the request was refused because none has a weight.
func (f *flow) share() bool {
	s := f.target.Split
	if s == nil {
		return true
	}
	t := f.tied(s)
	if t == nil {
		t = s.pick()
	}
	if t == nil {
		f.refuse(500, "no backend pool of the rule has a weight", "") // Gateway API: no valid backendRef
		return false
	}
	f.target, f.rec.Pool, f.rec.Settings = t, t.Settings.Pool, t.Settings.Name
	return true
}

// tied is the target among whose members is the one that the client's affinity
// cookie names, nil for none. Whose weight is 0 ties nobody.
func (f *flow) tied(s *Split) *Target {
	for i := range s.parts {
		t := s.parts[i].target
		if !t.Settings.Affinity.Enabled || s.weight(i) == 0 {
			continue
		}
		for _, name := range [...]string{t.Settings.Affinity.Cookie, t.Settings.corsCookie} {
			if value, ok := httpmsg.CookieValue(&f.req.Fields, name); ok && t.Pool.ByToken(value) != nil {
				return t
			}
		}
	}
	return nil
}

// explainSplit says what share each pool has, and goes on with that of the
// largest.
func (e *explainer) explainSplit(s *Split) *Target {
	if s.total == 0 {
		e.add("pool", "no backend pool of the rule has a weight", "none: 500")
		return nil
	}
	most := 0
	for i := range s.parts {
		set, w := s.parts[i].target.Settings, s.weight(i)
		e.add("share", "", "%s with settings %s gets %.4g%% (weight %d of %d)", set.Pool, set.Name, 100*float64(w)/float64(s.total), w, s.total)
		if w > s.weight(most) {
			most = i
		}
	}
	return s.parts[most].target
}
