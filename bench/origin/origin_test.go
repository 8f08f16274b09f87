//go:build linux

package origin

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func start(t *testing.T) *Server {
	t.Helper()
	s, err := Start(netip.MustParseAddrPort("127.0.0.1:0"), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestEveryPathAnswersWithItsSize(t *testing.T) {
	s := start(t)
	client := &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	for path, want := range Sizes() {
		res, err := client.Get("http://" + s.Addr().String() + path + "?x=1")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || len(body) != want || res.StatusCode != 200 {
			t.Errorf("%s: status %d, %d bytes, %v; want 200, %d bytes", path, res.StatusCode, len(body), err, want)
		}
		if page := bytes.HasPrefix(body, []byte("<!DOCTYPE html>")); page != (path == pagePath) || strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") != page {
			t.Errorf("%s: content type %s of %.20q", path, res.Header.Get("Content-Type"), body)
		}
	}
}

func TestBodiesAreReadBeforeTheReplyInWhateverPieces(t *testing.T) {
	s := start(t)
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	body := strings.Repeat("GET / HTTP/1.1\r\n\r\n", 2000) // larger than the buffer, and like requests
	message := "POST /post HTTP/1.1\r\nContent-Length: 36000\r\n\r\n" + body +
		"GET /nowhere HTTP/1.1\r\n\r\nGET /128 HTTP/1.1\r\nConnection: close\r\n\r\n"
	go func() {
		for len(message) > 0 {
			n := min(len(message), 7000)
			io.WriteString(c, message[:n])
			message = message[n:]
		}
	}()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]byte{render("200 OK", 128), render("404 Not Found", 0), render("200 OK", 128)}
	if !bytes.Equal(got, bytes.Join(want, nil)) {
		t.Errorf("replies:\n%q", got)
	}
}

func TestWhatCannotBeFramedIsRefused(t *testing.T) {
	tests := []struct {
		name, head string
		want       bool
	}{
		{"plain GET", "GET / HTTP/1.1\r\nHost: x\r\n", true},
		{"POST with a length", "POST / HTTP/1.1\r\nContent-Length: 5\r\n", true},
		{"HEAD", "HEAD / HTTP/1.1\r\n", false},
		{"chunked", "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n", false},
		{"bad length", "POST / HTTP/1.1\r\nContent-Length: -5\r\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, got := parseRequest([]byte(tt.head)); got != tt.want {
				t.Errorf("accepted: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestAWebSocketSendsBackWhatComes(t *testing.T) {
	s := start(t)
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(c, "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
	want := string(renderReplies()[echoPath]) + "early"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("%q, %v", got, err)
	}
	big := bytes.Repeat([]byte("GET /128 HTTP/1.1\r\n\r\n"), 3000)
	go c.Write(big)
	back := make([]byte, len(big))
	if _, err := io.ReadFull(c, back); err != nil || !bytes.Equal(back, big) {
		t.Errorf("the echo differs, %v", err)
	}
}
