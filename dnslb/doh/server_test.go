package doh

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/dnslb/server"
	"gatehouse/internal/testkit"

	"github.com/miekg/dns"
)

// respond is a Responder made of a function.
type respond func(out, query []byte, from *server.Peer) []byte

func (f respond) Respond(out, query []byte, from *server.Peer) []byte { return f(out, query, from) }

// always makes f the Responder of all.
func always(f respond) func() server.Responder { return func() server.Responder { return f } }

// echo answers with the query, as a response.
func echo(out, query []byte, _ *server.Peer) []byte {
	out = append(out, query...)
	out[2] |= 0x80
	return out
}

// query is one of n bytes.
func query(n int) []byte {
	q := make([]byte, n)
	for i := 12; i < n; i++ {
		q[i] = byte(i * 7)
	}
	return q
}

// site is a Server that runs, and what clients need for it.
type site struct {
	*Server
	ca   *testkit.CA
	stop func()
}

// start runs a Server on loopback until the test ends.
func start(t testing.TB, c Config) *site {
	t.Helper()
	ca := testkit.NewCA(t)
	if c.TLS == nil {
		c.TLS = &tls.Config{}
	}
	c.TLS.Certificates = []tls.Certificate{ca.Server("127.0.0.1", "dns.example").TLS}
	s, err := Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return &site{s, ca, stop}
}

