package hostile

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

func TestFieldsThatNobodyVouchesForAreDropped(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.passAll(t, slices.Concat(connectionOptions(), strangersFields(), aliases(), controlFields()))
	g.refuseAll(t, []refusal{{name: "D41 too many connection options", want: 400, send: get("Connection: " + strings.Repeat("x,", 33))}})
}

// connectionOptions is row 41.
func connectionOptions() []pass {
	return []pass{
		{name: "D41 Connection names what protects the backend",
			send: get("Connection: X-Forwarded-For, Authorization, Cookie, X-Real-IP, Host, X-Forwarded-Proto, X-Forwarded-Host, X-Original-URL, Via, X-AppGW-Trace-Id, CDN-Loop",
				"Authorization: Basic x", "Cookie: a=b", "CDN-Loop: c"),
			has: []string{"Host: a.test", "Authorization: Basic x", "Cookie: a=b", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http", "X-Original-URL: /hostile", "CDN-Loop: c"},
			check: func(t *testing.T, r *testkit.Request) {
				if r.Get("Via") == "" || r.Get("X-AppGW-Trace-Id") == "" {
					t.Errorf("our own fields are missing: %q", r.Fields)
				}
			}},
		{name: "D41 Connection names the framing", send: post("hello", "Connection: content-length, Content-Type", "Content-Length: 5", "Content-Type: a/b"), body: "hello",
			has: []string{"Content-Length: 5", "Content-Type: a/b"}},
		{name: "D41 Connection names ordinary fields", send: get("X-One: 1", "Connection: x-ONE", "Connection: , X-Two", "X-two: 2", "X-Three: 3"),
			has: []string{"X-Three: 3"}, lacks: []string{"X-One", "X-Two", "Connection"}},
		{name: "D41 fields of the connection", lacks: []string{"Connection", "Keep-Alive", "Proxy-Connection", "TE", "Proxy-Authorization", "Proxy-Authenticate", "Trailer", "Upgrade"},
			send: get("Connection: keep-alive", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: gzip", "Proxy-Authorization: Basic x", "Proxy-Authenticate: Basic", "Trailer: X", "Upgrade: websocket")},
	}
}

// strangersFields is row 42.
func strangersFields() []pass {
	ours := []string{"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: a.test", "X-Original-Host: a.test", "X-Original-URL: /hostile"}
	others := []string{"Forwarded", "X-Real-IP", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-By",
		"True-Client-IP", "X-Client-IP", "CF-Connecting-IP", "X-Cluster-Client-IP", "X-Original-For", "X-Original-Proto", "X-Original-Method", "X-Original-Uri",
		"X-Url-Scheme", "X-Scheme", "Front-End-Https", "SSL-Client-Cert", "SSL-Client-Verify", "SSL-Client-S-DN"}
	send := []string{"X-Forwarded-For: 203.0.113.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.test", "X-Forwarded-Port: 1", "X-Original-Host: evil.test", "X-Original-URL: /admin"}
	for _, name := range others {
		send = append(send, name+": evil")
	}
	odd := make([]string, len(send))
	for i, line := range send {
		name, value, _ := strings.Cut(line, ":")
		odd[i] = strings.ToUpper(name[:len(name)/2]) + strings.ToLower(name[len(name)/2:]) + ":" + value
	}
	return []pass{
		{name: "D42 forwarding fields of a stranger", send: get(send...), has: ours, lacks: others},
		{name: "D42 in odd case", send: get(odd...), has: ours, lacks: others},
		{name: "D42 twice", send: get(append(odd, send...)...), has: ours, lacks: others},
		{name: "D42 names that only begin alike", send: get("X-Scheme-Of-Work: 1", "X-Originality: 2", "SSL-Clients: 3"), has: []string{"X-Scheme-Of-Work: 1", "X-Originality: 2", "SSL-Clients: 3"}},
		{name: "D42 of a trusted proxy", from: trustedProxy, send: get("X-Forwarded-For: 203.0.113.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.test", "X-Forwarded-Port: 443", "X-Forwarded-Prefix: /p", "X-Original-URL: /evil", "True-Client-IP: 203.0.113.1", "SSL-Client-Verify: SUCCESS"),
			has: []string{"X-Forwarded-For: 203.0.113.1, 127.0.0.2", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.test", "X-Forwarded-Port: 443", "X-Forwarded-Prefix: /p", "X-Original-URL: /hostile", "True-Client-IP: 203.0.113.1", "SSL-Client-Verify: SUCCESS"}},
		{name: "D42 of a trusted proxy, twice", from: trustedProxy, send: get("X-Forwarded-For: 203.0.113.1", "X-Forwarded-For: 10.1.1.1", "X-Forwarded-Proto: https", "X-Forwarded-Proto: http"),
			has: []string{"X-Forwarded-For: 203.0.113.1, 10.1.1.1, 127.0.0.2", "X-Forwarded-Proto: https"}},
	}
}

// aliases is row 44, and row 42 for names that become the same in a CGI environment.
func aliases() (list []pass) {
	for _, name := range []string{"X_Forwarded_For", "X_Forwarded-Proto", "x.forwarded.for", "X~Real~IP", "X_Real_IP", "Content_Length", "Transfer_Encoding", "X_Auth_User", "HTTP_PROXY", "X!A", "_", "X-A_"} {
		list = append(list,
			pass{name: "D44 alias " + quote(name), send: get(name + ": evil"), lacks: []string{name}},
			pass{name: "D44 alias of a trusted proxy " + quote(name), from: trustedProxy, send: get(name + ": evil"), lacks: []string{name}})
	}
	return list
}

// controlFields are rows 48 and 49.
func controlFields() (list []pass) {
	for _, name := range []string{"Proxy", "PROXY", "X-Accel-Redirect", "X-Accel-Buffering", "x-envoy-original-path", "X-Envoy-Internal", "X-AppGW-Trace-Id-2", "X-APPGW-Secret", "X-Sendfile", "X-Sendfile-Type",
		"X-Rewrite-URL", "X-Lighttpd-Send-File", "X-LiteSpeed-Location"} {
		list = append(list,
			pass{name: "D49 control field " + quote(name), send: get(name + ": evil"), lacks: []string{name}},
			pass{name: "D49 of a trusted proxy " + quote(name), from: trustedProxy, send: get(name + ": evil"), lacks: []string{name}})
	}
	return append(list, pass{name: "D49 trace of a stranger", send: get("X-AppGW-Trace-Id: evil"), check: func(t *testing.T, r *testkit.Request) {
		if id := r.Values("X-AppGW-Trace-Id"); len(id) != 1 || len(id[0]) != 32 {
			t.Errorf("X-AppGW-Trace-Id is %q", id)
		}
	}})
}

// TestClientOfAChainOfProxies is row 47, told by the access log.
func TestClientOfAChainOfProxies(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	cases := []struct{ name, from, chain, want string }{
		{"stranger", stranger, "203.0.113.1", stranger},
		{"one proxy", trustedProxy, "203.0.113.1", "203.0.113.1"},
		{"two proxies", trustedProxy, "203.0.113.1, 10.1.1.1", "203.0.113.1"},
		{"spoof to the left", trustedProxy, "8.8.8.8, 203.0.113.1, 10.1.1.1", "203.0.113.1"},
		{"garbage to the left", trustedProxy, "<script>, 203.0.113.1", "203.0.113.1"},
		{"only proxies", trustedProxy, "10.2.2.2, 10.1.1.1", "10.2.2.2"},
		{"port", trustedProxy, "203.0.113.1:1234", "203.0.113.1"},
		{"brackets", trustedProxy, "[2001:db8::1]:1234", "2001:db8::1"},
		{"mapped address", trustedProxy, "::ffff:203.0.113.1", "203.0.113.1"},
		{"garbage", trustedProxy, "unknown", trustedProxy},
		{"garbage on the way", trustedProxy, "203.0.113.1, unknown, 10.1.1.1", trustedProxy},
		{"bad port", trustedProxy, "203.0.113.1:99x", trustedProxy},
		{"bad brackets", trustedProxy, "[203.0.113.1]", trustedProxy},
		{"octal", trustedProxy, "0203.0.113.1", trustedProxy},
		{"zone", trustedProxy, "fe80::1%25lo", trustedProxy},
		{"empty", trustedProxy, ",,", trustedProxy},
		{"a thousand", trustedProxy, strings.Repeat("10.1.1.1, ", 1000) + "10.1.1.1", trustedProxy},
		{"a thousand behind the client", trustedProxy, "203.0.113.1" + strings.Repeat(", 10.1.1.1", 1000), trustedProxy},
	}
	for i, c := range cases {
		client := dialFrom(t, c.from, g.plain)
		client.Send(request(fmt.Sprintf("GET /chain/%d HTTP/1.1", i), "Host: a.test", "X-Forwarded-For: "+c.chain))
		if r := client.ReadResponse("GET"); r.StatusCode != 200 {
			t.Errorf("%s: answer is %q", c.name, r.Head)
		}
		client.Reset()
	}
	g.stop(t)
	clients := map[string]any{}
	for _, line := range g.logLines(t) {
		clients[line["requestUri"].(string)] = line["clientIP"]
	}
	for i, c := range cases {
		if got := clients[fmt.Sprintf("/chain/%d", i)]; got != c.want {
			t.Errorf("D47 %s: the client is taken for %v, want %s", c.name, got, c.want)
		}
	}
}

// TestLoopsEnd is row 50.
func TestLoopsEnd(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.honest(t)
	via := g.backend.Last().Get("Via")
	if via == "" {
		t.Fatal("no Via to tell a loop by")
	}
	options := func(lines ...string) string {
		return request(append([]string{"OPTIONS /loop HTTP/1.1", "Host: a.test"}, lines...)...)
	}
	for name, send := range map[string]string{
		"D50 own Via":                get("Via: " + via),
		"D50 own Via among others":   get("Via: 1.0 fred, "+via+", 1.1 p.test", "Via: 1.1 q.test"),
		"D50 own Via in odd case":    get("Via: 1.1 q.test", "VIA: "+via),
		"D50 own Via behind options": get("Connection: Via", "Via: "+via),
		"D50 Max-Forwards 0":         options("Max-Forwards: 0"),
		"D50 Max-Forwards 00":        options("max-forwards: 00"),
	} {
		t.Run(name, func(t *testing.T) {
			before := g.mark()
			if r := testkit.Exchange(t, g.plain, send); r.StatusCode != 508 {
				t.Errorf("answer is %q, want 508", r.Head)
			}
			g.untouched(t, "at once", before, false)
		})
	}
	g.passAll(t, []pass{
		{name: "D50 Max-Forwards is counted down", send: options("Max-Forwards: 5"), target: "/loop", has: []string{"Max-Forwards: 4"}},
		{name: "D50 another gateway's Via", send: get("Via: 1.1 gatehouse-000000000000"), check: func(t *testing.T, r *testkit.Request) {
			if v := r.Values("Via"); len(v) != 2 || v[1] != via {
				t.Errorf("Via is %q", v)
			}
		}},
	})
}
