package http2

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	spec "github.com/summerwind/h2spec/http2"
	suite "github.com/summerwind/h2spec/spec"
	h2 "golang.org/x/net/http2"
	hpackcode "golang.org/x/net/http2/hpack"

	"gatehouse/internal/testkit"
)

// The conformance suite h2spec, strict, over TLS.
func TestConformance(t *testing.T) {
	g := start(t, testkit.Echo(), "") // it reads bodies to their end: after an early answer, and a reset for want of interest, whatever comes is ignored
	host, port, _ := net.SplitHostPort(g.secure)
	number, _ := strconv.Atoi(port)
	c := &config.Config{Host: host, Port: number, Path: "/", Timeout: 5 * time.Second, MaxHeaderLen: 4000, Strict: true, TLS: true, Insecure: true}
	passed := 0
	for _, group := range []*suite.TestGroup{generic.Spec(), spec.Spec(), hpack.Spec()} {
		group.Test(c)
		passed += group.PassedCount
		if group.FailedCount > 0 || group.SkippedCount > 0 {
			t.Errorf("%s: %d failed, %d skipped; the output says which", group.Name, group.FailedCount, group.SkippedCount)
		}
	}
	if passed < 140 {
		t.Errorf("%d passed", passed)
	}
}

// Which protocol is spoken.
func TestProtocols(t *testing.T) {
	g := start(t, testkit.Echo(), "")
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"by ALPN", []string{"--http2"}, "2 200"},
		{"without ALPN for it", []string{"--http1.1"}, "1.1 200"},
		{"TLS 1.2", []string{"--http2", "--tls-max", "1.2"}, "2 200"},
		{"TLS 1.2 with a suite that HTTP/2 may not use", []string{"--http2", "--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES128-SHA256"}, "1.1 200"},
	}
	for _, tt := range tests {
		args := append([]string{"-sS", "-m", "10", "-k", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", "--connect-to", "::" + g.secure}, tt.args...)
		if got := curl(t, append(args, "https://shop.test/")...); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	plain := []string{"-sS", "-m", "10", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"}
	for flag, want := range map[string]string{
		"--http2-prior-knowledge": "2 200", "--http1.1": "1.1 200", "--http2": "1.1 200", // no upgrade to h2c (row 37)
	} {
		if got := curl(t, append(plain, flag, "http://"+g.plain+"/")...); got != want {
			t.Errorf("%s: %s, want %s", flag, got, want)
		}
	}
	g.lastLine(`"httpVersion":"HTTP/2.0"`, `"sslEnabled":"on"`)
}

func curl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("curl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl %v: %v: %s", args, err, out)
	}
	return string(out)
}

// Bodies arrive as they were sent, both ways, several at once.
func TestBodiesBothWays(t *testing.T) {
	pattern := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	g := start(t, func(c *testkit.Conn, r *testkit.Request) {
		if _, err := r.ReadBody(); err != nil {
			return
		}
		c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Sum: %x\r\n\r\n%x\r\n", r.BodySum, len(pattern)))
		c.Write(pattern)
		c.Send("\r\n0\r\n\r\n")
	}, "")
	client := g.client()
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			body := bytes.Repeat([]byte{byte(i), 1, 2}, 100_000*(i%4+1))
			resp, err := client.Post("https://shop.test/echo", "application/octet-stream", bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if sum := fmt.Sprintf("%x", sha256.Sum256(body)); err != nil || resp.Header.Get("X-Sum") != sum || resp.ProtoMajor != 2 {
				t.Errorf("up: %v, %v", err, resp.Header)
			}
			if !bytes.Equal(got, pattern) {
				t.Errorf("down: %d of %d bytes", len(got), len(pattern))
			}
		})
	}
	all.Wait()
}

