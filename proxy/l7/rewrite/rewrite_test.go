package rewrite

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/testkit"
	"gatehouse/proxy/http1"
)

// compile makes a set of its rules in YAML.
func compile(t testing.TB, rules string) *Set {
	t.Helper()
	g, _, err := config.ParseGateway("f", []byte(`
listeners: [{name: web, address: 8080}]
backendPools: [{name: app, targets: [127.0.0.1]}]
backendSettings: [{name: plain}]
rules: [{name: web, listener: web, backendPool: app, backendSettings: plain}]
rewriteSets:
  - name: set
    rules:
`+rules))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Compile(&g.RewriteSets[0])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var parserLimits = http1.Limits{HeadBytes: 64 << 10, Fields: 1000, URLBytes: 32 << 10}

// ask parses a request head.
func ask(t testing.TB, lines ...string) *httpmsg.Request {
	t.Helper()
	q := &httpmsg.Request{}
	if err := http1.ParseRequest([]byte(strings.Join(lines, "\r\n")+"\r\n\r\n"), q, &parserLimits); err != nil {
		t.Fatal(err)
	}
	if q.Form == httpmsg.AsteriskForm {
		q.Path = q.KeepString("*") // as the gateway has it
		return q
	}
	path, same, err := httpmsg.CanonicalPath(nil, q.Bytes(q.RawPath), httpmsg.PathOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if q.Path = q.RawPath; !same {
		q.Path = q.Keep(path)
	}
	return q
}

// answer parses a response head.
func answer(t testing.TB, lines ...string) *httpmsg.Response {
	t.Helper()
	r := &httpmsg.Response{}
	if err := http1.ParseResponse([]byte(strings.Join(lines, "\r\n")+"\r\n\r\n"), r, httpmsg.GET, &parserLimits); err != nil {
		t.Fatal(err)
	}
	return r
}

var facts = Facts{Client: netip.MustParseAddrPort("203.0.113.9:4711"), Peer: netip.MustParseAddrPort("10.0.0.1:80"), Secure: true,
	TLSVersion: 0x0304, Cipher: 0x1301, Port: 8443, Proto: "HTTP/1.1", Received: 77}

// rewritten rewrites a request and shows what it became: target, fields.
func rewritten(t testing.TB, s *Set, q *httpmsg.Request, f Facts) (target, fields string, err error) {
	t.Helper()
	var x Exchange
	x.Begin(q, f, Limits{Fields: 4 << 10, URL: 1 << 10})
	if err := x.Request(s); err != nil {
		return "", "", err
	}
	if x.ChangesTarget() {
		x.Apply(true)
	}
	x.Apply(false)
	path, query, has := x.path, q.Query, q.HasQuery
	if x.SetPath {
		path = x.Path
	}
	if x.SetQuery {
		query, has = x.Query, x.HasQuery
	}
	target = string(q.Bytes(path))
	if has {
		target += "?" + string(q.Bytes(query))
	}
	return target, string(q.AppendLines(nil)), nil
}

func TestRequests(t *testing.T) {
	for _, w := range []struct {
		name, rules string
		ask         []string
		target      string // empty: as it was
		fields      string // behind Host
	}{
		{"interface.md's", `      - {name: a, conditions: [{variable: var_uri_path, pattern: "^/images/(.*)$", ignoreCase: true}], actions: {url: {path: "/{var_uri_path_1}"}, requestHeaders: {X-Client: "{var_client_ip}"}}}`,
			[]string{"GET /Images/a/b.png?v=1 HTTP/1.1", "Host: a"}, "/a/b.png?v=1", "X-Client: 203.0.113.9\r\n"},
		{"not matching", `      - {name: a, conditions: [{variable: var_uri_path, pattern: "^/images/(.*)$"}], actions: {url: {path: "/{var_uri_path_1}"}}}`,
			[]string{"GET /Images/a HTTP/1.1", "Host: a"}, "", ""},
		{"by query and back, as in Azure's listing", `      - {name: a, conditions: [{variable: var_query_string, pattern: "category=(.*)&article=(.*)"}], actions: {url: {path: "/{var_query_string_1}/{var_query_string_2}", query: ""}}}`,
			[]string{"GET /listing?category=shoes&article=7%2e HTTP/1.1", "Host: a"}, "/shoes/7%2e", ""},
		{"path into query", `      - {name: a, conditions: [{variable: var_uri_path, pattern: "^/([^/]+)/([^/]+)$"}], actions: {url: {path: /buy.aspx, query: "category={var_uri_path_1}&product={var_uri_path_2}"}}}`,
			[]string{"GET /fashion/shirts?x HTTP/1.1", "Host: a"}, "/buy.aspx?category=fashion&product=shirts", ""},
		{"all conditions must hold", `      - {name: a, conditions: [{variable: http_req_A, pattern: "1"}, {variable: http_req_b, pattern: "2", negate: true}], actions: {requestHeaders: {X: y}}}
      - {name: b, conditions: [{variable: http_req_A, pattern: "1"}, {variable: http_req_b, pattern: "2"}], actions: {requestHeaders: {Z: y}}}`,
			[]string{"GET / HTTP/1.1", "Host: a", "a: 1", "B: 3"}, "", "a: 1\r\nB: 3\r\nX: y\r\n"},
		{"in order of sequence, seeing what came before", `      - {name: a, sequence: 3, conditions: [{variable: http_req_x, pattern: "^1, 2$"}], actions: {requestHeaders: {Seen: "{http_req_X}"}}}
      - {name: b, sequence: 1, actions: {requestHeaders: {X: "1"}}}
      - {name: c, sequence: 2, actions: {requestHeaders: {X: {value: "2", append: true}}}}`,
			[]string{"GET / HTTP/1.1", "Host: a", "X: 0", "x: 00"}, "", "X: 1\r\nX: 2\r\nSeen: 1, 2\r\n"},
		{"delete, set, append", `      - {name: a, actions: {requestHeaders: {A: "", B: new, C: {value: more, append: true}, D: "{http_req_None}"}}}`,
			[]string{"GET / HTTP/1.1", "Host: a", "a: 1", "A: 2", "b: 1", "C: 1", "d: 1", "B: 2"}, "", "b: new\r\nC: 1\r\nC: more\r\n"},
		{"lines are one text", `      - {name: a, conditions: [{variable: http_req_A, pattern: "^1, 2$"}], actions: {requestHeaders: {B: "{http_req_A}", C: "{http_req_Cookie}", A: ""}}}`,
			[]string{"GET / HTTP/1.1", "Host: a", "A: 1", "Cookie: x=1", "a: 2", "cookie: y=2"}, "", "Cookie: x=1\r\ncookie: y=2\r\nB: 1, 2\r\nC: x=1; y=2\r\n"},
		{"variables are put in once", `      - {name: a, conditions: [{variable: http_req_A, pattern: "(.*)"}], actions: {url: {query: "q={http_req_A_1}"}, requestHeaders: {B: "{http_req_A_1}", A: ""}}}`,
			[]string{"GET / HTTP/1.1", "Host: a", "A: {var_client_ip}{http_req_Host}"}, "/?q=%7Bvar_client_ip%7D%7Bhttp_req_Host%7D", "B: {var_client_ip}{http_req_Host}\r\n"},
		{"server variables", `      - {name: a, actions: {requestHeaders: {A: "{var_client_ip} {var_client_port} {var_host} {var_http_method} {var_http_version} {var_query_string} {var_request_query} {var_received_bytes} {var_request_scheme} {var_request_uri} {var_server_port} {var_ssl_connection_protocol} {var_ssl_enabled} {var_ciphers_used} {var_uri_path} {var_cookie_b} {var_add_x_forwarded_for_proxy}"}}}`,
			[]string{"PUT http://A.test:81/a/./b?c=%20d HTTP/1.1", "Host: A.test:81", "Cookie: a=1; b=2"}, "",
			"Cookie: a=1; b=2\r\nA: 203.0.113.9 4711 a.test PUT HTTP/1.1 c=%20d c=%20d 77 https /a/./b?c=%20d 8443 TLSv1.3 On TLS_AES_128_GCM_SHA256 /a/b 2 10.0.0.1\r\n"},
		{"user of basic authentication", `      - {name: a, actions: {requestHeaders: {A: "{var_client_user}", Authorization: ""}}}`,
			[]string{"GET / HTTP/1.1", "Host: a", "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}, "", "A: Aladdin\r\n"},
		{"a user with a line break is none", `      - {name: a, actions: {requestHeaders: {A: "<{var_client_user}>", Authorization: ""}}}`,
			[]string{"GET / HTTP/1.1", "Host: a", "Authorization: Basic YQ0KWDogYjpj"}, "", "A: <>\r\n"},
		{"encoded line breaks stay encoded", `      - {name: a, conditions: [{variable: var_request_uri, pattern: "^/(.*)$"}, {variable: var_query_string, pattern: "q=(.*)"}], actions: {url: {query: "{var_query_string_1}"}, requestHeaders: {A: "{var_request_uri_1} {var_query_string_1}"}}}`,
			[]string{"GET /a?q=%0d%0aX:%20b HTTP/1.1", "Host: a"}, "/a?%0d%0aX:%20b", "A: a?q=%0d%0aX:%20b %0d%0aX:%20b\r\n"},
		{"what is no URL is encoded", `      - {name: a, conditions: [{variable: http_req_A, pattern: "(.*)"}], actions: {url: {path: "/p/{http_req_A_1}/{var_cookie_c}", query: "q={http_req_A_1}"}}}`,
			[]string{"GET / HTTP/1.1", "Host: a", "A: x/../y z?&q=%2f#\xe4", "Cookie: c=a%00b"}, "/p/x/../y%20z%3F&q=%252f%23%E4/a%2500b?q=x/../y%20z%3F%26q%3D%252f%23%E4", "A: x/../y z?&q=%2f#\xe4\r\nCookie: c=a%00b\r\n"},
		{"an escape cut in two makes no other", `      - {name: a, conditions: [{variable: var_uri_path, pattern: "^/(%2)(.)(.*)"}], actions: {url: {path: "/{var_uri_path_1}E/{var_uri_path_3}"}}}`,
			[]string{"GET /%20x HTTP/1.1", "Host: a"}, "/%252E/x", ""},
		{"groups that take no part", `      - {name: a, conditions: [{variable: var_uri_path, pattern: "^/(a)?(b)?"}], actions: {requestHeaders: {A: "<{var_uri_path_1}{var_uri_path_2}>"}}}`,
			[]string{"GET /b HTTP/1.1", "Host: a"}, "", "A: <b>\r\n"},
		{"the path as it is", `      - {name: a, actions: {url: {path: "{var_uri_path}"}}}`, []string{"GET /a%7cb|/..//c;d%20 HTTP/1.1", "Host: a"}, "", ""},
		{"a request for no path", `      - {name: a, actions: {url: {path: /b, query: c}, requestHeaders: {A: "{var_uri_path}"}}}`, []string{"OPTIONS * HTTP/1.1", "Host: a"}, "*", "A: *\r\n"},
		{"what strangers vouch for", `      - {name: a, conditions: [{variable: http_req_X-Forwarded-Proto, pattern: "^https$"}], actions: {requestHeaders: {A: "1"}}}
      - {name: b, actions: {requestHeaders: {B: "<{http_req_X-Real-IP}{http_req_True-Client-IP}{http_req_X-Original-URL}>{var_add_x_forwarded_for_proxy}"}}}`,
			[]string{"GET / HTTP/1.1", "Host: a", "X-Forwarded-Proto: https", "X-Real-IP: 1", "True-Client-IP: 2", "X-Original-URL: 3", "X-Forwarded-For: 4"}, "",
			"X-Forwarded-Proto: https\r\nX-Real-IP: 1\r\nTrue-Client-IP: 2\r\nX-Original-URL: 3\r\nX-Forwarded-For: 4\r\nB: <>10.0.0.1\r\n"},
		{"Host", `      - {name: a, actions: {requestHeaders: {Host: "{var_host}.inner:81"}}}`, []string{"GET / HTTP/1.1", "Host: A"}, "", "Host: a.inner:81\r\n"},
	} {
		t.Run(w.name, func(t *testing.T) {
			q := ask(t, w.ask...)
			want, wantFields := w.target, string(q.AppendLines(nil))
			host, _, _ := strings.Cut(wantFields, "\r\n")
			if wantFields = host + "\r\n" + w.fields; strings.HasPrefix(w.fields, "Host") {
				wantFields = w.fields
			}
			if want == "" {
				want = string(q.Bytes(q.Path))
				if q.HasQuery {
					want += "?" + string(q.Bytes(q.Query))
				}
			}
			target, fields, err := rewritten(t, compile(t, w.rules), q, facts)
			if err != nil || target != want || fields != wantFields {
				t.Errorf("got %v\n%q\n%q\nwant\n%q\n%q", err, target, fields, want, wantFields)
			}
		})
	}
}

func TestTrustedProxiesVouch(t *testing.T) {
	s := compile(t, `      - {name: a, conditions: [{variable: http_req_X-Forwarded-Proto, pattern: "^https$"}], actions: {requestHeaders: {A: "{var_add_x_forwarded_for_proxy}"}}}`)
	f := facts
	f.Trusted = true
	_, fields, err := rewritten(t, s, ask(t, "GET / HTTP/1.1", "Host: a", "X-Forwarded-Proto: https", "X-Forwarded-For: 1.2.3.4"), f)
	if err != nil || !strings.HasSuffix(fields, "\r\nA: 1.2.3.4, 10.0.0.1\r\n") {
		t.Errorf("%v, %q", err, fields)
	}
}

func TestResponses(t *testing.T) {
	for _, w := range []struct {
		name, rules  string
		answer, want []string // fields
	}{
		{"delete and set", `      - {name: a, actions: {responseHeaders: {Server: "", Strict-Transport-Security: max-age=31536000, X-Old: new}}}`,
			[]string{"Server: nginx", "X-Old: 1", "A: b", "x-old: 2"}, []string{"X-Old: new", "A: b", "Strict-Transport-Security: max-age=31536000"}},
		{"append", `      - {name: a, actions: {responseHeaders: {Vary: {value: Cookie, append: true}, Via: {value: "{http_resp_None}", append: true}}}}`,
			[]string{"Vary: Accept"}, []string{"Vary: Accept", "Vary: Cookie"}},
		{"Azure's fix of Location", `      - {name: a, conditions: [{variable: http_resp_Location, pattern: "(https?):\\/\\/.*azurewebsites\\.net(.*)$", ignoreCase: true}], actions: {responseHeaders: {Location: "{http_resp_Location_1}://contoso.com{http_resp_Location_2}"}}}`,
			[]string{"Location: https://app.AzureWebsites.net/path1?x=y"}, []string{"Location: https://contoso.com/path1?x=y"}},
		{"one cookie of several", `      - {name: a, actions: {responseHeaders: {Set-Cookie: {value: "cookie2={capt_header_value_matcher_1};Max-Age=3600", valueMatcher: {pattern: "COOKIE2=(.*)", ignoreCase: true}}}}}`,
			[]string{"Set-Cookie: cookie1=1", "Set-Cookie: cookie2=2", "Set-Cookie: cookie3=3"}, []string{"Set-Cookie: cookie1=1", "Set-Cookie: cookie2=2;Max-Age=3600", "Set-Cookie: cookie3=3"}},
		{"all cookies but some", `      - {name: a, actions: {responseHeaders: {Set-Cookie: {value: "", valueMatcher: {pattern: "^keep=", negate: true}}}}}`,
			[]string{"Set-Cookie: a=1", "set-cookie: keep=2", "Set-Cookie: c=3"}, []string{"set-cookie: keep=2"}},
		{"a condition on cookies", `      - {name: a, conditions: [{variable: http_resp_Set-Cookie, pattern: "^b=(.)"}], actions: {responseHeaders: {X: "{http_resp_Set-Cookie_1}{http_resp_Set-Cookie}"}}}`,
			[]string{"Set-Cookie: a=1", "Set-Cookie: b=2"}, []string{"Set-Cookie: a=1", "Set-Cookie: b=2", "X: 2a=1"}},
		{"by status", `      - {name: a, conditions: [{variable: var_http_status, pattern: "^4"}], actions: {responseHeaders: {X: "{var_http_status}"}}}
      - {name: b, conditions: [{variable: var_http_status, pattern: "^4", negate: true}], actions: {responseHeaders: {Y: "{var_http_status}"}}}`,
			nil, []string{"Y: 200"}},
		{"conditions on both", `      - {name: a, conditions: [{variable: http_req_Origin, pattern: "^https://([a-z]+)[.]example$"}, {variable: http_resp_A, pattern: "(b)"}], actions: {responseHeaders: {Access-Control-Allow-Origin: "{http_req_Origin}", X: "{http_req_origin_1}{http_resp_a_1}"}}}`,
			[]string{"A: b"}, []string{"A: b", "Access-Control-Allow-Origin: https://shop.example", "X: shopb"}},
		{"a rule for both has the request's conditions", `      - {name: a, conditions: [{variable: http_req_Kind, pattern: "^old$"}], actions: {requestHeaders: {Kind: new}, responseHeaders: {X: was-old}}}`,
			nil, []string{"X: was-old"}},
		{"seeing what came before", `      - {name: a, actions: {responseHeaders: {A: "1"}}}
      - {name: b, conditions: [{variable: http_resp_A, pattern: "1"}], actions: {responseHeaders: {B: "{http_resp_A}"}}}`,
			[]string{"A: 0"}, []string{"A: 1", "B: 1"}},
		{"the way it came by", `      - {name: a, actions: {requestHeaders: {X-Forwarded-For: lost}, responseHeaders: {A: "{var_add_x_forwarded_for_proxy} {var_received_bytes} {var_sent_bytes}"}}}`,
			nil, []string{"A: 10.0.0.1 99 5"}},
	} {
		t.Run(w.name, func(t *testing.T) {
			q := ask(t, "GET /p HTTP/1.1", "Host: a", "Origin: https://shop.example", "Kind: old")
			r := answer(t, append([]string{"HTTP/1.1 200 OK"}, w.answer...)...)
			var x Exchange
			x.Begin(q, facts, Limits{Fields: 4 << 10, URL: 1 << 10})
			if err := x.Request(compile(t, w.rules)); err != nil {
				t.Fatal(err)
			}
			x.Apply(false)
			if err := x.Response(r, 99, 5, 4<<10); err != nil {
				t.Fatal(err)
			}
			want := strings.Join(w.want, "\r\n") + "\r\n"
			if got := string(r.AppendLines(nil)); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	long := strings.Repeat("x", 3<<10)
	for _, w := range []struct {
		name, rules string
		field       string
		want        error
	}{
		{"fields", `      - {name: a, actions: {requestHeaders: {A: "{http_req_A}{http_req_A}"}}}`, "A: " + long, errTooLarge},
		{"fields together", `      - {name: a, actions: {requestHeaders: {A: "{http_req_A}", B: "{http_req_A}"}}}`, "A: " + long, errTooLarge},
		{"path", `      - {name: a, actions: {url: {path: "/{http_req_A}"}}}`, "A: " + long, errURLTooLarge},
		{"query, encoded", `      - {name: a, actions: {url: {query: "{http_req_A}"}}}`, "A: " + strings.Repeat("?", 400), errURLTooLarge},
		{"host", `      - {name: a, actions: {requestHeaders: {Host: "{http_req_A}"}}}`, "A: a/b", errHost},
		{"no host", `      - {name: a, actions: {requestHeaders: {Host: "{http_req_None}"}}}`, "A: b", errHost},
		{"host with a user", `      - {name: a, actions: {requestHeaders: {Host: "{http_req_A}"}}}`, "A: a@b", errHost},
		{"host with a bad port", `      - {name: a, actions: {requestHeaders: {Host: "{http_req_A}"}}}`, "A: a:99999", errHost},
	} {
		t.Run(w.name, func(t *testing.T) {
			if _, _, err := rewritten(t, compile(t, w.rules), ask(t, "GET / HTTP/1.1", "Host: a", w.field), facts); err != w.want {
				t.Errorf("%v, want %v", err, w.want)
			}
		})
	}
	t.Run("response", func(t *testing.T) {
		s := compile(t, `      - {name: a, actions: {responseHeaders: {A: "{http_resp_A}{http_resp_A}"}}}`)
		var x Exchange
		x.Begin(ask(t, "GET / HTTP/1.1", "Host: a"), facts, Limits{Fields: 4 << 10, URL: 1 << 10})
		if err := x.Request(s); err != nil {
			t.Fatal(err)
		}
		if err := x.Response(answer(t, "HTTP/1.1 200 OK", "A: "+long), 0, 0, 4<<10); err != errResponseTooLarge {
			t.Errorf("%v", err)
		}
	})
}

// A pattern that takes other engines for ever takes time in proportion to
// the text.
func TestNoPatternTakesLong(t *testing.T) {
	s := compile(t, `      - {name: a, conditions: [{variable: http_req_A, pattern: "^(a|aa)+(x+x+)+$"}], actions: {requestHeaders: {B: "{http_req_A_1}"}}}`)
	q := ask(t, "GET / HTTP/1.1", "Host: a", "A: "+strings.Repeat("a", 30<<10)+strings.Repeat("x", 20)+"y")
	begun := time.Now()
	if _, _, err := rewritten(t, s, q, facts); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestDotSegments(t *testing.T) {
	for path, want := range map[string]bool{"/": false, "/a/b": false, "/.": true, "/a/..": true, "/../a": true, "/%2e/a": true, "/.%2E": true, "/%2e%2e/": true,
		"/...": false, "/.a": false, "/a.": false, "/%2e%2e%2e": false, "/%2ea": false, "/%2": false, "": false, "//": false} {
		if got := DotSegments([]byte(path)); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}

// One header from a variable costs no allocation once memory is there, and a
// group one, regexp's.
func TestAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	for _, w := range []struct {
		rules string
		most  float64
	}{
		{`      - {name: a, conditions: [{variable: var_uri_path, pattern: "^/b"}], actions: {requestHeaders: {X: y}}}`, 0},
		{`      - {name: a, conditions: [{variable: var_uri_path, pattern: "^/a"}], actions: {requestHeaders: {X: "{var_client_ip}", A: ""}, responseHeaders: {Server: "", B: "{http_req_A}"}}}`, 0},
		{`      - {name: a, conditions: [{variable: var_uri_path, pattern: "^/(a)"}], actions: {url: {path: "/{var_uri_path_1}"}}}`, 2},
	} {
		s := compile(t, w.rules)
		head, back := []byte("GET /abc HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n"), []byte("HTTP/1.1 200 OK\r\nServer: x\r\n\r\n")
		var q httpmsg.Request
		var r httpmsg.Response
		var x Exchange
		if got := testing.AllocsPerRun(1000, func() {
			http1.ParseRequest(head, &q, &parserLimits)
			http1.ParseResponse(back, &r, httpmsg.GET, &parserLimits)
			q.Path = q.RawPath
			x.Begin(&q, facts, Limits{Fields: 4 << 10, URL: 1 << 10})
			if x.Request(s) != nil {
				t.Fatal("refused")
			}
			x.Apply(true)
			x.Apply(false)
			if x.Response(&r, 0, 0, 4<<10) != nil {
				t.Fatal("refused")
			}
			x.End()
		}); got > w.most {
			t.Errorf("%s: %.1f allocations, want at most %.0f", w.rules, got, w.most)
		}
	}
}

// FuzzExchange rewrites any request and response by rules that put what they
// say everywhere. What comes out has the lines that it should have, no more,
// and no byte that begins another.
func FuzzExchange(f *testing.F) {
	f.Add("/a/b?c=d", "value", "a=b; c=d", "http://x/y", "k=v")
	f.Add("/%0d%0a/%2e%2e?%00", "a\tb%0d%0a {var_host}", "%0a", "\xff", "b=\"c\"")
	s := compile(f, `      - name: a
        conditions: [{variable: var_uri_path, pattern: "^/([^/]*)/?(.*)$"}, {variable: var_query_string, pattern: "(.?)(.*)"}, {variable: http_req_A, pattern: "(.?)(.?)(.*)"}]
        actions:
          url: {path: "/{var_uri_path_2}/{var_query_string_1}{http_req_A_2}x{var_cookie_a}{var_client_user}", query: "{http_req_A_3}&{var_query_string_2}{var_uri_path_1}"}
          requestHeaders: {B: "{http_req_A_1}{var_request_uri}{var_query_string_1}", Cookie: "", C: {value: "{var_client_user}{var_cookie_a}x", append: true}}
      - name: b
        conditions: [{variable: http_resp_Location, pattern: "(.?)(.*)"}]
        actions: {responseHeaders: {Location: "{http_resp_Location_2}{var_uri_path}", Set-Cookie: {value: "{capt_header_value_matcher_1}; Secure", valueMatcher: {pattern: "(.*)"}}}}
`)
	f.Fuzz(func(t *testing.T, target, value, cookie, location, setCookie string) {
		var q httpmsg.Request
		var r httpmsg.Response
		head := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: a\r\nA: %s\r\nCookie: %s\r\nAuthorization: Basic %s\r\n\r\n", target, value, cookie, value)
		back := fmt.Sprintf("HTTP/1.1 302 Found\r\nLocation: %s\r\nSet-Cookie: %s\r\n\r\n", location, setCookie)
		if http1.ParseRequest([]byte(head), &q, &parserLimits) != nil || http1.ParseResponse([]byte(back), &r, httpmsg.GET, &parserLimits) != nil {
			return
		}
		path, same, err := httpmsg.CanonicalPath(nil, q.Bytes(q.RawPath), httpmsg.PathOptions{})
		if err != nil || q.Len() != 4 || r.Len() != 2 {
			return
		}
		if q.Path = q.RawPath; !same {
			q.Path = q.Keep(path)
		}
		var x Exchange
		x.Begin(&q, facts, Limits{Fields: 8 << 10, URL: 4 << 10})
		if err := x.Request(s); err != nil {
			refused(t, err)
			return
		}
		x.Apply(true)
		x.Apply(false)
		checkURL(t, &x)
		checkLines(t, q.AppendLines(nil), 5)
		if err := x.Response(&r, 0, 0, 8<<10); err != nil {
			refused(t, err)
			return
		}
		checkLines(t, r.AppendLines(nil), 2)
	})
}

func refused(t *testing.T, err error) {
	t.Helper()
	var why *Refusal
	if !errors.As(err, &why) || why.Status < 400 {
		t.Errorf("refused with %v", err)
	}
}

// checkURL wants a request line to have but one end.
func checkURL(t *testing.T, x *Exchange) {
	t.Helper()
	path, query := x.q.Bytes(x.Path), x.q.Bytes(x.Query)
	if len(path) == 0 || path[0] != '/' || bytes.IndexByte(path, '?') >= 0 || bytes.IndexByte(query, '#') >= 0 {
		t.Errorf("path %q, query %q", path, query)
	}
	for _, c := range append(append([]byte{}, path...), query...) {
		if c <= ' ' || c >= 0x7f {
			t.Errorf("path %q, query %q", path, query)
		}
	}
}

// checkLines wants a message to have at most so many lines, each a field.
func checkLines(t *testing.T, lines []byte, most int) {
	t.Helper()
	if n := bytes.Count(lines, []byte("\n")); n > most || bytes.Count(lines, []byte("\r\n")) != n || bytes.Count(lines, []byte("\r")) != n {
		t.Errorf("%d lines in %q", n, lines)
	}
}
