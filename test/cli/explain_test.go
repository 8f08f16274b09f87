package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

const routes = `trustedProxies: [10.0.0.0/8]
listeners:
  - {name: shop, address: ":8080", hostNames: [shop.test]}
  - {name: anyshop, address: ":8080", hostNames: ["*.shop.test"]}
  - {name: deep, address: ":8080", hostNames: ["*.deep.shop.test"]}
  - {name: rest, address: ":8080"}
  - name: guarded
    address: ":8081"
    hostNames: [guarded.test]
    accessRules:
      - {name: scanners, priority: 100, action: deny, source: [203.0.113.0/24]}
      - {priority: 300, action: deny, source: [192.0.2.0/24]}
      - {name: friends, priority: 200, action: allow, source: [192.0.2.7]}
  - {name: first, address: ":8082", hostNames: ["*.shop.test"]}
  - {name: exact, address: ":8082", hostNames: [www.shop.test]}
  - {name: one, address: "127.0.0.1:8083"}
  - {name: two, address: "127.0.0.2:8083"}
  - {name: slash, address: ":8084", encodedSlash: keep, wafPolicy: site}
  - {name: bytes, address: ":8085", protocol: tcp, accessRules: [{name: scanners, priority: 1, action: deny, source: [203.0.113.0/24]}]}
  - {name: idle, address: ":8086", protocol: tcp}
backendPools:
  - {name: app, targets: [10.0.0.4]}
  - {name: images, targets: [10.0.0.5], balance: hash, hash: {on: "header:X-User"}}
  - {name: bytes, targets: ["10.0.0.6:5432"], balance: hash}
backendSettings:
  - {name: plain, affinity: {enabled: true, cookie: shop}}
  - {name: images, pathOverride: /static/}
  - {name: bytes, protocol: tcp}
wafPolicies:
  - {name: site, mode: detection}
pathMaps:
  - name: shop
    default: {backendPool: app, backendSettings: plain}
    paths:
      - {paths: [/images/*], backendPool: images, backendSettings: images}
      - {paths: [/images/old/*], backendPool: app, backendSettings: plain}
      - {paths: [/away/*], redirect: away}
redirects:
  - {name: away, type: seeOther, target: {url: "https://other.test/base"}}
  - {name: up, type: temporary, target: {listener: guarded}, includeQuery: false}
rules:
  - {name: shop, listener: shop, pathMap: shop}
  - {name: anyshop, listener: anyshop, redirect: up}
  - {name: deep, listener: deep, backendPool: app, backendSettings: images}
  - {name: rest, listener: rest, backendPool: app, backendSettings: plain}
  - {name: guarded, listener: guarded, backendPool: app, backendSettings: plain}
  - {name: first, priority: 1, listener: first, backendPool: app, backendSettings: plain}
  - {name: exact, priority: 2, listener: exact, backendPool: app, backendSettings: plain}
  - {name: one, listener: one, backendPool: app, backendSettings: plain}
  - {name: two, listener: two, backendPool: app, backendSettings: plain}
  - {name: slash, listener: slash, backendPool: app, backendSettings: plain}
  - {name: bytes, listener: bytes, backendPool: bytes, backendSettings: bytes}
`

