package operator

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

func TestAccessLogHasTheFactsOfARequest(t *testing.T) {
	g := start(t, "json", "")
	before := time.Now()
	c := testkit.Dial(t, g.web)
	request := "GET /a/../facts?x=1&y=%20 HTTP/1.1\r\nHost: WEB.test\r\nUser-Agent: curl/8 \"quoted\"\r\nReferer: http://from.test/\r\n\r\n"
	c.Send(request)
	r := c.ReadResponse("GET")
	e := g.logged(t, "/a/../facts?x=1&y=%20")
	client, port, _ := strings.Cut(c.LocalAddr().String(), ":")
	want := entry{
		"listenerName": "web", "ruleName": "web", "backendPoolName": "app", "backendSettingName": "plain",
		"clientIP": client, "httpMethod": "GET", "requestUri": "/facts", "requestQuery": "x=1&y=%20", "httpVersion": "HTTP/1.1",
		"originalHost": "WEB.test", "host": "inner.test", "userAgent": `curl/8 "quoted"`, "referer": "http://from.test/",
		"httpStatus": 200.0, "contentType": "text/plain", "sslEnabled": "off",
		"serverRouted": g.main.Addr, "serverStatus": 200.0, "reused": false, "retries": 0.0, "termination": "--", "error_info": "ERRORINFO_NO_ERROR",
		"receivedBytes": float64(len(request)), "sentBytes": float64(len(r.Head) + len(r.Content)),
		"serverSentBytes": float64(len(g.received(t, "/facts?x=1&y=%20").Head)), "serverReceivedBytes": float64(len("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")),
	}
	for k, v := range want {
		if e[k] != v {
			t.Errorf("%s is %v, want %v", k, e[k], v)
		}
	}
	if got := fmt.Sprint(e.number("clientPort")); got != port {
		t.Errorf("clientPort %s, want %s", got, port)
	}
	if id := g.received(t, "/facts?x=1&y=%20").Get("X-AppGW-Trace-Id"); e["transactionId"] != id || len(id) != 32 {
		t.Errorf("transactionId %v, the backend was told %s", e["transactionId"], id)
	}
	stamp, err := time.Parse(time.RFC3339Nano, e["timeStamp"].(string))
	if err != nil || stamp.Before(before.Add(-time.Second)) || stamp.After(time.Now().Add(time.Second)) {
		t.Errorf("timeStamp %v: %v", e["timeStamp"], err)
	}
	for _, unwanted := range []string{"reason", "pathRuleName", "peerIP", "sslCipher"} {
		if v, ok := e[unwanted]; ok {
			t.Errorf("%s is %v where it does not apply", unwanted, v)
		}
	}
}

func TestAccessLogHasTheFactsOfTLSAndOfAReusedConnection(t *testing.T) {
	g := start(t, "json", "")
	c := testkit.DialTLS(t, g.tls, g.ca.ClientConfig("secure.test"))
	for _, target := range []string{"/first", "/second"} {
		c.Send("POST " + target + " HTTP/1.1\r\nHost: secure.test\r\nContent-Length: 5\r\n\r\n12345")
		c.ReadResponse("POST")
	}
	first, second := g.logged(t, "/first"), g.logged(t, "/second")
	for k, v := range map[string]any{"listenerName": "secure", "sslEnabled": "on", "sslProtocol": "TLSv1.3", "sslServerName": "secure.test", "httpMethod": "POST"} {
		if first[k] != v {
			t.Errorf("%s is %v, want %v", k, first[k], v)
		}
	}
	if s, _ := first["sslCipher"].(string); !strings.HasPrefix(s, "TLS_") {
		t.Errorf("sslCipher %q", s)
	}
	if first.timer("Th") <= 0 || second.timer("Th") != 0 {
		t.Errorf("the handshake belongs to the first request: Th %v and %v", first.timer("Th"), second.timer("Th"))
	}
	if first["reused"] != false || second["reused"] != true || first.timer("Tc") <= 0 || second.timer("Tc") != 0 {
		t.Errorf("reused %v %v, Tc %v %v", first["reused"], second["reused"], first.timer("Tc"), second.timer("Tc"))
	}
}

