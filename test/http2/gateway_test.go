package http2

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// soon is how long anything may take that should happen at once.
const soon = 20 * time.Second

// gateway is a running appgw with one backend.
type gateway struct {
	t       *testing.T
	proc    *testkit.Process
	backend *testkit.Backend
	ca      *testkit.CA
	cert    *testkit.Cert
	admin   string
	plain   string // http with http2
	secure  string // https with http2, and strict.test with other TLS settings
	file    string
	log     string // file of the access log
	limits  string
}

func start(t *testing.T, h testkit.Handler, limits string) *gateway {
	t.Helper()
	g := &gateway{t: t, backend: testkit.NewBackend(t, h), ca: testkit.NewCA(t), limits: limits}
	g.cert = g.ca.Server("shop.test", "strict.test")
	g.admin, g.plain, g.secure = testkit.FreeAddr(t), testkit.FreeAddr(t), testkit.FreeAddr(t)
	dir := t.TempDir()
	g.file, g.log = filepath.Join(dir, "appgw.yaml"), filepath.Join(dir, "access.log")
	testkit.Replace(t, g.file, g.config())
	output := filepath.Join(dir, "output")
	script := `exec "$0" run -c "$1" >"$2" 2>&1`
	g.proc = testkit.Start(t, exec.Command("/bin/sh", "-c", script, testkit.Build(t, "./cmd/appgw", "-race"), g.file, output))
	t.Cleanup(func() {
		if g.proc.Running() {
			g.proc.Stop(soon)
		}
		text, _ := os.ReadFile(output)
		for _, trouble := range []string{"DATA RACE", "panic", "fatal error"} {
			if bytes.Contains(text, []byte(trouble)) {
				t.Errorf("%q in the output", trouble)
			}
		}
		if t.Failed() {
			t.Logf("output:\n%s", text[max(0, len(text)-8<<10):])
		}
	})
	g.proc.WaitReady("http://"+g.admin+"/readyz", soon)
	return g
}

func (g *gateway) config() string {
	return fmt.Sprintf(`
admin: {address: %s}
logs: {access: {output: %s}}
limits: {%s}
listeners:
  - {name: plain, address: %s, http2: true, wafPolicy: guard}
  - {name: secure, address: %s, protocol: https, http2: true, tls: {certificates: [{certFile: %[6]s, keyFile: %[7]s}]}}
  - {name: strict, address: %[5]s, protocol: https, http2: true, hostNames: [strict.test], tls: {policy: {minVersion: "1.3"}, certificates: [{certFile: %[6]s, keyFile: %[7]s}]}}
backendPools: [{name: app, targets: [%[8]q]}]
backendSettings: [{name: app, requestTimeout: 20s}]
rules:
  - {name: plain, listener: plain, backendPool: app, backendSettings: app}
  - {name: secure, listener: secure, backendPool: app, backendSettings: app}
  - {name: strict, listener: strict, backendPool: app, backendSettings: app}
wafPolicies: [{name: guard, mode: prevention}]
`, g.admin, g.log, g.limits, g.plain, g.secure, g.cert.CertFile, g.cert.KeyFile, g.backend.Addr)
}

// client speaks HTTP/2 only, over TLS, to the https listener whatever the name.
func (g *gateway) client() *http.Client {
	t := &http.Transport{TLSClientConfig: g.ca.ClientConfig(""), Protocols: new(http.Protocols),
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, g.secure)
		}}
	t.Protocols.SetHTTP2(true)
	g.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, Timeout: soon}
}

// reload has the configuration read again.
func (g *gateway) reload() {
	g.t.Helper()
	resp, err := http.PostForm("http://"+g.admin+"/reload", url.Values{})
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		g.t.Fatalf("reload: %s: %s", resp.Status, body)
	}
}

func (g *gateway) stop() {
	g.t.Helper()
	if err := syscall.Kill(g.proc.Pid, syscall.SIGTERM); err != nil {
		g.t.Fatal(err)
	}
}

// lastLine waits for a line of the access log with these texts.
func (g *gateway) lastLine(texts ...string) string {
	g.t.Helper()
	var found string
	testkit.Eventually(g.t, soon, fmt.Sprintf("a line with %q", texts), func() bool {
		text, _ := os.ReadFile(g.log)
	lines:
		for line := range strings.Lines(string(text)) {
			for _, want := range texts {
				if !strings.Contains(line, want) {
					continue lines
				}
			}
			found = line
			return true
		}
		return false
	})
	return found
}
