package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const director = `
zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
  - {name: www, zone: tm.example, routing: priority, endpoints: [{name: west, target: 203.0.113.10}, {name: east, target: East.Example.net.}]}
`

// everyDirectorKey has each key of trafficmgr.yaml, none with its default.
const everyDirectorKey = `
admin: {address: unix:run/tm.sock}
metrics: {address: ":9000"}
shutdown: {drain: 3s}
listen:
  - {address: ":5353"}
  - {address: "127.0.0.1:853", protocols: [dot], tls: {certificates: [{certFile: c, keyFile: k}]}}
  - {address: "[::1]:443", protocols: [udp, doh], path: /q, tls: {certificates: [{certFile: c, keyFile: k}], policy: AppGwSslPolicy20220101S}}
zones:
  - {name: TM.example., nameServers: [NS1.tm.example., ns2.tm.example], hostmaster: dns.tm.example, file: tm.zone, serial: 4294967295,
     ttl: 2h, negativeTTL: 5s, transfer: {keys: [Secondary]}, dnssec: {enabled: true, keyFile: tm.key}}
geo: {database: city.mmdb}
latency: {table: rtt.csv}
ecs: {trusted: []}
cookies: {enabled: false, secretFile: cookie}
nsid: "tm 1"
rateLimit: {perSecond: 10, slip: 0, ipv4Prefix: 32, ipv6Prefix: 64, exempt: [10.0.0.0/8]}
limits: {udpSize: 4096, tcpConnections: 1, tcpPerClient: 2, tcpIdle: 1s, tcpQueries: 3, waitingForWriting: 1MiB}
tsig: [{name: secondary., algorithm: hmac-sha512, secretFile: s}]
queryLog: {output: queries.log, sample: 100, dnstap: unix:tap.sock}
profiles:
  - {name: WWW, zone: TM.example, enabled: false, routing: geographic, ttl: 0s, degradedTTL: 0s, recordType: a, match: late, disabled: nxdomain, onUnhealthy: nodata, flatten: true,
     monitor: {protocol: https, path: /h?x=1, interval: 10s, toleratedFailures: 0, successes: 1, holdDown: 1m, headers: {Host: "www.example:8443", X-Probe: "yes"}, expectedStatus: [200-299, 401], tls: {verify: true, serverName: Probe.example}},
     endpoints: [{name: West, target: 203.0.113.10, enabled: false, alwaysServe: true, weight: 7, priority: 9, location: westus2, geo: [world, us-ca], subnets: [10.0.0.0/9, "2001:db8::1", 192.0.2.1-192.0.2.9], port: 443},
       {name: other, target: "::ffff:192.0.2.1", geo: [NO], monitor: {interval: 30s, headers: {}, tls: {serverName: ""}}}]}
  - {name: many, routing: multiValue, maxReturn: 10, endpoints: [{name: a, target: app.example}]}
  - {name: near, routing: subnet, unmatched: nxdomain, endpoints: [{name: a, profile: Many, minChildEndpoints: 1, minChildIPv4: 1, minChildIPv6: 1}]}
  - {name: "@", zone: tm.example, routing: weighted, sticky: {enabled: true, ipv4Prefix: 16, ipv6Prefix: 48}, endpoints: [{name: a, profile: near}, {name: b, target: 192.0.2.5, monitor: {protocol: tcp, port: 25}}, {name: c, target: 192.0.2.5, monitor: {protocol: none}}]}
`

func mustDirect(t *testing.T, text string) (*TrafficManager, Warnings) {
	t.Helper()
	m, warnings, err := ParseTrafficManager("/etc/tm/t.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m, warnings
}

// same compares what a test wrote down with what was decoded, one at a time.
func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\ngot  %+v\nwant %+v", what, got, want)
	}
}

