package http3

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"gatehouse/internal/testkit"
)

// What breaks the rules for a whole connection ends it, with the code that RFC 9114 and RFC 9204 have for it.
func TestConnectionErrors(t *testing.T) {
	g := start(t, testkit.Respond(200, "ok"), "")
	settings := func(p ...byte) []byte { return append([]byte{0}, frame(0x4, p)...) }
	uni := func(pieces ...[]byte) func(c *rawConn) {
		return func(c *rawConn) {
			for _, p := range pieces {
				c.uni(p)
			}
		}
	}
	bidi := func(pieces ...[]byte) func(c *rawConn) {
		return func(c *rawConn) {
			c.hello()
			c.send(bytes.Join(pieces, nil))
		}
	}
	ends := func(p []byte) func(c *rawConn) {
		return func(c *rawConn) {
			c.hello()
			c.send(p).Close()
		}
	}
	control := func(p []byte) func(c *rawConn) { return uni(append(settings(), p...)) }
	tests := []struct {
		name string
		do   func(c *rawConn)
		want uint64
	}{
		{"no settings", uni(append([]byte{0}, frame(0x7, []byte{0})...)), 0x10a},
		{"settings twice", control(frame(0x4, nil)), 0x105},
		{"a setting twice", uni(settings(6, 1, 6, 1)), 0x109},
		{"a setting of HTTP/2", uni(settings(3, 1)), 0x109},
		{"half a setting", uni(settings(6)), 0x106},
		{"large settings", uni(settings(make([]byte, 2000)...)), 0x107},
		{"extended CONNECT twice", uni(settings(8, 2)), 0x109},
		{"two control streams", uni(settings(), settings()), 0x103},
		{"a push stream", uni([]byte{1, 0}), 0x103},
		{"two encoder streams", uni([]byte{2}, []byte{2}), 0x103},
		{"two decoder streams", uni([]byte{3}, []byte{3}), 0x103},
		{"an entry for the dynamic table", uni([]byte{2, 0xc0, 1, 'v'}), 0x201},
		{"a dynamic table", uni([]byte{2, 0x3f, 0x10}), 0x201},
		{"an acknowledgment of nothing", uni([]byte{3, 0x81}), 0x202},
		{"an increment of nothing", uni([]byte{3, 0x01}), 0x202},
		{"an endless number", uni([]byte{3, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), 0x202},
		{"the control stream ends", func(c *rawConn) { c.hello(); c.ours.Close() }, 0x104},
		{"the control stream is reset", func(c *rawConn) {
			c.hello()
			s := c.request(get1...)
			s.Close()
			s.head() // what the stream is for has arrived by now
			c.ours.CancelWrite(0x100)
		}, 0x104},
		{"the encoder stream ends", func(c *rawConn) { c.uni([]byte{2}).Close() }, 0x104},
		{"DATA on the control stream", control(frame(0x0, nil)), 0x105},
		{"HEADERS on the control stream", control(frame(0x1, nil)), 0x105},
		{"PING of HTTP/2", control(frame(0x6, nil)), 0x105},
		{"a push is cancelled", control(frame(0x3, []byte{1})), 0x108},
		{"GOAWAY goes up", control(append(frame(0x7, []byte{1}), frame(0x7, []byte{2})...)), 0x108},
		{"MAX_PUSH_ID goes down", control(append(frame(0xd, []byte{2}), frame(0xd, []byte{1})...)), 0x108},
		{"GOAWAY with more behind", control(frame(0x7, []byte{1, 2})), 0x106},
		{"DATA before HEADERS", bidi(frame(0x0, []byte("x"))), 0x105},
		{"SETTINGS on a request", bidi(frame(0x4, nil)), 0x105},
		{"GOAWAY on a request", bidi(frame(0x7, []byte{0})), 0x105},
		{"PUSH_PROMISE on a request", bidi(frame(0x5, []byte{0})), 0x105},
		{"PRIORITY of HTTP/2", bidi(frame(0x2, nil)), 0x105},
		{"DATA after trailers", bidi(head(post...), head("x", "1"), frame(0x0, []byte("x"))), 0x105},
		{"trailers twice", bidi(head(post...), head("x", "1"), head("x", "1")), 0x105},
		{"a frame is cut off", ends(append(head(post...), 0, 5, 'x')), 0x106},
		{"the head is cut off", ends(head(get1...)[:10]), 0x106},
		{"a reference to the dynamic table", bidi(frame(0x1, []byte{0, 0, 0x80})), 0x200},
		{"a required insert count", bidi(frame(0x1, []byte{1, 0, 0xd1})), 0x200},
		{"an index beyond the static table", bidi(frame(0x1, []byte{0, 0, 0xff, 0x50})), 0x200},
		{"bad Huffman", bidi(frame(0x1, []byte{0, 0, 0x51, 0x84, 0xff, 0xff, 0xff, 0xff})), 0x200},
		{"a large unknown frame before the head", bidi([]byte{0x21, 0x80, 0x40, 0, 0}), 0x107},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tc := g.tlsConfig()
			tc.ServerName = "shop.test"
			c := dialWith(t, g.addr, tc, &quic.Config{})
			tt.do(c)
			if got := c.closed(); got != tt.want {
				t.Errorf("closed with %#x, not %#x", got, tt.want)
			}
		})
	}
	honest(t, g)
}

