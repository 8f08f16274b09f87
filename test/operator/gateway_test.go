package operator

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// soon is how long anything may take that should happen at once.
const soon = 20 * time.Second

// gateway is a running appgw with an operator.
type gateway struct {
	*testkit.Process
	dir   string
	admin string // host:port
	web   string
	tls   string
	main  *testkit.Backend
	ca    *testkit.CA
}

// configText has a host for each fate that a request can have.
const configText = `admin: {address: "$ADMIN"}
logs: {access: {output: access.log, format: $FORMAT}}
limits: {headTimeout: 3s, urlBytes: 512}
shutdown: {drain: 1s}
listeners:
  - {name: web, address: "$WEB", hostNames: [web.test, "*.many.test"]}
  - {name: slow, address: "$WEB", hostNames: [slow.test]}
  - {name: refused, address: "$WEB", hostNames: [refused.test]}
  - {name: nobody, address: "$WEB", hostNames: [nobody.test]}
  - {name: away, address: "$WEB", hostNames: [away.test]}
  - name: denied
    address: "$WEB"
    hostNames: [denied.test]
    accessRules: [{name: strangers, priority: 1, action: deny, source: [127.0.0.0/8]}]
  - name: secure
    address: "$TLS"
    protocol: https
    tls: {certificates: [{certFile: $CERT, keyFile: $KEY}]}
backendPools:
  - {name: app, targets: ["$MAIN"]}
  - {name: dead, targets: ["$DEAD"]}
  - {name: half, targets: [{address: "$DEAD", weight: 1000}, "$MAIN"]}
backendSettings:
  - {name: plain, probe: off, hostName: inner.test}
  - {name: hurried, probe: off, requestTimeout: 300ms}
  - {name: stubborn, probe: off, ejection: {connectFailures: 0}, retries: {attempts: 0}}
  - {name: retrying, probe: off, ejection: {connectFailures: 0}}
  - {name: waiting, probe: patient}
probes:
  - {name: patient, path: /unhealthy, startUnhealthy: true, interval: 1s, timeout: 1s}
pathMaps:
  - name: web
    default: {backendPool: app, backendSettings: plain}
    paths:
      - {paths: [/retry/*], backendPool: half, backendSettings: retrying}
redirects:
  - {name: away, type: permanent, target: {url: "https://other.test/"}}
rules:
  - {name: web, listener: web, pathMap: web}
  - {name: slow, listener: slow, backendPool: app, backendSettings: hurried}
  - {name: refused, listener: refused, backendPool: dead, backendSettings: stubborn}
  - {name: nobody, listener: nobody, backendPool: app, backendSettings: waiting}
  - {name: away, listener: away, redirect: away}
  - {name: denied, listener: denied, backendPool: app, backendSettings: plain}
  - {name: secure, listener: secure, backendPool: app, backendSettings: plain}
`

