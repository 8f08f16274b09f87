package l4

import (
	"fmt"
	"net/netip"
	"slices"

	"gatehouse/config"
	"gatehouse/proxy/l4/sni"
)

// Balancer is a configuration compiled.
type Balancer struct {
	Config *config.LoadBalancer
	Rules  []*Rule // load-balancing rules, then inbound NAT rules
	Doors  []*Door

	state   *State
	rosters map[string]*roster // by pool
	checks  map[checkKey]*Check
	byCheck map[checkKey][]*Route
	routes  []*Route
	doors   map[DoorKey]*Door
	byRule  map[*Rule][]*Route
	names   map[string]*Rule
	guards  map[string]guarded // by frontend
}

// guarded is a security group that is attached to a frontend.
type guarded struct {
	name  string
	flush bool
	Guard
}

// Guard decides who may connect: a security group.
type Guard interface {
	// Decide returns whether a flow is let in, and the name of the rule that
	// says so.
	Decide(t *Tuple) (allow bool, rule string)
	// Explain tells of each rule up to that one why it does not match.
	Explain(t *Tuple) []string
}

// Compile compiles a configuration, which package config has checked. old,
// if not nil, is the balancer in use, from which tables are taken that would
// be the same.
func Compile(conf *config.LoadBalancer, names Names, state *State, old *Balancer) (*Balancer, error) {
	b := &Balancer{Config: conf, state: state, rosters: map[string]*roster{}, checks: map[checkKey]*Check{},
		byCheck: map[checkKey][]*Route{}, doors: map[DoorKey]*Door{}, byRule: map[*Rule][]*Route{}, names: map[string]*Rule{}, guards: guardsOf(conf)}
	for i := range conf.BackendPools {
		if err := b.addPool(&conf.BackendPools[i], names, old); err != nil {
			return nil, err
		}
	}
	for i := range conf.Rules {
		if err := b.addRule(&conf.Rules[i]); err != nil {
			return nil, err
		}
	}
	for i := range conf.InboundNATRules {
		b.addNATRule(&conf.InboundNATRules[i])
	}
	b.Refresh()
	for _, r := range b.Rules {
		b.names[r.Name] = r
	}
	return b, nil
}

// maxMembers bounds a pool with all addresses of its host names.
const maxMembers = 20_000

func (b *Balancer) addPool(pool *config.L4Pool, names Names, old *Balancer) error {
	members := membersOf(pool, names, b.state)
	if len(members) > maxMembers {
		return fmt.Errorf("pool %q: its host names have %d addresses; at most %d are possible", pool.Name, len(members), maxMembers)
	}
	if old != nil && old.Config.HashSeed == b.Config.HashSeed {
		if ro := old.rosters[pool.Name]; ro != nil && sameTable(ro.members, members) {
			b.rosters[pool.Name] = &roster{pool: pool, members: members, table: ro.table}
			return nil
		}
	}
	b.rosters[pool.Name] = newRoster(pool, members, b.Config.HashSeed)
	return nil
}

// sameTable tells whether two lists of members share slots in the same way.
func sameTable(a, b []*Member) bool {
	return slices.EqualFunc(a, b, func(x, y *Member) bool { return x.Key() == y.Key() && x.Weight == y.Weight })
}

func (b *Balancer) addRule(conf *config.L4Rule) error {
	r := &Rule{Name: conf.Name, Frontend: conf.Frontend, Config: conf.L4FlowSettings, Limits: conf.Limits, SNI: conf.SNI,
		Life: b.state.rule(conf.Name), distribution: conf.Distribution, port: conf.BackendPort, seed: b.Config.HashSeed}
	if conf.BackendPool != "" {
		r.plain = b.route(r, b.rosters[conf.BackendPool], conf.Probes)
	}
	var err error
	if r.Names, err = namesOf(conf.SNI); err != nil {
		return fmt.Errorf("rule %q: %w", conf.Name, err)
	}
	for _, s := range conf.SNI {
		r.byName = append(r.byName, b.route(r, b.rosters[s.BackendPool], conf.Probes))
	}
	b.Rules = append(b.Rules, r)
	for _, a := range b.frontend(conf.Frontend).Addresses {
		at := netip.AddrPortFrom(a, uint16(conf.FrontendPort))
		if conf.Protocol != config.L4UDP {
			b.addDoor(&Door{Addr: at, Protocol: TCP, Rule: r})
		}
		if conf.Protocol != config.L4TCP {
			b.addDoor(&Door{Addr: at, Protocol: UDP, Rule: r})
		}
	}
	return nil
}

// namesOf is the table of the server names of a rule; nil: it has none.
func namesOf(routes []config.SNIRoute) (*sni.Table, error) {
	if len(routes) == 0 {
		return nil, nil
	}
	list := make([]sni.Route, len(routes))
	for i, r := range routes {
		list[i] = sni.Route{Patterns: r.HostNames, Index: i}
	}
	return sni.NewTable(list)
}

