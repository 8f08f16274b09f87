package dnslb

import (
	"gatehouse/config"
	"gatehouse/health"
)

// Family is what kind of answer is asked for.
type Family uint8

// The families.
const (
	A       Family = iota // IPv4 addresses
	AAAA                  // IPv6 addresses
	Service               // SVCB and HTTPS records (RFC 9460), with the ports of endpoints
	Other                 // any other type: only a CNAME can answer
	families
)

// FamilyOf is the family of a record type.
func FamilyOf(qtype uint16) Family {
	switch qtype {
	case 1:
		return A
	case 28:
		return AAAA
	case 64, 65: // SVCB, HTTPS
		return Service
	}
	return Other
}

// plan is a profile under what is known at one moment. It does not change.
type plan struct {
	state   ProfileState
	states  []State // by the endpoints of the profile
	exists  bool    // something is enabled, so that the name is there
	ttl     uint32  // seconds
	choices [families]choice

	online, checking tally // of endpoints, for the profiles above
}

// choice is what a profile chooses from for one family.
type choice struct {
	good bool        // something is there that is served, not only degraded
	list []*Endpoint // the candidates, in the order of the method

	weights []uint32      // of weighted: the sum of those up to and with each
	byClass [][]*Endpoint // of geographic and performance, by class: any of the list
	subnets []target      // by endpoint: what its ranges lead to
	rest    target        // of subnet: what no range leads to
}

// target is where a range leads.
type target struct {
	endpoint *Endpoint // nil: nowhere in particular, the method decides
	nothing  bool      // to an empty answer
}

// slate is what a method lays out a choice from: the endpoints that are
// enabled and can answer, in the order of the configuration.
type slate struct {
	profile *Profile
	all     []*Endpoint
	served  []bool // by Profile.Endpoints: is in all, and not degraded
	listed  []bool // by Profile.Endpoints: is in all
	good    bool   // some are served
}

// candidates are those that are served, or all if none is: a name whose
// endpoints are all degraded is answered as if they were well.
func (s *slate) candidates() []*Endpoint {
	if !s.good {
		return s.all
	}
	var list []*Endpoint
	for _, e := range s.all {
		if s.served[e.index] {
			list = append(list, e)
		}
	}
	return list
}

// plan makes the plan of a profile; plans are those of the profiles nested in
// it, known what is known of every endpoint.
func (p *Profile) plan(known []Known, plans []*plan) *plan {
	pl := &plan{states: make([]State, len(p.Endpoints)), ttl: uint32(p.conf.TTL.Seconds())}
	for i, e := range p.Endpoints {
		if e.nested != nil {
			pl.states[i] = e.nestedState(known[e.ID], plans[e.nested.index])
		} else {
			pl.states[i] = e.stateOf(known[e.ID])
		}
		pl.exists = pl.exists || pl.states[i].enabled()
		if pl.states[i] == Degraded {
			pl.ttl = min(pl.ttl, uint32(p.conf.DegradedTTL.Seconds()))
		}
	}
	pl.state = p.stateOfProfile(pl.states)
	for f := range families {
		s := p.slate(f, pl.states, known, plans)
		pl.choices[f] = p.method.prepare(s)
		pl.choices[f].good = s.good
		pl.choices[f].subnets = s.subnets()
	}
	p.count(pl, known)
	return pl
}

// slate lists who can answer a family.
func (p *Profile) slate(f Family, states []State, known []Known, plans []*plan) *slate {
	s := &slate{profile: p, served: make([]bool, len(p.Endpoints)), listed: make([]bool, len(p.Endpoints))}
	for i, e := range p.Endpoints {
		if !states[i].enabled() || !p.conf.LateMatch && !e.answers(f, known[e.ID], plans) {
			continue
		}
		s.all = append(s.all, e)
		s.listed[i] = true
		s.served[i] = states[i].Served() && (e.nested == nil || p.conf.LateMatch || plans[e.nested.index].choices[f].good)
		s.good = s.good || s.served[i]
	}
	return s
}

// answers tells whether an endpoint has something to say to a family.
func (e *Endpoint) answers(f Family, k Known, plans []*plan) bool {
	switch {
	case e.nested != nil:
		return len(plans[e.nested.index].choices[f].list) > 0
	case !e.conf.Address.IsValid() && !e.flatten:
		return true // with a CNAME
	case f == Service:
		return e.conf.Port > 0
	case e.conf.Address.IsValid():
		return f == A && e.conf.Address.Is4() || f == AAAA && e.conf.Address.Is6()
	}
	for _, a := range k.Addresses {
		if f == A && a.Is4() || f == AAAA && a.Is6() {
			return true
		}
	}
	return false
}

