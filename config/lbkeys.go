package config

import (
	"net/netip"
	"time"
)

// The table of keys: what l4lb.yaml can say, but for its security groups
// (securitykeys.go). It is made as that of appgw.yaml (keys.go).

func loadBalancerObject() object[LoadBalancer] {
	type lb = LoadBalancer
	plane := oneOf(choice[Plane]{word: "proxy", v: PlaneProxy}, choice[Plane]{word: "auto", v: PlaneAuto}, choice[Plane]{word: "ebpf", reserved: true})
	return object[lb]{fields: []field[lb]{
		key("admin", func(b *lb) *Admin { return &b.Admin }, adminObject("127.0.0.1:9902").value(), "The operator's HTTP interface: health, metrics, status, reload, pprof.").or("{}"),
		key("metrics", func(b *lb) *Metrics { return &b.Metrics }, metricsObject().value(), "Read-only health and metrics for others than the operator."),
		inline("shutdown", lbShutdownObject(), "How the balancer stops.").or("{}"),
		key("plane", func(b *lb) *Plane { return &b.Plane }, plane, "proxy: sockets at both sides; auto: the best plane that works here, which is proxy in this version.").or("auto"),
		key("hashSeed", func(b *lb) *uint64 { return &b.HashSeed }, seedNumber(), "Goes into every choice of a member: instances that are to choose alike have the same.").or("0"),
		key("limits", func(b *lb) *L4Limits { return &b.Limits }, lbLimitsObject().value(), "What the process holds.").or("{}"),
		key("flowLog", func(b *lb) *FlowLog { return &b.FlowLog }, flowLogObject().value(), "The log of flows, in the shape of Azure's VNet flow logs, version 4.").or("{}"),
		key("frontends", func(b *lb) *[]L4Frontend { return &b.Frontends }, upTo(600, listOf(l4FrontendObject().value(), 0)), "Addresses that clients connect to."),
		key("backendPools", func(b *lb) *[]L4Pool { return &b.BackendPools }, listOf(l4PoolObject().value(), 0), "Named sets of members."),
		key("probes", func(b *lb) *[]L4Probe { return &b.Probes }, listOf(l4ProbeObject().value(), 0), "How members are asked whether they are well."),
		key("rules", func(b *lb) *[]L4Rule { return &b.Rules }, upTo(maxL4Rules, listOf(l4RuleObject().value(), 0)), "What comes to a port of a frontend goes to a pool."),
		key("inboundNatRules", func(b *lb) *[]InboundNATRule { return &b.InboundNATRules }, upTo(maxL4Rules, listOf(natRuleObject().value(), 0)), "A port of a frontend goes to one member, or each port of a range to one of a pool."),
		unavailable[lb]("outboundRules", "Source address translation for members; needs plane: ebpf."),
		key("securityGroups", func(b *lb) *[]SecurityGroup { return &b.SecurityGroups }, upTo(1000, listOf(securityGroupObject().value(), 0)), "Who may connect to a frontend."),
		key("addressGroups", func(b *lb) *[]AddressGroup { return &b.AddressGroups }, upTo(3000, listOf(addressGroupObject().value(), 0)), "Names for addresses, which security rules use. VirtualNetwork, if it is here, replaces the private ranges that are built in."),
	}}
}

// maxL4Rules is Azure's limit for one balancer.
const maxL4Rules = 1500

func lbShutdownObject() object[LoadBalancer] {
	return object[LoadBalancer]{fields: []field[LoadBalancer]{
		key("drain", func(b *LoadBalancer) *time.Duration { return &b.Drain }, duration(0, day), "How long a shutdown or an upgrade waits for flows.").or("30s"),
	}}
}

func lbLimitsObject() object[L4Limits] {
	return object[L4Limits]{fields: []field[L4Limits]{
		key("tcpFlows", func(l *L4Limits) *int { return &l.TCPFlows }, integer(1, 1<<24), "TCP flows at once; one more is refused.").or("1000000"),
		key("udpFlows", func(l *L4Limits) *int { return &l.UDPFlows }, integer(1, 1<<22), "UDP flows at once; the datagram of one more is dropped.").or("100000"),
		key("udpFlowsPerClient", func(l *L4Limits) *int { return &l.UDPFlowsPerClient }, integer(0, 1<<22), "UDP flows of one address at once; 0: no bound.").or("0"),
	}}
}

