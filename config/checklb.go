package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// finishLoadBalancer fills in the defaults that depend on another key.
func finishLoadBalancer(b *LoadBalancer) {
	for i := range b.BackendPools {
		for j := range b.BackendPools[i].Members {
			m := &b.BackendPools[i].Members[j]
			if m.Name == "" {
				m.Name = m.String()
			}
		}
	}
	for i := range b.Probes {
		finishL4Probe(&b.Probes[i])
	}
	for i := range b.Rules {
		if r := &b.Rules[i]; r.BackendPort == 0 {
			r.BackendPort = r.FrontendPort
		}
	}
	for i := range b.InboundNATRules {
		if r := &b.InboundNATRules[i]; r.BackendPort == 0 && r.Ports.First == r.Ports.Last {
			r.BackendPort = r.Ports.First
		}
	}
}

func finishL4Probe(p *L4Probe) {
	const most = 30 * time.Second // as Azure
	if p.Timeout == 0 {
		p.Timeout = min(p.Interval, most)
	}
	if p.Protocol == L4ProbeTCP {
		p.Path = ""
	}
}

// String is the member's address as the configuration writes it.
func (m *L4Member) String() string {
	host := m.Host
	if m.Address.IsValid() {
		host = m.Address.String()
	}
	switch {
	case host == "" || m.Port == 0:
		return host
	case m.Address.Is6():
		return "[" + host + "]:" + strconv.Itoa(m.Port)
	}
	return host + ":" + strconv.Itoa(m.Port)
}

// lbChecker is one pass over a whole load balancer: what no single key can
// tell. Values that were already refused are zero here and draw no second
// error.
type lbChecker struct {
	*report
	b *LoadBalancer

	frontends, pools, probes, groups index
	bindings                         bindings

	// probed and unprobed are the pools of rules with probes and without.
	probed, unprobed map[int]bool
}

// checkLoadBalancer reports what is wrong and what is suspicious between
// keys.
func checkLoadBalancer(b *LoadBalancer, r *report) {
	c := &lbChecker{report: r, b: b, probed: map[int]bool{}, unprobed: map[int]bool{}}
	c.frontends = c.newIndex("frontend", "frontends", len(b.Frontends), func(i int) string { return b.Frontends[i].Name })
	c.pools = c.newIndex("backend pool", "backendPools", len(b.BackendPools), func(i int) string { return b.BackendPools[i].Name })
	c.probes = c.newIndex("probe", "probes", len(b.Probes), func(i int) string { return b.Probes[i].Name })
	c.groups = c.newIndex("address group", "addressGroups", len(b.AddressGroups), func(i int) string { return b.AddressGroups[i].Name })
	c.bindings = bindings{report: r}
	c.checkRuleNames()
	c.checkFrontends()
	c.checkPools()
	c.checkProbes()
	c.bindOperator()
	for i := range b.Rules {
		c.checkRule(fmt.Sprintf("rules[%d]", i), &b.Rules[i])
	}
	for i := range b.InboundNATRules {
		c.checkNATRule(fmt.Sprintf("inboundNatRules[%d]", i), &b.InboundNATRules[i])
	}
	c.bindings.check()
	c.checkForcedUp()
	c.checkSecurityGroups()
	c.checkUse()
	if c.report.errors() == nil {
		c.checkCircles()
	}
}

// checkRuleNames keeps names apart that logs and metrics do not tell apart.
func (c *lbChecker) checkRuleNames() {
	rules := c.newIndex("rule", "rules", len(c.b.Rules), func(i int) string { return c.b.Rules[i].Name })
	c.newIndex("inbound NAT rule", "inboundNatRules", len(c.b.InboundNATRules), func(i int) string { return c.b.InboundNATRules[i].Name })
	for i, r := range c.b.InboundNATRules {
		if _, taken := rules.at[r.Name]; taken {
			c.errorf(fmt.Sprintf("inboundNatRules[%d].name", i), "the name %s is that of a rule; choose another", quote(r.Name))
		}
	}
}

// maxFrontendAddresses bounds what is compared with each other.
const maxFrontendAddresses = 4096

func (c *lbChecker) checkFrontends() {
	total := 0
	for i, f := range c.b.Frontends {
		path := fmt.Sprintf("frontends[%d]", i)
		one, several := c.has(path+".address"), c.has(path+".addresses")
		switch {
		case c.failed(path) || c.failed(path+".address") || c.failed(path+".addresses"):
		case one && several:
			c.errorf(path, "has both address and addresses; keep one")
		case len(f.Addresses) == 0:
			c.errorf(path, "has no address; add address, one of this machine's")
		case several:
			c.checkAddresses(path+".addresses", f.Addresses)
		}
		total += len(f.Addresses)
	}
	if total > maxFrontendAddresses {
		c.errorf("frontends", "have %d addresses; at most %d are possible", total, maxFrontendAddresses)
	}
}

