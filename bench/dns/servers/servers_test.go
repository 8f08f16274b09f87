//go:build linux

package servers

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/dnslb/geo"
)

func setup(t *testing.T, m Method) Setup {
	t.Helper()
	s := Setup{
		Dir: t.TempDir(), Addr: netip.MustParseAddrPort("127.0.0.1:5353"), Admin: netip.MustParseAddrPort("127.0.0.1:5354"), Threads: 2,
		Method: m, Labels: Labels(3), Endpoints: Endpoints(2, false),
	}
	if m == Geographic {
		s.Endpoints, s.Database, s.Subnets = Countries(), "/tmp/countries.mmdb", true
	}
	return s
}

// variants are the setups that cases have.
func variants(t *testing.T) map[string]Setup {
	both := setup(t, Weighted)
	both.Endpoints = Endpoints(4, true)
	signed := setup(t, Weighted)
	signed.Signed = true
	probed := setup(t, Priority)
	probed.MonitorPort = 8080
	return map[string]Setup{
		"weighted": setup(t, Weighted), "priority": setup(t, Priority), "geographic": setup(t, Geographic),
		"both families": both, "signed": signed, "probed": probed,
	}
}

func TestOurOwnConfigurationIsAccepted(t *testing.T) {
	for name, s := range variants(t) {
		t.Run(name, func(t *testing.T) {
			files, err := Render("trafficmgr", s)
			if err != nil {
				t.Fatal(err)
			}
			c, warnings, err := config.ParseTrafficManager("trafficmgr.yaml", files["trafficmgr.yaml"])
			if err != nil || len(warnings) > 0 {
				t.Fatalf("%v, warnings %v", err, warnings)
			}
			checkConfiguration(t, s, c)
		})
	}
}

func checkConfiguration(t *testing.T, s Setup, c *config.TrafficManager) {
	t.Helper()
	if len(c.Profiles) != len(s.Labels) || c.Zones[0].DNSSEC.Enabled != s.Signed || c.Listen[0].Address != s.Addr {
		t.Fatalf("%d profiles, %+v, %+v", len(c.Profiles), c.Zones, c.Listen)
	}
	p := c.Profiles[0]
	want := len(s.Endpoints)
	if s.IPv6() {
		want *= 2
	}
	if len(p.Endpoints) != want || p.Routing.String() != string(s.Method) || p.TTL.Seconds() != float64(TTL) {
		t.Errorf("%d endpoints, want %d; %+v", len(p.Endpoints), want, p)
	}
	if probed := p.Monitor.Protocol == config.MonitorHTTP; probed != (s.MonitorPort > 0) {
		t.Errorf("monitor: %+v", p.Monitor)
	}
	if s.MonitorPort > 0 && (p.Monitor.ToleratedFailures != MonitorFailures-1 || p.Monitor.Interval.Seconds() != MonitorInterval) {
		t.Errorf("monitor: %+v", p.Monitor)
	}
}

// The others check what they can by themselves.
func TestTheOthersAcceptTheirConfigurations(t *testing.T) {
	checks := map[string]func(s Setup) []string{
		"gdnsd": func(s Setup) []string { return []string{lookPath("gdnsd"), "-c", s.Dir, "checkconf"} },
		"knot":  func(s Setup) []string { return []string{lookPath("knotc"), "-c", s.File("knot.conf"), "conf-check"} },
		"pdns": func(s Setup) []string {
			return []string{lookPath("pdns_server"), "--config-dir=" + s.Dir, "--config=check"}
		},
	}
	database := filepath.Join(t.TempDir(), "countries.mmdb")
	if err := WriteDatabase(database); err != nil {
		t.Fatal(err)
	}
	for server, argv := range checks {
		if _, err := Find(server); err != nil {
			t.Log(err)
			continue
		}
		for name, s := range variants(t) {
			if !Can(server, s.Method) || s.Signed && server == "gdnsd" {
				continue
			}
			if s.Database != "" {
				s.Database = database
			}
			if err := Rewrite(server, s); err != nil {
				t.Fatal(err)
			}
			command := argv(s)
			if text, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
				t.Errorf("%s, %s: %v: %s", server, name, err, text)
			}
		}
	}
}

func TestTheWrittenDatabaseIsTheBuiltInOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countries.mmdb")
	if err := WriteDatabase(path); err != nil {
		t.Fatal(err)
	}
	written, err := geo.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	for i := range uint32(1 << 16) {
		n := i * 0x9e3779b1 // scattered over all addresses
		addr := netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), 0})
		want := geo.Builtin().Lookup(addr)
		if got := written.Lookup(addr); got != want {
			t.Fatalf("%s: %+v, want %+v", addr, got, want)
		}
		if want.Country != "" {
			known++
		}
	}
	if known < 1<<15 {
		t.Errorf("only %d of %d addresses have a country", known, 1<<16)
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := Find("trafficmgr")
	if err == nil || !strings.Contains(err.Error(), "go build -o bin/trafficmgr") {
		t.Errorf("got %v", err)
	}
	if _, err := Find("bind"); err == nil || !strings.Contains(err.Error(), "unknown server") {
		t.Errorf("got %v", err)
	}
}

func TestVersionsAreOneLine(t *testing.T) {
	tests := []struct{ line, want string }{
		{"Nov 28 21:30:00 PowerDNS Authoritative Server 4.7.3 (C) 2001-2022 PowerDNS.COM BV\n", "PowerDNS Authoritative Server 4.7.3"},
		{"gdnsd version 3.8.1\n", "gdnsd version 3.8.1"},
	}
	for _, tt := range tests {
		if got := trimVersion(tt.line); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestRewriteTakesAnotherTTL(t *testing.T) {
	for _, server := range Names() {
		s := setup(t, Weighted)
		s.OtherTTL = 4711
		if err := Rewrite(server, s); err != nil {
			t.Fatal(err)
		}
		found := false
		for _, name := range []string{"trafficmgr.yaml", "config", "knot.conf", "zones.yaml"} {
			text, err := os.ReadFile(s.File(name))
			found = found || err == nil && strings.Contains(string(text), "4711")
		}
		if !found {
			t.Errorf("%s: no file has it", server)
		}
	}
}
