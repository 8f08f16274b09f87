package config

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

const balancer = `
frontends: [{name: public, address: 203.0.113.10}]
backendPools: [{name: db, members: [10.0.0.4, {address: "10.0.0.5:5433", name: second}]}]
probes: [{name: db, port: 5432}]
rules: [{name: db, frontend: public, protocol: tcp, frontendPort: 5432, backendPool: db, probe: db}]
`

// everyBalancerKey has each key of l4lb.yaml, none with its default.
const everyBalancerKey = `
admin: {address: unix:run/lb.sock}
metrics: {address: ":9000"}
shutdown: {drain: 3s}
plane: proxy
hashSeed: 18446744073709551615
limits: {tcpFlows: 10, udpFlows: 20, udpFlowsPerClient: 5}
flowLog: {output: flows.json, interval: 1m, maxSize: 1MiB, maxFiles: 2}
frontends:
  - {name: public, address: "::ffff:203.0.113.10"}
  - {name: both, addresses: [192.0.2.1, "2001:db8::1"]}
  - {name: any, address: "::"}
backendPools:
  - name: db
    drain: 0s
    resolve: 1m
    members: ["[2001:db8::4]:5432", {address: DB.example.:80, name: second, weight: 7, adminState: up}, {address: 10.0.0.5, adminState: down}, db.example]
probes:
  - {name: web, protocol: https, port: 8443, path: /h?x=1, host: WWW.example:8443, headers: {X-Probe: "yes"}, expectedStatus: [200-299, 401], interval: 10s, timeout: 2s, threshold: 3, damping: false, noHealthyBackends: allUp, source: "2001:db8::1"}
  - {name: plain, protocol: http, port: 80, interval: 1m, noHealthyBackends: allUp}
rules:
  - {name: web, frontend: public, protocol: tcp, frontendPort: 443, backendPort: 8443, backendPool: db, probes: [web, plain], distribution: sourceIP, idleTimeout: 1s, tcpReset: false,
     proxyProtocol: v2, connectTimeout: 1s, floatingIP: false, limits: {flows: 1, flowsPerClient: 2, flowRate: 3, flowRatePerClient: 4, backlog: 5}, sni: [{hostNames: [A.example., "*.B.example"], backendPool: db}]}
  - {name: dns, frontend: both, protocol: udp, frontendPort: 53, backendPool: db, probe: web, distribution: sourceIPProtocol, transparent: true, responses: 1}
  - {name: ha, frontend: both, protocol: all, backendPool: db, probe: plain, idleTimeout: 100m, proxyProtocol: v1}
inboundNatRules:
  - {name: ssh, frontend: any, protocol: tcp, frontendPorts: 50000-50003, backendPool: db, backendPort: 22, idleTimeout: 10m, tcpReset: false, proxyProtocol: v1, connectTimeout: 2s, floatingIP: false}
  - {name: ntp, frontend: public, protocol: udp, frontendPort: 123, backendPool: db, member: second, transparent: true, responses: 2}
securityGroups:
  - name: edge
    attach: [public, both]
    flushConnections: false
    rules:
      - {name: friends, priority: 100, direction: inbound, access: allow, protocol: tcp, source: [friends, 192.0.2.7, Internet], sourcePorts: [1024-65535, 53], destination: 203.0.113.0/24, destinationPorts: 443}
      - {name: others, priority: 4096, access: deny, protocol: udp, source: "*", destination: ["*"], sourcePorts: "*", destinationPorts: ["*"]}
      - {name: rest, priority: 200, access: allow, protocol: "*", source: VirtualNetwork, destinationPorts: 1-65535}
addressGroups:
  - {name: friends, addresses: [198.51.100.0/24, "2001:db8::7"]}
  - {name: VirtualNetwork, addresses: [10.0.0.0/8]}
`

