package balance

import "sync/atomic"

// Bounds of a precomputed sequence: its length, and the work of computing it
// (length times members), some ten milliseconds at most.
const (
	maxSequence     = 4096
	maxSequenceWork = 1 << 21
)

// retries is how many further positions of the sequence are tried when the
// first is avoided or full, before every member is looked at in turn.
const retries = 4

// RoundRobin picks members in turn, each as often as its weight says and
// evenly spread: after any number of picks from the start of the sequence,
// every member is less than one pick away from its share.
type RoundRobin struct {
	sequence []uint32
	members  int
	load     Load
	turns
}

// turns are positions in a sequence. A pick that avoids a member is a second
// one for the same request, which has had its turn: counted as another it
// would shift the turns, and with two members every first pick would go to
// the one that fails.
type turns struct {
	cursor *atomic.Uint64
	second *atomic.Uint64
}

func (t turns) next(avoid int) uint64 {
	if avoid >= 0 {
		return t.second.Add(1) - 1
	}
	return t.cursor.Add(1) - 1
}

// NewRoundRobin returns a picker for members with the given weights. The
// position in the sequence lives in cursor, so that a picker that replaces
// another goes on where it stopped. A nil load means that no member is ever
// full.
func NewRoundRobin(weights []int, load Load, cursor *atomic.Uint64) *RoundRobin {
	return &RoundRobin{sequence: spread(shares(weights)), members: len(weights), load: load, turns: turns{cursor, new(atomic.Uint64)}}
}

// Pick implements [Picker].
func (r *RoundRobin) Pick(_ uint64, avoid int) int {
	if len(r.sequence) == 0 {
		return -1
	}
	n := r.turns.next(avoid)
	i := int(r.sequence[n%uint64(len(r.sequence))])
	if r.fits(i, avoid) {
		return i
	}
	return r.substitute(n, avoid)
}

func (r *RoundRobin) fits(i, avoid int) bool {
	return i != avoid && (r.load == nil || r.load(i) >= 0)
}

// substitute finds one for position n: a few later positions keep the
// weights, then anybody who fits will do.
func (r *RoundRobin) substitute(n uint64, avoid int) int {
	for k := uint64(1); k <= retries; k++ {
		i := int(r.sequence[(n+k)%uint64(len(r.sequence))])
		if r.fits(i, avoid) {
			return i
		}
	}
	start := int(n % uint64(r.members))
	for k := range r.members {
		if i := (start + k) % r.members; r.fits(i, avoid) {
			return i
		}
	}
	return -1
}

// shares reduces weights to the smallest integers of the same proportion,
// or nearly the same where their sum would be too long a sequence. Nobody's
// share is zero.
func shares(weights []int) []int64 {
	out := make([]int64, len(weights))
	var divisor, sum int64
	for i, w := range weights {
		out[i] = positive(w)
		divisor = gcd(divisor, out[i])
	}
	for i := range out {
		out[i] /= divisor
		sum += out[i]
	}
	limit := longest(len(out))
	if sum <= limit {
		return out
	}
	for i, w := range out {
		out[i] = max(1, (w*limit+sum/2)/sum)
	}
	return out
}

// longest is the length that a sequence for n members may have.
func longest(n int) int64 {
	if n == 0 {
		return 0
	}
	return int64(max(n, min(maxSequence, maxSequenceWork/n)))
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// spread lays the shares out as evenly as can be. It is Tijdeman's solution
// of the chairman assignment problem (1980): of those who are far enough
// behind their share, the one whose turn is most urgent comes next. Unlike
// the usual smooth weighted round robin it has a bound: nobody is ever a
// whole turn away from its share.
func spread(shares []int64) []uint32 {
	n := int64(len(shares))
	var sum int64
	equal := true
	for _, s := range shares {
		sum += s
		equal = equal && s == shares[0]
	}
	out := make([]uint32, 0, sum)
	if equal {
		for i := range shares {
			out = append(out, uint32(i))
		}
		return out
	}
	had := make([]int64, n)
	scale := 2*n - 2 // n is at least 2, else all are equal
	for t := int64(1); t <= sum; t++ {
		i := mostUrgent(shares, had, t, sum, scale)
		had[i]++
		out = append(out, uint32(i))
	}
	return out
}

// mostUrgent is one step of [spread]: lag is how far i is behind its share
// before pick t, times sum and scale.
func mostUrgent(shares, had []int64, t, sum, scale int64) int {
	best, bestSlack := -1, int64(0)
	for i, share := range shares {
		lag := scale * (share*t - had[i]*sum)
		if lag < sum {
			continue
		}
		slack := (scale-1)*sum - lag
		// slack/share < bestSlack/shares[best], without division
		if best < 0 || slack*shares[best] < bestSlack*share {
			best, bestSlack = i, slack
		}
	}
	return best
}
