package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func balancerSchema(t *testing.T) map[string]any { return readSchema(t, LoadBalancerSchema()) }

func balancerErrors(t *testing.T, text string) string {
	t.Helper()
	_, _, err := ParseLoadBalancer("f", []byte(text))
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestBalancerSchemaAcceptsWhatTheDecoderAccepts(t *testing.T) {
	texts := []string{balancer, everyBalancerKey}
	for _, tt := range suspiciousBalancers {
		texts = append(texts, tt.text)
	}
	for _, text := range texts {
		if wrong := validate(balancerSchema(t), asJSON(t, text), ""); wrong != "" {
			t.Error(wrong)
		}
	}
}

// Of the refused configurations, the schema sees what one key alone tells.
func TestBalancerSchemaRefusesBadValues(t *testing.T) {
	rule := func(s string) string { return "rules: [{name: a, frontend: f, protocol: tcp, " + s + "}]" }
	security := func(s string) string {
		return "securityGroups: [{name: a, rules: [{name: a, priority: 100, access: deny, " + s + "}]}]"
	}
	for _, text := range []string{
		"frontendz: []", "frontends: [{address: 10.0.0.1}]", "frontends: [{name: a, addresses: []}]", "plane: ebpf", "hashSeed: -1", "hashSeed: '1'", "outboundRules: []",
		"limits: {tcpFlows: 0}", "flowLog: {interval: 5}", "flowLog: {maxFiles: 0}", "backendPools: [{name: a, members: [{weight: 1}]}]", "backendPools: [{name: a, members: [{address: b, weight: 1001}]}]",
		"backendPools: [{name: a, members: [{address: b, adminState: drain}]}]", "backendPools: [{name: a, members: [5]}]", "probes: [{name: a, threshold: 0}]", "probes: [{name: a, protocol: udp}]",
		"probes: [{name: a, protocol: http, expectedStatus: []}]", "probes: [{name: a, protocol: http, path: x}]", "rules: [{name: a}]", rule("frontendPort: 0"), rule("frontendPort: 1, backendPool: ''"),
		rule("frontendPort: 1, probe: 5"), rule("frontendPort: 1, probes: []"), rule("frontendPort: 1, probes: ['']"), rule("frontendPort: 1, floatingIP: true"), rule("frontendPort: 1, sni: [{hostNames: [a]}]"),
		rule("frontendPort: 1, limits: {flows: -1}"), rule("frontendPort: 1, idleTimeout: 4"), "inboundNatRules: [{name: a, frontend: f, protocol: all, backendPool: b, frontendPort: 1}]",
		"inboundNatRules: [{name: a, frontend: f, protocol: tcp, backendPool: b, frontendPorts: 0}]", "inboundNatRules: [{name: a, frontend: f, protocol: tcp, backendPool: b, frontendPorts: 1 - 2}]",
		"securityGroups: [{name: a, attach: a}]", "securityGroups: [{name: a, attach: ['']}]", security("direction: outbound"), security("source: ''"), security("source: []"), security("sourcePorts: a"),
		security("sourcePorts: 65536"), security("sourcePorts: []"), security("protocol: icmp"), "securityGroups: [{name: a, rules: [{name: a, priority: 99, access: deny}]}]", "addressGroups: [{name: a b}]",
	} {
		if validate(balancerSchema(t), asJSON(t, text), "") == "" {
			t.Errorf("%s: accepted", text)
		}
		if balancerErrors(t, text) == "" {
			t.Errorf("%s: accepted by ParseLoadBalancer", text)
		}
	}
}

func TestBalancerSchemaAndDecoderKnowTheSameKeys(t *testing.T) {
	all := sections(balancerSchema(t), "", "%s")
	if len(all) < 17 {
		t.Fatalf("only %d sections", len(all))
	}
	compareKeys(t, all, balancerErrors)
	if n := checkDefaults(t, balancerSchema(t)); n < 50 {
		t.Errorf("only %d defaults", n)
	}
}

// Whatever the bytes: no panic, errors that point into the file, and what is
// accepted stands up to the same checks again.
func FuzzParseLoadBalancer(f *testing.F) {
	for _, tt := range refusedBalancers {
		f.Add([]byte(tt.text))
	}
	for _, tt := range suspiciousBalancers {
		f.Add([]byte(tt.text))
	}
	f.Add([]byte(balancer))
	f.Add([]byte(everyBalancerKey))
	f.Fuzz(func(t *testing.T, data []byte) {
		if b := judged(t, data, ParseLoadBalancer); b != nil {
			balances(t, b)
		}
	})
}

// balances checks what the rest of the program takes for granted.
func balances(t *testing.T, b *LoadBalancer) {
	t.Helper()
	before := fmt.Sprintf("%+v", b)
	finishLoadBalancer(b)
	if after := fmt.Sprintf("%+v", b); after != before {
		t.Errorf("changed by a second pass:\n%s\n%s", before, after)
	}
	for _, f := range b.Frontends {
		for _, a := range f.Addresses {
			if !a.IsValid() || a.Is4In6() || a.Zone() != "" {
				t.Errorf("frontend %+v", f)
			}
		}
	}
	for _, p := range b.BackendPools {
		for _, m := range p.Members {
			if m.Address.IsValid() == (m.Host != "") || m.Address.Is4In6() || m.Name == "" || m.Weight < 1 {
				t.Errorf("member %+v", m)
			}
		}
	}
	for _, p := range b.Probes {
		if p.Timeout > p.Interval || p.Timeout <= 0 || (p.Path == "") != (p.Protocol == L4ProbeTCP) {
			t.Errorf("probe %+v", p)
		}
	}
	leadsSomewhere(t, b)
}

// leadsSomewhere checks that rules have ports and refer to what there is.
func leadsSomewhere(t *testing.T, b *LoadBalancer) {
	t.Helper()
	frontend := func(name string) bool {
		return slices.ContainsFunc(b.Frontends, func(f L4Frontend) bool { return f.Name == name })
	}
	pool := func(name string) int {
		return slices.IndexFunc(b.BackendPools, func(p L4Pool) bool { return p.Name == name })
	}
	for _, r := range b.Rules {
		every := r.Protocol == L4All
		if !frontend(r.Frontend) || pool(r.BackendPool) < 0 && len(r.SNI) == 0 || every != (r.FrontendPort == 0) || every != (r.BackendPort == 0) || slices.Contains(r.Probes, "") {
			t.Errorf("rule %+v", r)
		}
		for _, s := range r.SNI {
			if pool(s.BackendPool) < 0 || len(s.HostNames) == 0 {
				t.Errorf("rule %+v", r)
			}
		}
	}
	for _, r := range b.InboundNATRules {
		i, n := pool(r.BackendPool), r.Ports.Last-r.Ports.First+1
		if !frontend(r.Frontend) || i < 0 || r.Ports.First < 1 || n < 1 || r.BackendPort < 1 || r.Member == "" && n < len(b.BackendPools[i].Members) {
			t.Errorf("inbound NAT rule %+v", r)
		}
	}
	for _, g := range b.SecurityGroups {
		for _, name := range g.Attach {
			if !frontend(name) {
				t.Errorf("security group %+v", g)
			}
		}
	}
}

// The worst that one file can hold takes time and memory in proportion to it.
func TestLargeLoadBalancers(t *testing.T) {
	most := 20 * time.Second // a second or two where nothing else runs
	if raceDetector {
		most = 2 * time.Minute
	}
	const one = "backendPools: [{name: db, members: [10.1.0.1]}]\n"
	addresses := func(n int) string { return "[" + numbered(n, "'2001:db8::%x', ") + "]" }
	hundred := one + "frontends: [{name: a, addresses: " + addresses(100) + "}, {name: b, addresses: " + addresses(100) + "}, {name: all, address: '::'}]\nrules:\n"
	for name, tt := range map[string]struct {
		text string
		good bool
	}{
		"rules on many addresses": {hundred + numbered(1500, "- {name: r%d, frontend: a, protocol: tcp, frontendPort: %[1]d, backendPool: db}\n"), true},
		"rules that collide":      {hundred + numbered(750, "- {name: r%d, frontend: a, protocol: tcp, frontendPort: %[1]d, backendPool: db}\n- {name: s%[1]d, frontend: b, protocol: tcp, frontendPort: %[1]d, backendPool: db}\n"), false},
		"one port":                {hundred + numbered(1500, "- {name: r%d, frontend: a, protocol: tcp, frontendPort: 1, backendPool: db}\n"), false},
		"every port":              {hundred + numbered(1500, "- {name: r%d, frontend: a, protocol: all, backendPool: db}\n"), false},
		"beside all addresses":    {hundred + numbered(750, "- {name: r%d, frontend: a, protocol: udp, frontendPort: %[1]d, backendPool: db}\n- {name: s%[1]d, frontend: all, protocol: udp, frontendPort: 1%04[1]d, backendPool: db}\n"), true},
		"4096 addresses, many rules": {one + "frontends:\n" + numbered(40, "- {name: f%d, addresses: ["+numbered(100, "10.0.0.%d, ")+"]}\n") + "rules:\n" +
			numbered(1500, "- {name: r%d, frontend: f1, protocol: tcp, frontendPort: %[1]d, backendPool: db}\n"), true},
		"port ranges":   {hundred + "inboundNatRules:\n" + numbered(1500, "- {name: r%d, frontend: a, protocol: tcp, frontendPorts: %[1]d-65535, backendPool: db, backendPort: 22}\n"), false},
		"members":       {"backendPools:\n" + numbered(20, "- {name: p%d, members: ["+numbered(4000, "'2001:db8::%x', ")+"]}\n"), true},
		"forced up":     {"frontends: [{name: a, address: 10.0.0.1}]\nbackendPools: [{name: db, members: [" + numbered(5000, "{address: '2001:db8::%x', adminState: up}, ") + "]}]\nrules:\n" + numbered(1500, "- {name: r%d, frontend: a, protocol: tcp, frontendPort: %[1]d, backendPool: db}\n"), true},
		"names":         {"probes: [a]\nbackendPools:\n" + numbered(20_000, "- {name: p%d-"+strings.Repeat("x", 50)+"}\n"), false},
		"security":      {"securityGroups:\n" + numbered(10, "- name: g%d\n  rules: ["+numbered(3900, "{name: r%d, priority: 4%[1]d, access: deny}, ")+"]\n"), false},
		"unknown":       {"addressGroups: [" + numbered(3000, "{name: g%d-"+strings.Repeat("x", 50)+"}, ") + "]\nsecurityGroups: [{name: a, rules: [" + numbered(1500, "{name: r%d, priority: 100, access: deny, source: ["+strings.Repeat("y", 60)+"]}, ") + "]}]\n", false},
		"unknown pools": {"backendPools:\n" + numbered(30_000, "- {name: p%d-"+strings.Repeat("x", 50)+"}\n") + "rules:\n" + numbered(1500, "- {name: r%d, frontend: a, protocol: all, backendPool: "+strings.Repeat("y", 60)+"}\n"), false},
		"addresses":     {"addressGroups: [{name: a, addresses: [" + numbered(65_535, "'2001:db8::%x', ") + "]}]\n", true},
	} {
		start := time.Now()
		_, _, err := ParseLoadBalancer("f", []byte(tt.text))
		took := time.Since(start)
		if took > most {
			t.Errorf("%s: took %v", name, took)
		}
		if (err == nil) != tt.good {
			t.Errorf("%s: %.200s", name, fmt.Sprint(err))
		}
		t.Logf("%s: %d bytes in %v", name, len(tt.text), took)
	}
}
