package tls

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"gatehouse/internal/testkit"
)

// soon is how long anything may take that should happen at once.
const soon = 40 * time.Second

// gateway is an appgw with one https listener.
type gateway struct {
	t             *testing.T
	secure, admin string
	file          string
	proc          *testkit.Process
}

func start(t *testing.T, tls string) *gateway {
	t.Helper()
	g := &gateway{t: t, secure: testkit.FreeAddr(t), admin: testkit.FreeAddr(t), file: filepath.Join(t.TempDir(), "appgw.yaml")}
	testkit.Replace(t, g.file, fmt.Sprintf(`
admin: {address: %s}
logs: {access: {format: "off"}}
backendPools: [{name: app}]
backendSettings: [{name: app}]
listeners: [{name: shop, address: %q, protocol: https, tls: {%s}}]
rules: [{name: shop, listener: shop, backendPool: app, backendSettings: app}]
`, g.admin, g.secure, tls))
	g.proc = testkit.Start(t, exec.Command(testkit.Build(t, "./cmd/appgw", "-race"), "run", "-c", g.file))
	t.Cleanup(func() {
		if g.proc.Stop(soon); strings.Contains(g.proc.Output(), "DATA RACE") {
			t.Errorf("output: %s", g.proc.Output())
		}
	})
	g.proc.WaitReady("http://"+g.admin+"/readyz", soon)
	return g
}

// ask makes a request on a connection of its own.
func (g *gateway) ask(c *tls.Config) (tls.ConnectionState, error) {
	conn, err := tls.Dial("tcp", g.secure, c)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(soon))
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
	_, err = io.ReadFull(conn, make([]byte, 12))
	return conn.ConnectionState(), err
}

func (g *gateway) metric(name string) (line string) {
	g.t.Helper()
	r, err := http.Get("http://" + g.admin + "/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	defer r.Body.Close()
	text, _ := io.ReadAll(r.Body)
	for l := range strings.Lines(string(text)) {
		if strings.HasPrefix(l, name) {
			line = strings.TrimSpace(l)
		}
	}
	return line
}

// failed waits until one handshake has failed for a reason: the client knows before it is counted.
func (g *gateway) failed(reason string) {
	g.t.Helper()
	testkit.Eventually(g.t, soon, "a failure counted as "+reason, func() bool {
		return strings.HasSuffix(g.metric(`gatehouse_tls_handshake_failures_total{listener="shop",reason="`+reason+`"}`), " 1")
	})
}

func certificate(cert *testkit.Cert) string {
	return fmt.Sprintf("certificates: [{certFile: %s, keyFile: %s}]", cert.CertFile, cert.KeyFile)
}

// Behind a load balancer, a client resumes with whatever instance it meets.
func TestInstancesShareTickets(t *testing.T) {
	ca := testkit.NewCA(t)
	file := filepath.Join(t.TempDir(), "tickets")
	key := func(b string) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(b, 48))) + "\n" }
	testkit.Replace(t, file, key("a"))
	shared := certificate(ca.Server("a.test")) + ", ticketKeys: {file: " + file + "}"
	one, two, alone := start(t, shared), start(t, shared), start(t, certificate(ca.Server("a.test")))
	client := ca.ClientConfig("a.test")
	client.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	resumed := func(g *gateway) bool {
		t.Helper()
		state, err := g.ask(client)
		if err != nil {
			t.Fatal(err)
		}
		return state.DidResume
	}
	if resumed(one) || !resumed(two) || !resumed(one) {
		t.Error("instances with one file do not resume each other's sessions")
	}
	if resumed(alone) {
		t.Error("an instance without the file resumed")
	}
	if resumed(one) {
		t.Error("an instance with the file resumed what was sealed without")
	}
	testkit.Replace(t, file, key("b")+key("a")) // rotated: a reload in both
	testkit.Eventually(t, soon, "reloads", func() bool {
		return strings.Count(one.proc.Output(), `"trigger":"file"`)+strings.Count(two.proc.Output(), `"trigger":"file"`) >= 2
	})
	if !resumed(two) || !resumed(one) {
		t.Error("a rotation has ended sessions")
	}
}

func TestStaplesOfTheRealBinary(t *testing.T) {
	ca := testkit.NewCA(t)
	o := testkit.NewOCSP(t, ca)
	cert := ca.Issue(testkit.Leaf{Names: []string{"a.test"}, Responder: o.URL, MustStaple: true})
	g := start(t, certificate(cert))
	var staple []byte
	testkit.Eventually(t, soon, "a staple", func() bool {
		state, err := g.ask(ca.ClientConfig("a.test"))
		staple = state.OCSPResponse
		return err == nil && staple != nil
	})
	if resp, err := ocsp.ParseResponseForCert(staple, cert.TLS.Leaf, ca.Cert); err != nil || resp.Status != ocsp.Good {
		t.Errorf("%+v, %v", resp, err)
	}
	if line := g.metric("gatehouse_ocsp_staple_expiry_timestamp_seconds{"); !strings.Contains(line, `listener="shop"`) {
		t.Errorf("metric %q", line)
	}
	off := start(t, certificate(cert)+", ocspStapling: off")
	if out, _ := exec.Command(testkit.Build(t, "./cmd/appgw", "-race"), "check", "-c", off.file).CombinedOutput(); !strings.Contains(string(out), "must-staple") {
		t.Errorf("check says %s", out)
	}
	if state, err := off.ask(ca.ClientConfig("a.test")); err != nil || state.OCSPResponse != nil {
		t.Errorf("with stapling off: %x, %v", state.OCSPResponse, err)
	}
}

func TestRevokedClientsOfTheRealBinary(t *testing.T) {
	ca := testkit.NewCA(t)
	o := testkit.NewOCSP(t, ca)
	good, bad := ca.Issue(testkit.Leaf{Names: []string{"good.test"}, Client: true, Responder: o.URL}), ca.Issue(testkit.Leaf{Names: []string{"bad.test"}, Client: true, Responder: o.URL})
	o.Revoke(bad.TLS.Leaf)
	clientAuth := func(mode string) string {
		return certificate(ca.Server("a.test")) + ", clientAuth: {mode: strict, caFile: " + ca.File + ", ocsp: " + mode + "}"
	}
	try := func(g *gateway, cert *testkit.Cert) error {
		c := ca.ClientConfig("a.test")
		c.Certificates = []tls.Certificate{cert.TLS}
		_, err := g.ask(c)
		return err
	}
	strict, soft := start(t, clientAuth("on")), start(t, clientAuth("soft"))
	for _, g := range []*gateway{strict, soft} {
		if err := try(g, good); err != nil {
			t.Error(err)
		}
		if err := try(g, bad); err == nil {
			t.Error("a revoked client was admitted")
		}
	}
	strict.failed("client_certificate_revoked")
	o.Down(true)
	other := ca.Issue(testkit.Leaf{Names: []string{"other.test"}, Client: true, Responder: o.URL})
	if err := try(strict, other); err == nil {
		t.Error("on: a client whom nobody could be asked about was admitted")
	}
	if err := try(soft, other); err != nil {
		t.Errorf("soft: %v", err)
	}
	strict.failed("client_certificate_ocsp")
}
