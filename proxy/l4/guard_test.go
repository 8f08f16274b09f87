package l4

import (
	"slices"
	"testing"
)

const guardedLab = `
frontends: [{name: public, address: 203.0.113.10}, {name: open, address: 203.0.113.11}]
backendPools: [{name: web, members: [10.0.0.1]}]
rules:
  - {name: web, frontend: public, protocol: tcp, frontendPort: 80, backendPool: web}
  - {name: other, frontend: open, protocol: tcp, frontendPort: 80, backendPool: web}
addressGroups: [{name: office, addresses: [198.51.100.0/24]}]
securityGroups:
  - name: edge
    attach: [public]
    rules:
      - {name: no-scanner, priority: 100, access: deny, source: [198.51.100.66]}
      - {name: office, priority: 200, access: allow, protocol: tcp, source: [office], destinationPorts: [80, 443]}
`

func TestASecurityGroupGuardsItsFrontend(t *testing.T) {
	l := newLab(t, guardedLab)
	for client, want := range map[string]Refusal{"198.51.100.7:4000": NotRefused, "198.51.100.66:4000": RefusedSecurity, "192.0.2.1:4000": RefusedSecurity, "10.1.2.3:4000": RefusedSecurity} {
		f := tcp(client, 80)
		if why := l.Admit(l.Door(f.Frontend, TCP), f, 0); why != want {
			t.Errorf("%s: %q, want %q", client, why, want)
		}
	}
	open := tcp("192.0.2.1:4000", 80)
	open.Frontend = l.Doors[1].Addr
	if why := l.Admit(l.Doors[1], open, 0); why != NotRefused {
		t.Errorf("a frontend without a group: %q", why)
	}
	name, g := l.Guard("public")
	if allow, rule := g.Decide(tcp("198.51.100.7:4000", 80)); !allow || rule != "office" || name != "edge" || l.Flushes("public") == nil || l.Flushes("open") != nil {
		t.Errorf("%v by %s of %s", allow, rule, name)
	}
	want := []string{"100 no-scanner does not match: source", "200 office decides"}
	if got := g.Explain(tcp("198.51.100.7:4000", 80)); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
