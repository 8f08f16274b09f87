package l7

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/proxy"
)

// overTwo is a setup whose backend speaks HTTP/2, and whose clients may.
func overTwo(b *testkit.H2Backend, change ...func(*setup)) setup {
	s := setup{targets: []config.Target{targetAt(b.Addr)}, http2: true, listener: func(l *Listener) { l.HTTP2 = true }}
	for _, f := range change {
		f(&s)
	}
	return s
}

// two runs a gateway with one backend that speaks HTTP/2.
func two(t testing.TB, h testkit.H2Handler, change ...func(*setup)) (*gateway, *testkit.H2Backend) {
	t.Helper()
	b := testkit.StartH2Backend(t, testkit.H2Options{}, h)
	return start(t, overTwo(b, change...)), b
}

// echoTwo answers with the request's body, piece by piece, and its trailer.
func echoTwo(c *testkit.H2Conn, r *testkit.H2Request) {
	c.Fields(r, false, ":status", "200", "content-type", "application/grpc", "x-conn", fmt.Sprint(c.ID))
	for {
		p, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return
		}
		c.Data(r, p, false)
	}
	c.Fields(r, true, "grpc-status", "0", "x-echo", r.Trailer("x-asked"))
}

// client2 is an HTTP/2 client of a gateway, by prior knowledge.
func client2(t testing.TB, g *gateway) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols), DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, g.addr)
	}}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 2 * soon}
}

// fetch2 asks over HTTP/2 and reads the answer.
func fetch2(t testing.TB, c *http.Client, method, path string, body io.Reader) (*http.Response, string) {
	t.Helper()
	q, err := http.NewRequest(method, "http://shop.test"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Do(q)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("%s %s: %v after %d bytes", method, path, err, len(text))
	}
	return r, string(text)
}

func TestARequestIsTranslatedToHTTP2(t *testing.T) {
	g, _ := two(t, func(c *testkit.H2Conn, r *testkit.H2Request) {
		var all strings.Builder
		for _, f := range r.Fields {
			all.WriteString(f.Name + "=" + f.Value + "\n")
		}
		body, _ := r.Body()
		c.Respond(r, "200", all.String()+body)
	})
	c := testkit.Dial(t, g.addr)
	got := ask(t, c, "POST /a%20b?q=1 HTTP/1.1\r\nHost: shop.test\r\nConnection: x-hop, TE\r\nX-Hop: 1\r\nTE: trailers\r\nKeep-Alive: 3\r\nX-Case: Yes\r\nCookie: a=1; b=2\r\nContent-Length: 4\r\n\r\nbody", 200)
	text := string(got.Content)
	for _, want := range []string{":method=POST\n", ":scheme=http\n", ":authority=shop.test\n", ":path=/a%20b?q=1\n", "x-case=Yes\n", "cookie=a=1; b=2\n",
		"te=trailers\n", "content-length=4\n", "x-forwarded-proto=http\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, no := range []string{"connection=", "x-hop=", "keep-alive=", "\nhost=", "transfer-encoding="} {
		if strings.Contains(text, no) {
			t.Errorf("%q in\n%s", no, text)
		}
	}
	if !strings.HasSuffix(text, "\nbody") {
		t.Errorf("the body is missing: %q", text)
	}
	if l := g.lines(t, 1)[0]; l["httpStatus"] != float64(200) {
		t.Errorf("the log says %v", l)
	}
}

