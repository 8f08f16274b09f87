package config

import (
	"slices"
	"strings"
	"testing"
)

const certificate = "protocol: https, tls: {certificates: [{certFile: c, keyFile: k}]"

var suspicious = []struct {
	name string
	text string
	want []string
}{
	{name: "affinity without a secret", text: strings.Replace(web, "name: plain", "name: plain, affinity: {enabled: true}", 1), want: []string{
		"appgw.yaml:3: backendSettings[0].affinity: without affinity.secretFile several instances will not agree, and a restart pins every client anew"}},

	{name: "passthrough that tells nobody", text: strings.Replace(web, "address: 8080", "address: 8080, "+certificate+", clientAuth: {mode: passthrough}}", 1), want: []string{
		"appgw.yaml:5: listeners[0].tls.clientAuth: passthrough without forward: backends learn nothing of the certificates"}},

	{name: "nothing uses it", text: web + `probes: [{name: idle}]
redirects: [{name: nowhere, target: {listener: web}}]
pathMaps: [{name: none, default: {backendPool: app, backendSettings: plain}}]
`, want: []string{
		`appgw.yaml:7: probes[0]: probe "idle" is not used`,
		`appgw.yaml:8: redirects[0]: redirect "nowhere" is not used`,
		`appgw.yaml:9: pathMaps[0]: path map "none" is not used`,
	}},
	{name: "a pool with an empty list", text: strings.Replace(web, "targets: [10.0.0.4]", "targets: []", 1), want: []string{
		`appgw.yaml:2: backendPools[0].targets: backend pool "app" is empty: every request that is sent to it is answered 502; add a target`}},
	{name: "a pool without a list", text: strings.Replace(web, "backendPools: [{name: app, targets: [10.0.0.4]}]", "backendPools:\n- balance: roundRobin\n  name: app", 1), want: []string{
		`appgw.yaml:3: backendPools[0].targets: backend pool "app" is empty: every request that is sent to it is answered 502; add a target`}},
	{name: "pools without weight", text: strings.Replace(web, "backendPool: app,", "backendPools: [{pool: app, weight: 0}],", 1), want: []string{
		"appgw.yaml:6: rules[0].backendPools: no pool has a weight: every request is answered 500"}},
	{name: "bits of addresses that do not count", text: strings.Replace(web, "backendPool: app,", "backendPool: app, rateLimits: [a],", 1) + "rateLimits: [{name: a, requests: 1, key: path, ipv6Bits: 48}, {name: b, requests: 1}]\n", want: []string{
		"appgw.yaml:7: rateLimits[0].ipv6Bits: has no effect with key: path",
		`appgw.yaml:7: rateLimits[1]: rate limit "b" is not used`}},
	{name: "no rule", text: backends + "listeners: [{name: web, address: 8080}]\n", want: []string{
		`appgw.yaml:2: backendPools[0]: backend pool "app" is not used`,
		`appgw.yaml:3: backendSettings[0]: backend settings "plain" is not used`,
		`appgw.yaml:4: listeners[0]: no rule has listener "web"; it answers 404`,
	}},
	{name: "memory that one client can take", text: web + "limits: {heldBytes: 16MiB}\n", want: []string{
		"appgw.yaml:7: limits.heldBytes: one client may take all of heldBytes: heldBytesPerClient, 32MiB, is more"}},
	{name: "more for one client than for all", text: web + "limits: {heldBytes: 16MiB, heldBytesPerClient: 20MiB}\n", want: []string{
		"appgw.yaml:7: limits.heldBytesPerClient: one client may take all of heldBytes: heldBytesPerClient, 20MiB, is more"}},
	{name: "as much for one client as for all", text: web + "limits: {heldBytes: 16MiB, heldBytesPerClient: 16MiB}\n"},
	{name: "tls of http settings", text: strings.Replace(web, "name: plain", "name: plain, tls: {verify: false}", 1), want: []string{
		"appgw.yaml:3: backendSettings[0].tls: has no effect with protocol: http"}},

	{name: "suites that crypto/tls lacks", text: strings.Replace(web, "address: 8080", "address: 443, "+certificate+
		", policy: {minVersion: TLSv1_1, cipherSuites: [DHE-RSA-AES128-SHA, TLS_AES_128_GCM_SHA256, AES128-SHA, AES256-SHA]}}", 1), want: []string{
		"appgw.yaml:5: listeners[0].tls.policy.minVersion: TLS 1.0 and 1.1 are broken; use TLSv1_2 unless old clients force you (Azure refuses them)",
		"appgw.yaml:5: listeners[0].tls.policy.cipherSuites: the order of cipher suites is crypto/tls's own, not this list's",
		"appgw.yaml:5: listeners[0].tls.policy.cipherSuites[0]: not offered: Go's crypto/tls does not have DHE-RSA-AES128-SHA",
		"appgw.yaml:5: listeners[0].tls.policy.cipherSuites[1]: suites of TLS 1.3 are always on; this has no effect",
	}},
	{name: "old policy by name", text: strings.Replace(web, "address: 8080", "address: 443, "+certificate+", policy: AppGwSslPolicy20170401}", 1), want: []string{
		"appgw.yaml:5: listeners[0].tls.policy: not offered, as Go's crypto/tls has no such suites: TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384, TLS_RSA_WITH_AES_256_CBC_SHA256",
		"appgw.yaml:5: listeners[0].tls.policy: TLS 1.0 and 1.1 are not offered (nor by Azure since 2025-08-31); TLS 1.2 is",
		"appgw.yaml:5: listeners[0].tls.policy: the order of cipher suites is crypto/tls's own, not the policy's",
	}},

	{name: "rules that others hide", text: backends + `
listeners:
  - {name: any, address: 80}
  - {name: exact, address: 80, hostNames: [shop.example]}
  - {name: wild, address: 80, hostNames: ["*.example"]}
  - {name: first, address: 80, hostNames: [first.example]}
  - {name: elsewhere, address: 81, hostNames: [shop.example]}
rules:
  - {name: any, priority: 20, listener: any, backendPool: app, backendSettings: plain}
  - {name: exact, priority: 30, listener: exact, backendPool: app, backendSettings: plain}
  - {name: wild, listener: wild, backendPool: app, backendSettings: plain}
  - {name: first, priority: 10, listener: first, backendPool: app, backendSettings: plain}
  - {name: elsewhere, priority: 40, listener: elsewhere, backendPool: app, backendSettings: plain}
`, want: []string{
		`appgw.yaml:13: rules[1]: can never match: rule "any" (priority 20) takes all hosts of listener "exact" first; give it a larger number`,
		`appgw.yaml:14: rules[2]: can never match: rule "any" (priority 20) takes all hosts of listener "wild" first; give it a larger number`,
	}},
	{name: "a wildcard hides only what it covers whole", text: backends + `
listeners:
  - {name: wild, address: 80, hostNames: ["*.shop.example", "img?.example"]}
  - {name: both, address: 80, hostNames: [a.shop.example, other.example]}
  - {name: one, address: 80, hostNames: [b.c.shop.example, img1.example]}
  - {name: base, address: 80, hostNames: [shop.example]}
  - {name: rest, address: 80}
rules:
  - {name: wild, priority: 1, listener: wild, backendPool: app, backendSettings: plain}
  - {name: both, priority: 2, listener: both, backendPool: app, backendSettings: plain}
  - {name: one, priority: 3, listener: one, backendPool: app, backendSettings: plain}
  - {name: base, priority: 4, listener: base, backendPool: app, backendSettings: plain}
  - {name: rest, listener: rest, backendPool: app, backendSettings: plain}
`, want: []string{
		`appgw.yaml:14: rules[2]: can never match: rule "wild" (priority 1) takes all hosts of listener "one" first; give it a larger number`,
	}},
	{name: "without priorities nothing hides", text: backends + `
listeners:
  - {name: any, address: 80}
  - {name: exact, address: 80, hostNames: [shop.example]}
rules:
  - {name: any, listener: any, backendPool: app, backendSettings: plain}
  - {name: exact, listener: exact, backendPool: app, backendSettings: plain}
`},
	{name: "paths that earlier ones take", text: backends + `
listeners: [{name: web, address: 80}]
rules: [{name: web, listener: web, pathMap: m}]
pathMaps:
  - name: m
    default: {backendPool: app, backendSettings: plain}
    paths:
      - {paths: [/images/*, /a], backendPool: app, backendSettings: plain}
      - {paths: [/Images/png/*, /images, /A, /a*], backendPool: app, backendSettings: plain}
      - {paths: [/ab, /b], backendPool: app, backendSettings: plain}
`, want: []string{
		`appgw.yaml:12: pathMaps[0].paths[1].paths[0]: "/Images/png/*" can never match: "/images/*" in paths[0] comes first and takes it; order the more specific before`,
		`appgw.yaml:12: pathMaps[0].paths[1].paths[2]: "/A" can never match: "/a" in paths[0] comes first and takes it; order the more specific before`,
		`appgw.yaml:13: pathMaps[0].paths[2].paths[0]: "/ab" can never match: "/a*" in paths[1] comes first and takes it; order the more specific before`,
	}},
	{name: "an empty list of listeners", text: "listeners: []\n", want: []string{"appgw.yaml:1: there are no listeners; nothing is served"}},
	{name: "no listeners", text: "admin: {}\n", want: []string{"appgw.yaml:1: there are no listeners; nothing is served"}},
	{name: "double slash", text: backends + `
listeners: [{name: web, address: 80}]
rules: [{name: web, listener: web, pathMap: m}]
pathMaps: [{name: m, default: {backendPool: app, backendSettings: plain}, paths: [{paths: [/a//b, "/{id}|*"], backendPool: app, backendSettings: plain}]}]
`, want: []string{`appgw.yaml:7: pathMaps[0].paths[0].paths[0]: "/a//b" can never match: every listener merges //; write one slash, or duplicateSlashes: keep`}},
	{name: "redirect to a listener that does not serve the host", text: backends + `
listeners:
  - {name: web, address: 80, hostNames: [shop.example, old.example, api.example]}
  - {name: shop, address: 443, hostNames: ["shop.example"], ` + certificate + `}}
  - {name: api, address: 443, hostNames: ["api.example"], ` + certificate + `}}
redirects: [{name: to-https, target: {listener: shop}}]
rules:
  - {name: web, listener: web, redirect: to-https}
  - {name: shop, listener: shop, backendPool: app, backendSettings: plain}
  - {name: api, listener: api, backendPool: app, backendSettings: plain}
`, want: []string{`appgw.yaml:11: rules[0].redirect: no listener on the address of listener "shop" serves "old.example"; clients are sent to "shop.example"`}},
	{name: "redirects that end", text: backends + `
listeners:
  - {name: web, address: 80}
  - {name: shop, address: 443, hostNames: [shop.example], ` + certificate + `}}
redirects:
  - {name: to-https, type: permanent, target: {listener: shop}}
  - {name: blog, target: {url: "https://shop.example/new/"}, includePath: false}
  - {name: away, target: {url: "https://other.example/"}}
pathMaps:
  - name: m
    default: {backendPool: app, backendSettings: plain}
    paths:
      - {paths: [/blog/*], redirect: blog}
      - {paths: [/away/*], redirect: away}
rules:
  - {name: web, listener: web, redirect: to-https}
  - {name: shop, listener: shop, pathMap: m}
`},
}