func TestExplain(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "appgw.yaml", routes)
	tests := []struct {
		name string
		args []string
		want string // steps as name=result, and (why) where it matters
	}{
		{"exact host", []string{"http://shop.test:8080/"}, `listener=shop (it has exactly the host name "shop.test") client=127.0.0.1 (it is the peer of the connection) path=/ rule=shop (no path pattern matches: the path map's default) pool=app with settings plain forwarded=/ affinity=cookie shop`},
		{"wildcard", []string{"http://www.shop.test:8080/a?b"}, `listener=anyshop (it has the longest wildcard that matches "www.shop.test") path=/a redirect=307 to http://guarded.test:8081/a`},
		{"longer wildcard", []string{"http://x.deep.shop.test:8080/a"}, `listener=deep (it has the longest wildcard that matches pool=app with settings images forwarded=/static/a (the path override /static/ replaces "")`},
		{"any host", []string{"http://nobody.test:8080/"}, `listener=rest (it takes every host that no other listener takes) rule=rest (the rule is basic)`},
		{"upper case", []string{"http://SHOP.test:8080/IMAGES/x"}, `listener=shop path=/IMAGES/x rule=shop (the first pattern in listed order that matches is /images/*) pool=images forwarded=/static/x (the path override /static/ replaces "/images/")`},
		{"listed order, not length", []string{"http://shop.test:8080/images/old/x"}, `rule=shop (the first pattern in listed order that matches is /images/*) pool=images`},
		{"redirect to a URL", []string{"http://shop.test:8080/away/x?q=1"}, `rule=shop redirect=303 to https://other.test/base/away/x?q=1`},
		{"priority beats the exact name", []string{"http://www.shop.test:8082/"}, `listener=first (its rule has the best priority (1) of those that take "www.shop.test")`},
		{"no listener", []string{"http://nobody.test:8081/"}, `listener=none: 404 (no listener on this port takes the host, and none takes every host)`},
		{"denied", []string{"http://guarded.test:8081/", "--from", "203.0.113.9"}, `client=203.0.113.9 access=denied by scanners: 403 (it has the lowest priority`},
		{"denied by a rule without name", []string{"http://guarded.test:8081/", "--from", "192.0.2.8"}, `access=denied by the rule of priority 300: 403`},
		{"let in by the lower number", []string{"http://guarded.test:8081/", "--from", "192.0.2.7"}, `access=allowed by friends path=/`},
		{"no rule for the client", []string{"http://guarded.test:8081/", "--from", "::1"}, `access=allowed (no access rule contains the address) path=/`},
		{"client behind a trusted proxy", []string{"http://guarded.test:8081/", "--from", "10.1.2.3", "--header", "X-Forwarded-For: 198.51.100.1, 203.0.113.9"},
			`client=203.0.113.9 (the trusted proxy 10.1.2.3 says so in X-Forwarded-For) access=denied by scanners: 403`},
		{"liar", []string{"http://guarded.test:8081/", "--from", "203.0.113.9", "--header", "X-Forwarded-For: 192.0.2.7"},
			`client=203.0.113.9 (it is the peer of the connection, which is no trusted proxy: its X-Forwarded-For is not believed) access=denied by scanners: 403`},
		{"path made canonical", []string{"http://shop.test:8080/x/..//%69mages/./logo.png"}, `path=/images/logo.png (it is the canonical form of "/x/..//%69mages/./logo.png") rule=shop (the first pattern in listed order that matches is /images/*) forwarded=/static/logo.png`},
		{"encoded slash", []string{"http://shop.test:8080/a%2Fb"}, `path=refused: 400`},
		{"encoded slash kept", []string{"http://shop.test:8084/a%2fb"}, `path=/a%2Fb`},
		{"above the root", []string{"http://shop.test:8080/../etc/passwd"}, `path=refused: 400`},
		{"two addresses, named", []string{"http://127.0.0.2:8083/"}, `address=127.0.0.2:8083 (the URL names it) listener=two`},
		{"two addresses, first", []string{"http://shop.test:8083/"}, `address=127.0.0.1:8083 (it is the first of the 2 addresses with that port) listener=one`},
		{"method", []string{"http://shop.test:8080/images/x", "--method", "DELETE"}, `pool=images`},
		{"balance", []string{"http://shop.test:8080/"}, `affinity=cookie shop balance=roundRobin (it is asked when no affinity cookie names a member)`},
		{"hash", []string{"http://shop.test:8080/images/x", "--header", "x-user: 7"}, `forwarded=/static/x balance=hash of header:X-User`},
		{"hash of nothing", []string{"http://shop.test:8080/images/x"}, `balance=hash of clientAddr (the request has no header X-User)`},
		{"no path", []string{"http://shop.test:8080"}, `path=/`},
		{"firewall", []string{"http://shop.test:8084/a"}, `rule=slash firewall=site (detection) pool=app`},
		{"bytes", []string{"tcp://shop.test:8085"}, `listener=bytes client=127.0.0.1 access=allowed rule=bytes (a listener of layer 4 carries bytes pool=bytes with settings bytes balance=hash of clientAddr`},
		{"bytes without a rule", []string{"tcp://shop.test:8086"}, `listener=idle rule=none: the connection is closed`},
		{"bytes denied", []string{"tcp://shop.test:8085", "--from", "203.0.113.9"}, `client=203.0.113.9 access=denied by scanners`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"explain", "--url"}, tt.args...)
			r := appgwIn(t, dir, append(args, "--json")...)
			r.expect(t, 0)
			got := stepsOf(t, r.stdout)
			rest := got
			for _, want := range strings.Split(tt.want, " ") {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Fatalf("%q is missing, or not in order, in %s", want, got)
				}
				rest = after
			}
			text := appgwIn(t, dir, args...)
			text.expect(t, 0, strings.Fields(tt.want)[0][strings.IndexByte(tt.want, '=')+1:])
		})
	}
}

