package dnslb

import (
	"math"
	"math/rand/v2"
)

// weighted draws for each query: the chance of a candidate is its weight over
// the sum of all. A sticky profile draws for the client's network instead,
// always the same: by the highest of the candidates' scores (weighted
// rendezvous hashing), so that a candidate that goes moves no other's clients.
type weighted struct{}

func (weighted) prepare(s *slate) choice {
	ch := choice{list: s.candidates()}
	sum := uint32(0)
	for _, e := range ch.list {
		sum += uint32(max(e.conf.Weight, 1))
		ch.weights = append(ch.weights, sum)
	}
	return ch
}

func (weighted) pick(p *Profile, ch *choice, c *Client, r *rand.Rand, a *Answer) {
	switch {
	case len(ch.list) == 0:
	case len(ch.list) == 1:
		a.add(ch.list[0])
	case p.conf.Sticky:
		a.add(stickiest(ch.list, p.network(c.Addr)))
	default:
		a.add(ch.list[draw(ch.weights, r.Uint32N(ch.weights[len(ch.weights)-1]))])
	}
}

// draw is the first whose sum is above n.
func draw(sums []uint32, n uint32) int {
	from, to := 0, len(sums)-1
	for from < to {
		if mid := (from + to) / 2; sums[mid] > n {
			to = mid
		} else {
			from = mid + 1
		}
	}
	return from
}

// stickiest is the candidate with the highest score for a network.
func stickiest(list []*Endpoint, network uint64) *Endpoint {
	var best *Endpoint
	highest := math.Inf(-1)
	for _, e := range list {
		h := mix(network ^ e.hash)
		u := (float64(h>>11) + 0.5) / (1 << 53) // in (0, 1)
		if score := -float64(max(e.conf.Weight, 1)) / math.Log(u); score > highest {
			best, highest = e, score
		}
	}
	return best
}

// mix spreads the bits of a number (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
