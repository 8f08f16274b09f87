package balance

import "math/rand/v2"

// TwoChoices draws two members by weight and picks the one that is less busy
// for its weight (Mitzenmacher, "The Power of Two Choices in Randomized Load
// Balancing", 2001). Unlike [LeastRequests] it looks at two members however
// many there are, and gateways that do not know of each other do not all
// choose the same.
//
// With a [Took] it is peak EWMA: what is compared is how long a member will
// take for all it has to do, rather than how much that is.
type TwoChoices struct {
	sequence []uint32
	weights  []int64
	load     Load
	took     Took
}

// Took says how long member i takes for a request, in any unit, or 0 if that
// is not known. It must not block.
type Took func(i int) float64

// NewTwoChoices returns a picker for members with the given weights. load
// must not be nil. A nil took means that members take equally long.
func NewTwoChoices(weights []int, load Load, took Took) *TwoChoices {
	t := &TwoChoices{sequence: spread(shares(weights)), weights: make([]int64, len(weights)), load: load, took: took}
	for i, w := range weights {
		t.weights[i] = positive(w)
	}
	return t
}

// Pick implements [Picker]; the key does not matter.
func (t *TwoChoices) Pick(_ uint64, avoid int) int {
	if len(t.sequence) == 0 {
		return -1
	}
	random := rand.Uint64()
	a, loadA := t.draw(uint32(random), avoid, -1)
	if a < 0 {
		return t.anybody(uint32(random), avoid)
	}
	b, loadB := t.draw(uint32(random>>32), avoid, a)
	if b < 0 || !t.better(b, loadB, a, loadA) {
		return a
	}
	return b
}

// draw returns a member by weight that is neither of two and not full, and
// its load. Those that do not fit are passed over a few times; with -1 none
// was found.
func (t *TwoChoices) draw(random uint32, avoid, other int) (int, int64) {
	at := uint64(random) * uint64(len(t.sequence)) >> 32
	for range 1 + retries {
		if i := int(t.sequence[at]); i != avoid && i != other {
			if load := t.load(i); load >= 0 {
				return i, load
			}
		}
		if at++; at == uint64(len(t.sequence)) {
			at = 0
		}
	}
	return -1, 0
}

// anybody is a member that fits, from a random one on.
func (t *TwoChoices) anybody(random uint32, avoid int) int {
	n := len(t.weights)
	start := int(uint64(random) * uint64(n) >> 32)
	for k := range n {
		if i := (start + k) % n; i != avoid && t.load(i) >= 0 {
			return i
		}
	}
	return -1
}

// better tells whether b is to be preferred to a, which was drawn first and
// wins when they are level: so shares are those of the weights while all are
// idle. One that has not answered yet counts as fast as the other: as a fast
// one it would draw every request until it answers, and as a slow one it would
// never be asked.
func (t *TwoChoices) better(b int, loadB int64, a int, loadA int64) bool {
	costA := float64(loadA)/float64(t.weights[a]) + 1
	costB := float64(loadB)/float64(t.weights[b]) + 1
	if t.took != nil {
		if tookA, tookB := t.took(a), t.took(b); tookA > 0 && tookB > 0 {
			costA *= tookA
			costB *= tookB
		}
	}
	return costB < costA
}
