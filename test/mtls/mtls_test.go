package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

func TestStrictListenerAdmitsGoodCertificatesOnly(t *testing.T) {
	t.Parallel()
	g := start(t, "", testkit.NewBackend(t, testkit.Respond(200, "ok")))
	other, below := testkit.NewCA(t), g.root.Intermediate()
	revoked := client(g.root)
	testkit.Replace(t, g.crl, string(g.root.CRL(time.Now().Add(time.Hour), revoked.TLS.Leaf)))
	testkit.Eventually(t, soon, "the list to be in use", func() bool {
		_, _, err := g.try(g.tls("strict.test", &revoked.TLS), "strict.test")
		return err != nil
	})
	expired := g.root.Issue(testkit.Leaf{Client: true, NotAfter: time.Now().Add(-time.Minute)})
	for _, c := range []struct {
		name, server string
		cert         *tls.Certificate
		why          string // empty: admitted
	}{
		{"good", "strict.test", &client(g.root).TLS, ""},
		{"good, for another", "rfc.test", &client(g.root).TLS, ""},
		{"none", "strict.test", nil, "missing"},
		{"expired", "strict.test", &expired.TLS, "expired"},
		{"another CA", "strict.test", &client(other).TLS, "unknown_ca"},
		{"revoked", "strict.test", &revoked.TLS, "revoked"},
		{"revoked, where no list is asked", "rfc.test", &revoked.TLS, ""},
		{"of a server", "strict.test", &g.root.Server("client.test").TLS, "usage"},
		{"without a usage", "strict.test", &g.root.Issue(testkit.Leaf{Client: true, NoUsage: true}).TLS, "usage"},
		{"intermediate sent", "rfc.test", chain(client(below), below.Cert), ""},
		{"intermediate not sent", "rfc.test", chain(client(below)), "unknown_ca"},
		{"intermediate without a list", "strict.test", chain(client(below), below.Cert), "crl"},
		{"name in capitals and with a dot", "STRICT.test.", nil, "missing"},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(c.name+", "+tls.VersionName(version), func(t *testing.T) {
				before := g.failures("client_certificate_" + c.why)
				config := g.tls(c.server, c.cert)
				config.MaxVersion = version
				config.InsecureSkipVerify = strings.HasSuffix(c.server, ".")
				status, _, err := g.try(config, strings.ToLower(c.server))
				if c.why == "" {
					if err != nil || status != 200 {
						t.Errorf("%d, %v", status, err)
					}
					return
				}
				if err == nil {
					t.Errorf("admitted: %d", status)
				}
				testkit.Eventually(t, soon, "a failure with reason "+c.why, func() bool { return g.failures("client_certificate_"+c.why) == before+1 })
			})
		}
	}
}

// TestExpiredRevocationListFailsClosed: nobody knows what the list that should be there says.
func TestExpiredRevocationListFailsClosed(t *testing.T) {
	t.Parallel()
	g := start(t, "", testkit.NewBackend(t, testkit.Respond(200, "ok")))
	cert := client(g.root)
	testkit.Replace(t, g.crl, string(g.root.CRL(time.Now().Add(-time.Minute))))
	testkit.Eventually(t, soon, "the list to be in use", func() bool {
		_, _, err := g.try(g.tls("strict.test", &cert.TLS), "strict.test")
		return err != nil && g.failures("client_certificate_crl") > 0
	})
	g.logs("certificates that it issued are refused")
	if n := g.metric(`gatehouse_crl_expiry_timestamp_seconds{ca="CN=Gatehouse test authority",listener="strict"}`); n < time.Now().Add(-time.Hour).Unix() || n > time.Now().Unix() {
		t.Errorf("the list ends at %d", n)
	}
	g.logs("no revocation list of its CA is in force")
	testkit.Replace(t, g.crl, "not a list")
	g.logs("configuration refused; the old one runs on", "malformed crl")
	if _, _, err := g.try(g.tls("strict.test", &cert.TLS), "strict.test"); err == nil {
		t.Error("admitted after a list that cannot be read")
	}
	testkit.Replace(t, g.crl, string(g.root.CRL(time.Now().Add(time.Hour))))
	testkit.Eventually(t, soon, "the new list to be in use", func() bool {
		status, _, err := g.try(g.tls("strict.test", &cert.TLS), "strict.test")
		return err == nil && status == 200
	})
}

