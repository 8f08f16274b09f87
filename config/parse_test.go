package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// backends is what a configuration needs so that nothing dangles.
const backends = `
backendPools: [{name: app, targets: [10.0.0.4]}]
backendSettings: [{name: plain}]
`

// web is a listener with a rule, on top of backends.
const web = backends + `
listeners: [{name: web, address: 8080}]
rules: [{name: web, listener: web, backendPool: app, backendSettings: plain}]
`

func mustParse(t *testing.T, text string) (*Gateway, Warnings) {
	t.Helper()
	g, warnings, err := ParseGateway("/etc/appgw/appgw.yaml", []byte(text))
	if err != nil {
		t.Fatalf("ParseGateway: %v", err)
	}
	return g, warnings
}

func TestDefaultsOfTheSmallestConfiguration(t *testing.T) {
	g, warnings := mustParse(t, web)
	if len(warnings) != 0 {
		t.Errorf("warnings = %v, want none", warnings)
	}
	want := &Gateway{
		Admin: Admin{Address: "127.0.0.1:9901"},
		Logs:  Logs{Access: AccessLog{Output: "stdout", Format: AccessJSON}, WAF: WAFLog{Output: "stdout"}},
		Limits: Limits{
			HeadBytes: 32 << 10, Fields: 100, URLBytes: 8 << 10, HeadTimeout: 10 * time.Second, BodyMinRate: 500,
			IdleTimeout: 75 * time.Second, TunnelIdleTimeout: time.Hour, WriteStall: 30 * time.Second,
			ConnectionsPerClient: 1000, ResponseHeadBytes: 64 << 10, HeldBytes: 256 << 20, HeldBytesPerClient: 32 << 20, CompressionCPU: 50, CompressionBytes: 64 << 20,
		},
		Drain: 30 * time.Second,
		Listeners: []Listener{{
			Name: "web", Address: netip.MustParseAddrPort("[::]:8080"), Pos: Pos{5, 13},
		}},
		BackendPools: []BackendPool{{
			Name: "app", Targets: []Target{{Host: "10.0.0.4", Weight: 1, Priority: 1}}, Resolve: 30 * time.Second, Pos: Pos{2, 16},
		}},
		BackendSettings: []BackendSettings{{
			Name: "plain", Port: 80, RequestTimeout: 20 * time.Second, ConnectTimeout: 5 * time.Second, Drain: 30 * time.Second,
			Affinity: Affinity{Cookie: "ApplicationGatewayAffinity"},
			Retries:  Retries{OnConnectFailure: true, OnStatus: []int{}, Attempts: 1, Budget: 20},
			TLS:      BackendTLS{Verify: true},
			Adaptive: Adaptive{Min: 5, Tolerance: 200},
			Queue:    Queue{Timeout: 5 * time.Second}, Ejection: Ejection{ConnectFailures: 5, Time: 10 * time.Second, MaxTime: time.Minute, MaxShare: 100}, Pos: Pos{3, 19},
		}},
		Rules: []Rule{{
			Name: "web", Listener: "web", Action: Action{BackendPool: "app", BackendSettings: "plain"}, Pos: Pos{6, 9},
		}},
	}
	if !reflect.DeepEqual(g, want) {
		t.Errorf("got  %+v\nwant %+v", g, want)
	}
}

