package l7

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/internal/stream"
	"gatehouse/internal/testkit"
)

// What the log says of who failed.
func (l line) blames(termination, reason, info string) bool {
	return l.text("termination") == termination && l.text("reason") == reason && l.text("error_info") == info
}

const (
	clientClosed  = "ERRORINFO_CLIENT_CLOSED_REQUEST"
	backendClosed = "ERRORINFO_UPSTREAM_CLOSED_CONNECTION"
)

// A tunnel that one side resets is not blamed on the other, which is cut for
// it.
func TestTheLogSaysWhoResetATunnel(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		g := tunnelTo(t, "", soon)
		open(t, g, "").Reset()
		if l := g.lines(t, 1)[0]; !l.blames("CD", "tunnel: client: connection reset by peer", clientClosed) {
			t.Errorf("the log says %v", l)
		}
	})
	t.Run("backend", func(t *testing.T) {
		opened := make(chan struct{})
		g, _ := one(t, func(c *testkit.Conn, r *testkit.Request) {
			c.Send(switching)
			<-opened
			c.Reset()
		})
		c := open(t, g, "")
		close(opened)
		c.ExpectClosed(soon)
		if l := g.lines(t, 1)[0]; !l.blames("SD", "tunnel: backend: connection reset by peer", backendClosed) {
			t.Errorf("the log says %v", l)
		}
	})
}

// silentUpload is a client that is known to have left while its body is still
// awaited.
type silentUpload struct{ *memoryExchange }

func (silentUpload) Gone() bool { return true }

func TestAClientThatLeavesItsUploadLeftInTheRequest(t *testing.T) {
	g, b := one(t, func(c *testkit.Conn, r *testkit.Request) { c.WaitPeer(soon) })
	x := newMemoryExchange(t, request("PUT", "/", "Content-Length: 100000"))
	g.over(silentUpload{x})
	if l := g.lines(t, 1)[0]; !l.blames("CR", "client left", clientClosed) || l["httpStatus"] != 499.0 {
		t.Errorf("the log says %v", l)
	}
	testkit.Eventually(t, soon, "the backend's connection to go", func() bool { return b.OpenConns() == 0 })
}

// A body that is found to be malformed once the response has begun ends it,
// but the client is there.
func TestAMalformedBodyIsNoClientThatLeft(t *testing.T) {
	g, _ := one(t, func(c *testkit.Conn, r *testkit.Request) {
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
		c.WaitPeer(soon)
	})
	c := testkit.Dial(t, g.addr)
	piece := testkit.Pattern(50_000)
	c.Send(request("PUT", "/", "Transfer-Encoding: chunked"), fmt.Sprintf("%x\r\n%s\r\n", len(piece), piece))
	c.ReadN(len("HTTP/1.1 200"))
	c.Send("zz\r\n")
	c.ExpectReset(soon)
	if l := g.lines(t, 1)[0]; !l.blames("CD", "bad chunk size", "ERRORINFO_INVALID_REQUEST") || l["httpStatus"] != 200.0 {
		t.Errorf("the log says %v", l)
	}
}

