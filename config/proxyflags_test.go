package config

import (
	"crypto/tls"
	"strings"
	"testing"
)

var proxyYAML = []struct {
	name  string
	flags ProxyFlags
	want  string
}{
	{"one backend", ProxyFlags{To: []string{"http://127.0.0.1:3000"}}, `listeners:
  - name: proxy
    address: ":8080"
    encodedSlash: keep
backendPools:
  - name: app
    targets: ["127.0.0.1:3000"]
backendSettings:
  - name: app
    protocol: http
    probe: tcp
probes:
  - {name: tcp, protocol: tcp, interval: 5s, timeout: 2s, unhealthyThreshold: 2}
rules:
  - {name: proxy, listener: proxy, backendPool: app, backendSettings: app}
`},
	{"firewall", ProxyFlags{To: []string{"http://127.0.0.1:3000"}, WAF: "detection"}, `wafPolicy: waf
wafPolicies:
  - name: waf
    mode: detection
    ruleSet: {name: crs, profile: balanced}
listeners:
  - name: proxy
    address: ":8080"
    encodedSlash: keep
backendPools:
  - name: app
    targets: ["127.0.0.1:3000"]
backendSettings:
  - name: app
    protocol: http
    probe: tcp
probes:
  - {name: tcp, protocol: tcp, interval: 5s, timeout: 2s, unhealthyThreshold: 2}
rules:
  - {name: proxy, listener: proxy, backendPool: app, backendSettings: app}
`},
	{"everything", ProxyFlags{
		From: "127.0.0.1:8443", To: []string{"http://10.0.0.4,http://[::1]:81", "http://app.internal/"},
		Paths:    []string{"/api=https://10.0.0.9:444/v2", "/api/images/=unix:/run/images.sock", "/x*=http://x"},
		Affinity: true, TLSCert: "c.pem", TLSKey: "k.pem", WAF: "off", Admin: "off",
	}, `admin: {address: "off"}
listeners:
  - name: proxy
    address: "127.0.0.1:8443"
    protocol: https
    tls:
      certificates: [{certFile: "c.pem", keyFile: "k.pem"}]
    encodedSlash: keep
backendPools:
  - name: app
    targets: ["10.0.0.4", "[::1]:81", "app.internal"]
  - name: path1
    targets: ["unix:/run/images.sock"]
  - name: path2
    targets: ["10.0.0.9:444"]
  - name: path3
    targets: ["x"]
backendSettings:
  - name: app
    protocol: http
    probe: tcp
    affinity: {enabled: true, cookie: ApplicationGatewayAffinity}
  - name: path1
    protocol: http
    probe: tcp
    affinity: {enabled: true, cookie: ApplicationGatewayAffinity-path1}
  - name: path2
    protocol: https
    probe: https
    pathOverride: "/v2/"
    affinity: {enabled: true, cookie: ApplicationGatewayAffinity-path2}
  - name: path3
    protocol: http
    probe: tcp
    affinity: {enabled: true, cookie: ApplicationGatewayAffinity-path3}
probes:
  - {name: tcp, protocol: tcp, interval: 5s, timeout: 2s, unhealthyThreshold: 2}
  - {name: https, protocol: https, interval: 5s, timeout: 5s, unhealthyThreshold: 2, match: {status: [100-599]}}
pathMaps:
  - name: proxy
    default: {backendPool: app, backendSettings: app}
    paths:
      - {paths: ["/api/images/*"], backendPool: path1, backendSettings: path1}
      - {paths: ["/api", "/api/*"], backendPool: path2, backendSettings: path2}
      - {paths: ["/x*"], backendPool: path3, backendSettings: path3}
rules:
  - {name: proxy, listener: proxy, pathMap: proxy}
`},
}