// Everything that can be said, said differently from its default.
const everything = `
admin: {address: "unix:run/admin.sock"}
metrics: {address: :9100}
logs: {access: {output: log/access.log, format: off}}
limits:
  headBytes: 16KB
  fields: 50
  urlBytes: 4096
  headTimeout: 5s
  bodyMinRate: 0
  idleTimeout: 1m30s
  tunnelIdleTimeout: 0s
  writeStall: 10s
  connections: 5000
  connectionsPerClient: 0
  responseHeadBytes: 48 KiB
  heldBytes: 64MiB
  heldBytesPerClient: 8MiB
trustedProxies: [10.0.0.0/8, 192.0.2.1, "2001:db8::/32"]
forwardedFor: azure
affinity: {secretFile: secret}
shutdown: {drain: 1m}
errorPages: {404: pages/404.html, 502: /srv/502.html}
listeners:
  - name: shop
    address: 127.0.0.1:8443
    protocol: https
    hostNames: [Shop.Example., "*.shop.example"]
    http3: false
    tls:
      certificates: [{certFile: certs/shop.crt, keyFile: /keys/shop.key}]
      policy: {minVersion: TLSv1_2, maxVersion: 1.3, cipherSuites: [ECDHE-ECDSA-AES128-GCM-SHA256]}
      clientAuth: {mode: strict, caFile: certs/clients.pem, crlFile: certs/clients.crl, verifyIssuerDN: true, forward: rfc9440}
    errorPages: {503: down.html}
    accessRules:
      - {name: scanner, priority: 100, action: deny, source: [198.51.100.0/24]}
      - {priority: 200, action: allow, source: [0.0.0.0/0]}
    proxyProtocol: {accept: [127.0.0.0/8]}
    encodedSlash: keep
    duplicateSlashes: keep
  - {name: web, address: "[::1]:8080"}
backendPools:
  - name: shop
    targets:
      - "10.0.0.5:8081"
      - {address: App.Internal, weight: 3, priority: 2}
      - unix:app.sock
      - "[2001:db8::1]:81"
      - 2001:db8::2
    balance: hash
    hash: {on: "header:X-User", balanceFactor: 125}
    slowStart: 1m
    minHealthy: 50%
    panicThreshold: 30%
    resolve: 5s
backendSettings:
  - name: secure
    protocol: https
    requestTimeout: 1500ms
    connectTimeout: 1s
    affinity: {enabled: true, cookie: sticky}
    drain: 0s
    hostName: shop.internal:444
    pathOverride: /v2/
    probe: home
    retries: {on: [timeout, reset], onStatus: [503], attempts: 3, budget: 40%, perTryTimeout: 1s, backoff: 2s}
    maxConnections: 10
    maxRequests: 20
    adaptive: {max: 50, min: 2, tolerance: 150}
    hedge: {after: 100ms}
    queue: {length: 30, timeout: 40s}
    tls: {caFile: ca.pem, serverName: shop.internal, verify: false, clientCertificate: {certFile: certs/self.crt, keyFile: /keys/self.key}}
    ejection: {connectFailures: 0, serverErrors: 7, time: 1s, maxTime: 1h, maxShare: 50%}
  - {name: unprobed, port: 8000, pickHostFromBackend: true, probe: off}
probes:
  - name: home
    protocol: https
    host: shop.internal
    path: /healthz?full
    port: 9000
    interval: 5s
    timeout: 2s
    unhealthyThreshold: 2
    healthyThreshold: 3
    startUnhealthy: true
    match: {status: [200, 300-399], body: ok}
pathMaps:
  - name: shop
    default: {backendPool: shop, backendSettings: secure}
    paths:
      - {paths: [/images/*, /Static], backendPool: shop, backendSettings: unprobed}
      - {paths: [/old/*], redirect: home}
redirects:
  - {name: home, type: temporary, target: {url: "https://www.shop.example/"}, includePath: false, includeQuery: false}
  - {name: to-shop, target: {listener: shop}}
rules:
  - {name: shop, priority: 10, listener: shop, pathMap: shop}
  - {name: web, priority: 20, listener: web, redirect: to-shop}
`

