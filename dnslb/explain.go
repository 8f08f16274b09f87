package dnslb

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"gatehouse/config"
	"gatehouse/dnslb/latency"
)

// Explanation says how an answer comes about.
type Explanation struct {
	// Client is the address that was located, Within the prefix in which
	// every client has the same endpoints to choose from.
	Client netip.Addr   `json:"client"`
	Within netip.Prefix `json:"within"`
	Steps  []Step       `json:"steps"`
	// Answer are the endpoints chosen, by their keys; where chance decides,
	// one of the possible answers.
	Answer   []string `json:"answer"`
	NXDomain bool     `json:"nxdomain,omitempty"`
	TTL      uint32   `json:"ttl"`
}

// Step is what one profile on the way did.
type Step struct {
	Profile   string        `json:"profile"`
	State     string        `json:"state"`
	Routing   string        `json:"routing"`
	Place     string        `json:"place,omitempty"`
	Note      string        `json:"note,omitempty"`
	Endpoints []Explanatory `json:"endpoints"`
}

// Explanatory is an endpoint and why it was chosen or not.
type Explanatory struct {
	Name   string `json:"name"`
	Target string `json:"target"`
	State  string `json:"state"`
	Chosen bool   `json:"chosen"`
	Why    string `json:"why"`
}

// Explain answers as Answer does and says why.
func (s *Snapshot) Explain(p *Profile, f Family, c *Client, r *rand.Rand) *Explanation {
	x := &Explanation{Client: c.Addr, Answer: []string{}}
	if c.Addr.IsValid() {
		x.Within = netip.PrefixFrom(c.Addr, c.Bits).Masked()
	}
	var a Answer
	s.Answer(p, f, c, r, &a)
	x.NXDomain, x.TTL = a.NXDomain, a.TTL
	for i, q := range a.Way {
		chosen := a.Endpoints
		if i+1 < len(a.Way) {
			chosen = a.Via[i : i+1]
		}
		x.Steps = append(x.Steps, s.step(q, f, c, chosen))
	}
	for _, e := range a.Endpoints {
		x.Answer = append(x.Answer, e.Key)
	}
	return x
}

// step explains one profile.
func (s *Snapshot) step(p *Profile, f Family, c *Client, chosen []*Endpoint) Step {
	st := Step{Profile: p.Name, State: s.ProfileState(p).String(), Routing: p.conf.Routing.String(), Place: p.whereabouts(c)}
	if s.AllDegraded(p) {
		st.Note = "no endpoint is well: those that are degraded are answered as if they were"
	}
	pl := s.plans[p.index]
	for _, e := range p.Endpoints {
		x := Explanatory{Name: e.Name, Target: e.Target(), State: pl.states[e.index].String()}
		for _, y := range chosen {
			x.Chosen = x.Chosen || y == e
		}
		x.Why = s.why(pl, e, f, c, x.Chosen)
		st.Endpoints = append(st.Endpoints, x)
	}
	return st
}

// whereabouts is what a profile takes a client's place to be.
func (p *Profile) whereabouts(c *Client) string {
	switch {
	case p.places != nil:
		place := p.director.places.Places()[c.place]
		name := place.Country
		if place.Subdivision != "" {
			name += "-" + place.Subdivision
		}
		if name == "" {
			name = "nowhere known"
		}
		codes := p.places.codes[p.places.of[c.place]]
		if len(codes) == 0 {
			return name + "; mapped to no endpoint"
		}
		return name + "; mapped: " + strings.Join(codes, ", ")
	case p.rows != nil:
		return p.distances(c)
	}
	return ""
}

// distances are the round-trip times to the regions of a profile.
func (p *Profile) distances(c *Client) string {
	var parts []string
	for _, group := range p.rows.order[p.rows.of[c.row]] {
		for _, r := range group {
			parts = append(parts, latencyText(p.director.latencies, c.row, r))
		}
	}
	source := ""
	if t, ok := p.director.latencies.(interface{ Source(row int) string }); ok {
		source = t.Source(c.row) + ": "
	}
	return source + strings.Join(parts, ", ")
}

func latencyText(l Latencies, row int, r latency.Region) string {
	if t, ok := l.(interface {
		RTT(row int, r latency.Region) float32
	}); ok {
		return fmt.Sprintf("%v %.0f ms", r, t.RTT(row, r))
	}
	return fmt.Sprint(r)
}

// why says what decided about an endpoint.
func (s *Snapshot) why(pl *plan, e *Endpoint, f Family, c *Client, chosen bool) string {
	p, state := e.profile, pl.states[e.index]
	switch {
	case !state.enabled():
		return "is " + strings.ToLower(state.String())
	case !p.conf.LateMatch && !e.answers(f, s.known[e.ID], s.plans):
		return "has nothing of the type that is asked for"
	case chosen && p.bySubnet(e, c):
		return "the client is in its subnets"
	case chosen:
		return reasons[p.conf.Routing].chosen
	case state == Degraded && pl.choices[f].good:
		return "is degraded, and others are well"
	}
	if p.rows != nil && !p.inRange(c) && slices.Contains(pl.choices[f].byClass[p.rows.of[c.row]], e) {
		return "is as near; another was drawn"
	}
	return reasons[p.conf.Routing].not
}

// bySubnet tells whether a client is in the ranges of an endpoint.
func (p *Profile) bySubnet(e *Endpoint, c *Client) bool {
	return p.subnets != nil && c.Addr.IsValid() && p.subnets.find(c.Addr) == e.index
}

// reasons are why a method chooses a candidate, and why it does not.
var reasons = map[config.RoutingMethod]struct{ chosen, not string }{
	config.RoutePriority:    {"has the smallest priority of the candidates", "another candidate has a smaller priority"},
	config.RouteWeighted:    {"was drawn by its weight", "another was drawn; its chance is its weight"},
	config.RoutePerformance: {"is in the nearest region that has a candidate", "another region is nearer"},
	config.RouteGeographic:  {"owns the smallest region of the client that can be served", "does not own the client's region, or another owns a smaller one"},
	config.RouteMultiValue:  {"is a candidate", "more candidates than maxReturn; others were drawn"},
	config.RouteSubnet:      {"takes the clients that no subnet has, or stands in for one that is degraded", "the client is not in its subnets"},
}
