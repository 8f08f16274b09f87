package config

import (
	"fmt"
	"strings"
	"testing"
)

// around is a load balancer but for what a test adds.
const around = `frontends: [{name: public, address: 203.0.113.10}]
backendPools: [{name: db, members: [10.0.0.4, 10.0.0.5]}]
`

var refusedBalancers = []verdict{
	{name: "empty", text: "# nothing\n", want: []string{
		"t.yaml:1: the file is empty; `l4lb demo` and `l4lb forward --print-config` show what to write",
	}},
	{name: "unknown keys", text: `frontend: []
backendPools: [{nam: a}]
qqqqqqqqqqqq: 1
`, want: []string{
		`t.yaml:1: frontend: unknown key; did you mean frontends?`,
		`t.yaml:2: backendPools[0].nam: unknown key; did you mean name?`,
		`t.yaml:3: qqqqqqqqqqqq: unknown key; known keys: admin, metrics, shutdown, plane, hashSeed, limits, flowLog, frontends, backendPools, probes, rules, inboundNatRules, outboundRules, securityGroups, addressGroups`,
	}},
	{name: "operator", text: `admin: {address: 10.0.0.1:9}
metrics: {address: x}
shutdown: {drain: 25h}
`, want: []string{
		`t.yaml:1: admin.address: "10.0.0.1:9" is not loopback; write 127.0.0.1:9, unix:/path or off (metrics.address serves health and metrics on any address)`,
		`t.yaml:2: metrics.address: must be host:port, :port or a port, such as 127.0.0.1:8080, :8080 or 8080, not "x"`,
		`t.yaml:3: shutdown.drain: must be 0s to 24h, not "25h"`,
	}},
	{name: "of a later version", text: around + `plane: ebpf
outboundRules: []
rules: [{name: a, frontend: public, protocol: tcp, frontendPort: 1, backendPool: db, floatingIP: true}]
securityGroups: [{name: a, attach: [public], rules: [{name: a, priority: 100, access: deny, direction: outbound}]}]
`, want: []string{
		`t.yaml:3: plane: ebpf is not available in this version; use proxy, auto`,
		`t.yaml:4: outboundRules: not available in this version`,
		`t.yaml:5: rules[0].floatingIP: not available in this version; it needs plane: ebpf`,
		`t.yaml:6: securityGroups[0].rules[0].direction: outbound is not available in this version; use inbound`,
	}},
	{name: "the process's own", text: `plane: fast
hashSeed: -1
limits: {tcpFlows: 0, udpFlows: 4194305, udpFlowsPerClient: -1}
flowLog: {output: '', interval: 100ms, maxSize: 2GiB, maxFiles: 0}
`, want: []string{
		`t.yaml:1: plane: must be one of proxy, auto, not "fast"`,
		`t.yaml:2: hashSeed: must be a whole number of 0 to 18446744073709551615, not "-1"`,
		`t.yaml:3: limits.tcpFlows: must be 1 to 16777216, not "0"`,
		`t.yaml:3: limits.udpFlows: must be 1 to 4194304, not "4194305"`,
		`t.yaml:3: limits.udpFlowsPerClient: must be 0 to 4194304, not "-1"`,
		`t.yaml:4: flowLog.output: must be stdout, stderr, a file or off`,
		`t.yaml:4: flowLog.interval: must be 1s to 24h, not "100ms"`,
		`t.yaml:4: flowLog.maxSize: must be 0B to 1024MiB, not "2GiB"`,
		`t.yaml:4: flowLog.maxFiles: must be 1 to 1000, not "0"`,
	}},
	{name: "seeds", text: "hashSeed: '7'\n", want: []string{
		`t.yaml:1: hashSeed: must be a whole number; write it without quotes: 7`,
	}},
	{name: "a seed that is too large", text: "hashSeed: 18446744073709551616\n", want: []string{
		`t.yaml:1: hashSeed: must be a whole number of 0 to 18446744073709551615, not "18446744073709551616"`,
	}},
	{name: "a seed that is a list", text: "hashSeed: [1]\n", want: []string{
		`t.yaml:1: hashSeed: must be a whole number, not a list`,
	}},
	{name: "logs that are none", text: "flowLog: {output: [a]}\n", want: []string{
		`t.yaml:1: flowLog.output: must be text, not a list`,
	}},
	{name: "no mappings", text: `frontends: nothing
backendPools: {name: a}
probes: [a]
rules: [a]
inboundNatRules: [b]
securityGroups: [c]
addressGroups: [d]
`, want: []string{
		`t.yaml:1: frontends: must be a list ([a, b]), not "nothing"`,
		`t.yaml:2: backendPools: must be a list ([a, b]), not a mapping; put - before each of its entries`,
		`t.yaml:3: probes[0]: must be a mapping (key: value), not "a"`,
		`t.yaml:4: rules[0]: must be a mapping (key: value), not "a"`,
		`t.yaml:5: inboundNatRules[0]: must be a mapping (key: value), not "b"`,
		`t.yaml:6: securityGroups[0]: must be a mapping (key: value), not "c"`,
		`t.yaml:7: addressGroups[0]: must be a mapping (key: value), not "d"`,
	}},
	{name: "names", text: `frontends: [{name: a, address: 10.0.0.1}, {name: a, address: 10.0.0.2}, {address: 10.0.0.3}, {name: 'a b', address: 10.0.0.4}]
backendPools: [{name: a}, {name: a}]
probes: [{name: a}, {name: a}]
addressGroups: [{name: a, addresses: []}, {name: a}]
securityGroups: [{name: a, rules: [{name: r, priority: 100, access: allow}, {name: r, priority: 101, access: allow}]}, {name: a}]
rules:
- {name: r, frontend: a, protocol: tcp, frontendPort: 1, backendPool: a}
- {name: r, frontend: a, protocol: tcp, frontendPort: 2, backendPool: a}
inboundNatRules:
- {name: n, frontend: a, protocol: tcp, frontendPorts: 3-4, backendPool: a, backendPort: 22}
- {name: n, frontend: a, protocol: tcp, frontendPorts: 5-6, backendPool: a, backendPort: 22}
- {name: r, frontend: a, protocol: tcp, frontendPorts: 7-8, backendPool: a, backendPort: 22}
`, want: []string{
		`t.yaml:1: frontends[1].name: the name "a" is already taken on line 1; choose another`,
		`t.yaml:1: frontends[2].name: is missing; add it`,
		`t.yaml:1: frontends[3].name: "a b" is not a name; use 1 to 128 of A-Z a-z 0-9 . _ -, beginning with a letter, a digit or _`,
		`t.yaml:2: backendPools[1].name: the name "a" is already taken on line 2; choose another`,
		`t.yaml:3: probes[1].name: the name "a" is already taken on line 3; choose another`,
		`t.yaml:4: addressGroups[1].name: the name "a" is already taken on line 4; choose another`,
		`t.yaml:5: securityGroups[0].rules[1].name: the name "r" is already taken on line 5; choose another`,
		`t.yaml:5: securityGroups[1].name: the name "a" is already taken on line 5; choose another`,
		`t.yaml:8: rules[1].name: the name "r" is already taken on line 7; choose another`,
		`t.yaml:11: inboundNatRules[1].name: the name "n" is already taken on line 10; choose another`,
		`t.yaml:12: inboundNatRules[2].name: the name "r" is that of a rule; choose another`,
	}},
	{name: "frontends", text: `frontends:
- {name: a}
- {name: b, address: 10.0.0.1, addresses: [10.0.0.2]}
- {name: c, address: 10.0.0.1:80}
- {name: d, address: app.example}
- {name: e, address: fe80::1%eth0}
- {name: f, addresses: [224.0.0.1, 255.255.255.255, "ff02::1"]}
- {name: g, addresses: [10.0.0.1, "::ffff:10.0.0.1"]}
- {name: h, addresses: []}
- {name: i, address: [10.0.0.1]}
- {name: j, addresses: 10.0.0.1}
- {name: k, addresses: [10.0.0.1, 0.0.0.0, "2001:db8::1"]}
- {name: l, addresses: [0.0.0.0, "::", "::"]}
- {name: m, adress: 10.0.0.1}
- n
`, want: []string{
		`t.yaml:2: frontends[0]: has no address; add address, one of this machine's`,
		`t.yaml:3: frontends[1]: has both address and addresses; keep one`,
		`t.yaml:4: frontends[2].address: write the address alone, without a port, not "10.0.0.1:80"`,
		`t.yaml:5: frontends[3].address: must be an IP address such as 203.0.113.10 or 2001:db8::1, not "app.example"`,
		`t.yaml:6: frontends[4].address: "fe80::1%eth0" has a zone; write the address without it`,
		`t.yaml:7: frontends[5].addresses[0]: 224.0.0.1 is not the address of one machine`,
		`t.yaml:7: frontends[5].addresses[1]: 255.255.255.255 is not the address of one machine`,
		`t.yaml:7: frontends[5].addresses[2]: ff02::1 is not the address of one machine`,
		`t.yaml:8: frontends[6].addresses[1]: 10.0.0.1 is there twice; remove one`,
		`t.yaml:9: frontends[7].addresses: must have at least 1 entry`,
		`t.yaml:10: frontends[8].address: must be an IP address, not a list`,
		`t.yaml:11: frontends[9].addresses: must be a list ([a, b]), not "10.0.0.1"`,
		`t.yaml:12: frontends[10].addresses[0]: 10.0.0.1 is among those of 0.0.0.0; remove one of them`,
		`t.yaml:13: frontends[11].addresses[0]: 0.0.0.0 is among those of ::; remove one of them`,
		`t.yaml:13: frontends[11].addresses[2]: :: is there twice; remove one`,
		`t.yaml:14: frontends[12].adress: unknown key; did you mean address?`,
		`t.yaml:15: frontends[13]: must be a mapping (key: value), not "n"`,
	}},
	{name: "members", text: `backendPools:
- {name: a, drain: 25h, resolve: 1ms}
- name: b
  members:
  - 10.0.0.4
  - 10.0.0.4
  - {address: 10.0.0.4, name: other}
  - {address: 10.0.0.5, name: 10.0.0.4}
  - {address: 10.0.0.6, name: db}
  - {address: 10.0.0.7, name: db}
  - db.example:5432
  - DB.example.:5432
- name: c
  members:
  - 10.0.0.0/8
  - unix:/run/a.sock
  - 10.0.0.4:0
  - 10.0.0.4:65536
  - 10.0.0.4:x
  - 0.0.0.0
  - 255.255.255.255
  - "[ff02::1]:80"
  - fe80::1%eth0
  - -x.example
  - 1.2.3
  - 5432
  - {weight: 1}
  - {address: 10.0.0.1, weight: 0}
  - {address: 10.0.0.2, adminState: off, name: '*'}
  - [10.0.0.3]
- {name: d, members: 10.0.0.1}
`, want: []string{
		`t.yaml:2: backendPools[0].drain: must be 0s to 24h, not "25h"`,
		`t.yaml:2: backendPools[0].resolve: must be 100ms to 24h, not "1ms"`,
		`t.yaml:6: backendPools[1].members[1]: 10.0.0.4 is there twice; remove one, or give it more weight`,
		`t.yaml:7: backendPools[1].members[2]: 10.0.0.4 is there twice; remove one, or give it more weight`,
		`t.yaml:8: backendPools[1].members[3].name: the name "10.0.0.4" is already taken on line 5; choose another`,
		`t.yaml:10: backendPools[1].members[5].name: the name "db" is already taken on line 9; choose another`,
		`t.yaml:12: backendPools[1].members[7]: db.example:5432 is there twice; remove one, or give it more weight`,
		`t.yaml:15: backendPools[2].members[0]: must be an address or a host name with or without a port, such as 10.0.0.4 or db.internal:5432, not "10.0.0.0/8"`,
		`t.yaml:16: backendPools[2].members[1]: must be an address or a host name with or without a port, such as 10.0.0.4 or db.internal:5432, not "unix:/run/a.sock"`,
		`t.yaml:17: backendPools[2].members[2]: must be an address or a host name with or without a port, such as 10.0.0.4, app.internal:8080 or [::1]:80, not "10.0.0.4:0"`,
		`t.yaml:18: backendPools[2].members[3]: 65536 is not a port; use 1 to 65535`,
		`t.yaml:19: backendPools[2].members[4]: must be an address or a host name with or without a port, such as 10.0.0.4, app.internal:8080 or [::1]:80, not "10.0.0.4:x"`,
		`t.yaml:20: backendPools[2].members[5]: 0.0.0.0 is not the address of one machine`,
		`t.yaml:21: backendPools[2].members[6]: 255.255.255.255 is not the address of one machine`,
		`t.yaml:22: backendPools[2].members[7]: ff02::1 is not the address of one machine`,
		`t.yaml:23: backendPools[2].members[8]: "fe80::1%eth0" has a zone; write the address without it`,
		`t.yaml:24: backendPools[2].members[9]: "-x.example" is not a host name: a label does not begin or end with -`,
		`t.yaml:25: backendPools[2].members[10]: "1.2.3" is neither an IP address nor a host name, whose last label is not a number`,
		`t.yaml:26: backendPools[2].members[11]: must be text; put it in quotes: "5432"`,
		`t.yaml:27: backendPools[2].members[12].address: is missing; add it`,
		`t.yaml:28: backendPools[2].members[13].weight: must be 1 to 1000, not "0"`,
		`t.yaml:29: backendPools[2].members[14].adminState: must be one of none, up, down, not "off"`,
		`t.yaml:29: backendPools[2].members[14].name: "*" is not a name; use 1 to 128 of A-Z a-z 0-9 . _ -, beginning with a letter, a digit or _`,
		`t.yaml:30: backendPools[2].members[15]: must be text, not a list`,
		`t.yaml:31: backendPools[3].members: must be a list ([a, b]), not "10.0.0.1"`,
	}},
	{name: "probes", text: `probes:
- {name: a, interval: 1s, timeout: 2s, threshold: 21, port: 0}
- {name: b, path: /, host: a, headers: {A: b}, expectedStatus: [200]}
- {name: c, protocol: https, path: x, host: 'a b', headers: {Host: a}, expectedStatus: [600]}
- {name: d, protocol: udp, damping: 1, noHealthyBackends: up, source: 0.0.0.0}
- {name: e, interval: 50ms, timeout: 5ms}
- {name: f, interval: 2h, source: 255.255.255.255}
- {name: g, protocol: http, headers: {a: b, A: c, Connection: d}, host: '', source: '[::1]:80'}
`, want: []string{
		`t.yaml:2: probes[0].timeout: the timeout, 2s, is longer than the interval, 1s; a probe must end before the next`,
		`t.yaml:2: probes[0].threshold: must be 1 to 20, not "21"`,
		`t.yaml:2: probes[0].port: must be 1 to 65535, not "0"`,
		`t.yaml:3: probes[1].path: a tcp probe only connects; remove it, or set protocol: http`,
		`t.yaml:3: probes[1].host: a tcp probe only connects; remove it, or set protocol: http`,
		`t.yaml:3: probes[1].headers: a tcp probe only connects; remove it, or set protocol: http`,
		`t.yaml:3: probes[1].expectedStatus: a tcp probe only connects; remove it, or set protocol: http`,
		`t.yaml:4: probes[2].path: must begin with /, not "x"`,
		`t.yaml:4: probes[2].host: "a b" is not a host name: a label has letters, digits and -, not ' '`,
		`t.yaml:4: probes[2].headers.Host: has a key of its own; write host beside headers`,
		`t.yaml:4: probes[2].expectedStatus[0]: must be a status of 100 to 599 or a range of them such as 200-399, not "600"`,
		`t.yaml:5: probes[3].protocol: must be one of tcp, http, https, not "udp"`,
		`t.yaml:5: probes[3].damping: must be true or false, not "1"`,
		`t.yaml:5: probes[3].noHealthyBackends: must be one of allDown, allUp, not "up"`,
		`t.yaml:5: probes[3].source: 0.0.0.0 is not the address of one machine`,
		`t.yaml:6: probes[4].interval: must be 100ms to 1h, not "50ms"`,
		`t.yaml:6: probes[4].timeout: must be 10ms to 1h, not "5ms"`,
		`t.yaml:7: probes[5].interval: must be 100ms to 1h, not "2h"`,
		`t.yaml:7: probes[5].source: 255.255.255.255 is not the address of one machine`,
		`t.yaml:8: probes[6].headers.A: is there already as a; remove one`,
		`t.yaml:8: probes[6].headers.Connection: is about the connection or a body, which the prober sees to; remove it`,
		`t.yaml:8: probes[6].source: write the address alone, without a port, not "[::1]:80"`,
	}},
	{name: "rules that lead nowhere", text: around + `rules:
- {name: a, frontend: privat, protocol: tcp, frontendPort: 1, backendPool: bd, probe: none}
- {name: b, frontend: public, protocol: tcp, frontendPort: 2}
- {name: c, frontend: public, protocol: tcp, frontendPort: 3, sni: []}
- {name: d, frontend: '', protocol: tcp, frontendPort: 4, backendPool: '', probe: ''}
- {name: e, frontend: 5, protocol: tcp, frontendPort: 5, backendPool: 5, probe: 5}
- {name: f, frontend: public, protocol: tcp, frontendPort: 6, backendPool: db, probes: [none, 5, '']}
- {name: g}
- {name: h, frontend: public, protocol: quic, frontendPort: 65536, backendPort: 0, backendPool: db}
`, want: []string{
		`t.yaml:4: rules[0].frontend: there is no frontend "privat"; known: public`,
		`t.yaml:4: rules[0].backendPool: there is no backend pool "bd"; known: db`,
		`t.yaml:4: rules[0].probe: there is no probe "none"; none is defined`,
		`t.yaml:5: rules[1]: goes nowhere; add backendPool`,
		`t.yaml:6: rules[2]: goes nowhere; add backendPool`,
		`t.yaml:7: rules[3].frontend: must not be empty; write the name of a frontend`,
		`t.yaml:7: rules[3].backendPool: must not be empty; write the name of a backend pool`,
		`t.yaml:7: rules[3].probe: must not be empty; write the name of a probe`,
		`t.yaml:8: rules[4].frontend: must be text; put it in quotes: "5"`,
		`t.yaml:8: rules[4].backendPool: must be text; put it in quotes: "5"`,
		`t.yaml:8: rules[4].probe: must be text; put it in quotes: "5"`,
		`t.yaml:9: rules[5].probes[0]: there is no probe "none"; none is defined`,
		`t.yaml:9: rules[5].probes[1]: must be text; put it in quotes: "5"`,
		`t.yaml:9: rules[5].probes[2]: must not be empty; write the name of a probe`,
		`t.yaml:10: rules[6].frontend: is missing; add it`,
		`t.yaml:10: rules[6].protocol: is missing; add it`,
		`t.yaml:10: rules[6]: goes nowhere; add backendPool`,
		`t.yaml:11: rules[7].protocol: must be one of tcp, udp, all, not "quic"`,
		`t.yaml:11: rules[7].frontendPort: must be 1 to 65535, not "65536"`,
		`t.yaml:11: rules[7].backendPort: must be 1 to 65535, not "0"`,
	}},
	{name: "ports of rules", text: around + `rules:
- {name: a, frontend: public, protocol: tcp, backendPool: db}
- {name: b, frontend: public, protocol: all, frontendPort: 1, backendPort: 1, backendPool: db}
`, want: []string{
		`t.yaml:4: rules[0]: frontendPort is missing; add it, or set protocol: all for every port`,
		`t.yaml:5: rules[1].frontendPort: protocol: all is every port, and members get the one that the client asked for; remove it`,
		`t.yaml:5: rules[1].backendPort: protocol: all is every port, and members get the one that the client asked for; remove it`,
	}},
	{name: "probes of rules", text: around + `probes: [{name: a}, {name: b, port: 1, noHealthyBackends: allUp}, {name: c, port: x}, {name: d, noHealthyBackends: x}]
rules:
- {name: a, frontend: public, protocol: tcp, frontendPort: 1, backendPool: db, probe: a, probes: [b, b]}
- {name: b, frontend: public, protocol: tcp, frontendPort: 2, backendPool: db, probes: [a, a]}
- {name: c, frontend: public, protocol: tcp, frontendPort: 3, backendPool: db, probes: [a, b, d]}
- {name: d, frontend: public, protocol: all, backendPool: db, probes: [a, c]}
- {name: e, frontend: public, protocol: tcp, frontendPort: 5, backendPool: db, probes: []}
- {name: f, frontend: public, protocol: tcp, frontendPort: 6, backendPool: db, probes: [a, a, a, a, a, a, a, a, a]}
`, want: []string{
		`t.yaml:3: probes[2].port: must be a whole number, not "x"`,
		`t.yaml:3: probes[3].noHealthyBackends: must be one of allDown, allUp, not "x"`,
		`t.yaml:5: rules[0]: has both probe and probes; keep one`,
		`t.yaml:6: rules[1].probes[1]: "a" is there twice; remove one`,
		`t.yaml:7: rules[2].probes[1]: probe "a" and probe "b" do not agree on noHealthyBackends; the probes of one rule must`,
		`t.yaml:8: rules[3].probes[0]: probe "a" has no port, and a rule for every port does not tell it one; add port to the probe`,
		`t.yaml:9: rules[4].probes: must have at least 1 entry`,
		`t.yaml:10: rules[5].probes: must have at most 8 entries, not 9`,
	}},
	{name: "server names", text: around + `rules:
- {name: a, frontend: public, protocol: udp, frontendPort: 1, backendPool: db, sni: [{hostNames: [a.example], backendPool: db}]}
- name: b
  frontend: public
  protocol: tcp
  frontendPort: 1
  sni:
  - {hostNames: [a.example, A.example.], backendPool: none}
  - {hostNames: ["*.a.example", "*.A.example"], backendPool: db}
  - {hostNames: ["*", "a.*.example", "*a.example", "?.example", "*.", "10.0.0.1", "-a.example"], backendPool: db}
  - {hostNames: [], backendPool: ''}
  - {hostNames: ["*", "*"]}
  - x
`, want: []string{
		`t.yaml:4: rules[0].sni: only tcp connections begin with a server name; remove it, or set protocol: tcp`,
		`t.yaml:10: rules[1].sni[0].hostNames[1]: "a.example" is there twice; remove one`,
		`t.yaml:10: rules[1].sni[0].backendPool: there is no backend pool "none"; known: db`,
		`t.yaml:11: rules[1].sni[1].hostNames[1]: "*.a.example" is there twice; remove one`,
		`t.yaml:12: rules[1].sni[2].hostNames[0]: the connections that no name matches go to backendPool of the rule; name that pool there instead of *`,
		`t.yaml:12: rules[1].sni[2].hostNames[1]: "a.*.example" has a wildcard that is not one label in front; write a name, or *.app.example`,
		`t.yaml:12: rules[1].sni[2].hostNames[2]: "*a.example" has a wildcard that is not one label in front; write a name, or *.app.example`,
		`t.yaml:12: rules[1].sni[2].hostNames[3]: "?.example" has a wildcard that is not one label in front; write a name, or *.app.example`,
		`t.yaml:12: rules[1].sni[2].hostNames[4]: "" is not a host name; it needs 1 to 253 characters`,
		`t.yaml:12: rules[1].sni[2].hostNames[5]: "10.0.0.1" is neither an IP address nor a host name, whose last label is not a number`,
		`t.yaml:12: rules[1].sni[2].hostNames[6]: "-a.example" is not a host name: a label does not begin or end with -`,
		`t.yaml:13: rules[1].sni[3].hostNames: must have at least 1 entry`,
		`t.yaml:13: rules[1].sni[3].backendPool: must not be empty; write the name of a backend pool`,
		`t.yaml:14: rules[1].sni[4].backendPool: is missing; add it`,
		`t.yaml:14: rules[1].sni[4].hostNames[0]: the connections that no name matches go to backendPool of the rule; name that pool there instead of *`,
		`t.yaml:14: rules[1].sni[4].hostNames[1]: the connections that no name matches go to backendPool of the rule; name that pool there instead of *`,
		`t.yaml:15: rules[1].sni[5]: must be a mapping (key: value), not "x"`,
	}},
	{name: "a server name that is too long", text: around + "rules: [{name: a, frontend: public, protocol: tcp, frontendPort: 1, sni: [{hostNames: ['*." + strings.Repeat("a.", 127) + "'], backendPool: db}]}]\n", want: []string{
		`t.yaml:3: rules[0].sni[0].hostNames[0]: "*.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a."... is longer than a host name can be`,
	}},
	{name: "flow settings", text: around + `rules:
- {name: a, frontend: public, protocol: udp, frontendPort: 1, backendPool: db, tcpReset: true, connectTimeout: 1s, proxyProtocol: v2, transparent: true}
- {name: b, frontend: public, protocol: tcp, frontendPort: 1, backendPool: db, responses: 1}
- {name: c, frontend: public, protocol: tcp, frontendPort: 2, backendPool: db, idleTimeout: 101m, connectTimeout: 1ms, proxyProtocol: v3, tcpReset: 1, transparent: 1, floatingIP: 1}
- {name: d, frontend: public, protocol: udp, frontendPort: 2, backendPool: db, idleTimeout: 500ms, responses: -1, limits: {flows: -1, flowsPerClient: x, flowRate: -1, flowRatePerClient: 1.5, backlog: -1}}
inboundNatRules:
- {name: e, frontend: public, protocol: udp, frontendPort: 3, backendPool: db, member: 10.0.0.4, tcpReset: false}
- {name: f, frontend: public, protocol: tcp, frontendPort: 3, backendPool: db, member: 10.0.0.4, responses: 1, floatingIP: true}
`, want: []string{
		`t.yaml:4: rules[0].tcpReset: only tcp has it; remove it, or set protocol: tcp`,
		`t.yaml:4: rules[0].connectTimeout: only tcp has it; remove it, or set protocol: tcp`,
		`t.yaml:4: rules[0].proxyProtocol: only tcp has it; remove it, or set protocol: tcp`,
		`t.yaml:5: rules[1].responses: only udp has it; remove it, or set protocol: udp`,
		`t.yaml:6: rules[2].idleTimeout: must be 1s to 1h40m, not "101m"`,
		`t.yaml:6: rules[2].connectTimeout: must be 10ms to 5m, not "1ms"`,
		`t.yaml:6: rules[2].proxyProtocol: must be one of off, v1, v2, not "v3"`,
		`t.yaml:6: rules[2].tcpReset: must be true or false, not "1"`,
		`t.yaml:6: rules[2].transparent: must be true or false, not "1"`,
		`t.yaml:6: rules[2].floatingIP: must be true or false, not "1"`,
		`t.yaml:7: rules[3].idleTimeout: must be 1s to 1h40m, not "500ms"`,
		`t.yaml:7: rules[3].responses: must be 0 to 1048576, not "-1"`,
		`t.yaml:7: rules[3].limits.flows: must be 0 to 16777216, not "-1"`,
		`t.yaml:7: rules[3].limits.flowsPerClient: must be a whole number, not "x"`,
		`t.yaml:7: rules[3].limits.flowRate: must be 0 to 10000000, not "-1"`,
		`t.yaml:7: rules[3].limits.flowRatePerClient: must be a whole number, not "1.5"`,
		`t.yaml:7: rules[3].limits.backlog: must be 0 to 1048576, not "-1"`,
		`t.yaml:9: inboundNatRules[0].tcpReset: only tcp has it; remove it, or set protocol: tcp`,
		`t.yaml:10: inboundNatRules[1].responses: only udp has it; remove it, or set protocol: udp`,
		`t.yaml:10: inboundNatRules[1].floatingIP: not available in this version; it needs plane: ebpf`,
	}},
	{name: "every port of every address", text: `frontends: [{name: v4, address: 0.0.0.0}, {name: v6, address: "::"}]
backendPools: [{name: db, members: [10.0.0.4]}]
rules:
- {name: a, frontend: v4, protocol: all, backendPool: db}
- {name: b, frontend: v6, protocol: all, backendPool: db}
`, want: []string{
		`t.yaml:4: rules[0].frontend: protocol: all takes every port of an address, and 0.0.0.0 would be all of this machine; use a frontend with an address of its own`,
		`t.yaml:5: rules[1].frontend: protocol: all takes every port of an address, and :: would be all of this machine; use a frontend with an address of its own`,
	}},
	{name: "bindings that collide", text: `admin: {address: 127.0.0.1:5000}
metrics: {address: ':6000'}
frontends: [{name: a, address: 10.0.0.1}, {name: same, address: 10.0.0.1}, {name: v4, address: 0.0.0.0}, {name: all, address: '::'}, {name: six, address: '2001:db8::1'}]
backendPools: [{name: db, members: [10.0.0.4]}]
rules:
- {name: a, frontend: a, protocol: tcp, frontendPort: 80, backendPool: db}
- {name: b, frontend: same, protocol: tcp, frontendPort: 80, backendPool: db}
- {name: c, frontend: same, protocol: udp, frontendPort: 80, backendPool: db}
- {name: d, frontend: v4, protocol: tcp, frontendPort: 80, backendPool: db}
- {name: e, frontend: all, protocol: tcp, frontendPort: 5000, backendPool: db}
- {name: f, frontend: six, protocol: tcp, frontendPort: 6000, backendPool: db}
- {name: g, frontend: a, protocol: all, backendPool: db}
- {name: h, frontend: same, protocol: all, backendPool: db}
- {name: i, frontend: v4, protocol: udp, frontendPort: 90, backendPool: db}
- {name: j, frontend: all, protocol: udp, frontendPort: 90, backendPool: db}
- {name: k, frontend: six, protocol: udp, frontendPort: 91, backendPool: db}
- {name: l, frontend: v4, protocol: udp, frontendPort: 91, backendPool: db}
inboundNatRules:
- {name: m, frontend: a, protocol: tcp, frontendPorts: 70-85, backendPool: db, backendPort: 1}
- {name: n, frontend: same, protocol: tcp, frontendPorts: 86-90, backendPool: db, backendPort: 1}
- {name: o, frontend: same, protocol: tcp, frontendPorts: 90-91, backendPool: db, backendPort: 1}
- {name: p, frontend: same, protocol: tcp, frontendPorts: 88-88, backendPool: db, backendPort: 1}
`, want: []string{
		`t.yaml:2: metrics.address: tcp/:: 6000 is what rule "f" has already (tcp/2001:db8::1 6000); use another port or address`,
		`t.yaml:7: rules[1]: tcp/10.0.0.1 80 is what rule "a" has already (tcp/10.0.0.1 80); use another port or address`,
		`t.yaml:9: rules[3]: tcp/0.0.0.0 80 is what rule "a" has already (tcp/10.0.0.1 80); use another port or address`,
		`t.yaml:10: rules[4]: tcp/:: 5000 is what admin.address has already (tcp/127.0.0.1 5000); use another port or address`,
		`t.yaml:13: rules[7]: tcp/10.0.0.1 every port is what rule "g" has already (tcp/10.0.0.1 every port); use another port or address`,
		`t.yaml:15: rules[9]: udp/:: 90 is what rule "i" has already (udp/0.0.0.0 90); use another port or address`,
		`t.yaml:19: inboundNatRules[0]: tcp/10.0.0.1 70-85 is what rule "a" has already (tcp/10.0.0.1 80); use another port or address`,
		`t.yaml:21: inboundNatRules[2]: tcp/10.0.0.1 90-91 is what inbound NAT rule "n" has already (tcp/10.0.0.1 86-90); use another port or address`,
		`t.yaml:22: inboundNatRules[3]: tcp/10.0.0.1 88 is what inbound NAT rule "n" has already (tcp/10.0.0.1 86-90); use another port or address`,
	}},
	{name: "inbound NAT rules", text: around + `inboundNatRules:
- {name: a, frontend: public, protocol: tcp, backendPool: db}
- {name: b, frontend: public, protocol: tcp, frontendPort: 1, frontendPorts: 2-3, backendPool: db}
- {name: c, frontend: public, protocol: all, frontendPort: 1, backendPool: db, member: 10.0.0.4}
- {name: d, frontend: public, protocol: tcp, frontendPort: 1, backendPool: db}
- {name: e, frontend: public, protocol: tcp, frontendPort: 2, backendPool: db, member: 10.0.0.6}
- {name: f, frontend: public, protocol: tcp, frontendPorts: 3, backendPool: db, backendPort: 22}
- {name: g, frontend: public, protocol: tcp, frontendPorts: 4-5, backendPool: db}
- {name: h, frontend: public, protocol: tcp, frontendPorts: 6-7, backendPool: db, backendPort: 22, member: 10.0.0.4}
- {name: i, frontend: public, protocol: tcp, frontendPorts: 9-8, backendPool: db, backendPort: 22}
- {name: j, frontend: public, protocol: tcp, frontendPorts: 0-8, backendPool: db, backendPort: 22}
- {name: k, frontend: public, protocol: tcp, frontendPorts: 1 - 8, backendPool: db, backendPort: 22}
- {name: l, frontend: public, protocol: tcp, frontendPorts: [1, 8], backendPool: db, backendPort: 22}
- {name: m, frontend: none, protocol: tcp, frontendPort: 65536, backendPool: none, backendPort: 65536}
- {name: n}
- {name: o, frontend: public, protocol: tcp, frontendPorts: 10-11, backendPool: db, backendPort: x}
`, want: []string{
		`t.yaml:4: inboundNatRules[0]: has no port; add frontendPort, or frontendPorts for a range over the pool`,
		`t.yaml:5: inboundNatRules[1]: has both frontendPort and frontendPorts; keep one`,
		`t.yaml:6: inboundNatRules[2].protocol: must be one of tcp, udp, not "all"`,
		`t.yaml:7: inboundNatRules[3]: pool "db" has 2 members; say with member which one gets all, or write frontendPorts`,
		`t.yaml:8: inboundNatRules[4].member: pool "db" has no member "10.0.0.6"; known: 10.0.0.4, 10.0.0.5`,
		`t.yaml:9: inboundNatRules[5].frontendPorts: a range of 1 is too small for the 2 members of pool "db"; widen it`,
		`t.yaml:10: inboundNatRules[6]: backendPort is missing; add the members' port`,
		`t.yaml:11: inboundNatRules[7].member: a range goes to every member; remove it, or write frontendPort`,
		`t.yaml:12: inboundNatRules[8].frontendPorts: "9-8" ends before it begins; write 8-9`,
		`t.yaml:13: inboundNatRules[9].frontendPorts: must be a port of 1 to 65535 or a range of them such as 50000-50099, not "0-8"`,
		`t.yaml:14: inboundNatRules[10].frontendPorts: must be a port of 1 to 65535 or a range of them such as 50000-50099, not "1 - 8"`,
		`t.yaml:15: inboundNatRules[11].frontendPorts: must be a range of ports such as 50000-50099, not a list`,
		`t.yaml:16: inboundNatRules[12].frontend: there is no frontend "none"; known: public`,
		`t.yaml:16: inboundNatRules[12].frontendPort: must be 1 to 65535, not "65536"`,
		`t.yaml:16: inboundNatRules[12].backendPool: there is no backend pool "none"; known: db`,
		`t.yaml:16: inboundNatRules[12].backendPort: must be 1 to 65535, not "65536"`,
		`t.yaml:17: inboundNatRules[13].frontend: is missing; add it`,
		`t.yaml:17: inboundNatRules[13].protocol: is missing; add it`,
		`t.yaml:17: inboundNatRules[13].backendPool: is missing; add it`,
		`t.yaml:17: inboundNatRules[13]: has no port; add frontendPort, or frontendPorts for a range over the pool`,
		`t.yaml:18: inboundNatRules[14].backendPort: must be a whole number, not "x"`,
	}},
	{name: "circles", text: `frontends: [{name: one, address: 10.0.0.1}, {name: all, address: "::"}, {name: ha, address: 10.0.0.9}]
backendPools:
- {name: self, members: [10.0.0.4, "10.0.0.1:80"]}
- {name: there, members: ["10.0.0.1:82"]}
- {name: loopback, members: [127.0.0.1]}
- {name: back, members: ["10.0.0.1:81"]}
- {name: every, members: [10.0.0.9]}
rules:
- {name: a, frontend: one, protocol: tcp, frontendPort: 80, backendPool: self}
- {name: b, frontend: one, protocol: tcp, frontendPort: 81, backendPool: there}
- {name: c, frontend: one, protocol: tcp, frontendPort: 82, sni: [{hostNames: [a.example], backendPool: back}]}
- {name: d, frontend: all, protocol: udp, frontendPort: 53, backendPool: loopback}
- {name: e, frontend: ha, protocol: all, backendPool: every}
- {name: f, frontend: one, protocol: udp, frontendPort: 80, backendPool: there}
inboundNatRules:
- {name: n, frontend: all, protocol: tcp, frontendPorts: 90-91, backendPool: loopback, backendPort: 90}
`, want: []string{
		`t.yaml:9: rules[0]: member 10.0.0.1:80 is this balancer, which would connect to itself for ever; name another address or port`,
		`t.yaml:11: rules[2]: member 10.0.0.1:81 is this balancer, which would connect to itself for ever; name another address or port`,
		`t.yaml:12: rules[3]: member 127.0.0.1:53 is this balancer, which would connect to itself for ever; name another address or port`,
		`t.yaml:13: rules[4]: member 10.0.0.9 is this balancer, which would connect to itself for ever; name another address or port`,
		`t.yaml:16: inboundNatRules[0]: member 127.0.0.1:90 is this balancer, which would connect to itself for ever; name another address or port`,
	}},
	{name: "members of inbound NAT rules", text: `frontends: [{name: public, address: 203.0.113.10}]
backendPools: [{name: none}, {name: bad, members: 5}, {name: half, members: [10.0.0.1, 10.0.0.256]}]
inboundNatRules:
- {name: a, frontend: public, protocol: tcp, frontendPort: 1, backendPool: none}
- {name: b, frontend: public, protocol: tcp, frontendPort: 2, backendPool: bad}
- {name: c, frontend: public, protocol: tcp, frontendPort: 3, backendPool: half, member: 10.0.0.256}
- {name: d, frontend: public, protocol: tcp, frontendPort: 4, backendPool: half, member: 5}
`, want: []string{
		`t.yaml:2: backendPools[1].members: must be a list ([a, b]), not "5"`,
		`t.yaml:2: backendPools[2].members[1]: "10.0.0.256" is neither an IP address nor a host name, whose last label is not a number`,
		`t.yaml:4: inboundNatRules[0].backendPool: pool "none" has no member that this could go to; add one, or write frontendPorts`,
		`t.yaml:7: inboundNatRules[3].member: must be text; put it in quotes: "5"`,
	}},
	{name: "security groups", text: around + `securityGroups:
- {name: a, attach: [public, public, none, none, 5, '']}
- {name: b, attach: [public], flushConnections: 1}
- {name: c, attach: public}
- {name: d, rules: {}}
- {name: e, rules: [r, {name: f}]}
addressGroups:
- {name: Internet, addresses: [10.0.0.1]}
- {name: '10.1', addresses: [10.0.0.1/8, x, "::ffff:10.0.0.0/104"]}
`, want: []string{
		`t.yaml:4: securityGroups[0].attach[1]: frontend "public" has security group "a" already; one guards a frontend`,
		`t.yaml:4: securityGroups[0].attach[2]: there is no frontend "none"; known: public`,
		`t.yaml:4: securityGroups[0].attach[3]: there is no frontend "none"; known: public`,
		`t.yaml:4: securityGroups[0].attach[4]: must be text; put it in quotes: "5"`,
		`t.yaml:4: securityGroups[0].attach[5]: must not be empty; write the name of a frontend`,
		`t.yaml:5: securityGroups[1].attach[0]: frontend "public" has security group "a" already; one guards a frontend`,
		`t.yaml:5: securityGroups[1].flushConnections: must be true or false, not "1"`,
		`t.yaml:6: securityGroups[2].attach: must be a list ([a, b]), not "public"`,
		`t.yaml:7: securityGroups[3].rules: must be a list ([a, b]), not a mapping; put - before each of its entries`,
		`t.yaml:8: securityGroups[4].rules[0]: must be a mapping (key: value), not "r"`,
		`t.yaml:8: securityGroups[4].rules[1].priority: is missing; add it`,
		`t.yaml:8: securityGroups[4].rules[1].access: is missing; add it`,
		`t.yaml:10: addressGroups[0].name: Internet is what VirtualNetwork is not; define VirtualNetwork instead`,
		`t.yaml:11: addressGroups[1].name: "10.1" reads as an address in a security rule; use a name with a letter in it`,
		`t.yaml:11: addressGroups[1].addresses[0]: "10.0.0.1/8" has bits set behind the prefix; write 10.0.0.0/8`,
		`t.yaml:11: addressGroups[1].addresses[1]: must be a prefix such as 10.0.0.0/8 or an address, not "x"`,
		`t.yaml:11: addressGroups[1].addresses[2]: write the IPv4 prefix itself, not "::ffff:10.0.0.0/104"`,
	}},
	{name: "security rules", text: around + `securityGroups:
- name: edge
  attach: [public]
  rules:
  - {name: a, priority: 99, access: permit, protocol: icmp, direction: in}
  - {name: b, priority: 100, access: allow, source: 10.0.0.1/8, destination: 5}
  - {name: c, priority: 100, access: allow, source: [10.0.0.256, '', nobody, 7, fe80::1%a, "10.0.0.1:80", "::ffff:10.0.0.0/104"], destination: []}
  - {name: d, priority: 101, access: allow, sourcePorts: 0-65535, destinationPorts: [80, 90-80, 65536, x]}
  - {name: e, priority: 102, access: allow, sourcePorts: [], destinationPorts: {}}
  - {name: f, priority: 103, access: allow, sourcePorts: 80,90, source: {}}
addressGroups:
- {name: somebody, addresses: []}
- {name: VirtualNetwork, addresses: []}
`, want: []string{
		`t.yaml:7: securityGroups[0].rules[0].priority: must be 100 to 4096, not "99"`,
		`t.yaml:7: securityGroups[0].rules[0].access: must be one of allow, deny, not "permit"`,
		`t.yaml:7: securityGroups[0].rules[0].protocol: must be one of any, *, tcp, udp, not "icmp"`,
		`t.yaml:7: securityGroups[0].rules[0].direction: must be one of inbound, not "in"`,
		`t.yaml:8: securityGroups[0].rules[1].source: "10.0.0.1/8" has bits set behind the prefix; write 10.0.0.0/8`,
		`t.yaml:8: securityGroups[0].rules[1].destination: must be text; put it in quotes: "5"`,
		`t.yaml:9: securityGroups[0].rules[2].priority: rule "b" has priority 100 already; each rule of a group needs one of its own`,
		`t.yaml:9: securityGroups[0].rules[2].source: there is no address group "nobody"; known: AzureLoadBalancer, Internet, VirtualNetwork, somebody`,
		`t.yaml:9: securityGroups[0].rules[2].source[0]: must be a prefix such as 10.0.0.0/8, an address, the name of an address group, or *, not "10.0.0.256"`,
		`t.yaml:9: securityGroups[0].rules[2].source[1]: must be a prefix such as 10.0.0.0/8, an address, the name of an address group, or *, not ""`,
		`t.yaml:9: securityGroups[0].rules[2].source[3]: must be text; put it in quotes: "7"`,
		`t.yaml:9: securityGroups[0].rules[2].source[4]: must be a prefix such as 10.0.0.0/8, an address, the name of an address group, or *, not "fe80::1%a"`,
		`t.yaml:9: securityGroups[0].rules[2].source[5]: must be a prefix such as 10.0.0.0/8, an address, the name of an address group, or *, not "10.0.0.1:80"`,
		`t.yaml:9: securityGroups[0].rules[2].source[6]: write the IPv4 prefix itself, not "::ffff:10.0.0.0/104"`,
		`t.yaml:9: securityGroups[0].rules[2].destination: must have at least 1 entry`,
		`t.yaml:10: securityGroups[0].rules[3].sourcePorts: must be a port of 1 to 65535 or a range of them such as 50000-50099, not "0-65535"`,
		`t.yaml:10: securityGroups[0].rules[3].destinationPorts[1]: "90-80" ends before it begins; write 80-90`,
		`t.yaml:10: securityGroups[0].rules[3].destinationPorts[2]: must be a port of 1 to 65535 or a range of them such as 50000-50099, not "65536"`,
		`t.yaml:10: securityGroups[0].rules[3].destinationPorts[3]: must be a port of 1 to 65535 or a range of them such as 50000-50099, not "x"`,
		`t.yaml:11: securityGroups[0].rules[4].sourcePorts: must have at least 1 entry`,
		`t.yaml:11: securityGroups[0].rules[4].destinationPorts: must be a range of ports such as 50000-50099, not a mapping`,
		`t.yaml:12: securityGroups[0].rules[5].90: unknown key; known keys: name, priority, direction, access, protocol, source, sourcePorts, destination, destinationPorts`,
		`t.yaml:12: securityGroups[0].rules[5].source: must be text, not a mapping`,
	}},
}

