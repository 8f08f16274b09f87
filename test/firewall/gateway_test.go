package firewall

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// soon is how long anything may take that should happen at once, on a machine that is busy.
const soon = 20 * time.Second

// attack is what every policy that prevents stops.
const attack = "id=1%27%20UNION%20SELECT%20password%20FROM%20users--%20"

// gateway is a running appgw with one backend. Its configuration, its logs and whatever the configuration names are in dir.
type gateway struct {
	*testkit.Process
	t       *testing.T
	dir     string
	admin   string
	web     string
	other   string // address of a second listener
	backend *testkit.Backend
	binary  string
}

// settings go before every configuration: one backend, two addresses, logs in files.
const settings = `admin: {address: "$ADMIN"}
logs: {access: {output: access.log}, waf: {output: waf.log}}
shutdown: {drain: 1s}
backendPools: [{name: app, targets: ["$BACKEND"]}]
backendSettings: [{name: plain, probe: off}]
`

// site is a gateway with one listener under the policy named shop.
const site = `
wafPolicy: shop
listeners: [{name: web, address: "$WEB"}]
rules: [{name: web, listener: web, backendPool: app, backendSettings: plain}]
wafPolicies:
  - name: shop
`

// start runs a gateway with what the configuration adds to settings. A nil handler echoes.
func start(t *testing.T, config string, h testkit.Handler) *gateway {
	t.Helper()
	g := prepare(t, h)
	g.write("appgw.yaml", g.fill(config))
	g.run()
	return g
}

// prepare is start without the start.
func prepare(t *testing.T, h testkit.Handler) *gateway {
	t.Helper()
	return &gateway{t: t, dir: t.TempDir(), admin: testkit.FreeAddr(t), web: testkit.FreeAddr(t), other: testkit.FreeAddr(t),
		backend: testkit.NewBackend(t, h), binary: testkit.Build(t, "./cmd/appgw")}
}

func (g *gateway) run() {
	g.t.Helper()
	cmd := exec.Command(g.binary, "run")
	cmd.Dir = g.dir
	g.Process = testkit.Start(g.t, cmd)
	g.t.Cleanup(g.inspect)
	g.WaitReady("http://"+g.admin+"/readyz", soon)
}

// inspect looks at what the process wrote.
func (g *gateway) inspect() {
	for _, trouble := range []string{"DATA RACE", "panic", "fatal error", "goroutine "} {
		if strings.Contains(g.Output(), trouble) {
			g.t.Errorf("%q in the output", trouble)
		}
	}
}

// fill is a whole configuration.
func (g *gateway) fill(config string) string {
	return strings.NewReplacer("$ADMIN", g.admin, "$BACKEND", g.backend.Addr, "$WEB", g.web, "$OTHER", g.other).Replace(settings + config)
}

// write replaces a file of the gateway's directory at once.
func (g *gateway) write(name, text string) {
	g.t.Helper()
	testkit.Replace(g.t, filepath.Join(g.dir, name), text)
}

// configure gives the gateway another configuration, and wants it in use.
func (g *gateway) configure(config string) {
	g.t.Helper()
	g.write("appgw.yaml", g.fill(config))
	resp, err := operator.PostForm("http://"+g.admin+"/reload", url.Values{})
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		g.t.Fatalf("reload: %s: %s", resp.Status, body)
	}
}

var operator = &http.Client{Timeout: soon, Transport: &http.Transport{DisableKeepAlives: true}}

// page gets a page of the operator's HTTP.
func (g *gateway) page(path string) string {
	g.t.Helper()
	resp, err := operator.Get("http://" + g.admin + path)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		g.t.Fatalf("%s: %s %v %s", path, resp.Status, err, body)
	}
	return string(body)
}

// browser is what a browser sends beside the rest.
const browser = "Host: shop.test\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept: text/html,*/*;q=0.8\r\n"

// message is a request of a browser; a body brings its length.
func message(method, target, body string, lines ...string) string {
	text := method + " " + target + " HTTP/1.1\r\n" + browser
	for _, line := range lines {
		text += line + "\r\n"
	}
	if body != "" {
		text += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return text + "\r\n" + body
}

// chunked is a request of a browser whose body comes in pieces of n bytes.
func chunked(target, body string, n int, lines ...string) string {
	text := message("POST", target, "", append(lines, "Transfer-Encoding: chunked")...)
	for len(body) > 0 {
		piece := body[:min(n, len(body))]
		text += fmt.Sprintf("%x\r\n%s\r\n", len(piece), piece)
		body = body[len(piece):]
	}
	return text + "0\r\n\r\n"
}

const isForm = "Content-Type: application/x-www-form-urlencoded"

// ask sends a request on a connection of its own.
func (g *gateway) ask(request string) *testkit.Response {
	g.t.Helper()
	return testkit.Exchange(g.t, g.web, request)
}

// get sends a GET on a connection of its own.
func (g *gateway) get(target string, lines ...string) *testkit.Response {
	g.t.Helper()
	return g.ask(message("GET", target, "", lines...))
}

// untouched wants that the backend has received nothing at all.
func (g *gateway) untouched() {
	g.t.Helper()
	if got := g.backend.Received(); len(got) > 0 {
		g.t.Errorf("the backend has received %.500q", got)
	}
}

// entry is a line of a log.
type entry map[string]any

// entries are the whole lines of a log, taken apart.
func (g *gateway) entries(file string) (all []entry) {
	g.t.Helper()
	data, err := os.ReadFile(filepath.Join(g.dir, file))
	if err != nil && !os.IsNotExist(err) {
		g.t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	for _, line := range lines[:len(lines)-1] {
		e := entry{}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			g.t.Fatalf("log line %q: %v", line, err)
		}
		all = append(all, e)
	}
	return all
}

// logged waits for lines of a log for which wanted holds, and returns them.
func (g *gateway) logged(file, what string, wanted func(entry) bool) (found []entry) {
	g.t.Helper()
	testkit.Eventually(g.t, soon, "a line of "+file+" "+what, func() bool {
		found = nil
		for _, e := range g.entries(file) {
			if wanted(e) {
				found = append(found, e)
			}
		}
		return len(found) > 0
	})
	return found
}
