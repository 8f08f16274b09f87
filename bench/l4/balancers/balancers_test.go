//go:build linux

package balancers

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/config"
)

// variants are the setups that cases have.
func variants(t *testing.T) map[string]Setup {
	t.Helper()
	at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port) }
	one := Setup{
		Dir: t.TempDir(), Admin: at(18000), Protocol: TCP, Rules: []netip.AddrPort{at(18001)}, Workers: 2, MaxFiles: 20_000,
		Members: []netip.AddrPort{at(8081), netip.MustParseAddrPort("127.0.0.2:8082")}, Module: DefaultModule,
	}
	udp, bulk, many := one, one, one
	udp.Protocol, bulk.Bulk = UDP, true
	many.Rules = nil
	for i := range uint16(1000) {
		many.Rules = append(many.Rules, at(19000+i))
	}
	return map[string]Setup{"one": one, "udp": udp, "bulk": bulk, "many": many}
}

func TestOurOwnConfigurationIsAccepted(t *testing.T) {
	for name, s := range variants(t) {
		t.Run(name, func(t *testing.T) {
			text, err := Render("l4lb", s)
			if err != nil {
				t.Fatal(err)
			}
			c, warnings, err := config.ParseLoadBalancer("l4lb.yaml", text)
			if err != nil || len(warnings) > 0 {
				t.Fatalf("%v, warnings %v", err, warnings)
			}
			last := c.Rules[len(c.Rules)-1]
			members := c.BackendPools[0].Members
			got := fmt.Sprintln(len(c.Rules), last.Protocol, last.FrontendPort, c.Frontends[0].Addresses, len(members), members[1].Port)
			want := fmt.Sprintln(len(s.Rules), s.Protocol, s.Rules[len(s.Rules)-1].Port(), "[127.0.0.1]", 2, 8082)
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// The others check what they can by themselves.
func TestTheOthersAcceptTheirConfigurations(t *testing.T) {
	checks := map[string]func(s Setup) []string{
		"haproxy": func(s Setup) []string { return []string{"-c", "-f", s.File("haproxy.cfg")} },
		"nginx": func(s Setup) []string {
			return []string{"-t", "-p", s.Dir, "-c", s.File("nginx.conf"), "-e", s.File("error.log")}
		},
	}
	for balancer, args := range checks {
		program, err := Programs{}.Find(balancer)
		if err != nil {
			t.Log(err)
			continue
		}
		for name, s := range variants(t) {
			if !Can(balancer, s.Protocol) {
				continue
			}
			if err := Write(balancer, s); err != nil {
				t.Fatal(err)
			}
			if text, err := exec.Command(program, args(s)...).CombinedOutput(); err != nil || strings.Contains(string(text), "WARN") {
				t.Errorf("%s, %s: %v: %s", balancer, name, err, text)
			}
		}
	}
}

func TestWhoIsNotThere(t *testing.T) {
	p := Programs{Paths: map[string]string{"l4lb": filepath.Join(t.TempDir(), "l4lb"), "nginx": "/bin/sh"}, Module: filepath.Join(t.TempDir(), "stream.so")}
	tests := []struct{ balancer, want string }{
		{"l4lb", "go build -o bin/l4lb"},
		{"nginx", "libnginx-mod-stream"},
		{"ipvs", "unknown balancer"},
	}
	for _, tt := range tests {
		if path, err := p.Find(tt.balancer); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %s, %v", tt.balancer, path, err)
		}
	}
	if got := p.Version("l4lb"); got != "not installed" {
		t.Errorf("version %q", got)
	}
	if Can("haproxy", UDP) || !Can("haproxy", TCP) || !Can("nginx", UDP) {
		t.Error("who can UDP")
	}
}