// tooMany are lists that are longer than may be.
var tooMany = []verdict{
	{name: "entries", text: "frontends: [" + strings.Repeat("{}, ", 601) + `]
backendPools: [{name: a, members: [` + strings.Repeat("a, ", 5001) + `]}]
probes: [{name: a, protocol: http, expectedStatus: [` + strings.Repeat("200, ", 9) + `]}]
rules: [` + strings.Repeat("{}, ", 1501) + `]
inboundNatRules: [` + strings.Repeat("{}, ", 1501) + `]
securityGroups: [` + strings.Repeat("{}, ", 1001) + `]
addressGroups: [` + strings.Repeat("{}, ", 3001) + `]
`, want: []string{
		`t.yaml:1: frontends: must have at most 600 entries, not 601`,
		`t.yaml:2: backendPools[0].members: must have at most 5000 entries, not 5001`,
		`t.yaml:3: probes[0].expectedStatus: must have at most 8 entries, not 9`,
		`t.yaml:4: rules: must have at most 1500 entries, not 1501`,
		`t.yaml:5: inboundNatRules: must have at most 1500 entries, not 1501`,
		`t.yaml:6: securityGroups: must have at most 1000 entries, not 1001`,
		`t.yaml:7: addressGroups: must have at most 3000 entries, not 3001`,
	}},
	{name: "entries of entries", text: "frontends: [{name: a, addresses: [" + strings.Repeat("10.0.0.1, ", 101) + `]}]
rules: [{name: a, frontend: a, protocol: tcp, frontendPort: 1, sni: [` + strings.Repeat("{}, ", 1001) + `]}, {name: b, frontend: a, protocol: tcp, frontendPort: 2, sni: [{hostNames: [` + strings.Repeat("a, ", 1001) + `], backendPool: none}]}]
securityGroups:
- {name: a, attach: [` + strings.Repeat("a, ", 601) + `], rules: [{name: a, priority: 100, access: allow, source: [` + strings.Repeat("a, ", 4001) + `], destination: [` + strings.Repeat("a, ", 4001) + `], sourcePorts: [` + strings.Repeat("1, ", 1001) + `]}]}
- {name: b, attach: [a], rules: [` + strings.Repeat("{}, ", 3998) + `]}
addressGroups: [{name: a, addresses: [` + strings.Repeat("a, ", 100_001) + `]}]
`, want: []string{
		`t.yaml:1: frontends[0].addresses: must have at most 100 entries, not 101`,
		`t.yaml:2: rules[0].sni: must have at most 1000 entries, not 1001`,
		`t.yaml:2: rules[1].sni[0].hostNames: must have at most 1000 entries, not 1001`,
		`t.yaml:2: rules[1].sni[0].backendPool: there is no backend pool "none"; none is defined`,
		`t.yaml:4: securityGroups[0].attach: must have at most 600 entries, not 601`,
		`t.yaml:4: securityGroups[0].rules[0].source: must have at most 4000 entries, not 4001`,
		`t.yaml:4: securityGroups[0].rules[0].destination: must have at most 4000 entries, not 4001`,
		`t.yaml:4: securityGroups[0].rules[0].sourcePorts: must have at most 1000 entries, not 1001`,
		`t.yaml:5: securityGroups[1].rules: must have at most 3997 entries, not 3998`,
		`t.yaml:6: addressGroups[0].addresses: must have at most 100000 entries, not 100001`,
	}},
	{name: "addresses", text: "frontends:\n" + numbered(42, "- {name: f%d, addresses: ["+numbered(98, "10.0.0.%d, ")+"]}\n"), want: []string{
		`t.yaml:1: frontends: have 4116 addresses; at most 4096 are possible`,
	}},
	{name: "sockets", text: "frontends: [{name: a, addresses: [" + numbered(100, "10.0.0.%d, ") + `]}]
backendPools: [{name: a, members: [` + numbered(250, "10.0.1.%d, ") + `]}]
inboundNatRules:
` + numbered(42, "- {name: r%d, frontend: a, protocol: tcp, frontendPorts: %[1]d000-%[1]d999, backendPool: a, backendPort: 22}\n"), want: []string{
		`t.yaml:1: rules and frontends together bind 1050001 ports of addresses; at most 1048576 are possible`,
	}},
}