// client speaks one version of HTTP, 1 or 2, over a single connection.
func (s *site) client(t testing.TB, version int) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(version == 1)
	protocols.SetHTTP2(version == 2)
	tr := &http.Transport{TLSClientConfig: s.ca.ClientConfig("dns.example"), Protocols: protocols, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

func (s *site) url(rest string) string { return "https://" + s.Addr(server.HTTPS).String() + rest }

// dial opens a TLS connection that asks for http/1.1, for what no client does.
func (s *site) dial(t testing.TB) *tls.Conn {
	t.Helper()
	conf := s.ca.ClientConfig("dns.example")
	conf.NextProtos = []string{"http/1.1"}
	c, err := tls.Dial("tcp", s.Addr(server.HTTPS).String(), conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// asked is a POST as it is sent, by a client that waits for nothing.
func asked(q []byte) []byte {
	return fmt.Appendf(nil, "POST /dns-query HTTP/1.1\r\nHost: dns.example\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		mediaType, len(q), q)
}

func post(s *site, q []byte) *http.Request {
	r, _ := http.NewRequest(http.MethodPost, s.url("/dns-query"), bytes.NewReader(q))
	r.Header.Set("Content-Type", mediaType)
	return r
}

func get(s *site, q []byte) *http.Request {
	r, _ := http.NewRequest(http.MethodGet, s.url("/dns-query?dns="+base64.RawURLEncoding.EncodeToString(q)), nil)
	return r
}

// do sends a request and reads the whole answer.
func do(t testing.TB, c *http.Client, r *http.Request) (*http.Response, []byte) {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// counts waits until the Stats are as they should be.
func counts(t testing.TB, s *site, what string, ok func(Stats) bool) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("stats: %+v", s.Stats())
		}
	}()
	testkit.Eventually(t, 20*time.Second, what, func() bool { return ok(s.Stats()) })
}

func TestBothMethodsOverBothVersions(t *testing.T) {
	testkit.NoLeak(t)
	var local atomic.Value
	s := start(t, Config{NewResponder: always(func(out, q []byte, from *server.Peer) []byte {
		if from.Transport != server.HTTPS || from.LocalPort == 0 || from.LocalPort == from.Addr.Port() || time.Since(from.Now) > time.Minute || from.Addr.Port() == 0 {
			panic("not who asks")
		}
		local.Store(from.Local.String() + " " + from.Addr.Addr().String())
		return echo(out, q, from)
	})})
	for version := 1; version <= 2; version++ {
		c := s.client(t, version)
		for _, q := range [][]byte{query(12), query(40), query(4096), query(4097), query(9000)} {
			for _, r := range []*http.Request{post(s, q), get(s, q)} {
				r.Header.Set("X-Forwarded-For", "192.0.2.1")
				r.Header.Set("Accept", "text/html")
				resp, body := do(t, c, r)
				want := echo(nil, q, nil)
				if resp.StatusCode != 200 || resp.ProtoMajor != version || !bytes.Equal(body, want) ||
					resp.Header.Get("Content-Type") != mediaType || resp.ContentLength != int64(len(want)) || len(resp.Cookies()) > 0 {
					t.Errorf("HTTP/%d %s of %d bytes: %v, %d bytes", version, r.Method, len(q), resp, len(body))
				}
			}
		}
		for _, n := range []int{maxMessage - 1, maxMessage} {
			if resp, body := do(t, c, post(s, query(n))); resp.StatusCode != 200 || len(body) != n {
				t.Errorf("HTTP/%d POST of %d bytes: %s, %d bytes", version, n, resp.Status, len(body))
			}
		}
	}
	if got := local.Load(); got != "127.0.0.1 127.0.0.1" {
		t.Errorf("local and client address: %v", got)
	}
	counts(t, s, "the queries", func(st Stats) bool {
		return st.HTTPS.Queries == 24 && st.HTTPS.Responses == 24 && st.HTTPS.Connections == 2 && st.HTTPS.Accepted == 2
	})
}

func TestWhatIsRefused(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, Config{NewResponder: always(func(out, q []byte, from *server.Peer) []byte {
		switch len(q) {
		case 13:
			return out
		case 14:
			panic("odd")
		case 15:
			return make([]byte, maxMessage+1)
		}
		return echo(out, q, from)
	})})
	response := query(20)
	response[2] = 0x80
	good := base64.RawURLEncoding.EncodeToString(query(16))
	whole := func(p []byte) func() io.Reader { return func() io.Reader { return bytes.NewReader(p) } }
	chunked := func(n int) func() io.Reader { // as whatever has no length known beforehand
		return func() io.Reader { return io.MultiReader(bytes.NewReader(query(n))) }
	}
	tests := []struct {
		name, method, target, kind string
		body                       func() io.Reader
		status                     int
	}{
		{"good", "GET", "/dns-query?dns=" + good, "", nil, 200},
		{"other parameters", "GET", "/dns-query?a=b;c&dns=" + good + "&dnsx=1", "", nil, 200},
		{"escaped", "GET", "/dns-query?dns=%41" + good[1:], "", nil, 200},
		{"type with parameter", "POST", "/dns-query", "Application/DNS-Message; x=y", whole(query(16)), 200},
		{"chunked", "POST", "/dns-query", mediaType, chunked(5000), 200},
		{"other path", "GET", "/dns-query/?dns=" + good, "", nil, 404},
		{"root", "GET", "/", "", nil, 404},
		{"head", "HEAD", "/dns-query?dns=" + good, "", nil, 405},
		{"put", "PUT", "/dns-query", mediaType, whole(query(16)), 405},
		{"options", "OPTIONS", "/dns-query", "", nil, 405},
		{"no parameter", "GET", "/dns-query", "", nil, 400},
		{"empty parameter", "GET", "/dns-query?dns=", "", nil, 400},
		{"twice", "GET", "/dns-query?dns=" + good + "&dns=" + good, "", nil, 400},
		{"padding", "GET", "/dns-query?dns=" + base64.URLEncoding.EncodeToString(query(16)), "", nil, 400},
		{"escaped padding", "GET", "/dns-query?dns=" + good + "%3D%3D", "", nil, 400},
		{"line end", "GET", "/dns-query?dns=" + good[:4] + "%0A" + good[4:], "", nil, 400},
		{"other alphabet", "GET", "/dns-query?dns=++//" + good, "", nil, 400},
		{"loose bits", "GET", "/dns-query?dns=" + good[:len(good)-1] + "_", "", nil, 400},
		{"half an escape", "GET", "/dns-query?dns=" + good + "%4", "", nil, 400},
		{"no type", "POST", "/dns-query", "", whole(query(16)), 415},
		{"other type", "POST", "/dns-query", "application/dns-json", whole(query(16)), 415},
		{"short", "POST", "/dns-query", mediaType, whole(query(11)), 400},
		{"empty", "POST", "/dns-query", mediaType, nil, 400},
		{"response", "POST", "/dns-query", mediaType, whole(response), 400},
		{"long", "POST", "/dns-query", mediaType, whole(query(maxMessage + 1)), 413},
		{"long and chunked", "POST", "/dns-query", mediaType, chunked(maxMessage + 1), 413},
		{"longer and chunked", "POST", "/dns-query", mediaType, chunked(200_000), 413},
		{"silent", "POST", "/dns-query", mediaType, whole(query(13)), 503},
		{"panic", "POST", "/dns-query", mediaType, whole(query(14)), 500},
		{"long answer", "POST", "/dns-query", mediaType, whole(query(15)), 500},
	}
	for version := 1; version <= 2; version++ {
		c := s.client(t, version)
		for _, tt := range tests {
			t.Run(fmt.Sprintf("HTTP%d/%s", version, tt.name), func(t *testing.T) {
				var body io.Reader
				if tt.body != nil {
					body = tt.body()
				}
				r, err := http.NewRequest(tt.method, s.url(tt.target), body)
				if err != nil {
					t.Fatal(err)
				}
				if tt.kind != "" {
					r.Header.Set("Content-Type", tt.kind)
				}
				resp, text := do(t, c, r)
				if resp.StatusCode != tt.status {
					t.Errorf("got %s %q, want %d", resp.Status, text, tt.status)
				}
				if tt.status != 200 && (resp.Header.Get("Cache-Control") != "no-store" || len(text) > 80) {
					t.Errorf("kept %q, text %q", resp.Header.Get("Cache-Control"), text)
				}
				if allow := resp.Header.Get("Allow"); (allow == "GET, POST") != (tt.status == 405) {
					t.Errorf("Allow: %q", allow)
				}
			})
		}
	}
	st := s.Stats()
	want := [refusals]uint64{RefusedPath: 4, RefusedMethod: 6, RefusedType: 4, RefusedParameter: 16, RefusedLong: 6}
	if st.Refused != want {
		t.Errorf("refused %v, want %v", st.Refused, want)
	}
	for why, n := range map[server.Drop]uint64{server.DropShort: 6, server.DropResponse: 2, server.DropSilent: 2,
		server.DropPanic: 2, server.DropLongAnswer: 2} {
		if st.HTTPS.Dropped[why] != n {
			t.Errorf("dropped as %v: %d, want %d", why, st.HTTPS.Dropped[why], n)
		}
	}
}

func TestCodedBodiesAreRefused(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, Config{NewResponder: always(echo)})
	for coding, status := range map[string]int{"gzip": 415, "identity": 200} {
		r := post(s, query(20))
		r.Header.Set("Content-Encoding", coding)
		if resp, _ := do(t, s.client(t, 2), r); resp.StatusCode != status {
			t.Errorf("%s: %s", coding, resp.Status)
		}
	}
}

