package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// Every case is put in front of what is in web or backends, so its first
// line is line 1.
var refused = []struct {
	name string
	text string
	rest string // appended: web, backends, or nothing
	want []string
}{
	{name: "empty", text: "# nothing\n", want: []string{
		"appgw.yaml:1: the file is empty; `appgw demo` and `appgw proxy --print-config` show what to write",
	}},
	{name: "not a mapping", text: "- a\n", want: []string{
		`appgw.yaml:1: must be a mapping (key: value), not a list`,
	}},
	{name: "text", text: "hello\n", want: []string{
		`appgw.yaml:1: must be a mapping (key: value), not "hello"`,
	}},
	{name: "syntax", text: "admin: {address: x\nlimits: {}\n", want: []string{
		`appgw.yaml:2: not valid YAML: did not find expected ',' or '}' (while parsing a flow mapping)`,
	}},
	{name: "tab", text: "admin:\n\taddress: x\n", want: []string{
		`appgw.yaml:2: not valid YAML: a tab where the indentation is; indent with blanks`,
	}},
	{name: "control character", text: "admin: \x00\n", want: []string{
		`appgw.yaml:1: not valid YAML: the byte 0x00 is no text; save the file as UTF-8, without control characters`,
	}},
	{name: "tab behind letters of more than a byte", text: "# h\u00e9\u00e9\nadmin:\n\taddress: x\n", want: []string{
		`appgw.yaml:3: not valid YAML: a tab where the indentation is; indent with blanks`,
	}},
	{name: "not UTF-8", text: "admin: {}\nmetrics: {address: caf\xe9}\n", want: []string{
		`appgw.yaml:2: not valid YAML: the byte 0xe9 is no text; save the file as UTF-8, without control characters`,
	}},
	{name: "text that begins with @", text: "admin: {address: @x}\n", want: []string{
		`appgw.yaml:1: not valid YAML: a value that begins with @ needs quotes`,
	}},
	{name: "star without quotes", text: "listeners: [{hostNames: [*.shop.example]}]\n", want: []string{
		`appgw.yaml:1: not valid YAML: a value that begins with * needs quotes: "*.shop.example"`,
	}},
	{name: "colon without quotes", text: "admin:\n  address: :80: x\n", want: []string{
		`appgw.yaml:2: not valid YAML: mapping values are not allowed in this context; a value with a colon and a blank in it needs quotes, and the keys of a mapping begin in one column`,
	}},
	{name: "list out of column", text: "listeners:\n  - name: web\n   address: 8080\n", want: []string{
		`appgw.yaml:3: not valid YAML: did not find expected '-' indicator (while parsing a block collection); the entries of a list begin with - in one column, and their keys in another`,
	}},
	{name: "key out of column", text: "admin:\n  address: off\n metrics: {}\n", want: []string{
		`appgw.yaml:3: not valid YAML: did not find expected key (while parsing a block mapping); the keys of a mapping begin in one column`,
	}},
	{name: "key without colon", text: "admin: {}\nfoo\nmetrics: {}\n", want: []string{
		`appgw.yaml:3: not valid YAML: could not find expected ':' (while scanning a simple key); a key is followed by a colon and a blank`,
	}},
	{name: "quote without end", text: "admin:\n  address: 'off\nmetrics: {}\n", want: []string{
		`appgw.yaml:3: not valid YAML: found unexpected end of stream (while scanning a quoted scalar); the quote on line 2 is not closed`,
	}},
	{name: "list without dashes", text: "listeners:\n  name: web\nbackendSettings:\n  - name:plain\n", want: []string{
		`appgw.yaml:1: listeners: must be a list ([a, b]), not a mapping; put - before each of its entries`,
		`appgw.yaml:4: backendSettings[0]: must be a mapping (key: value), not "name:plain"; a blank is missing after a colon`,
	}},
	{name: "addresses", text: "listeners: [{name: a, address: ':80800'}, {name: b, address: '::1'}, {name: c, address: 'a:b:1'}]\nbackendPools: [{name: app, targets: [10.0.0.4/x, 'a:70000']}]\n", rest: "", want: []string{
		`appgw.yaml:1: listeners[0].address: 80800 is not a port; use 1 to 65535`,
		`appgw.yaml:1: listeners[1].address: ::1 has no port; write [::1]:8080`,
		`appgw.yaml:1: listeners[2].address: must be host:port, :port or a port, such as 127.0.0.1:8080, :8080 or 8080, not "a:b:1"`,
		`appgw.yaml:2: backendPools[0].targets[0]: write the address without a path, host or host:port; pathOverride of backend settings puts a path in front`,
		`appgw.yaml:2: backendPools[0].targets[1]: 70000 is not a port; use 1 to 65535`,
	}},
	{name: "name with control characters", text: "probes: [{name: \"a\\e[2J\"}]\nbackendSettings: [{name: plain, probe: b}]\n", want: []string{
		`appgw.yaml:1: probes[0].name: "a\x1b[2J" is not a name; use 1 to 128 of A-Z a-z 0-9 . _ -, beginning with a letter, a digit or _`,
		`appgw.yaml:2: backendSettings[0].probe: there is no probe "b"; known: "a\x1b[2J"`,
	}},
	{name: "two documents", text: "admin: {}\n---\nadmin: {}\n", want: []string{
		`appgw.yaml:2: not valid YAML: more than one document; write one configuration per file, without a second ---`,
	}},
	{name: "deep", text: strings.Repeat("[", 100), want: []string{
		`appgw.yaml:1: not valid YAML: nested deeper than 32 levels, which no key is; check brackets and indentation`,
	}},
	{name: "alias", text: "admin: &a {}\nmetrics: *a\n", want: []string{
		`appgw.yaml:1: anchors (&name) are not supported; write the value out where it is used`,
		`appgw.yaml:2: aliases (*name) are not supported; write the value out`,
	}},
	{name: "merge key", text: "admin: {<<: {address: off}}\n", want: []string{
		`appgw.yaml:1: merge keys (<<) are not supported; write the keys out`,
	}},
	{name: "tag", text: "forwardedFor: !!str ip\nadmin: !mine {}\n", want: []string{
		`appgw.yaml:1: tags (!name) are not supported; remove it`,
		`appgw.yaml:2: tags (!name) are not supported; remove it`,
	}},
	{name: "complex key", text: "? [a, b]\n: c\n", rest: web, want: []string{
		`appgw.yaml:1: a key must be plain text, not a list`,
	}},
	{name: "unknown keys", text: "listenners: []\nzzz: 1\nlimits: {headByte: 1KiB}\n'': 1\n", rest: web, want: []string{
		`appgw.yaml:1: listenners: unknown key; did you mean listeners?`,
		`appgw.yaml:2: zzz: unknown key; known keys: admin, metrics, logs, limits, trustedProxies, forwardedFor, affinity, shutdown, errorPages, listeners, backendPools, backendSettings, probes, pathMaps, redirects, rules, rewriteSets, rateLimits, compressionPolicies, caches, authentications, corsPolicies, wafPolicies, wafPolicy, geo`,
		`appgw.yaml:3: limits.headByte: unknown key; did you mean headBytes?`,
		`appgw.yaml:4: "": unknown key; known keys: admin, metrics, logs, limits, trustedProxies, forwardedFor, affinity, shutdown, errorPages, listeners, backendPools, backendSettings, probes, pathMaps, redirects, rules, rewriteSets, rateLimits, compressionPolicies, caches, authentications, corsPolicies, wafPolicies, wafPolicy, geo`,
	}},
	{name: "what stands beneath an unknown key", text: "listner:\n- {name: web, adress: ':99999', protocol: http, protocl: ftp}\nzzz: {listeners: 5}\n", rest: backends + "rules:\n- {nam: all, listener: web, backendPol: app, backendSettings: nobody}\n", want: []string{
		`appgw.yaml:1: listner: unknown key; did you mean listeners?`,
		`appgw.yaml:2: listeners[0].adress: unknown key; did you mean address?`,
		`appgw.yaml:2: listeners[0].address: 99999 is not a port; use 1 to 65535`,
		`appgw.yaml:2: listeners[0].protocl: unknown key; did you mean protocol?`,
		`appgw.yaml:3: zzz: unknown key; known keys: admin, metrics, logs, limits, trustedProxies, forwardedFor, affinity, shutdown, errorPages, listeners, backendPools, backendSettings, probes, pathMaps, redirects, rules, rewriteSets, rateLimits, compressionPolicies, caches, authentications, corsPolicies, wafPolicies, wafPolicy, geo`,
		`appgw.yaml:8: rules[0].nam: unknown key; did you mean name?`,
		`appgw.yaml:8: rules[0].backendPol: unknown key; did you mean backendPool?`,
		`appgw.yaml:8: rules[0].backendSettings: there is no backend settings "nobody"; known: plain`,
	}},
	{name: "key with control characters", text: "\"a\\e[2Jb\": 1\n", rest: web, want: []string{
		`appgw.yaml:1: "a\x1b[2Jb": unknown key; known keys: admin, metrics, logs, limits, trustedProxies, forwardedFor, affinity, shutdown, errorPages, listeners, backendPools, backendSettings, probes, pathMaps, redirects, rules, rewriteSets, rateLimits, compressionPolicies, caches, authentications, corsPolicies, wafPolicies, wafPolicy, geo`,
	}},
	{name: "key twice", text: "forwardedFor: ip\nforwardedFor: azure\n", rest: web, want: []string{
		`appgw.yaml:2: key "forwardedFor" is already on line 1; remove one`,
	}},
	{name: "nothing", text: "admin:\ntrustedProxies:\n", rest: web, want: []string{
		`appgw.yaml:1: admin: must be a mapping (key: value), not nothing; remove the key or give it a value`,
		`appgw.yaml:2: trustedProxies: must be a list ([a, b]), not nothing; remove the key or give it a value`,
	}},
	{name: "wrong types", text: "admin: 5\ntrustedProxies: 10.0.0.0/8\nforwardedFor: [ip]\nlimits: {fields: many, bodyMinRate: '500', headTimeout: {}}\n", rest: web, want: []string{
		`appgw.yaml:1: admin: must be a mapping (key: value), not "5"`,
		`appgw.yaml:2: trustedProxies: must be a list ([a, b]), not "10.0.0.0/8"`,
		`appgw.yaml:3: forwardedFor: must be one of ip, azure, not a list`,
		`appgw.yaml:4: limits.fields: must be a whole number, not "many"`,
		`appgw.yaml:4: limits.bodyMinRate: must be a whole number; write it without quotes: 500`,
		`appgw.yaml:4: limits.headTimeout: must be a duration such as 30s, not a mapping`,
	}},
	{name: "text without quotes", text: "logs: {access: {output: 2001-01-01}}\naffinity: {secretFile: 1e3}\n", rest: web, want: []string{
		`appgw.yaml:1: logs.access.output: must be text; put it in quotes: "2001-01-01"`,
		`appgw.yaml:2: affinity.secretFile: must be text; put it in quotes: "1e3"`,
	}},
	{name: "duration without unit", text: "shutdown: {drain: 30}\nlimits: {headTimeout: 30 s, idleTimeout: -1s, writeStall: 2h}\n", rest: web, want: []string{
		`appgw.yaml:1: shutdown.drain: a duration needs a unit; write 30s, 30ms or 30m`,
		`appgw.yaml:2: limits.headTimeout: must be a duration such as 500ms, 30s or 1m30s, not "30 s"`,
		`appgw.yaml:2: limits.idleTimeout: must be 10ms to 24h, not "-1s"`,
		`appgw.yaml:2: limits.writeStall: must be 10ms to 1h, not "2h"`,
	}},
	{name: "sizes", text: "limits: {headBytes: 1TiB, urlBytes: 63, responseHeadBytes: 99999999999GiB}\n", rest: web, want: []string{
		`appgw.yaml:1: limits.headBytes: must be a size such as 512B, 32KiB or 2MiB, not "1TiB"`,
		`appgw.yaml:1: limits.urlBytes: must be 64B to 32KiB, not "63"`,
		`appgw.yaml:1: limits.responseHeadBytes: must be a size such as 512B, 32KiB or 2MiB, not "99999999999GiB"`,
	}},
	{name: "integers out of range", text: "limits: {fields: 0, connections: -1, connectionsPerClient: 99999999999999999999}\n", rest: web, want: []string{
		`appgw.yaml:1: limits.fields: must be 1 to 1000, not "0"`,
		`appgw.yaml:1: limits.connections: must be 0 to 16777216, not "-1"`,
		`appgw.yaml:1: limits.connectionsPerClient: must be 0 to 16777216, not "99999999999999999999"`,
	}},
	{name: "admin must be loopback", text: "admin: {address: :9901}\n", rest: web, want: []string{
		`appgw.yaml:1: admin.address: ":9901" is not loopback; write 127.0.0.1:9901, unix:/path or off (metrics.address serves health and metrics on any address)`,
	}},
	{name: "admin socket's path", text: "admin: {address: 'unix:'}\n", rest: web, want: []string{
		`appgw.yaml:1: admin.address: a unix socket needs a path: unix:/run/app.sock`,
	}},
	{name: "metrics", text: "metrics: {address: localhost:1}\n", rest: web, want: []string{
		`appgw.yaml:1: metrics.address: "localhost" is not an IP address; write one, such as 127.0.0.1:1, or :1 for all`,
	}},
	{name: "output", text: "logs: {access: {output: '', format: xml}}\n", rest: web, want: []string{
		`appgw.yaml:1: logs.access.output: must be stdout, stderr or a file; to have no log, write format: off`,
		`appgw.yaml:1: logs.access.format: must be one of json, combined, off, not "xml"`,
	}},
	{name: "prefixes", text: "trustedProxies: [10.0.0.1/8, all, 10.0.0.0/33, '::ffff:10.0.0.0/104']\n", rest: web, want: []string{
		`appgw.yaml:1: trustedProxies[0]: "10.0.0.1/8" has bits set behind the prefix; write 10.0.0.0/8`,
		`appgw.yaml:1: trustedProxies[1]: must be a prefix such as 10.0.0.0/8 or an address, not "all"`,
		`appgw.yaml:1: trustedProxies[2]: must be a prefix such as 10.0.0.0/8 or an address, not "10.0.0.0/33"`,
		`appgw.yaml:1: trustedProxies[3]: write the IPv4 prefix itself, not "::ffff:10.0.0.0/104"`,
	}},
	{name: "error pages", text: "errorPages: {200: a, 0502: b, x: c, 503: '', 504: 5}\n", rest: web, want: []string{
		`appgw.yaml:1: errorPages.200: "200" is not a status of an error; use 400 to 599`,
		`appgw.yaml:1: errorPages.0502: "0502" is not a status of an error; use 400 to 599`,
		`appgw.yaml:1: errorPages.x: "x" is not a status of an error; use 400 to 599`,
		`appgw.yaml:1: errorPages.503: must not be empty; write the path of a file`,
		`appgw.yaml:1: errorPages.504: must be text; put it in quotes: "5"`,
	}},
	{name: "bodies and their sizes", text: "limits: {maxBodySize: 2TiB}\n", rest: backends + `rules: [{name: all, listener: web, backendPool: app, backendSettings: more}]
listeners: [{name: web, address: 80, maxBodySize: -1}]
`, want: []string{
		`appgw.yaml:1: limits.maxBodySize: must be a size such as 512B, 32KiB or 2MiB, not "2TiB"`,
		`appgw.yaml:5: rules[0].backendSettings: there is no backend settings "more"; known: plain`,
		`appgw.yaml:6: listeners[0].maxBodySize: must be a size such as 512B, 32KiB or 2MiB, not "-1"`,
	}},
	{name: "weighted pools and copies", text: `rules:
- name: all
  listener: web
  backendPool: app
  backendPools: [{pool: app}]
- {name: two, listener: api, backendPools: [{pool: app, weight: 1000001}, {pool: nobody, settings: none}, {pool: app, weight: 3}], mirror: {backendPool: nobody, percent: 101%, maxBodySize: 3MiB}}
- {name: three, pathMap: m, mirror: {backendPool: app, backendSettings: plain}}
redirects: [{name: away, target: {url: "https://x.example/"}}]
pathMaps: [{name: m, default: {redirect: away, mirror: {backendPool: app, backendSettings: plain}}, paths: [{paths: [/a], backendSettings: plain, backendPools: [{pool: app}, {pool: app, weight: 2}]}, {paths: [/b], backendPools: []}]}]
listeners: [{name: web, address: 80}, {name: api, address: 81}]
`, rest: backends, want: []string{
		`appgw.yaml:2: rules[0]: has both backendPool and backendPools; keep one`,
		`appgw.yaml:5: rules[0].backendPools[0]: has no settings; add settings, or backendSettings beside backendPools`,
		`appgw.yaml:6: rules[1].backendPools[0]: has no settings; add settings, or backendSettings beside backendPools`,
		`appgw.yaml:6: rules[1].backendPools[0].weight: must be 0 to 1000000, not "1000001"`,
		`appgw.yaml:6: rules[1].backendPools[1].pool: there is no backend pool "nobody"; known: app`,
		`appgw.yaml:6: rules[1].backendPools[1].settings: there is no backend settings "none"; known: plain`,
		`appgw.yaml:6: rules[1].backendPools[2]: has no settings; add settings, or backendSettings beside backendPools`,
		`appgw.yaml:6: rules[1].backendPools[2]: is the same as backendPools[0]; remove one and add up the weights`,
		`appgw.yaml:6: rules[1].mirror.backendSettings: is missing; add it`,
		`appgw.yaml:6: rules[1].mirror.backendPool: there is no backend pool "nobody"; known: app`,
		`appgw.yaml:6: rules[1].mirror.percent: must be 0% to 100%, such as 0.5%, not "101%"`,
		`appgw.yaml:6: rules[1].mirror.maxBodySize: must be 0B to 2MiB, not "3MiB"`,
		`appgw.yaml:7: rules[2].listener: is missing; add it`,
		`appgw.yaml:7: rules[2].mirror: belongs to the path rules and the default of the path map; set it there`,
		`appgw.yaml:9: pathMaps[0].default.mirror: a redirect has nothing to copy; remove it`,
		`appgw.yaml:9: pathMaps[0].paths[0].backendPools[1]: is the same as backendPools[0]; remove one and add up the weights`,
		`appgw.yaml:9: pathMaps[0].paths[1].backendPools: must have at least 1 entry`,
	}},

	{name: "listener", text: `listeners:
  - {name: -a, address: localhost:80}
  - {name: a, address: "::1:80", protocol: ftp, hostNames: [a.example:80, "*.*.*", a..b, -x.y, "a*?", "?.?.?.?.?", bücher.example, ""]}
  - {name: b, address: 10.0.0.1:0, http3: true, wafPolicy: x}
  - {name: c, address: 99999, protocol: udp}
  - {address: :81, http2: yes}
  - 7
`, rest: backends, want: []string{
		`appgw.yaml:2: listeners[0].name: "-a" is not a name; use 1 to 128 of A-Z a-z 0-9 . _ -, beginning with a letter, a digit or _`,
		`appgw.yaml:2: listeners[0].address: "localhost" is not an IP address; write one, such as 127.0.0.1:80, or :80 for all`,
		`appgw.yaml:3: listeners[1].address: an IPv6 address needs brackets: [::1]:80`,
		`appgw.yaml:3: listeners[1].protocol: must be one of http, https, tcp, tls, not "ftp"`,
		`appgw.yaml:3: listeners[1].hostNames[0]: "a.example:80" is not a host name; write it without scheme, port or path`,
		`appgw.yaml:3: listeners[1].hostNames[1]: "*.*.*" has more than two *; use at most two in a name`,
		`appgw.yaml:3: listeners[1].hostNames[2]: "a..b" is not a host name: a label has 1 to 63 characters`,
		`appgw.yaml:3: listeners[1].hostNames[3]: "-x.y" is not a host name: a label does not begin or end with -`,
		`appgw.yaml:3: listeners[1].hostNames[4]: "a*?" is not a host name: do not use * and ? between the same two dots`,
		`appgw.yaml:3: listeners[1].hostNames[5]: "?.?.?.?.?" has more than four wildcards; use at most four in a name`,
		`appgw.yaml:3: listeners[1].hostNames[6]: "bücher.example" is not a host name: write names that are not ASCII in their xn-- form`,
		`appgw.yaml:3: listeners[1].hostNames[7]: "" is not a host name; it needs 1 to 253 characters`,
		`appgw.yaml:4: listeners[2].address: port 0 (any free port) is for loopback addresses only; write a port of 1 to 65535`,
		`appgw.yaml:4: listeners[2].http3: only https listeners have it: QUIC is always encrypted; remove it, or set protocol: https`,
		`appgw.yaml:4: listeners[2].wafPolicy: there is no WAF policy "x"; none is defined`,
		`appgw.yaml:5: listeners[3].address: 99999 is not a port; use 1 to 65535`,
		`appgw.yaml:5: listeners[3].protocol: must be one of http, https, tcp, tls, not "udp"`,
		`appgw.yaml:6: listeners[4].name: is missing; add it`,
		`appgw.yaml:6: listeners[4].http2: must be true or false, not "yes"`,
		`appgw.yaml:7: listeners[5]: must be a mapping (key: value), not "7"`,
	}},
	{name: "http3", text: `listeners:
  - {name: a, address: :1, protocol: https, http3: true, tls: {certificates: [{certFile: a, keyFile: b}], policy: {maxVersion: "1.2"}}}
  - {name: b, address: :2, protocol: https, http3: true, proxyProtocol: {accept: [10.0.0.0/8]}, tls: {certificates: [{certFile: a, keyFile: b}]}}
  - {name: c, address: :3, protocol: https, http3EarlyData: true, tls: {certificates: [{certFile: a, keyFile: b}]}}
  - {name: d, address: :4, protocol: https, http3: true, http3EarlyData: true, tls: {certificates: [{certFile: a, keyFile: b}], clientAuth: {mode: strict, caFile: c}}}
  - {name: e, address: :5, protocol: https, http3: true, hostNames: [e.example], tls: {certificates: [{certFile: a, keyFile: b}]}}
  - {name: f, address: :5, protocol: https, hostNames: [f.example], tls: {certificates: [{certFile: a, keyFile: b}]}}
  - {name: g, address: :5, protocol: https, http3: true, http3EarlyData: true, tls: {certificates: [{certFile: a, keyFile: b}]}}
`, rest: backends, want: []string{
		`appgw.yaml:2: listeners[0].http3: needs TLS 1.3, which the policy of the listener does not allow; use another policy`,
		`appgw.yaml:3: listeners[1].http3: cannot be used with proxyProtocol: nothing says who the client is on UDP; remove one`,
		`appgw.yaml:4: listeners[2].http3EarlyData: has no effect without http3: true; add it, or remove this`,
		`appgw.yaml:5: listeners[3].http3EarlyData: cannot be used with tls.clientAuth: who the client is is not proven before the end of the handshake; remove one`,
		`appgw.yaml:7: listeners[5].http3: differs from that of listener "e", which has the same address; use the same in both`,
		`appgw.yaml:8: listeners[6].http3EarlyData: differs from that of listener "e", which has the same address; use the same in both`,
	}},
	{name: "listener without name or address", text: "listeners: [{}]\n", rest: backends, want: []string{
		`appgw.yaml:1: listeners[0].name: is missing; add it`,
		`appgw.yaml:1: listeners[0].address: is missing; add it`,
	}},
	{name: "https without certificate", text: "listeners:\n  - {name: a, address: :1, protocol: https}\n  - {name: b, address: :2, protocol: https, tls: {certificates: []}}\n  - {name: c, address: :3, protocol: https, tls: {certificates: [{certFile: '', keyFile: k}, {certFile: c}]}}\n", rest: backends, want: []string{
		`appgw.yaml:2: listeners[0].tls: an https listener needs a certificate; add certificates: [{certFile: FILE, keyFile: FILE}], or acme: {email: ADDRESS}`,
		`appgw.yaml:3: listeners[1].tls: an https listener needs a certificate; add certificates: [{certFile: FILE, keyFile: FILE}], or acme: {email: ADDRESS}`,
		`appgw.yaml:4: listeners[2].tls.certificates[0].certFile: must not be empty; write the path of a file`,
		`appgw.yaml:4: listeners[2].tls.certificates[1].keyFile: is missing; add it`,
	}},
	{name: "http with tls", text: "listeners: [{name: a, address: :1, tls: {certificates: [{certFile: c, keyFile: k}]}}]\n", rest: backends, want: []string{
		`appgw.yaml:1: listeners[0].tls: only https listeners have it; remove it, or set protocol: https`,
	}},
	{name: "tls", text: `listeners:
  - name: a
    address: :1
    protocol: https
    tls:
      certificates: [{certFile: c, keyFile: k}]
      policy: AppGwSslPolicy2022
  - {name: b, address: :2, protocol: https, tls: {certificates: [{certFile: c, keyFile: k}], policy: {minVersion: 1.3, maxVersion: 1.2}}}
  - {name: c, address: :3, protocol: https, tls: {certificates: [{certFile: c, keyFile: k}], policy: {cipherSuites: [DHE-RSA-AES256-GCM-SHA384]}}}
  - {name: d, address: :4, protocol: https, tls: {certificates: [{certFile: c, keyFile: k}], policy: {cipherSuites: [ECDHE-RSA-AES128-GCM-SHA257, AES128-SHA, TLS_RSA_WITH_AES_128_CBC_SHA]}}}
  - {name: e, address: :5, protocol: https, tls: {certificates: [{certFile: c, keyFile: k}], policy: {cipherSuites: [TLS_AES_128_GCM_SHA256]}}}
  - {name: f, address: :6, protocol: https, tls: {certificates: [{certFile: c, keyFile: k}], policy: {minVersion: SSLv3}}}
`, rest: backends, want: []string{
		`appgw.yaml:7: listeners[0].tls.policy: there is no policy "AppGwSslPolicy2022"; known: AppGwSslPolicy20150501, AppGwSslPolicy20170401, AppGwSslPolicy20170401S, AppGwSslPolicy20220101, AppGwSslPolicy20220101S, or {minVersion, cipherSuites}`,
		`appgw.yaml:8: listeners[1].tls.policy: minVersion is above maxVersion; no client could connect`,
		`appgw.yaml:9: listeners[2].tls.policy.cipherSuites: nothing remains that crypto/tls has for TLS 1.2; add one such as ECDHE-ECDSA-AES128-GCM-SHA256, or write minVersion: TLSv1_3`,
		`appgw.yaml:10: listeners[3].tls.policy.cipherSuites[0]: there is no cipher suite "ECDHE-RSA-AES128-GCM-SHA257"; did you mean ECDHE-RSA-AES128-GCM-SHA256?`,
		`appgw.yaml:10: listeners[3].tls.policy.cipherSuites[2]: TLS_RSA_WITH_AES_128_CBC_SHA is listed twice; remove one`,
		`appgw.yaml:11: listeners[4].tls.policy.cipherSuites: nothing remains that crypto/tls has for TLS 1.2; add one such as ECDHE-ECDSA-AES128-GCM-SHA256, or write minVersion: TLSv1_3`,
		`appgw.yaml:12: listeners[5].tls.policy.minVersion: must be one of TLSv1_0, 1.0, TLSv1_1, 1.1, TLSv1_2, 1.2, TLSv1_3, 1.3, not "SSLv3"`,
	}},
	{name: "client auth", text: `listeners:
  - {name: a, address: :1, protocol: https, tls: {certificates: [{certFile: c, keyFile: k}], clientAuth: {mode: strict}}}
  - {name: b, address: :2, protocol: https, tls: {certificates: [{certFile: c, keyFile: k}], clientAuth: {caFile: ca.pem}}}
  - {name: c, address: :3, protocol: https, tls: {certificates: [{certFile: c, keyFile: k}], clientAuth: {mode: passthrough, crlFile: crl.pem}}}
  - {name: d, address: :4, protocol: https, tls: {certificates: [{certFile: c, keyFile: k}], clientAuth: {mode: passthrough, forward: rfc9440}}}
  - {name: e, address: :5, protocol: https, tls: {certificates: [{certFile: c, keyFile: k}], clientAuth: {mode: optional, forward: all}}}
`, rest: backends, want: []string{
		`appgw.yaml:2: listeners[0].tls.clientAuth: strict needs the CAs of clients; add caFile: FILE`,
		`appgw.yaml:3: listeners[1].tls.clientAuth: has no effect with mode: off; write mode: strict or passthrough, or remove the rest`,
		`appgw.yaml:4: listeners[2].tls.clientAuth: crlFile, ocsp and verifyIssuerDN need caFile`,
		`appgw.yaml:5: listeners[3].tls.clientAuth: rfc9440 tells of verified certificates only; add caFile, or write forward: fields`,
		`appgw.yaml:6: listeners[4].tls.clientAuth.mode: must be one of off, strict, passthrough, not "optional"`,
		`appgw.yaml:6: listeners[4].tls.clientAuth.forward: must be one of off, rfc9440, fields, not "all"`,
	}},
	{name: "client certificate for backends", text: "backendSettings:\n  - {name: plain, protocol: https, tls: {clientCertificate: {certFile: c}}}\n", rest: "listeners: [{name: a, address: :1}]\nbackendPools: [{name: app, targets: [127.0.0.1]}]\nrules: [{name: r, listener: a, backendPool: app, backendSettings: plain}]\n", want: []string{
		`appgw.yaml:2: backendSettings[0].tls.clientCertificate.keyFile: is missing; add it`,
	}},
	{name: "access rules", text: "listeners:\n  - name: a\n    address: :1\n    accessRules:\n      - {priority: 1, action: block, source: []}\n      - {priority: 1, action: deny, source: [1.2.3.4]}\n      - {priority: 70000, action: deny, source: [x]}\n      - {}\n", rest: backends, want: []string{
		`appgw.yaml:5: listeners[0].accessRules[0].action: must be one of allow, deny, not "block"`,
		`appgw.yaml:5: listeners[0].accessRules[0].source: must have at least 1 entry`,
		`appgw.yaml:6: listeners[0].accessRules[1].priority: priority 1 is taken; each access rule of a listener needs its own`,
		`appgw.yaml:7: listeners[0].accessRules[2].priority: must be 1 to 65535, not "70000"`,
		`appgw.yaml:7: listeners[0].accessRules[2].source[0]: must be a prefix such as 10.0.0.0/8 or an address, not "x"`,
		`appgw.yaml:8: listeners[0].accessRules[3].priority: is missing; add it`,
		`appgw.yaml:8: listeners[0].accessRules[3].action: is missing; add it`,
		`appgw.yaml:8: listeners[0].accessRules[3].source: is missing; add it`,
	}},
	{name: "proxy protocol", text: "listeners:\n  - {name: a, address: :1, proxyProtocol: {}}\n  - {name: b, address: :2, proxyProtocol: {accept: []}}\n", rest: backends, want: []string{
		`appgw.yaml:2: listeners[0].proxyProtocol.accept: is missing; add it`,
		`appgw.yaml:3: listeners[1].proxyProtocol.accept: must have at least 1 entry`,
	}},
	{name: "shared address", text: `listeners:
  - {name: a, address: :80, hostNames: [a.example, "*.b.example"]}
  - {name: b, address: :80, hostNames: [A.example., "*.b.example"]}
  - {name: c, address: :80}
  - {name: d, address: :80}
  - {name: e, address: :80, hostNames: [e.example], protocol: https, tls: {certificates: [{certFile: c, keyFile: k}]}}
  - {name: f, address: :80, hostNames: [f.example], proxyProtocol: {accept: [10.0.0.0/8]}}
  - {name: g, address: :81, hostNames: [g.example, g.example]}
`, rest: backends, want: []string{
		`appgw.yaml:3: listeners[1].hostNames[0]: "a.example" is already a host name of listener "a" on this address; remove one`,
		`appgw.yaml:3: listeners[1].hostNames[1]: "*.b.example" is already a host name of listener "a" on this address; remove one`,
		`appgw.yaml:5: listeners[3]: listener "c" has the same address and no hostNames either; add hostNames to one`,
		`appgw.yaml:6: listeners[4].protocol: listener "a" has the same address and another protocol; use another port`,
		`appgw.yaml:7: listeners[5]: proxyProtocol.accept differs from that of listener "a", which has the same address; use the same in both`,
		`appgw.yaml:8: listeners[6].hostNames[1]: "g.example" is already a host name of listener "g" on this address; remove one`,
	}},
	{name: "overlapping addresses", text: `admin: {address: 127.0.0.1:82}
metrics: {address: 127.0.0.1:82}
listeners:
  - {name: a, address: 127.0.0.1:80}
  - {name: b, address: :80}
  - {name: c, address: 0.0.0.0:81}
  - {name: d, address: 127.0.0.1:81}
  - {name: e, address: "[::1]:81"}
  - {name: f, address: 10.0.0.1:83}
  - {name: g, address: 10.0.0.2:83}
`, rest: backends, want: []string{
		`appgw.yaml:2: metrics.address: 127.0.0.1:82 overlaps with 127.0.0.1:82 (admin.address); use another port`,
		`appgw.yaml:4: listeners[0].address: 127.0.0.1:80 overlaps with :80 (listeners[1].address); use the same address in both, or another port`,
		`appgw.yaml:7: listeners[3].address: 127.0.0.1:81 overlaps with 0.0.0.0:81 (listeners[2].address); use the same address in both, or another port`,
	}},
	{name: "names twice", text: "probes: [{name: a, protocol: tcp},\n  {name: a, protocol: tcp}]\n", rest: web, want: []string{
		`appgw.yaml:2: probes[1].name: the name "a" is already taken on line 1; choose another`,
	}},

	{name: "pools", text: `backendPools:
  - name: a
    targets: ["http://a", "a:0", "a:b", "[1.2.3.4]:80", "[::1", "[::1]x", "", a b, 1.2.3, unix:, 10.0.0.4:, {weight: 0}, {address: a, wait: 1}, [a], 5]
    balance: hashed
    resolve: 1ms
  - {name: b, balance: random}
  - {name: c, balance: p2c, hash: {on: uri}}
  - {name: d, balance: hash, hash: {on: path, balanceFactor: 100}}
  - {name: e, balance: hash, hash: {on: "header:", balanceFactor: 10001}}
  - {name: f, balance: hash, hash: {on: "cookie:a b", factor: 125}}
  - {name: g, balance: hash, hash: uri}
  - {name: h, slowStart: 2h, minHealthy: 50, panicThreshold: 101%, targets: [{address: a, priority: 0}]}
  - {name: i, minHealthy: half, panicThreshold: 07%}
`, want: []string{
		`appgw.yaml:3: backendPools[0].targets[0]: write the address without a scheme, host or host:port; the protocol is in the backend settings`,
		`appgw.yaml:3: backendPools[0].targets[1]: must be an address or a host name with or without a port, such as 10.0.0.4, app.internal:8080 or [::1]:80, not "a:0"`,
		`appgw.yaml:3: backendPools[0].targets[2]: must be an address or a host name with or without a port, such as 10.0.0.4, app.internal:8080 or [::1]:80, not "a:b"`,
		`appgw.yaml:3: backendPools[0].targets[3]: must be an address or a host name with or without a port, such as 10.0.0.4, app.internal:8080 or [::1]:80, not "[1.2.3.4]:80"`,
		`appgw.yaml:3: backendPools[0].targets[4]: must be an address or a host name with or without a port, such as 10.0.0.4, app.internal:8080 or [::1]:80, not "[::1"`,
		`appgw.yaml:3: backendPools[0].targets[5]: must be an address or a host name with or without a port, such as 10.0.0.4, app.internal:8080 or [::1]:80, not "[::1]x"`,
		`appgw.yaml:3: backendPools[0].targets[6]: "" is not a host name; it needs 1 to 253 characters`,
		`appgw.yaml:3: backendPools[0].targets[7]: "a b" is not a host name: a label has letters, digits and -, not ' '`,
		`appgw.yaml:3: backendPools[0].targets[8]: "1.2.3" is neither an IP address nor a host name, whose last label is not a number`,
		`appgw.yaml:3: backendPools[0].targets[9].unix: unknown key; known keys: address, weight, priority`,
		`appgw.yaml:3: backendPools[0].targets[9].address: is missing; add it`,
		`appgw.yaml:3: backendPools[0].targets[10]."10.0.0.4": unknown key; known keys: address, weight, priority`,
		`appgw.yaml:3: backendPools[0].targets[10].address: is missing; add it`,
		`appgw.yaml:3: backendPools[0].targets[11].address: is missing; add it`,
		`appgw.yaml:3: backendPools[0].targets[11].weight: must be 1 to 1000, not "0"`,
		`appgw.yaml:3: backendPools[0].targets[12].wait: unknown key; known keys: address, weight, priority`,
		`appgw.yaml:3: backendPools[0].targets[13]: must be text, not a list`,
		`appgw.yaml:3: backendPools[0].targets[14]: must be text; put it in quotes: "5"`,
		`appgw.yaml:4: backendPools[0].balance: must be one of roundRobin, leastRequests, p2c, ewma, hash, not "hashed"`,
		`appgw.yaml:5: backendPools[0].resolve: must be 100ms to 24h, not "1ms"`,
		`appgw.yaml:6: backendPools[1].balance: must be one of roundRobin, leastRequests, p2c, ewma, hash, not "random"`,
		`appgw.yaml:7: backendPools[2].hash: is for balance: hash only, not p2c`,
		`appgw.yaml:8: backendPools[3].hash.on: must be clientAddr, header:NAME, cookie:NAME or uri, not "path"`,
		`appgw.yaml:8: backendPools[3].hash.balanceFactor: must be 0 (no bound) or 101 to 10000, not 100: it is in percent of the average`,
		`appgw.yaml:9: backendPools[4].hash.on: a header field's name has 1 to 64 characters`,
		`appgw.yaml:9: backendPools[4].hash.balanceFactor: must be 0 to 10000, not "10001"`,
		`appgw.yaml:10: backendPools[5].hash.on: a cookie's name has letters, digits and !#$%&'*+-.^_` + "`" + `|~, not ' '`,
		`appgw.yaml:10: backendPools[5].hash.factor: unknown key; known keys: on, balanceFactor`,
		`appgw.yaml:11: backendPools[6].hash: must be a mapping (key: value), not "uri"`,
		`appgw.yaml:12: backendPools[7].slowStart: must be 0s to 1h, not "2h"`,
		`appgw.yaml:12: backendPools[7].minHealthy: a share needs a percent sign; write 50%`,
		`appgw.yaml:12: backendPools[7].panicThreshold: must be 0% to 100%, not "101%"`,
		`appgw.yaml:12: backendPools[7].targets[0].priority: must be 1 to 1000, not "0"`,
		`appgw.yaml:13: backendPools[8].minHealthy: must be a share such as 50%, not "half"`,
		`appgw.yaml:13: backendPools[8].panicThreshold: must be a share such as 50%, not "07%"`,
	}},
	{name: "socket path too long", text: "backendPools: [{name: a, targets: [unix:/" + strings.Repeat("x", 200) + "]}]\n", want: []string{
		`appgw.yaml:1: backendPools[0].targets[0]: the path of a unix socket is at most 107 bytes, not 201`,
	}},
	{name: "target twice", text: "backendPools: [{name: a, targets: [10.0.0.4, {address: 10.0.0.4, weight: 2, priority: 2}, '10.0.0.4:81']}]\n", want: []string{
		`appgw.yaml:1: backendPools[0].targets[1]: is the same as targets[0]; remove one (weight gives a target more requests)`,
	}},
	{name: "settings' texts", text: `backendSettings:
  - {name: a, hostName: "::1", affinity: {cookie: ""}}
  - {name: b, hostName: "[::1]:0", affinity: {cookie: ` + strings.Repeat("x", 65) + `}}
  - {name: c, hostName: "a b", pathOverride: /%2}
probes: [{name: a, match: {body: "` + strings.Repeat("x", 4091) + `"}}]
redirects: [{name: a, target: {url: "http://a:b:c/"}}, {name: b, target: {url: "http://1.2.3/"}}]
`, want: []string{
		`appgw.yaml:2: backendSettings[0].hostName: write an IPv6 address in brackets: [::1]`,
		`appgw.yaml:2: backendSettings[0].affinity.cookie: a cookie's name has 1 to 64 characters`,
		`appgw.yaml:3: backendSettings[1].hostName: must be a host name with or without a port, such as app.example, not "[::1]:0"`,
		`appgw.yaml:3: backendSettings[1].affinity.cookie: a cookie's name has 1 to 64 characters`,
		`appgw.yaml:4: backendSettings[2].hostName: "a b" is not a host name: a label has letters, digits and -, not ' '`,
		`appgw.yaml:4: backendSettings[2].pathOverride: "/%2" has a % without two hexadecimal digits; write %25 for the character itself`,
		`appgw.yaml:5: probes[0].match.body: must be at most 4090 bytes, not 4091`,
		`appgw.yaml:6: redirects[0].target.url: must be a URL such as https://shop.example/, not "http://a:b:c/"`,
		`appgw.yaml:6: redirects[1].target.url: "1.2.3" is neither an IP address nor a host name, whose last label is not a number`,
	}},
	{name: "names among many", text: manyPools + `
listeners: [{name: a, address: 1}, {name: b, address: 2}]
rules:
  - {name: a, listener: a, backendPool: pool-11x, backendSettings: plain}
  - {name: b, listener: b, backendPool: something-else, backendSettings: plain}
backendSettings: [{name: plain}]
`, want: []string{
		`appgw.yaml:4: rules[0].backendPool: there is no backend pool "pool-11x"; did you mean pool-11?`,
		`appgw.yaml:5: rules[1].backendPool: there is no backend pool "something-else"; known: pool-10, pool-11, pool-12, pool-13, pool-14, pool-15, pool-16, pool-17, pool-18, pool-19, ...`,
	}},
	{name: "settings", text: `backendSettings:
  - name: a
    protocol: h2c
    port: 0
    requestTimeout: 25h
    connectTimeout: 0s
    affinity: {enabled: 1, cookie: a b}
    drain: 2h
    hostName: a.example:x
    pathOverride: v2
    retries: {on: connectFailure, attempts: 6, budget: 20}
    maxConnections: x
    tls: {serverName: "*.example", verify: off}
    ejection: {connectFailures: -1, time: 0s, maxShare: 0%}
  - {name: b, hostName: a.example, pickHostFromBackend: true, probe: nope, retries: {on: [error]}}
`, want: []string{
		`appgw.yaml:3: backendSettings[0].protocol: h2c is not available in this version; use http with http2: true`,
		`appgw.yaml:4: backendSettings[0].port: must be 1 to 65535, not "0"`,
		`appgw.yaml:5: backendSettings[0].requestTimeout: must be 1ms to 24h, not "25h"`,
		`appgw.yaml:6: backendSettings[0].connectTimeout: must be 1ms to 10m, not "0s"`,
		`appgw.yaml:7: backendSettings[0].affinity.enabled: must be true or false, not "1"`,
		"appgw.yaml:7: backendSettings[0].affinity.cookie: a cookie's name has letters, digits and !#$%&'*+-.^_`|~, not ' '",
		`appgw.yaml:8: backendSettings[0].drain: must be 0s to 1h, not "2h"`,
		`appgw.yaml:9: backendSettings[0].hostName: must be a host name with or without a port, such as app.example, not "a.example:x"`,
		`appgw.yaml:10: backendSettings[0].pathOverride: must begin with /, not "v2"`,
		`appgw.yaml:11: backendSettings[0].retries.on: must be a list ([a, b]), not "connectFailure"`,
		`appgw.yaml:11: backendSettings[0].retries.attempts: must be 0 to 5, not "6"`,
		`appgw.yaml:11: backendSettings[0].retries.budget: a share needs a percent sign; write 20%`,
		`appgw.yaml:12: backendSettings[0].maxConnections: must be a whole number, not "x"`,
		`appgw.yaml:13: backendSettings[0].tls.serverName: "*.example" is not a host name: a label has letters, digits and -, not '*'`,
		`appgw.yaml:13: backendSettings[0].tls.verify: must be true or false, not "off"`,
		`appgw.yaml:14: backendSettings[0].ejection.connectFailures: must be 0 to 1000, not "-1"`,
		`appgw.yaml:14: backendSettings[0].ejection.time: must be 10ms to 24h, not "0s"`,
		`appgw.yaml:14: backendSettings[0].ejection.maxShare: must be 1% to 100%, not "0%"`,
		`appgw.yaml:15: backendSettings[1].hostName: excludes pickHostFromBackend; keep one`,
		`appgw.yaml:15: backendSettings[1].probe: there is no probe "nope"; none is defined`,
		`appgw.yaml:15: backendSettings[1].retries.on[0]: must be one of connectFailure, timeout, reset, not "error"`,
	}},
	{name: "settings' probe speaks another protocol", text: "backendSettings: [{name: a, protocol: https, probe: p}]\nprobes: [{name: p}]\n", want: []string{
		`appgw.yaml:1: backendSettings[0].probe: probe "p" has another protocol than these settings; use one with the same, or with tcp`,
	}},
	{name: "probes of gRPC", text: "probes: [{name: a, service: x.Y}, {name: b, protocol: grpc, path: /, match: {body: x}}, {name: c, protocol: grpc, service: x..Y}, {name: d, protocol: grpc, service: x.Y, host: h}]\n", want: []string{
		`appgw.yaml:1: probes[0].service: only a grpc probe asks about a service; remove it, or set protocol: grpc`,
		`appgw.yaml:1: probes[1].path: a grpc probe asks about a service; remove it, or set protocol: http`,
		`appgw.yaml:1: probes[1].match: a grpc probe asks about a service; remove it, or set protocol: http`,
		`appgw.yaml:1: probes[2].service: must be a package and a service, such as helloworld.Greeter, not "x..Y"`,
	}},
	{name: "probes", text: `probes:
  - {name: off, protocol: udp, host: "a b", path: x, port: 70000, interval: 1ns, timeout: 0s, unhealthyThreshold: 0, healthyThreshold: 21}
  - {name: a, match: {status: [99, 200-600, 400-200, x, 200-], body: {}}}
  - {name: b, protocol: tcp, path: /, match: {body: x}}
  - {name: c, match: {status: []}}
`, want: []string{
		`appgw.yaml:2: probes[0].name: off is what settings write for no probe; choose another name`,
		`appgw.yaml:2: probes[0].protocol: must be one of http, https, tcp, grpc, not "udp"`,
		`appgw.yaml:2: probes[0].host: "a b" is not a host name: a label has letters, digits and -, not ' '`,
		`appgw.yaml:2: probes[0].path: must begin with /, not "x"`,
		`appgw.yaml:2: probes[0].port: must be 1 to 65535, not "70000"`,
		`appgw.yaml:2: probes[0].interval: must be 10ms to 24h, not "1ns"`,
		`appgw.yaml:2: probes[0].timeout: must be 1ms to 24h, not "0s"`,
		`appgw.yaml:2: probes[0].unhealthyThreshold: must be 1 to 20, not "0"`,
		`appgw.yaml:2: probes[0].healthyThreshold: must be 1 to 20, not "21"`,
		`appgw.yaml:3: probes[1].match.status[0]: must be a status of 100 to 599 or a range of them such as 200-399, not "99"`,
		`appgw.yaml:3: probes[1].match.status[1]: must be a status of 100 to 599 or a range of them such as 200-399, not "200-600"`,
		`appgw.yaml:3: probes[1].match.status[2]: must be a status of 100 to 599 or a range of them such as 200-399, not "400-200"`,
		`appgw.yaml:3: probes[1].match.status[3]: must be a status of 100 to 599 or a range of them such as 200-399, not "x"`,
		`appgw.yaml:3: probes[1].match.status[4]: must be a status of 100 to 599 or a range of them such as 200-399, not "200-"`,
		`appgw.yaml:3: probes[1].match.body: must be text, not a mapping`,
		`appgw.yaml:4: probes[2].path: a tcp probe only connects; remove it, or set protocol: http`,
		`appgw.yaml:4: probes[2].match: a tcp probe only connects; remove it, or set protocol: http`,
		`appgw.yaml:5: probes[3].match.status: must have at least 1 entry`,
	}},
	{name: "path map", text: `pathMaps:
  - name: a
    default: {backendPool: app}
    paths:
      - {paths: [images, /*.jpg, /a/*/b, "/a?b", "/a#b", "/a b", /a%zz, /a/../b, /a/%2e, /%41, "/ü", "/a;v=1/*"], redirect: nope}
      - {paths: [], backendPool: app, backendSettings: plain, rewriteSet: x, wafPolicy: y}
      - {paths: [/x]}
      - {paths: [/y], backendPool: app, backendSettings: plain, redirect: nope}
      - {backendPool: aap, backendSettings: ""}
  - {name: b}
`, rest: backends, want: []string{
		`appgw.yaml:3: pathMaps[0].default: backendSettings is missing; backendPool needs them`,
		`appgw.yaml:5: pathMaps[0].paths[0].paths[0]: must begin with /, not "images"`,
		`appgw.yaml:5: pathMaps[0].paths[0].paths[1]: "/*.jpg" has a * that is not at its very end; only /images/* is possible`,
		`appgw.yaml:5: pathMaps[0].paths[0].paths[2]: "/a/*/b" has a * that is not at its very end; only /images/* is possible`,
		`appgw.yaml:5: pathMaps[0].paths[0].paths[3]: "/a?b" must not have ?`,
		`appgw.yaml:5: pathMaps[0].paths[0].paths[4]: "/a#b" must not have #`,
		`appgw.yaml:5: pathMaps[0].paths[0].paths[5]: "/a b" has a character that a path cannot have; percent-encode it: %20`,
		`appgw.yaml:5: pathMaps[0].paths[0].paths[6]: "/a%zz" has a % without two hexadecimal digits; write %25 for the character itself`,
		`appgw.yaml:5: pathMaps[0].paths[0].paths[7]: "/a/../b" has a .. segment; paths are compared without them`,
		`appgw.yaml:5: pathMaps[0].paths[0].paths[8]: "/a/%2e" has a . segment; paths are compared without them`,
		`appgw.yaml:5: pathMaps[0].paths[0].paths[9]: "/%41" escapes a character that needs no escape; write A for %41`,
		`appgw.yaml:5: pathMaps[0].paths[0].paths[10]: "/ü" has a character that a path cannot have; percent-encode it: %C3`,
		`appgw.yaml:5: pathMaps[0].paths[0].paths[11]: "/a;v=1/*" has a parameter (;), which path rules take no account of; leave it out`,
		`appgw.yaml:5: pathMaps[0].paths[0].redirect: there is no redirect "nope"; none is defined`,
		`appgw.yaml:6: pathMaps[0].paths[1].paths: must have at least 1 entry`,
		`appgw.yaml:6: pathMaps[0].paths[1].rewriteSet: there is no rewrite set "x"; none is defined`,
		`appgw.yaml:6: pathMaps[0].paths[1].wafPolicy: there is no WAF policy "y"; none is defined`,
		`appgw.yaml:7: pathMaps[0].paths[2]: goes nowhere; add one of backendPool with backendSettings, or redirect`,
		`appgw.yaml:8: pathMaps[0].paths[3]: goes to more than one place; keep one of backendPool with backendSettings, or redirect`,
		`appgw.yaml:8: pathMaps[0].paths[3].redirect: there is no redirect "nope"; none is defined`,
		`appgw.yaml:9: pathMaps[0].paths[4].paths: is missing; add it`,
		`appgw.yaml:9: pathMaps[0].paths[4]: backendSettings is missing; backendPool needs them`,
		`appgw.yaml:9: pathMaps[0].paths[4].backendPool: there is no backend pool "aap"; known: app`,
		`appgw.yaml:10: pathMaps[1].default: is missing; add it`,
	}},
	{name: "rate limits", text: `rateLimits:
  - {name: a, requests: 0, per: 1ms, key: country, burst: 0, ipv6Bits: 129, keys: 1}
  - {name: b, requests: 1, per: 24h, burst: 31}
  - {name: c, requests: 1, key: "header:a b"}
rules:
- {name: all, listener: web, backendPool: app, backendSettings: plain, rateLimits: [b, b, d]}
- {name: map, pathMap: m, rateLimits: [b]}
pathMaps: [{name: m, default: {backendPool: app, backendSettings: plain, rateLimits: [e]}}]
listeners: [{name: web, address: 80, rateLimits: [f]}]
`, rest: backends, want: []string{
		`appgw.yaml:2: rateLimits[0].requests: must be 1 to 1000000, not "0"`,
		`appgw.yaml:2: rateLimits[0].per: must be 1s to 24h, not "1ms"`,
		`appgw.yaml:2: rateLimits[0].key: must be clientAddr, header:NAME, cookie:NAME, path or listener, not "country"`,
		`appgw.yaml:2: rateLimits[0].burst: must be 1 to 1000000, not "0"`,
		`appgw.yaml:2: rateLimits[0].ipv6Bits: must be 1 to 128, not "129"`,
		`appgw.yaml:2: rateLimits[0].keys: must be 64 to 10000000, not "1"`,
		`appgw.yaml:3: rateLimits[1].burst: a burst of 31 takes more than 30 days to be allowed again; make it smaller`,
		"appgw.yaml:4: rateLimits[2].key: a header field's name has letters, digits and !#$%&'*+-.^_`|~, not ' '",
		`appgw.yaml:6: rules[0].rateLimits[1]: "b" is there twice; remove one`,
		`appgw.yaml:6: rules[0].rateLimits[2]: there is no rate limit "d"; known: a, b, c`,
		`appgw.yaml:7: rules[1].listener: is missing; add it`,
		`appgw.yaml:7: rules[1].rateLimits: belongs to the path rules and the default of the path map, or to the listener; set it there`,
		`appgw.yaml:8: pathMaps[0].default.rateLimits[0]: there is no rate limit "e"; known: a, b, c`,
		`appgw.yaml:9: listeners[0].rateLimits[0]: there is no rate limit "f"; known: a, b, c`,
	}},
	{name: "requests shared and copied where only bytes are known", text: `backendPools: [{name: app, targets: [10.0.0.4]}]
backendSettings: [{name: plain}, {name: bytes, protocol: tcp, port: 1}]
rules: [{name: all, listener: web, backendPools: [{pool: app, settings: bytes}, {pool: app, settings: plain}], mirror: {backendPool: app, backendSettings: bytes}}]
listeners: [{name: web, address: 80}]
`, want: []string{
		`appgw.yaml:3: rules[0].backendPools[0].settings: "bytes" are for listeners with protocol: tcp or tls; name settings with protocol: http or https`,
		`appgw.yaml:3: rules[0].mirror.backendSettings: "bytes" are for listeners with protocol: tcp or tls; name settings with protocol: http or https`,
	}},
	{name: "redirects", text: `redirects:
  - {name: a, type: 301, target: {url: "ftp://x/"}}
  - {name: b, target: {url: https://x.example/, listener: nope}}
  - {name: c, target: {}}
  - {name: d}
  - {name: e, target: {url: "https://x.example/?a"}}
  - {name: f, target: {url: "https://u:p@x.example/"}}
  - {name: g, target: {url: "https://x.example:99999/"}}
  - {name: h, target: {url: "https:///x"}}
  - {name: i, target: {url: "https://x.example/a b"}}
  - {name: j, target: {url: "https://x y/"}}
`, want: []string{
		`appgw.yaml:2: redirects[0].type: must be one of permanent, found, seeOther, temporary, permanent308, not "301"`,
		`appgw.yaml:2: redirects[0].target.url: must be a URL such as https://shop.example/, not "ftp://x/"`,
		`appgw.yaml:3: redirects[1].target: has a url and a listener; keep one`,
		`appgw.yaml:3: redirects[1].target.listener: there is no listener "nope"; none is defined`,
		`appgw.yaml:4: redirects[2].target: goes nowhere; add url or listener`,
		`appgw.yaml:5: redirects[3].target: is missing; add it`,
		`appgw.yaml:6: redirects[4].target.url: must not have a query or fragment; includeQuery appends the request's query`,
		`appgw.yaml:7: redirects[5].target.url: must not have a user and password`,
		`appgw.yaml:8: redirects[6].target.url: "99999" is not a port; use 1 to 65535`,
		`appgw.yaml:9: redirects[7].target.url: must be a URL such as https://shop.example/, not "https:///x"`,
		`appgw.yaml:10: redirects[8].target.url: "/a b" has a character that a path cannot have; percent-encode it: %20`,
		`appgw.yaml:11: redirects[9].target.url: must be a URL such as https://shop.example/, not "https://x y/"`,
	}},
	{name: "rules", text: `listeners: [{name: web, address: :80}, {name: other, address: :81}]
rules:
  - {name: a, priority: 10, listener: web, backendPool: app, backendSettings: plain}
  - {name: b, priority: 10, listener: web, backendPool: app, backendSettings: plain}
  - {name: c, priority: 20001, listener: wob, backendPool: app}
  - {name: a, listener: other, pathMap: m, redirect: r}
  - {name: d, listener: other}
  - {name: e, backendSettings: plain}
  - {name: f, listener: other, redirect: ""}
  - {name: g, listener: other, pathMap: m, rewriteSet: x}
`, rest: backends, want: []string{
		`appgw.yaml:4: rules[1].priority: priority 10 is already that of rule "a"; each needs its own`,
		`appgw.yaml:4: rules[1].listener: listener "web" already belongs to rule "a"; a listener has one rule (use a path map)`,
		`appgw.yaml:5: rules[2]: backendSettings is missing; backendPool needs them`,
		`appgw.yaml:5: rules[2].priority: must be 1 to 20000, not "20001"`,
		`appgw.yaml:5: rules[2].listener: there is no listener "wob"; known: other, web`,
		`appgw.yaml:6: rules[3]: goes to more than one place; keep one of pathMap, backendPool with backendSettings, or redirect`,
		`appgw.yaml:6: rules[3].name: the name "a" is already taken on line 3; choose another`,
		`appgw.yaml:6: rules[3].pathMap: there is no path map "m"; none is defined`,
		`appgw.yaml:6: rules[3].redirect: there is no redirect "r"; none is defined`,
		`appgw.yaml:7: rules[4]: goes nowhere; add one of pathMap, backendPool with backendSettings, or redirect`,
		`appgw.yaml:7: rules[4].listener: listener "other" already belongs to rule "a"; a listener has one rule (use a path map)`,
		`appgw.yaml:8: rules[5].listener: is missing; add it`,
		`appgw.yaml:8: rules[5]: backendPool is missing; backendSettings need one`,
		`appgw.yaml:9: rules[6]: goes nowhere; name one of pathMap, backendPool with backendSettings, or redirect`,
		`appgw.yaml:9: rules[6].listener: listener "other" already belongs to rule "a"; a listener has one rule (use a path map)`,
		`appgw.yaml:10: rules[7].listener: listener "other" already belongs to rule "a"; a listener has one rule (use a path map)`,
		`appgw.yaml:10: rules[7].pathMap: there is no path map "m"; none is defined`,
		`appgw.yaml:10: rules[7].rewriteSet: there is no rewrite set "x"; none is defined`,
		`appgw.yaml:10: rules[7].rewriteSet: belongs to the path rules and the default of the path map; set it there`,
	}},
	{name: "redirect to itself", text: `listeners: [{name: web, address: :80}]
redirects: [{name: loop, target: {listener: web}}]
rules: [{name: web, listener: web, redirect: loop}]
`, want: []string{
		`appgw.yaml:3: rules[0].redirect: redirects for ever: a client comes back to listener "web" with the same path; change the target`,
	}},
	{name: "redirects in a circle", text: `listeners:
  - {name: a, address: :80}
  - {name: b, address: :443, protocol: https, tls: {certificates: [{certFile: c, keyFile: k}]}}
redirects:
  - {name: to-a, target: {listener: a}}
  - {name: to-b, target: {listener: b}}
rules:
  - {name: a, listener: a, redirect: to-b}
  - {name: b, listener: b, redirect: to-a}
`, want: []string{
		`appgw.yaml:8: rules[0].redirect: redirects for ever: a client comes back to listener "a" with the same path; change the target`,
		`appgw.yaml:9: rules[1].redirect: redirects for ever: a client comes back to listener "b" with the same path; change the target`,
	}},
	{name: "redirect of a path to itself", text: `listeners: [{name: a, address: :80, hostNames: [a.example]}]
redirects:
  - {name: same, target: {listener: a}}
  - {name: root, target: {url: http://a.example/new/}, includePath: false}
  - {name: grows, target: {url: http://a.example/x}}
pathMaps:
  - name: m
    default: {backendPool: app, backendSettings: plain}
    paths:
      - {paths: [/old/*], redirect: same}
      - {paths: [/new/*], redirect: root}
      - {paths: [/x*], redirect: grows}
      - {paths: [/fine/*], redirect: root}
rules: [{name: a, listener: a, pathMap: m}]
`, rest: backends, want: []string{
		`appgw.yaml:10: pathMaps[0].paths[0].redirect: redirects for ever: a client comes back to listener "a" with the same path; change the target`,
		`appgw.yaml:11: pathMaps[0].paths[1].redirect: redirects for ever: a client comes back to listener "a" with the same path; change the target`,
		`appgw.yaml:12: pathMaps[0].paths[2].redirect: redirects more than 20 times in a row; change the target`,
		`appgw.yaml:13: pathMaps[0].paths[3].redirect: redirects for ever: a client comes back to listener "a" with the same path; change the target`,
	}},
}

