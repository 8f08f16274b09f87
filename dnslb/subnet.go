package dnslb

import "math/rand/v2"

// subnet chooses by the client's address: the ranges of endpoints are asked
// before any method is; this is what is left, the endpoint without ranges.
type subnet struct{}

func (subnet) prepare(s *slate) choice {
	ch := choice{list: s.all}
	for _, e := range s.all {
		if len(e.conf.Subnets) == 0 {
			ch.rest.endpoint = e
		}
	}
	return ch
}

func (subnet) pick(p *Profile, ch *choice, c *Client, _ *rand.Rand, a *Answer) {
	if ch.rest.endpoint != nil {
		a.add(ch.rest.endpoint)
		return
	}
	a.NXDomain = p.conf.UnmatchedNXDomain && !p.inRange(c) && !p.hasRest()
}

// inRange tells whether some endpoint has the client in its ranges.
func (p *Profile) inRange(c *Client) bool {
	return p.subnets != nil && c.Addr.IsValid() && p.subnets.find(c.Addr) >= 0
}

// hasRest tells whether an endpoint takes what no range has: then there is
// nothing of this type, but the name is there.
func (p *Profile) hasRest() bool {
	for _, e := range p.Endpoints {
		if len(e.conf.Subnets) == 0 {
			return true
		}
	}
	return false
}
