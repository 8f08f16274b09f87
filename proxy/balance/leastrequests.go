package balance

import "sync/atomic"

// LeastRequests picks the member with the fewest requests in flight for its
// weight. Where several are level, as when all are idle, they take turns by
// weight as in [RoundRobin].
type LeastRequests struct {
	sequence []uint32
	weights  []int64
	load     Load
	turns
}

// NewLeastRequests returns a picker for members with the given weights. The
// turns are counted in cursor. load must not be nil.
func NewLeastRequests(weights []int, load Load, cursor *atomic.Uint64) *LeastRequests {
	l := &LeastRequests{
		sequence: spread(shares(weights)),
		weights:  make([]int64, len(weights)),
		load:     load,
		turns:    turns{cursor, new(atomic.Uint64)},
	}
	for i, w := range weights {
		l.weights[i] = positive(w)
	}
	return l
}

// Pick implements [Picker]. Its time is linear in the number of members.
func (l *LeastRequests) Pick(_ uint64, avoid int) int {
	if len(l.sequence) == 0 {
		return -1
	}
	i := int(l.sequence[l.turns.next(avoid)%uint64(len(l.sequence))])
	best := -1
	var bestLoad, bestWeight int64
	for range l.weights {
		if i != avoid {
			// load/weight < bestLoad/bestWeight, without division.
			load := l.load(i)
			if load >= 0 && (best < 0 || load*bestWeight < bestLoad*l.weights[i]) {
				best, bestLoad, bestWeight = i, load, l.weights[i]
			}
		}
		if i++; i == len(l.weights) {
			i = 0
		}
	}
	return best
}
