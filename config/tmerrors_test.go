package config

import (
	"slices"
	"strings"
	"testing"
)

// verdict is what one file draws: one line for each error or warning.
type verdict struct {
	name string
	text string
	want []string
}

var refusedDirectors = []verdict{
	{name: "empty", text: `# nothing
`, want: []string{
		"t.yaml:1: the file is empty; `trafficmgr demo` shows what to write",
	}},
	{name: "unknown keys", text: `zonez: []
listen: [{adress: 53}]
qqqqqqqq: 1
`, want: []string{
		`t.yaml:1: zonez: unknown key; did you mean zones?`,
		`t.yaml:2: listen[0].adress: unknown key; did you mean address?`,
		`t.yaml:3: qqqqqqqq: unknown key; known keys: admin, metrics, shutdown, listen, zones, geo, latency, ecs, cookies, nsid, rateLimit, limits, tsig, queryLog, profiles`,
	}},
	{name: "operator", text: `admin: {address: 10.0.0.1:9}
metrics: {address: x}
shutdown: {drain: 25h}
`, want: []string{
		`t.yaml:1: admin.address: "10.0.0.1:9" is not loopback; write 127.0.0.1:9, unix:/path or off (metrics.address serves health and metrics on any address)`,
		`t.yaml:2: metrics.address: must be host:port, :port or a port, such as 127.0.0.1:8080, :8080 or 8080, not "x"`,
		`t.yaml:3: shutdown.drain: must be 0s to 24h, not "25h"`,
	}},
	{name: "listeners", text: `listen:
- {address: ':53', protocols: [udp, tcp, dot]}
- {address: ':853', protocols: [dot]}
- {address: ':443', protocols: [doh, doh], tls: {certificates: [{certFile: c, keyFile: k}]}}
- {address: ':54', tls: {certificates: [{certFile: c, keyFile: k}]}}
- {address: ':55', path: /q}
- {address: ':56', protocols: []}
- {address: ':57', protocols: [quic]}
`, want: []string{
		`t.yaml:2: listen[0].tls: dot and doh need a certificate; add certificates: [{certFile: FILE, keyFile: FILE}]`,
		`t.yaml:2: listen[0].protocols: tcp, dot and doh cannot share a port; make a listener for each, such as :53, :853 and :443`,
		`t.yaml:3: listen[1].tls: dot and doh need a certificate; add certificates: [{certFile: FILE, keyFile: FILE}]`,
		`t.yaml:4: listen[2].protocols[1]: is there twice; remove one`,
		`t.yaml:5: listen[3].tls: only dot and doh have it; remove it, or add one of them to protocols`,
		`t.yaml:6: listen[4].path: only doh has a path; remove it, or add doh to protocols`,
		`t.yaml:7: listen[5].protocols: must have at least 1 entry`,
		`t.yaml:8: listen[6].protocols[0]: must be one of udp, tcp, dot, doh, not "quic"`,
	}},
	{name: "no listeners in a list", text: `listen: []
`, want: []string{
		`t.yaml:1: listen: must have at least 1 entry`,
	}},
	{name: "addresses that collide", text: `admin: {address: 127.0.0.1:53}
metrics: {address: ':53'}
listen:
- {address: ':53', protocols: [udp]}
- {address: '127.0.0.1:53', protocols: [udp, tcp]}
- {address: '127.0.0.1:0'}
- {address: '127.0.0.1:0'}
`, want: []string{
		`t.yaml:2: metrics.address: :53 overlaps with 127.0.0.1:53 (admin.address); use another port`,
		`t.yaml:5: listen[1].address: 127.0.0.1:53 overlaps with :53 (listen[0] over UDP); use another port`,
		`t.yaml:5: listen[1].address: 127.0.0.1:53 overlaps with 127.0.0.1:53 (admin.address); use another port`,
	}},
	{name: "zones", text: `zones:
- {name: tm.example}
- {name: TM.example., nameServers: [a.example, A.example]}
- {name: -x, nameServers: [1.2.3.4]}
- {nameServers: [a.example], hostmaster: dns@tm.example}
- {name: b.example, nameServers: [a.example], ttl: 1500ms, negativeTTL: 25h, serial: 4294967296}
- {name: c.example, file: z, dnssec: {enabled: true}, transfer: {keys: [k]}}
`, want: []string{
		`t.yaml:2: zones[0]: needs nameServers, such as [ns1.tm.example], or a file that has them`,
		`t.yaml:3: zones[1].name: the name "tm.example" is already taken on line 2; choose another`,
		`t.yaml:3: zones[1].nameServers[1]: "a.example" is there twice; remove one`,
		`t.yaml:4: zones[2].name: "-x" is not a host name: a label does not begin or end with -`,
		`t.yaml:4: zones[2].nameServers[0]: 1.2.3.4 is an address; NS records have host names, such as ns1.tm.example`,
		`t.yaml:5: zones[3].name: is missing; add it`,
		`t.yaml:5: zones[3].hostmaster: is a name, not a mail address; write "dns.tm.example"`,
		`t.yaml:6: zones[4].ttl: must be whole seconds, as TTLs are, not "1500ms"`,
		`t.yaml:6: zones[4].negativeTTL: must be 0s to 24h, not "25h"`,
		`t.yaml:6: zones[4].serial: must be 0 to 4294967295, not "4294967296"`,
		`t.yaml:7: zones[5].dnssec: needs keyFile, where the key is or is to be made`,
		`t.yaml:7: zones[5].transfer.keys[0]: there is no TSIG key "k"; none is defined`,
	}},
	{name: "TSIG keys", text: `tsig:
- {name: k, secretFile: f, algorithm: hmac-md5}
- {name: K, secretFile: ''}
- {name: a b}
zones: [{name: c.example, file: z, transfer: {keys: [k, j]}}]
`, want: []string{
		`t.yaml:2: tsig[0].algorithm: must be one of hmac-sha256, hmac-sha384, hmac-sha512, not "hmac-md5"`,
		`t.yaml:3: tsig[1].name: the name "k" is already taken on line 2; choose another`,
		`t.yaml:3: tsig[1].secretFile: must not be empty; write the path of a file`,
		`t.yaml:4: tsig[2].secretFile: is missing; add it`,
		`t.yaml:4: tsig[2].name: "a b" is not a host name: a label has letters, digits and -, not ' '`,
		`t.yaml:5: zones[0].transfer.keys[1]: there is no TSIG key "j"; known: "a b", k`,
	}},
	{name: "servers' own", text: `nsid: ` + strings.Repeat("x", 65) + `
rateLimit: {perSecond: -1, ipv4Prefix: 33, exempt: [10.0.0.1/8]}
limits: {udpSize: 511, tcpConnections: 0, waitingForWriting: 1KiB}
ecs: {trusted: [x]}
queryLog: {output: '', sample: 0, dnstap: 'unix:'}
`, want: []string{
		`t.yaml:1: nsid: must be at most 64 bytes, not 65`,
		`t.yaml:2: rateLimit.perSecond: must be 0 to 1000000, not "-1"`,
		`t.yaml:2: rateLimit.ipv4Prefix: must be 8 to 32, not "33"`,
		`t.yaml:2: rateLimit.exempt[0]: "10.0.0.1/8" has bits set behind the prefix; write 10.0.0.0/8`,
		`t.yaml:3: limits.udpSize: must be 512 to 4096, not "511"`,
		`t.yaml:3: limits.tcpConnections: must be 1 to 1048576, not "0"`,
		`t.yaml:3: limits.waitingForWriting: must be 128KiB to 64MiB, not "1KiB"`,
		`t.yaml:4: ecs.trusted[0]: must be a prefix such as 10.0.0.0/8 or an address, not "x"`,
		`t.yaml:5: queryLog.output: must be stdout, stderr, a file or off`,
		`t.yaml:5: queryLog.sample: must be 1 to 1000000, not "0"`,
		`t.yaml:5: queryLog.dnstap: a unix socket needs a path: unix:/run/app.sock`,
	}},
	{name: "identifier", text: `nsid: "a\u00e9"
`, want: []string{
		`t.yaml:1: nsid: must be printable ASCII`,
	}},
	{name: "names of profiles", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- {name: WWW, zone: tm.example, routing: weighted}
- {name: www, routing: weighted}
- {name: -a, zone: tm.example, routing: weighted}
- {name: a., zone: tm.example, routing: weighted}
- {name: '*.b', zone: tm.example, routing: weighted}
- {name: '@', routing: weighted}
- {name: c, zone: tm.exampel, routing: weighted}
- {zone: tm.example, routing: weighted}
`, want: []string{
		`t.yaml:4: profiles[1].name: the name "www" is already taken on line 3; choose another`,
		`t.yaml:5: profiles[2].name: "-a" is not a name in a zone: a label does not begin or end with -`,
		`t.yaml:6: profiles[3].name: "a." ends with a dot; write the labels under the zone only`,
		`t.yaml:7: profiles[4].name: "*.b" is not a name in a zone: a label has letters, digits and -, not '*'`,
		`t.yaml:8: profiles[5].name: @ is the zone itself; add zone, or choose another name`,
		`t.yaml:9: profiles[6].zone: there is no zone "tm.exampel"; known: tm.example`,
		`t.yaml:10: profiles[7].name: is missing; add it`,
	}},
	{name: "nearer zone", text: `zones: [{name: example, file: a}, {name: tm.example, file: b}, {name: www.tm.example, file: c}]
profiles:
- {name: a.tm, zone: example, routing: weighted}
- {name: www, zone: tm.example, routing: weighted}
- {name: a.www, zone: tm.example, routing: weighted}
`, want: []string{
		`t.yaml:3: profiles[0].name: a.tm.example is in zone tm.example, which is nearer; set zone: tm.example`,
		`t.yaml:4: profiles[1].name: www.tm.example is in zone www.tm.example, which is nearer; set zone: www.tm.example`,
		`t.yaml:5: profiles[2].name: a.www.tm.example is in zone www.tm.example, which is nearer; set zone: www.tm.example`,
	}},
	{name: "long name", text: `zones: [{name: ` + strings.Repeat("a", 60) + `.` + strings.Repeat("a", 60) + `.` + strings.Repeat("a", 60) + `.` + strings.Repeat("a", 60) + `, file: a}]
profiles: [{name: ` + strings.Repeat("b", 60) + `, zone: ` + strings.Repeat("a", 60) + `.` + strings.Repeat("a", 60) + `.` + strings.Repeat("a", 60) + `.` + strings.Repeat("a", 60) + `, routing: weighted}]
`, want: []string{
		`t.yaml:2: profiles[0].name: makes a name of 304 characters with the zone; at most 253 are possible`,
	}},
	{name: "profile's keys", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- name: www
  zone: tm.example
  routing: random
  ttl: 25h
  maxReturn: 11
  recordType: A
  match: later
  sticky: {ipv4Prefix: 7}
  disabled: refused
  onUnhealthy: climb up
- name: web
- name: late
  routing: weighted
  ttl: 10s
  degradedTTL: 11s
- {name: half, routing: weighted, ttl: 500ms, degradedTTL: half}
`, want: []string{
		`t.yaml:5: profiles[0].routing: must be one of priority, weighted, performance, geographic, multiValue, subnet, not "random"`,
		`t.yaml:6: profiles[0].ttl: must be 0s to 24h, not "25h"`,
		`t.yaml:7: profiles[0].maxReturn: must be 1 to 10, not "11"`,
		`t.yaml:8: profiles[0].recordType: must be one of any, a, aaaa, cname, not "A"`,
		`t.yaml:9: profiles[0].match: must be one of early, late, not "later"`,
		`t.yaml:10: profiles[0].sticky.ipv4Prefix: must be 8 to 32, not "7"`,
		`t.yaml:11: profiles[0].disabled: must be one of nodata, nxdomain, not "refused"`,
		`t.yaml:12: profiles[0].onUnhealthy: must be one of climb, serve, nodata, not "climb up"`,
		`t.yaml:13: profiles[1].routing: is missing; add it`,
		`t.yaml:17: profiles[2].degradedTTL: 11s is more than ttl, 10s; it can only shorten it`,
		`t.yaml:18: profiles[3].ttl: must be whole seconds, as TTLs are, not "500ms"`,
		`t.yaml:18: profiles[3].degradedTTL: must be a duration such as 500ms, 30s or 1m30s, not "half"`,
	}},
	{name: "monitors", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- {name: p0, routing: weighted, monitor: {interval: 5s, timeout: 6s}}
- {name: p1, routing: weighted, monitor: {interval: 500ms}}
- {name: p2, routing: weighted, monitor: {timeout: 50ms}}
- {name: p3, routing: weighted, monitor: {protocol: tcp}}
- {name: p4, routing: weighted, monitor: {protocol: tcp, port: 1, path: /, headers: {A: b}, expectedStatus: [200], tls: {}}}
- {name: p5, routing: weighted, monitor: {protocol: none, port: 80, path: /x}}
- {name: p6, routing: weighted, monitor: {tls: {verify: true}}}
- {name: p7, routing: weighted, monitor: {toleratedFailures: 10, successes: 0, holdDown: -1s}}
- {name: p8, routing: weighted, monitor: {expectedStatus: []}}
- {name: p9, routing: weighted, monitor: {expectedStatus: [200, 200, 200, 200, 200, 200, 200, 200, 200]}}
- {name: p10, routing: weighted, monitor: {path: health, port: 0}}
- {name: p11, routing: weighted, monitor: {protocol: icmp}}
`, want: []string{
		`t.yaml:3: profiles[0].monitor.timeout: the timeout, 6s, is longer than the interval, 5s; a probe must end before the next`,
		`t.yaml:4: profiles[1].monitor.interval: must be 1s to 1h, not "500ms"`,
		`t.yaml:5: profiles[2].monitor.timeout: must be 100ms to 1h, not "50ms"`,
		`t.yaml:6: profiles[3].monitor: a tcp probe needs a port; add port`,
		`t.yaml:7: profiles[4].monitor.path: a tcp probe only connects; remove it, or set protocol: http`,
		`t.yaml:7: profiles[4].monitor.headers: a tcp probe only connects; remove it, or set protocol: http`,
		`t.yaml:7: profiles[4].monitor.expectedStatus: a tcp probe only connects; remove it, or set protocol: http`,
		`t.yaml:7: profiles[4].monitor.tls: a tcp probe only connects; remove it, or set protocol: http`,
		`t.yaml:8: profiles[5].monitor.port: with protocol: none nothing is probed; remove it`,
		`t.yaml:8: profiles[5].monitor.path: with protocol: none nothing is probed; remove it`,
		`t.yaml:9: profiles[6].monitor.tls: only https has certificates; remove it, or set protocol: https`,
		`t.yaml:10: profiles[7].monitor.toleratedFailures: must be 0 to 9, not "10"`,
		`t.yaml:10: profiles[7].monitor.successes: must be 1 to 20, not "0"`,
		`t.yaml:10: profiles[7].monitor.holdDown: must be 0s to 24h, not "-1s"`,
		`t.yaml:11: profiles[8].monitor.expectedStatus: must have at least 1 entry`,
		`t.yaml:12: profiles[9].monitor.expectedStatus: must have at most 8 entries, not 9`,
		`t.yaml:13: profiles[10].monitor.path: must begin with /, not "health"`,
		`t.yaml:13: profiles[10].monitor.port: must be 1 to 65535, not "0"`,
		`t.yaml:14: profiles[11].monitor.protocol: must be one of http, https, tcp, none, not "icmp"`,
	}},
	{name: "header fields", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- {name: p0, routing: weighted, monitor: {headers: {A: "b\r\nC: d"}}}
- {name: p1, routing: weighted, monitor: {headers: {"A:": b}}}
- {name: p2, routing: weighted, monitor: {headers: {A: 1}}}
- {name: p3, routing: weighted, monitor: {headers: {A: b, a: c}}}
- {name: p4, routing: weighted, monitor: {headers: {A: ' b'}}}
- {name: p5, routing: weighted, monitor: {headers: {Host: '*.example'}}}
- {name: p6, routing: weighted, monitor: {headers: {Content-Length: '5'}}}
- {name: p7, routing: weighted, monitor: {headers: {A0: b, A1: b, A2: b, A3: b, A4: b, A5: b, A6: b, A7: b, A8: b}}}
- {name: p8, routing: weighted, monitor: {headers: [A]}}
- {name: p9, routing: weighted, monitor: {headers: {A: ` + strings.Repeat("x", 1025) + `}}}
`, want: []string{
		`t.yaml:3: profiles[0].monitor.headers.A: must not have control characters`,
		`t.yaml:4: profiles[1].monitor.headers.A:: is no name of a header field; use letters, digits and -`,
		`t.yaml:5: profiles[2].monitor.headers.A: must be text; put it in quotes: "1"`,
		`t.yaml:6: profiles[3].monitor.headers.a: is there already as A; remove one`,
		`t.yaml:7: profiles[4].monitor.headers.A: must not begin or end with a blank`,
		`t.yaml:8: profiles[5].monitor.headers.Host: must be a host name with or without a port, such as www.example, not "*.example"`,
		`t.yaml:9: profiles[6].monitor.headers.Content-Length: is about the connection or a body, which the prober sees to; remove it`,
		`t.yaml:10: profiles[7].monitor.headers: must have at most 8 entries, not 9`,
		`t.yaml:11: profiles[8].monitor.headers: must be a mapping (key: value), not a list`,
		`t.yaml:12: profiles[9].monitor.headers.A: must be at most 1024 bytes, not 1025`,
	}},
	{name: "where an endpoint leads", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- name: www
  zone: tm.example
  routing: weighted
  endpoints:
  - {name: a}
  - {name: b, target: 10.0.0.1, profile: www}
  - {name: c, target: '10.0.0.1:80'}
  - {name: d, target: 'app.example:80'}
  - {name: e, target: '[::1]:80'}
  - {name: f, target: http://app.example/}
  - {name: g, target: 0.0.0.0}
  - {name: h, target: 'fe80::1%eth0'}
  - {name: i, target: 10.0.0.256}
  - {name: j, target: a_b..c}
  - {name: a, target: 10.0.0.2}
  - {name: k, target: 224.0.0.1}
  - {target: 10.0.0.2}
  - {name: l, target: www.tm.example.}
  - {name: m, target: ''}
`, want: []string{
		`t.yaml:7: profiles[0].endpoints[0]: leads nowhere; add target, an address or a host name, or profile`,
		`t.yaml:8: profiles[0].endpoints[1]: has both a target and a profile; keep one`,
		`t.yaml:8: profiles[0].endpoints[1].profile: nests in a circle: "www" -> "www"; remove one of these endpoints`,
		`t.yaml:9: profiles[0].endpoints[2].target: DNS answers have no port; write 10.0.0.1, and monitor.port for the port of probes`,
		`t.yaml:10: profiles[0].endpoints[3].target: DNS answers have no port; write app.example, and monitor.port for the port of probes`,
		`t.yaml:11: profiles[0].endpoints[4].target: DNS answers have no port; write ::1, and monitor.port for the port of probes`,
		`t.yaml:12: profiles[0].endpoints[5].target: write an address or a host name without scheme or path, not "http://app.example/"; monitor.protocol and monitor.path say how it is probed`,
		`t.yaml:13: profiles[0].endpoints[6].target: 0.0.0.0 is not the address of one machine`,
		`t.yaml:14: profiles[0].endpoints[7].target: "fe80::1%eth0" has a zone, which DNS cannot carry`,
		`t.yaml:15: profiles[0].endpoints[8].target: "10.0.0.256" is neither an IP address nor a host name, whose last label is not a number`,
		`t.yaml:16: profiles[0].endpoints[9].target: "a_b..c" is not a host name: a label has 1 to 63 characters`,
		`t.yaml:17: profiles[0].endpoints[10].name: the name "a" is already taken on line 7; choose another`,
		`t.yaml:18: profiles[0].endpoints[11].target: 224.0.0.1 is not the address of one machine`,
		`t.yaml:19: profiles[0].endpoints[12].name: is missing; add it`,
		`t.yaml:20: profiles[0].endpoints[13].target: is the name of the profile itself`,
		`t.yaml:21: profiles[0].endpoints[14].target: "" is not a host name; it needs 1 to 253 characters`,
	}},
	{name: "keys of a nested endpoint", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- name: www
  zone: tm.example
  routing: weighted
  endpoints:
  - {name: a, profile: in, alwaysServe: true, monitor: {}, port: 443}
  - {name: b, target: 10.0.0.1, minChildEndpoints: 1, minChildIPv4: 0, minChildIPv6: 0}
  - {name: c, profile: in, minChildEndpoints: 1, minChildIPv4: 2, minChildIPv6: 2}
  - {name: d, profile: out}
- {name: in, routing: weighted, endpoints: [{name: a, target: 10.0.0.1}]}
`, want: []string{
		`t.yaml:7: profiles[0].endpoints[0].alwaysServe: not of a nested profile, whose own endpoints have it; remove it`,
		`t.yaml:7: profiles[0].endpoints[0].monitor: not of a nested profile, whose own endpoints have it; remove it`,
		`t.yaml:7: profiles[0].endpoints[0].port: not of a nested profile, whose own endpoints have it; remove it`,
		`t.yaml:8: profiles[0].endpoints[1].minChildEndpoints: only of a nested profile; remove it`,
		`t.yaml:8: profiles[0].endpoints[1].minChildIPv4: only of a nested profile; remove it`,
		`t.yaml:8: profiles[0].endpoints[1].minChildIPv6: only of a nested profile; remove it`,
		`t.yaml:9: profiles[0].endpoints[2].minChildIPv4: 2 is more than minChildEndpoints, 1, which counts all; raise that`,
		`t.yaml:9: profiles[0].endpoints[2].minChildIPv6: 2 is more than minChildEndpoints, 1, which counts all; raise that`,
		`t.yaml:10: profiles[0].endpoints[3].profile: there is no profile "out"; known: in, www`,
	}},
	{name: "numbers of an endpoint", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- name: www
  zone: tm.example
  routing: weighted
  endpoints:
  - {name: a, target: 10.0.0.1, weight: 0}
  - {name: b, target: 10.0.0.1, weight: 1001, priority: 0}
  - {name: c, target: 10.0.0.1, port: 65536}
`, want: []string{
		`t.yaml:7: profiles[0].endpoints[0].weight: must be 1 to 1000, not "0"`,
		`t.yaml:8: profiles[0].endpoints[1].weight: must be 1 to 1000, not "1001"`,
		`t.yaml:8: profiles[0].endpoints[1].priority: must be 1 to 1000, not "0"`,
		`t.yaml:9: profiles[0].endpoints[2].port: must be 0 to 65535, not "65536"`,
	}},
	{name: "priorities", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- name: www
  zone: tm.example
  routing: priority
  endpoints:
  - {name: a, target: 10.0.0.1, priority: 1}
  - {name: b, target: 10.0.0.2, priority: 1}
  - {name: c, target: 10.0.0.3}
`, want: []string{
		`t.yaml:8: profiles[0].endpoints[1].priority: priority 1 is already that of endpoint "a"; each needs its own`,
	}},
	{name: "priorities of another method", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- name: www
  zone: tm.example
  routing: weighted
  endpoints:
  - {name: a, target: 10.0.0.1, priority: 1}
  - {name: b, target: 10.0.0.2, priority: 1}
  - {name: c, target: 10.0.0.3}
`, want: []string{
		`t.yaml:8: profiles[0].endpoints[1].priority: priority 1 is already that of endpoint "a"; each needs its own`,
	}},
	{name: "record types", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- name: www
  zone: tm.example
  routing: weighted
  recordType: aaaa
  endpoints:
  - {name: a, target: 10.0.0.1}
  - {name: b, target: '::1'}
  - {name: c, target: app.example}
  - {name: d, profile: in}
- {name: in, routing: weighted, recordType: a, endpoints: [{name: a, target: '::1'}]}
- {name: names, routing: multiValue, recordType: cname, endpoints: [{name: a, target: app.example}, {name: b, target: 10.0.0.1}]}
- {name: '@', zone: tm.example, routing: weighted, recordType: cname, endpoints: [{name: a, target: app.example}]}
`, want: []string{
		`t.yaml:8: profiles[0].endpoints[0].target: does not fit recordType of the profile, which wants an IPv6 address, or a profile of recordType aaaa`,
		`t.yaml:10: profiles[0].endpoints[2].target: does not fit recordType of the profile, which wants an IPv6 address, or a profile of recordType aaaa`,
		`t.yaml:11: profiles[0].endpoints[3].profile: does not fit recordType of the profile, which wants an IPv6 address, or a profile of recordType aaaa`,
		`t.yaml:12: profiles[1].endpoints[0].target: does not fit recordType of the profile, which wants an IPv4 address, or a profile of recordType a`,
		`t.yaml:13: profiles[2].recordType: answers here are addresses (multiValue, flatten and the name @ see to that); use a, aaaa or any`,
		`t.yaml:13: profiles[2].endpoints[1].target: does not fit recordType of the profile, which wants a host name, or a profile of recordType cname`,
		`t.yaml:14: profiles[3].recordType: answers here are addresses (multiValue, flatten and the name @ see to that); use a, aaaa or any`,
	}},
	{name: "locations", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- name: www
  zone: tm.example
  routing: performance
  endpoints:
  - {name: a, target: 10.0.0.1}
  - {name: b, target: 10.0.0.2, location: West Europ}
  - {name: c, profile: in}
  - {name: d, target: 10.0.0.2, location: Mars}
- {name: in, routing: weighted, endpoints: [{name: a, target: 10.0.0.1}]}
`, want: []string{
		`t.yaml:7: profiles[0].endpoints[0]: needs location, the Azure region that it is in or near, as routing is performance`,
		`t.yaml:8: profiles[0].endpoints[1].location: "West Europ" is no Azure region with known round-trip times; did you mean West Europe?`,
		`t.yaml:9: profiles[0].endpoints[2]: needs location, the Azure region that it is in or near, as routing is performance`,
		`t.yaml:10: profiles[0].endpoints[3].location: "Mars" is no Azure region with known round-trip times; write one such as West Europe or westus2`,
	}},
	{name: "regions", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- name: www
  zone: tm.example
  routing: geographic
  endpoints:
  - {name: a, target: 10.0.0.1}
  - {name: b, target: 10.0.0.2, geo: [WORLD, DE, de]}
  - {name: c, target: 10.0.0.2, geo: [DE, EU, GEO-EUR, US-XX]}
  - {name: d, target: 10.0.0.2, enabled: false}
  - {name: e, target: 10.0.0.2, subnets: [10.0.0.0/8]}
`, want: []string{
		`t.yaml:7: profiles[0].endpoints[0]: needs geo, the regions whose clients it is for, as routing is geographic`,
		`t.yaml:8: profiles[0].endpoints[1].geo[2]: DE is there twice; remove one`,
		`t.yaml:9: profiles[0].endpoints[2].geo[0]: DE is already that of endpoint "b"; a region leads to one endpoint`,
		`t.yaml:9: profiles[0].endpoints[2].geo[1]: "EU" is no region of the hierarchy; write WORLD, a grouping such as GEO-EU, a country such as DE, or a state such as US-CA`,
		`t.yaml:9: profiles[0].endpoints[2].geo[2]: "GEO-EUR" is no region of the hierarchy; did you mean GEO-EU?`,
		`t.yaml:9: profiles[0].endpoints[2].geo[3]: "US-XX" is no region of the hierarchy; did you mean US-TX?`,
	}},
	{name: "subnets", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- name: www
  zone: tm.example
  routing: subnet
  endpoints:
  - {name: a, target: 10.0.0.1, subnets: [10.0.0.0/8, 10.1.0.0/16]}
  - {name: b, target: 10.0.0.2, subnets: [10.200.0.0/16, 11.0.0.5-11.0.0.4, 10.0.0.1/8, 1.2.3.4-::1, x-y, 10.0.0.0/33, '::ffff:1.2.3.0/120']}
  - {name: c, target: 10.0.0.2}
  - {name: d, target: 10.0.0.2}
  - {name: e, target: 10.0.0.3, subnets: ['::ffff:10.0.0.9', 2001:db8::-2001:db8::9]}
  - {name: f, target: 10.0.0.3, subnets: ['2001:db8::9']}
`, want: []string{
		`t.yaml:8: profiles[0].endpoints[1].subnets[0]: 10.200.0.0-10.200.255.255 overlaps with 10.0.0.0-10.255.255.255 of endpoint "a"; a client leads to one endpoint`,
		`t.yaml:8: profiles[0].endpoints[1].subnets[1]: "11.0.0.5-11.0.0.4" ends before it begins; write 11.0.0.4-11.0.0.5`,
		`t.yaml:8: profiles[0].endpoints[1].subnets[2]: "10.0.0.1/8" has bits set behind the prefix; write 10.0.0.0/8`,
		`t.yaml:8: profiles[0].endpoints[1].subnets[3]: "1.2.3.4-::1" begins in one address family and ends in the other`,
		`t.yaml:8: profiles[0].endpoints[1].subnets[4]: must be a prefix such as 10.0.0.0/8, an address, or a range such as 10.0.0.1-10.0.0.9, not "x-y"`,
		`t.yaml:8: profiles[0].endpoints[1].subnets[5]: must be a prefix such as 10.0.0.0/8 or an address, not "10.0.0.0/33"`,
		`t.yaml:8: profiles[0].endpoints[1].subnets[6]: write the IPv4 prefix itself, not "::ffff:1.2.3.0/120"`,
		`t.yaml:10: profiles[0].endpoints[3]: has no subnets, nor has endpoint "c"; one endpoint can take all other clients`,
		`t.yaml:11: profiles[0].endpoints[4].subnets[0]: 10.0.0.9 overlaps with 10.0.0.0-10.255.255.255 of endpoint "a"; a client leads to one endpoint`,
		`t.yaml:12: profiles[0].endpoints[5].subnets[0]: 2001:db8::9 overlaps with 2001:db8::-2001:db8::9 of endpoint "e"; a client leads to one endpoint`,
	}},
	{name: "nesting in multiValue", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- name: www
  zone: tm.example
  routing: multiValue
  endpoints:
  - {name: a, profile: in}
- {name: in, routing: weighted, endpoints: [{name: a, target: 10.0.0.1}]}
`, want: []string{
		`t.yaml:7: profiles[0].endpoints[0].profile: a multiValue profile cannot nest others; use targets, or another routing`,
	}},
	{name: "circle", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- name: www
  zone: tm.example
  routing: weighted
  endpoints:
  - {name: a, profile: in}
- {name: in, routing: weighted, endpoints: [{name: a, target: 10.0.0.1}, {name: b, profile: deep}]}
- {name: deep, routing: weighted, endpoints: [{name: a, profile: deep}, {name: b, profile: IN}]}
`, want: []string{
		`t.yaml:9: profiles[2].endpoints[0].profile: nests in a circle: "deep" -> "deep"; remove one of these endpoints`,
		`t.yaml:9: profiles[2].endpoints[1].profile: nests in a circle: "in" -> "deep" -> "in"; remove one of these endpoints`,
	}},
	{name: "depth", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- {name: p11, zone: tm.example, routing: weighted, endpoints: [{name: a, profile: p10}]}
- {name: p10, routing: weighted, endpoints: [{name: a, profile: p9}]}
- {name: p9, routing: weighted, endpoints: [{name: a, profile: p8}]}
- {name: p8, routing: weighted, endpoints: [{name: a, profile: p7}]}
- {name: p7, routing: weighted, endpoints: [{name: a, profile: p6}]}
- {name: p6, routing: weighted, endpoints: [{name: a, profile: p5}]}
- {name: p5, routing: weighted, endpoints: [{name: a, profile: p4}]}
- {name: p4, routing: weighted, endpoints: [{name: a, profile: p3}]}
- {name: p3, routing: weighted, endpoints: [{name: a, profile: p2}]}
- {name: p2, routing: weighted, endpoints: [{name: a, profile: p1}]}
- {name: p1, routing: weighted, endpoints: [{name: a, target: 10.0.0.1}]}
- {name: p12, zone: tm.example, routing: weighted, endpoints: [{name: a, profile: p11}]}
`, want: []string{
		`t.yaml:3: profiles[0].endpoints[0].profile: profile "p10" has 10 levels already, the most that is possible`,
	}},
	{name: "endpoint monitors", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- name: www
  zone: tm.example
  routing: weighted
  monitor: {interval: 5s, timeout: 4s, path: /p}
  endpoints:
  - {name: a, target: 10.0.0.1, monitor: {timeout: 6s}}
  - {name: b, target: 10.0.0.1, monitor: {interval: 3s}}
  - {name: c, target: 10.0.0.1, monitor: {protocol: tcp}}
  - {name: d, target: 10.0.0.1, monitor: {protocol: tcp, port: 5, path: /}}
  - {name: e, target: 10.0.0.1, monitor: {tls: {verify: true}}}
  - {name: f, target: 10.0.0.1, monitor: [x]}
`, want: []string{
		`t.yaml:8: profiles[0].endpoints[0].monitor.timeout: the timeout, 6s, is longer than the interval, 5s; a probe must end before the next`,
		`t.yaml:9: profiles[0].endpoints[1].monitor.interval: the timeout, 4s, is longer than the interval, 3s; a probe must end before the next`,
		`t.yaml:10: profiles[0].endpoints[2].monitor: a tcp probe needs a port; add port`,
		`t.yaml:11: profiles[0].endpoints[3].monitor.path: a tcp probe only connects; remove it, or set protocol: http`,
		`t.yaml:12: profiles[0].endpoints[4].monitor.tls: only https has certificates; remove it, or set protocol: https`,
		`t.yaml:13: profiles[0].endpoints[5].monitor: must be a mapping (key: value), not a list`,
	}},
	{name: "many endpoints", text: "profiles: [{name: www, routing: weighted, endpoints: [" + strings.Repeat("{name: e, target: 10.0.0.1}, ", 201) + "]}]\n", want: []string{
		`t.yaml:1: profiles[0].endpoints: must have at most 200 entries, not 201`,
	}},
	{name: "record type of what is flattened", text: `profiles: [{name: in, routing: weighted, flatten: true, recordType: cname, endpoints: [{name: a, target: app.example}]}]
`, want: []string{
		`t.yaml:1: profiles[0].recordType: answers here are addresses (multiValue, flatten and the name @ see to that); use a, aaaa or any`,
	}},
	{name: "timing of a profile, once", text: `profiles:
- {name: in, routing: weighted, monitor: {interval: 5s, timeout: 6s}, endpoints: [{name: a, target: 10.0.0.1, monitor: {path: /x}}]}
`, want: []string{
		`t.yaml:2: profiles[0].monitor.timeout: the timeout, 6s, is longer than the interval, 5s; a probe must end before the next`,
	}},
	{name: "target and profile, once", text: `profiles:
- {name: a, routing: weighted, endpoints: [{name: a, target: 10.0.0.1, profile: b, alwaysServe: true}, {name: b, target: "[::1]"}]}
- {name: b, routing: weighted, endpoints: [{name: a, target: 10.0.0.1}]}
`, want: []string{
		`t.yaml:2: profiles[0].endpoints[0]: has both a target and a profile; keep one`,
		`t.yaml:2: profiles[0].endpoints[1].target: DNS answers have no port; write ::1, and monitor.port for the port of probes`,
	}},
	{name: "subnets out of order", text: `profiles:
- name: a
  routing: subnet
  endpoints:
  - {name: a, target: 10.0.0.1, subnets: ["::ffff:10.0.0.5-::ffff:10.0.0.9"]}
  - {name: b, target: 10.0.0.2, subnets: [10.0.0.1-10.0.0.5]}
`, want: []string{
		`t.yaml:6: profiles[0].endpoints[1].subnets[0]: 10.0.0.1-10.0.0.5 overlaps with 10.0.0.5-10.0.0.9 of endpoint "a"; a client leads to one endpoint`,
	}},
}

var suspiciousDirectors = []verdict{
	{name: "nothing uses it", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
tsig: [{name: k, secretFile: f}]
profiles: [{name: www, routing: weighted, endpoints: [{name: a, target: 10.0.0.1}]}]
`, want: []string{
		`t.yaml:1: zones[0]: zone "tm.example" has neither profiles nor a file`,
		`t.yaml:2: tsig[0]: TSIG key "k" is not used`,
		`t.yaml:3: profiles[0]: profile "www" has no zone and no profile nests it: it answers nothing`,
	}},
	{name: "long TTL", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles: [{name: www, zone: tm.example, routing: priority, ttl: 301s, endpoints: [{name: a, target: 10.0.0.1}]}]
`, want: []string{
		`t.yaml:2: profiles[0].ttl: clients keep an answer for up to 5m1s after an endpoint has failed`,
	}},
	{name: "no endpoints", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles: [{name: www, zone: tm.example, routing: weighted}]
`, want: []string{
		`t.yaml:2: profiles[0]: profile "www" has no endpoints: it answers nothing`,
	}},
	{name: "keys of another method", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles: [{name: www, zone: tm.example, routing: priority, maxReturn: 3, sticky: {}, onUnhealthy: serve, unmatched: nxdomain, endpoints: [{name: a, target: 10.0.0.1}]}]
`, want: []string{
		`t.yaml:2: profiles[0].maxReturn: has no effect with routing: priority, only with multiValue`,
		`t.yaml:2: profiles[0].sticky: has no effect with routing: priority, only with weighted`,
		`t.yaml:2: profiles[0].onUnhealthy: has no effect with routing: priority, only with geographic`,
		`t.yaml:2: profiles[0].unmatched: has no effect with routing: priority, only with subnet`,
	}},
	{name: "regions that get no answer", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- name: www
  zone: tm.example
  routing: geographic
  endpoints:
  - {name: a, target: 10.0.0.1, geo: [GEO-EU, US-CA, US]}
  - {name: b, target: 10.0.0.2, subnets: [10.0.0.0/8]}
`, want: []string{
		`t.yaml:6: profiles[0].endpoints: no endpoint has WORLD: clients of other regions, or of none that is known, get no answer`,
		`t.yaml:7: profiles[0].endpoints[0].geo[1]: US-CA matches nothing: the built-in database knows countries only; geo.database takes one of cities`,
	}},
	{name: "networks that get no answer", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- name: www
  zone: tm.example
  routing: subnet
  endpoints:
  - {name: a, target: 10.0.0.1, subnets: [10.0.0.0/8]}
`, want: []string{
		`t.yaml:6: profiles[0].endpoints: every endpoint has subnets: other clients get no answer; add one without, or set unmatched`,
	}},
	{name: "networks that are known to get no answer", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- name: www
  zone: tm.example
  routing: subnet
  unmatched: nodata
  endpoints:
  - {name: a, target: 10.0.0.1, subnets: [10.0.0.0/8]}
`},
	{name: "states with a database of cities", text: `geo: {database: city.mmdb}
zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- name: www
  zone: tm.example
  routing: geographic
  endpoints:
  - {name: a, target: 10.0.0.1, geo: [WORLD, US-CA]}
`},
	{name: "more children than there are", text: `zones: [{name: tm.example, nameServers: [ns1.tm.example]}]
profiles:
- name: www
  zone: tm.example
  routing: weighted
  endpoints:
  - {name: a, profile: in, minChildEndpoints: 2}
- {name: in, routing: weighted, endpoints: [{name: a, target: 10.0.0.1}]}
`, want: []string{
		`t.yaml:7: profiles[0].endpoints[0].minChildEndpoints: profile "in" has only 1: this endpoint is never well`,
	}},
	{name: "a zone with a file needs no profile", text: "zones: [{name: tm.example, file: z}]\n"},
}

func TestRefusedTrafficManagers(t *testing.T) { testRefused(t, refusedDirectors, ParseTrafficManager) }

func TestSuspiciousTrafficManagers(t *testing.T) {
	testSuspicious(t, suspiciousDirectors, ParseTrafficManager)
}

// parser is one of the functions that read a configuration.
type parser[T any] func(file string, data []byte) (*T, Warnings, error)

func testRefused[T any](t *testing.T, tests []verdict, parse parser[T]) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, _, err := parse("t.yaml", []byte(tt.text))
			if err == nil || m != nil {
				t.Fatal("accepted")
			}
			sameLines(t, strings.Split(err.Error(), "\n"), tt.want)
		})
	}
}

func testSuspicious[T any](t *testing.T, tests []verdict, parse parser[T]) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, warnings, err := parse("t.yaml", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range warnings {
				got = append(got, w.String())
			}
			sameLines(t, got, tt.want)
		})
	}
}

func sameLines(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