func TestResponsesOfHTTP2AreFramedForHTTP1(t *testing.T) {
	for _, test := range []struct {
		name, method, status, body string
		fields                     []string
		want, not                  string
	}{
		{"unknown length", "GET", "200", "hello", nil, "Transfer-Encoding: chunked", "Content-Length"},
		{"known length", "GET", "200", "hello", []string{"content-length", "5"}, "content-length: 5", "chunked"},
		{"empty", "GET", "200", "", nil, "Content-Length: 0", "chunked"},
		{"head", "HEAD", "200", "", []string{"content-length", "5"}, "content-length: 5", "chunked"},
		{"no content", "GET", "204", "", nil, "204 No Content", "chunked"},
		{"not modified", "GET", "304", "", []string{"content-length", "9"}, "304", "chunked"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, _ := two(t, func(c *testkit.H2Conn, r *testkit.H2Request) { c.Respond(r, test.status, test.body, test.fields...) })
			c := testkit.Dial(t, g.addr)
			for range 2 { // the connection goes on
				c.Send(request(test.method, "/"))
				r, _ := c.ReadFinal(test.method)
				if head := strings.ToLower(string(r.Head)); !strings.Contains(head, strings.ToLower(test.want)) || strings.Contains(head, strings.ToLower(test.not)) {
					t.Errorf("the head is %q", r.Head)
				}
				if string(r.Content) != test.body {
					t.Errorf("the body is %q", r.Content)
				}
			}
		})
	}
}

func TestTrailersReachBothKindsOfClients(t *testing.T) {
	g, _ := two(t, echoTwo)
	q, _ := http.NewRequest("POST", "http://shop.test/", io.MultiReader(strings.NewReader("message")))
	q.Trailer = http.Header{"X-Asked": {"who"}}
	r, err := client2(t, g).Do(q)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(r.Body)
	r.Body.Close()
	if string(text) != "message" || r.Trailer.Get("Grpc-Status") != "0" || r.Trailer.Get("X-Echo") != "who" {
		t.Errorf("%q with trailers %v", text, r.Trailer)
	}
	one := ask(t, testkit.Dial(t, g.addr), request("GET", "/", "Connection: TE", "TE: trailers"), 200)
	if one.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("over HTTP/1.1: %v", one.Trailer)
	}
}

func TestATrailersOnlyResponseIsPassedOn(t *testing.T) {
	g, _ := two(t, func(c *testkit.H2Conn, r *testkit.H2Request) {
		c.Fields(r, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "12")
	})
	r, text := fetch2(t, client2(t, g), "POST", "/", strings.NewReader("x"))
	if r.Header.Get("Grpc-Status") != "12" || r.Header.Get("Content-Length") != "" || text != "" {
		t.Errorf("%v %q", r.Header, text)
	}
}

func TestRequestsShareConnections(t *testing.T) {
	const requests = 150 // over what one connection has
	var all sync.WaitGroup
	all.Add(requests)
	g, b := two(t, func(c *testkit.H2Conn, r *testkit.H2Request) {
		all.Done()
		all.Wait() // all are open at once
		c.Respond(r, "200", "ok")
	})
	var clients sync.WaitGroup
	for range requests {
		c := testkit.Dial(t, g.addr)
		c.Send(get("/"))
		clients.Go(func() {
			if r, err := c.TryReadResponse("GET", soon); err != nil || r.StatusCode != 200 {
				t.Errorf("%v %v", r, err)
			}
		})
	}
	clients.Wait()
	if n := len(b.Conns()); n != 2 {
		t.Errorf("%d connections for %d requests at once, want 2", n, requests)
	}
}

func TestTheBackendsLimitOfStreamsIsKept(t *testing.T) {
	var mu sync.Mutex
	open, most := map[int]int{}, 0
	count := func(id, n int) {
		mu.Lock()
		defer mu.Unlock()
		open[id] += n
		most = max(most, open[id])
	}
	b := testkit.StartH2Backend(t, testkit.H2Options{Settings: []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 2}}}, func(c *testkit.H2Conn, r *testkit.H2Request) {
		count(c.ID, 1)
		time.Sleep(200 * time.Millisecond) // they are open at a time on a busy machine, too
		count(c.ID, -1)
		c.Respond(r, "200", "ok")
	})
	g := start(t, overTwo(b))
	ask(t, testkit.Dial(t, g.addr), get("/"), 200) // the settings are known from here on
	var clients sync.WaitGroup
	for range 10 {
		c := testkit.Dial(t, g.addr)
		clients.Go(func() {
			c.Send(get("/"))
			if r, err := c.TryReadResponse("GET", soon); err != nil || r.StatusCode != 200 {
				t.Errorf("%v %v", r, err)
			}
		})
	}
	clients.Wait()
	first := open[0]
	if most > 100 || first != 0 || len(b.Conns()) < 2 {
		t.Errorf("%d at once on a connection, %d connections", most, len(b.Conns()))
	}
}

