package probe

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

// serve answers each connection to a loopback socket with f until the test
// ends.
func serve(t *testing.T, f func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go accept(l, f)
	return netip.MustParseAddrPort(l.Addr().String())
}

func accept(l net.Listener, f func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			f(c)
		}()
	}
}

// readHead reads a request's head and returns it.
func readHead(c net.Conn) string {
	var head []byte
	buf := make([]byte, 1)
	for !strings.HasSuffix(string(head), "\r\n\r\n") {
		if _, err := c.Read(buf); err != nil {
			break
		}
		head = append(head, buf...)
	}
	return string(head)
}

// says is a server that answers every request with fixed bytes.
func says(t *testing.T, answer string) netip.AddrPort {
	return serve(t, func(c net.Conn) {
		readHead(c)
		io.WriteString(c, answer)
	})
}

// refused is an address where nothing listens.
func refused(t *testing.T) netip.AddrPort {
	return netip.MustParseAddrPort(testkit.RefusingAddr(t))
}

// check compiles a probe and runs it once; it returns the reason, "" if
// healthy.
func check(t *testing.T, p *config.Probe, s config.BackendSettings, verify *tls.Config, subject Subject) string {
	t.Helper()
	plan, err := Compile(p, s, verify)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := plan.Checker(subject).Check(ctx); err != nil {
		return err.Error()
	}
	return ""
}

func status(from, to int) config.ProbeMatch {
	return config.ProbeMatch{Status: []config.StatusRange{{From: from, To: to}}}
}

func TestHTTPJudgesTheAnswer(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	body := func(text string) config.ProbeMatch { return config.ProbeMatch{Body: text} }
	tests := []struct {
		name   string
		answer string
		match  config.ProbeMatch
		want   string // "": healthy
	}{
		{"200", ok, config.ProbeMatch{}, ""},
		{"399", "HTTP/1.1 399 x\r\nContent-Length: 0\r\n\r\n", config.ProbeMatch{}, ""},
		{"a redirect is not followed", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", config.ProbeMatch{}, ""},
		{"a redirect fails if not listed", "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", status(200, 299), "status 302 not in 200-299"},
		{"503", "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", config.ProbeMatch{}, "status 503 not in 200-399"},
		{"listed code", "HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n", config.ProbeMatch{Status: []config.StatusRange{{From: 200, To: 299}, {From: 401, To: 401}}}, ""},
		{"several ranges in the reason", ok, config.ProbeMatch{Status: []config.StatusRange{{From: 201, To: 299}, {From: 401, To: 401}}}, "status 200 not in 201-299, 401"},
		{"body matches", ok, body("ell"), ""},
		{"body does not match", ok, body("goodbye"), `body does not contain "goodbye"`},
		{"chunked body matches across chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", body("hello"), ""},
		{"body until close", "HTTP/1.0 200 OK\r\n\r\nhello", body("hello"), ""},
		{"match beyond 64 KiB is not seen", "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", maxBody) + "needle", body("needle"), `body does not contain "needle"`},
		{"match just within 64 KiB", "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", maxBody-6) + "needle", body("needle"), ""},
		{"body cut short", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello", body("goodbye"), "reading the body: connection closed by the other side"},
		{"interim answers", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + ok, config.ProbeMatch{}, ""},
		{"interim answers without end", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100), config.ProbeMatch{}, "more than 8 interim answers"},
		{"nothing", "", config.ProbeMatch{}, "connection closed by the other side"},
		{"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n", config.ProbeMatch{}, `malformed HTTP response "SSH-2.0-OpenSSH_9.2"`},
		{"endless head", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 100), config.ProbeMatch{}, "head of the answer is larger than 64 KiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := says(t, tt.answer)
			p := &config.Probe{Protocol: config.ProbeHTTP, Match: tt.match}
			if got := check(t, p, config.BackendSettings{}, nil, Subject{Addr: addr}); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestHTTPSendsWhatTheConfigurationSays(t *testing.T) {
	settings := config.BackendSettings{HostName: "settings.example"}
	tests := []struct {
		name     string
		probe    *config.Probe
		settings config.BackendSettings
		target   string
		line     string
		host     string
	}{
		{"default probe", nil, settings, "app.internal", "GET / HTTP/1.1", "127.0.0.1"},
		{"probe host", &config.Probe{Host: "probe.example", Path: "/healthz?deep=1"}, settings, "app.internal", "GET /healthz?deep=1 HTTP/1.1", "probe.example"},
		{"settings host", &config.Probe{Path: "/a%2Fb"}, settings, "app.internal", "GET /a%2Fb HTTP/1.1", "settings.example"},
		{"target", &config.Probe{}, config.BackendSettings{}, "app.internal", "GET / HTTP/1.1", "app.internal"},
		{"IPv6 target", &config.Probe{}, config.BackendSettings{}, "::1", "GET / HTTP/1.1", "[::1]"},
		{"unix socket", &config.Probe{}, config.BackendSettings{}, "", "GET / HTTP/1.1", "localhost"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			heads := make(chan string, 1)
			addr := serve(t, func(c net.Conn) {
				heads <- readHead(c)
				io.WriteString(c, "HTTP/1.1 204 x\r\n\r\n")
			})
			if got := check(t, tt.probe, tt.settings, nil, Subject{Addr: addr, Target: tt.target}); got != "" {
				t.Fatal(got)
			}
			head := <-heads
			for _, want := range []string{tt.line + "\r\n", "\r\nHost: " + tt.host + "\r\n", "\r\nConnection: close\r\n", "\r\nUser-Agent: gatehouse-probe\r\n"} {
				if !strings.Contains(head, want) {
					t.Errorf("%q lacks %q", head, want)
				}
			}
		})
	}
}