func TestDefaultsOfATrafficManager(t *testing.T) {
	m, warnings := mustDirect(t, director)
	if len(warnings) > 0 {
		t.Errorf("warnings %v", warnings)
	}
	m.Zones[0].Pos, m.Profiles[0].Pos = Pos{}, Pos{}
	for i := range m.Profiles[0].Endpoints {
		m.Profiles[0].Endpoints[i].Pos = Pos{}
	}
	want := &TrafficManager{
		Admin:      Admin{"127.0.0.1:9903"},
		Drain:      10 * time.Second,
		Listen:     []DNSListener{{Address: netip.MustParseAddrPort("[::]:53"), Protocols: []DNSProtocol{DNSOverUDP, DNSOverTCP}, Path: "/dns-query"}},
		Zones:      []DNSZone{{Name: "tm.example", NameServers: []string{"ns1.tm.example"}, Hostmaster: "hostmaster.tm.example", TTL: time.Hour, NegativeTTL: time.Minute}},
		ECSTrusted: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
		Cookies:    DNSCookies{Enabled: true},
		RateLimit:  ResponseRateLimit{Slip: 2, IPv4Prefix: 24, IPv6Prefix: 56},
		Limits:     DNSLimits{UDPSize: 1232, TCPConnections: 1000, TCPPerClient: 50, TCPIdle: 10 * time.Second, TCPQueries: 10000, WaitingForWriting: 256 << 10},
		QueryLog:   QueryLog{Sample: 1},
		Profiles: []Profile{{
			Name: "www", Label: "www", Zone: "tm.example", Enabled: true, Routing: RoutePriority, TTL: 30 * time.Second, DegradedTTL: 30 * time.Second, MaxReturn: 2, StickyIPv4: 24, StickyIPv6: 56,
			Monitor: Monitor{Protocol: MonitorHTTP, Port: 80, Path: "/", Interval: 30 * time.Second, Timeout: 10 * time.Second, ToleratedFailures: 3, Successes: 2, ExpectedStatus: []StatusRange{{200, 200}}},
			Endpoints: []Endpoint{
				{Name: "west", Address: netip.MustParseAddr("203.0.113.10"), Enabled: true, Weight: 1, Priority: 1, MinChildEndpoints: 1},
				{Name: "east", Host: "east.example.net", Enabled: true, Weight: 1, Priority: 2, MinChildEndpoints: 1},
			},
		}},
	}
	same(t, "all of it", m, want)
}

