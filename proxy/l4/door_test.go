package l4

import (
	"net/netip"
	"testing"

	"gatehouse/config"
)

// A door of every address is that of each of them.
func TestDoorOfEveryAddress(t *testing.T) {
	conf, _, err := config.ParseLoadBalancer("l.yaml", []byte(`
frontends: [{name: four, address: 0.0.0.0}, {name: both, address: "::"}, {name: ha, address: 10.0.0.1}]
backendPools: [{name: web, members: [10.0.0.4]}]
rules:
  - {name: four, frontend: four, protocol: tcp, frontendPort: 80, backendPool: web}
  - {name: both, frontend: both, protocol: udp, frontendPort: 53, backendPool: web}
  - {name: ha, frontend: ha, protocol: all, backendPool: web}
`))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Compile(conf, nil, NewState(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		to   string
		p    Protocol
		want string
	}{
		{"192.0.2.1:80", TCP, "four"}, {"0.0.0.0:80", TCP, "four"}, {"[2001:db8::1]:80", TCP, ""}, {"192.0.2.1:80", UDP, ""},
		{"192.0.2.1:53", UDP, "both"}, {"[2001:db8::1]:53", UDP, "both"}, {"[::]:53", UDP, "both"}, {"192.0.2.1:54", UDP, ""}, {"10.0.0.1:80", TCP, "ha"},
	} {
		got := ""
		if d := b.Door(netip.MustParseAddrPort(tt.to), tt.p); d != nil {
			got = d.Rule.Name
		}
		if got != tt.want {
			t.Errorf("%v/%s is of rule %q, want %q", tt.p, tt.to, got, tt.want)
		}
	}
}