func TestEveryKeyLandsInItsField(t *testing.T) {
	g, warnings := mustParse(t, everything)
	if len(warnings) != 0 {
		t.Errorf("warnings = %v, want none", warnings)
	}
	want := &Gateway{
		Admin:   Admin{Address: "unix:/etc/appgw/run/admin.sock"},
		Metrics: Metrics{Address: "[::]:9100"},
		Logs:    Logs{Access: AccessLog{Output: "/etc/appgw/log/access.log", Format: AccessOff}, WAF: WAFLog{Output: "stdout"}},
		Limits: Limits{
			HeadBytes: 16000, Fields: 50, URLBytes: 4096, HeadTimeout: 5 * time.Second, IdleTimeout: 90 * time.Second,
			WriteStall: 10 * time.Second, Connections: 5000, ResponseHeadBytes: 48 << 10, HeldBytes: 64 << 20, HeldBytesPerClient: 8 << 20, CompressionCPU: 50, CompressionBytes: 64 << 20,
		},
		TrustedProxies:     prefixes("10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"),
		ForwardedFor:       ForwardedForAzure,
		AffinitySecretFile: "/etc/appgw/secret",
		Drain:              time.Minute,
		ErrorPages:         map[int]string{404: "/etc/appgw/pages/404.html", 502: "/srv/502.html"},
		Listeners:          wantListeners(),
		BackendPools:       wantPools(), BackendSettings: wantSettings(), Probes: wantProbes(),
		PathMaps: []PathMap{{
			Name: "shop", Default: Action{BackendPool: "shop", BackendSettings: "secure"},
			Paths: []PathRule{
				{Paths: []string{"/images/*", "/Static"}, Action: Action{BackendPool: "shop", BackendSettings: "unprobed"}},
				{Paths: []string{"/old/*"}, Action: Action{Redirect: "home"}},
			},
		}},
		Redirects: []Redirect{
			{Name: "home", Status: 307, TargetURL: "https://www.shop.example/"},
			{Name: "to-shop", Status: 302, TargetListener: "shop", IncludePath: true, IncludeQuery: true},
		},
		Rules: []Rule{
			{Name: "shop", Priority: 10, Listener: "shop", PathMap: "shop"},
			{Name: "web", Priority: 20, Listener: "web", Action: Action{Redirect: "to-shop"}},
		},
	}
	clearPositions(reflect.ValueOf(g).Elem())
	if !reflect.DeepEqual(g, want) {
		t.Errorf("got  %+v\nwant %+v", g, want)
	}
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func wantListeners() []Listener {
	return []Listener{{
		Name: "shop", Address: netip.MustParseAddrPort("127.0.0.1:8443"), Protocol: ListenerHTTPS,
		HostNames: []string{"shop.example", "*.shop.example"},
		TLS: ListenerTLS{
			Certificates: []Certificate{{CertFile: "/etc/appgw/certs/shop.crt", KeyFile: "/keys/shop.key"}},
			Policy:       TLSPolicy{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}},
			Staple:       true, ClientAuth: ClientAuth{Mode: ClientAuthStrict, CAFile: "/etc/appgw/certs/clients.pem", CRLFile: "/etc/appgw/certs/clients.crl", VerifyIssuerDN: true, Forward: ForwardRFC9440},
		},
		ErrorPages: map[int]string{503: "/etc/appgw/down.html"},
		AccessRules: []AccessRule{
			{Name: "scanner", Priority: 100, Deny: true, Sources: prefixes("198.51.100.0/24")},
			{Priority: 200, Sources: prefixes("0.0.0.0/0")},
		},
		ProxyProtocol: prefixes("127.0.0.0/8"), EncodedSlash: EncodedSlashKeep, DuplicateSlashes: DuplicateSlashesKeep,
	}, {Name: "web", Address: netip.MustParseAddrPort("[::1]:8080")}}
}

func wantPools() []BackendPool {
	return []BackendPool{{
		Name: "shop", Balance: Hash, Hash: HashKey{On: HashHeader, Name: "X-User", BalanceFactor: 125},
		SlowStart: time.Minute, MinHealthy: 50, PanicThreshold: 30, Resolve: 5 * time.Second,
		Targets: []Target{
			{Host: "10.0.0.5", Port: 8081, Weight: 1, Priority: 1}, {Host: "app.internal", Weight: 3, Priority: 2}, {Unix: "/etc/appgw/app.sock", Weight: 1, Priority: 1},
			{Host: "2001:db8::1", Port: 81, Weight: 1, Priority: 1}, {Host: "2001:db8::2", Weight: 1, Priority: 1},
		},
	}}
}

func wantSettings() []BackendSettings {
	return []BackendSettings{{
		Name: "secure", Protocol: BackendHTTPS, Port: 443, RequestTimeout: 1500 * time.Millisecond, ConnectTimeout: time.Second,
		Affinity: Affinity{Enabled: true, Cookie: "sticky"}, HostName: "shop.internal:444", PathOverride: "/v2/", Probe: "home",
		Retries: Retries{OnTimeout: true, OnReset: true, OnStatus: []int{503}, PerTry: time.Second, Backoff: 2 * time.Second, Attempts: 3, Budget: 40}, MaxConnections: 10, MaxRequests: 20, Adaptive: Adaptive{Max: 50, Min: 2, Tolerance: 150}, Hedge: Hedge{After: 100 * time.Millisecond}, Queue: Queue{Length: 30, Timeout: 40 * time.Second},
		TLS: BackendTLS{CAFile: "/etc/appgw/ca.pem", ServerName: "shop.internal", ClientCertificate: Certificate{CertFile: "/etc/appgw/certs/self.crt", KeyFile: "/keys/self.key"}}, Ejection: Ejection{ServerErrors: 7, Time: time.Second, MaxTime: time.Hour, MaxShare: 50},
	}, {
		Name: "unprobed", Port: 8000, RequestTimeout: 20 * time.Second, ConnectTimeout: 5 * time.Second, Drain: 30 * time.Second,
		Affinity: Affinity{Cookie: "ApplicationGatewayAffinity"}, PickHostFromBackend: true, Probe: "off",
		Retries: Retries{OnConnectFailure: true, OnStatus: []int{}, Attempts: 1, Budget: 20}, TLS: BackendTLS{Verify: true},
		Adaptive: Adaptive{Min: 5, Tolerance: 200}, Queue: Queue{Timeout: 5 * time.Second}, Ejection: Ejection{ConnectFailures: 5, Time: 10 * time.Second, MaxTime: time.Minute, MaxShare: 100},
	}}
}

