package http1

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/internal/testkit"
)

// soon is how long anything may take that should happen at once.
const soon = 10 * time.Second

// scripted is a Handler made of functions.
type scripted struct {
	serve   func(x *Exchange)
	options Options
}

func (h *scripted) Options(*ServerConn) *Options { return &h.options }
func (h *scripted) Serve(x *Exchange)            { h.serve(x) }
func (h *scripted) Refuse(x *Exchange, why *Error) {
	reply(x, why.Status, why.Reason)
}

// reply answers with a length.
func reply(x *Exchange, status int, body string) {
	var r httpmsg.Response
	r.Reset(nil)
	r.Status, r.Body, r.ContentLength = status, httpmsg.BodyLength, int64(len(body))
	x.Respond(&r, []byte(body), true)
}

// echo answers with the target and the body, taken by ReadBody.
func echo(x *Exchange) {
	var body strings.Builder
	for {
		p, err := x.ReadBody()
		body.Write(p)
		if err == io.EOF {
			break
		}
		if err != nil {
			x.CloseAfter()
			reply(x, 400, err.Error())
			return
		}
	}
	reply(x, 200, string(x.Request().Bytes(x.Request().Target))+"|"+body.String())
}

// dialer connects a client, plain or with TLS.
type dialer func() *testkit.Client

// onBoth runs a test against a server, plain and with TLS.
func onBoth(t *testing.T, serve func(x *Exchange), test func(t *testing.T, dial dialer)) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "TLS"}[secure], func(t *testing.T) {
			h := &scripted{serve: serve, options: Options{Limits: Limits{HeadBytes: 48 << 10, Fields: 100, URLBytes: 40 << 10},
				HeadTimeout: soon, IdleTimeout: soon}}
			test(t, listen(t, h, secure))
		})
	}
}

func listen(t *testing.T, h Handler, secure bool) dialer {
	t.Helper()
	ca := testkit.NewCA(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.Server("shop.test").TLS}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go serveConn(nc, h, secure, config)
		}
	}()
	return func() *testkit.Client {
		if secure {
			return testkit.DialTLS(t, ln.Addr().String(), ca.ClientConfig("shop.test"))
		}
		return testkit.Dial(t, ln.Addr().String())
	}
}

func serveConn(nc net.Conn, h Handler, secure bool, config *tls.Config) {
	s, err := stream.New(nc)
	if err != nil {
		panic(err)
	}
	if secure && s.ServeTLS(config, stream.Now()+int64(soon)) != nil {
		s.Abort()
		return
	}
	var c ServerConn
	c.Init(s, h)
	c.Serve()
}

func headOf(method, target string, lines ...string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: shop.test\r\n" + strings.Join(append(lines, "", ""), "\r\n")
}

