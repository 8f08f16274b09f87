package config

import (
	"strings"
	"testing"
)

const layer4 = `listeners:
  - {name: sql, address: 127.0.0.1:5432, protocol: tcp}
  - {name: imap, address: 127.0.0.1:993, protocol: tls, hostNames: [imap.example], tls: {certificates: [{certFile: a, keyFile: b}]}}
  - {name: web, address: 127.0.0.1:80}
backendPools:
  - {name: db, targets: [10.0.0.1]}
backendSettings:
  - {name: db, protocol: tcp, port: 5432, proxyProtocol: v1}
  - {name: secure, protocol: tls, port: 5433, idleTimeout: 1h}
  - {name: plain}
rules:
  - {name: sql, listener: sql, backendPool: db, backendSettings: db}
  - {name: imap, listener: imap, backendPool: db, backendSettings: secure}
  - {name: web, listener: web, backendPool: db, backendSettings: plain}
`

func TestListenersOfLayer4(t *testing.T) {
	g, warnings, err := ParseGateway("appgw.yaml", []byte(layer4))
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if s := g.BackendSettings; s[0].IdleTimeout.Minutes() != 4 || s[0].ProxyProtocol != ProxyProtocolV1 || s[1].IdleTimeout.Hours() != 1 || s[2].IdleTimeout != 0 {
		t.Errorf("settings %+v", s)
	}
}

func TestLayersDoNotMix(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"requests to bytes", "backendPool: db, backendSettings: plain", "backendPool: db, backendSettings: db", `rules[2].backendSettings: "db" are for listeners with protocol: tcp or tls`},
		{"bytes to requests", "backendPool: db, backendSettings: db", "backendPool: db, backendSettings: plain", `rules[0].backendSettings: "plain" are for requests`},
		{"names without TLS", "protocol: tcp}", "protocol: tcp, hostNames: [a.example]}", "listeners[0].hostNames: bytes without TLS have no host name"},
		{"tls without a certificate", ", tls: {certificates: [{certFile: a, keyFile: b}]}", "", "listeners[1]"},
		{"tcp with TLS", "protocol: tcp}", "protocol: tcp, tls: {}}", "listeners[0].tls: only tls listeners have it"},
		{"a key for requests", "protocol: tcp}", "protocol: tcp, http2: true}", "listeners[0].http2: a listener with protocol: tcp or tls knows no requests"},
		{"a firewall", "protocol: tcp}", "protocol: tcp, wafPolicy: x}", "listeners[0].wafPolicy: a listener"},
		{"an authentication", "protocol: tcp}", "protocol: tcp, authentication: x}", "listeners[0].authentication: a listener"},
		{"an authentication over bytes", "rules:\n", "authentications: [{name: a, external: {backendPool: db, backendSettings: db}}]\nrules:\n", "authentications[0].external.backendSettings: \"db\" are for listeners"},
		{"settings for requests", "port: 5432, ", "port: 5432, affinity: {enabled: true}, ", "backendSettings[0].affinity: settings with protocol: tcp or tls know no requests"},
		{"retries of requests", "port: 5432, ", "port: 5432, retries: {on: [timeout]}, ", "backendSettings[0].retries.on: timeout is about requests"},
		{"settings for bytes", "{name: plain}", "{name: plain, idleTimeout: 1m}", "backendSettings[2].idleTimeout: only settings with protocol: tcp or tls have it"},
		{"no port", "protocol: tcp, port: 5432", "protocol: tcp", "rules[0].backendPool: backendPools[0].targets[0] has no port"},
		{"a hash of requests", "targets: [10.0.0.1]", "targets: [10.0.0.1], balance: hash, hash: {on: uri}", "rules[0].backendPool: pool \"db\" hashes what only requests have"},
		{"a redirect", "rules:\n", "redirects: [{name: r, target: {listener: sql}}]\nrules:\n", "redirects[0].target.listener: listener \"sql\" knows no requests"},
		{"a rule with a rewrite set", "backendSettings: db}", "backendSettings: db, rewriteSet: x}", "rules[0].rewriteSet: the rule's listener knows no requests"},
		{"one address", "127.0.0.1:80}", "127.0.0.1:5432}", "has the same address and another protocol"},
		{"a path map", "rules:\n", "pathMaps: [{name: m, default: {backendPool: db, backendSettings: db}}]\nrules:\n", "pathMaps[0].default.backendSettings: \"db\" are for listeners"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(layer4, tt.old) {
				t.Fatal("nothing to replace")
			}
			_, _, err := ParseGateway("appgw.yaml", []byte(strings.Replace(layer4, tt.old, tt.new, 1)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}