// TestHostsStayWithTheirClientAuth is row 61: a handshake with one listener leads to no other that asks for something else.
func TestHostsStayWithTheirClientAuth(t *testing.T) {
	t.Parallel()
	g := start(t, "", testkit.NewBackend(t, testkit.Respond(200, "ok")))
	cert := client(g.root)
	for _, server := range []string{"open", "strict", "rfc", "pass"} {
		over2 := g.http2(server+".test", &cert.TLS)
		for _, host := range []string{"open.test", "strict.test", "STRICT.test.", "rfc.test", "pass.test"} {
			want := 421
			if strings.HasPrefix(strings.ToLower(host), server+".") {
				want = 200
			}
			t.Run(server+" to "+host, func(t *testing.T) {
				if status, _, err := g.try(g.tls(server+".test", &cert.TLS), host); err != nil || status != want {
					t.Errorf("HTTP/1.1: %d, %v; want %d", status, err, want)
				}
				if status, err := status(over2, host); err != nil || status != want {
					t.Errorf("HTTP/2: %d, %v; want %d", status, err, want)
				}
			})
		}
	}
	t.Run("no server name", func(t *testing.T) {
		config := g.tls("", nil)
		config.InsecureSkipVerify = true
		if status, _, err := g.try(config, "strict.test"); err != nil || status != 421 {
			t.Errorf("%d, %v; want 421", status, err)
		}
	})
	t.Run("with the ticket of another", func(t *testing.T) {
		cache := sharedCache{tls.NewLRUClientSessionCache(4)}
		for range 2 {
			config := g.tls("open.test", nil)
			config.ClientSessionCache = cache
			if status, _, err := g.try(config, "open.test"); err != nil || status != 200 {
				t.Fatalf("%d, %v", status, err)
			}
		}
		config := g.tls("strict.test", nil)
		config.ClientSessionCache = cache
		if status, resumed, err := g.try(config, "strict.test"); err == nil {
			t.Errorf("%d, resumed: %v", status, resumed)
		}
	})
}

// sharedCache offers every ticket to every host, as no honest client does.
type sharedCache struct{ tls.ClientSessionCache }

func (c sharedCache) Get(string) (*tls.ClientSessionState, bool) { return c.ClientSessionCache.Get("") }
func (c sharedCache) Put(_ string, s *tls.ClientSessionState)    { c.ClientSessionCache.Put("", s) }

// lies are fields by which a client would say what certificate it has; it comes from an address in trustedProxies.
var lies = []string{"Client-Cert: :AAAA:", "CLIENT-CERT: :AAAA:", "Client-Cert-Chain: :AAAA:", "X-Client-Cert: forged", "x-client-cert-verification: SUCCESS",
	"X-Client-Cert-Subject: CN=admin", "X-Client-Cert-Anything: forged", "X_Client_Cert_Verification: SUCCESS", "Client_Cert: :AAAA:", "X-ARR-ClientCert: forged",
	"Connection: X-Client-Cert-Verification, X-Client-Cert, Client-Cert"}