// The firewall judges what comes over HTTP/2 as it does what comes otherwise.
func TestFirewall(t *testing.T) {
	g := start(t, testkit.Respond(200, "ok"), "")
	args := []string{"-sS", "-m", "10", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", "--http2-prior-knowledge"}
	for query, want := range map[string]string{"a=1": "2 200", "a=1%27%20union%20select%20password%20from%20users--": "2 403"} {
		if got := curl(t, append(args, "http://"+g.plain+"/?"+query)...); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	body := "--data-binary=a=1' union select password from users--"
	if got := curl(t, append(args, strings.Replace(body, "=", " ", 1)[:13], body[14:], "http://"+g.plain+"/")...); got != "2 403" {
		t.Errorf("in a body: %s", got)
	}
}

// A connection is for the listeners whose TLS settings it was made with (rows
// 61 and 66).
func TestMisdirected(t *testing.T) {
	g := start(t, testkit.Respond(200, "ok"), "")
	client := g.client()
	for host, want := range map[string]int{"shop.test": 200, "strict.test": 421} {
		r, _ := http.NewRequest(http.MethodGet, "https://shop.test/", nil)
		r.Host = host
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", host, resp.StatusCode, want)
		}
	}
}

// Requests do not fail while the configuration is read again and again, nor
// when the process is told to stop: the connections are sent away in order.
func TestReloadsAndStop(t *testing.T) {
	g := start(t, testkit.Respond(200, "ok"), "")
	client := g.client()
	var served, failed atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 8 {
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
	for i := range 20 {
		before := served.Load()
		testkit.Replace(t, g.file, strings.Replace(g.config(), "requestTimeout: 20s", fmt.Sprintf("requestTimeout: %ds", 20+i), 1))
		g.reload()
		testkit.Eventually(t, soon, "requests", func() bool { return served.Load() > before+20 })
	}
	close(stop)
	load.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed", n, served.Load())
	}
	// One request under way at the end.
	hold := make(chan struct{})
	g.backend.Handle(func(c *testkit.Conn, _ *testkit.Request) {
		<-hold
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	n := g.backend.RequestCount()
	result := make(chan error, 1)
	go func() {
		resp, err := client.Get("https://shop.test/last")
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		result <- err
	}()
	testkit.Eventually(t, soon, "the request", func() bool { return g.backend.RequestCount() > n })
	g.stop()
	time.AfterFunc(300*time.Millisecond, func() { close(hold) })
	if err := <-result; err != nil {
		t.Errorf("the last request: %v", err)
	}
	testkit.Eventually(t, soon, "the end", func() bool { return !g.proc.Running() })
}

// A WebSocket over HTTP/2 reaches a backend that speaks HTTP/1.1 (RFC 8441),
// and goes on while the configuration changes.
func TestWebSocket(t *testing.T) {
	g := start(t, func(c *testkit.Conn, r *testkit.Request) {
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
	}, "tunnelIdleTimeout: 6s") // longer than a reload takes on a machine that is busy
	nc, err := net.Dial("tcp", g.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(soon))
	nc.Write([]byte(h2.ClientPreface))
	fr := h2.NewFramer(nc, nc)
	fr.WriteSettings()
	connect(fr, 1, "/chat")
	var got string
	offered := false
	read := func() h2.Frame {
		f, err := fr.ReadFrame()
		if err != nil {
			t.Fatalf("%v, after %q", err, got)
		}
		switch f := f.(type) {
		case *h2.SettingsFrame:
			if v, ok := f.Value(h2.SettingEnableConnectProtocol); ok {
				offered = v == 1
			}
		case *h2.DataFrame:
			got += string(f.Data())
		}
		return f
	}
	one, two := "\x81\x84\x00\x00\x00\x00one ", "\x81\x84\x00\x00\x00\x00two "
	for _, message := range []string{one, two} {
		fr.WriteData(1, false, []byte(message))
		for want := got + message; got != want; {
			read()
		}
		testkit.Replace(t, g.file, strings.Replace(g.config(), "requestTimeout: 20s", "requestTimeout: 19s", 1))
		g.reload()
	}
	if !offered {
		t.Error("extended CONNECT is not offered")
	}
	for { // it is idle for too long
		if f, ok := read().(*h2.DataFrame); ok && f.StreamEnded() {
			break
		}
	}
	if got != one+two+"\x88\x02\x03\xe9" { // and is told so: a close frame, 1001
		t.Errorf("got %q", got)
	}
	g.lastLine(`"requestUri":"/chat"`, `"httpStatus":101`, "tunnel idle")
}

// connect asks for a WebSocket.
func connect(fr *h2.Framer, id uint32, path string) {
	var block bytes.Buffer
	enc := hpackcode.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "http"}, {":path", path}, {":authority", "shop.test"},
		{"sec-websocket-version", "13"}, {"user-agent", "test"}, {"accept", "*/*"}} {
		enc.WriteField(hpackcode.HeaderField{Name: f[0], Value: f[1]})
	}
	fr.WriteHeaders(h2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true})
}

// A backend that does not switch to WebSocket must not make the client believe
// that it has: a page with 200 would be a tunnel (rows 36 and 39).
func TestNoWebSocket(t *testing.T) {
	g := start(t, func(c *testkit.Conn, r *testkit.Request) {
		if strings.HasPrefix(r.Target, "/page") {
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\na page")
			return
		}
		c.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAA\r\n\r\n")
	}, "")
	nc, err := net.Dial("tcp", g.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(soon))
	nc.Write([]byte(h2.ClientPreface))
	fr := h2.NewFramer(nc, nc)
	fr.ReadMetaHeaders = hpackcode.NewDecoder(4096, nil)
	fr.WriteSettings()
	for i, path := range []string{"/page", "/wrong"} {
		id := uint32(2*i + 1)
		connect(fr, id, path)
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if f.Header().StreamID != id {
				continue
			}
			h, ok := f.(*h2.MetaHeadersFrame)
			if !ok {
				t.Errorf("%s: %v", path, f)
			} else if status := h.PseudoValue("status"); status != "502" {
				t.Errorf("%s: %s", path, status)
			}
			break
		}
		g.lastLine(`"requestUri":"`+path+`"`, `"httpStatus":502`, `the backend`)
	}
}