func TestTimersSayWhereTheTimeWent(t *testing.T) {
	g := start(t, "json", "")
	g.change(t, "headTimeout: 3s", "headTimeout: 1m")
	c := testkit.Dial(t, g.web)
	time.Sleep(time.Second)
	c.Send("POST /slowly HTTP/1.1\r\nHost: web.test\r\n")
	time.Sleep(time.Second)
	c.Send("Content-Length: 5\r\n\r\n")
	time.Sleep(time.Second)
	c.Send("12345")
	c.ReadResponse("POST")
	time.Sleep(time.Second)
	c.Send("GET /again HTTP/1.1\r\nHost: web.test\r\n\r\n")
	c.ReadResponse("GET")

	e := g.logged(t, "/slowly")
	// What begins late on a busy machine is shorter than it was meant to be: hence a second for each, and little that is wanted.
	for name, least := range map[string]float64{"Ti": 0.03, "TR": 0.06, "Tw": 0.06, "Tr": 0.15, "Td": 0.1, "Ta": 1.2, "Tc": 0.000001} {
		if got := e.timer(name); got < least {
			t.Errorf("%s is %v, want %v at least", name, got, least)
		}
	}
	if got := g.logged(t, "/again").timer("Ti"); got < 0.03 {
		t.Errorf("idle before the second request: Ti is %v", got)
	}
	for _, target := range []string{"/slowly", "/again"} {
		e := g.logged(t, target)
		sum := e.timer("TR") + e.timer("Tw") + e.timer("Tc") + e.timer("Tr") + e.timer("Td")
		// Each is cut to microseconds.
		if math.Abs(sum-e.timer("Ta")) > 0.00001 {
			t.Errorf("%s: TR+Tw+Tc+Tr+Td is %f, Ta is %f: %v", target, sum, e.timer("Ta"), e["timers"])
		}
		if e.number("timeTaken") != e.timer("Ta") {
			t.Errorf("%s: timeTaken %v, Ta %v", target, e["timeTaken"], e.timer("Ta"))
		}
		header, latency := e.number("serverHeaderTime"), e.number("serverResponseLatency")
		if math.Abs(header-e.timer("Tc")-e.timer("Tr")) > 0.00001 || math.Abs(latency-header-e.timer("Td")) > 0.00001 || e.number("serverConnectTime") != e.timer("Tc") {
			t.Errorf("%s: connect %v, header %v, latency %v, timers %v", target, e["serverConnectTime"], header, latency, e["timers"])
		}
	}
}

// fate is how a request ends, and what is logged of it.
type fate struct {
	name string
	do   func(t *testing.T, g *gateway, target string)
	want entry
}

// exchange sends a request of this form; %s is the target.
func exchange(form string, status int) func(*testing.T, *gateway, string) {
	return func(t *testing.T, g *gateway, target string) {
		r := testkit.Exchange(t, g.web, fmt.Sprintf(form, target))
		if r.StatusCode != status {
			t.Errorf("status %d, want %d", r.StatusCode, status)
		}
	}
}

// cutShort reads what comes until the gateway cuts the response.
func cutShort(t *testing.T, g *gateway, target string) {
	c := testkit.Dial(t, g.web)
	c.Send("GET " + target + " HTTP/1.1\r\nHost: web.test\r\n\r\n")
	if _, err := c.TryReadResponse("GET", soon); err == nil {
		t.Error("a response that the backend did not finish looks finished")
	}
}

// leaveWaiting goes before the response.
func leaveWaiting(t *testing.T, g *gateway, target string) {
	c := testkit.Dial(t, g.web)
	c.Send("GET " + target + " HTTP/1.1\r\nHost: web.test\r\n\r\n")
	testkit.Eventually(t, soon, "the request at the backend", func() bool {
		return slices.ContainsFunc(g.main.Requests(), func(r *testkit.Request) bool { return r.Target == target })
	})
	c.Conn.Close()
}

// leaveReading goes in the middle of the response.
func leaveReading(t *testing.T, g *gateway, target string) {
	c := testkit.Dial(t, g.web)
	c.Send("GET " + target + " HTTP/1.1\r\nHost: web.test\r\n\r\n")
	c.ReadN(10000)
	c.Reset()
}

// dawdle sends half a head.
func dawdle(t *testing.T, g *gateway, target string) {
	c := testkit.Dial(t, g.web)
	c.Send("GET " + target + " HTTP/1.1\r\nHost: web.test\r\nUser-Agent: slow")
	if r := c.ReadResponse("GET"); r.StatusCode != 408 {
		t.Errorf("status %d, want 408", r.StatusCode)
	}
}