func TestSimpleProxyYAML(t *testing.T) {
	for _, tt := range proxyYAML {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.flags.YAML()
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestSimpleProxyIsAGateway(t *testing.T) {
	g, warnings, err := SimpleProxy(ProxyFlags{
		From: "8443", To: []string{"https://app.internal:8444/base"}, Paths: []string{"/api=http://127.0.0.1:4000"}, TLSCert: "c", TLSKey: "k",
	})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("errors %v, warnings %v", err, warnings)
	}
	l := g.Listeners[0]
	if l.EncodedSlash != EncodedSlashKeep || l.Protocol != ListenerHTTPS || l.TLS.Certificates[0] != (Certificate{CertFile: "c", KeyFile: "k"}) || l.TLS.Policy.MinVersion != tls.VersionTLS12 {
		t.Errorf("listener %+v", l)
	}
	app := g.BackendSettings[0]
	if app.Protocol != BackendHTTPS || app.PathOverride != "/base/" || app.Ejection.ConnectFailures == 0 || !app.TLS.Verify {
		t.Errorf("settings %+v", app)
	}
	if p := g.Probes[0]; p.Name != "tcp" || p.Protocol != ProbeTCP || p.StartUnhealthy {
		t.Errorf("probe %+v", p)
	}
	if p := g.Probes[1]; app.Probe != p.Name || p.Protocol != ProbeHTTPS || p.Path != "/" || p.StartUnhealthy {
		t.Errorf("probe %+v", p)
	}
	if want := (Target{Host: "app.internal", Port: 8444, Weight: 1, Priority: 1}); g.BackendPools[0].Targets[0] != want {
		t.Errorf("target %+v", g.BackendPools[0].Targets[0])
	}
}

// Without the flag there is no firewall at all.
func TestSimpleProxyHasTheFirewallOfItsFlag(t *testing.T) {
	for flag, want := range map[string]string{"": "", "off": "", "prevention": "prevention", "detection": "detection"} {
		g, warnings, err := SimpleProxy(ProxyFlags{To: []string{"http://127.0.0.1:3000"}, Paths: []string{"/api=http://127.0.0.1:4000"}, WAF: flag})
		if err != nil || len(warnings) > 0 {
			t.Fatalf("--waf %s: errors %v, warnings %v", flag, err, warnings)
		}
		got := ""
		for _, name := range []string{g.PolicyOf(&g.Listeners[0], g.PathMaps[0].Default), g.PolicyOf(&g.Listeners[0], g.PathMaps[0].Paths[0].Action)} {
			if name != "" {
				got = g.WAFPolicies[0].Mode.String()
			}
		}
		if got != want || len(g.WAFPolicies) > 0 && g.WAFPolicies[0].RuleSet.Profile != ProfileBalanced {
			t.Errorf("--waf %s: mode %q of %+v", flag, got, g.WAFPolicies)
		}
	}
}

func TestSimpleProxyRefuses(t *testing.T) {
	ok := []string{"http://127.0.0.1:3000"}
	tests := []struct {
		name  string
		flags ProxyFlags
		want  string
	}{
		{"no backend", ProxyFlags{}, "--to is missing; write a URL such as http://127.0.0.1:3000"},
		{"no URL", ProxyFlags{To: []string{"127.0.0.1:3000"}}, `--to: must be a URL such as http://127.0.0.1:3000, not "127.0.0.1:3000"`},
		{"scheme", ProxyFlags{To: []string{"ftp://a"}}, `--to: must be a URL such as http://127.0.0.1:3000, not "ftp://a"`},
		{"query", ProxyFlags{To: []string{"http://a/?b"}}, `--to: "http://a/?b" must not have a user, query or fragment`},
		{"mixed", ProxyFlags{To: []string{"http://a,https://b"}}, `--to: "https://b" has another scheme or path than the URL before it; those of one list must agree`},
		{"trailing comma", ProxyFlags{To: []string{"http://a,"}}, `--to: must be a URL such as http://127.0.0.1:3000, not ""`},
		{"port", ProxyFlags{To: []string{"http://a:0"}}, `--to: must be an address or a host name with or without a port, such as 10.0.0.4, app.internal:8080 or [::1]:80, not "a:0"`},
		{"path without URL", ProxyFlags{To: ok, Paths: []string{"/api"}}, `--path "/api": must be a URL such as http://127.0.0.1:3000, not ""`},
		{"path without slash", ProxyFlags{To: ok, Paths: []string{"api=http://a"}}, `--path "api=http://a": must begin with /, not "api"`},
		{"from", ProxyFlags{To: ok, From: "localhost:80"}, `--from: "localhost" is not an IP address; write one, such as 127.0.0.1:80, or :80 for all`},
		{"half a certificate", ProxyFlags{To: ok, TLSCert: "c"}, "--tls-cert and --tls-key go together; add the other"},
		{"waf mode", ProxyFlags{To: ok, WAF: "on"}, `--waf: must be prevention, detection or off, not "on"`},
		{"two at once", ProxyFlags{To: []string{"x"}, TLSKey: "k"}, "--to: must be a URL such as http://127.0.0.1:3000, not \"x\"\n--tls-cert and --tls-key go together; add the other"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := SimpleProxy(tt.flags); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// Whatever the flags say stays text: it cannot become other YAML.
func FuzzSimpleProxy(f *testing.F) {
	f.Add(":8080", "http://127.0.0.1:3000", "/api=http://a", "c", "k")
	f.Add("8080", "http://[::1]:1/a,http://[::1]:2/a", "/x*=unix:/a b", "c\"\n", "k: {")
	f.Fuzz(func(t *testing.T, from, to, path, cert, key string) {
		p := ProxyFlags{From: from, To: []string{to}, Paths: []string{path}, TLSCert: cert, TLSKey: key}
		data, err := p.YAML()
		if err != nil {
			return
		}
		g, _, err := ParseGateway("f.yaml", data)
		if err != nil {
			// Names too long for a listener or a socket are left to the parser.
			if strings.Contains(err.Error(), "YAML") || strings.Contains(err.Error(), "unknown key") {
				t.Fatalf("%v\n%s", err, data)
			}
			return
		}
		if len(g.Listeners) != 1 || len(g.Rules) != 1 || len(g.BackendPools) != 2 || len(g.PathMaps) != 1 {
			t.Errorf("%+v", g)
		}
	})
}