var post = []string{":method", "POST", ":scheme", "https", ":authority", "shop.test", ":path", "/"}

// What breaks the rules for a request ends that, and nothing else.
func TestStreamErrors(t *testing.T) {
	g := start(t, testkit.Echo(), "")
	tests := []struct {
		name string
		send []byte
		want uint64
	}{
		{"no method", head(get1[2:]...), 0x10e},
		{"a method twice", head(append([]string{":method", "GET"}, get1...)...), 0x10e},
		{"a pseudo-header of responses", head(append([]string{":status", "200"}, get1...)...), 0x10e},
		{"a pseudo-header behind a field", head(append(get1[:6:6], "a", "b", ":path", "/")...), 0x10e},
		{"a connection field", head(append(get1, "connection", "close")...), 0x10e},
		{"a transfer coding", head(append(get1, "transfer-encoding", "chunked")...), 0x10e},
		{"capital letters", head(append(get1, "X-A", "b")...), 0x10e},
		{"a line break", head(append(get1, "a", "b\r\nc: d")...), 0x10e},
		{"TE other than trailers", head(append(get1, "te", "gzip")...), 0x10e},
		{"a path without a slash", head(append(get1[:6:6], ":path", "x")...), 0x10e},
		{"no body where one is promised", head(append(post, "content-length", "5")...), 0x10e},
		{"a short body", append(head(append(post, "content-length", "5")...), frame(0x0, []byte("abc"))...), 0x10e},
		{"a long body", append(head(append(post, "content-length", "2")...), frame(0x0, []byte("abc"))...), 0x10e},
		{"pseudo-headers in trailers", append(head(post...), head(":path", "/")...), 0x10e},
		{"nothing", nil, 0x10d},
		{"an unknown frame alone", frame(0x21, []byte("x")), 0x10d},
	}
	c := dial(t, g)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := c.send(tt.send)
			s.Close()
			if got := s.resetCode(); got != tt.want {
				t.Errorf("reset with %#x, not %#x", got, tt.want)
			}
		})
	}
	s := c.request(get1...)
	s.Close()
	if got := s.head(); !strings.Contains(got, ":status 200") {
		t.Errorf("another request on the connection: %s", got)
	}
}

// What is not known is ignored wherever it may be (RFC 9114 9).
func TestUnknownThings(t *testing.T) {
	g := start(t, testkit.Echo(), "")
	c := dial(t, g)
	c.ours.Write(frame(0x21, []byte("grease")))
	c.ours.Write(frame(0xf0700, []byte{0, 'u'}))
	c.uni([]byte{0x21, 1, 2, 3})
	c.uni([]byte{2, 0x20, 0x20})
	c.uni([]byte{3, 0x41, 0x7f, 0x80, 0x01})
	var p []byte
	p = append(p, frame(0x21, bytes.Repeat([]byte("x"), 5000))...)
	p = append(p, head(post...)...)
	p = append(p, frame(0x40, bytes.Repeat([]byte("x"), 100<<10))...)
	p = append(p, frame(0x0, []byte("hel"))...)
	p = append(p, frame(0x0, nil)...)
	p = append(p, frame(0x21, nil)...)
	p = append(p, frame(0x0, []byte("lo"))...)
	s := c.send(p)
	s.Close()
	if got := s.head(); !strings.Contains(got, ":status 200") {
		t.Fatal(got)
	}
	if e := testkit.DecodeEcho(t, []byte(s.data())); e.Body != "hello" {
		t.Errorf("%+v", e)
	}
}

