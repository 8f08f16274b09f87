package http3

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	h3 "github.com/quic-go/quic-go/http3"

	"gatehouse/internal/testkit"
)

func TestRequests(t *testing.T) {
	g := start(t, testkit.Echo(), "")
	client := g.client()
	t.Run("GET", func(t *testing.T) {
		resp, body := get(t, client, "https://shop.test/a?b=c")
		e := testkit.DecodeEcho(t, []byte(body))
		if resp.Proto != "HTTP/3.0" || e.Method != "GET" || e.Target != "/a?b=c" || e.Proto != "HTTP/1.1" {
			t.Errorf("%s %+v", resp.Proto, e)
		}
		if e.Get("Host") != "shop.test" || e.Get("X-Forwarded-Proto") != "https" || e.Get("Transfer-Encoding") != "" || e.Get("Early-Data") != "" {
			t.Errorf("%+v", e.Fields)
		}
		if got := resp.Header.Get("Alt-Svc"); got != "" {
			t.Errorf("Alt-Svc %q on HTTP/3 itself", got)
		}
		line := g.lastLine(`"requestUri":"/a"`)
		for _, want := range []string{`"HTTP/3.0"`, `"sslProtocol":"TLSv1.3"`, `"clientIP":"127.0.0.1"`} {
			if !strings.Contains(line, want) {
				t.Errorf("no %s in %s", want, line)
			}
		}
	})
	t.Run("HEAD", func(t *testing.T) {
		resp, err := client.Head("https://shop.test/")
		if err != nil || resp.StatusCode != 200 || resp.ContentLength <= 0 {
			t.Errorf("%v %v", resp, err)
		}
	})
	t.Run("POST", func(t *testing.T) {
		resp, err := client.Post("https://shop.test/", "text/plain", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		if e := testkit.DecodeEcho(t, body); e.Body != "hello" || e.Get("Content-Length") != "5" {
			t.Errorf("%+v", e)
		}
	})
	t.Run("trailers of the request", func(t *testing.T) {
		req, _ := http.NewRequest("POST", "https://shop.test/", io.NopCloser(strings.NewReader("hello")))
		req.Trailer = http.Header{"X-Sum": {"7"}}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		if e := testkit.DecodeEcho(t, body); e.Body != "hello" || fmt.Sprint(e.Trailers) != "[{x-sum 7}]" {
			t.Errorf("%+v", e)
		}
	})
	t.Run("Alt-Svc over TCP", func(t *testing.T) {
		tcp := &http.Client{Transport: &http.Transport{TLSClientConfig: g.ca.ClientConfig("shop.test")}, Timeout: soon}
		defer tcp.CloseIdleConnections()
		_, port, _ := strings.Cut(g.addr, ":")
		want := `h3=":` + port + `"; ma=86400`
		if resp, _ := get(t, tcp, "https://"+g.addr+"/"); resp.Header.Get("Alt-Svc") != want {
			t.Errorf("Alt-Svc is %q, not %q", resp.Header.Get("Alt-Svc"), want)
		}
	})
}

// A connection is for the listener that did its handshake, and for those with the same TLS settings.
func TestMisdirected(t *testing.T) {
	g := start(t, testkit.Respond(200, "ok"), "")
	conn := dial(t, g)
	for host, want := range map[string]string{"shop.test": ":status 200", "other.test": ":status 200", "strict.test": ":status 421"} {
		s := conn.request(":method", "GET", ":scheme", "https", ":authority", host, ":path", "/")
		s.Close()
		if got := s.head(); !strings.Contains(got, want) {
			t.Errorf("%s: %s", host, got)
		}
	}
}

func TestBodiesBothWays(t *testing.T) {
	sums := make(chan [sha256.Size]byte, 1)
	g := start(t, func(c *testkit.Conn, r *testkit.Request) {
		if _, err := r.ReadBody(); err != nil {
			return
		}
		if r.Method == "POST" {
			sums <- r.BodySum
		}
		testkit.Sizes()(c, r)
	}, "")
	client := g.client()
	const size = 20 << 20
	body := testkit.Pattern(size)
	for _, announced := range []bool{true, false} {
		var from io.Reader = strings.NewReader(body)
		if !announced {
			from = io.NopCloser(from)
		}
		resp, err := client.Post(fmt.Sprintf("https://shop.test/%d", size), "text/plain", from)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(got) != body {
			t.Errorf("%d bytes came back, %v", len(got), err)
		}
		if <-sums != sha256.Sum256([]byte(body)) {
			t.Error("the backend got something else")
		}
	}
}

func TestManyStreams(t *testing.T) {
	g := start(t, testkit.Sizes(), "")
	client := g.client()
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() {
			size := i * 100
			resp, err := client.Get(fmt.Sprintf("https://shop.test/%d", size))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != testkit.Pattern(size) {
				t.Errorf("%d: %d bytes, %v", size, len(body), err)
			}
		})
	}
	all.Wait()
}

