package http3

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit"

	"github.com/quic-go/quic-go"
)

// WebSocket by extended CONNECT (RFC 9220) is an upgrade at the backend.
func TestWebSocket(t *testing.T) {
	g := start(t, func(c *testkit.Conn, r *testkit.Request) {
		if r.Target == "/page" {
			c.Respond(r, 200, "a page")
			return
		}
		if r.Method != "GET" || r.Get("Upgrade") != "websocket" || r.Get("Sec-WebSocket-Version") != "13" {
			c.Send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			return
		}
		sum := sha1.Sum([]byte(r.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		c.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n")
		buf := make([]byte, 1000)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			c.Write(buf[:n])
		}
	}, "")
	connect := func(path string) []string {
		return []string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "shop.test", ":path", path, "sec-websocket-version", "13"}
	}
	c := dial(t, g)
	s := c.request(connect("/chat")...)
	if got := s.head(); !strings.HasPrefix(got, ":status 200\n") || strings.Contains(got, "sec-websocket-accept") || strings.Contains(got, "upgrade") {
		t.Fatalf("got %q", got)
	}
	for _, message := range []string{"one", "two", testkit.Pattern(200)} {
		s.Write(frame(0x0, []byte(message)))
		if got := s.data(); got != message {
			t.Errorf("got %q", got)
		}
		g.reload(strings.Replace(g.config(), "requestTimeout: 20s", "requestTimeout: 19s", 1))
	}
	s.Close()
	rest, err := io.ReadAll(s)
	if e, ok := errors.AsType[*quic.ApplicationError](err); ok && e.Remote && e.ErrorCode == 0x100 {
		err = nil // the connection ends in good order soon behind the stream
	}
	if err != nil || len(rest) > 0 {
		t.Errorf("at the end: %q, %v", rest, err)
	}
	g.lastLine(`"requestUri":"/chat"`, `"httpStatus":101`, "HTTP/3.0")

	s = c.request(connect("/page")...)
	if got := s.head(); !strings.Contains(got, ":status 502") {
		t.Errorf("where a backend does not switch: %q", got)
	}
	other := connect("/chat")
	other[3] = "other"
	s = c.request(other...)
	if got := s.head(); !strings.Contains(got, ":status 501") {
		t.Errorf("another protocol: %q", got)
	}
	s = c.request(append(connect("/chat"), "content-length", "5")...)
	if code := s.resetCode(); code != 0x10e {
		t.Errorf("with a length: reset with %#x", code)
	}
}

// A WebSocket that is open at the end of a drain is told that its server goes
// away, as over TCP.
func TestAWebSocketIsToldThatTheGatewayStops(t *testing.T) {
	g := start(t, func(c *testkit.Conn, r *testkit.Request) {
		sum := sha1.Sum([]byte(r.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		c.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n\x81\x02hi")
		c.WaitPeer(time.Minute)
	}, "")
	g.reload(strings.Replace(g.config(), "drain: 10s", "drain: 1s", 1))
	s := dial(t, g).request(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "shop.test", ":path", "/chat", "sec-websocket-version", "13")
	if got := s.head(); !strings.HasPrefix(got, ":status 200\n") {
		t.Fatalf("got %q", got)
	}
	if got := s.data(); got != "\x81\x02hi" {
		t.Fatalf("got %q", got)
	}
	if err := syscall.Kill(g.proc.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := s.data(); got != "\x88\x02\x03\xe9" {
		t.Errorf("got %q, want a close frame", got)
	}
	s.Close()
	if rest, err := io.ReadAll(s); err != nil || len(rest) > 0 {
		t.Errorf("at the end: %q, %v", rest, err)
	}
	g.lastLine(`"requestUri":"/chat"`, "its listener stops")
}
