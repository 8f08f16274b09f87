package dnslb

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// priority chooses the candidate with the smallest priority.
type priority struct{}

func (priority) prepare(s *slate) choice {
	list := s.candidates()
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b *Endpoint) int { return cmp.Compare(a.conf.Priority, b.conf.Priority) })
	return choice{list: list}
}

func (priority) pick(_ *Profile, ch *choice, _ *Client, _ *rand.Rand, a *Answer) {
	if len(ch.list) > 0 {
		a.add(ch.list[0])
	}
}
