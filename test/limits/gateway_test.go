package limits

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// soon is how long anything may take that should happen at once.
const soon = 20 * time.Second

// gateway is a running appgw with a listener web, a pool app of one member, and settings plain.
type gateway struct {
	t     *testing.T
	proc  *testkit.Process
	app   *testkit.Backend
	file  string
	web   string
	admin string
}

// start runs a gateway whose file has these keys, too; lists are joined.
func start(t *testing.T, conf string) *gateway {
	t.Helper()
	dir := t.TempDir()
	g := &gateway{t: t, app: testkit.NewBackend(t, testkit.Respond(200, "app")), file: filepath.Join(dir, "appgw.yaml"),
		web: testkit.FreeAddr(t), admin: testkit.FreeAddr(t)}
	lists := map[string]string{
		"listeners":       fmt.Sprintf("{name: web, address: %q, http2: true}", g.web),
		"backendPools":    fmt.Sprintf("{name: app, targets: [%q]}", g.app.Addr),
		"backendSettings": `{name: plain, probe: "off"}`,
	}
	for _, key := range []string{"listeners", "backendPools", "backendSettings"} {
		if strings.Contains(conf, key+": [") {
			conf = strings.Replace(conf, key+": [", key+": ["+lists[key]+", ", 1)
		} else {
			conf += key + ": [" + lists[key] + "]\n"
		}
	}
	testkit.Replace(t, g.file, conf+fmt.Sprintf("admin: {address: %s}\nlogs: {access: {output: %s}}\n", g.admin, filepath.Join(dir, "access.log")))
	output := filepath.Join(dir, "output")
	g.proc = testkit.Start(t, exec.Command("/bin/sh", "-c", `exec "$0" run -c "$1" >"$2" 2>&1`, testkit.Build(t, "./cmd/appgw", "-race"), g.file, output))
	t.Cleanup(func() { g.inspect(output) })
	g.proc.WaitReady("http://"+g.admin+"/readyz", soon)
	return g
}

// inspect stops the gateway, which must not have raced or panicked.
func (g *gateway) inspect(output string) {
	if g.proc.Running() {
		g.proc.Stop(soon)
	}
	text, _ := os.ReadFile(output)
	for _, trouble := range []string{"DATA RACE", "panic", "fatal error"} {
		if strings.Contains(string(text), trouble) {
			g.t.Errorf("%q in the output", trouble)
		}
	}
	if g.t.Failed() {
		g.t.Logf("output:\n%s", text[max(0, len(text)-8<<10):])
	}
}

// reload replaces texts of the configuration and puts it to use.
func (g *gateway) reload(oldnew ...string) {
	g.t.Helper()
	text, err := os.ReadFile(g.file)
	if err != nil {
		g.t.Fatal(err)
	}
	testkit.Replace(g.t, g.file, strings.NewReplacer(oldnew...).Replace(string(text)))
	r, err := http.Post("http://"+g.admin+"/reload", "", nil)
	if err != nil {
		g.t.Fatal(err)
	}
	defer r.Body.Close()
	if said, _ := io.ReadAll(r.Body); r.StatusCode != 200 {
		g.t.Fatalf("reload: %d %s", r.StatusCode, said)
	}
}

// want asks for a path and wants a status.
func (g *gateway) want(status int, path string) {
	g.t.Helper()
	if r := testkit.Get(g.t, g.web, "a", path); r.StatusCode != status {
		g.t.Fatalf("%q, want %d", r.Head, status)
	}
}

// http2 is a client of HTTP/2 without TLS.
func (g *gateway) http2(t *testing.T) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: soon}
}

// metric is the value of one series.
func (g *gateway) metric(series string) int {
	g.t.Helper()
	r, err := http.Get("http://" + g.admin + "/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				g.t.Fatal(err)
			}
			return int(n)
		}
	}
	g.t.Fatalf("there is no %s", series)
	return 0
}
