package testkit

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// spy is a testing.TB that remembers failures instead of failing, to show that a helper would fail its test.
type spy struct {
	testing.TB
	mu       sync.Mutex
	failures []string
}

func (s *spy) Errorf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, fmt.Sprintf(format, args...))
}

func (s *spy) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	runtime.Goexit()
}

// expectFailure runs f with a spy and fails t if f finds nothing wrong.
func expectFailure(t *testing.T, want string, f func(tb testing.TB)) {
	t.Helper()
	s := &spy{TB: t}
	done := make(chan struct{})
	go func() { defer close(done); f(s) }()
	<-done
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.failures) == 0 || !strings.Contains(s.failures[0], want) {
		t.Errorf("failures %q, want one with %q", s.failures, want)
	}
}

const get = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"

func TestBackendRecordsWhatItReceives(t *testing.T) {
	NoLeak(t)
	b := NewBackend(t, nil)
	c := Dial(t, b.Addr)
	c.Send("POST /a HTTP/1.1\r\nhOST: x\r\nContent-Length: 3\r\n\r\nabc", get)
	e := DecodeEcho(t, c.ReadResponse("POST").Content)
	if e.Method != "POST" || e.Body != "abc" || e.Fields[0].Name != "hOST" || e.Get("content-length") != "3" {
		t.Errorf("echo %+v", e)
	}
	c.ReadResponse("GET")
	if b.RequestCount() != 2 || b.ConnCount() != 1 || b.OpenConns() != 1 {
		t.Errorf("%d requests, %d connections, %d open", b.RequestCount(), b.ConnCount(), b.OpenConns())
	}
	if r := b.Requests()[0]; r.BodySum != sha256.Sum256([]byte("abc")) || string(r.Body) != "abc" {
		t.Errorf("request %+v", r)
	}
	if !strings.HasSuffix(string(b.Received()), "abc"+get) || b.Last().Target != "/x" {
		t.Errorf("received %q", b.Received())
	}
}

func TestBackendFailsTheTestOnMalformedRequests(t *testing.T) {
	expectFailure(t, "Content-Length and Transfer-Encoding", func(tb testing.TB) {
		b := NewBackend(tb, nil)
		c := Dial(t, b.Addr)
		c.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
		if r := c.ReadResponse("POST"); r.StatusCode != 400 {
			t.Errorf("status %d", r.StatusCode)
		}
		c.ExpectClosed(5 * time.Second)
	})
	b := StartBackend(t, BackendOptions{AllowMalformed: true}, nil)
	c := Dial(t, b.Addr)
	c.Send("GET / HTTP/1.1\nHost: x\n\n")
	c.ReadResponse("GET")
	if len(b.Problems()) != 1 {
		t.Errorf("problems %q", b.Problems())
	}
}

