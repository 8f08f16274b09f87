package secgroup

import (
	"cmp"
	"net/netip"
	"slices"

	"gatehouse/config"
)

// Packet is what is decided on: the first packet of a flow.
type Packet struct {
	Source, Destination netip.AddrPort
	UDP                 bool // TCP otherwise
}

func (p Packet) unmapped() Packet {
	p.Source = netip.AddrPortFrom(p.Source.Addr().Unmap(), p.Source.Port())
	p.Destination = netip.AddrPortFrom(p.Destination.Addr().Unmap(), p.Destination.Port())
	return p
}

// Rule is a rule as logs name it.
type Rule struct {
	// Name is the rule's name in the configuration; of the rules that every
	// group ends with it is DefaultRule_ and Azure's name.
	Name     string
	Priority int
	Allow    bool
	Default  bool // whether it is one of those that every group ends with

	when condition
}

// Decision is what becomes of a packet.
type Decision struct {
	Allow bool
	Rule  *Rule // the one that decided; never nil
}

// Group is a security group, ready to decide. It does not change any more,
// and any goroutine may use it.
type Group struct {
	rules []Rule // in the order in which they decide
	index index
}

// Compile prepares a group, with the address groups that its rules may name.
// It expects a configuration that was checked. Of what a checked one does not
// have: a name that no address group has and an address match that says
// nothing match nobody; of two rules of one priority the first decides.
func Compile(g config.SecurityGroup, groups []config.AddressGroup) *Group {
	return compile(g, groups, tableBudget)
}

func compile(g config.SecurityGroup, groups []config.AddressGroup, budget int) *Group {
	known := namesOf(groups)
	out := &Group{rules: make([]Rule, 0, len(g.Rules)+3)}
	for i := range g.Rules {
		r := &g.Rules[i]
		out.rules = append(out.rules, Rule{Name: r.Name, Priority: r.Priority, Allow: r.Allow, when: conditionOf(r, known)})
	}
	for _, r := range defaultRules() {
		out.rules = append(out.rules, Rule{
			Name: "DefaultRule_" + r.Name, Priority: r.Priority, Allow: r.Allow, Default: true, when: conditionOf(&r, known),
		})
	}
	slices.SortStableFunc(out.rules, func(a, b Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	out.index = indexOf(out.rules, budget)
	return out
}

// defaultRules are the inbound rules that every group of Azure ends with.
func defaultRules() []config.SecurityRule {
	all := config.AddressMatch{Any: true}
	group := func(name string) config.AddressMatch { return config.AddressMatch{Groups: []string{name}} }
	return []config.SecurityRule{
		{Name: "AllowVnetInBound", Priority: 65000, Allow: true,
			Source: group(config.GroupVirtualNetwork), Destination: group(config.GroupVirtualNetwork)},
		{Name: "AllowAzureLoadBalancerInBound", Priority: 65001, Allow: true,
			Source: group(config.GroupAzureLoadBalancer), Destination: all},
		{Name: "DenyAllInBound", Priority: 65500, Source: all, Destination: all},
	}
}
