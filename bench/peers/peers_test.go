//go:build linux

package peers

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/bench/load"
	"gatehouse/bench/origin"
	"gatehouse/bench/traffic"
	"gatehouse/config"
)

// setup is a whole Setup without anything behind it.
func setup(t *testing.T, hosts int, logs bool) Setup {
	t.Helper()
	var ports Ports
	s := Setup{Dir: t.TempDir(), Origin: netip.MustParseAddrPort("127.0.0.1:9"), Workers: 2, MaxFiles: 20000, Logs: logs, Format: "combined", Root: os.Getuid() == 0}
	for _, addr := range []*netip.AddrPort{&s.HTTP, &s.HTTPS, &s.H2, &s.H3, &s.Admin} {
		var err error
		if *addr, err = ports.Take(); err != nil {
			t.Fatal(err)
		}
	}
	s.Single, s.HostNames = hosts == 0, HostNames(hosts)
	if s.Single {
		s.HostNames = []string{SingleHost}
	}
	var err error
	if s.Cert, s.Key, err = WriteCertificate(s.Dir); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheGatewayAcceptsItsConfiguration(t *testing.T) {
	for _, hosts := range []int{0, 1, 10_000} {
		s := setup(t, hosts, hosts != 1)
		files, err := Render("appgw", s)
		if err != nil {
			t.Fatal(err)
		}
		g, warnings, err := config.ParseGateway(s.Dir+"/appgw.yaml", files["appgw.yaml"])
		if err != nil {
			t.Fatalf("%d hosts: %v", hosts, err)
		}
		want := max(hosts, 4)
		if hosts == 1 {
			want = 1
		}
		if len(g.Listeners) != want || len(g.Rules) != want {
			t.Errorf("%d hosts: %d listeners, %d rules", hosts, len(g.Listeners), len(g.Rules))
		}
		if logged := g.Logs.Access.Format == config.AccessCombined; logged != s.Logs || g.Logs.Access.Output != s.Log() {
			t.Errorf("access log %+v, wanted: %v", g.Logs.Access, s.Logs)
		}
		if hosts <= 1 && len(warnings) > 0 {
			t.Logf("warnings: %v", warnings)
		}
	}
}

func TestTheGatewayAcceptsItsCompression(t *testing.T) {
	s := setup(t, 0, true)
	s.Compress = true
	files, err := Render("appgw", s)
	if err != nil {
		t.Fatal(err)
	}
	g, warnings, err := config.ParseGateway(s.Dir+"/appgw.yaml", files["appgw.yaml"])
	if err != nil || len(g.CompressionPolicies) != 1 || g.Listeners[0].Compression != "json" {
		t.Fatalf("%v, warnings %v", err, warnings)
	}
}

func TestTheGatewayAcceptsItsFirewall(t *testing.T) {
	for system, want := range map[string]config.Acceleration{"appgw-waf": config.AccelerationOn, "appgw-plain": config.AccelerationOff} {
		for _, responses := range []bool{false, true} {
			s := setup(t, 0, true)
			s.Responses = responses
			files, err := Render(system, s)
			if err != nil {
				t.Fatal(err)
			}
			g, warnings, err := config.ParseGateway(s.Dir+"/appgw.yaml", files["appgw.yaml"])
			if err != nil || len(g.WAFPolicies) != 1 {
				t.Fatalf("%s: %v, warnings %v", system, err, warnings)
			}
			p := &g.WAFPolicies[0]
			if g.WAFPolicy != p.Name || !p.Enabled || p.Mode != config.WAFPrevention || p.Acceleration != want || p.ResponseBody.Inspect != responses {
				t.Errorf("%s: %+v", system, p)
			}
			if r := &p.RuleSet; r.Profile != config.ProfileCRS || r.Paranoia != 1 || r.MaxArgs != 255 || g.Logs.WAF.Output != s.FirewallLog() {
				t.Errorf("%s: rules %+v, log %+v", system, r, g.Logs.WAF)
			}
		}
	}
	files, err := Render("appgw", setup(t, 0, true))
	if err != nil || strings.Contains(string(files["appgw.yaml"]), "waf") {
		t.Errorf("%v: appgw alone has a firewall:\n%s", err, files["appgw.yaml"])
	}
}

// ModSecurity accepts the rules, lets all kinds of ordinary requests pass and
// stops attacks; which the rules for responses need not change.
func TestModSecurityTellsAttacksFromTheRest(t *testing.T) {
	if _, err := Find("nginx-modsecurity", ""); err != nil {
		t.Skip(err)
	}
	backend, err := origin.Start(netip.MustParseAddrPort("127.0.0.1:0"), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	s := setup(t, 0, true)
	s.Origin, s.Responses = backend.Addr(), true
	p, err := Start("nginx-modsecurity", "", s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	if !p.Setup.Firewall.On() || p.Setup.Firewall != ModSecurity {
		t.Errorf("firewall %v", p.Setup.Firewall)
	}
	o := load.Options{Addr: s.HTTP, Host: SingleHost, Length: load.AnyLength, Conns: 2, Duration: 100 * time.Millisecond, AtLeast: 5}
	try := func() error {
		o.Path = "/128"
		h, err := load.Hold(t.Context(), o)
		if err == nil {
			h.Close()
		}
		return err
	}
	if err := p.AwaitReady(t.Context(), 20*time.Second, try); err != nil {
		t.Fatal(err)
	}
	for _, o.Traffic = range traffic.Kinds() {
		o.Path, o.Status = "/shop/item", 200
		if o.Traffic == "attack" {
			o.Status = 403
		}
		if r, err := load.Run(t.Context(), o); err != nil || r.Failed() != 0 || r.Requests == 0 {
			t.Errorf("%s: %+v, %v", o.Traffic, r, err)
		}
	}
}

func TestEveryLinkOfAChainHasActions(t *testing.T) {
	files, err := coreRules()
	if err != nil {
		t.Fatal(err)
	}
	bare := 0
	for name, text := range files {
		joined := strings.ReplaceAll(string(text), "\\\n", " ")
		for line := range strings.Lines(joined) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "SecRule ") && strings.Count(line, `"`) < 4 {
				t.Errorf("%s: %s", name, line)
			}
			if strings.HasSuffix(line, `"@eq 1" "t:none"`) {
				bare++
			}
		}
	}
	if bare != 2 || len(files) < 30 {
		t.Errorf("%d files, %d links mended, want 2", len(files), bare)
	}
}

func TestAFirewallIsPartOfAProgram(t *testing.T) {
	for system, want := range map[string]string{"appgw-waf": "appgw", "appgw-plain": "appgw", "nginx-modsecurity": "nginx", "haproxy": "haproxy"} {
		if got := Base(system); got != want {
			t.Errorf("%s without its firewall is %s, want %s", system, got, want)
		}
	}
	for _, system := range WithFirewall() {
		if k, err := kindOf(system); err != nil || !k.firewall.On() || !strings.Contains(LogStyle(system), "blocked") {
			t.Errorf("%s: %+v, %v", system, k, err)
		}
	}
}

func TestLogsForwardedAndHostsReachEveryConfiguration(t *testing.T) {
	tests := []struct {
		system, file     string
		log, forwarded   string
		host             string
		addsAnyway, many bool
	}{
		{system: "nginx", file: "nginx.conf", log: "combined buffer=64k", forwarded: "X-Forwarded-For", host: "server_name h9.bench.test;"},
		{system: "haproxy", file: "haproxy.cfg", log: "option httplog", forwarded: "option forwardfor", host: ""},
		{system: "haproxy", file: "hosts.map", host: "h9.bench.test origin\n"},
		{system: "caddy", file: "Caddyfile", log: "output file", host: " h9.bench.test"},
	}
	for _, tt := range tests {
		t.Run(tt.system+" "+tt.file, func(t *testing.T) {
			for _, on := range []bool{false, true} {
				s := setup(t, 10, on)
				s.Forwarded = on
				files, err := Render(tt.system, s)
				if err != nil {
					t.Fatal(err)
				}
				text := string(files[tt.file])
				if tt.log != "" && strings.Contains(text, tt.log) != on {
					t.Errorf("logs %v:\n%s", on, text)
				}
				if tt.forwarded != "" && strings.Contains(text, tt.forwarded) != on {
					t.Errorf("forwarded %v:\n%s", on, text)
				}
				if !strings.Contains(text, tt.host) || strings.Contains(text, "<no value>") {
					t.Errorf("host %q is missing:\n%s", tt.host, text)
				}
			}
		})
	}
}

func TestAnUnknownSystemIsRefused(t *testing.T) {
	if _, err := Render("apache", Setup{}); err == nil || !strings.Contains(err.Error(), "nginx") {
		t.Errorf("error %v", err)
	}
}

func TestPortsDiffer(t *testing.T) {
	var ports Ports
	seen := make(map[netip.AddrPort]bool)
	for range 20 {
		addr, err := ports.Take()
		if err != nil || seen[addr] {
			t.Fatalf("%v again, or %v", addr, err)
		}
		seen[addr] = true
	}
}

// Every installed peer serves plain and TLS, keeps connections, and logs one
// line for each request if and only if it is told to.
func TestEveryPeerProxiesAndLogs(t *testing.T) {
	backend, err := origin.Start(netip.MustParseAddrPort("127.0.0.1:0"), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	for _, system := range []string{"nginx", "haproxy", "caddy"} {
		if _, err := Find(system, ""); err != nil {
			t.Logf("not tried: %v", err)
			continue
		}
		for _, logs := range []bool{true, false} {
			s := setup(t, 0, logs)
			s.Origin = backend.Addr()
			t.Run(system, func(t *testing.T) { tryPeer(t, system, s) })
		}
		many := setup(t, 30, true)
		many.Origin = backend.Addr()
		t.Run(system+" with many hosts", func(t *testing.T) { tryPeer(t, system, many) })
	}
}

func tryPeer(t *testing.T, system string, s Setup) {
	p, err := Start(system, "", s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	o := load.Options{Addr: s.HTTP, Path: "/10k", Host: SingleHost, Length: 10 << 10, Conns: 4, Duration: 300 * time.Millisecond, AtLeast: 5}
	if !s.Single {
		o.Host, o.Hosts = HostPattern, len(s.HostNames)
	}
	requests := 0
	try := func() error {
		h, err := load.Hold(t.Context(), o)
		if err == nil {
			requests += o.Conns
			h.Close()
		}
		return err
	}
	if err := p.AwaitReady(t.Context(), 20*time.Second, try); err != nil {
		t.Fatal(err)
	}
	if want := map[string]int{"nginx": 3, "haproxy": 1, "caddy": 1}[system]; len(p.PIDs) != want {
		t.Errorf("processes %v, want %d", p.PIDs, want)
	}
	p.Setup.Workers++
	if err := p.listProcesses(); system == "nginx" && err == nil {
		t.Error("a worker that is missing is not missed")
	}
	drive(t, o, &requests)
	if s.Single {
		o.Addr, o.TLS = s.HTTPS, &load.TLSOptions{ServerName: SingleHost, CertFile: s.Cert}
		drive(t, o, &requests)
		o.PerRequest = true
		drive(t, o, &requests)
		o.Addr, o.TLS, o.PerRequest, o.Streams = s.H2, nil, false, 4
		drive(t, o, &requests)
		if slices.Contains(WithQUIC(), system) {
			o.Addr, o.TLS, o.QUIC = s.H3, &load.TLSOptions{ServerName: SingleHost, CertFile: s.Cert}, true
			drive(t, o, &requests)
		}
	}
	p.Stop()
	checkLog(t, s, requests)
}

func drive(t *testing.T, o load.Options, requests *int) {
	t.Helper()
	r, err := load.Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed() != 0 || r.Requests == 0 || r.Reconnects != 0 {
		t.Errorf("%+v", r)
	}
	*requests += int(r.Total)
}

func checkLog(t *testing.T, s Setup, requests int) {
	t.Helper()
	text, err := os.ReadFile(s.Log())
	lines := strings.Count(string(text), "/10k")
	if !s.Logs {
		if lines > 0 {
			t.Errorf("%d lines although logs are off", lines)
		}
		return
	}
	// Those under way at the end of a run are logged, but not counted; and
	// HAProxy drops a line when another thread is writing one.
	if err != nil || lines < requests*98/100 || lines > requests+requests/10+100 {
		t.Errorf("%d lines for %d requests, %v", lines, requests, err)
	}
}
