package dnslb

import "math/rand/v2"

// multiValue chooses every candidate, or as many by lot as the profile
// returns at most. The order is random too.
type multiValue struct{}

func (multiValue) prepare(s *slate) choice { return choice{list: s.candidates()} }

func (multiValue) pick(p *Profile, ch *choice, _ *Client, r *rand.Rand, a *Answer) {
	n := min(len(ch.list), max(p.conf.MaxReturn, 1), MaxReturned)
	if n == 0 {
		return
	}
	// Floyd's sample: each set of n is as likely as any other.
	for i := len(ch.list) - n; i < len(ch.list); i++ {
		e := ch.list[r.IntN(i+1)]
		if a.has(e) {
			e = ch.list[i]
		}
		a.add(e)
	}
	for i := n - 1; i > 0; i-- {
		j := r.IntN(i + 1)
		a.Endpoints[i], a.Endpoints[j] = a.Endpoints[j], a.Endpoints[i]
	}
}

func (a *Answer) has(e *Endpoint) bool {
	for _, f := range a.Endpoints {
		if e == f {
			return true
		}
	}
	return false
}
