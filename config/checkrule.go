package config

import (
	"fmt"
	"net/netip"
	"slices"
)

func (c *lbChecker) checkRule(path string, r *L4Rule) {
	if c.failed(path) {
		return
	}
	frontend := c.refer(&c.frontends, path+".frontend", r.Frontend)
	c.checkRuleProbes(path, r)
	c.checkRulePorts(path, r)
	c.checkSNI(path, r)
	if r.BackendPool == "" && len(r.SNI) == 0 && !c.failed(path+".backendPool") && !c.failed(path+".sni") {
		c.errorf(path, "goes nowhere; add backendPool")
	}
	c.checkFlowSettings(path, r.Protocol, &r.L4FlowSettings)
	c.usePool(path, path+".backendPool", r, r.BackendPool)
	if frontend < 0 || r.Protocol == 0 || r.FrontendPort == 0 && r.Protocol != L4All {
		return
	}
	for _, a := range c.b.Frontends[frontend].Addresses {
		c.bindRule(path, r, a)
	}
}

// usePool looks a pool of the rule up and keeps in mind whether it is probed.
func (c *lbChecker) usePool(rule, path string, r *L4Rule, name string) {
	pool := c.refer(&c.pools, path, name)
	switch {
	case pool < 0:
	case len(r.Probes) > 0 || c.has(rule+".probe") || c.has(rule+".probes"):
		c.probed[pool] = true
	default:
		c.unprobed[pool] = true
	}
}

// bindRule adds what a rule binds on an address.
func (c *lbChecker) bindRule(path string, r *L4Rule, a netip.Addr) {
	b := binding{udp: r.Protocol == L4UDP, addr: a, first: r.FrontendPort, last: r.FrontendPort, ports: 1, path: path, what: "rule " + quote(r.Name)}
	switch {
	case !a.IsValid():
	case r.Protocol != L4All:
		c.bindings.add(b)
	case a.IsUnspecified():
		c.errorf(path+".frontend", "protocol: all takes every port of an address, and %s would be all of this machine; use a frontend with an address of its own", a)
	default:
		b.wide, b.first, b.last = true, 1, 65535
		c.bindings.add(b)
		b.udp = true
		c.bindings.add(b)
	}
}

// probePath is where the name of a probe of a rule stands.
func (c *lbChecker) probePath(path string, i int) string {
	if c.has(path + ".probes") {
		return fmt.Sprintf("%s.probes[%d]", path, i)
	}
	return path + ".probe"
}

// checkRuleProbes checks what the probes of a rule say together.
func (c *lbChecker) checkRuleProbes(path string, r *L4Rule) {
	if c.has(path+".probe") && c.has(path+".probes") {
		c.errorf(path, "has both probe and probes; keep one")
		return
	}
	first := -1
	for i, name := range r.Probes {
		at := c.probePath(path, i)
		k := c.refer(&c.probes, at, name)
		if k < 0 {
			continue
		}
		probe := fmt.Sprintf("probes[%d]", k)
		switch {
		case slices.Contains(r.Probes[:i], name):
			c.errorf(at, "%s is there twice; remove one", quote(name))
		case r.Protocol == L4All && c.b.Probes[k].Port == 0 && !c.failed(probe+".port"):
			c.errorf(at, "probe %s has no port, and a rule for every port does not tell it one; add port to the probe", quote(name))
		case c.failed(probe + ".noHealthyBackends"):
			continue // what it says is not known
		case first >= 0 && c.b.Probes[first].AllUp != c.b.Probes[k].AllUp:
			c.errorf(at, "probe %s and probe %s do not agree on noHealthyBackends; the probes of one rule must", quote(c.b.Probes[first].Name), quote(name))
		}
		if first < 0 {
			first = k
		}
	}
}

func (c *lbChecker) checkRulePorts(path string, r *L4Rule) {
	if c.failed(path+".protocol") || r.Protocol == 0 {
		return
	}
	for _, key := range []string{"frontendPort", "backendPort"} {
		if r.Protocol == L4All && c.has(path+"."+key) {
			c.errorf(path+"."+key, "protocol: all is every port, and members get the one that the client asked for; remove it")
		}
	}
	if r.Protocol != L4All && !c.has(path+".frontendPort") {
		c.errorf(path, "frontendPort is missing; add it, or set protocol: all for every port")
	}
}

func (c *lbChecker) checkSNI(path string, r *L4Rule) {
	if len(r.SNI) > 0 && r.Protocol != L4TCP && !c.failed(path+".protocol") {
		c.errorf(path+".sni", "only tcp connections begin with a server name; remove it, or set protocol: tcp")
	}
	seen := map[string]bool{}
	for i, route := range r.SNI {
		at := fmt.Sprintf("%s.sni[%d]", path, i)
		c.usePool(path, at+".backendPool", r, route.BackendPool)
		for j, host := range route.HostNames {
			if name := fmt.Sprintf("%s.hostNames[%d]", at, j); seen[host] && !c.failed(name) {
				c.errorf(name, "%s is there twice; remove one", quote(host))
			}
			seen[host] = true
		}
	}
}