func wantProbes() []Probe {
	return []Probe{{
		Name: "home", Protocol: ProbeHTTPS, Host: "shop.internal", Path: "/healthz?full", Port: 9000, Interval: 5 * time.Second,
		Timeout: 2 * time.Second, UnhealthyThreshold: 2, HealthyThreshold: 3, StartUnhealthy: true,
		Match: ProbeMatch{Status: []StatusRange{{200, 200}, {300, 399}}, Body: "ok"},
	}}
}

// clearPositions zeroes every Pos within v.
func clearPositions(v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[Pos]():
		v.SetZero()
	case v.Type().PkgPath() == "net/netip":
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			clearPositions(v.Field(i))
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			clearPositions(v.Index(i))
		}
	}
}

func TestListenAddressForms(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"port", "8080", "[::]:8080"},
		{"colon port", ":8080", "[::]:8080"},
		{"all of IPv6", "'[::]:8080'", "[::]:8080"},
		{"all of IPv4", "0.0.0.0:8080", "0.0.0.0:8080"},
		{"IPv6", "'[::1]:8080'", "[::1]:8080"},
		{"mapped IPv4", "'[::ffff:127.0.0.1]:8080'", "127.0.0.1:8080"},
		{"any port on loopback", "127.0.0.1:0", "127.0.0.1:0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, _ := mustParse(t, strings.Replace(web, "8080", tt.text, 1))
			if got := g.Listeners[0].Address.String(); got != tt.want {
				t.Errorf("address = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestHostFieldForms(t *testing.T) {
	for text, want := range map[string]string{
		"App.Example": "app.example", "app.example:81": "app.example:81", "10.0.0.1": "10.0.0.1", "'[::1]:81'": "[::1]:81", "'[::1]'": "[::1]",
	} {
		g, _ := mustParse(t, strings.Replace(web, "name: plain", "name: plain, hostName: "+text, 1))
		if got := g.BackendSettings[0].HostName; got != want {
			t.Errorf("hostName %s = %q, want %q", text, got, want)
		}
	}
}

func TestLoadReadsAFileAndItsDirectory(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "appgw.yaml")
	if err := os.WriteFile(file, []byte(web+"affinity: {secretFile: secret}"), 0o600); err != nil {
		t.Fatal(err)
	}
	g, _, err := LoadGateway(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "secret"); g.AffinitySecretFile != want {
		t.Errorf("secret file = %s, want %s", g.AffinitySecretFile, want)
	}
}

func TestLoadOfAFileThatIsNotThere(t *testing.T) {
	_, _, err := LoadGateway(filepath.Join(t.TempDir(), "none.yaml"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("err = %v, want os.ErrNotExist", err)
	}
	if all := (Errors)(nil); errors.As(err, &all) {
		t.Errorf("%v is an error of the configuration, want one of the file", err)
	}
}

func TestHugeFileIsRefusedWithoutReadingIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "huge.yaml")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(1<<40), f.Close()); err != nil { // sparse
		t.Fatal(err)
	}
	_, _, err = LoadGateway(file)
	if want := file + ":1: the file is larger than 4 MiB"; err == nil || err.Error() != want {
		t.Errorf("err = %v, want %s", err, want)
	}
}

func TestErrorsAreBounded(t *testing.T) {
	_, _, err := ParseGateway("f", []byte("rules: ["+strings.Repeat("1,", 50_000)+"]"))
	var all Errors
	if !errors.As(err, &all) || len(all) != maxProblems+1 {
		t.Fatalf("%d errors, want %d", len(all), maxProblems+1)
	}
	if got, want := all[maxProblems].Message, "and more, which is not shown; begin with these"; got != want {
		t.Errorf("last = %q, want %q", got, want)
	}
}

