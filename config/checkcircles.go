package config

import (
	"fmt"
	"net/netip"
	"slices"
)

// circles finds rules whose members are the balancer itself: a connection to
// one would make the next, until there is no descriptor left. That a rule
// leads to another one is all right as long as none leads back.
type circles struct {
	*report
	b     *LoadBalancer
	doors map[spot]int // whose they are: indexes of hops
	hops  []hop
	state []uint8 // by index of hops: 0, not looked at; walking; walked
}

const (
	walking uint8 = 1 + iota
	walked
)

// spot is a port of an address; port 0: every port.
type spot struct {
	protocol L4Protocol // not L4All
	addr     netip.Addr
	port     int
}

// hop is a rule, and where it leads to.
type hop struct {
	path string
	to   []spot
}

// checkCircles is for a load balancer without errors.
func (c *lbChecker) checkCircles() {
	cs := circles{report: c.report, b: c.b, doors: map[spot]int{}}
	own := map[netip.Addr]bool{}
	for _, f := range c.b.Frontends {
		for _, a := range f.Addresses {
			own[a] = true
		}
	}
	mine := make([][]L4Member, len(c.b.BackendPools)) // those that may be the balancer
	for i, p := range c.b.BackendPools {
		for _, m := range p.Members {
			if own[m.Address] || m.Address.IsLoopback() {
				mine[i] = append(mine[i], m)
			}
		}
	}
	for i := range c.b.Rules {
		r := &c.b.Rules[i]
		var members []L4Member
		if r.BackendPool != "" {
			members = slices.Clone(mine[c.pools.at[r.BackendPool]])
		}
		for _, s := range r.SNI {
			members = append(members, mine[c.pools.at[s.BackendPool]]...)
		}
		cs.add(fmt.Sprintf("rules[%d]", i), protocolsOf(r.Protocol), c.addresses(r.Frontend), []int{r.FrontendPort}, members, r.BackendPort)
	}
	for i := range c.b.InboundNATRules {
		r := &c.b.InboundNATRules[i]
		pool := c.pools.at[r.BackendPool]
		members := slices.DeleteFunc(slices.Clone(mine[pool]), func(m L4Member) bool { return r.Member != "" && m.Name != r.Member })
		var ports []int
		for p := r.Ports.First; p <= r.Ports.Last && p-r.Ports.First < len(c.b.BackendPools[pool].Members); p++ {
			ports = append(ports, p)
		}
		cs.add(fmt.Sprintf("inboundNatRules[%d]", i), protocolsOf(r.Protocol), c.addresses(r.Frontend), ports, members, r.BackendPort)
	}
	cs.state = make([]uint8, len(cs.hops))
	for i := range cs.hops {
		cs.walk(i)
	}
}

func (c *lbChecker) addresses(frontend string) []netip.Addr {
	return c.b.Frontends[c.frontends.at[frontend]].Addresses
}

func protocolsOf(p L4Protocol) []L4Protocol {
	if p == L4All {
		return []L4Protocol{L4TCP, L4UDP}
	}
	return []L4Protocol{p}
}

// add adds a rule. Members that have no port of their own get backendPort.
func (cs *circles) add(path string, protocols []L4Protocol, addresses []netip.Addr, ports []int, members []L4Member, backendPort int) {
	h := hop{path: path}
	for _, protocol := range protocols {
		for _, m := range members {
			port := backendPort
			if m.Port != 0 {
				port = m.Port
			}
			h.to = append(h.to, spot{protocol, m.Address, port})
		}
		for _, a := range addresses {
			for _, p := range ports {
				cs.doors[spot{protocol, a, p}] = len(cs.hops)
			}
		}
	}
	cs.hops = append(cs.hops, h)
}

// door is whose a spot is; false: it is not the balancer's.
func (cs *circles) door(s spot) (int, bool) {
	all := []netip.Addr{s.addr}
	if s.addr.IsLoopback() {
		all = append(all, netip.IPv6Unspecified())
		if s.addr.Is4() {
			all = append(all, netip.IPv4Unspecified())
		}
	}
	for _, a := range all {
		for _, port := range []int{s.port, 0} {
			if i, ok := cs.doors[spot{s.protocol, a, port}]; ok {
				return i, true
			}
		}
	}
	return 0, false
}

// walk follows where a rule leads, each rule once.
func (cs *circles) walk(i int) {
	if cs.state[i] != 0 {
		return
	}
	cs.state[i] = walking
	for _, to := range cs.hops[i].to {
		next, ok := cs.door(to)
		if !ok {
			continue
		}
		if cs.state[next] == walking {
			member := to.addr.String()
			if to.port != 0 {
				member = netip.AddrPortFrom(to.addr, uint16(to.port)).String()
			}
			cs.errorf(cs.hops[i].path, "member %s is this balancer, which would connect to itself for ever; name another address or port", member)
			break
		}
		cs.walk(next)
	}
	cs.state[i] = walked
}