// checkFlowSettings checks the keys that only one protocol has.
func (c *lbChecker) checkFlowSettings(path string, p L4Protocol, s *L4FlowSettings) {
	if p == 0 {
		return
	}
	if p == L4UDP {
		for _, key := range []string{"tcpReset", "connectTimeout", "proxyProtocol"} {
			if c.has(path+"."+key) && (key != "proxyProtocol" || s.ProxyProtocol != ProxyProtocolOff) {
				c.errorf(path+"."+key, "only tcp has it; remove it, or set protocol: tcp")
			}
		}
		return
	}
	if p == L4TCP && c.has(path+".responses") {
		c.errorf(path+".responses", "only udp has it; remove it, or set protocol: udp")
	}
	if s.Transparent && s.ProxyProtocol != ProxyProtocolOff {
		c.warnf(path+".proxyProtocol", "members see the client's address already, as the rule is transparent")
	}
}

func (c *lbChecker) checkNATRule(path string, r *InboundNATRule) {
	if c.failed(path) {
		return
	}
	one, several := path+".frontendPort", path+".frontendPorts"
	switch {
	case c.has(one) && c.has(several):
		c.errorf(path, "has both frontendPort and frontendPorts; keep one")
		return
	case !c.has(one) && !c.has(several):
		c.errorf(path, "has no port; add frontendPort, or frontendPorts for a range over the pool")
		return
	}
	frontend := c.refer(&c.frontends, path+".frontend", r.Frontend)
	pool := c.refer(&c.pools, path+".backendPool", r.BackendPool)
	c.checkFlowSettings(path, r.Protocol, &r.L4FlowSettings)
	if r.Ports.First == 0 {
		return // refused
	}
	sockets := 1
	if pool >= 0 {
		c.checkNATMembers(path, r, pool, c.has(several))
		c.checkNATPort(path, r, pool)
		sockets = min(r.Ports.Last-r.Ports.First+1, max(len(c.b.BackendPools[pool].Members), 1))
	}
	if frontend < 0 || r.Protocol == 0 {
		return
	}
	for _, a := range c.b.Frontends[frontend].Addresses {
		if a.IsValid() {
			c.bindings.add(binding{udp: r.Protocol == L4UDP, addr: a, first: r.Ports.First, last: r.Ports.Last, ports: sockets, path: path, what: "inbound NAT rule " + quote(r.Name)})
		}
	}
}

// checkNATPort warns of a backendPort that a member's own port replaces.
func (c *lbChecker) checkNATPort(path string, r *InboundNATRule, pool int) {
	if !c.has(path + ".backendPort") {
		return
	}
	for _, m := range c.b.BackendPools[pool].Members {
		if m.Port != 0 && m.Port != r.BackendPort && (r.Member == "" || r.Member == m.Name) {
			c.warnf(path+".backendPort", "%d changes nothing for member %s, which has port %d of its own; write it in another pool without a port", r.BackendPort, quote(m.Name), m.Port)
			return
		}
	}
}

// checkNATMembers checks that each member has a port, or the one that is
// meant is there.
func (c *lbChecker) checkNATMembers(path string, r *InboundNATRule, pool int, isRange bool) {
	p := &c.b.BackendPools[pool]
	if isRange {
		if n := r.Ports.Last - r.Ports.First + 1; n < len(p.Members) {
			c.errorf(path+".frontendPorts", "a range of %d is too small for the %d members of pool %s; widen it", n, len(p.Members), quote(p.Name))
		}
		if r.BackendPort == 0 && !c.failed(path+".backendPort") {
			c.errorf(path, "backendPort is missing; add the members' port")
		}
		if r.Member != "" {
			c.errorf(path+".member", "a range goes to every member; remove it, or write frontendPort")
		}
		return
	}
	names := make([]string, len(p.Members))
	for i, m := range p.Members {
		names[i] = m.Name
	}
	switch {
	case c.failed(path+".member") || c.failed(fmt.Sprintf("backendPools[%d].members", pool)) || slices.Contains(names, ""):
		// It is not known which members there are.
	case len(names) == 0:
		c.errorf(path+".backendPool", "pool %s has no member that this could go to; add one, or write frontendPorts", quote(p.Name))
	case r.Member == "" && len(names) > 1:
		c.errorf(path, "pool %s has %d members; say with member which one gets all, or write frontendPorts", quote(p.Name), len(names))
	case r.Member != "" && !slices.Contains(names, r.Member):
		c.errorf(path+".member", "pool %s has no member %s%s", quote(p.Name), quote(r.Member), c.suggest(r.Member, names))
	}
}
