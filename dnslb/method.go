package dnslb

import (
	"math/rand/v2"

	"gatehouse/config"
)

// method is a way to choose. It has no state: what it needs is in the
// profile, which never changes, and in the choice, which is made anew when
// something else is known.
type method interface {
	// prepare lays out what there is to choose from.
	prepare(s *slate) choice
	// pick appends who is chosen for a client. It must not allocate.
	pick(p *Profile, ch *choice, c *Client, r *rand.Rand, into *Answer)
}

var methods = map[config.RoutingMethod]method{
	config.RoutePriority:    priority{},
	config.RouteWeighted:    weighted{},
	config.RoutePerformance: performance{},
	config.RouteGeographic:  geographic{},
	config.RouteMultiValue:  multiValue{},
	config.RouteSubnet:      subnet{},
}

// MaxReturned is the most endpoints that one answer has.
const MaxReturned = 10

// Answer is who was chosen. It can be used again and again.
type Answer struct {
	// Endpoints are those chosen; none is a nested profile. More than one
	// only with multiValue. Empty: there is nothing to answer.
	Endpoints []*Endpoint
	// TTL is for how many seconds the answer holds.
	TTL uint32
	// NXDomain tells that the name is said not to exist.
	NXDomain bool
	// Way are the profiles that were asked, from the first to the last, and
	// Via the endpoints of all but the last that led on: of two that stand for
	// one profile, the one that was chosen.
	Way []*Profile
	Via []*Endpoint

	space    [MaxReturned]*Endpoint
	waySpace [maxDepth]*Profile
	viaSpace [maxDepth]*Endpoint
}

// maxDepth bounds how deep profiles are nested (Azure: 10 levels).
const maxDepth = 10

func (a *Answer) add(e *Endpoint) { a.Endpoints = append(a.Endpoints, e) }

// Answer chooses for a query of a family from a client that the profile
// located. It writes into a, which it clears first.
func (s *Snapshot) Answer(p *Profile, f Family, c *Client, r *rand.Rand, a *Answer) {
	a.Endpoints, a.Way, a.Via, a.NXDomain = a.space[:0], a.waySpace[:0], a.viaSpace[:0], false
	a.TTL = s.plans[p.index].ttl
	for range maxDepth {
		a.Way = append(a.Way, p)
		pl := s.plans[p.index]
		if !pl.exists {
			a.NXDomain = p.conf.NXDomain
			return
		}
		p.choose(pl, f, c, r, a)
		if len(a.Endpoints) == 0 {
			return
		}
		first := a.Endpoints[0]
		if first.nested == nil {
			break
		}
		p, a.Endpoints, a.Via = first.nested, a.space[:0], append(a.Via, first)
	}
	s.match(f, a)
}

// choose asks the ranges of a profile, then its method.
func (p *Profile) choose(pl *plan, f Family, c *Client, r *rand.Rand, a *Answer) {
	ch := &pl.choices[f]
	if p.subnets != nil && c.Addr.IsValid() {
		if i := p.subnets.find(c.Addr); i >= 0 {
			switch to := ch.subnets[i]; {
			case to.endpoint != nil:
				a.add(to.endpoint)
				return
			case to.nothing:
				return
			}
		}
	}
	p.method.pick(p, ch, c, r, a)
}

// match leaves out who has nothing to say to the family: those are chosen
// only where a profile matches late.
func (s *Snapshot) match(f Family, a *Answer) {
	kept := a.Endpoints[:0]
	for _, e := range a.Endpoints {
		if e.nested == nil && e.answers(f, s.known[e.ID], nil) {
			kept = append(kept, e)
		}
	}
	a.Endpoints = kept
}