func flowLogObject() object[FlowLog] {
	return object[FlowLog]{fields: []field[FlowLog]{
		outputOrOff(func(l *FlowLog) (*string, *bool) { return &l.Output, &l.Enabled }),
		key("interval", func(l *FlowLog) *time.Duration { return &l.Interval }, duration(time.Second, day), "How often a flow that goes on is logged.").or("5m"),
		key("maxSize", func(l *FlowLog) *int { return &l.MaxSize }, size(0, 1<<30), "At that size a file is renamed and a new one begun; 0: never.").or("100MiB"),
		key("maxFiles", func(l *FlowLog) *int { return &l.MaxFiles }, integer(1, 1000), "How many renamed files are kept.").or("10"),
	}}
}

func l4FrontendObject() object[L4Frontend] {
	return object[L4Frontend]{at: func(f *L4Frontend, p Pos) { f.Pos = p }, fields: []field[L4Frontend]{
		key("name", func(f *L4Frontend) *string { return &f.Name }, name(), "What rules and security groups call it.").required(),
		frontendAddresses("address", "An address of this machine; \"0.0.0.0\": all of IPv4, \"::\": all of both families.", one(frontendAddress())),
		frontendAddresses("addresses", "Several such addresses.", upTo(100, listOf(frontendAddress(), 1))),
	}}
}

func l4PoolObject() object[L4Pool] {
	return object[L4Pool]{at: func(p *L4Pool, at Pos) { p.Pos = at }, fields: []field[L4Pool]{
		key("name", func(p *L4Pool) *string { return &p.Name }, name(), "What rules call it.").required(),
		key("members", func(p *L4Pool) *[]L4Member { return &p.Members }, upTo(5000, listOf(l4Member(), 0)), "The machines: addresses, or mappings with an address."),
		key("drain", func(p *L4Pool) *time.Duration { return &p.Drain }, duration(0, day), "How long flows to a member that was removed may go on.").or("30s"),
		key("resolve", func(p *L4Pool) *time.Duration { return &p.Resolve }, duration(100*time.Millisecond, day), "How often host names are looked up again.").or("30s"),
	}}
}

func l4MemberObject() object[L4Member] {
	state := oneOf(choice[AdminState]{word: "none", v: AdminNone}, choice[AdminState]{word: "up", v: AdminUp}, choice[AdminState]{word: "down", v: AdminDown})
	return object[L4Member]{at: func(m *L4Member, p Pos) { m.Pos = p }, fields: []field[L4Member]{
		memberAddress(),
		key("name", func(m *L4Member) *string { return &m.Name }, name(), "What the operator calls it; unique in the pool. Default: the address as it is written."),
		key("weight", func(m *L4Member) *int { return &m.Weight }, integer(1, 1000), "Share of new flows, relative to the other members.").or("1"),
		key("adminState", func(m *L4Member) *AdminState { return &m.State }, state, "up: gets new flows whatever probes say; down: gets none; none: as probes say.").or("none"),
	}}
}

func l4ProbeObject() object[L4Probe] {
	protocol := oneOf(choice[L4ProbeProtocol]{word: "tcp", v: L4ProbeTCP}, choice[L4ProbeProtocol]{word: "http", v: L4ProbeHTTP}, choice[L4ProbeProtocol]{word: "https", v: L4ProbeHTTPS})
	none := oneOf(choice[bool]{word: "allDown", v: false}, choice[bool]{word: "allUp", v: true})
	return object[L4Probe]{at: func(b *L4Probe, p Pos) { b.Pos = p }, fields: []field[L4Probe]{
		key("name", func(b *L4Probe) *string { return &b.Name }, name(), "What rules call it.").required(),
		key("protocol", func(b *L4Probe) *L4ProbeProtocol { return &b.Protocol }, protocol, "tcp connects; http and https ask with GET. Certificates are not verified.").or("tcp"),
		key("port", func(b *L4Probe) *int { return &b.Port }, integer(1, 65535), "Where to ask; default: the port that the rule sends to."),
		key("path", func(b *L4Probe) *string { return &b.Path }, probePath(), "What http and https ask for.").or("/"),
		key("host", func(b *L4Probe) *string { return &b.Host }, emptyOr(backendHost()), "Host field and server name of http and https; empty: the member's address."),
		key("headers", func(b *L4Probe) *[]Header { return &b.Headers }, probeHeaders(), "More header fields of http and https, by name."),
		key("expectedStatus", func(b *L4Probe) *[]StatusRange { return &b.ExpectedStatus }, upTo(8, listOf(statusRange(), 1)), "Statuses that mean well, and ranges of them.").or("[200]"),
		key("interval", func(b *L4Probe) *time.Duration { return &b.Interval }, duration(100*time.Millisecond, time.Hour), "From one probe of a member to the next.").or("5s"),
		key("timeout", func(b *L4Probe) *time.Duration { return &b.Timeout }, duration(10*time.Millisecond, time.Hour), "How long an answer may take, at most interval; default: the interval, at most 30s."),
		key("threshold", func(b *L4Probe) *int { return &b.Threshold }, integer(1, 20), "Alike results in a row that change the verdict. An explicit refusal (RST, another status) counts at once, and so does the first result.").or("2"),
		key("damping", func(b *L4Probe) *bool { return &b.Damping }, boolean(), "Keep a member that flaps out for longer each time: for the interval doubled with each change, at most 2 minutes, until it was steady for 10.").or("true"),
		key("noHealthyBackends", func(b *L4Probe) *bool { return &b.AllUp }, none, "When no member is well: allDown refuses new flows, allUp sends them to all members.").or("allDown"),
		key("source", func(b *L4Probe) *netip.Addr { return &b.Source }, plainAddress(), "The address of this machine that probes come from; default: the system's choice."),
	}}
}

