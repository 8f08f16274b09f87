package http3

import (
	"bytes"
	"context"
	"crypto/tls"
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

	"github.com/quic-go/quic-go"
	h3 "github.com/quic-go/quic-go/http3"

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
	addr    string // https with HTTP/3, and strict.test with other TLS settings
	early   string // the same with early data
	file    string
	log     string // file of the access log
	limits  string
	output  string
}

func start(t *testing.T, h testkit.Handler, limits string) *gateway {
	t.Helper()
	return startBuilt(t, h, limits, "-race")
}

// startBuilt is start with other flags for the compiler: the race detector takes many times the memory.
func startBuilt(t *testing.T, h testkit.Handler, limits string, flags ...string) *gateway {
	t.Helper()
	g := &gateway{t: t, backend: testkit.NewBackend(t, h), ca: testkit.NewCA(t), limits: limits}
	g.cert = g.ca.Server("shop.test", "strict.test")
	g.admin, g.addr, g.early = testkit.FreeAddr(t), testkit.FreeAddr(t), testkit.FreeAddr(t)
	dir := t.TempDir()
	g.file, g.log = filepath.Join(dir, "appgw.yaml"), filepath.Join(dir, "access.log")
	testkit.Replace(t, g.file, g.config())
	output := filepath.Join(dir, "output")
	g.output = output
	script := `exec "$0" run -c "$1" >"$2" 2>&1`
	g.proc = testkit.Start(t, exec.Command("/bin/sh", "-c", script, testkit.Build(t, "./cmd/appgw", flags...), g.file, output))
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
shutdown: {drain: 10s}
limits: {%s}
listeners:
  - {name: secure, address: %s, protocol: https, http3: true, http2: true, tls: {certificates: [{certFile: %[6]s, keyFile: %[7]s}]}}
  - {name: strict, address: %[4]s, protocol: https, http3: true, hostNames: [strict.test], tls: {policy: {minVersion: "1.3"}, certificates: [{certFile: %[6]s, keyFile: %[7]s}]}}
  - {name: early, address: %[5]s, protocol: https, http3: true, http3EarlyData: true, tls: {certificates: [{certFile: %[6]s, keyFile: %[7]s}]}}
backendPools: [{name: app, targets: [%[8]q]}]
backendSettings: [{name: app, requestTimeout: 20s}]
rules:
  - {name: secure, listener: secure, backendPool: app, backendSettings: app}
  - {name: strict, listener: strict, backendPool: app, backendSettings: app}
  - {name: early, listener: early, backendPool: app, backendSettings: app}
`, g.admin, g.log, g.limits, g.addr, g.early, g.cert.CertFile, g.cert.KeyFile, g.backend.Addr)
}

// tlsConfig is what clients go by.
func (g *gateway) tlsConfig() *tls.Config {
	c := g.ca.ClientConfig("")
	c.NextProtos = []string{"h3"}
	c.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	return c
}

// client speaks HTTP/3 to the listener whatever the name.
func (g *gateway) client() *http.Client {
	t := &h3.Transport{TLSClientConfig: g.tlsConfig(), QUICConfig: &quic.Config{},
		Dial: func(ctx context.Context, _ string, tc *tls.Config, qc *quic.Config) (*quic.Conn, error) {
			return quic.DialAddrEarly(ctx, g.addr, tc, qc)
		}}
	g.t.Cleanup(func() { t.Close() })
	return &http.Client{Transport: t, Timeout: soon}
}

// get asks for a page and returns the response with its body read.
func get(t *testing.T, client *http.Client, url string) (*http.Response, string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// reload has the configuration read again.
func (g *gateway) reload(text string) {
	g.t.Helper()
	testkit.Replace(g.t, g.file, text)
	resp, err := http.PostForm("http://"+g.admin+"/reload", url.Values{})
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		g.t.Fatalf("reload: %s: %s", resp.Status, body)
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