// What a client gives up is given up at the backend, too.
func TestCancel(t *testing.T) {
	begun, left := make(chan struct{}, 1), make(chan error, 1)
	g := start(t, func(c *testkit.Conn, _ *testkit.Request) {
		begun <- struct{}{}
		left <- c.WaitPeer(soon)
	}, "")
	client := g.client()
	ctx, cancel := context.WithCancel(context.Background())
	req, _ := http.NewRequestWithContext(ctx, "GET", "https://shop.test/slow", nil)
	go func() {
		<-begun
		cancel()
	}()
	if _, err := client.Do(req); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := <-left; err != nil {
		t.Errorf("the backend waits on: %v", err)
	}
	g.lastLine(`"requestUri":"/slow"`, "client")
}

// A response that the backend breaks off is not whole for the client.
func TestBrokenResponse(t *testing.T) {
	g := start(t, testkit.RawClose("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), "")
	resp, err := g.client().Get("https://shop.test/")
	if err != nil {
		return // the reset was faster
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("got %q as a whole", body)
	}
}

func TestInformationAndTrailersOfTheResponse(t *testing.T) {
	g := start(t, testkit.Raw("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n"), "")
	conn := dial(t, g)
	s := conn.request(get1...)
	s.Close()
	if got := s.head(); got != ":status 103\nlink </a>\n" {
		t.Errorf("got %q", got)
	}
	if got := s.head(); !strings.Contains(got, ":status 200") {
		t.Errorf("got %q", got)
	}
	if got := s.data(); got != "abc" {
		t.Errorf("got %q", got)
	}
	if got := s.head(); !strings.Contains(got, "x-sum 7") {
		t.Errorf("trailers %q", got)
	}
}

// whenAsked calls f once the backend has had more than n requests.
func (g *gateway) whenAsked(n int, f func()) {
	for end := time.Now().Add(soon); g.backend.RequestCount() <= n && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	f()
}

// A client that comes back may ask at once, but not for what must not be repeated.
func TestEarlyData(t *testing.T) {
	g := start(t, testkit.Echo(), "")
	cache := &tickets{ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	config := func() *tls.Config {
		tc := g.tlsConfig()
		tc.ServerName, tc.ClientSessionCache = "shop.test", cache
		return tc
	}
	ask := func(addr, method string, deaf bool) (status int, early bool, e testkit.EchoReply) {
		tr := &h3.Transport{TLSClientConfig: config()}
		defer tr.Close()
		var conn *quic.Conn
		before, tickets := g.backend.RequestCount(), cache.got.Load()
		tr.Dial = func(ctx context.Context, _ string, c *tls.Config, _ *quic.Config) (*quic.Conn, error) {
			var err error
			if !deaf {
				conn, err = quic.DialAddrEarly(ctx, addr, c, &quic.Config{})
				return conn, err
			}
			var hear func()
			conn, hear = dialDeaf(t, addr, c)
			go g.whenAsked(before, hear)
			return conn, nil
		}
		req, _ := http.NewRequest(method, "https://shop.test/", nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode == 200 {
			e = testkit.DecodeEcho(t, body)
		}
		testkit.Eventually(t, soon, "a ticket, which comes behind the handshake", func() bool { return cache.got.Load() > tickets })
		return resp.StatusCode, conn.ConnectionState().Used0RTT, e
	}
	if status, early, _ := ask(g.early, "GET", false); status != 200 || early {
		t.Fatalf("the first time: %d, early %v", status, early)
	}
	status, early, e := ask(g.early, h3.MethodGet0RTT, true)
	if status != 200 || !early || e.Get("Early-Data") != "1" || e.Method != "GET" {
		t.Errorf("coming back: %d, early %v, %+v", status, early, e)
	}
	before := g.backend.RequestCount()
	q, hear := dialDeaf(t, g.early, config())
	conn := &rawConn{Conn: q, t: t}
	s := conn.request(":method", "POST", ":scheme", "https", ":authority", "shop.test", ":path", "/", "content-length", "0")
	s.Close()
	g.lastLine(`"httpStatus":425`)
	hear()
	if got := s.head(); !strings.Contains(got, ":status 425") || g.backend.RequestCount() != before {
		t.Errorf("a POST that may be a replay: %s", got)
	}
	s = conn.request(":method", "POST", ":scheme", "https", ":authority", "shop.test", ":path", "/", "content-length", "0")
	s.Close()
	if got := s.head(); !strings.Contains(got, ":status 200") {
		t.Errorf("a POST after the handshake: %s", got)
	}
	// Where it is off, the client is served all the same, after the handshake.
	cache.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	ask(g.addr, "GET", false)
	if status, early, e := ask(g.addr, h3.MethodGet0RTT, false); status != 200 || early || e.Get("Early-Data") != "" {
		t.Errorf("early data is off: %d, early %v, %+v", status, early, e)
	}
}

func TestReloadsAndStop(t *testing.T) {
	g := start(t, testkit.Respond(200, "ok"), "")
	client := g.client()
	var served, failed atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := client.Get("https://shop.test/")
				if err != nil {
					failed.Add(1)
					t.Log(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 {
					failed.Add(1)
				}
				served.Add(1)
			}
		})
	}
	for i := range 5 {
		before := served.Load()
		g.reload(strings.Replace(g.config(), "requestTimeout: 20s", fmt.Sprintf("requestTimeout: %ds", 20+i), 1))
		testkit.Eventually(t, soon, "requests", func() bool { return served.Load() > before+20 })
	}
	close(stop)
	load.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed", n, served.Load())
	}
	// One request under way at the end.
	hold, stay := make(chan struct{}), make(chan struct{})
	g.backend.Handle(func(c *testkit.Conn, r *testkit.Request) {
		<-map[bool]chan struct{}{true: stay, false: hold}[r.Target == "/stay"]
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	n := g.backend.RequestCount()
	conn := dial(t, g)
	conn.stay()
	s := conn.request(get1...)
	s.Close()
	testkit.Eventually(t, soon, "the requests", func() bool { return g.backend.RequestCount() == n+2 })
	if err := syscall.Kill(g.proc.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if kind, p := conn.control(); kind != 0x7 || len(p) != 8 {
		t.Errorf("frame %#x %x, not GOAWAY", kind, p)
	}
	close(hold)
	if head, data := s.head(), s.data(); !strings.Contains(head, ":status 200") || data != "ok" {
		t.Errorf("%s %q", head, data)
	}
	close(stay)
	if code := conn.closed(); code != 0x100 {
		t.Errorf("closed with %#x", code)
	}
	testkit.Eventually(t, soon, "the end", func() bool { return !g.proc.Running() })
}

// HTTP/3 comes and goes with the configuration.
func TestSwitchedOffAndOn(t *testing.T) {
	stay := make(chan struct{})
	g := start(t, testkit.ByPath(map[string]testkit.Handler{"/": testkit.Respond(200, "ok"), "/stay": func(c *testkit.Conn, r *testkit.Request) {
		<-stay
		c.Respond(r, 200, "ok")
	}}), "")
	client := g.client()
	get(t, client, "https://shop.test/")
	n := g.backend.RequestCount()
	conn := dial(t, g)
	conn.stay()
	testkit.Eventually(t, soon, "the request that stays", func() bool { return g.backend.RequestCount() > n })
	g.reload(strings.NewReplacer("http3: true, ", "", "http3EarlyData: true, ", "").Replace(g.config()))
	if kind, _ := conn.control(); kind != 0x7 {
		t.Errorf("frame %#x, not GOAWAY", kind)
	}
	close(stay)
	if code := conn.closed(); code != 0x100 {
		t.Errorf("closed with %#x", code)
	}
	tcp := &http.Client{Transport: &http.Transport{TLSClientConfig: g.ca.ClientConfig("shop.test")}, Timeout: soon}
	defer tcp.CloseIdleConnections()
	if resp, _ := get(t, tcp, "https://"+g.addr+"/"); resp.Header.Get("Alt-Svc") != "" {
		t.Errorf("Alt-Svc %q where there is no HTTP/3", resp.Header.Get("Alt-Svc"))
	}
	g.reload(g.config())
	if resp, body := get(t, g.client(), "https://shop.test/"); resp.StatusCode != 200 || body != "ok" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
	if resp, _ := get(t, tcp, "https://"+g.addr+"/"); resp.Header.Get("Alt-Svc") == "" {
		t.Error("no Alt-Svc")
	}
}

// Clients over a limit are told by the end of their connection.
func TestLimits(t *testing.T) {
	g := start(t, testkit.Respond(200, "ok"), "connectionsPerClient: 2, headBytes: 2KiB")
	a, b := dial(t, g), dial(t, g)
	for _, c := range []*rawConn{a, b} {
		s := c.request(get1...)
		s.Close()
		if got := s.head(); !strings.Contains(got, ":status 200") {
			t.Error(got)
		}
	}
	if code := g.turnedAway(); code != 0x107 {
		t.Errorf("the third connection ends with %#x", code)
	}
	s := a.request(append(get1, "x-long", strings.Repeat("v", 3000))...)
	s.Close()
	if got := s.head(); !strings.Contains(got, ":status 431") {
		t.Errorf("a long head: %s", got)
	}
	s = a.send(append(frame(0x1, nil)[:1], 0x80, 0x10, 0, 0)) // HEADERS of a megabyte
	if got := s.head(); !strings.Contains(got, ":status 431") {
		t.Errorf("a very long head: %s", got)
	}
	g.lastLine(`"httpStatus":431`, "request head too large")
}