// GOAWAY in the middle of a load loses no request, of whatever method.
func TestGoAwayUnderLoadLosesNothing(t *testing.T) {
	g, b := two(t, func(c *testkit.H2Conn, r *testkit.H2Request) {
		body, err := r.Body()
		if err != nil {
			return
		}
		if r.ID == 15 {
			c.GoAway(r.ID, http2.ErrCodeNo)
		}
		if r.ID <= 15 {
			c.Respond(r, "200", body)
		}
	})
	var clients sync.WaitGroup
	for range 8 {
		c := testkit.Dial(t, g.addr)
		clients.Go(func() {
			for range 25 {
				c.Send(request("POST", "/", "Content-Length: 2") + "ok")
				r, err := c.TryReadResponse("POST", soon)
				if err != nil || r.StatusCode != 200 || string(r.Content) != "ok" {
					t.Errorf("%v %v", r, err)
					return
				}
			}
		})
	}
	clients.Wait()
	if n := len(b.Conns()); n < 10 {
		t.Errorf("only %d connections: no GOAWAY came", n)
	}
}

func TestARefusedStreamIsRetried(t *testing.T) {
	var mu sync.Mutex
	refused := 0
	g, b := two(t, func(c *testkit.H2Conn, r *testkit.H2Request) {
		mu.Lock()
		defer mu.Unlock()
		if refused < 2 {
			refused++
			c.Reset(r, http2.ErrCodeRefusedStream)
			return
		}
		c.Respond(r, "200", "ok")
	})
	c := testkit.Dial(t, g.addr)
	ask(t, c, request("POST", "/", "Content-Length: 2")+"ok", 200)
	if n := b.Requests.Load(); n != 3 {
		t.Errorf("%d requests came, want 3", n)
	}
	mu.Lock()
	refused = -100
	mu.Unlock()
	ask(t, c, request("POST", "/", "Content-Length: 2")+"ok", 502)
	if n := b.Requests.Load(); n > 3+1+maxTries {
		t.Errorf("%d requests came: there is no end to it", n)
	}
}

// The beginning of a body may find no window: a request that is refused then
// again and again, or stalls, is answered, too.
func TestABodyThatNobodyTakesIsA502(t *testing.T) {
	for _, w := range []struct {
		name    string
		refuses bool
		want    int64
	}{{"refused", true, 1 + maxTries}, {"stalled", false, 1}} {
		t.Run(w.name, func(t *testing.T) {
			b := testkit.StartH2Backend(t, testkit.H2Options{Stalled: true, Settings: []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 10}}},
				func(c *testkit.H2Conn, r *testkit.H2Request) {
					switch {
					case r.Field(":method") == "GET":
						c.Respond(r, "200", "ok") // so that its window is known
					case w.refuses:
						c.Reset(r, http2.ErrCodeRefusedStream)
					}
				})
			g := start(t, overTwo(b, func(s *setup) {
				s.snapshot = func(s *Snapshot) { s.Limits.WriteStall = 200 * time.Millisecond }
			}))
			c := testkit.Dial(t, g.addr)
			ask(t, c, get("/"), 200)
			ask(t, c, request("POST", "/", "Content-Length: 5000")+strings.Repeat("x", 5000), 502)
			if n := b.Requests.Load() - 1; n != w.want {
				t.Errorf("%d requests came, want %d", n, w.want)
			}
		})
	}
}

func TestAResetIsNotRetried(t *testing.T) {
	g, b := two(t, func(c *testkit.H2Conn, r *testkit.H2Request) { c.Reset(r, http2.ErrCodeInternal) })
	c := testkit.Dial(t, g.addr)
	ask(t, c, get("/"), 502)
	ask(t, c, get("/"), 502)
	if n := b.Requests.Load(); n != 2 {
		t.Errorf("%d requests came, want 2", n)
	}
	if n := len(b.Conns()); n != 1 {
		t.Errorf("%d connections, want the one", n)
	}
}