func chunks(body string, size int) string {
	var s strings.Builder
	for len(body) > 0 {
		n := min(size, len(body))
		fmt.Fprintf(&s, "%x;ext=\"1\"\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return s.String() + "0\r\n\r\n"
}

// expectEcho reads the answer of echo.
func expectEcho(t *testing.T, c *testkit.Client, target, body string) {
	t.Helper()
	if r := c.ReadResponse("GET"); r.StatusCode != 200 || string(r.Content) != target+"|"+body {
		t.Fatalf("answer is %q with %.100q (%d bytes), want that to %s with %d bytes", r.Head, r.Content, len(r.Content), target, len(body))
	}
}

func TestPipelinedRequestsCutAtEveryByte(t *testing.T) {
	all := headOf("GET", "/1") + headOf("POST", "/2", "Content-Length: 5") + "hello" + "\r\n" +
		headOf("POST", "/3", "Transfer-Encoding: chunked") + chunks("chunky", 4) + headOf("GET", "/4")
	onBoth(t, echo, func(t *testing.T, dial dialer) {
		for at := 0; at <= len(all); at++ {
			c := dial()
			c.Send(all[:at])
			if at%8 == 0 {
				time.Sleep(time.Millisecond) // mostly two reads, sometimes one
			}
			c.Send(all[at:])
			expectEcho(t, c, "/1", "")
			expectEcho(t, c, "/2", "hello")
			expectEcho(t, c, "/3", "chunky")
			expectEcho(t, c, "/4", "")
			c.Close()
		}
	})
}

func TestBodiesOfAllSizesKeepTheConnection(t *testing.T) {
	onBoth(t, echo, func(t *testing.T, dial dialer) {
		c := dial()
		first := len(headOf("POST", "/size", "Content-Length: 16384"))
		for _, size := range []int{0, 1, 100, bufferSize/2 - 1, bufferSize / 2, bufferSize - first, bufferSize - first + 1, bufferSize - 1, bufferSize, bufferSize + 1,
			bigBufferSize - 1, bigBufferSize, bigBufferSize + 1, 3*bigBufferSize + 7} {
			body := testkit.Pattern(size)
			for name, send := range map[string]string{
				"length":       headOf("POST", "/size", fmt.Sprint("Content-Length: ", size)) + body,
				"chunked":      headOf("POST", "/size", "Transfer-Encoding: chunked") + chunks(body, 7000),
				"small chunks": headOf("POST", "/size", "Transfer-Encoding: chunked") + chunks(body, 100),
			} {
				if name == "small chunks" && size > 20000 {
					continue // mostly framing, which is refused
				}
				c.Send(send + headOf("GET", "/next"))
				expectEcho(t, c, "/size", body)
				expectEcho(t, c, "/next", "")
			}
		}
	})
}

func TestLongHeadsWithMoreBehindThem(t *testing.T) {
	onBoth(t, echo, func(t *testing.T, dial dialer) {
		for _, size := range []int{bufferSize - 100, bufferSize, bufferSize + 1, 40 << 10} {
			field := "X-Long: " + strings.Repeat("v", size)
			body := testkit.Pattern(20 << 10)
			c := dial()
			c.Send(headOf("GET", "/1", field) + headOf("POST", "/2", field, fmt.Sprint("Content-Length: ", len(body))) + body + headOf("GET", "/3", field) + headOf("GET", "/4"))
			expectEcho(t, c, "/1", "")
			expectEcho(t, c, "/2", body)
			expectEcho(t, c, "/3", "")
			expectEcho(t, c, "/4", "")
		}
		c := dial()
		c.Send(headOf("GET", "/1", "X-Long: "+strings.Repeat("v", 60<<10)))
		if r := c.ReadResponse("GET"); r.StatusCode != 431 {
			t.Errorf("a head over the limit gets %q", r.Head)
		}
		c.ExpectClosed(soon)
	})
}

func TestHeldBodies(t *testing.T) {
	var most int
	hold := func(x *Exchange) {
		var body strings.Builder
		held, whole, err := x.HoldBody(most, true)
		if err != nil || !whole && len(held) < most && len(held) < bufferSize {
			x.CloseAfter()
			reply(x, 500, fmt.Sprintf("%d held, whole %v, %v", len(held), whole, err))
			return
		}
		q := x.Request()
		if got := string(q.Bytes(q.Target)); got != "/held" {
			reply(x, 500, "the target became "+got) // the head moves with its buffer
			return
		}
		body.Write(held)
		for err == nil {
			var p []byte
			p, err = x.ReadBody()
			body.Write(p)
		}
		reply(x, 200, "/held|"+body.String())
	}
	onBoth(t, hold, func(t *testing.T, dial dialer) {
		c := dial()
		for _, most = range []int{1, 1000, 15 << 10, 48 << 10} {
			for _, size := range []int{0, 1, 999, 1000, 1001, 15 << 10, 16 << 10, 47 << 10, 48 << 10, 49 << 10, 200 << 10} {
				body := testkit.Pattern(size)
				c.Send(headOf("POST", "/held", fmt.Sprint("Content-Length: ", size)) + body)
				expectEcho(t, c, "/held", body)
				c.Send(headOf("POST", "/held", "Transfer-Encoding: chunked") + chunks(body, 3000) + headOf("POST", "/held", "Content-Length: 3") + "end")
				expectEcho(t, c, "/held", body)
				expectEcho(t, c, "/held", "end")
			}
		}
	})
}

func TestUnreadBodies(t *testing.T) {
	ignore := func(x *Exchange) { reply(x, 403, "no") }
	for _, w := range []struct {
		name, framing string
		size          int
		keeps         bool
	}{
		{"short", "Content-Length: 100", 100, true},
		{"64 KiB", "Content-Length: 65536", 64 << 10, true},
		{"more", "Content-Length: 4194304", 4 << 20, false},
		{"chunked", "Transfer-Encoding: chunked", 50 << 10, true},
		{"more chunked", "Transfer-Encoding: chunked", 4 << 20, false},
	} {
		t.Run(w.name, func(t *testing.T) {
			onBoth(t, ignore, func(t *testing.T, dial dialer) {
				body := testkit.Pattern(w.size)
				if strings.HasPrefix(w.framing, "T") {
					body = chunks(body, 8000)
				}
				c := dial()
				if n, err := c.TrySend(headOf("POST", "/", w.framing)+body, soon); err != nil {
					t.Fatalf("%d bytes sent, then %v", n, err)
				}
				r := c.ReadResponse("POST") // not lost to a reset
				if r.StatusCode != 403 {
					t.Fatalf("answer is %q", r.Head)
				}
				if !w.keeps {
					if says := r.Get("Connection") == "close"; says != (w.name == "more") {
						t.Errorf("Connection is %q", r.Get("Connection"))
					}
					c.CloseWrite()
					c.ReadAll(soon)
					return
				}
				c.Send(headOf("GET", "/"))
				if r := c.ReadResponse("GET"); r.StatusCode != 403 {
					t.Errorf("the next answer is %q", r.Head)
				}
			})
		})
	}
}

func TestHTTP10(t *testing.T) {
	onBoth(t, func(x *Exchange) {
		var r httpmsg.Response
		r.Reset(nil)
		r.Status, r.Body = 200, httpmsg.BodyChunked
		if string(x.Request().Bytes(x.Request().Target)) == "/length" {
			reply(x, 200, "whole")
			return
		}
		x.Inform(&httpmsg.Response{Status: 103})
		x.Respond(&r, []byte("in "), false)
		x.WriteBody([]byte("pieces"))
		x.Finish(nil)
	}, func(t *testing.T, dial dialer) {
		c := dial()
		c.Send("GET /length HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
		if r := c.ReadResponse("GET"); string(r.Content) != "whole" || r.Get("Connection") != "keep-alive" {
			t.Errorf("answer is %q", r.Head)
		}
		c.Send("GET /length HTTP/1.0\r\n\r\n")
		if r := c.ReadResponse("GET"); string(r.Content) != "whole" || r.Get("Connection") != "close" {
			t.Errorf("answer is %q", r.Head)
		}
		c.ExpectClosed(soon)
		c = dial()
		c.Send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
		if r := c.ReadResponse("GET"); string(r.Content) != "in pieces" || r.Get("Transfer-Encoding") != "" || r.Get("Connection") != "close" {
			t.Errorf("answer is %q %q", r.Head, r.Content)
		}
	})
}

func TestResponsesWithoutABody(t *testing.T) {
	var status int
	onBoth(t, func(x *Exchange) { reply(x, status, "body") }, func(t *testing.T, dial dialer) {
		c := dial()
		for _, w := range []struct {
			method string
			status int
		}{{"HEAD", 200}, {"GET", 204}, {"GET", 304}, {"HEAD", 404}} {
			status = w.status
			c.Send(headOf(w.method, "/") + headOf(w.method, "/"))
			for range 2 {
				if r := c.ReadResponse(w.method); r.StatusCode != w.status || r.Get("Transfer-Encoding") != "" {
					t.Errorf("%s: %q", w.method, r.Head)
				}
			}
		}
	})
}

func TestAHalfClosedClientIsAnswered(t *testing.T) {
	onBoth(t, echo, func(t *testing.T, dial dialer) {
		c := dial()
		c.Send(headOf("GET", "/last"))
		c.CloseWrite()
		expectEcho(t, c, "/last", "")
		c.ExpectClosed(soon)
	})
}

func TestABodyThatIsCutOffIsNotWhole(t *testing.T) {
	got := make(chan error, 1)
	onBoth(t, func(x *Exchange) {
		var err error
		for err == nil {
			_, err = x.ReadBody()
		}
		got <- err
		x.Abort()
	}, func(t *testing.T, dial dialer) {
		for _, send := range []string{headOf("POST", "/", "Content-Length: 10") + "half", headOf("POST", "/", "Transfer-Encoding: chunked") + "5\r\nhalf",
			headOf("POST", "/", "Transfer-Encoding: chunked") + "4\r\nhalf\r\n"} {
			c := dial()
			c.Send(send)
			c.CloseWrite()
			if err := <-got; err != io.ErrUnexpectedEOF {
				t.Errorf("the body ended with %v", err)
			}
		}
	})
}

// Leave, at any moment, loses no request: it is answered, or the connection is
// closed before it was sent.
func TestLeaveAnswersWhatHasArrived(t *testing.T) {
	for round := range 200 {
		conns := make(chan *ServerConn, 1)
		h := &scripted{options: Options{Limits: Limits{HeadBytes: 8 << 10, Fields: 100}, HeadTimeout: soon, IdleTimeout: soon}}
		h.serve = func(x *Exchange) {
			select {
			case conns <- x.Conn():
			default:
			}
			echo(x)
		}
		c := listen(t, h, false)()
		c.Send(headOf("GET", "/1"))
		expectEcho(t, c, "/1", "")
		conn := <-conns
		go func() {
			time.Sleep(time.Duration(round) * time.Microsecond)
			conn.Leave()
		}()
		time.Sleep(50 * time.Microsecond)
		if _, err := c.TrySend(headOf("POST", "/2", "Content-Length: 4"), soon); err == nil {
			c.TrySend("body", soon)
		}
		r, err := c.TryReadResponse("POST", soon)
		if err == nil && string(r.Content) != "/2|body" {
			t.Fatalf("round %d: answer is %q %q", round, r.Head, r.Content)
		}
		c.Close()
	}
}