func (b *Balancer) addDoor(d *Door) {
	b.Doors = append(b.Doors, d)
	b.doors[d.Key()] = d
}

func (b *Balancer) frontend(name string) *config.L4Frontend {
	for i := range b.Config.Frontends {
		if b.Config.Frontends[i].Name == name {
			return &b.Config.Frontends[i]
		}
	}
	panic("l4: no frontend " + name) // package config checks that there is
}

// addNATRule adds a rule and a door for each port that has a member.
func (b *Balancer) addNATRule(conf *config.InboundNATRule) {
	r := &Rule{Name: conf.Name, Frontend: conf.Frontend, NAT: true, Config: conf.L4FlowSettings,
		Life: b.state.rule(conf.Name), port: conf.BackendPort, seed: b.Config.HashSeed}
	b.Rules = append(b.Rules, r)
	protocol := TCP
	if conf.Protocol == config.L4UDP {
		protocol = UDP
	}
	for _, m := range b.mapping(conf) {
		rt := b.route(r, newRoster(b.rosters[conf.BackendPool].pool, []*Member{m.member}, 0), nil)
		for _, a := range b.frontend(conf.Frontend).Addresses {
			b.addDoor(&Door{Addr: netip.AddrPortFrom(a, uint16(m.port)), Protocol: protocol, Rule: r, route: rt})
		}
	}
}

// mapped is a port of an inbound NAT rule and whose it is.
type mapped struct {
	port   int
	member *Member
}

// mapping gives each member of the pool, in the order of the configuration,
// one of the ports; adminState does not count, as in Azure. A host name has
// one port, which leads to the first of its addresses.
func (b *Balancer) mapping(conf *config.InboundNATRule) []mapped {
	ro := b.rosters[conf.BackendPool]
	var list []mapped
	for i := range ro.pool.Members {
		c := &ro.pool.Members[i]
		port := conf.Ports.First + i
		if conf.Ports.First == conf.Ports.Last {
			port = conf.Ports.First
			if conf.Member != "" && conf.Member != c.Name {
				continue
			}
		}
		if m := ro.first(c); m != nil {
			own := *m
			own.Admin = config.AdminNone
			list = append(list, mapped{port, &own})
		}
	}
	return list
}

// first is the first member that a line of the configuration made; nil: none.
func (r *roster) first(c *config.L4Member) *Member {
	for _, m := range r.members {
		if m.Name == c.Name || c.Host != "" && m.Name == c.Name+"("+m.Addr.String()+")" {
			return m
		}
	}
	return nil
}

// route makes the route of a rule to a pool whose members are asked by the
// probes of some names.
func (b *Balancer) route(r *Rule, ro *roster, probes []string) *Route {
	rt := &Route{Rule: r, Pool: ro.pool.Name, roster: ro}
	b.routes = append(b.routes, rt)
	b.byRule[r] = append(b.byRule[r], rt)
	if len(probes) == 0 {
		return rt
	}
	rt.checks = make([][]*Check, len(ro.members))
	for _, name := range probes {
		p := b.probe(name)
		rt.allUp = p.AllUp
		for i, m := range ro.members {
			c := b.check(p, m, r.port)
			rt.checks[i] = append(rt.checks[i], c)
			k := checkKey{p.Name, c.Target}
			b.byCheck[k] = append(b.byCheck[k], rt)
		}
	}
	return rt
}

func (b *Balancer) probe(name string) *config.L4Probe {
	for i := range b.Config.Probes {
		if b.Config.Probes[i].Name == name {
			return &b.Config.Probes[i]
		}
	}
	panic("l4: no probe " + name) // package config checks that there is
}

// check is the check of a member for a rule that sends to a port.
func (b *Balancer) check(p *config.L4Probe, m *Member, port int) *Check {
	target := m.Target(port)
	if p.Port != 0 {
		target = netip.AddrPortFrom(m.Addr, uint16(p.Port))
	}
	k := checkKey{p.Name, target}
	c := b.checks[k]
	if c == nil {
		c = &Check{Probe: p, Target: target, Host: m.Name, Verdict: b.state.verdict(k)}
		b.checks[k] = c
	}
	return c
}

// Checks are what has to be asked.
func (b *Balancer) Checks() []*Check {
	list := make([]*Check, 0, len(b.checks))
	for _, c := range b.checks {
		list = append(list, c)
	}
	return list
}

// Learn takes what a check found. Calls for one balancer must not overlap.
func (b *Balancer) Learn(c *Check, h Health) {
	if Health(c.v.Swap(uint32(h))) == h {
		return
	}
	for _, rt := range b.byCheck[checkKey{c.Probe.Name, c.Target}] {
		rt.refresh()
	}
}

// Refresh looks at every member again, for who compiled the balancer a while
// before it is put to work: verdicts and what is drained are those of all
// balancers, and may have changed since.
func (b *Balancer) Refresh() {
	for _, rt := range b.routes {
		rt.refresh()
	}
}

