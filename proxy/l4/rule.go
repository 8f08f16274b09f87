package l4

import (
	"net/netip"
	"sync/atomic"

	"gatehouse/config"
	"gatehouse/proxy/l4/sni"
)

// Rule is a load-balancing or an inbound NAT rule, compiled. It does not
// change but for the health that its routes see.
type Rule struct {
	Name     string
	Frontend string
	NAT      bool // an inbound NAT rule
	Config   config.L4FlowSettings
	Limits   config.L4RuleLimits
	SNI      []config.SNIRoute
	Names    *sni.Table // of SNI, to its indexes; nil: there are none
	Life     *RuleLife

	distribution config.Distribution
	port         int // of members; 0: the one that the client asked for
	seed         uint64
	plain        *Route   // nil: only those by server name
	byName       []*Route // by index of SNI
}

// Route is a pool as one rule uses it.
type Route struct {
	Rule   *Rule
	Pool   string
	roster *roster
	checks [][]*Check // by member; nil: none is asked
	allUp  bool
	view   atomic.Pointer[view]
}

// Route is where flows go that have no server name, or one that is no one's;
// nil: nowhere.
func (r *Rule) Route() *Route { return r.plain }

// RouteFor is where flows go for the route of an index of SNI.
func (r *Rule) RouteFor(i int) *Route { return r.byName[i] }

// Routes are all of the rule.
func (r *Rule) Routes() []*Route {
	if r.plain == nil {
		return r.byName
	}
	return append([]*Route{r.plain}, r.byName...)
}

// refresh looks at the health of the members again.
func (rt *Route) refresh() { rt.view.Store(see(rt.roster, rt.checks, rt.allUp)) }

// Pick begins to choose a member for a flow.
func (rt *Route) Pick(t *Tuple) Pick {
	return Pick{view: rt.view.Load(), hash: t.hash(rt.Rule.distribution, rt.Rule.seed)}
}

// Target is where a member is connected to for a flow.
func (rt *Route) Target(m *Member, t *Tuple) netip.AddrPort {
	port := rt.Rule.port
	if port == 0 {
		port = int(t.Frontend.Port())
	}
	return m.Target(port)
}

// Serves tells whether a member still gets flows of the route: what a UDP
// flow asks before each datagram, and cheaply while nothing changes. seen is
// the flow's own, and zero at first.
func (rt *Route) Serves(m *Member, seen *Seen) bool {
	v := rt.view.Load()
	if v == seen.view {
		return seen.ok
	}
	i := v.index(m)
	seen.view, seen.ok = v, i >= 0 && v.eligible[i]
	return seen.ok
}

// Seen is what a flow knew of its member last.
type Seen struct {
	view *view
	ok   bool
}

// MemberStatus is what is known of a member under a rule.
type MemberStatus struct {
	*Member
	State    MemberState
	Eligible bool // gets new flows; also when nobody is well and the probe says allUp
	Checks   []*Check
	Target   netip.AddrPort // port 0: the one that the client asks for
}

// Status is that of each member.
func (rt *Route) Status() []MemberStatus {
	v := rt.view.Load()
	list := make([]MemberStatus, len(v.members))
	for i, m := range v.members {
		list[i] = MemberStatus{Member: m, State: v.states[i], Eligible: v.eligible[i], Target: m.Target(rt.Rule.port)}
		if rt.checks != nil {
			list[i].Checks = rt.checks[i]
		}
	}
	return list
}

// Up is how many members get new flows, of how many.
func (rt *Route) Up() (up, all int) {
	v := rt.view.Load()
	return v.count, len(v.members)
}

// Door is what one socket of a plane serves.
type Door struct {
	Addr     netip.AddrPort // port 0: every port that has no door of its own
	Protocol Protocol
	Rule     *Rule
	route    *Route // of an inbound NAT rule: the one member
}

// Key tells the door from others; it lasts while the address does.
func (d *Door) Key() DoorKey { return DoorKey{d.Addr, d.Protocol} }

// DoorKey is a door's identity.
type DoorKey struct {
	Addr     netip.AddrPort
	Protocol Protocol
}

// Route is where flows go that have no server name; nil: nowhere.
func (d *Door) Route() *Route {
	if d.route != nil {
		return d.route
	}
	return d.Rule.plain
}
