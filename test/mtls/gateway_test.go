package mtls

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// soon is how long anything may take that should happen at once.
const soon = 20 * time.Second

// gateway is a running appgw, with listeners on one address that ask clients for different things:
//
//	open.test    nothing
//	strict.test  a certificate of root that is on no list; the backend gets X-Client-Cert-*
//	rfc.test     a certificate of root; the backend gets Client-Cert
//	soft.test    any certificate or none; the backend gets Client-Cert if it is good
//	pass.test    any certificate or none; the backend gets X-Client-Cert-*
type gateway struct {
	t       *testing.T
	proc    *testkit.Process
	backend *testkit.Backend
	server  *testkit.CA // of the gateway's own certificate
	root    *testkit.CA // of clients
	cas     string      // file of the CAs of clients
	crl     string      // file of revocation lists
	secure  string
	plain   string
	admin   string
	log     string
	output  string
}

func start(t *testing.T, settings string, backend *testkit.Backend) *gateway {
	t.Helper()
	dir := t.TempDir()
	g := &gateway{t: t, backend: backend, server: testkit.NewCA(t), root: testkit.NewCA(t),
		cas: filepath.Join(dir, "cas.pem"), crl: filepath.Join(dir, "clients.crl"), log: filepath.Join(dir, "access.log"), output: filepath.Join(dir, "output"),
		secure: testkit.FreeAddr(t), plain: testkit.FreeAddr(t), admin: testkit.FreeAddr(t)}
	testkit.Replace(t, g.cas, string(g.root.PEM))
	testkit.Replace(t, g.crl, string(g.root.CRL(time.Now().Add(time.Hour))))
	file := filepath.Join(dir, "appgw.yaml")
	testkit.Replace(t, file, g.config(settings))
	script := `exec "$0" run -c "$1" >"$2" 2>&1`
	g.proc = testkit.Start(t, exec.Command("/bin/sh", "-c", script, testkit.Build(t, "./cmd/appgw", "-race"), file, g.output))
	t.Cleanup(func() { g.inspect() })
	g.proc.WaitReady("http://"+g.admin+"/readyz", soon)
	return g
}

// inspect stops the gateway, which must not have raced or panicked.
func (g *gateway) inspect() {
	if g.proc.Running() {
		g.proc.Stop(soon)
	}
	text, _ := os.ReadFile(g.output)
	for _, trouble := range []string{"DATA RACE", "panic", "fatal error"} {
		if bytes.Contains(text, []byte(trouble)) {
			g.t.Errorf("%q in the output", trouble)
		}
	}
	if g.t.Failed() {
		g.t.Logf("output:\n%s", text[max(0, len(text)-8<<10):])
	}
}

func (g *gateway) config(settings string) string {
	cert := g.server.Server("open.test", "strict.test", "rfc.test", "pass.test", "soft.test")
	listener := func(name, auth string) string {
		return fmt.Sprintf("  - {name: %s, address: %q, protocol: https, http2: true, hostNames: [%[1]s.test], tls: {certificates: [{certFile: %[3]s, keyFile: %[4]s}]%[5]s}}\n",
			name, g.secure, cert.CertFile, cert.KeyFile, auth)
	}
	var rules strings.Builder
	for _, name := range []string{"plain", "open", "strict", "rfc", "pass", "soft"} {
		rewrite := ""
		if name == "open" || name == "pass" {
			rewrite = ", rewriteSet: seen"
		}
		fmt.Fprintf(&rules, "  - {name: %s, listener: %[1]s, backendPool: app, backendSettings: app%s}\n", name, rewrite)
	}
	return fmt.Sprintf(`
admin: {address: %s}
logs: {access: {output: %s}}
trustedProxies: [127.0.0.0/8]
backendPools: [{name: app, targets: [%q]}]
backendSettings: [{name: app, probe: "off"%s}]
rules:
%srewriteSets:
  - name: seen
    rules:
      - name: seen
        actions:
          requestHeaders: {X-Seen: "{var_client_certificate}", X-Seen-Subject: "{var_client_certificate_subject}", X-Seen-Issuer: "{var_client_certificate_issuer}",
            X-Seen-Serial: "{var_client_certificate_serial}", X-Seen-Fingerprint: "{var_client_certificate_fingerprint}",
            X-Seen-Start-Date: "{var_client_certificate_start_date}", X-Seen-End-Date: "{var_client_certificate_end_date}",
            X-Seen-Verification: "{var_client_certificate_verification}"}
listeners:
  - {name: plain, address: %q}
`, g.admin, g.log, g.backend.Addr, settings, rules.String(), g.plain) +
		listener("open", "") +
		listener("strict", fmt.Sprintf(", clientAuth: {mode: strict, caFile: %s, crlFile: %s, forward: fields}", g.cas, g.crl)) +
		listener("rfc", fmt.Sprintf(", clientAuth: {mode: strict, caFile: %s, forward: rfc9440}", g.cas)) +
		listener("pass", fmt.Sprintf(", clientAuth: {mode: passthrough, caFile: %s, forward: fields}", g.cas)) +
		listener("soft", fmt.Sprintf(", clientAuth: {mode: passthrough, caFile: %s, forward: rfc9440}", g.cas))
}