func stepsOf(t *testing.T, text string) string {
	t.Helper()
	var answer struct {
		Steps []struct{ Name, Result, Why string }
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var b strings.Builder
	for _, s := range answer.Steps {
		b.WriteString(s.Name + "=" + s.Result)
		if s.Why != "" {
			b.WriteString(" (" + s.Why + ")")
		}
		b.WriteString(" ")
	}
	return b.String()
}

func TestExplainRefusesWhatIsNoRequest(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "appgw.yaml", routes)
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no URL", []string{"--url", "shop.test/x"}, `--url "shop.test/x": want http://host/path`},
		{"other scheme", []string{"--url", "ftp://shop.test/x"}, "want http://host/path or https://host/path, or tcp://host:port"},
		{"bytes without a port", []string{"--url", "tcp://shop.test"}, "no port is named; name one of those that tcp listeners have: 8085, 8086"},
		{"a request to bytes", []string{"--url", "http://shop.test:8085/"}, "no http listener has port 8085"},
		{"no such port", []string{"--url", "http://shop.test/"}, "no port is named, and no http listener has 80; name one of theirs: 8080, 8081, 8082, 8083, 8084"},
		{"another port", []string{"--url", "http://shop.test:99/"}, "no http listener has port 99; they have 8080, 8081, 8082, 8083, 8084"},
		{"other protocol", []string{"--url", "https://shop.test:8080/"}, "there is no https listener; those there are have the ports 8080, 8081, 8082, 8083, 8084, 8085, 8086"},
		{"no address", []string{"--url", "http://shop.test:8080/", "--from", "here"}, "--from: "},
		{"no field", []string{"--url", "http://shop.test:8080/", "--header", "X-Forwarded-For"}, `--header "X-Forwarded-For": want Name: value`},
		{"bad method", []string{"--url", "http://shop.test:8080/", "--method", "GE T"}, "the request is refused: "},
		{"second host", []string{"--url", "http://shop.test:8080/", "--header", "Host: b"}, "the request is refused: "},
		{"line break in a field", []string{"--url", "http://shop.test:8080/", "--header", "A: b\r\nHost: c"}, "the request is refused: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			appgwIn(t, dir, append([]string{"explain"}, tt.args...)...).expect(t, 1, tt.want)
		})
	}
}

// Without a port the URL means 80 or 443, or else the only port that listeners of its scheme have.
func TestExplainFindsTheListenerOfAURLWithoutPort(t *testing.T) {
	ca := testkit.NewCA(t)
	const rest = `
backendPools: [{name: app, targets: [10.0.0.4]}]
backendSettings: [{name: plain}]
`
	const tls = "protocol: https, tls: {certificates: [{certFile: tls.crt, keyFile: tls.key}]}"
	tests := []struct {
		name, listeners, url string
		code                 int
		want, not            string
	}{
		{"the only one", `[{name: a, address: 8080}]`, "http://x/", 0, "no port is named, and 8080 is the only one that http listeners have", "first of"},
		{"the only one of its scheme", `[{name: a, address: 8080}, {name: b, address: 8443, ` + tls + `}]`, "https://x/", 0, "no port is named, and 8443 is the only one that https listeners have", ""},
		{"one port, two addresses", `[{name: a, address: "127.0.0.1:8080"}, {name: b, address: "127.0.0.2:8080"}]`, "http://127.0.0.2/", 0, "listeners have; the URL names it", ""},
		{"80 before others", `[{name: a, address: 8080}, {name: b, address: 80}]`, "http://x/", 0, "listener   b", "address"},
		{"several", `[{name: a, address: 8080}, {name: b, address: 8081}]`, "http://x/", 1, "no port is named, and no http listener has 80; name one of theirs: 8080, 8081", ""},
		{"a port that is not there", `[{name: a, address: 8080}]`, "http://x:80/", 1, "no http listener has port 80; they have 8080", ""},
		{"none of its scheme", `[{name: a, address: 8080}]`, "https://x/", 1, "there is no https listener; those there are have the ports 8080", ""},
		{"none at all", `[]`, "https://x/", 1, "the configuration has no listeners", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := site(t, ca, testkit.Leaf{Names: []string{"x"}})
			write(t, dir, "appgw.yaml", "listeners: "+tt.listeners+rest)
			r := appgwIn(t, dir, "explain", "--url", tt.url)
			r.expect(t, tt.code, tt.want)
			if tt.not != "" && strings.Contains(r.stdout, tt.not) {
				t.Errorf("%q is said:\n%s", tt.not, r.stdout)
			}
		})
	}
}
