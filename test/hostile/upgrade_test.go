package hostile

import (
	"io"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// upgrade asks for a WebSocket.
func upgrade(target string, lines ...string) string {
	return request(append([]string{"GET " + target + " HTTP/1.1", "Host: a.test", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"}, lines...)...)
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

// echoTunnel switches protocols and sends back what it gets.
func echoTunnel(c *testkit.Conn, _ *testkit.Request) {
	c.Send(switching)
	_, _ = io.Copy(c, reader{c})
	_ = c.CloseWrite()
	_ = c.WaitPeer(soon)
	c.Close()
}

// reader hides the other methods of a connection from io.Copy, which would read past what is buffered.
type reader struct{ io.Reader }

// TestUpgradeThatIsNotGrantedStaysHTTP is rows 35 and 36.
func TestUpgradeThatIsNotGrantedStaysHTTP(t *testing.T) {
	t.Parallel()
	switchNow := make(chan struct{})
	slow := func(h testkit.Handler) testkit.Handler {
		return func(c *testkit.Conn, r *testkit.Request) { time.Sleep(150 * time.Millisecond); h(c, r) }
	}
	g := start(t, setup{handler: testkit.ByPath(map[string]testkit.Handler{
		"/": testkit.Respond(200, "ok"), "/200": testkit.Respond(200, "no"), "/slow": slow(testkit.Respond(200, "no")),
		"/426": testkit.Respond(426, "no", "Upgrade: websocket", "Connection: Upgrade"), "/400": testkit.Respond(400, "no", "Sec-WebSocket-Version: 13"),
		"/404": testkit.Respond(404, "no"), "/early": func(c *testkit.Conn, r *testkit.Request) {
			select {
			case <-switchNow:
			case <-c.Done():
			}
			echoTunnel(c, r)
		},
	})})
	for target, want := range map[string]int{"/200": 200, "/slow": 200, "/426": 426, "/400": 400, "/404": 404} {
		t.Run("C35 answered "+quote(target), func(t *testing.T) {
			before := g.mark()
			c := dialFrom(t, stranger, g.plain)
			c.Send(upgrade(target, "Sec-WebSocket-Key: !"), smuggled)
			if r := c.ReadResponse("GET"); r.StatusCode != want || r.Get("Connection") != "close" || string(r.Content) != "no" {
				t.Errorf("answer is %q %q, want %d and Connection: close", r.Head, r.Content, want)
			}
			c.ExpectClosed(soon)
			got, n := g.since(before)
			if len(got) != 1 || n != int64(len(got[0].Head)) || got[0].Get("Upgrade") != "websocket" || got[0].Get("Connection") != "Upgrade" {
				t.Errorf("%d bytes at the backend: %s", n, describe(got))
			}
			g.honest(t)
		})
	}
	t.Run("C35 nothing before the answer", func(t *testing.T) {
		before := g.mark()
		c := dialFrom(t, stranger, g.plain)
		c.Send(upgrade("/early"), "early")
		testkit.Eventually(t, soon, "the head at the backend", func() bool { return g.mark().requests > before.requests })
		time.Sleep(70 * time.Millisecond)
		if got, n := g.since(before); n != int64(len(got[0].Head)) {
			t.Errorf("%d bytes at the backend before it switched: %s", n, describe(got))
		}
		close(switchNow)
		if r := c.ReadResponse("GET"); r.StatusCode != 101 {
			t.Fatalf("answer is %q", r.Head)
		}
		if got := c.ReadN(len("early")); got != "early" {
			t.Errorf("echo is %q", got)
		}
	})
}

// TestUpgradesThatAreIgnored is rows 37 and 38.
func TestUpgradesThatAreIgnored(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	lacks := []string{"Upgrade", "Connection", "HTTP2-Settings"}
	with := func(protocol string) string {
		return get("Connection: Upgrade, HTTP2-Settings", "Upgrade: "+protocol, "HTTP2-Settings: AAMAAABkAAQAAP__")
	}
	var cases []pass
	for _, protocol := range []string{"h2c", "H2C", "h2", "h2c, h2", "TLS/1.0", "HTTP/2.0", "http/3", "h3", "", ",", "web socket", "websocket/", "/13", "h2c/1, TLS", "web\xffsocket", "\"websocket\""} {
		cases = append(cases, pass{name: "C37 upgrade to " + quote(protocol), send: with(protocol), lacks: lacks})
	}
	const socket, option = "Upgrade: websocket", "Connection: Upgrade"
	g.passAll(t, append(cases,
		pass{name: "C38 POST", send: post("", socket, option), lacks: lacks},
		pass{name: "C38 POST with a body", send: post("hello", socket, option, "Content-Length: 5"), body: "hello", lacks: lacks},
		pass{name: "C38 GET with a body", send: get(socket, option, "Content-Length: 5") + "hello", body: "hello", lacks: lacks},
		pass{name: "C38 GET in chunks", send: get(socket, option, "Transfer-Encoding: chunked") + "0\r\n\r\n", lacks: lacks},
		pass{name: "C38 HTTP/1.0", send: request("GET /hostile HTTP/1.0", "Host: a.test", socket, option), lacks: lacks},
		pass{name: "C38 without the connection option", send: get(socket), lacks: lacks},
		pass{name: "C38 with another option", send: get(socket, "Connection: keep-alive"), lacks: lacks},
		pass{name: "C38 two fields", send: get(socket, "Upgrade: h2c", option), lacks: lacks},
	))
	t.Run("C37 h2c beside another", func(t *testing.T) {
		for _, protocol := range []string{"h2c, websocket", "websocket, h2c", "h2, websocket, TLS"} {
			testkit.Exchange(t, g.plain, with(protocol))
			if r := g.backend.Last(); r.Get("Upgrade") != "websocket" || len(r.Values("Upgrade")) != 1 || r.Get("Connection") != "Upgrade" || r.Get("HTTP2-Settings") != "" {
				t.Errorf("of %q the backend got %q", protocol, r.Head)
			}
		}
	})
}

// TestSwitchNobodyAskedForIsRefused is row 39.
func TestSwitchNobodyAskedForIsRefused(t *testing.T) {
	t.Parallel()
	const h2c = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
	g := start(t, setup{handler: testkit.ByPath(map[string]testkit.Handler{
		"/": testkit.Respond(200, "ok"), "/101": testkit.Raw(switching), "/h2c": testkit.Raw(h2c),
		"/bare": testkit.Raw("HTTP/1.1 101 Switching Protocols\r\n\r\n"), "/late": testkit.Raw("HTTP/1.1 103 Early Hints\r\n\r\n" + switching),
	})})
	for name, send := range map[string]string{
		"C39 no upgrade":               request("GET /101 HTTP/1.1", "Host: a.test"),
		"C39 behind another 1xx":       request("GET /late HTTP/1.1", "Host: a.test"),
		"C39 upgrade that was dropped": request("GET /h2c HTTP/1.1", "Host: a.test", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
		"C39 POST":                     request("POST /101 HTTP/1.1", "Host: a.test", "Connection: Upgrade", "Upgrade: websocket"),
		"C39 another protocol":         upgrade("/h2c"),
		"C39 no protocol":              upgrade("/bare"),
	} {
		t.Run(name, func(t *testing.T) {
			before := g.mark()
			c := dialFrom(t, stranger, g.plain)
			c.Send(send)
			method, _, _ := strings.Cut(send, " ")
			if r, _ := c.ReadFinal(method); r.StatusCode != 502 {
				t.Errorf("answer is %q, want 502", r.Head)
			}
			if got, _ := g.since(before); len(got) != 1 {
				t.Errorf("the backend got %s", describe(got))
			} else {
				g.retired(t, got[0].Conn)
			}
			g.honest(t)
		})
	}
}

// retired checks that the gateway gives up a connection to the backend.
func (g *gateway) retired(t *testing.T, id int) {
	t.Helper()
	conn := g.backend.Conns()[id-1]
	testkit.Eventually(t, soon, "the end of a connection that is not to be trusted", func() bool {
		select {
		case <-conn.Done(): // the backend's own doing
			return true
		default:
			return conn.ReadError() != nil
		}
	})
}

// TestTunnels is row 40.
func TestTunnels(t *testing.T) {
	t.Parallel()
	const idle = 2 * time.Second
	ended := make(chan time.Time, 10)
	watched := func(c *testkit.Conn, r *testkit.Request) {
		c.Send(switching)
		_, _ = io.Copy(io.Discard, reader{c})
		ended <- time.Now()
		c.Close()
	}
	drip := func(c *testkit.Conn, r *testkit.Request) {
		c.Send(switching)
		c.Dribble("012345", 1, idle/4)
		c.Close()
	}
	g := start(t, setup{limits: "tunnelIdleTimeout: 2s", handler: testkit.ByPath(map[string]testkit.Handler{
		"/": testkit.Respond(200, "ok"), "/echo": echoTunnel, "/silent": watched, "/drip": drip,
		"/first": func(c *testkit.Conn, _ *testkit.Request) {
			c.Send(switching + "hello")
			_ = c.CloseWrite()
			_, _ = io.Copy(io.Discard, reader{c})
			ended <- time.Now()
		},
	})})
	open := func(t *testing.T, target string) *testkit.Client {
		c := dialFrom(t, stranger, g.plain)
		c.Send(upgrade(target))
		if r := c.ReadResponse("GET"); r.StatusCode != 101 || r.Get("Upgrade") != "websocket" {
			t.Fatalf("answer is %q", r.Head)
		}
		return c
	}
	t.Run("C40 silence ends both sides", func(t *testing.T) {
		began := time.Now()
		c := open(t, "/silent")
		if end := c.ReadN(4); end != "\x88\x02\x03\xe9" { // 1001, going away (RFC 6455 7.4.1)
			t.Errorf("the tunnel ends with %q", end)
		}
		c.ExpectClosed(soon)
		if after := (<-ended).Sub(began); after < idle/2 {
			t.Errorf("the tunnel was cut after %v", after)
		}
	})
	t.Run("C40 one direction keeps a tunnel alive", func(t *testing.T) {
		if got := string(open(t, "/drip").ReadAll(soon)); got != "012345" {
			t.Errorf("the client got %q", got)
		}
	})
	t.Run("C40 the client ends first", func(t *testing.T) {
		c := open(t, "/echo")
		text := testkit.Pattern(200 << 10)
		go func() { whole(c, text); c.CloseWrite() }()
		if got := string(c.ReadAll(soon)); got != text {
			t.Errorf("%d of %d bytes came back", len(got), len(text))
		}
	})
	t.Run("C40 the backend ends first", func(t *testing.T) {
		c := open(t, "/first")
		if got := string(c.ReadAll(soon)); got != "hello" {
			t.Errorf("the client got %q", got)
		}
		c.Send("bye")
		c.CloseWrite()
		<-ended
		if got := string(g.backend.Received()); !strings.HasSuffix(got, "bye") {
			t.Errorf("the backend got %q", got)
		}
	})
	t.Run("C40 a reset passes through", func(t *testing.T) {
		open(t, "/silent").Reset()
		<-ended
	})
}
