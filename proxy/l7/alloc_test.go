package l7

import (
	"net"
	"runtime"
	"testing"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

// TestAnOrdinaryRequestAllocatesNothing runs GET requests over kept
// connections through a whole gateway, with the JSON access log and the
// metrics on. Client and backend are in this process, too, and allocate
// nothing themselves.
func TestAnOrdinaryRequestAllocatesNothing(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	const warmUp, requests, most = 3000, 20000, 0.05
	g := start(t, setup{targets: []config.Target{targetAt(plainOrigin(t))}})
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ask := []byte("GET /path/to/a/thing?with=query HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: test\r\nAccept: */*\r\nCookie: a=b; c=d\r\n\r\n")
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
	each := float64(after.Mallocs-before.Mallocs) / requests
	if each > most {
		t.Errorf("%.3f allocations for each request, want at most %.2f", each, most)
	}
	if string(buf[:15]) != "HTTP/1.1 200 OK" {
		t.Errorf("the last answer is %q", buf[:100])
	}
}

// plainOrigin answers every read with a short response, without allocating,
// and returns its address.
func plainOrigin(t *testing.T) string {
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