func l4RuleObject() object[L4Rule] {
	protocol := oneOf(choice[L4Protocol]{word: "tcp", v: L4TCP}, choice[L4Protocol]{word: "udp", v: L4UDP}, choice[L4Protocol]{word: "all", v: L4All})
	distribution := oneOf(choice[Distribution]{word: "default", v: DistributeFlow}, choice[Distribution]{word: "sourceIP", v: DistributeSourceIP}, choice[Distribution]{word: "sourceIPProtocol", v: DistributeSourceIPProtocol})
	fields := []field[L4Rule]{
		key("name", func(r *L4Rule) *string { return &r.Name }, name(), "What logs and metrics call it.").required(),
		key("frontend", func(r *L4Rule) *string { return &r.Frontend }, nameOf("frontend"), "The frontend's name.").required(),
		key("protocol", func(r *L4Rule) *L4Protocol { return &r.Protocol }, protocol, "tcp, udp, or all: both on every port (HA ports).").required(),
		key("frontendPort", func(r *L4Rule) *int { return &r.FrontendPort }, integer(1, 65535), "The port that clients connect to; not with protocol: all."),
		key("backendPort", func(r *L4Rule) *int { return &r.BackendPort }, integer(1, 65535), "The members' port; default: the port that the client asked for."),
		key("backendPool", func(r *L4Rule) *string { return &r.BackendPool }, nameOf("backend pool"), "The pool's name; needed unless sni has pools."),
		probesField("probe", "A probe's name; none: members are taken to be well.", one(nameOf("probe"))),
		probesField("probes", "Several such names: a member is well if all of them say so.", upTo(8, listOf(nameOf("probe"), 1))),
		key("distribution", func(r *L4Rule) *Distribution { return &r.Distribution }, distribution, "What chooses the member: default (addresses, ports and protocol), sourceIP (both addresses) or sourceIPProtocol (these and the protocol).").or("default"),
		key("sni", func(r *L4Rule) *[]SNIRoute { return &r.SNI }, upTo(1000, listOf(sniObject().value(), 0)), "Pools by the server name that a TLS client asks for; the connection is not opened."),
		key("limits", func(r *L4Rule) *L4RuleLimits { return &r.Limits }, ruleLimitsObject().value(), "What clients can take.").or("{}"),
	}
	for _, f := range flowFields() {
		fields = append(fields, within(f, func(r *L4Rule) *L4FlowSettings { return &r.L4FlowSettings }))
	}
	fields = append(fields, floatingIP[L4Rule]())
	return object[L4Rule]{at: func(r *L4Rule, p Pos) { r.Pos = p }, fields: fields}
}

// flowFields are the keys that rules and inbound NAT rules share.
func flowFields() []field[L4FlowSettings] {
	type settings = L4FlowSettings
	return []field[settings]{
		key("idleTimeout", func(s *settings) *time.Duration { return &s.IdleTimeout }, duration(time.Second, 100*time.Minute), "How long a flow may be without traffic.").or("4m"),
		key("tcpReset", func(s *settings) *bool { return &s.TCPReset }, boolean(), "End an idle TCP flow with RST to both sides, so that neither keeps it half open.").or("true"),
		key("proxyProtocol", func(s *settings) *ProxyProtocol { return &s.ProxyProtocol }, proxyProtocolVersion(), "Tell members who the client is, by a PROXY header before its bytes: v1, v2 or off.").or("off"),
		key("transparent", func(s *settings) *bool { return &s.Transparent }, boolean(), "Connect to members from the client's own address (IP_TRANSPARENT); needs CAP_NET_ADMIN, and members whose way back leads here.").or("false"),
		key("connectTimeout", func(s *settings) *time.Duration { return &s.ConnectTimeout }, duration(10*time.Millisecond, 5*time.Minute), "How long one attempt to connect to a member may take before the next one is tried.").or("5s"),
		key("responses", func(s *settings) *int { return &s.Responses }, integer(0, 1<<20), "End a UDP flow after so many datagrams of the member, such as 1 for DNS; 0: after idleTimeout only.").or("0"),
	}
}

