package config

import (
	"net/netip"
)

// The keys of security groups.

// maxSecurityRules is how many priorities there are, and more than Azure's
// 1 000 of one group: what decides is indexed.
const maxSecurityRules = 4096 - 100 + 1

func securityGroupObject() object[SecurityGroup] {
	return object[SecurityGroup]{at: func(g *SecurityGroup, p Pos) { g.Pos = p }, fields: []field[SecurityGroup]{
		key("name", func(g *SecurityGroup) *string { return &g.Name }, name(), "What logs and metrics call it.").required(),
		key("attach", func(g *SecurityGroup) *[]string { return &g.Attach }, upTo(600, listOf(nameOf("frontend"), 0)), "Names of the frontends that it guards; one group for each at most."),
		key("flushConnections", func(g *SecurityGroup) *bool { return &g.Flush }, boolean(), "Whether a reload ends flows that the rules no longer allow (Azure: flushConnection).").or("true"),
		key("rules", func(g *SecurityGroup) *[]SecurityRule { return &g.Rules }, upTo(maxSecurityRules, listOf(securityRuleObject().value(), 0)), "The one of the lowest priority number that matches decides. After them come AllowVnetInBound (65000), AllowAzureLoadBalancerInBound (65001) and DenyAllInBound (65500)."),
	}}
}

func securityRuleObject() object[SecurityRule] {
	type rule = SecurityRule
	access := oneOf(choice[bool]{word: "allow", v: true}, choice[bool]{word: "deny", v: false})
	protocol := oneOf(choice[SecurityProtocol]{word: "any", v: SecurityAny}, choice[SecurityProtocol]{word: "*", v: SecurityAny},
		choice[SecurityProtocol]{word: "tcp", v: SecurityTCP}, choice[SecurityProtocol]{word: "udp", v: SecurityUDP})
	return object[rule]{at: func(r *rule, p Pos) { r.Pos = p }, fields: []field[rule]{
		key("name", func(r *rule) *string { return &r.Name }, name(), "What logs and explain call it; unique in the group.").required(),
		key("priority", func(r *rule) *int { return &r.Priority }, integer(100, 4096), "The lower number is asked first; unique in the group.").required(),
		inboundOnly[rule](),
		key("access", func(r *rule) *bool { return &r.Allow }, access, "allow or deny.").required(),
		key("protocol", func(r *rule) *SecurityProtocol { return &r.Protocol }, protocol, "tcp, udp or any.").or("any"),
		key("source", func(r *rule) *AddressMatch { return &r.Source }, addressMatch(), "Whose: prefixes, addresses and names of address groups, or *.").or(`"*"`),
		key("sourcePorts", func(r *rule) *[]PortRange { return &r.SourcePorts }, portsMatch(), "Ports of the client: a port, a range such as 1024-65535, a list of these, or *.").or(`"*"`),
		key("destination", func(r *rule) *AddressMatch { return &r.Destination }, addressMatch(), "Which addresses of the frontend, in the same way.").or(`"*"`),
		key("destinationPorts", func(r *rule) *[]PortRange { return &r.DestinationPorts }, portsMatch(), "Which ports of the frontend.").or(`"*"`),
	}}
}

func addressGroupObject() object[AddressGroup] {
	return object[AddressGroup]{at: func(g *AddressGroup, p Pos) { g.Pos = p }, fields: []field[AddressGroup]{
		key("name", func(g *AddressGroup) *string { return &g.Name }, name(), "What security rules call it.").required(),
		key("addresses", func(g *AddressGroup) *[]netip.Prefix { return &g.Addresses }, upTo(100_000, listOf(prefix(), 0)), "Prefixes and addresses."),
	}}
}
