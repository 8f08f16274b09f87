package l7

import (
	"net"
	"runtime"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/proxy"
)

// TestAnOrdinaryRequestAllocatesNothing runs GET requests over kept
// connections through a whole gateway, with the JSON access log and the
// metrics on. Client and backend are in this process, too, and allocate
// nothing themselves.
func TestAnOrdinaryRequestAllocatesNothing(t *testing.T) {
	const most = 0.05
	for name, pool := range map[string]func(*proxy.Options){
		"roundRobin":    nil,
		"leastRequests": balanced(config.LeastRequests, config.HashKey{}),
		"p2c":           balanced(config.P2C, config.HashKey{}),
		"ewma":          balanced(config.EWMA, config.HashKey{}),
		"hash of path":  balanced(config.Hash, config.HashKey{On: config.HashURI, BalanceFactor: 125}),
		"hash of field": balanced(config.Hash, config.HashKey{On: config.HashHeader, Name: "user-agent"}),
		"hash of user":  balanced(config.Hash, config.HashKey{On: config.HashCookie, Name: "c"}),
	} {
		t.Run(name, func(t *testing.T) {
			if each, last := allocations(t, setup{pool: pool}); each > most {
				t.Errorf("%.3f allocations for each request, want at most %.2f; the last answer is %q", each, most, last)
			}
		})
	}
}

// A rewrite of fields that puts no group in needs no more.
func TestARewrittenRequestAllocatesNothing(t *testing.T) {
	const most = 0.1
	set := setOf(t, `conditions: [{variable: var_uri_path, pattern: "^/path/"}], actions: {requestHeaders: {X-Client: "{var_client_ip}", Cookie: ""}, responseHeaders: {Server: "", X-Host: "{var_host}"}}`)
	each, last := allocations(t, setup{target: func(t *Target) { t.Rewrite = set }})
	if each > most || !strings.Contains(last, "X-Host: shop.test\r\n") {
		t.Errorf("%.3f allocations for each request, want at most %.2f; the last answer is %q", each, most, last)
	}
}

// Over HTTP/2 to the backend it is one: x/net's frame of a head.
func TestARequestOverHTTP2AllocatesLittle(t *testing.T) {
	const most = 1.1
	each, last := allocations(t, setup{targets: []config.Target{targetAt(plainTwo(t))}, http2: true})
	if each > most || !strings.Contains(last, "\r\n5\r\nhello") {
		t.Errorf("%.3f allocations for each request, want at most %.2f; the last answer is %q", each, most, last)
	}
}

// plainTwo is plainOrigin over HTTP/2.
func plainTwo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			answerAllTwo(c)
		}
	}()
	return ln.Addr().String()
}

// answerAllTwo answers every HEADERS frame.
func answerAllTwo(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 64<<10)
	have := 0
	for skip := len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); have < skip; {
		n, err := c.Read(buf[have:skip])
		if err != nil {
			return
		}
		have += n
	}
	have = 0
	c.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0})
	answer := []byte("\x00\x00\x01\x01\x04....\x88\x00\x00\x05\x00\x01....hello")
	for {
		n, err := c.Read(buf[have:])
		if err != nil {
			return
		}
		have += n
		at := 0
		for have-at >= 9 {
			length := int(buf[at])<<16 | int(buf[at+1])<<8 | int(buf[at+2])
			if have-at < 9+length {
				break
			}
			if buf[at+3] == 1 {
				copy(answer[5:], buf[at+5:at+9])
				copy(answer[15:], buf[at+5:at+9])
				c.Write(answer)
			}
			at += 9 + length
		}
		have = copy(buf, buf[at:have])
	}
}

// allocations is how many there are for each GET request over a kept
// connection, and the last answer.
func allocations(t *testing.T, s setup) (each float64, last string) {
	t.Helper()
	return allocationsOf(t, s, "GET /path/to/a/thing?with=query HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: test\r\nAccept: */*\r\nCookie: a=b; c=d\r\n\r\n")
}

// allocationsOf is how many there are for each of the same request.
func allocationsOf(t *testing.T, s setup, text string) (each float64, last string) {
	t.Helper()
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	const warmUp, requests = 3000, 10000
	if s.targets == nil {
		s.targets = []config.Target{targetAt(plainOrigin(t)), targetAt(plainOrigin(t))}
	}
	g := start(t, s)
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ask := []byte(text)
	buf := make([]byte, 4096)
	run := func(n int) {
		for range n {
			if _, err := c.Write(ask); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
	}
	run(warmUp)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run(requests)
	runtime.ReadMemStats(&after)
	if string(buf[:15]) != "HTTP/1.1 200 OK" {
		t.Errorf("the last answer is %q", buf[:100])
	}
	return float64(after.Mallocs-before.Mallocs) / requests, string(buf[:300])
}

// plainOrigin answers every read with a short response, without allocating,
// and returns its address.
func plainOrigin(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go answerAll(c)
		}
	}()
	return ln.Addr().String()
}

func answerAll(c net.Conn) {
	defer c.Close()
	answer := []byte("HTTP/1.1 200 OK\r\nServer: test\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
	buf := make([]byte, 4096)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}
