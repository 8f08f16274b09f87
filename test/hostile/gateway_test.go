package hostile

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gatehouse/internal/testkit"
)

// soon is how long anything may take that should happen at once.
const soon = 10 * time.Second

// Addresses that clients come from. All of 127.0.0.0/8 is ours to choose from.
const (
	stranger     = "127.0.0.1"
	trustedProxy = "127.0.0.2" // in trustedProxies
	loadBalancer = "127.0.0.3" // in proxyProtocol.accept
	bothProxies  = "127.0.0.4" // in both
)

// gateway is a running appgw with one backend.
type gateway struct {
	proc    *testkit.Process
	backend *testkit.Backend
	ca      *testkit.CA

	plain   string // any host, and keep.test, paths.test, redirect.test
	secure  string // https: shop.test, and strict.test with other TLS settings
	proxied string // http with the PROXY protocol from loadBalancer and bothProxies
	hidden  string // https with the same
	log     string // file of the access log
	stopped bool
}

// setup is what a test may want of its gateway besides the usual.
type setup struct {
	handler  testkit.Handler // nil: 200 with the body "ok"
	limits   string          // entries of the mapping limits
	settings string          // more keys of the backend settings, each with a comma before it
	backend  *testkit.Backend
}

// start runs a gateway for one test. At its end the gateway must stop in good order, without a data race or a panic, and its
// access log must be whole.
func start(t *testing.T, s setup) *gateway {
	t.Helper()
	if s.handler == nil {
		s.handler = testkit.Respond(200, "ok")
	}
	if s.backend == nil {
		s.backend = testkit.NewBackend(t, s.handler)
	}
	g := &gateway{backend: s.backend, ca: testkit.NewCA(t), log: filepath.Join(t.TempDir(), "access.log")}
	g.plain, g.secure = testkit.FreeAddr(t), testkit.FreeAddr(t)
	g.proxied, g.hidden = testkit.FreeAddr(t), testkit.FreeAddr(t)
	admin := testkit.FreeAddr(t)
	file := testkit.Config(t, g.config(admin, s))
	cmd := exec.Command(testkit.Build(t, "./cmd/appgw", "-race"), "run", "-c", file)
	g.proc = testkit.Start(t, cmd)
	t.Cleanup(func() { g.inspect(t) })
	g.proc.WaitReady("http://"+admin+"/readyz", soon)
	return g
}

// config is the configuration of every gateway here.
func (g *gateway) config(admin string, s setup) string {
	cert := g.ca.Server("shop.test", "strict.test")
	tls := fmt.Sprintf("certificates: [{certFile: %s, keyFile: %s}]", cert.CertFile, cert.KeyFile)
	return strings.NewReplacer("$ADMIN", admin, "$LOG", g.log, "$PLAIN", g.plain, "$SECURE", g.secure, "$PROXIED", g.proxied,
		"$HIDDEN", g.hidden, "$TLS", tls, "$BACKEND", g.backend.Addr, "$LIMITS", s.limits, "$SETTINGS", s.settings).Replace(configText)
}

const configText = `
admin: {address: "$ADMIN"}
logs: {access: {output: "$LOG", format: json}}
limits: {$LIMITS}
shutdown: {drain: 1s}
trustedProxies: [127.0.0.2, 127.0.0.4, 10.0.0.0/8]
listeners:
  - {name: plain, address: "$PLAIN"}
  - {name: keep, address: "$PLAIN", hostNames: [keep.test], encodedSlash: keep}
  - {name: slashes, address: "$PLAIN", hostNames: [slashes.test], duplicateSlashes: keep}
  - {name: paths, address: "$PLAIN", hostNames: [paths.test]}
  - {name: redirect, address: "$PLAIN", hostNames: [redirect.test, lost.test]}
  - {name: shop, address: "$SECURE", protocol: https, hostNames: [shop.test, redirect.test, slashes.test], tls: {$TLS}}
  - {name: strict, address: "$SECURE", protocol: https, hostNames: [strict.test], tls: {$TLS, policy: {minVersion: TLSv1_3}}}
  - {name: proxied, address: "$PROXIED", proxyProtocol: {accept: [127.0.0.3, 127.0.0.4]}}
  - {name: hidden, address: "$HIDDEN", protocol: https, tls: {$TLS}, proxyProtocol: {accept: [127.0.0.3]}}
backendPools:
  - {name: main, targets: ["$BACKEND"]}
backendSettings:
  - {name: plain, probe: "off", ejection: {connectFailures: 0}$SETTINGS}
  - {name: api, probe: "off", pathOverride: /v2/}
redirects:
  - {name: home, type: permanent, target: {url: "https://home.test/"}}
  - {name: up, type: permanent, target: {listener: shop}}
pathMaps:
  - name: paths
    default: {backendPool: main, backendSettings: plain}
    paths:
      - {paths: [/api/*], backendPool: main, backendSettings: api}
      - {paths: [/admin/*], redirect: home}
rules:
  - {name: plain, listener: plain, backendPool: main, backendSettings: plain}
  - {name: keep, listener: keep, backendPool: main, backendSettings: plain}
  - {name: slashes, listener: slashes, redirect: up}
  - {name: paths, listener: paths, pathMap: paths}
  - {name: redirect, listener: redirect, redirect: up}
  - {name: shop, listener: shop, backendPool: main, backendSettings: plain}
  - {name: strict, listener: strict, backendPool: main, backendSettings: plain}
  - {name: proxied, listener: proxied, backendPool: main, backendSettings: plain}
  - {name: hidden, listener: hidden, backendPool: main, backendSettings: plain}
`

