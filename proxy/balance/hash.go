package balance

import (
	"math"
	"math/bits"
)

// Hash picks by key: the same key gets the same member as long as that is
// there. It is weighted rendezvous hashing (Thaler and Ravishankar, "A
// Name-Based Mapping Scheme for Rendezvous", 1996, with the logarithmic method
// for weights): of the member that goes the keys are shared out among the
// others, one that comes takes its share from each, and no other key moves.
// The same holds for weights that rise or fall. There is no table to build.
//
// With a factor, loads are bounded as by Mirrokni, Thorup and Zadimoghaddam
// ("Consistent Hashing with Bounded Loads", 2016): a member that has more than
// factor percent of the average in flight is passed over, so that a key that
// everybody asks for overflows to its next member, always the same.
type Hash struct {
	ids     []uint64
	weights []int64
	equal   bool // all weights are: no logarithms
	load    Load
	factor  int64 // percent of the average; 0: no bound
}

// NewHash returns a picker for members with the given identities, as Sum makes
// them of what is lasting about a member, and weights. factor is 0 or more
// than 100. load must not be nil.
func NewHash(ids []uint64, weights []int, load Load, factor int) *Hash {
	h := &Hash{ids: ids, weights: make([]int64, len(weights)), equal: true, load: load, factor: int64(factor)}
	for i, w := range weights {
		h.weights[i] = positive(w)
		h.equal = h.equal && h.weights[i] == h.weights[0]
	}
	return h
}

// Pick implements [Picker]. Its time is linear in the number of members.
func (h *Hash) Pick(key uint64, avoid int) int {
	total, weight := h.sum()
	best, spare := -1, -1 // spare: whatever the bound; never lower than best
	var bestScore, spareScore float64
	for i := range h.ids {
		u := (float64(Mix(key, h.ids[i])>>12) + 0.5) / (1 << 52) // never 0 nor 1
		if i == avoid || best >= 0 && h.below(u, i, bestScore) {
			continue
		}
		score := h.score(u, i)
		if best >= 0 && score <= bestScore {
			continue
		}
		load := h.load(i)
		if load < 0 {
			continue
		}
		if spare < 0 || score > spareScore {
			spare, spareScore = i, score
		}
		if h.within(load, h.weights[i], total, weight) {
			best, bestScore = i, score
		}
	}
	if best < 0 {
		return spare
	}
	return best
}

// sum is the load and the weight of all who are not full.
func (h *Hash) sum() (total, weight int64) {
	if h.factor == 0 {
		return 0, 0
	}
	for i, w := range h.weights {
		if load := h.load(i); load >= 0 {
			total += load
			weight += w
		}
	}
	return total, weight
}

// within tells whether one more request is within the bound: the member's
// share of all there would be then, times the factor, rounded up.
func (h *Hash) within(load, own, total, weight int64) bool {
	return h.factor == 0 || float64(load)*float64(weight)*100 < float64(h.factor)*float64(total+1)*float64(own)
}

// score is higher for the member that a key belongs to: -weight/ln(u), where u
// is the number between 0 and 1 that key and member make.
func (h *Hash) score(u float64, i int) float64 {
	if h.equal {
		return u
	}
	return -float64(h.weights[i]) / math.Log(u)
}

// below tells, without a logarithm, of most members whose score is lower that
// it is: -ln(u) is more than 1-u.
func (h *Hash) below(u float64, i int, score float64) bool {
	return !h.equal && float64(h.weights[i]) < score*(1-u)
}

// Sum makes a key of bytes, the same on every machine: FNV-1a, finished by
// Mix.
func Sum[T ~string | ~[]byte](s T, seed uint64) uint64 {
	h := uint64(14695981039346656037) ^ seed
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return Mix(h, seed)
}

// Mix makes one number of two, each bit of which depends on all of theirs.
func Mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0xa0761d6478bd642f, b^0xe7037ed1a0b428db)
	h := hi ^ lo ^ a
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
