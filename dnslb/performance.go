package dnslb

import "math/rand/v2"

// performance chooses a candidate in the region that is nearest to the client
// by the table of latencies; candidates in regions that are equally near have
// equal chances.
type performance struct{}

func (performance) prepare(s *slate) choice {
	ch := choice{list: s.candidates()}
	for _, order := range s.profile.rows.order {
		var nearest []*Endpoint
		for _, group := range order {
			for _, e := range ch.list {
				for _, region := range group {
					if e.region == region {
						nearest = append(nearest, e)
					}
				}
			}
			if nearest != nil {
				break
			}
		}
		ch.byClass = append(ch.byClass, nearest)
	}
	return ch
}

func (performance) pick(p *Profile, ch *choice, c *Client, r *rand.Rand, a *Answer) {
	if len(ch.byClass) == 0 {
		return
	}
	a.addOneOf(ch.byClass[p.rows.of[c.row]], r)
}

// addOneOf adds any of a list.
func (a *Answer) addOneOf(list []*Endpoint, r *rand.Rand) {
	switch len(list) {
	case 0:
	case 1:
		a.add(list[0])
	default:
		a.add(list[r.IntN(len(list))])
	}
}