// inspect looks at what the gateway leaves behind.
func (g *gateway) inspect(t *testing.T) {
	g.stop(t)
	for _, trouble := range []string{"DATA RACE", "panic", "fatal error", "goroutine "} {
		if out := g.proc.Output(); strings.Contains(out, trouble) {
			t.Errorf("%q in the gateway's output:\n%s", trouble, out)
		}
	}
	g.logLines(t)
}

// stop ends the gateway, once.
func (g *gateway) stop(t *testing.T) {
	t.Helper()
	if g.stopped {
		return
	}
	g.stopped = true
	if !g.proc.Running() {
		t.Error("the gateway did not survive")
	} else if code := g.proc.Stop(soon); code != 0 {
		t.Errorf("the gateway stopped with status %d", code)
	}
}

// logLines reads the access log: each line is one JSON object in UTF-8 without a control character (row 80).
func (g *gateway) logLines(t *testing.T) (lines []map[string]any) {
	t.Helper()
	data, err := os.ReadFile(g.log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		text, whole := bytes.CutSuffix(line, []byte("\n"))
		var object map[string]any
		if err := json.Unmarshal(text, &object); err != nil || !whole || !utf8.Valid(text) || bytes.ContainsFunc(text, control) {
			t.Errorf("access log: not one JSON line: %v: %q", err, line)
		}
		lines = append(lines, object)
	}
	return lines
}

func control(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }

// dialFrom connects from one of our addresses.
func dialFrom(t *testing.T, from, to string) *testkit.Client {
	t.Helper()
	return testkit.NewClient(t, tcpFrom(t, from, to), nil)
}

func tcpFrom(t *testing.T, from, to string) *net.TCPConn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: soon}
	conn, err := d.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// dialTLS connects to the https listeners with a server name.
func (g *gateway) dialTLS(t *testing.T, name string) *testkit.Client {
	t.Helper()
	return testkit.DialTLS(t, g.secure, g.ca.ClientConfig(name))
}

// tlsFrom connects with TLS from one of our addresses, after sending a prefix in plain text.
func (g *gateway) tlsFrom(t *testing.T, from, to, prefix string) *testkit.Client {
	t.Helper()
	tcp := tcpFrom(t, from, to)
	if _, err := tcp.Write([]byte(prefix)); err != nil {
		t.Fatal(err)
	}
	secure := tls.Client(tcp, g.ca.ClientConfig("shop.test"))
	_ = tcp.SetDeadline(time.Now().Add(soon))
	if err := secure.Handshake(); err != nil {
		t.Fatal(err)
	}
	_ = tcp.SetDeadline(time.Time{})
	return testkit.NewClient(t, tcp, secure)
}

// mark is how much the backend had received at a time.
type mark struct {
	requests int
	bytes    int64
}

func (g *gateway) mark() mark {
	m := mark{requests: g.backend.RequestCount()}
	for _, c := range g.backend.Conns() {
		m.bytes += c.ReceivedLen()
	}
	return m
}

// since returns the requests that the backend received after a mark, and how many bytes.
func (g *gateway) since(m mark) ([]*testkit.Request, int64) {
	return g.backend.Requests()[m.requests:], g.mark().bytes - m.bytes
}