// count adds up for the profiles above who is well.
func (p *Profile) count(pl *plan, known []Known) {
	for i, e := range p.Endpoints {
		switch pl.states[i] {
		case Online, Unmonitored:
			pl.online = pl.online.plus(e.tally(known[e.ID]))
		case Checking:
			pl.checking = pl.checking.plus(e.tally(known[e.ID]))
		}
	}
}

// tally is one endpoint, and whether it counts as one with IPv4 and IPv6. A
// nested one and a host name that is answered with a CNAME may have either.
func (e *Endpoint) tally(k Known) tally {
	t := tally{all: 1}
	switch {
	case e.conf.Address.Is4():
		t.v4 = 1
	case e.conf.Address.Is6():
		t.v6 = 1
	case !e.flatten:
		t.v4, t.v6 = 1, 1
	default:
		if e.answers(A, k, nil) {
			t.v4 = 1
		}
		if e.answers(AAAA, k, nil) {
			t.v6 = 1
		}
	}
	return t
}

// subnets is where the ranges of each endpoint lead; nil if there are none.
func (s *slate) subnets() []target {
	p := s.profile
	if p.subnets == nil {
		return nil
	}
	targets := make([]target, len(p.Endpoints))
	for i, e := range p.Endpoints {
		switch {
		case !s.listed[i]:
		case s.served[i], p.conf.OnUnhealthy == config.UnhealthyServe && p.conf.Routing != config.RoutePerformance:
			targets[i].endpoint = e
		case p.conf.Routing != config.RouteSubnet:
		case p.conf.OnUnhealthy == config.UnhealthyNoData:
			targets[i].nothing = true
		default:
			targets[i].endpoint = s.instead(e)
		}
	}
	return targets
}

// instead is who takes the clients of a degraded endpoint of a subnet
// profile: the fallback if that is well.
func (s *slate) instead(e *Endpoint) *Endpoint {
	for _, f := range s.all {
		if len(f.conf.Subnets) == 0 && s.served[f.index] {
			return f
		}
	}
	return e
}

// Snapshot is a director under what is known of its endpoints at one moment.
// It does not change.
type Snapshot struct {
	director *Director
	known    []Known // by Endpoint.ID
	plans    []*plan // by Profile.index
}

// Snapshot is the director under what is known; known has an entry for each
// endpoint, by its ID, and must not be changed afterwards.
func (d *Director) Snapshot(known []Known) *Snapshot {
	s := &Snapshot{director: d, known: known, plans: make([]*plan, len(d.Profiles))}
	for _, p := range d.upwards {
		s.plans[p.index] = p.plan(known, s.plans)
	}
	return s
}

// With is the snapshot after something else is known of some endpoints, by
// their ID. It is the same one if nothing of it is new.
func (s *Snapshot) With(changes map[int]Known) *Snapshot {
	d := s.director
	next := &Snapshot{director: d, known: append([]Known(nil), s.known...), plans: append([]*plan(nil), s.plans...)}
	stale := map[*Profile]bool{}
	for id, k := range changes {
		if !k.equal(s.known[id]) {
			next.known[id] = k
			d.Endpoints[id].profile.mark(stale)
		}
	}
	if len(stale) == 0 {
		return s
	}
	for _, p := range d.upwards {
		if stale[p] {
			next.plans[p.index] = p.plan(next.known, next.plans)
		}
	}
	return next
}

// mark marks a profile and all above it.
func (p *Profile) mark(stale map[*Profile]bool) {
	if stale[p] {
		return
	}
	stale[p] = true
	for _, above := range p.parents {
		above.mark(stale)
	}
}

// Director is what the snapshot is of.
func (s *Snapshot) Director() *Director { return s.director }

// Known is what the snapshot knows of an endpoint.
func (s *Snapshot) Known(e *Endpoint) Known { return s.known[e.ID] }

// State is the state of an endpoint.
func (s *Snapshot) State(e *Endpoint) State { return s.plans[e.profile.index].states[e.index] }

// ProfileState is the state of a profile.
func (s *Snapshot) ProfileState(p *Profile) ProfileState { return s.plans[p.index].state }

// AllDegraded tells whether a profile is answered though nothing of it is
// well.
func (s *Snapshot) AllDegraded(p *Profile) bool {
	pl := s.plans[p.index]
	for _, st := range pl.states {
		if st.Served() {
			return false
		}
	}
	return pl.exists
}

// Untried tells whether an endpoint has no verdict yet.
func (k Known) Untried() bool { return k.Health == health.Untried }