func fates() []fate {
	get := func(host string) string { return "GET %s HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n" }
	const none = "ERRORINFO_NO_ERROR"
	return []fate{
		{"complete", exchange(get("web.test"), 200), entry{"termination": "--", "httpStatus": 200.0, "serverStatus": 200.0, "error_info": none}},
		{"missing at the backend", exchange(get("web.test"), 404), entry{"termination": "--", "httpStatus": 404.0, "serverStatus": 404.0, "error_info": none}},
		{"broken backend", exchange(get("web.test"), 503), entry{"termination": "--", "httpStatus": 503.0, "serverStatus": 503.0, "error_info": none}},
		{"no listener", exchange(get("unknown.test"), 404), entry{"termination": "PR", "httpStatus": 404.0, "listenerName": "", "reason": "no listener takes this host", "error_info": "ERRORINFO_INVALID_HOST"}},
		{"redirect", exchange(get("away.test"), 301), entry{"termination": "P-", "httpStatus": 301.0, "listenerName": "away", "ruleName": "away", "backendPoolName": "", "error_info": none}},
		{"denied", exchange(get("denied.test"), 403), entry{"termination": "PR", "httpStatus": 403.0, "listenerName": "denied", "reason": "access rule strangers"}},
		{"no member", exchange(get("nobody.test"), 502), entry{"termination": "PQ", "httpStatus": 502.0, "backendPoolName": "app", "backendSettingName": "waiting", "error_info": "ERRORINFO_UPSTREAM_NO_LIVE"}},
		{"connect refused", exchange(get("refused.test"), 502), entry{"termination": "SC", "httpStatus": 502.0, "serverStatus": 0.0, "reason": "connect: connection refused", "error_info": "ERRORINFO_UPSTREAM_NO_LIVE"}},
		{"retried", exchange(get("web.test"), 200), entry{"termination": "--", "httpStatus": 200.0, "retries": 1.0, "pathRuleName": "/retry/*"}},
		{"backend closed", exchange("POST %s HTTP/1.1\r\nHost: web.test\r\nContent-Length: 1\r\n\r\nx", 502), entry{"termination": "SH", "httpStatus": 502.0, "serverStatus": 0.0, "error_info": "ERRORINFO_UPSTREAM_CLOSED_CONNECTION"}},
		{"backend sent rubbish", exchange(get("web.test"), 502), entry{"termination": "SH", "httpStatus": 502.0}},
		{"backend timed out", exchange(get("slow.test"), 504), entry{"termination": "SH", "httpStatus": 504.0, "serverStatus": 0.0, "reason": "no response in 300ms", "error_info": "ERRORINFO_UPSTREAM_TIMED_OUT"}},
		{"backend died in its body", cutShort, entry{"termination": "SD", "httpStatus": 200.0, "serverStatus": 200.0, "error_info": "ERRORINFO_UPSTREAM_CLOSED_CONNECTION"}},
		{"client left waiting", leaveWaiting, entry{"termination": "CH", "httpStatus": 499.0, "serverStatus": 0.0, "sentBytes": 0.0, "reason": "client left", "error_info": "ERRORINFO_CLIENT_CLOSED_REQUEST"}},
		{"client left reading", leaveReading, entry{"termination": "CD", "httpStatus": 200.0, "serverStatus": 200.0, "error_info": "ERRORINFO_CLIENT_CLOSED_REQUEST"}},
		{"bad field", exchange("GET %s HTTP/1.1\r\nHost: web.test\r\nBad Name: 1\r\n\r\n", 400), entry{"termination": "PR", "httpStatus": 400.0, "error_info": "ERRORINFO_INVALID_HEADER"}},
		{"slow head", dawdle, entry{"termination": "CR", "httpStatus": 408.0}},
	}
}

// pathOf makes the backend do its part of a fate.
func pathOf(name string) string {
	paths := map[string]string{
		"missing at the backend": "/missing/", "broken backend": "/broken/", "retried": "/retry/", "backend closed": "/close/",
		"backend sent rubbish": "/rubbish/", "backend timed out": "/stall/", "backend died in its body": "/cut/",
		"client left waiting": "/stall/", "client left reading": "/endless/",
	}
	path := paths[name]
	if path == "" {
		path = "/"
	}
	return path + strings.ReplaceAll(name, " ", "-")
}