func TestProbesUseTheirOwnPort(t *testing.T) {
	addr := says(t, "HTTP/1.1 204 x\r\n\r\n")
	p := &config.Probe{Port: int(addr.Port())}
	if got := check(t, p, config.BackendSettings{}, nil, Subject{Addr: netip.AddrPortFrom(addr.Addr(), 1)}); got != "" {
		t.Error(got)
	}
}

func TestProbesReachUnixSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go accept(l, func(c net.Conn) {
		readHead(c)
		io.WriteString(c, "HTTP/1.1 204 x\r\n\r\n")
	})
	for _, protocol := range []config.ProbeProtocol{config.ProbeHTTP, config.ProbeTCP} {
		p := &config.Probe{Protocol: protocol}
		if got := check(t, p, config.BackendSettings{}, nil, Subject{Unix: path}); got != "" {
			t.Error(got)
		}
		if got := check(t, p, config.BackendSettings{}, nil, Subject{Unix: path + "x"}); got != "no such socket" {
			t.Error(got)
		}
	}
}

func TestFailuresBelowHTTPHaveReasons(t *testing.T) {
	reset := serve(t, func(c net.Conn) {
		readHead(c)
		c.(*net.TCPConn).SetLinger(0)
	})
	accepts := serve(t, func(c net.Conn) {})
	plain := serve(t, func(c net.Conn) {
		c.Read(make([]byte, 1024)) // a hello, which ends in no empty line
		io.WriteString(c, "HTTP/1.1 400 x\r\n\r\n")
	})
	tests := []struct {
		name     string
		protocol config.ProbeProtocol
		addr     netip.AddrPort
		want     string
	}{
		{"http refused", config.ProbeHTTP, refused(t), "connect refused"},
		{"https refused", config.ProbeHTTPS, refused(t), "connect refused"},
		{"tcp refused", config.ProbeTCP, refused(t), "connect refused"},
		{"tcp accepted", config.ProbeTCP, accepts, ""},
		{"http reset", config.ProbeHTTP, reset, "connection reset"},
		{"https to http", config.ProbeHTTPS, plain, "not a TLS server"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := check(t, &config.Probe{Protocol: tt.protocol}, config.BackendSettings{}, nil, Subject{Addr: tt.addr}); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestChecksEndWithTheirContext(t *testing.T) {
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	silent := serve(t, func(c net.Conn) { <-hold })
	stalls := serve(t, func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello")
		<-hold
	})
	tests := []struct {
		name  string
		probe config.Probe
		addr  netip.AddrPort
		want  string
		time  time.Duration
	}{
		{"no answer", config.Probe{Protocol: config.ProbeHTTP}, silent, "timeout", 50 * time.Millisecond},
		{"no handshake", config.Probe{Protocol: config.ProbeHTTPS}, silent, "timeout", 50 * time.Millisecond},
		// Enough for the head to be read before, on a busy machine too.
		{"no end of the body", config.Probe{Match: config.ProbeMatch{Body: "x"}}, stalls, "reading the body: timeout", 2 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan, err := Compile(&tt.probe, config.BackendSettings{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), tt.time)
			defer cancel()
			begun := time.Now()
			err = plan.Checker(Subject{Addr: tt.addr}).Check(ctx)
			if err == nil || err.Error() != tt.want {
				t.Errorf("%v, want %s", err, tt.want)
			}
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// What is not looked at is not waited for.
func TestTheBodyIsNotReadToItsEnd(t *testing.T) {
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	for name, answer := range map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\nhello",
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			addr := serve(t, func(c net.Conn) {
				readHead(c)
				io.WriteString(c, answer)
				<-hold
			})
			begun := time.Now()
			if got := check(t, &config.Probe{}, config.BackendSettings{}, nil, Subject{Addr: addr}); got != "" {
				t.Error(got)
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	return &authority{cert, key}
}

func (a *authority) issue(t *testing.T, name string, until time.Time) tls.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name},
		NotBefore: until.Add(-2 * time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// serveTLS answers 204 and reports the SNI of each handshake.
func serveTLS(t *testing.T, cert tls.Certificate) (netip.AddrPort, <-chan string) {
	names := make(chan string, 10)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Proto != "HTTP/1.1" {
			t.Errorf("probed over %s", r.Proto)
		}
		w.WriteHeader(204)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	// Not GetCertificate: without SNI, httptest's own certificate would win.
	server.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		names <- h.ServerName
		return &tls.Config{Certificates: []tls.Certificate{cert}}, nil
	}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return netip.MustParseAddrPort(server.Listener.Addr().String()), names
}

func TestHTTPSVerifiesAndNames(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	verify := &tls.Config{RootCAs: ca.pool()}
	good := ca.issue(t, "app.example", time.Now().Add(time.Hour))
	expired := ca.issue(t, "app.example", time.Now().Add(-time.Minute))
	foreign := other.issue(t, "app.example", time.Now().Add(time.Hour))
	https := config.BackendSettings{Protocol: config.BackendHTTPS}
	named := func(host, server string) config.BackendSettings {
		s := https
		s.HostName, s.TLS.ServerName = host, server
		return s
	}
	custom := func(host string) *config.Probe { return &config.Probe{Protocol: config.ProbeHTTPS, Host: host} }
	tests := []struct {
		name     string
		cert     tls.Certificate
		probe    *config.Probe
		settings config.BackendSettings
		verify   *tls.Config
		target   string
		sni      string
		want     string
	}{
		{"default probe to a name", good, nil, https, verify, "app.example", "app.example", ""},
		{"default probe to a wrong name", good, nil, https, verify, "bad.example", "bad.example", "certificate is not valid for bad.example"},
		{"default probe to an address that the certificate does not name", good, nil, https, verify, "127.0.0.1", "", "certificate is not valid for 127.0.0.1"},
		{"settings' name with a port", good, nil, named("app.example:444", ""), verify, "127.0.0.1", "app.example", ""},
		{"foreign chain", foreign, nil, named("app.example", ""), verify, "127.0.0.1", "app.example", "certificate signed by unknown authority"},
		{"expired", expired, nil, named("app.example", ""), verify, "127.0.0.1", "app.example", "certificate has expired or is not yet valid"},
		{"probe host before all", good, custom("app.example"), named("b.example", "c.example"), verify, "d.example", "app.example", ""},
		{"probe host that is an address is no name", good, custom("127.0.0.1"), https, verify, "app.example", "app.example", ""},
		{"server name before host name", good, nil, named("b.example", "app.example"), verify, "d.example", "app.example", ""},
		{"host name before target", good, nil, named("app.example:8443", ""), verify, "d.example", "app.example", ""},
		{"expired", expired, nil, https, verify, "app.example", "app.example", "certificate has expired or is not yet valid"},
		{"unknown authority", foreign, nil, https, verify, "app.example", "app.example", "certificate signed by unknown authority"},
		{"not verified", foreign, nil, https, &tls.Config{InsecureSkipVerify: true}, "bad.example", "bad.example", ""},
		{"server name that is an address is verified", good, nil, named("", "127.0.0.1"), verify, "app.example", "", "certificate is not valid for 127.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr, names := serveTLS(t, tt.cert)
			if got := check(t, tt.probe, tt.settings, tt.verify, Subject{Addr: addr, Target: tt.target}); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if got := <-names; got != tt.sni {
				t.Errorf("SNI %q, want %q", got, tt.sni)
			}
		})
	}
	if verify.ServerName != "" || verify.VerifyConnection != nil {
		t.Error("the caller's TLS configuration was changed")
	}
}

// sessions counts what is kept for resumption.
type sessions struct{ kept int }

func (s *sessions) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (s *sessions) Put(string, *tls.ClientSessionState)        { s.kept++ }

func TestHTTPSResumesNoSession(t *testing.T) {
	ca := newAuthority(t)
	addr, _ := serveTLS(t, ca.issue(t, "app.example", time.Now().Add(time.Hour)))
	cache := &sessions{}
	verify := &tls.Config{RootCAs: ca.pool(), ClientSessionCache: cache}
	s := config.BackendSettings{Protocol: config.BackendHTTPS}
	if got := check(t, nil, s, verify, Subject{Addr: addr, Target: "app.example"}); got != "" {
		t.Fatal(got)
	}
	if cache.kept != 0 {
		t.Error("a TLS session was kept")
	}
}

func TestCompileRefusesWhatCannotBeAsked(t *testing.T) {
	tests := []struct {
		name  string
		probe config.Probe
		want  string
	}{
		{"relative path", config.Probe{Name: "p", Path: "healthz"}, `probe "p": path "healthz" is not a path`},
		{"absolute URL", config.Probe{Path: "http://a/"}, `probe "": path "http://a/" is not a path`},
		{"line break", config.Probe{Path: "/a\r\nX: y"}, `is not a path`},
		{"long pattern", config.Probe{Match: config.ProbeMatch{Body: strings.Repeat("é", 4091)}}, "4091 characters, more than 4090"},
		{"longest pattern", config.Probe{Match: config.ProbeMatch{Body: strings.Repeat("é", 4090)}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Compile(&tt.probe, config.BackendSettings{}, nil)
			if got := fmt.Sprint(err); tt.want == "" && err != nil || !strings.Contains(got, tt.want) && tt.want != "" {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestAWayIsWhatIsAsked(t *testing.T) {
	way := func(change func(*config.Probe)) string {
		p := config.Probe{Name: "p", Path: "/a"}
		change(&p)
		plan, err := Compile(&p, config.BackendSettings{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return plan.Way()
	}
	plain := way(func(*config.Probe) {})
	if got := way(func(p *config.Probe) { p.Name, p.Interval, p.UnhealthyThreshold, p.StartUnhealthy = "q", 1, 9, true }); got != plain {
		t.Errorf("another name and policy make %s of %s", got, plain)
	}
	for what, change := range map[string]func(*config.Probe){
		"protocol": func(p *config.Probe) { p.Protocol = config.ProbeTCP },
		"host":     func(p *config.Probe) { p.Host = "a" },
		"path":     func(p *config.Probe) { p.Path = "/b" },
		"port":     func(p *config.Probe) { p.Port = 81 },
		"status":   func(p *config.Probe) { p.Match.Status = []config.StatusRange{{From: 204, To: 204}} },
		"body":     func(p *config.Probe) { p.Match.Body = "ready" },
	} {
		if way(change) == plain {
			t.Errorf("another %s makes no difference", what)
		}
	}
}

func TestTheDefaultProbeIsAzures(t *testing.T) {
	p, err := Compile(nil, config.BackendSettings{Protocol: config.BackendHTTPS}, nil)
	if err != nil {
		t.Fatal(err)
	}
	policy := p.Policy()
	if policy.Interval != 30*time.Second || policy.Timeout != 30*time.Second || policy.UnhealthyThreshold != 3 || policy.HealthyThreshold != 1 || policy.StartUnhealthy {
		t.Errorf("%+v", policy)
	}
	if p.probe.Protocol != config.ProbeHTTPS {
		t.Error("not over the settings' protocol")
	}
}

// FuzzAnswer feeds a check whatever a backend may say: it ends, and its reason
// is short and printable.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 100 x\r\n\r\nHTTP/1.1 503 \x1b[31m\r\n\r\n"))
	f.Add([]byte("\x00\xff\r\n"))
	plan, err := Compile(&config.Probe{Match: config.ProbeMatch{Body: "hello"}}, config.BackendSettings{}, nil)
	if err != nil {
		f.Fatal(err)
	}
	h := plan.Checker(Subject{}).(*HTTP)
	f.Fuzz(func(t *testing.T, answer []byte) {
		err := h.exchange(&canned{Reader: strings.NewReader(string(answer))})
		if err == nil {
			if !strings.HasPrefix(string(answer), "HTTP/") {
				t.Errorf("healthy on %q", answer)
			}
			return
		}
		reason := err.Error()
		if len(reason) > 300 || strings.ContainsFunc(reason, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("reason %q", reason)
		}
	})
}

// canned is a connection that has already been answered.
type canned struct {
	net.Conn
	io.Reader
}

func (c *canned) Read(p []byte) (int, error)  { return c.Reader.Read(p) }
func (c *canned) Write(p []byte) (int, error) { return len(p), nil }