// client issues a certificate for a client.
func client(ca *testkit.CA) *testkit.Cert {
	return ca.Issue(testkit.Leaf{Names: []string{"client.test"}, Client: true})
}

// tls is what a client needs for a server name and with a certificate; nil: none.
func (g *gateway) tls(server string, cert *tls.Certificate) *tls.Config {
	c := g.server.ClientConfig(server)
	if cert != nil {
		// Whatever CAs the server names: a client that is up to something does not mind them.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return c
}

// try makes a request over HTTP/1.1 on a connection of its own; the error is that of the handshake.
func (g *gateway) try(config *tls.Config, host string, lines ...string) (status int, resumed bool, err error) {
	g.t.Helper()
	conn, err := tls.Dial("tcp", g.secure, config)
	if err != nil {
		return 0, false, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(soon))
	if _, err = io.WriteString(conn, request(host, lines...)); err != nil {
		return 0, false, err
	}
	status, err = read(conn)
	return status, conn.ConnectionState().DidResume, err
}

func request(host string, lines ...string) string {
	return strings.Join(append([]string{"GET /mtls HTTP/1.1", "Host: " + host}, lines...), "\r\n") + "\r\n\r\n"
}

// read reads one answer.
func read(conn *tls.Conn) (status int, err error) {
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	_, err = io.Copy(io.Discard, r.Body)
	return r.StatusCode, err
}

// http2 is a client of one HTTP/2 connection to a server name.
func (g *gateway) http2(server string, cert *tls.Certificate) *http.Client {
	config := g.tls(server, cert)
	config.NextProtos = []string{"h2"}
	t := &http.Transport{ForceAttemptHTTP2: true, DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&tls.Dialer{Config: config}).DialContext(ctx, network, g.secure)
	}}
	g.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, Timeout: soon}
}

func status(c *http.Client, host string) (int, error) {
	// One authority for all, so that they share a connection as browsers do.
	r, _ := http.NewRequest(http.MethodGet, "https://one.test/mtls", nil)
	r.Host = host
	resp, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err = io.Copy(io.Discard, resp.Body); err == nil && resp.ProtoMajor != 2 {
		err = fmt.Errorf("the answer is %s", resp.Proto)
	}
	return resp.StatusCode, err
}

// failures is how often handshakes have failed for a reason.
func (g *gateway) failures(reason string) (n int) {
	g.t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^gatehouse_tls_handshake_failures_total\{.*reason="`+reason+`".*\} (\d+)$`).FindAllStringSubmatch(g.metrics(), -1) {
		k, _ := strconv.Atoi(m[1])
		n += k
	}
	return n
}

// metric is the value of one series.
func (g *gateway) metric(series string) int64 {
	g.t.Helper()
	for line := range strings.Lines(g.metrics()) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				g.t.Fatal(err)
			}
			return int64(n)
		}
	}
	g.t.Fatalf("there is no %s", series)
	return 0
}

func (g *gateway) metrics() string {
	g.t.Helper()
	resp, err := http.Get("http://" + g.admin + "/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(text)
}

// logs waits for a line of the gateway's own log with these texts.
func (g *gateway) logs(texts ...string) { g.t.Helper(); g.lineOf(g.output, texts...) }

// line waits for a line of the access log with these texts.
func (g *gateway) line(texts ...string) { g.t.Helper(); g.lineOf(g.log, texts...) }

// lineOf waits for a line of a file with these texts.
func (g *gateway) lineOf(file string, texts ...string) {
	g.t.Helper()
	testkit.Eventually(g.t, soon, fmt.Sprintf("a line with %q", texts), func() bool {
		text, _ := os.ReadFile(file)
	lines:
		for line := range strings.Lines(string(text)) {
			for _, want := range texts {
				if !strings.Contains(line, want) {
					continue lines
				}
			}
			return true
		}
		return false
	})
}

// chain puts certificates of authorities behind a client's own.
func chain(leaf *testkit.Cert, cas ...*x509.Certificate) *tls.Certificate {
	c := leaf.TLS
	c.Certificate = c.Certificate[:1:1]
	for _, ca := range cas {
		c.Certificate = append(c.Certificate, ca.Raw)
	}
	return &c
}