func TestTerminationSaysWhoEndedARequestAndWhen(t *testing.T) {
	g := start(t, "json", "")
	testkit.Eventually(t, soon, "a failed probe", func() bool { return g.get(t, "nobody.test", "/warm-up").StatusCode == 502 })
	for _, f := range fates() {
		t.Run(f.name, func(t *testing.T) {
			target := pathOf(f.name)
			f.do(t, g, target)
			if f.name == "bad field" || f.name == "slow head" {
				target = "" // nothing of a request that was not read is believed
			}
			e := g.find(t, target, f.want["termination"].(string))
			for k, v := range f.want {
				if e[k] != v {
					t.Errorf("%s is %v, want %v", k, e[k], v)
				}
			}
			if code := f.want["termination"]; code != "--" && code != "P-" && e["reason"] == nil {
				t.Error("no reason is given")
			}
		})
	}
}

// find is logged for requests that may have no target.
func (g *gateway) find(t *testing.T, target, termination string) entry {
	t.Helper()
	if target != "" {
		return g.logged(t, target)
	}
	var found entry
	testkit.Eventually(t, soon, "a log line that ended "+termination, func() bool {
		for _, e := range g.entries(t) {
			if e["termination"] == termination && (e["httpStatus"] == 400.0 || e["httpStatus"] == 408.0) {
				found = e
			}
		}
		return found != nil
	})
	return found
}

func TestCombinedFormat(t *testing.T) {
	g := start(t, "combined", "")
	r := g.get(t, "web.test", "/x?y=%22", "User-Agent: a \"b\" \\", "Referer: http://from.test/")
	g.get(t, "away.test", "/")
	testkit.Eventually(t, soon, "two lines", func() bool { return len(g.lines(t)) == 2 })
	shape := regexp.MustCompile(`^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET [^ ]+ HTTP/1\.1" \d{3} \d+ "[^"]*" ".*"$`)
	want := fmt.Sprintf(`"GET /x?y=%%22 HTTP/1.1" 200 %d "http://from.test/" "a \"b\" \\"`, len(r.Head)+len(r.Content))
	found := false
	for _, line := range g.lines(t) {
		if !shape.MatchString(line) {
			t.Errorf("not in the combined format: %s", line)
		}
		found = found || strings.HasSuffix(line, want)
	}
	if !found {
		t.Errorf("no line ends in %s:\n%s", want, strings.Join(g.lines(t), "\n"))
	}
}

func TestAccessLogOff(t *testing.T) {
	g := start(t, "off", "")
	for range 3 {
		g.get(t, "web.test", "/")
	}
	g.Stop(soon)
	if lines := g.lines(t); len(lines) > 0 {
		t.Errorf("logged all the same: %v", lines)
	}
	if strings.Contains(g.Output(), "originalHost") {
		t.Error("logged elsewhere")
	}
}

func TestAccessLogIsReopenedAndCompleteAtTheEnd(t *testing.T) {
	g := start(t, "json", "")
	g.get(t, "web.test", "/one")
	g.logged(t, "/one")
	path := filepath.Join(g.dir, "access.log")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	g.Signal(syscall.SIGUSR1)
	g.WaitLine("log files reopened", soon)
	for i := range 100 {
		g.get(t, "web.test", fmt.Sprintf("/%d", i))
	}
	if code := g.Stop(soon); code != 0 {
		t.Errorf("stopped with status %d", code)
	}
	if n := len(g.lines(t)); n != 100 {
		t.Errorf("%d of 100 lines were written before the end", n)
	}
}

// The process's own log is for people: one JSON object per line, and times that can be read.
func TestProcessLog(t *testing.T) {
	g := start(t, "json", "")
	applied := g.WaitLine("configuration applied", soon)
	if !regexp.MustCompile(`"trigger":"start".*"took":"[0-9.]+(µs|ms|s)"`).MatchString(applied) {
		t.Errorf("no readable duration: %s", applied)
	}
	good := g.read(t)
	g.write(t, strings.Replace(good, "requestTimeout: 300ms", "requestTimeout: soon", 1))
	g.Signal(syscall.SIGHUP)
	refused := g.WaitLine("configuration refused", soon)
	if !strings.Contains(refused, `"level":"ERROR"`) || !strings.Contains(refused, "appgw.yaml:25: backendSettings[1].requestTimeout: ") {
		t.Errorf("the refusal does not say what and where: %s", refused)
	}
	g.Stop(soon)
	g.WaitLine(`"msg":"draining"`, soon)
	for line := range strings.Lines(g.Output()) {
		if !strings.HasPrefix(line, `{"time":"`) || !strings.HasSuffix(line, "}\n") {
			t.Errorf("not a JSON object: %q", line)
		}
	}
}
