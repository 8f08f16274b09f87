package gcra

import "sync"

// shards is the number of parts of a table, each with its own lock.
const shards = 64

// table has the point in time of each group at which it may send a whole burst
// again: the theoretical arrival time of the algorithm.
type table struct {
	seeds  seeds
	shards [shards]shard
}

type shard struct {
	mu     sync.Mutex
	groups map[Key]int64

	passed, refused, spared, evicted uint64
	_                                [16]byte
}

func (t *table) shard(k Key) *shard { return &t.shards[k.low%shards] }

// at is when a group may send a whole burst again, 0 for a new one, for which
// it makes room.
func (s *shard) at(k Key, now int64, most int) int64 {
	if at, known := s.groups[k]; known {
		return at
	}
	if s.groups == nil {
		s.groups = map[Key]int64{}
	}
	s.sweep(now)
	for range evictions { // one, unless a reload made the table smaller
		if len(s.groups) < most {
			break
		}
		s.evict()
	}
	return 0
}

const (
	// swept is how many groups are looked at for each new one, to forget those
	// that are idle: as many as that, so that they go faster than others come.
	swept = 4
	// compared is of how many groups one is evicted, and evictions how many
	// are, at most, for one new one.
	compared  = 16
	evictions = 2
)

// sweep forgets idle groups: those that may send a whole burst lose nothing.
func (s *shard) sweep(now int64) {
	n := 0
	for k, at := range s.groups {
		if at <= now {
			delete(s.groups, k)
		}
		if n++; n == swept {
			return
		}
	}
}

// evict forgets the group that is furthest from its limit, of some. A map gives
// them from where chance will have it.
func (s *shard) evict() {
	var least Key
	var first int64
	n := 0
	for k, at := range s.groups {
		if n == 0 || at < first {
			least, first = k, at
		}
		if n++; n == compared {
			break
		}
	}
	if n > 0 {
		delete(s.groups, least)
		s.evicted++
	}
}