func TestHandlersMisbehaveAsTold(t *testing.T) {
	b := NewBackend(t, ByPath(map[string]Handler{
		"/reset":   func(c *Conn, _ *Request) { c.Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"); c.Reset() },
		"/close":   RawClose("HTTP/1.1 200 OK\r\n\r\nuntil close"),
		"/dribble": func(c *Conn, _ *Request) { c.Dribble("HTTP/1.1 204 No Content\r\n\r\n", 5, time.Millisecond) },
		"/early":   Raw("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
		"/size/":   Sizes(),
		"/stall":   func(c *Conn, _ *Request) { c.Stall(0) },
	}))
	t.Run("reset", func(t *testing.T) {
		c := Dial(t, b.Addr)
		c.Send("GET /reset HTTP/1.1\r\nHost: x\r\n\r\n")
		c.ExpectReset(5 * time.Second)
	})
	t.Run("close", func(t *testing.T) {
		if r := Get(t, b.Addr, "x", "/close"); string(r.Content) != "until close" {
			t.Errorf("content %q", r.Content)
		}
	})
	t.Run("dribble", func(t *testing.T) {
		if r := Get(t, b.Addr, "x", "/dribble"); r.StatusCode != 204 {
			t.Errorf("status %d", r.StatusCode)
		}
	})
	t.Run("early", func(t *testing.T) {
		c := Dial(t, b.Addr)
		c.Send("GET /early HTTP/1.1\r\nHost: x\r\n\r\n")
		r, interim := c.ReadFinal("GET")
		if r.StatusCode != 200 || len(interim) != 1 || interim[0].Get("link") != "</a>" {
			t.Errorf("%d after %d interim responses", r.StatusCode, len(interim))
		}
	})
	t.Run("size", func(t *testing.T) {
		r := Get(t, b.Addr, "x", "/size/100000?q")
		if string(r.Content) != Pattern(100000) || len(r.Content) != 100000 {
			t.Errorf("%d bytes", len(r.Content))
		}
	})
	t.Run("head", func(t *testing.T) {
		r := Exchange(t, b.Addr, "HEAD /size/10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if r.ContentLength != 10 || len(r.Content) != 0 {
			t.Errorf("length %d, %d bytes", r.ContentLength, len(r.Content))
		}
	})
	t.Run("stall", func(t *testing.T) {
		c := Dial(t, b.Addr)
		c.Send("GET /stall HTTP/1.1\r\nHost: x\r\n\r\n")
		c.ExpectSilence(20 * time.Millisecond)
	})
}

func TestEarlyAnswerWithoutReadingTheBody(t *testing.T) {
	b := NewBackend(t, func(c *Conn, r *Request) {
		c.Respond(r, 413, "", "Connection: close")
		c.Close()
	})
	c := Dial(t, b.Addr)
	c.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
	if r := c.ReadResponse("POST"); r.StatusCode != 413 {
		t.Errorf("status %d", r.StatusCode)
	}
	if r := b.Requests()[0]; r.Complete || r.BodyLen != 0 {
		t.Errorf("complete=%v with %d bytes", r.Complete, r.BodyLen)
	}
}

func TestContinueIsSentWhenTheBodyIsRead(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
	b := NewBackend(t, nil)
	c := Dial(t, b.Addr)
	c.Send(head)
	if r := c.ReadResponse("POST"); r.StatusCode != 100 {
		t.Fatalf("status %d", r.StatusCode)
	}
	c.Send("ab")
	if e := DecodeEcho(t, c.ReadResponse("POST").Content); e.Body != "ab" {
		t.Errorf("body %q", e.Body)
	}
	b.Handle(func(c *Conn, r *Request) { c.Respond(r, 417, "") })
	c.Send(head)
	if r := c.ReadResponse("POST"); r.StatusCode != 417 {
		t.Errorf("status %d", r.StatusCode)
	}
	c.ExpectClosed(5 * time.Second)
}

func TestWaitPeerTellsFINFromReset(t *testing.T) {
	how := make(chan error, 1)
	b := NewBackend(t, func(c *Conn, _ *Request) { how <- c.WaitPeer(10 * time.Second) })
	c := Dial(t, b.Addr)
	c.Send(get)
	c.CloseWrite()
	if err := <-how; err != nil {
		t.Errorf("FIN is %v", err)
	}
	c = Dial(t, b.Addr)
	c.Send(get)
	Eventually(t, 5*time.Second, "the request", func() bool { return b.RequestCount() == 2 })
	c.Reset()
	if err := <-how; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset is %v", err)
	}
}

func TestTunnelAfterUpgrade(t *testing.T) {
	b := NewBackend(t, func(c *Conn, _ *Request) {
		c.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
		_, _ = io.Copy(c, readerOnly{c})
		c.Close()
	})
	c := Dial(t, b.Addr)
	c.Send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nearly")
	if r := c.ReadResponse("GET"); r.StatusCode != 101 {
		t.Fatalf("status %d", r.StatusCode)
	}
	if got := c.ReadN(5); got != "early" {
		t.Errorf("tunnel gives %q", got)
	}
	c.CloseWrite()
	c.ExpectClosed(5 * time.Second)
}

// readerOnly keeps io.Copy from the ReadFrom and WriteTo of the embedded connection, which would pass by the reader.
type readerOnly struct{ io.Reader }

func TestStopRefusesUntilStart(t *testing.T) {
	b := NewBackend(t, nil)
	c := Dial(t, b.Addr)
	c.Send(get)
	c.ReadResponse("GET")
	b.Stop()
	c.ExpectClosed(5 * time.Second)
	if conn, err := net.DialTimeout("tcp", b.Addr, time.Second); err == nil {
		conn.Close()
		t.Fatal("a stopped backend accepts")
	}
	b.Start()
	if r := Get(t, b.Addr, "x", "/"); r.StatusCode != 200 {
		t.Errorf("status %d", r.StatusCode)
	}
}

func TestProxyLineIsTakenOff(t *testing.T) {
	b := StartBackend(t, BackendOptions{ProxyProtocol: true}, nil)
	Exchange(t, b.Addr, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"+get)
	if got := b.Conns()[0].Proxied; got != "PROXY TCP4 192.0.2.1 192.0.2.2 1 2" {
		t.Errorf("line %q", got)
	}
}

func TestTLSBackendAndClient(t *testing.T) {
	NoLeak(t)
	ca := NewCA(t)
	for _, leaf := range []Leaf{{Names: []string{"a.test", "127.0.0.1"}}, {Names: []string{"a.test"}, RSA: true, Serial: 7}} {
		cert := ca.Issue(leaf)
		b := NewTLSBackend(t, cert, nil)
		c := DialTLS(t, b.Addr, ca.ClientConfig("a.test"))
		c.Send(get)
		if e := DecodeEcho(t, c.ReadResponse("GET").Content); e.Target != "/x" {
			t.Errorf("echo %+v", e)
		}
		if got := string(b.Received()); got != get {
			t.Errorf("received %q, want the decrypted request", got)
		}
		expectFailure(t, "handshake", func(tb testing.TB) { DialTLS(tb, b.Addr, ca.ClientConfig("b.test")) })
	}
}

func TestIssuedCertificatesAreFilesThatCanBeReplaced(t *testing.T) {
	ca := NewCA(t)
	old, next := ca.Server("a.test"), ca.Issue(Leaf{Names: []string{"b.test"}, NotAfter: time.Now().Add(time.Minute), Client: true})
	old.Replace(t, next)
	if _, err := next.TLS.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	pair, err := loadPair(old.CertFile, old.KeyFile)
	if err != nil || pair.DNSNames[0] != "b.test" {
		t.Errorf("%v, %v", pair, err)
	}
}

func TestHelpersFailTheirTests(t *testing.T) {
	b := NewBackend(t, Raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	served := func(tb testing.TB) *Client {
		c := Dial(tb, b.Addr)
		c.Send(get)
		return c
	}
	expectFailure(t, "still open", func(tb testing.TB) { c := served(tb); c.ReadResponse("GET"); c.ExpectClosed(10 * time.Millisecond) })
	expectFailure(t, "bytes where the end", func(tb testing.TB) {
		c := served(tb)
		_, _ = c.br.Peek(1) // the bytes are there
		c.ExpectClosed(100 * time.Millisecond)
	})
	expectFailure(t, "no reset", func(tb testing.TB) { served(tb).ExpectReset(100 * time.Millisecond) })
	expectFailure(t, "no silence", func(tb testing.TB) { served(tb).ExpectSilence(5 * time.Second) })
	expectFailure(t, "still waiting for rain", func(tb testing.TB) { Eventually(tb, time.Millisecond, "rain", func() bool { return false }) })
	expectFailure(t, "leak", func(tb testing.TB) {
		before := Count(tb)
		stop := make(chan struct{})
		defer close(stop)
		for range 20 { // more than what earlier tests may still be giving back
			go func() { <-stop }()
		}
		before.Settle(tb, 20*time.Millisecond)
	})
	expectFailure(t, "leak", func(tb testing.TB) {
		before := Count(tb)
		for range 20 {
			defer Dial(tb, b.Addr).Close()
		}
		before.Settle(tb, 20*time.Millisecond)
	})
}

func TestAddresses(t *testing.T) {
	if conn, err := net.DialTimeout("tcp", RefusingAddr(t), time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("refusing address: %v %v", conn, err)
	}
	if conn, err := net.DialTimeout("tcp", SilentAddr(t), 50*time.Millisecond); err == nil || !isTimeout(err) {
		t.Errorf("silent address: %v %v", conn, err)
	}
	ln, err := net.Listen("tcp", FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
}