// A response that cannot be passed on is not a connection that was closed.
func TestTheLogSaysWhatIsWrongWithAResponse(t *testing.T) {
	const invalid = "ERRORINFO_UPSTREAM_INVALID_RESPONSE"
	long := func(n int) string {
		return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: " + strings.Repeat("x", n) + "\r\n\r\n"
	}
	for _, w := range []struct {
		name, response                 string
		status                         int
		termination, reason, errorInfo string
	}{
		{"head over the limit", long(3000), 502, "SH", "response head over limits.responseHeadBytes", invalid},
		{"head far over the limit", long(200_000), 502, "SH", "response head over limits.responseHeadBytes", invalid},
		{"no HTTP", "SSH-2.0-OpenSSH\r\n\r\n", 502, "SH", "response: bad version", invalid},
		{"no head", "", 502, "SH", "no response: connection closed", backendClosed},
		{"malformed chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 502, "SD", "response body: bad chunk size", invalid},
	} {
		t.Run(w.name, func(t *testing.T) {
			b := testkit.NewBackend(t, testkit.RawClose(w.response))
			g := start(t, setup{backends: []*testkit.Backend{b}, snapshot: func(s *Snapshot) { s.Limits.ResponseHeadBytes = 2 << 10 }})
			ask(t, testkit.Dial(t, g.addr), request("PUT", "/", "Content-Length: 1")+"x", w.status)
			if l := g.lines(t, 1)[0]; !l.blames(w.termination, w.reason, w.errorInfo) {
				t.Errorf("the log says %v", l)
			}
		})
	}
}

// A backend that has the request and does not answer did not fail to take it.
func TestAResponseThatDoesNotComeIsNoFailureToSend(t *testing.T) {
	for _, w := range []struct {
		name, reason string
		tls          bool
	}{
		{"reading", "no response: connection reset by peer", false},
		{"reading TLS", "no response: connection reset by peer", true},
	} {
		t.Run(w.name, func(t *testing.T) {
			h := func(c *testkit.Conn, r *testkit.Request) { r.ReadBody(); c.Reset() }
			s := setup{backends: []*testkit.Backend{testkit.NewBackend(t, h)}}
			if w.tls {
				ca := testkit.NewCA(t)
				s.backends[0] = testkit.NewTLSBackend(t, ca.Server("backend.test"), h)
				s.toTLS = ca.ClientConfig("backend.test")
			}
			g := start(t, s)
			ask(t, testkit.Dial(t, g.addr), request("PUT", "/", "Content-Length: 1")+"x", 502)
			if l := g.lines(t, 1)[0]; !l.blames("SH", w.reason, backendClosed) {
				t.Errorf("the log says %v", l)
			}
		})
	}
}

func TestARequestThatCannotBeSentIsNoMissingResponse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // a backend that does nothing
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	g := start(t, setup{targets: []config.Target{targetAt(ln.Addr().String())}})
	tr := g.transport(t)
	c, err := tr.dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c.Stream.CloseWrite() // what is sent fails
	tr.put(0, c, stream.Now())
	ask(t, testkit.Dial(t, g.addr), get("/"), 502)
	if l := g.lines(t, 1)[0]; !l.blames("SH", "send: broken pipe", backendClosed) {
		t.Errorf("the log says %v", l)
	}
}

// What docs/architecture.md says of a client that ends its side.
func TestAHalfCloseIsAClientThatLeaves(t *testing.T) {
	slow := func(c *testkit.Conn, r *testkit.Request) { c.WaitPeer(soon) }
	begun := func(c *testkit.Conn, r *testkit.Request) {
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx")
		c.WaitPeer(soon)
	}
	for _, w := range []struct {
		name, send, termination string
		h                       testkit.Handler
		status                  float64
	}{
		{"in the body", request("PUT", "/", "Content-Length: 5") + "x", "CR", slow, 499},
		{"behind a request that is answered at once", get("/"), "--", testkit.Respond(200, "ok"), 200},
		{"behind a request that takes long", get("/"), "CH", slow, 499},
		{"in the response", get("/"), "CD", begun, 200},
	} {
		t.Run(w.name, func(t *testing.T) {
			b := testkit.NewBackend(t, w.h)
			s := setup{backends: []*testkit.Backend{b}}
			if w.status == 200 { // the answer, or its beginning, is to come before the look at the client
				s.target = patient
			}
			g := start(t, s)
			c := testkit.Dial(t, g.addr)
			c.Send(w.send)
			c.CloseWrite()
			got, _ := io.ReadAll(c)
			if whole := strings.HasSuffix(string(got), "\r\n\r\nok"); whole != (w.termination == "--") {
				t.Errorf("the client got %q", got)
			}
			if l := g.lines(t, 1)[0]; l.text("termination") != w.termination || l["httpStatus"] != w.status {
				t.Errorf("the log says %v", l)
			}
			if w.termination != "--" {
				testkit.Eventually(t, soon, "the backend's connection to go", func() bool { return b.OpenConns() == 0 })
			}
		})
	}
	t.Run("in the head", func(t *testing.T) {
		g, _ := one(t, nil)
		c := testkit.Dial(t, g.addr)
		c.Send("GET / HT")
		c.CloseWrite()
		c.ExpectClosed(soon)
		ask(t, testkit.Dial(t, g.addr), get("/next"), 200)
		if l := g.lines(t, 1)[0]; l.text("originalRequestUriWithArgs") != "/next" {
			t.Errorf("the log says %v", l)
		}
	})
}