// A client that leaves costs its request, not the connection.
func TestAClientThatLeavesResetsItsStreamOnly(t *testing.T) {
	g, b := two(t, func(c *testkit.H2Conn, r *testkit.H2Request) {
		if r.Field(":path") == "/slow" {
			<-r.Gone
			return
		}
		c.Respond(r, "200", "ok")
	})
	c := testkit.Dial(t, g.addr)
	c.Send(get("/slow"))
	testkit.Eventually(t, soon, "the request", func() bool { return b.Requests.Load() == 1 })
	c.Close()
	testkit.Eventually(t, soon, "a reset", func() bool { return b.Resets.Load() == 1 })
	ask(t, testkit.Dial(t, g.addr), get("/"), 200)
	if len(b.Conns()) != 1 {
		t.Error("the connection did not live on")
	}
	if l := g.lineOf(t, "/slow"); l["httpStatus"] != float64(499) {
		t.Errorf("the log says %v", l)
	}
}

func TestARequestTimeoutResetsItsStream(t *testing.T) {
	g, b := two(t, func(c *testkit.H2Conn, r *testkit.H2Request) {
		if r.Field(":path") == "/slow" {
			<-r.Gone
			return
		}
		c.Respond(r, "200", "ok")
	}, func(s *setup) {
		s.settings = func(b *config.BackendSettings) { b.RequestTimeout = 200 * time.Millisecond }
	})
	c := testkit.Dial(t, g.addr)
	ask(t, c, get("/slow"), 504)
	testkit.Eventually(t, soon, "a reset", func() bool { return b.Resets.Load() == 1 })
	if len(b.Conns()) != 1 {
		t.Error("the connection did not live on")
	}
}

func TestACutConnectionEndsItsResponses(t *testing.T) {
	begun := make(chan struct{})
	g, _ := two(t, func(c *testkit.H2Conn, r *testkit.H2Request) {
		c.Fields(r, false, ":status", "200", "content-length", "100")
		c.Data(r, "half", false)
		<-begun
		c.Close()
	})
	c := testkit.Dial(t, g.addr)
	c.Send(get("/"))
	c.ReadN(len("HTTP/1.1 200"))
	close(begun)
	c.ExpectReset(soon)
	if l := g.lines(t, 1)[0]; l.text("termination") != "SD" {
		t.Errorf("the log says %v", l)
	}
}

// The head of a response is there before any of the request's body, and each
// piece of either is passed on at once.
func TestBothDirectionsFlowAtOnce(t *testing.T) {
	g, _ := two(t, echoTwo)
	in, out := io.Pipe()
	q, _ := http.NewRequest("POST", "http://shop.test/", in)
	q.Header.Set("Content-Type", "application/grpc")
	r, err := client2(t, g).Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	for i := range 20 {
		want := fmt.Sprintf("message %d", i)
		io.WriteString(out, want)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(r.Body, got); err != nil || string(got) != want {
			t.Fatalf("%q %v, want %q", got, err, want)
		}
	}
	out.Close()
	rest, err := io.ReadAll(r.Body)
	if err != nil || len(rest) > 0 || r.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("%q %v %v", rest, err, r.Trailer)
	}
}

func TestLargeBodiesPassBothWays(t *testing.T) {
	const size = 3 << 20
	g := start(t, setup{targets: []config.Target{targetAt(properTwo(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	}))}, http2: true, listener: func(l *Listener) { l.HTTP2 = true }})
	body := strings.Repeat("0123456789abcdef", size/16)
	c := client2(t, g)
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() {
			if _, got := fetch2(t, c, "POST", "/", strings.NewReader(body)); got != body {
				t.Errorf("%d bytes came back, of %d", len(got), size)
			}
		})
	}
	clients.Wait()
}

