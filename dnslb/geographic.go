package dnslb

import (
	"math/rand/v2"

	"gatehouse/config"
)

// geographic chooses the endpoint of the smallest region that holds the client
// and is mapped: state, country, grouping, WORLD. What it does when that is
// degraded is a setting; a disabled endpoint is as if it were not mapped.
type geographic struct{}

func (geographic) prepare(s *slate) choice {
	p := s.profile
	ch := choice{list: s.all}
	owner := p.mappedCodes()
	for _, codes := range p.places.codes {
		ch.byClass = append(ch.byClass, s.owner(codes, owner))
	}
	return ch
}

// owner is who answers clients in all of the regions, the most specific first.
func (s *slate) owner(codes []string, owners map[string]int) []*Endpoint {
	var first *Endpoint
	for _, code := range codes {
		i := owners[code]
		if !s.listed[i] {
			continue
		}
		e := s.profile.Endpoints[i]
		if first == nil {
			first = e
		}
		switch {
		case s.served[i], s.profile.conf.OnUnhealthy == config.UnhealthyServe:
			return []*Endpoint{e}
		case s.profile.conf.OnUnhealthy == config.UnhealthyNoData:
			return nil
		}
	}
	if first == nil {
		return nil
	}
	return []*Endpoint{first} // nobody is well: better than nothing
}

func (geographic) pick(p *Profile, ch *choice, c *Client, r *rand.Rand, a *Answer) {
	if len(ch.byClass) > 0 {
		a.addOneOf(ch.byClass[p.places.of[c.place]], r)
	}
}