func TestAnIndependentClientIsAnswered(t *testing.T) {
	testkit.NoLeak(t)
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("no curl")
	}
	s := start(t, Config{NewResponder: always(func(out, q []byte, _ *server.Peer) []byte {
		m := new(dns.Msg)
		if m.Unpack(q) != nil || len(m.Question) != 1 {
			return out
		}
		reply := new(dns.Msg).SetReply(m)
		if m.Question[0].Qtype == dns.TypeA {
			rr, _ := dns.NewRR(m.Question[0].Name + " 30 IN A 127.0.0.1")
			reply.Answer = append(reply.Answer, rr)
		}
		p, _ := reply.Pack()
		return append(out, p...)
	})})
	// The name is found by DNS over HTTPS, and leads to the same server.
	port := s.Addr(server.HTTPS).Port()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, curl, "-q", "-sS", "--noproxy", "*", "--cacert", s.ca.File, "--doh-url", s.url("/dns-query"),
		fmt.Sprintf("https://dns.example:%d/else", port)).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "nothing is here") {
		t.Errorf("curl: %v\n%s", err, out)
	}
}

func TestOldVersionsAndOtherProtocolsAreNotSpoken(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, Config{NewResponder: always(echo), TLS: &tls.Config{MinVersion: tls.VersionTLS10, NextProtos: []string{"dot"}}})
	for _, change := range []func(*tls.Config){
		func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 },
		func(c *tls.Config) { c.NextProtos = []string{"dot"} },
	} {
		conf := s.ca.ClientConfig("dns.example")
		change(conf)
		if c, err := tls.Dial("tcp", s.Addr(server.HTTPS).String(), conf); err == nil {
			t.Errorf("agreed on %v", c.ConnectionState())
			c.Close()
		}
	}
}

func TestConfigurationsThatCannotServe(t *testing.T) {
	cert := testkit.NewCA(t).Server("dns.example").TLS
	good := func() Config {
		return Config{NewResponder: always(echo), TLS: &tls.Config{Certificates: []tls.Certificate{cert}}}
	}
	for want, change := range map[string]func(*Config){
		"no responder":   func(c *Config) { c.NewResponder = nil },
		"no certificate": func(c *Config) { c.TLS = &tls.Config{} },
		"cipher suites":  func(c *Config) { c.TLS.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384} },
		"does not begin": func(c *Config) { c.Path = "dns-query" },
		"taken": func(c *Config) {
			c.Listen = func(context.Context, *net.ListenConfig, string, string) (net.Listener, error) {
				return nil, errors.New("taken")
			}
		},
	} {
		c := good()
		change(&c)
		s, err := Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), c)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "127.0.0.1:0") {
			t.Errorf("want %q, got %v", want, err)
		}
		if s != nil {
			s.Close()
		}
	}
}
