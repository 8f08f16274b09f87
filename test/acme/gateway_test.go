package acme

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
	"gatehouse/internal/testkit/acmeca"
)

// soon is how long anything may take that should happen at once.
const soon = 40 * time.Second

// gateway is an appgw in a directory of its own, with an http listener whose clients are all denied, and an https one.
type gateway struct {
	t                    *testing.T
	dir                  string
	plain, secure, admin string
	proc                 *testkit.Process
}

func newGateway(t *testing.T) *gateway {
	return &gateway{t: t, dir: t.TempDir(), plain: testkit.FreeAddr(t), secure: testkit.FreeAddr(t), admin: testkit.FreeAddr(t)}
}

// authority is one that asks the gateway.
func (g *gateway) authority(o acmeca.Options) *acmeca.CA {
	o.HTTP, o.TLS = g.plain, g.secure
	ca := acmeca.New(g.t, o)
	testkit.Replace(g.t, filepath.Join(g.dir, "root.pem"), string(ca.Roots))
	testkit.Replace(g.t, filepath.Join(g.dir, "tsig"), acmeca.Secret+"\n")
	return ca
}

// write makes the configuration: hosts and tls are those of the https listener.
func (g *gateway) write(hosts, tls string) {
	testkit.Replace(g.t, filepath.Join(g.dir, "appgw.yaml"), fmt.Sprintf(`
admin: {address: %s}
logs: {access: {output: access.log}}
backendPools: [{name: app}]
backendSettings: [{name: app}]
listeners:
  - {name: plain, address: %q, hostNames: [other.test], accessRules: [{priority: 1, action: deny, source: [0.0.0.0/0]}]}
  - {name: shop, address: %q, protocol: https, http2: true, hostNames: [%s], tls: {%s}}
rules:
  - {name: plain, listener: plain, backendPool: app, backendSettings: app}
  - {name: shop, listener: shop, backendPool: app, backendSettings: app}
`, g.admin, g.plain, g.secure, hosts, tls))
}

// acme is the key, for an authority.
func acme(directory, more string) string {
	return fmt.Sprintf("acme: {ca: %q, caFile: root.pem, storage: store%s}", directory, more)
}

func (g *gateway) start() {
	g.t.Helper()
	cmd := exec.Command(testkit.Build(g.t, "./cmd/appgw", "-race"), "run")
	cmd.Dir = g.dir
	g.proc = testkit.Start(g.t, cmd)
	g.proc.WaitReady("http://"+g.admin+"/readyz", soon)
}

func (g *gateway) stop() {
	g.t.Helper()
	g.proc.Stop(soon)
	if out := g.proc.Output(); strings.Contains(out, "DATA RACE") || strings.Contains(out, "panic") {
		g.t.Errorf("output: %s", out[max(0, len(out)-8<<10):])
	}
}

// handshake is the certificate that a client is shown and verifies.
func (g *gateway) handshake(roots *x509.CertPool, name string) (*x509.Certificate, error) {
	conn, err := tls.Dial("tcp", g.secure, &tls.Config{ServerName: name, RootCAs: roots})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// served waits for the certificate of a name.
func (g *gateway) served(ca *acmeca.CA, name string) (leaf *x509.Certificate) {
	g.t.Helper()
	testkit.Eventually(g.t, soon, "a certificate for "+name, func() bool {
		var err error
		leaf, err = g.handshake(ca.Pool(), name)
		return err == nil
	})
	return leaf
}

// get asks the http listener, whatever the host.
func (g *gateway) get(host, path string) (status int, body string) {
	g.t.Helper()
	conn, err := testkitDial(g.plain)
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		g.t.Fatal(err)
	}
	text, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(text)
}

// certificate is what /status has of a managed certificate.
type certificate struct {
	Name     string    `json:"name"`
	NotAfter time.Time `json:"notAfter"`
	Error    string    `json:"error"`
}

func (g *gateway) status() []certificate {
	var s struct {
		Certificates []certificate `json:"certificates"`
	}
	g.admit("/status", func(body io.Reader) {
		if err := json.NewDecoder(body).Decode(&s); err != nil {
			g.t.Error(err)
		}
	})
	return s.Certificates
}

// metrics has the lines of the metrics with a text.
func (g *gateway) metrics(text string) (lines []string) {
	g.admit("/metrics", func(body io.Reader) {
		for s := bufio.NewScanner(body); s.Scan(); {
			if strings.Contains(s.Text(), text) && !strings.HasPrefix(s.Text(), "#") {
				lines = append(lines, s.Text())
			}
		}
	})
	return lines
}

func (g *gateway) admit(path string, use func(io.Reader)) {
	g.t.Helper()
	r, err := http.Get("http://" + g.admin + path)
	if err != nil {
		g.t.Fatal(err)
	}
	defer r.Body.Close()
	use(r.Body)
}

func (g *gateway) command(args ...string) string {
	cmd := exec.Command(testkit.Build(g.t, "./cmd/appgw", "-race"), args...)
	cmd.Dir = g.dir
	out, _ := cmd.CombinedOutput()
	return string(out)
}

func (g *gateway) file(name, text string) {
	g.t.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, name), []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}
