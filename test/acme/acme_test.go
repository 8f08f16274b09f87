package acme

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
	"gatehouse/internal/testkit/acmeca"
)

func testkitDial(addr string) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", addr, soon)
	if err == nil {
		conn.SetDeadline(time.Now().Add(soon))
	}
	return conn, err
}

// The http listener denies everybody, has other hosts, and answers nevertheless.
func TestHTTP01(t *testing.T) {
	g := newGateway(t)
	ca := g.authority(acmeca.Options{})
	g.write("a.test, b.test", acme(ca.Directory, ", email: ops@a.test, challenges: [http-01]"))
	if out := g.command("check"); !strings.Contains(out, "appgw.yaml is good") {
		t.Errorf("check says %s", out)
	}
	if _, err := os.Stat(filepath.Join(g.dir, "store")); !os.IsNotExist(err) {
		t.Errorf("check has made the storage: %v", err)
	}
	g.start()
	g.served(ca, "a.test")
	g.served(ca, "b.test")
	if status, body := g.get("a.test", "/.well-known/acme-challenge/unknown"); status != 404 || strings.Contains(body, "unknown") {
		t.Errorf("a token that nobody knows: %d %s", status, body)
	}
	if status, _ := g.get("other.test", "/.well-known/acme-challenge/unknown"); status != 403 {
		t.Errorf("a token for another host: %d, want the listener's own rules", status)
	}
	if got := g.status(); len(got) != 2 || got[0].Name != "acme:a.test" || got[1].NotAfter.IsZero() || got[1].Error != "" {
		t.Errorf("status %+v", got)
	}
	if out := g.command("status"); !strings.Contains(out, "acme:a.test") {
		t.Errorf("status says %s", out)
	}
	testkit.Eventually(t, soon, "both to be counted", func() bool { // a moment after the certificate is in use
		return len(g.metrics(`gatehouse_acme_attempts_total{result="obtained"} 2`)) == 1
	})
	if lines := g.metrics(`gatehouse_certificate_expiry_timestamp_seconds{`); len(lines) != 2 {
		t.Errorf("metrics %q", lines)
	}
	g.stop()
}

// A listener that admits nobody without a certificate lets the authority in.
func TestTLSALPN01WithMutualTLS(t *testing.T) {
	g := newGateway(t)
	ca := g.authority(acmeca.Options{})
	clients := testkit.NewCA(t)
	g.file("clients.pem", string(clients.PEM))
	g.write("a.test", acme(ca.Directory, ", challenges: [tls-alpn-01]")+", clientAuth: {mode: strict, caFile: clients.pem}")
	g.start()
	testkit.Eventually(t, soon, "a certificate", func() bool { return !g.status()[0].NotAfter.IsZero() })
	cert := clients.Issue(testkit.Leaf{Names: []string{"client.test"}, Client: true}).TLS
	try := func(c *tls.Config) error {
		conn, err := tls.Dial("tcp", g.secure, c)
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(soon))
		conn.Write([]byte("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"))
		_, err = conn.Read(make([]byte, 1)) // the alert of TLS 1.3 comes with the first read
		return err
	}
	if err := try(&tls.Config{ServerName: "a.test", RootCAs: ca.Pool(), Certificates: []tls.Certificate{cert}}); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	for _, protocols := range [][]string{nil, {"acme-tls/1"}, {"acme-tls/1", "http/1.1"}} {
		if err := try(&tls.Config{ServerName: "a.test", RootCAs: ca.Pool(), NextProtos: protocols}); err == nil {
			t.Errorf("without a certificate, with %q: admitted", protocols)
		}
	}
	g.stop()
}

func TestDNS01OfAWildcard(t *testing.T) {
	g := newGateway(t)
	ca := g.authority(acmeca.Options{})
	g.write(`"*.a.test"`, acme(ca.Directory, ", challenges: [dns-01], dns: {server: "+`"`+ca.DNS.Addr+`"`+", keyName: acme.key.test, keyFile: tsig, propagation: 0s}"))
	g.start()
	if leaf := g.served(ca, "any.a.test"); !slices.Equal(leaf.DNSNames, []string{"*.a.test"}) {
		t.Errorf("names %q", leaf.DNSNames)
	}
	if got := ca.DNS.Updated(); !slices.Contains(got, "_acme-challenge.a.test.") || len(ca.DNS.TXT("_acme-challenge.a.test")) > 0 {
		t.Errorf("records %q, left %q", got, ca.DNS.TXT("_acme-challenge.a.test"))
	}
	g.stop()
}

// What a restart finds is not asked for again, and a reload asks for what is new.
func TestRestartAndReloadAskForWhatIsMissing(t *testing.T) {
	g := newGateway(t)
	ca := g.authority(acmeca.Options{})
	g.write("a.test", acme(ca.Directory, ""))
	g.start()
	first := g.served(ca, "a.test")
	g.stop()
	g.start()
	if leaf, err := g.handshake(ca.Pool(), "a.test"); err != nil || !leaf.Equal(first) {
		t.Errorf("after a restart, at once: %v", err)
	}
	g.write("a.test, b.test", acme(ca.Directory, ""))
	g.served(ca, "b.test")
	if leaf := g.served(ca, "a.test"); !leaf.Equal(first) {
		t.Error("a reload has brought another certificate")
	}
	if ca.Orders.Load() != 2 || ca.Accounts.Load() != 1 {
		t.Errorf("%d orders, %d accounts", ca.Orders.Load(), ca.Accounts.Load())
	}
	g.write("b.test", acme(ca.Directory, ""))
	testkit.Eventually(t, soon, "one certificate less", func() bool { return len(g.status()) == 1 })
	g.stop()
}

// A start does not wait for an authority: handshakes fail, and it is said why.
func TestAuthorityThatComesLater(t *testing.T) {
	g := newGateway(t)
	addr := testkit.FreeAddr(t)
	g.file("root.pem", string(testkit.NewCA(t).PEM))
	g.write("a.test", acme("https://"+addr+"/dir", ""))
	g.start()
	testkit.Eventually(t, soon, "an error", func() bool { return g.status()[0].Error != "" })
	if _, err := g.handshake(nil, "a.test"); err == nil {
		t.Error("a handshake without a certificate")
	}
	g.proc.WaitLine(`"handshake without a certificate"`, soon)
	if lines := g.metrics(`gatehouse_acme_attempts_total{result="unreachable"}`); len(lines) != 1 || strings.HasSuffix(lines[0], " 0") {
		t.Errorf("metrics %q", lines)
	}
	ca := g.authority(acmeca.Options{Addr: addr}) // its root is a new one: a reload
	g.served(ca, "a.test")
	g.stop()
}

func TestCheckReadsTheFiles(t *testing.T) {
	g := newGateway(t)
	g.file("root.pem", "nothing")
	g.file("mac", "!!")
	if err := os.Mkdir(filepath.Join(g.dir, "store"), 0o755); err != nil {
		t.Fatal(err)
	}
	g.write("a.test", acme("https://ca.test/", ", challenges: [dns-01], eab: {keyID: k, keyFile: mac}, dns: {server: ns.test, keyName: k, keyFile: tsig}"))
	out := g.command("check")
	for _, want := range []string{
		"appgw.yaml:8: listeners[1].tls.acme.caFile: ", "root.pem has no PEM certificate", "listeners[1].tls.acme.eab.keyFile: ", "mac is not base64url",
		"listeners[1].tls.acme.dns.keyFile: open ", "listeners[1].tls.acme.storage: ", "has mode 0755: others may look into it; chmod it to 0700",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("check does not say %q:\n%s", want, out)
		}
	}
}