// checkAddresses refuses what one address of the list covers of another: a
// rule would need its port twice.
func (c *lbChecker) checkAddresses(path string, list []netip.Addr) {
	for j, a := range list {
		at := fmt.Sprintf("%s[%d]", path, j)
		for _, b := range list {
			if a.IsValid() && b.IsUnspecified() && a != b && overlap(a, b) && !(a.Is6() && a.IsUnspecified()) {
				c.errorf(at, "%s is among those of %s; remove one of them", a, b)
				break
			}
		}
		if a.IsValid() && slices.Contains(list[:j], a) {
			c.errorf(at, "%s is there twice; remove one", a)
		}
	}
}

func (c *lbChecker) checkPools() {
	for i := range c.b.BackendPools {
		p, path := &c.b.BackendPools[i], fmt.Sprintf("backendPools[%d]", i)
		c.checkMembers(path+".members", p.Members)
		if len(p.Members) == 0 && !c.failed(path) && !c.failed(path+".members") {
			c.warnf(path, "pool %s has no members: what comes to it is refused", quote(p.Name))
		}
	}
}

// checkMembers refuses members that are there twice, by address or by name.
func (c *lbChecker) checkMembers(path string, list []L4Member) {
	twice := make([]bool, len(list))
	seen := map[string]bool{}
	for j := range list {
		text := list[j].String()
		if twice[j] = text != "" && seen[text]; twice[j] {
			c.errorf(fmt.Sprintf("%s[%d]", path, j), "%s is there twice; remove one, or give it more weight", text)
		}
		seen[text] = true
	}
	c.newIndex("member", path, len(list), func(j int) string {
		if twice[j] {
			return "" // one error is enough
		}
		return list[j].Name
	})
}

func (c *lbChecker) checkProbes() {
	for i := range c.b.Probes {
		p, path := &c.b.Probes[i], fmt.Sprintf("probes[%d]", i)
		if p.Timeout > p.Interval && !c.failed(path+".timeout") && !c.failed(path+".interval") {
			c.errorf(path+".timeout", "the timeout, %s, is longer than the interval, %s; a probe must end before the next", short(p.Timeout), short(p.Interval))
		}
		if p.Protocol != L4ProbeTCP {
			for _, h := range p.Headers {
				if strings.EqualFold(h.Name, "host") {
					c.errorf(path+".headers."+h.Name, "has a key of its own; write host beside headers")
				}
			}
			continue
		}
		for _, key := range []string{"path", "host", "headers", "expectedStatus"} {
			if c.has(path + "." + key) {
				c.errorf(path+"."+key, "a tcp probe only connects; remove it, or set protocol: http")
			}
		}
	}
}

// checkUse warns of what nothing refers to, in the order of the file.
func (c *lbChecker) checkUse() {
	unused := func(x *index, but func(name string) bool) {
		for _, name := range x.names {
			if i := x.at[name]; !x.used[i] && !but(name) {
				c.warnf(fmt.Sprintf("%s[%d]", x.path, i), "%s %s is not used", x.kind, quote(name))
			}
		}
	}
	none := func(string) bool { return false }
	unused(&c.frontends, none)
	unused(&c.pools, none)
	unused(&c.probes, none)
	unused(&c.groups, builtinGroup)
	if len(c.b.Rules) == 0 && len(c.b.InboundNATRules) == 0 && !c.failed("rules") && !c.failed("inboundNatRules") {
		c.warnf("", "there are no rules: nothing is balanced")
	}
}

// checkForcedUp warns of a state that changes nothing.
func (c *lbChecker) checkForcedUp() {
	for i := range c.b.BackendPools {
		if !c.unprobed[i] || c.probed[i] {
			continue
		}
		for j, m := range c.b.BackendPools[i].Members {
			if m.State == AdminUp {
				c.warnf(fmt.Sprintf("backendPools[%d].members[%d].adminState", i, j), "up changes nothing: no rule of this pool has a probe that could say otherwise")
			}
		}
	}
}

// bindOperator adds the sockets of the operator.
func (c *lbChecker) bindOperator() {
	for _, o := range []struct{ path, address string }{{"admin.address", c.b.Admin.Address}, {"metrics.address", c.b.Metrics.Address}} {
		if a, err := netip.ParseAddrPort(o.address); err == nil && a.Port() != 0 {
			c.bindings.add(binding{addr: a.Addr(), first: int(a.Port()), last: int(a.Port()), ports: 1, path: o.path, what: o.path})
		}
	}
}
