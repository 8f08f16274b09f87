package ratelimit

import "sync"

// shard has the windows of some of the groups.
type shard struct {
	mu     sync.Mutex
	number map[Key]int32 // of a group in groups
	groups []group
	hand   int // where looking for idle groups goes on

	// rest counts all groups that found no room, as if they were one.
	rest   window
	shared uint64 // requests that were counted there

	_ [64]byte // the next shard is on another cache line
}

type group struct {
	key Key
	window
}

const (
	// swept is how many groups are looked at for idle ones when one is
	// added: more than one, so that they go faster than they come.
	swept = 4
	// sweptFull is the same when there is no room.
	sweptFull = 32
	// small is how many groups have room without a thought of giving some
	// back.
	small = 64
)

// find returns the window of a group, or that of the rest if there is no room
// for another group.
func (s *shard) find(key Key, step int64, most int) *window {
	if n, ok := s.number[key]; ok {
		return &s.groups[n].window
	}
	s.sweep(step, swept)
	if len(s.groups) >= most {
		s.sweep(step, sweptFull)
	}
	if len(s.groups) >= most {
		s.shared++
		return &s.rest
	}
	if s.number == nil {
		s.number = map[Key]int32{}
	}
	s.number[key] = int32(len(s.groups))
	s.groups = append(s.groups, group{key: key, window: window{last: step}})
	return &s.groups[len(s.groups)-1].window
}

// sweep looks at some groups and removes those that are idle.
func (s *shard) sweep(step int64, n int) {
	for range min(n, len(s.groups)) {
		if s.hand >= len(s.groups) {
			s.hand = 0
		}
		if s.groups[s.hand].idle(step) {
			s.remove(s.hand)
		} else {
			s.hand++
		}
	}
	if cap(s.groups) > small && len(s.groups) < cap(s.groups)/4 {
		s.shrink()
	}
}

// remove lets the last group take the place of this one.
func (s *shard) remove(i int) {
	end := len(s.groups) - 1
	delete(s.number, s.groups[i].key)
	if i != end {
		s.groups[i] = s.groups[end]
		s.number[s.groups[i].key] = int32(i)
	}
	s.groups = s.groups[:end]
}

// shrink gives back the memory of the groups that went.
func (s *shard) shrink() {
	s.groups = append(make([]group, 0, 2*len(s.groups)), s.groups...)
	s.number = make(map[Key]int32, len(s.groups))
	for i := range s.groups {
		s.number[s.groups[i].key] = int32(i)
	}
}
