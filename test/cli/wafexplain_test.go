package cli

import (
	"strings"
	"testing"
)

// guarded is a site with bot rules and small bodies.
const guarded = `listeners: [{name: web, address: "127.0.0.1:8080"}]
backendPools: [{name: app, targets: [10.0.0.4]}]
backendSettings: [{name: plain}]
rules: [{name: web, listener: web, backendPool: app, backendSettings: plain}]
wafPolicy: shop
wafPolicies:
  - name: shop
    requestBody: {maxSize: 16KiB, inspectLimit: 8KiB, fileLimit: 32KiB}
    botRules: {enabled: true, unknownBots: block}
`

// What the policy refuses before it asks its rules is explained, too.
func TestWAFExplainAppliesLimitsAndBotRules(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "appgw.yaml", guarded)
	browser := []string{"--header", "User-Agent: Mozilla/5.0", "--header", "Accept: */*"}
	as := func(agent string) []string {
		return []string{"--header", "User-Agent: " + agent, "--header", "Accept: */*"}
	}
	upload := []string{"--header", "Content-Type: multipart/form-data; boundary=x"}
	body := func(n int) []string { return []string{"--data", strings.Repeat("a", n)} }
	for _, w := range []struct {
		name string
		args [][]string
		want []string
	}{
		{"a page", [][]string{browser}, []string{"verdict  pass: no rule matches"}},
		{"a body that is too large", [][]string{browser, body(16385)}, []string{"verdict  block: refused: body of 16385 bytes is larger than 16384"}},
		{"a file that is too large", [][]string{browser, upload, body(32769)}, []string{"verdict  block: refused: body of 32769 bytes is larger than 32768", "up to 8192 bytes"}},
		{"a scanner", [][]string{as("Nikto/2.1.6")}, []string{"verdict  block: bot Bot100300: ", "bot rule Bot100300 (badBots, nikto): block"}},
		{"a tool", [][]string{as("curl/8.5.0")}, []string{"verdict  block: bot Bot300300", "bot rule Bot300300 (unknownBots, curl): block"}},
		{"a crawler", [][]string{as("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")},
			[]string{"verdict  unverified: bot Bot300700 (Googlebot) is not verified here", "goodBots (allow) if the name is its operator's"}},
	} {
		t.Run(w.name, func(t *testing.T) {
			args := []string{"waf", "explain", "-c", "appgw.yaml", "--url", "http://shop.test/"}
			for _, more := range w.args {
				args = append(args, more...)
			}
			appgwIn(t, dir, args...).expect(t, 0, w.want...)
		})
	}
}

// A request in a file is what a client would have sent: in chunks, and no
// longer than it says. What the second opinion says is printed.
func TestWAFExplainReadsARequestAsItIsSent(t *testing.T) {
	dir := t.TempDir()
	const head = "POST /a%2fb HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\nContent-Type: application/json\r\n"
	for _, w := range []struct{ name, request, want string }{
		{"chunks", head + "Transfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n0\r\n\r\n", "verdict  pass: no rule matches"},
		{"longer than it says", head + "Content-Length: 7\r\n\r\n{\"a\":1}<script>alert(1)</script>", "verdict  pass: no rule matches"},
		{"an attack", head + "Content-Length: 37\r\n\r\n{\"a\":\"<script>alert(1)</script> etc.\"}", "verdict  block"},
		{"a doubt", head + "Content-Length: 52\r\n\r\n{\"option\":\"Drop both; select snakes\",\"n\":\"Jo O'Hara\"}", "  doubt   in a phrase, without a break-out: it does not count"},
	} {
		t.Run(w.name, func(t *testing.T) {
			write(t, dir, "request", w.request)
			appgwIn(t, dir, "waf", "explain", "--request", "request").expect(t, 0, w.want)
		})
	}
}

// twoDoors has listeners that read a path differently.
const twoDoors = `listeners:
  - {name: strict, address: "127.0.0.1:8080"}
  - {name: loose, address: "127.0.0.1:8081", hostNames: [loose.test], encodedSlash: keep, duplicateSlashes: keep}
backendPools: [{name: app, targets: [10.0.0.4]}]
backendSettings: [{name: plain}]
wafPolicies:
  - {name: shop}
`

// The path is what the listener of the request makes of it.
func TestWAFExplainReadsThePathAsTheListenerDoes(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "appgw.yaml", twoDoors)
	const raw = "GET /a%2fb HTTP/1.1\r\nHost: loose.test:8081\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\r\n"
	write(t, dir, "loose", raw)
	write(t, dir, "strict", strings.Replace(raw, "8081", "8080", 1))
	write(t, dir, "lost", strings.Replace(raw, ":8081", "", 1))
	const defaults = "the path is read with encodedSlash: reject and duplicateSlashes: merge, the defaults: "
	tests := []struct {
		name      string
		args      []string
		code      int
		want, not string
	}{
		{"kept", []string{"--url", "http://loose.test:8081/a%2fb"}, 0, "verdict  pass", "note"},
		{"slashes kept", []string{"--url", "http://loose.test:8081/a//<script>alert(1)"}, 0, "matched REQUEST_FILENAME: /a//<script>", "note"},
		{"slashes merged", []string{"--url", "http://loose.test:8080/a//<script>alert(1)"}, 0, "matched REQUEST_FILENAME: /a/<script>", "note"},
		{"refused", []string{"--url", "http://loose.test:8080/a%2fb"}, 1, "the gateway itself refuses the path: listener strict: encoded slash in path", "default"},
		{"kept, in a file", []string{"--request", "loose"}, 0, "verdict  pass", "note"},
		{"refused, in a file", []string{"--request", "strict"}, 1, "listener strict: encoded slash in path", "default"},
		{"no port and two listeners", []string{"--url", "http://loose.test/a%2fb"}, 1, "encoded slash in path; " + defaults + "no port is named, and no http listener has 80; name one of theirs: 8080, 8081", ""},
		{"no port, in a file", []string{"--request", "lost"}, 1, defaults + "no port is named, and no http or https listener has 80 or 443; name one of theirs: 8080, 8081", ""},
		{"a host that nobody takes", []string{"--url", "http://other.test:8081/a//b"}, 0, "note: " + defaults + "no listener takes the host other.test", ""},
		{"where it does not matter", []string{"--url", "http://loose.test/a/b"}, 0, "verdict  pass", "note"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := appgwIn(t, dir, append([]string{"waf", "explain", "-c", "appgw.yaml", "--policy", "shop"}, tt.args...)...)
			r.expect(t, tt.code, tt.want)
			if tt.not != "" && strings.Contains(r.stderr, tt.not) {
				t.Errorf("%q is said:\n%s", tt.not, r.stderr)
			}
		})
	}
	appgwIn(t, dir, "waf", "explain", "--url", "http://loose.test/a%2fb").expect(t, 0, "verdict  pass") // as behind appgw proxy
}