func TestWarnings(t *testing.T) {
	for _, tt := range slices.Concat(suspicious, suspiciousPolicies) {
		t.Run(tt.name, func(t *testing.T) {
			_, warnings, err := ParseGateway("appgw.yaml", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range warnings {
				got = append(got, w.String())
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestPatternsThatCoverOthers(t *testing.T) {
	tests := []struct {
		pattern, other string
		want           bool
	}{
		{"a.example", "a.example", true},
		{"*.example", "a.example", true},
		{"*.example", "a.b.example", true},
		{"*.example", "example", false},
		{"*.example", "*.b.example", true},
		{"*.b.example", "*.example", false},
		{"?.example", "a.example", true},
		{"?.example", "ab.example", false},
		{"?.example", "*.example", false},
		{"?.example", "?.example", true},
		{"a.example", "?.example", false},
		{"*", "*.example", true},
		{"*.example", "*", false},
		{"a*.*.example", "abc.d.example", true},
		{"a*.*.example", "abc.example", false},
		{"*a*.x", "bab.x", true},
		{"", "a", false},
	}
	for _, tt := range tests {
		if got := covers(tt.pattern, tt.other); got != tt.want {
			t.Errorf("covers(%q, %q) = %v, want %v", tt.pattern, tt.other, got, tt.want)
		}
	}
}

// Ten thousand hosts are checked in a time that does not hurt a reload.
func TestManyListenersParse(t *testing.T) {
	text := manyListeners(10_000)
	g, warnings := mustParse(t, text)
	if len(g.Listeners) != 10_000 || len(warnings) != 0 {
		t.Errorf("%d listeners, %d warnings", len(g.Listeners), len(warnings))
	}
}