// Door is that of an address; where it has none of its own, that of every
// port of its address, to which flows are led before the kernel looks for
// sockets, or else that of every address. nil: none.
func (b *Balancer) Door(addr netip.AddrPort, p Protocol) *Door {
	a, port := addr.Addr(), addr.Port()
	list := []netip.AddrPort{addr, netip.AddrPortFrom(a, 0)}
	if a.Is4() {
		list = append(list, netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	}
	for _, at := range append(list, netip.AddrPortFrom(netip.IPv6Unspecified(), port)) {
		if d := b.doors[DoorKey{at, p}]; d != nil {
			return d
		}
	}
	return nil
}

// Drain lets no new flow go to the members of a name, or an address, in a
// pool, or in all if pool is empty. It returns how many members there are of
// that name. Calls must not overlap with Learn.
func (b *Balancer) Drain(pool, member string) int { return b.setDrained(pool, member, true) }

// Undrain is the opposite of Drain.
func (b *Balancer) Undrain(pool, member string) int { return b.setDrained(pool, member, false) }

func (b *Balancer) setDrained(pool, member string, drained bool) (n int) {
	for _, ro := range b.rosters {
		if pool != "" && ro.pool.Name != pool {
			continue
		}
		for _, m := range ro.members {
			if m.Name == member || m.Addr.String() == member || m.Key() == member {
				m.Life.drained.Store(drained)
				n++
			}
		}
	}
	b.Refresh()
	return n
}

// Has tells whether a member is still in its pool.
func (b *Balancer) Has(m *Member) bool {
	ro := b.rosters[m.Pool]
	return ro != nil && slices.ContainsFunc(ro.members, func(x *Member) bool { return x.Key() == m.Key() })
}

// Pool is the configuration of a pool; nil: there is none of the name.
func (b *Balancer) Pool(name string) *config.L4Pool {
	if ro := b.rosters[name]; ro != nil {
		return ro.pool
	}
	return nil
}

// Guard is the security group of a frontend and its name; nil: everybody may
// connect.
func (b *Balancer) Guard(frontend string) (group string, guard Guard) {
	g := b.guards[frontend]
	return g.name, g.Guard
}

// Flushes is the security group of a frontend if it is to end flows that it no
// longer lets in; nil: no flow ends for that.
func (b *Balancer) Flushes(frontend string) Guard {
	if g := b.guards[frontend]; g.flush {
		return g.Guard
	}
	return nil
}

// RoutesOf are all routes of a rule, those of the ports of an inbound NAT rule
// too.
func (b *Balancer) RoutesOf(r *Rule) []*Route { return b.byRule[r] }

// HasRule tells whether there is a rule of a name.
func (b *Balancer) HasRule(name string) bool { return b.names[name] != nil }

// Admit lets a new flow in, or says why it does not. What is let in is either
// added to Flows and later removed, or Refused. now is in nanoseconds of a
// clock that does not go back.
func (b *Balancer) Admit(d *Door, t *Tuple, now int64) Refusal {
	why := b.admit(d, t, now)
	if why != NotRefused {
		b.told(d, t, why)
	}
	return why
}

func (b *Balancer) admit(d *Door, t *Tuple, now int64) Refusal {
	if g := b.guards[d.Rule.Frontend].Guard; g != nil {
		if allow, _ := g.Decide(t); !allow {
			return RefusedSecurity
		}
	}
	return b.admitWithin(&d.Rule.Limits, d, t, now)
}

// admitWithin counts a flow in, within the limits of the process and those
// given for its rule. It counts from here on, also while it is being connected:
// a member that hangs does not make room for more.
func (b *Balancer) admitWithin(bounds *config.L4RuleLimits, d *Door, t *Tuple, now int64) Refusal {
	limits := &b.Config.Limits
	most := limits.TCPFlows
	if t.Protocol == UDP {
		most = limits.UDPFlows
	}
	inside := b.state.Flows.admitted(t.Protocol)
	if inside.Add(1) > int64(most) {
		inside.Add(-1)
		return RefusedFlows
	}
	why := NotRefused
	if t.Protocol == UDP {
		why = b.state.Flows.clients.enter(&config.L4RuleLimits{FlowsPerClient: limits.UDPFlowsPerClient}, t.Client.Addr(), now, nil)
	}
	if why == NotRefused {
		if why = d.Rule.Life.enter(bounds, t.Client.Addr(), now); why != NotRefused && t.Protocol == UDP {
			b.state.Flows.clients.leave(t.Client.Addr())
		}
	}
	if why != NotRefused {
		inside.Add(-1)
	}
	return why
}

// Refuse ends a flow that was let in and did not get to a member.
func (b *Balancer) Refuse(d *Door, t *Tuple, why Refusal) {
	b.state.Flows.leave(d.Rule.Life, t)
	b.told(d, t, why)
}

// told counts and logs a refusal.
func (b *Balancer) told(d *Door, t *Tuple, why Refusal) {
	d.Rule.Life.Refused[why].Add(1)
	if log := b.state.Flows.Log; log != nil {
		log.Refuse(*t, d.Rule, why)
	}
}