// scripts is what the backend does for each path.
func scripts() testkit.Handler {
	return testkit.ByPath(map[string]testkit.Handler{
		"/":          testkit.Respond(200, "hello", "Content-Type: text/plain"),
		"/missing":   testkit.Respond(404, "no"),
		"/broken":    testkit.Respond(503, "down"),
		"/unhealthy": testkit.Respond(500, "ill"),
		"/stall":     func(c *testkit.Conn, _ *testkit.Request) { c.Stall(0) },
		"/close":     func(c *testkit.Conn, r *testkit.Request) { r.ReadBody(); c.Close() },
		"/cut":       testkit.RawClose("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nten bytes."),
		"/rubbish":   testkit.RawClose("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
		"/slowly":    slowly,
		"/endless": func(c *testkit.Conn, _ *testkit.Request) {
			c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			c.Dribble(strings.Repeat("1000\r\n"+strings.Repeat("x", 4096)+"\r\n", 100000), 4102*4, time.Millisecond)
		},
	})
}

// slowly takes 200 ms until its head and a second until its body.
func slowly(c *testkit.Conn, _ *testkit.Request) {
	time.Sleep(200 * time.Millisecond)
	c.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Type: text/plain\r\n\r\n01234")
	time.Sleep(time.Second)
	c.Send("56789")
}

// start runs a gateway whose access log has this format; more is added to its configuration.
func start(t *testing.T, format, more string) *gateway {
	t.Helper()
	g := &gateway{dir: t.TempDir(), admin: testkit.FreeAddr(t), web: testkit.FreeAddr(t), tls: testkit.FreeAddr(t),
		main: testkit.NewBackend(t, scripts()), ca: testkit.NewCA(t)}
	cert := g.ca.Server("secure.test")
	text := strings.NewReplacer("$ADMIN", g.admin, "$WEB", g.web, "$TLS", g.tls, "$FORMAT", format, "$MAIN", g.main.Addr,
		"$DEAD", testkit.RefusingAddr(t), "$CERT", cert.CertFile, "$KEY", cert.KeyFile).Replace(configText)
	g.write(t, text+more)
	cmd := exec.Command(testkit.Build(t, "./cmd/appgw"), "run")
	cmd.Dir = g.dir
	g.Process = testkit.Start(t, cmd)
	g.WaitLine(`"msg":"ready"`, soon)
	return g
}

func (g *gateway) file() string { return filepath.Join(g.dir, "appgw.yaml") }

func (g *gateway) write(t *testing.T, text string) {
	t.Helper()
	testkit.Replace(t, g.file(), text) // at once: the gateway watches it
}

// change replaces texts of the configuration, and puts it to use.
func (g *gateway) change(t *testing.T, oldnew ...string) {
	t.Helper()
	g.write(t, strings.NewReplacer(oldnew...).Replace(g.read(t)))
	if status, answer := g.ask(t, http.MethodPost, "/reload", nil); status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
}

func (g *gateway) read(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(g.file())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// get is a request to a host on a connection of its own.
func (g *gateway) get(t *testing.T, host, target string, lines ...string) *testkit.Response {
	t.Helper()
	return testkit.Get(t, g.web, host, target, lines...)
}

// received is the request for a target as the backend got it.
func (g *gateway) received(t *testing.T, target string) *testkit.Request {
	t.Helper()
	for _, r := range g.main.Requests() {
		if r.Target == target {
			return r
		}
	}
	t.Fatalf("the backend got no request for %s", target)
	return nil
}

// entry is a line of the access log.
type entry map[string]any

func (e entry) number(key string) float64 {
	n, ok := e[key].(float64)
	if !ok {
		return -99
	}
	return n
}

func (e entry) timer(name string) float64 {
	timers, _ := e["timers"].(map[string]any)
	return entry(timers).number(name)
}

// logged waits for the line of the request for a target.
func (g *gateway) logged(t *testing.T, target string) entry {
	t.Helper()
	var found entry
	testkit.Eventually(t, soon, "a log line for "+target, func() bool {
		for _, e := range g.entries(t) {
			if e["originalRequestUriWithArgs"] == target {
				found = e
			}
		}
		return found != nil
	})
	return found
}

// entries are the lines of the access log, taken apart.
func (g *gateway) entries(t *testing.T) (all []entry) {
	t.Helper()
	for _, line := range g.lines(t) {
		e := entry{}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		all = append(all, e)
	}
	return all
}

// lines are the whole lines of the access log.
func (g *gateway) lines(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(g.dir, "access.log"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	return lines[:len(lines)-1]
}

// ask sends a request to the admin address and returns status and body.
func (g *gateway) ask(t *testing.T, method, path string, change func(*http.Request)) (int, string) {
	t.Helper()
	return askAt(t, g.admin, method, path, change)
}

func askAt(t *testing.T, addr, method, path string, change func(*http.Request)) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	client := &http.Client{Timeout: soon, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