// A client that does not read its response holds up nobody else on the
// connection to the backend.
func TestASlowReaderHoldsUpNobody(t *testing.T) {
	big := strings.Repeat("x", 8<<20)
	g, b := two(t, func(c *testkit.H2Conn, r *testkit.H2Request) {
		if r.Field(":path") == "/big" {
			c.Fields(r, false, ":status", "200")
			c.Data(r, big[:upstreamAhead], false)
			<-r.Gone
			return
		}
		c.Respond(r, "200", "ok")
	})
	for range 12 { // 1.5 MiB: more than a connection's window
		slow := testkit.Dial(t, g.addr)
		slow.Send(get("/big"))
	}
	testkit.Eventually(t, soon, "the requests", func() bool { return b.Requests.Load() == 12 })
	ask(t, testkit.Dial(t, g.addr), get("/"), 200)
}

const upstreamAhead = 128 << 10 // what a backend may send ahead

func TestAnEarlyAnswerEndsAnUpload(t *testing.T) {
	g, _ := two(t, func(c *testkit.H2Conn, r *testkit.H2Request) {
		c.Respond(r, "413", "too much")
		c.Reset(r, http2.ErrCodeNo)
	})
	c := testkit.Dial(t, g.addr)
	c.Send(request("POST", "/", "Content-Length: 10000000"), strings.Repeat("x", 100))
	if r, _ := c.ReadFinal("POST"); r.StatusCode != 413 || string(r.Content) != "too much" {
		t.Errorf("%+v", r)
	}
}

func TestExpectIsAnsweredByTheBackend(t *testing.T) {
	g, _ := two(t, func(c *testkit.H2Conn, r *testkit.H2Request) {
		if r.Field("expect") != "100-continue" {
			c.Respond(r, "400", "no expect")
			return
		}
		c.Fields(r, false, ":status", "100")
		body, _ := r.Body()
		c.Respond(r, "200", body)
	})
	c := testkit.Dial(t, g.addr)
	c.Send(request("POST", "/", "Expect: 100-continue", "Content-Length: 5"))
	if r := c.ReadResponse("POST"); r.StatusCode != 100 {
		t.Fatalf("%+v", r)
	}
	c.Send("hello")
	if r, _ := c.ReadFinal("POST"); r.StatusCode != 200 || string(r.Content) != "hello" {
		t.Errorf("%+v", r)
	}
}

func TestInformationalResponsesOfHTTP2ArePassedOn(t *testing.T) {
	g, _ := two(t, func(c *testkit.H2Conn, r *testkit.H2Request) {
		n := 2
		if r.Field(":path") == "/many" {
			n = 20
		}
		for range n {
			c.Fields(r, false, ":status", "103", "link", "</x>")
		}
		c.Respond(r, "200", "ok")
	})
	c := testkit.Dial(t, g.addr)
	c.Send(get("/"))
	if r, interim := c.ReadFinal("GET"); r.StatusCode != 200 || len(interim) != 2 {
		t.Errorf("%+v after %d", r, len(interim))
	}
	c.Send(get("/many"))
	if r, _ := c.ReadFinal("GET"); r.StatusCode != 502 {
		t.Errorf("%+v", r)
	}
}

func TestABackendWithoutHTTP2IsA502(t *testing.T) {
	b := testkit.StartBackend(t, testkit.BackendOptions{AllowMalformed: true}, nil)
	g := start(t, setup{backends: []*testkit.Backend{b}, http2: true})
	ask(t, testkit.Dial(t, g.addr), get("/"), 502)
	if l := g.lines(t, 1)[0]; !strings.Contains(fmt.Sprint(l), "does not speak HTTP/2") {
		t.Errorf("the log says %v", l)
	}
}