func TestBackendsAreToldOfTheCertificate(t *testing.T) {
	t.Parallel()
	g := start(t, "", testkit.NewBackend(t, testkit.Respond(200, "ok")))
	cert, stranger := client(g.root), client(testkit.NewCA(t))
	fields := func(c *testkit.Cert, verdict string) map[string]string {
		return map[string]string{"X-Client-Cert-Verification": verdict, "X-Client-Cert-Subject": "CN=client.test", "X-Client-Cert-Issuer": "CN=Gatehouse test authority",
			"X-Client-Cert-Serial": c.TLS.Leaf.SerialNumber.Text(16)}
	}
	for _, c := range []struct {
		name string
		cert *testkit.Cert
		want map[string]string
	}{
		{"open", cert, nil},
		{"rfc", cert, map[string]string{"Client-Cert": ":" + base64.StdEncoding.EncodeToString(cert.TLS.Leaf.Raw) + ":"}},
		{"soft", cert, map[string]string{"Client-Cert": ":" + base64.StdEncoding.EncodeToString(cert.TLS.Leaf.Raw) + ":"}},
		{"soft", stranger, nil},
		{"soft", nil, nil},
		{"strict", cert, fields(cert, "SUCCESS")},
		{"pass", cert, fields(cert, "SUCCESS")},
		{"pass", stranger, fields(stranger, "FAILED:certificate is not of a CA that is configured")},
		{"pass", nil, map[string]string{"X-Client-Cert-Verification": "NONE", "X-Client-Cert": ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var shown *tls.Certificate
			if c.cert != nil {
				shown = &c.cert.TLS
			}
			host := c.name + ".test"
			config := g.tls(host, shown)
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			for _, resumed := range []bool{false, true} {
				status, did, err := g.try(config, host, lies...)
				if err != nil || status != 200 || did != resumed {
					t.Fatalf("%d, resumed %v, %v", status, did, err)
				}
				told(t, g.backend.Last(), c.want)
			}
			r, _ := http.NewRequest(http.MethodGet, "https://one.test/mtls", nil)
			r.Host = host
			for _, lie := range lies[:len(lies)-1] {
				name, value, _ := strings.Cut(lie, ": ")
				r.Header[name] = []string{value}
			}
			resp, err := g.http2(host, shown).Do(r)
			if err != nil || resp.StatusCode != 200 {
				t.Fatal(resp, err)
			}
			resp.Body.Close()
			if resp.ProtoMajor != 2 {
				t.Error(resp.Proto)
			}
			told(t, g.backend.Last(), c.want)
		})
	}
	g.line(`"listenerName":"strict"`, `"sslClientVerify":"SUCCESS"`, `"sslClientCertificateFingerprint":"`, `"sslClientCertificateIssuerName":"CN=Gatehouse test authority"`)
	g.line(`"listenerName":"pass"`, `"sslClientVerify":"NONE"`)
	g.line(`"listenerName":"pass"`, `"sslClientVerify":"FAILED:certificate is not of a CA that is configured"`)
	t.Run("over plain HTTP", func(t *testing.T) {
		if r := testkit.Get(t, g.plain, "a.test", "/", lies...); r.StatusCode != 200 {
			t.Fatal(r.Status)
		}
		told(t, g.backend.Last(), nil)
	})
	t.Run("in trailers", func(t *testing.T) {
		c := testkit.Dial(t, g.plain)
		c.Send("POST / HTTP/1.1\r\nHost: a.test\r\nTrailer: Client-Cert, X-Client-Cert-Verification, X-Checksum\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n",
			"0\r\nClient-Cert: :AAAA:\r\nX-Client-Cert-Verification: SUCCESS\r\nX-Checksum: 1\r\n\r\n")
		c.ReadResponse("POST")
		if raw := strings.ToLower(string(g.backend.Received())); strings.Contains(raw[strings.LastIndex(raw, "post /"):], "client-cert") {
			t.Errorf("the backend got %q", raw[strings.LastIndex(raw, "post /"):])
		}
	})
}