func mustBalance(t *testing.T, text string) (*LoadBalancer, Warnings) {
	t.Helper()
	b, warnings, err := ParseLoadBalancer("/etc/lb/l.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return b, warnings
}

func TestDefaultsOfALoadBalancer(t *testing.T) {
	b, warnings := mustBalance(t, balancer)
	if len(warnings) > 0 {
		t.Errorf("warnings %v", warnings)
	}
	b.Frontends[0].Pos, b.BackendPools[0].Pos, b.Probes[0].Pos, b.Rules[0].Pos = Pos{}, Pos{}, Pos{}, Pos{}
	for i := range b.BackendPools[0].Members {
		b.BackendPools[0].Members[i].Pos = Pos{}
	}
	same(t, "all of it", b, &LoadBalancer{
		Admin: Admin{"127.0.0.1:9902"}, Plane: PlaneAuto, Drain: 30 * time.Second,
		Limits:    L4Limits{TCPFlows: 1_000_000, UDPFlows: 100_000},
		FlowLog:   FlowLog{Interval: 5 * time.Minute, MaxSize: 100 << 20, MaxFiles: 10},
		Frontends: []L4Frontend{{Name: "public", Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.10")}}},
		BackendPools: []L4Pool{{Name: "db", Drain: 30 * time.Second, Resolve: 30 * time.Second, Members: []L4Member{
			{Name: "10.0.0.4", Address: netip.MustParseAddr("10.0.0.4"), Weight: 1},
			{Name: "second", Address: netip.MustParseAddr("10.0.0.5"), Port: 5433, Weight: 1},
		}}},
		Probes: []L4Probe{{Name: "db", Protocol: L4ProbeTCP, Port: 5432, ExpectedStatus: []StatusRange{{200, 200}}, Interval: 5 * time.Second, Timeout: 5 * time.Second, Threshold: 2, Damping: true}},
		Rules: []L4Rule{{Name: "db", Frontend: "public", Protocol: L4TCP, FrontendPort: 5432, BackendPort: 5432, BackendPool: "db", Probes: []string{"db"},
			L4FlowSettings: L4FlowSettings{IdleTimeout: 4 * time.Minute, TCPReset: true, ConnectTimeout: 5 * time.Second}}},
	})
}

func TestEveryKeyOfTheBalancer(t *testing.T) {
	b, warnings := mustBalance(t, everyBalancerKey)
	// A member has a port of its own, which is before that of the NAT rule.
	if len(warnings) != 1 || !strings.Contains(warnings[0].String(), "inboundNatRules[0].backendPort") {
		t.Errorf("warnings %v", warnings)
	}
	ip, prefix := netip.MustParseAddr, netip.MustParsePrefix
	same(t, "admin", b.Admin.Address, "unix:/etc/lb/run/lb.sock")
	same(t, "metrics", b.Metrics.Address, "[::]:9000")
	same(t, "drain", b.Drain, 3*time.Second)
	same(t, "plane", b.Plane, PlaneProxy)
	same(t, "seed", b.HashSeed, uint64(1<<64-1))
	same(t, "limits", b.Limits, L4Limits{10, 20, 5})
	same(t, "flow log", b.FlowLog, FlowLog{true, "/etc/lb/flows.json", time.Minute, 1 << 20, 2})
	same(t, "frontends", b.Frontends, []L4Frontend{
		{"public", []netip.Addr{ip("203.0.113.10")}, Pos{10, 5}},
		{"both", []netip.Addr{ip("192.0.2.1"), ip("2001:db8::1")}, Pos{11, 5}},
		{"any", []netip.Addr{ip("::")}, Pos{12, 5}},
	})
	same(t, "pools", b.BackendPools, []L4Pool{{Name: "db", Resolve: time.Minute, Pos: Pos{14, 5}, Members: []L4Member{
		{Name: "[2001:db8::4]:5432", Address: ip("2001:db8::4"), Port: 5432, Weight: 1, Pos: Pos{17, 15}},
		{Name: "second", Host: "db.example", Port: 80, Weight: 7, State: AdminUp, Pos: Pos{17, 37}},
		{Name: "10.0.0.5", Address: ip("10.0.0.5"), Weight: 1, State: AdminDown, Pos: Pos{17, 105}},
		{Name: "db.example", Host: "db.example", Weight: 1, Pos: Pos{17, 144}},
	}}})
	same(t, "probe", b.Probes[0], L4Probe{
		Name: "web", Protocol: L4ProbeHTTPS, Port: 8443, Path: "/h?x=1", Host: "www.example:8443", Headers: []Header{{"X-Probe", "yes"}},
		ExpectedStatus: []StatusRange{{200, 299}, {401, 401}}, Interval: 10 * time.Second, Timeout: 2 * time.Second, Threshold: 3, AllUp: true, Source: ip("2001:db8::1"), Pos: Pos{19, 5},
	})
	same(t, "default timeout", b.Probes[1].Timeout, 30*time.Second)
	same(t, "address groups", b.AddressGroups, []AddressGroup{
		{"friends", []netip.Prefix{prefix("198.51.100.0/24"), prefix("2001:db8::7/128")}, Pos{38, 5}},
		{"VirtualNetwork", []netip.Prefix{prefix("10.0.0.0/8")}, Pos{39, 5}},
	})
}

func TestEveryKeyOfRules(t *testing.T) {
	b, _ := mustBalance(t, everyBalancerKey)
	flow := L4FlowSettings{IdleTimeout: 4 * time.Minute, TCPReset: true, ConnectTimeout: 5 * time.Second}
	with := func(change func(*L4FlowSettings)) L4FlowSettings {
		s := flow
		change(&s)
		return s
	}
	same(t, "rules", b.Rules, []L4Rule{
		{
			Name: "web", Frontend: "public", Protocol: L4TCP, FrontendPort: 443, BackendPort: 8443, BackendPool: "db", Probes: []string{"web", "plain"}, Distribution: DistributeSourceIP,
			L4FlowSettings: L4FlowSettings{IdleTimeout: time.Second, ProxyProtocol: ProxyProtocolV2, ConnectTimeout: time.Second},
			SNI:            []SNIRoute{{[]string{"a.example", "*.b.example"}, "db"}}, Limits: L4RuleLimits{1, 2, 3, 4, 5}, Pos: Pos{22, 5},
		},
		{
			Name: "dns", Frontend: "both", Protocol: L4UDP, FrontendPort: 53, BackendPort: 53, BackendPool: "db", Probes: []string{"web"}, Distribution: DistributeSourceIPProtocol, Pos: Pos{24, 5},
			L4FlowSettings: with(func(s *L4FlowSettings) { s.Transparent, s.Responses = true, 1 }),
		},
		{
			Name: "ha", Frontend: "both", Protocol: L4All, BackendPool: "db", Probes: []string{"plain"}, Pos: Pos{25, 5},
			L4FlowSettings: with(func(s *L4FlowSettings) { s.IdleTimeout, s.ProxyProtocol = 100*time.Minute, ProxyProtocolV1 }),
		},
	})
	same(t, "inbound NAT rules", b.InboundNATRules, []InboundNATRule{
		{
			Name: "ssh", Frontend: "any", Protocol: L4TCP, Ports: PortRange{50000, 50003}, BackendPool: "db", BackendPort: 22, Pos: Pos{27, 5},
			L4FlowSettings: L4FlowSettings{IdleTimeout: 10 * time.Minute, ProxyProtocol: ProxyProtocolV1, ConnectTimeout: 2 * time.Second},
		},
		{
			Name: "ntp", Frontend: "public", Protocol: L4UDP, Ports: PortRange{123, 123}, BackendPool: "db", Member: "second", BackendPort: 123, Pos: Pos{28, 5},
			L4FlowSettings: with(func(s *L4FlowSettings) { s.Transparent, s.Responses = true, 2 }),
		},
	})
}

func TestEveryKeyOfSecurityGroups(t *testing.T) {
	b, _ := mustBalance(t, everyBalancerKey)
	prefix, all := netip.MustParsePrefix, AddressMatch{Any: true}
	same(t, "security groups", b.SecurityGroups, []SecurityGroup{{Name: "edge", Attach: []string{"public", "both"}, Pos: Pos{30, 5}, Rules: []SecurityRule{
		{
			Name: "friends", Priority: 100, Allow: true, Protocol: SecurityTCP, Pos: Pos{34, 9},
			Source:      AddressMatch{Prefixes: []netip.Prefix{prefix("192.0.2.7/32")}, Groups: []string{"friends", GroupInternet}},
			Destination: AddressMatch{Prefixes: []netip.Prefix{prefix("203.0.113.0/24")}},
			SourcePorts: []PortRange{{1024, 65535}, {53, 53}}, DestinationPorts: []PortRange{{443, 443}},
		},
		{Name: "others", Priority: 4096, Protocol: SecurityUDP, Source: all, Destination: all, Pos: Pos{35, 9}},
		{Name: "rest", Priority: 200, Allow: true, Source: AddressMatch{Groups: []string{GroupVirtualNetwork}}, Destination: all, DestinationPorts: []PortRange{{1, 65535}}, Pos: Pos{36, 9}},
	}}})
	flushing, _ := mustBalance(t, balancer+"securityGroups: [{name: a, attach: [public]}]\n")
	same(t, "flush by default", flushing.SecurityGroups[0].Flush, true)
}

// What looks like a collision and is none.
func TestBindingsThatStandBesideEachOther(t *testing.T) {
	for name, text := range map[string]string{
		"another address":                  strings.Replace(balancer, "frontendPort: 5432", "frontendPort: 9902", 1),
		"every port but those that others": strings.Replace(balancer, "rules: [", "rules: [{name: all, frontend: public, protocol: all, backendPool: db}, ", 1),
		"another protocol":                 strings.Replace(balancer, "rules: [", "rules: [{name: u, frontend: public, protocol: udp, frontendPort: 5432, backendPool: db}, ", 1),
		"families":                         strings.Replace(strings.Replace(balancer, "address: 203.0.113.10", "address: 0.0.0.0", 1), "backendPools", "metrics: {address: '[2001:db8::1]:5432'}\nbackendPools", 1),
		"the next range": balancer + `inboundNatRules:
- {name: a, frontend: public, protocol: tcp, frontendPorts: 5430-5431, backendPool: db, backendPort: 22}
- {name: b, frontend: public, protocol: tcp, frontendPorts: 5433-5434, backendPool: db, backendPort: 22}
`,
	} {
		if _, _, err := ParseLoadBalancer("l.yaml", []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLoadLoadBalancer(t *testing.T) { testLoad(t, balancer, LoadLoadBalancer) }

func TestDraftOfARefusedLoadBalancer(t *testing.T) {
	testDraft(t, "127.0.0.1:9902", LoadLoadBalancerDraft, func(d *Draft) bool {
		return d.LoadBalancer != nil && d.Gateway == nil && d.TrafficManager == nil
	})
}

func TestWordsOfABalancerAreWrittenAsTheyAreRead(t *testing.T) {
	properties := func(list string) map[string]any {
		return loadBalancerObject().schema()["properties"].(map[string]any)[list].(schema)["items"].(schema)["properties"].(map[string]any)
	}
	words := func(list, key string) []string { return properties(list)[key].(schema)["enum"].([]string) }
	member := properties("backendPools")["members"].(schema)["items"].(schema)["oneOf"].([]schema)[1]["properties"].(map[string]any)
	for _, tt := range []struct {
		want []string
		got  []string
	}{
		{words("rules", "protocol"), []string{L4TCP.String(), L4UDP.String(), L4All.String()}},
		{words("probes", "protocol"), []string{L4ProbeTCP.String(), L4ProbeHTTP.String(), L4ProbeHTTPS.String()}},
		{words("rules", "distribution"), []string{DistributeFlow.String(), DistributeSourceIP.String(), DistributeSourceIPProtocol.String()}},
		{member["adminState"].(schema)["enum"].([]string), []string{AdminNone.String(), AdminUp.String(), AdminDown.String()}},
		{[]string{"invalid", "invalid"}, []string{L4Protocol(0).String(), L4ProbeProtocol(9).String()}},
	} {
		same(t, "words", tt.got, tt.want)
	}
}