func TestALPNDecidesOnTLS(t *testing.T) {
	ca := testkit.NewCA(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.Server("backend.test").TLS}, NextProtos: []string{"h2"}}
	b := testkit.StartH2Backend(t, testkit.H2Options{TLS: config}, func(c *testkit.H2Conn, r *testkit.H2Request) {
		c.Respond(r, "200", r.Field(":scheme"))
	})
	g := start(t, overTwo(b, func(s *setup) { s.toTLS = ca.ClientConfig("backend.test") }))
	if r := ask(t, testkit.Dial(t, g.addr), get("/"), 200); string(r.Content) != "https" {
		t.Errorf("the scheme is %q", r.Content)
	}
	one := testkit.NewTLSBackend(t, ca.Server("backend.test"), nil)
	g = start(t, setup{backends: []*testkit.Backend{one}, http2: true, toTLS: ca.ClientConfig("backend.test")})
	c := testkit.Dial(t, g.addr)
	for range 3 {
		ask(t, c, get("/"), 200)
	}
	if n := one.ConnCount(); n != 1 {
		t.Errorf("%d connections of HTTP/1.1, want one that is kept", n)
	}
}

// An upgrade is of HTTP/1.1, whatever else the backend speaks.
func TestAnUpgradeTakesHTTP1(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	g := start(t, setup{targets: []config.Target{targetAt(ln.Addr().String())}, http2: true})
	c := testkit.Dial(t, g.addr)
	c.Send(get("/", "Connection: Upgrade", "Upgrade: echo"))
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(soon))
	head := make([]byte, 3)
	if _, err := io.ReadFull(nc, head); err != nil || string(head) != "GET" {
		t.Fatalf("%q %v", head, err)
	}
	io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello")
	if r := c.ReadResponse("GET"); r.StatusCode != 101 || c.ReadN(5) != "hello" {
		t.Errorf("%+v", r)
	}
}

func TestIdleConnectionsOfHTTP2AreClosed(t *testing.T) {
	g, b := two(t, func(c *testkit.H2Conn, r *testkit.H2Request) { c.Respond(r, "200", "ok") })
	ask(t, testkit.Dial(t, g.addr), get("/"), 200)
	tr := g.transport(t)
	if tr.Open() != 1 {
		t.Errorf("%d connections are open, want one", tr.Open())
	}
	testkit.Eventually(t, soon, "the connection to be forgotten", func() bool { // it is idle just after the client has its answer
		tr.two.tend(1<<62, 1<<62)
		return tr.Open() == 0
	})
	<-b.Conns()[0].Closed
	ask(t, testkit.Dial(t, g.addr), get("/"), 200)
}

func TestAMemberThatIsClosedEndsItsStreams(t *testing.T) {
	testkit.NoLeak(t)
	g, b := two(t, func(c *testkit.H2Conn, r *testkit.H2Request) { <-r.Gone })
	c := testkit.Dial(t, g.addr)
	c.Send(get("/"))
	testkit.Eventually(t, soon, "the request", func() bool { return b.Requests.Load() == 1 })
	g.transport(t).Close()
	if r, _ := c.ReadFinal("GET"); r.StatusCode != 502 {
		t.Errorf("%+v", r)
	}
}

// A connect that fails fails for all who wait for it, and counts once.
func TestAConnectThatFailsCountsOnce(t *testing.T) {
	g := start(t, setup{targets: []config.Target{targetAt(testkit.RefusingAddr(t))}, http2: true, pool: func(o *proxy.Options) {
		o.Ejection = config.Ejection{ConnectFailures: 3, Time: time.Minute, MaxShare: 100}
	}})
	c := testkit.Dial(t, g.addr)
	ask(t, c, get("/"), 502)
	ask(t, c, get("/"), 502)
	if l := g.lines(t, 2)[1]; !strings.Contains(fmt.Sprint(l), "connection refused") {
		t.Errorf("the log says %v", l)
	}
}

// properTwo is a backend that keeps to the rules of HTTP/2, and its address.
func properTwo(t testing.TB, h http.HandlerFunc) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	server.Protocols.SetUnencryptedHTTP2(true)
	served := make(chan struct{})
	go func() { defer close(served); server.Serve(ln) }()
	t.Cleanup(func() { server.Close(); <-served })
	return ln.Addr().String()
}