func TestEveryKeyOfTheServer(t *testing.T) {
	m, warnings := mustDirect(t, everyDirectorKey)
	if len(warnings) != 1 || warnings[0].Path != "listen[2].tls.policy" {
		t.Errorf("warnings %v", warnings)
	}
	same(t, "admin", m.Admin.Address, "unix:/etc/tm/run/tm.sock")
	same(t, "metrics", m.Metrics.Address, "[::]:9000")
	same(t, "drain", m.Drain, 3*time.Second)
	same(t, "listeners", len(m.Listen), 3)
	same(t, "a listener's defaults", m.Listen[0], DNSListener{Address: netip.MustParseAddrPort("[::]:5353"), Protocols: []DNSProtocol{DNSOverUDP, DNSOverTCP}, Path: "/dns-query"})
	same(t, "dot", m.Listen[1].Protocols, []DNSProtocol{DNSOverTLS})
	same(t, "certificate", m.Listen[1].TLS.Certificates, []Certificate{{CertFile: "/etc/tm/c", KeyFile: "/etc/tm/k"}})
	same(t, "doh", m.Listen[2].Protocols, []DNSProtocol{DNSOverUDP, DNSOverHTTPS})
	same(t, "path", m.Listen[2].Path, "/q")
	same(t, "policy", m.Listen[2].TLS.Policy.Name, "AppGwSslPolicy20220101S")
	m.Zones[0].Pos = Pos{}
	same(t, "zone", m.Zones, []DNSZone{{
		Name: "tm.example", NameServers: []string{"ns1.tm.example", "ns2.tm.example"}, Hostmaster: "dns.tm.example", File: "/etc/tm/tm.zone", Serial: 1<<32 - 1,
		TTL: 2 * time.Hour, NegativeTTL: 5 * time.Second, TransferKeys: []string{"secondary"}, DNSSEC: DNSSEC{true, "/etc/tm/tm.key"},
	}})
	same(t, "geo", m.Geo.Database, "/etc/tm/city.mmdb")
	same(t, "latency", m.Latency.Table, "/etc/tm/rtt.csv")
	same(t, "ecs", len(m.ECSTrusted), 0)
	same(t, "cookies", m.Cookies, DNSCookies{false, "/etc/tm/cookie"})
	same(t, "nsid", m.NSID, "tm 1")
	same(t, "rate limit", m.RateLimit, ResponseRateLimit{10, 0, 32, 64, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	same(t, "limits", m.Limits, DNSLimits{4096, 1, 2, time.Second, 3, 1 << 20})
	m.TSIG[0].Pos = Pos{}
	same(t, "tsig", m.TSIG, []TSIGKey{{"secondary", "hmac-sha512", "/etc/tm/s", Pos{}}})
	same(t, "query log", m.QueryLog, QueryLog{true, "/etc/tm/queries.log", 100, "unix:/etc/tm/tap.sock"})
}

func TestEveryKeyOfAProfile(t *testing.T) {
	m, _ := mustDirect(t, everyDirectorKey)
	p := m.Profiles[0]
	monitor := Monitor{
		Protocol: MonitorHTTPS, Port: 443, Path: "/h?x=1", Interval: 10 * time.Second, Timeout: 9 * time.Second, Successes: 1, HoldDown: time.Minute,
		Headers: []Header{{"Host", "www.example:8443"}, {"X-Probe", "yes"}}, ExpectedStatus: []StatusRange{{200, 299}, {401, 401}}, VerifyTLS: true, ServerName: "probe.example",
	}
	same(t, "monitor", p.Monitor, monitor)
	ip := netip.MustParseAddr
	same(t, "endpoint", p.Endpoints[0], Endpoint{
		Name: "West", Address: ip("203.0.113.10"), AlwaysServe: true, Weight: 7, Priority: 9, Location: "West US 2", Geo: []string{"WORLD", "US-CA"},
		Subnets:           []AddressRange{{ip("10.0.0.0"), ip("10.127.255.255")}, {ip("2001:db8::1"), ip("2001:db8::1")}, {ip("192.0.2.1"), ip("192.0.2.9")}},
		MinChildEndpoints: 1, Port: 443, Pos: Pos{24, 18},
	})
	monitor.Interval, monitor.Timeout, monitor.Headers, monitor.ServerName = 30*time.Second, 10*time.Second, nil, ""
	same(t, "an endpoint's own monitor", *p.Endpoints[1].Monitor, monitor)
	same(t, "an IPv4 address in IPv6", p.Endpoints[1].Address, ip("192.0.2.1"))
	p.Monitor, p.Endpoints = Monitor{}, nil
	same(t, "profile", p, Profile{
		Name: "www", Label: "www", Zone: "tm.example", Routing: RouteGeographic, MaxReturn: 2, RecordType: RecordA, LateMatch: true, StickyIPv4: 24, StickyIPv6: 56,
		NXDomain: true, OnUnhealthy: UnhealthyNoData, Flatten: true, Pos: Pos{22, 5},
	})

	same(t, "maxReturn", m.Profiles[1].MaxReturn, 10)
	same(t, "unmatched", m.Profiles[2].UnmatchedNXDomain, true)
	nested := m.Profiles[2].Endpoints[0]
	same(t, "nested", nested.Profile, "many")
	same(t, "least children", [3]int{nested.MinChildEndpoints, nested.MinChildIPv4, nested.MinChildIPv6}, [3]int{1, 1, 1})
	apex := m.Profiles[3]
	same(t, "sticky", [2]int{apex.StickyIPv4, apex.StickyIPv6}, [2]int{16, 48})
	same(t, "is sticky", apex.Sticky, true)
	tcp := *apex.Endpoints[1].Monitor
	same(t, "tcp", [2]any{tcp.Port, tcp.Path}, [2]any{25, ""})
	same(t, "none", apex.Endpoints[2].Monitor.Protocol, MonitorNone)
}

// The monitor of one profile does not get into the next one's endpoints, and
// an endpoint gets the port of its own protocol.
func TestEndpointsInheritFromTheirOwnProfile(t *testing.T) {
	m, _ := mustDirect(t, `
zones: [{name: tm.example, file: z}]
profiles:
  - {name: a, zone: tm.example, routing: weighted, monitor: {path: /a, interval: 5s, headers: {A: b}}, endpoints: [{name: a, target: 10.0.0.1, monitor: {protocol: https}}, {name: b, target: 10.0.0.2, monitor: {path: /b}}, {name: c, target: 10.0.0.3}]}
  - {name: b, zone: tm.example, routing: weighted, endpoints: [{name: a, target: 10.0.0.1, monitor: {successes: 1}}]}
`)
	first := m.Profiles[0].Endpoints
	same(t, "https", [3]any{first[0].Monitor.Port, first[0].Monitor.Path, first[0].Monitor.Timeout}, [3]any{443, "/a", 4500 * time.Millisecond})
	same(t, "http", [2]any{first[1].Monitor.Port, first[1].Monitor.Path}, [2]any{80, "/b"})
	same(t, "none of its own", first[2].Monitor, nil)
	other := m.Profiles[1].Endpoints[0].Monitor
	same(t, "the next profile", [3]any{other.Path, other.Interval, len(other.Headers)}, [3]any{"/", 30 * time.Second, 0})
}

func TestLoadTrafficManager(t *testing.T) { testLoad(t, director, LoadTrafficManager) }

// testLoad loads a file that is not there, one that is good, and one that is
// too long.
func testLoad[T any](t *testing.T, good string, load func(file string) (*T, Warnings, error)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "t.yaml")
	if _, _, err := load(file); !os.IsNotExist(unwrap(err)) {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(file, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	if m, _, err := load(file); err != nil || m == nil {
		t.Errorf("got %+v, %v", m, err)
	}
	if err := os.WriteFile(file, make([]byte, MaxFileSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := load(file); err == nil || !strings.Contains(err.Error(), "larger than 4 MiB") {
		t.Errorf("a file that is too long: %v", err)
	}
}

func unwrap(err error) error {
	if w, ok := err.(interface{ Unwrap() error }); ok {
		return w.Unwrap()
	}
	return err
}

func TestDraftOfARefusedTrafficManager(t *testing.T) {
	testDraft(t, "127.0.0.1:9903", LoadTrafficManagerDraft, func(d *Draft) bool {
		return d.TrafficManager != nil && d.Gateway == nil && d.LoadBalancer == nil
	})
}

// testDraft reads drafts of refused files, which have a default of
// admin.address and are of the kind that isKind tells.
func testDraft(t *testing.T, admin string, load func(file string) (*Draft, error), isKind func(*Draft) bool) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "t.yaml")
	if _, err := load(file); !os.IsNotExist(unwrap(err)) {
		t.Errorf("a missing file: %v", err)
	}
	for _, tt := range []struct{ text, admin string }{
		{"profiles: nonsense\nrules: nonsense\n", admin},
		{"admin: {address: 127.0.0.1:7}\nzonez: 1\n", "127.0.0.1:7"},
		{"admin: {address: 10.0.0.1:7}\n", ""},
	} {
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if d, err := load(file); err != nil || d.AdminAddress != tt.admin || !isKind(d) {
			t.Errorf("%q: got %+v, %v", tt.text, d, err)
		}
	}
	if err := os.WriteFile(file, []byte("a: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := load(file); err == nil {
		t.Error("what is no YAML is accepted")
	}
}

func TestGeographicHierarchy(t *testing.T) {
	for _, code := range []string{"WORLD", "GEO-EU", "NO", "XK", "US-DC", "AU-ACT", "CA-YT", "GEO-AN", "AQ"} {
		if !KnownRegion(code) {
			t.Errorf("%s is not known", code)
		}
	}
	for _, code := range []string{"", "GEO-OC", "EH", "GB-ENG", "us", "XX", "UK"} {
		if KnownRegion(code) || ParentRegion(code) != "" {
			t.Errorf("%q is known", code)
		}
	}
	for code, want := range map[string]string{"WORLD": "", "GEO-AP": "WORLD", "TR": "GEO-ME", "GS": "GEO-SA", "US": "GEO-NA", "US-CA": "US", "CA": "GEO-NA"} {
		if got := ParentRegion(code); got != want {
			t.Errorf("around %s is %q, want %q", code, got, want)
		}
	}
	states, groups := 0, map[string]int{}
	for code, parent := range regionParents() {
		if isState(code) {
			states++
		} else {
			groups[parent]++
		}
	}
	want := map[string]int{"": 1, "WORLD": 8, "GEO-EU": 54, "GEO-ME": 15, "GEO-NA": 44, "GEO-AS": 38, "GEO-AF": 59, "GEO-AN": 1, "GEO-SA": 15, "GEO-AP": 26}
	if states != 72 || !reflect.DeepEqual(groups, want) {
		t.Errorf("%d states, %v", states, groups)
	}
}

func TestAzureRegions(t *testing.T) {
	for _, name := range []string{"West Europe", "westeurope", "WESTEUROPE", "west europe"} {
		if got, ok := KnownAzureRegion(name); got != "West Europe" || !ok {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "Europe", "westeurope2", strings.Repeat(" ", 100) + "westeurope"} {
		if got, ok := KnownAzureRegion(name); ok || got != "" {
			t.Errorf("%q: %q", name, got)
		}
	}
	if n := len(azureRegions()); n != 51 {
		t.Errorf("%d regions", n)
	}
}

func TestLastAddressOfAPrefix(t *testing.T) {
	for prefix, want := range map[string]string{"0.0.0.0/0": "255.255.255.255", "10.0.0.0/9": "10.127.255.255", "192.0.2.7/32": "192.0.2.7", "192.0.2.6/31": "192.0.2.7", "2001:db8::/33": "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"} {
		if got := lastOf(netip.MustParsePrefix(prefix)); got != netip.MustParseAddr(want) {
			t.Errorf("%s: %s, want %s", prefix, got, want)
		}
	}
}

func TestRoutingMethodsAreWrittenAsTheyAreRead(t *testing.T) {
	words := trafficManagerObject().schema()["properties"].(map[string]any)["profiles"].(schema)["items"].(schema)["properties"].(map[string]any)["routing"].(schema)["enum"].([]string)
	var got []string
	for m := RoutePriority; m.String() != "invalid"; m++ {
		got = append(got, m.String())
	}
	if !slices.Equal(got, words) {
		t.Errorf("%v, the table has %v", got, words)
	}
}

// What interface documents promise: endpoints without a priority come after
// those that have one, and any method takes subnets.
func TestPrioritiesThatAreLeftOutComeLast(t *testing.T) {
	conf, _, err := ParseTrafficManager("t.yaml", []byte(`zones: [{name: tm.example, nameServers: [ns1.other.example]}]
profiles:
- name: www
  zone: tm.example
  routing: priority
  endpoints:
  - {name: a, target: 10.0.0.1}
  - {name: b, target: 10.0.0.2, priority: 7, subnets: [198.51.100.0/24]}
  - {name: c, target: 10.0.0.3, priority: 2}
  - {name: d, target: 10.0.0.4}
`))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{8, 7, 2, 9} {
		if got := conf.Profiles[0].Endpoints[i].Priority; got != want {
			t.Errorf("endpoint %d has priority %d, want %d", i, got, want)
		}
	}
}