const manyPools = `backendPools: [{name: pool-10}, {name: pool-11}, {name: pool-12}, {name: pool-13}, {name: pool-14}, {name: pool-15}, ` +
	`{name: pool-16}, {name: pool-17}, {name: pool-18}, {name: pool-19}, {name: pool-20}]`

func TestRefusedConfigurations(t *testing.T) {
	for _, tt := range slices.Concat(refused, refusedPolicies, refusedRewrites, refusedMatches, refusedCaches) {
		t.Run(tt.name, func(t *testing.T) {
			g, _, err := ParseGateway("appgw.yaml", []byte(tt.text+tt.rest))
			if err == nil || g != nil {
				t.Fatal("accepted")
			}
			got := strings.Split(err.Error(), "\n")
			if !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestErrorsSayWhereTheyAre(t *testing.T) {
	_, _, err := ParseGateway("a.yaml", []byte("limits:\n  fields: x\n"))
	var all Errors
	if !errors.As(err, &all) || len(all) != 1 {
		t.Fatalf("err = %v, want one error", err)
	}
	if want := (Error{File: "a.yaml", Line: 2, Column: 11, Path: "limits.fields", Message: `must be a whole number, not "x"`}); all[0] != want {
		t.Errorf("got %+v, want %+v", all[0], want)
	}
	var one Error
	if !errors.As(err, &one) || one != all[0] {
		t.Error("errors.As does not find the single error")
	}
}
