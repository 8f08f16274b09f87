package config

import (
	"fmt"
	"slices"
)

// The address groups that are always there.
const (
	// GroupVirtualNetwork is what is near: private addresses, unless a group
	// of that name says otherwise.
	GroupVirtualNetwork = "VirtualNetwork"
	// GroupInternet is all the rest.
	GroupInternet = "Internet"
	// GroupAzureLoadBalancer is where probes come from in Azure; here they
	// leave from this machine, and it is empty unless it is defined.
	GroupAzureLoadBalancer = "AzureLoadBalancer"
)

func builtinGroup(name string) bool {
	return name == GroupVirtualNetwork || name == GroupInternet || name == GroupAzureLoadBalancer
}

func (c *lbChecker) checkSecurityGroups() {
	groups := c.b.SecurityGroups
	c.newIndex("security group", "securityGroups", len(groups), func(i int) string { return groups[i].Name })
	guarded := map[string]string{}
	for i := range groups {
		g, path := &groups[i], fmt.Sprintf("securityGroups[%d]", i)
		for j, name := range g.Attach {
			at := fmt.Sprintf("%s.attach[%d]", path, j)
			if c.refer(&c.frontends, at, name) < 0 {
				continue
			}
			if other, ok := guarded[name]; ok {
				c.errorf(at, "frontend %s has security group %s already; one guards a frontend", quote(name), quote(other))
			}
			guarded[name] = g.Name
		}
		if len(g.Attach) == 0 && !c.failed(path) && !c.failed(path+".attach") {
			c.warnf(path, "security group %s is attached to no frontend", quote(g.Name))
		}
		c.checkSecurityRules(path, g)
	}
	for i, g := range c.b.AddressGroups {
		at := fmt.Sprintf("addressGroups[%d].name", i)
		switch {
		case c.failed(at) || g.Name == "":
		case g.Name == GroupInternet:
			c.errorf(at, "Internet is what VirtualNetwork is not; define VirtualNetwork instead")
		case looksLikeAddress(g.Name):
			c.errorf(at, "%s reads as an address in a security rule; use a name with a letter in it", quote(g.Name))
		}
	}
}

func (c *lbChecker) checkSecurityRules(path string, g *SecurityGroup) {
	c.newIndex("security rule", path+".rules", len(g.Rules), func(i int) string { return g.Rules[i].Name })
	priorities := map[int]string{}
	for i := range g.Rules {
		r, at := &g.Rules[i], fmt.Sprintf("%s.rules[%d]", path, i)
		if other, ok := priorities[r.Priority]; ok && r.Priority != 0 {
			c.errorf(at+".priority", "rule %s has priority %d already; each rule of a group needs one of its own", quote(other), r.Priority)
		}
		priorities[r.Priority] = r.Name
		c.checkAddressMatch(at+".source", &r.Source)
		c.checkAddressMatch(at+".destination", &r.Destination)
	}
}

func (c *lbChecker) checkAddressMatch(path string, m *AddressMatch) {
	for _, name := range m.Groups {
		i, ok := c.groups.at[name]
		switch {
		case ok:
			c.groups.used[i] = true
		case !builtinGroup(name) && !c.failed("addressGroups") && !c.full():
			c.errorf(path, "there is no address group %s%s", quote(name), c.suggest(name, c.groupNames()))
		}
	}
	if m.Any && len(m.Prefixes)+len(m.Groups) > 0 {
		c.warnf(path, "* is everybody; the rest of the list has no effect")
	}
}

// groupNames are the address groups that a rule can name.
func (c *lbChecker) groupNames() []string {
	names := slices.Clone(c.groups.names)
	for _, name := range []string{GroupVirtualNetwork, GroupInternet, GroupAzureLoadBalancer} {
		if _, defined := c.groups.at[name]; !defined {
			names = append(names, name)
		}
	}
	return names
}