func proxyProtocolVersion() value[ProxyProtocol] {
	return oneOf(choice[ProxyProtocol]{word: "off", v: ProxyProtocolOff}, choice[ProxyProtocol]{word: "v1", v: ProxyProtocolV1}, choice[ProxyProtocol]{word: "v2", v: ProxyProtocolV2})
}

// floatingIP is refused by this plane unless it is false.
func floatingIP[T any]() field[T] {
	return field[T]{
		name:   "floatingIP",
		doc:    "Members that have the frontend's address themselves; needs plane: ebpf, which is not available in this version.",
		schema: schema{"enum": []bool{false}},
		read: func(c cursor, _ *T) {
			if on, ok := boolean().read(c); ok && on {
				c.errorf("%s; it needs plane: ebpf", notAvailable)
			}
		},
	}
}

func sniObject() object[SNIRoute] {
	return object[SNIRoute]{fields: []field[SNIRoute]{
		key("hostNames", func(s *SNIRoute) *[]string { return &s.HostNames }, upTo(1000, listOf(serverName(), 1)), "Server names; *.app.example stands for one label more.").required(),
		key("backendPool", func(s *SNIRoute) *string { return &s.BackendPool }, nameOf("backend pool"), "The pool's name.").required(),
	}}
}

func ruleLimitsObject() object[L4RuleLimits] {
	type limits = L4RuleLimits
	return object[limits]{fields: []field[limits]{
		key("flows", func(l *limits) *int { return &l.Flows }, integer(0, 1<<24), "Flows at once; 0: as many as all rules may have.").or("0"),
		key("flowsPerClient", func(l *limits) *int { return &l.FlowsPerClient }, integer(0, 1<<24), "Flows of one address at once; 0: no bound.").or("0"),
		key("flowRate", func(l *limits) *int { return &l.FlowRate }, integer(0, 10_000_000), "New flows a second; 0: no bound.").or("0"),
		key("flowRatePerClient", func(l *limits) *int { return &l.FlowRatePerClient }, integer(0, 10_000_000), "New flows of one address a second; 0: no bound.").or("0"),
		key("backlog", func(l *limits) *int { return &l.Backlog }, integer(0, 1<<20), "Connections that wait to be accepted; 0: as many as the system lets.").or("0"),
	}}
}

func natRuleObject() object[InboundNATRule] {
	protocol := oneOf(choice[L4Protocol]{word: "tcp", v: L4TCP}, choice[L4Protocol]{word: "udp", v: L4UDP})
	type rule = InboundNATRule
	fields := []field[rule]{
		key("name", func(r *rule) *string { return &r.Name }, name(), "What logs and metrics call it.").required(),
		key("frontend", func(r *rule) *string { return &r.Frontend }, nameOf("frontend"), "The frontend's name.").required(),
		key("protocol", func(r *rule) *L4Protocol { return &r.Protocol }, protocol, "tcp or udp.").required(),
		portsField("frontendPort", "The port that clients connect to, which goes to member.", onePort()),
		portsField("frontendPorts", "A range such as 50000-50099: its first port goes to the pool's first member, and so on.", portRange()),
		key("backendPool", func(r *rule) *string { return &r.BackendPool }, nameOf("backend pool"), "The pool's name.").required(),
		key("member", func(r *rule) *string { return &r.Member }, text(), "With frontendPort: the name of the member; default: the pool's only one."),
		key("backendPort", func(r *rule) *int { return &r.BackendPort }, integer(1, 65535), "The members' port; default with frontendPort: the same."),
	}
	for _, f := range flowFields() {
		fields = append(fields, within(f, func(r *rule) *L4FlowSettings { return &r.L4FlowSettings }))
	}
	fields = append(fields, floatingIP[rule]())
	return object[rule]{at: func(r *rule, p Pos) { r.Pos = p }, fields: fields}
}