// numbered repeats a line, each with its number.
func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i+1)
	}
	return b.String()
}

var suspiciousBalancers = []verdict{
	{name: "ports of members before those of inbound NAT rules", text: `frontends: [{name: public, address: 203.0.113.10}]
backendPools:
- {name: web, members: [{name: a, address: "10.0.0.4:80"}, {name: b, address: 10.0.0.5}]}
inboundNatRules:
- {name: range, frontend: public, protocol: tcp, frontendPorts: 50000-50009, backendPool: web, backendPort: 22}
- {name: a, frontend: public, protocol: tcp, frontendPort: 1, backendPool: web, member: a, backendPort: 22}
- {name: same, frontend: public, protocol: tcp, frontendPort: 2, backendPool: web, member: a, backendPort: 80}
- {name: b, frontend: public, protocol: tcp, frontendPort: 3, backendPool: web, member: b, backendPort: 22}
- {name: default, frontend: public, protocol: tcp, frontendPort: 4, backendPool: web, member: a}
`, want: []string{
		`t.yaml:5: inboundNatRules[0].backendPort: 22 changes nothing for member "a", which has port 80 of its own; write it in another pool without a port`,
		`t.yaml:6: inboundNatRules[1].backendPort: 22 changes nothing for member "a", which has port 80 of its own; write it in another pool without a port`,
	}},
	{name: "nothing is balanced", text: "frontends: []\n", want: []string{
		`t.yaml:1: there are no rules: nothing is balanced`,
	}},
	{name: "nothing uses it", text: `frontends: [{name: b, address: 10.0.0.1}, {name: a, address: 10.0.0.1}]
backendPools: [{name: db, members: [10.0.0.4]}]
probes: [{name: p}]
addressGroups: [{name: friends, addresses: []}, {name: AzureLoadBalancer, addresses: [10.0.0.9]}, {name: VirtualNetwork, addresses: []}]
`, want: []string{
		`t.yaml:1: there are no rules: nothing is balanced`,
		`t.yaml:1: frontends[0]: frontend "b" is not used`,
		`t.yaml:1: frontends[1]: frontend "a" is not used`,
		`t.yaml:2: backendPools[0]: backend pool "db" is not used`,
		`t.yaml:3: probes[0]: probe "p" is not used`,
		`t.yaml:4: addressGroups[0]: address group "friends" is not used`,
	}},
	{name: "no members", text: `frontends: [{name: public, address: 203.0.113.10}]
backendPools: [{name: db}]
rules: [{name: a, frontend: public, protocol: tcp, frontendPort: 1, backendPool: db}]
`, want: []string{
		`t.yaml:2: backendPools[0]: pool "db" has no members: what comes to it is refused`,
	}},
	{name: "a state that changes nothing", text: `frontends: [{name: public, address: 203.0.113.10}]
backendPools:
- {name: bare, members: [{address: 10.0.0.4, adminState: up}, {address: 10.0.0.5, adminState: down}]}
- {name: both, members: [{address: 10.0.0.4, adminState: up}]}
- {name: sni, members: [{address: 10.0.0.4, adminState: up}]}
probes: [{name: p}]
rules:
- {name: a, frontend: public, protocol: tcp, frontendPort: 1, backendPool: bare}
- {name: b, frontend: public, protocol: tcp, frontendPort: 2, backendPool: bare}
- {name: c, frontend: public, protocol: tcp, frontendPort: 3, backendPool: both}
- {name: d, frontend: public, protocol: tcp, frontendPort: 4, backendPool: both, probe: p}
- {name: e, frontend: public, protocol: tcp, frontendPort: 5, sni: [{hostNames: [a.example], backendPool: sni}]}
`, want: []string{
		`t.yaml:3: backendPools[0].members[0].adminState: up changes nothing: no rule of this pool has a probe that could say otherwise`,
		`t.yaml:5: backendPools[2].members[0].adminState: up changes nothing: no rule of this pool has a probe that could say otherwise`,
	}},
	{name: "told twice", text: around + `rules:
- {name: a, frontend: public, protocol: tcp, frontendPort: 1, backendPool: db, transparent: true, proxyProtocol: v1}
`, want: []string{
		`t.yaml:4: rules[0].proxyProtocol: members see the client's address already, as the rule is transparent`,
	}},
	{name: "the rest of the list", text: around + `rules: [{name: a, frontend: public, protocol: tcp, frontendPort: 1, backendPool: db}]
securityGroups:
- {name: idle}
- name: edge
  attach: [public]
  rules:
  - {name: a, priority: 100, access: allow, source: ['*', 10.0.0.0/8], destination: ['*', Internet], sourcePorts: ['*', 80], destinationPorts: ['*']}
`, want: []string{
		`t.yaml:5: securityGroups[0]: security group "idle" is attached to no frontend`,
		`t.yaml:9: securityGroups[1].rules[0].source: * is everybody; the rest of the list has no effect`,
		`t.yaml:9: securityGroups[1].rules[0].destination: * is everybody; the rest of the list has no effect`,
		`t.yaml:9: securityGroups[1].rules[0].sourcePorts: * is every port; the rest of the list has no effect`,
	}},
	{name: "everything is used", text: around + `rules: [{name: a, frontend: public, protocol: tcp, frontendPort: 1, backendPool: db}]
`},
}

func TestRefusedLoadBalancers(t *testing.T) {
	testRefused(t, refusedBalancers, ParseLoadBalancer)
	testRefused(t, tooMany, ParseLoadBalancer)
}

func TestSuspiciousLoadBalancers(t *testing.T) {
	testSuspicious(t, suspiciousBalancers, ParseLoadBalancer)
}