// Large files of each kind, in the time that a reload may take.
func TestHostileFilesAreBounded(t *testing.T) {
	size := MaxFileSize / 2
	if raceDetector {
		size /= 16
	}
	fill := func(head, entry, tail string) string {
		return head + strings.Repeat(entry, (size-len(head)-len(tail))/len(entry)) + tail
	}
	tests := []struct{ name, text string }{
		{"lists", fill("rules: [", "[],", "]")},
		{"empty mappings", fill("listeners: [", "{},", "]")},
		{"unknown keys twice", fill("", "a: 1\n", "")},
		{"one long key", fill("", "a", ": 1")},
		{"one long host name", fill("listeners: [{name: a, address: 1, hostNames: [", "a.", "]}]")},
		{"one long path", fill("pathMaps: [{name: a, paths: [{paths: [/", "a", "]}]}]")},
		{"suites", fill("listeners: [{name: a, address: 1, tls: {policy: {cipherSuites: [", "ECDHE-RSA-AES128-GCM-SHA257,", "]}}}]")},
		{"policies", fill("wafPolicies: [", "{name: a},", "]")},
		{"regular expressions", "wafPolicies: [{name: a, customRules: [{name: a, priority: 1, action: log, match: [" +
			strings.Repeat("{variable: requestUri, operator: regex, values: ['"+strings.Repeat(`\pL{1000}', '`, 600)+"']},", 50) + "]}]}]"},
		{"comments", fill("", "#\n", "")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			if _, _, err := ParseGateway("f", []byte(tt.text)); err == nil || len(err.Error()) > 1<<20 {
				t.Errorf("error %.200v", err)
			}
			if took := time.Since(start); took > 20*time.Second { // a second or two on a quiet machine
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestPredefinedPolicies(t *testing.T) {
	const cut = "listeners: [{name: web, address: 8080}]"
	tests := []struct {
		policy   string
		max      uint16
		suites   int
		warnings int
	}{
		{"AppGwSslPolicy20150501", tls.VersionTLS12, 16, 3},
		{"AppGwSslPolicy20170401", tls.VersionTLS12, 14, 3},
		{"AppGwSslPolicy20170401S", tls.VersionTLS12, 14, 2},
		{"AppGwSslPolicy20220101", 0, 6, 2},
		{"AppGwSslPolicy20220101S", 0, 4, 1},
	}
	for _, tt := range tests {
		t.Run(tt.policy, func(t *testing.T) {
			listener := fmt.Sprintf("listeners: [{name: web, address: 443, protocol: https, tls: {certificates: [{certFile: c, keyFile: k}], policy: %s}}]", tt.policy)
			g, warnings := mustParse(t, strings.Replace(web, cut, listener, 1))
			got := g.Listeners[0].TLS.Policy
			if got.Name != tt.policy || got.MinVersion != tls.VersionTLS12 || got.MaxVersion != tt.max || len(got.CipherSuites) != tt.suites {
				t.Errorf("policy = %+v, want TLS 1.2 to %x with %d suites", got, tt.max, tt.suites)
			}
			if len(warnings) != tt.warnings {
				t.Errorf("warnings = %v, want %d", warnings, tt.warnings)
			}
		})
	}
}

// What AppGwSslPolicy20220101S means for Go is written out in Azure's terms.
func TestStrictPolicyIsExactlyTheFourSuites(t *testing.T) {
	p := predefinedPolicies()[4].resolve(cursor{isDefault: true})
	want := []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	}
	if !reflect.DeepEqual(p.CipherSuites, want) {
		t.Errorf("suites = %x, want %x", p.CipherSuites, want)
	}
}

func TestOpenSSLNames(t *testing.T) {
	tests := []struct{ iana, want string }{
		{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"},
		{"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", "ECDHE-ECDSA-AES256-SHA384"},
		{"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"},
		{"TLS_RSA_WITH_AES_256_CBC_SHA", "AES256-SHA"},
		{"TLS_RSA_WITH_3DES_EDE_CBC_SHA", "DES-CBC3-SHA"},
		{"TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", "DHE-RSA-AES256-GCM-SHA384"},
		{"TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"},
	}
	for _, tt := range tests {
		if got := opensslName(tt.iana); got != tt.want {
			t.Errorf("opensslName(%s) = %s, want %s", tt.iana, got, tt.want)
		}
	}
}

func TestCustomPolicyWithoutSuitesIsGosOwn(t *testing.T) {
	g, _ := mustParse(t, strings.Replace(web, "address: 8080",
		"address: 443, protocol: https, tls: {certificates: [{certFile: c, keyFile: k}], policy: {minVersion: 1.3}}", 1))
	p := g.Listeners[0].TLS.Policy
	if p.MinVersion != tls.VersionTLS13 || len(p.CipherSuites) == 0 {
		t.Errorf("policy = %+v, want TLS 1.3 and the secure suites", p)
	}
}