// told checks that of all fields about certificates a request has these and no other.
func told(t *testing.T, r *testkit.Request, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := r.Values(name); value != "" && (len(got) != 1 || got[0] != value) {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	full := len(want) > 2
	for _, name := range r.Names() {
		lower := strings.ReplaceAll(strings.ToLower(name), "_", "-")
		about := strings.Contains(lower, "client-cert") || strings.Contains(lower, "clientcert")
		if _, ok := want[name]; about && !ok && !(full && strings.HasPrefix(name, "X-Client-Cert") && len(r.Values(name)) == 1) {
			t.Errorf("the backend got %s: %q", name, r.Values(name))
		}
		if strings.Contains(r.Get(name), "forged") || r.Get(name) == "CN=admin" || r.Get(name) == ":AAAA:" {
			t.Errorf("the backend got %s: %q of the client", name, r.Values(name))
		}
	}
}

// TestChangeOfTheCAs: neither tickets nor open connections outlive the trust that they were made under.
func TestChangeOfTheCAs(t *testing.T) {
	t.Parallel()
	g := start(t, "", testkit.NewBackend(t, testkit.Respond(200, "ok")))
	next := testkit.NewCA(t)
	old, good := client(g.root), client(next)
	testkit.Replace(t, g.cas, string(g.root.PEM)+string(next.PEM))
	testkit.Eventually(t, soon, "both CAs to be in use", func() bool {
		status, _, err := g.try(g.tls("rfc.test", &good.TLS), "rfc.test")
		return err == nil && status == 200
	})
	ticket := g.tls("rfc.test", &old.TLS)
	ticket.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for _, want := range []bool{false, true} {
		if _, resumed, err := g.try(ticket, "rfc.test"); err != nil || resumed != want {
			t.Fatalf("resumed %v, %v; want %v", resumed, err, want)
		}
	}
	kept, keptGood := testkit.DialTLS(t, g.secure, g.tls("rfc.test", &old.TLS)), testkit.DialTLS(t, g.secure, g.tls("rfc.test", &good.TLS))
	over2, over2Good := g.http2("rfc.test", &old.TLS), g.http2("rfc.test", &good.TLS)
	for _, c := range []*testkit.Client{kept, keptGood} {
		c.Send(request("rfc.test"))
		if r := c.ReadResponse("GET"); r.StatusCode != 200 {
			t.Fatal(r.Status)
		}
	}
	for _, c := range []*http.Client{over2, over2Good} {
		if status, err := status(c, "rfc.test"); status != 200 {
			t.Fatal(status, err)
		}
	}

	testkit.Replace(t, g.cas, string(next.PEM)) // strict.test has a list of root's too: the reload is refused
	g.logs("is not signed by a CA of caFile")
	if status, _, err := g.try(g.tls("rfc.test", &old.TLS), "rfc.test"); err != nil || status != 200 {
		t.Fatalf("after a refused reload: %d, %v", status, err)
	}
	testkit.Replace(t, g.crl, string(next.CRL(time.Now().Add(time.Hour))))
	testkit.Eventually(t, soon, "the old CA to be gone", func() bool {
		_, _, err := g.try(g.tls("rfc.test", &old.TLS), "rfc.test")
		return err != nil
	})
	if status, resumed, err := g.try(ticket, "rfc.test"); err == nil {
		t.Errorf("a ticket leads past the change: %d, resumed: %v", status, resumed)
	}
	for c, want := range map[*testkit.Client]int{kept: 421, keptGood: 200} {
		c.Send(request("rfc.test"))
		if r := c.ReadResponse("GET"); r.StatusCode != want {
			t.Errorf("on a connection from before: %q, want %d", r.Head, want)
		}
		c.ExpectClosed(soon)
	}
	for c, want := range map[*http.Client]int{over2: 421, over2Good: 200} {
		if status, err := status(c, "rfc.test"); status != want {
			t.Errorf("on an HTTP/2 connection from before: %d, %v, want %d", status, err, want)
		}
	}
	if status, err := status(over2Good, "rfc.test"); status != 200 {
		t.Errorf("the next connection: %d, %v", status, err)
	}
}

// TestCertificatesEndOnOpenConnections: a connection does not keep good what was good when it began.
func TestCertificatesEndOnOpenConnections(t *testing.T) {
	t.Parallel()
	g := start(t, "", testkit.NewBackend(t, testkit.Respond(200, "ok")))
	short := g.root.Issue(testkit.Leaf{Client: true, NotAfter: time.Now().Add(8 * time.Second)})
	strict, pass := testkit.DialTLS(t, g.secure, g.tls("rfc.test", &short.TLS)), testkit.DialTLS(t, g.secure, g.tls("pass.test", &short.TLS))
	over2 := g.http2("rfc.test", &short.TLS)
	ask := func(c *testkit.Client, host string) int {
		c.Send(request(host))
		return c.ReadResponse("GET").StatusCode
	}
	if a, b := ask(strict, "rfc.test"), ask(pass, "pass.test"); a != 200 || b != 200 {
		t.Fatal(a, b)
	}
	if status, err := status(over2, "rfc.test"); status != 200 {
		t.Fatal(status, err)
	}
	testkit.Eventually(t, soon, "an answer 421", func() bool { return ask(strict, "rfc.test") == 421 })
	strict.ExpectClosed(soon)
	if status, err := status(over2, "rfc.test"); status != 421 {
		t.Errorf("over HTTP/2: %d, %v", status, err)
	}
	if status := ask(pass, "pass.test"); status != 200 || g.backend.Last().Get("X-Client-Cert-Verification") != "FAILED:certificate has expired" {
		t.Errorf("passthrough: %d, %q", status, g.backend.Last().Head)
	}
}

// TestTheGatewaysOwnCertificate is shown to backends that ask, and renewed.
func TestTheGatewaysOwnCertificate(t *testing.T) {
	t.Parallel()
	ca, gateways := testkit.NewCA(t), testkit.NewCA(t)
	own := gateways.Issue(testkit.Leaf{Names: []string{"gateway.test"}, Client: true, Serial: 7})
	seen := make(chan int64, 64)
	backend := testkit.StartBackend(t, testkit.BackendOptions{AllowMalformed: true, TLS: &tls.Config{
		Certificates: []tls.Certificate{ca.Server("backend.test").TLS}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: gateways.Pool(),
		VerifyPeerCertificate: func(_ [][]byte, chains [][]*x509.Certificate) error {
			seen <- chains[0][0].SerialNumber.Int64()
			return nil
		}}}, testkit.Respond(200, "ok"))
	tlsOf := func(name, more string) string {
		return ", protocol: https, tls: {caFile: " + ca.File + ", serverName: " + name + more + "}"
	}
	t.Run("none", func(t *testing.T) {
		g := start(t, tlsOf("backend.test", ""), backend)
		if r := testkit.Get(t, g.plain, "a.test", "/"); r.StatusCode != 502 {
			t.Errorf("%q", r.Head)
		}
	})
	more := ", clientCertificate: {certFile: " + own.CertFile + ", keyFile: " + own.KeyFile + "}"
	t.Run("another name than is pinned", func(t *testing.T) {
		g := start(t, tlsOf("other.test", more), backend)
		if r := testkit.Get(t, g.plain, "a.test", "/"); r.StatusCode != 502 {
			t.Errorf("%q", r.Head)
		}
	})
	for len(seen) > 0 {
		<-seen
	}
	g := start(t, tlsOf("backend.test", more), backend)
	if r := testkit.Get(t, g.plain, "a.test", "/"); r.StatusCode != 200 {
		t.Fatalf("%q", r.Head)
	}
	if n := <-seen; n != 7 {
		t.Errorf("certificate %d", n)
	}
	own.Replace(t, gateways.Issue(testkit.Leaf{Names: []string{"gateway.test"}, Client: true, Serial: 8}))
	testkit.Eventually(t, soon, "the renewed certificate, on a new connection", func() bool {
		if r := testkit.Get(t, g.plain, "a.test", "/"); r.StatusCode != 200 {
			t.Fatalf("%q", r.Head)
		}
		return len(seen) > 0 && <-seen == 8
	})
}