// A head that does not come is refused, and does not hold up the others.
func TestSlowHead(t *testing.T) {
	g := start(t, testkit.Respond(200, "ok"), "headTimeout: 2s")
	c := dial(t, g)
	slow := c.send(head(get1...)[:10])
	s := c.request(get1...)
	s.Close()
	if got := s.head(); !strings.Contains(got, ":status 200") {
		t.Error(got)
	}
	if got := slow.head(); !strings.Contains(got, ":status 408") {
		t.Error(got)
	}
	tc := g.tlsConfig()
	tc.ServerName = "shop.test"
	if code := dialWith(t, g.addr, tc, &quic.Config{}).closed(); code != 0x100 {
		t.Errorf("a connection without a request ends with %#x", code)
	}
}

// A body that does not come is refused.
func TestSlowBody(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for the time that every body has")
	}
	g := start(t, testkit.Echo(), "bodyMinRate: 1000")
	c := dial(t, g)
	s := c.send(append(head(append(post, "content-length", "5000")...), frame(0x0, []byte("abc"))...))
	if got := s.head(); !strings.Contains(got, ":status 408") {
		t.Error(got)
	}
}

// Floods end the connection, or bring nothing; memory stays, and honest clients are served.
func TestFloods(t *testing.T) {
	g := start(t, testkit.Respond(200, "ok"), "")
	honest(t, g)
	before := g.proc.RSS()
	floods := []struct {
		name string
		do   func(c *rawConn, i int) error
	}{
		{"requests that are given up", func(c *rawConn, _ int) error {
			s, err := c.OpenStream()
			if err != nil {
				return nil // the limit: somebody else's turn
			}
			s.Write(head(get1...))
			s.CancelRead(0x10c)
			s.CancelWrite(0x10c)
			return nil
		}},
		{"streams of an unknown type", func(c *rawConn, _ int) error {
			if s, err := c.OpenUniStream(); err == nil {
				s.Write([]byte{0x21})
				s.Close()
			}
			return nil
		}},
		{"unknown frames", func(c *rawConn, _ int) error {
			_, err := c.ours.Write(bytes.Repeat(frame(0x21, nil), 100))
			return err
		}},
		{"MAX_PUSH_ID", func(c *rawConn, _ int) error {
			_, err := c.ours.Write(bytes.Repeat(frame(0xd, []byte{1}), 100))
			return err
		}},
	}
	for _, f := range floods {
		t.Run(f.name, func(t *testing.T) {
			c := dial(t, g)
			until := time.Now().Add(soon) // for slow machines: it is over much sooner
			for i := 0; c.Context().Err() == nil && time.Now().Before(until); i++ {
				if f.do(c, i) != nil {
					break
				}
				if i%20 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			if code := c.closed(); code != 0x107 {
				t.Errorf("closed with %#x", code)
			}
			honest(t, g)
		})
	}
	t.Run("empty DATA", func(t *testing.T) {
		c := dial(t, g)
		s := c.send(append(head(post...), bytes.Repeat(frame(0x0, nil), 5000)...))
		defer s.Close()
		if code := c.closed(); code != 0x107 {
			t.Errorf("closed with %#x", code)
		}
	})
	if now := g.proc.RSS(); now > before+512<<20 { // under the race detector
		t.Errorf("memory went from %d to %d MiB", before>>20, now>>20)
	}
}

// Heads that stop in the middle, bodies that nobody reads, responses that are not taken: all are bounded.
func TestHeldBack(t *testing.T) {
	hold := make(chan struct{})
	g := startBuilt(t, func(c *testkit.Conn, r *testkit.Request) {
		if r.Target == "/large" {
			testkit.Respond(200, testkit.Pattern(1<<20))(c, r)
			return
		}
		if r.Target == "/" {
			testkit.Respond(200, "ok")(c, r)
			return
		}
		select {
		case <-hold:
		case <-c.Done():
		}
	}, "writeStall: 2s")
	defer close(hold)
	honest(t, g)
	before := g.proc.RSS()
	var all sync.WaitGroup
	for range 4 {
		c := dial(t, g)
		for i := range 99 {
			path := []string{"/upload", "/large"}[i%2]
			fields := append(post[:6:6], ":path", path)
			s, err := c.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				s.SetWriteDeadline(time.Now().Add(2 * time.Second))
				s.Write(append(head(fields...), frame(0x0, make([]byte, 1<<20))...))
			})
		}
	}
	all.Wait()
	honest(t, g)
	if now := g.proc.RSS(); now > before+100<<20 {
		t.Errorf("memory went from %d to %d MiB", before>>20, now>>20)
	}
}
