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
