package l7

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

// refuseEarly answers at once with a status and reads nothing more.
func refuseEarly(status int) testkit.Handler {
	return func(c *testkit.Conn, r *testkit.Request) {
		c.Respond(r, status, "too large", "Connection: close")
		c.Stall(soon)
	}
}

func TestAnEarlyRefusalReachesAClientThatStillUploads(t *testing.T) {
	const size = 64 << 20
	for _, w := range []struct{ name, framing string }{
		{"length", fmt.Sprint("Content-Length: ", size)}, {"chunked", "Transfer-Encoding: chunked"},
	} {
		t.Run(w.name, func(t *testing.T) {
			g, b := one(t, refuseEarly(413))
			c := testkit.Dial(t, g.addr)
			c.Send(request("POST", "/", w.framing))
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() { // uploads until it is told that the answer is there
				defer close(stopped)
				piece := "10000\r\n" + testkit.Pattern(64<<10) + "\r\n"
				if w.name == "length" {
					piece = testkit.Pattern(64 << 10)
				}
				for {
					select {
					case <-stop:
						return
					default:
						if _, err := c.TrySend(piece, soon); err != nil {
							return
						}
					}
				}
			}()
			r, err := c.TryReadResponse("POST", soon)
			close(stop)
			if err != nil || r.StatusCode != 413 || string(r.Content) != "too large" || r.Get("Connection") != "close" {
				t.Fatalf("answer is %v %v", r, err)
			}
			<-stopped
			testkit.Eventually(t, soon, "the upload to the backend to end", func() bool {
				return b.Conns()[0].ReadError() != nil || b.Conns()[0].ReceivedLen() < size
			})
		})
	}
}

// A client may send all of a long body before it looks at the answer.
func TestAClientThatReadsLateGetsAnEarlyRefusal(t *testing.T) {
	g, _ := one(t, refuseEarly(413))
	c := testkit.Dial(t, g.addr)
	body := testkit.Pattern(8 << 20)
	c.Send(request("POST", "/", fmt.Sprint("Content-Length: ", len(body))))
	if n, err := c.TrySend(body, soon); err != nil {
		t.Fatalf("%d bytes sent, then %v", n, err)
	}
	if r := c.ReadResponse("POST"); r.StatusCode != 413 {
		t.Errorf("answer is %q", r.Head)
	}
	c.ExpectClosed(soon)
}

// within is how soon the backend learns that the client has left: 100 ms,
// with much room for a busy machine, and far from any timeout. That it is 100 ms
// has a test of its own.
const within = soon / 2

func TestAClientThatLeavesCancelsItsRequest(t *testing.T) {
	head := func(size int) string { return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size) }
	part := testkit.Pattern(32 << 10)
	respond := func(s string) testkit.Handler {
		return func(c *testkit.Conn, r *testkit.Request) {
			c.Send(s)
			c.WaitPeer(soon)
		}
	}
	stuck := func(c *testkit.Conn, r *testkit.Request) { c.Stall(soon) } // reads no more of the body
	upload := request("PUT", "/", "Content-Length: 67108864")
	for _, w := range []struct {
		name    string
		send    string
		handler testkit.Handler
		flood   bool // goes on sending a body
	}{
		{"waiting for the head", get("/"), respond(""), false},
		{"waiting for the head of an answer to POST", request("POST", "/", "Content-Length: 2") + "hi", respond(""), false},
		{"after an informational response", get("/"), respond("HTTP/1.1 103 Early Hints\r\n\r\n"), false},
		{"while a slow body is copied", get("/"), respond(head(40<<10) + part), false},
		{"while a slow chunked body is copied", get("/"), respond("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), false},
		{"while a slow body is spliced", get("/"), respond(head(10<<20) + part), false},
		{"while it uploads slowly", upload + part, func(c *testkit.Conn, r *testkit.Request) { c.WaitPeer(soon) }, false},
		{"while its upload is stuck", upload, stuck, true},
		{"after an upload", request("PUT", "/", "Content-Length: 32768") + part, func(c *testkit.Conn, r *testkit.Request) {
			r.ReadBody()
			c.WaitPeer(soon)
		}, false},
		{"while told to wait for 100", request("PUT", "/", "Content-Length: 32768", "Expect: 100-continue"), respond(""), false},
	} {
		for _, how := range []string{"reset", "close"} {
			if w.flood && how == "close" {
				continue // the end waits behind the body in the client's own socket: nobody can see it
			}
			t.Run(w.name+" "+how, func(t *testing.T) {
				t.Parallel()
				g, b := one(t, w.handler)
				c := testkit.Dial(t, g.addr)
				c.Send(w.send)
				testkit.Eventually(t, soon, "the request at the backend", func() bool { return b.RequestCount() == 1 })
				if w.flood {
					c.TrySend(testkit.Pattern(32<<20), 300*time.Millisecond)
				}
				time.Sleep(20 * time.Millisecond)
				from := time.Now()
				if how == "reset" {
					c.Reset()
				} else {
					c.Conn.Close()
				}
				testkit.Eventually(t, soon, "the connection to the backend to go", func() bool {
					g.mu.Lock()
					defer g.mu.Unlock()
					for tr := range g.transports {
						if tr.Open() > 0 {
							return false
						}
					}
					return true
				})
				if took := time.Since(from); took > within {
					t.Errorf("the backend's connection was closed after %v", took)
				}
				if l := g.lines(t, 1)[0]; !strings.HasPrefix(l.text("termination"), "C") {
					t.Errorf("the log says %v", l)
				}
			})
		}
	}
}

// Most of the time the machine is not busy, and then 100 ms are enough.
func TestALeavingClientIsSeenWithin100Milliseconds(t *testing.T) {
	cancelled := make(chan time.Time, 1)
	g, b := one(t, func(c *testkit.Conn, r *testkit.Request) {
		c.WaitPeer(soon)
		cancelled <- time.Now()
	})
	const tries, enough = 40, 4
	var took []time.Duration
	quick := 0
	for n := 0; n < tries && quick < enough; n++ {
		c := testkit.Dial(t, g.addr)
		c.Send(get("/"))
		testkit.Eventually(t, soon, "the request at the backend", func() bool { return b.RequestCount() == n+1 })
		from := time.Now()
		c.Reset()
		if took = append(took, (<-cancelled).Sub(from)); took[n] <= 100*time.Millisecond {
			quick++
		}
	}
	if quick < enough {
		t.Errorf("it took %v", took)
	}
	t.Log(took)
}

// patient makes a backend quick that answers before soon: on a busy machine it
// may take longer than our patience.
func patient(t *Target) { t.Settings.patience = int64(soon) }

// Like nginx, the gateway takes the end of a client's stream for its leaving
// when the answer is not there yet: a browser that cancels looks the same.
// What has been sent before is answered when the answer comes quickly.
func TestHalfCloseBeforeTheAnswerCountsAsLeaving(t *testing.T) {
	g := start(t, setup{backends: []*testkit.Backend{testkit.NewBackend(t, testkit.Respond(200, "quick"))}, target: patient})
	c := testkit.Dial(t, g.addr)
	c.Send(get("/"))
	c.CloseWrite()
	if r := c.ReadResponse("GET"); string(r.Content) != "quick" {
		t.Errorf("answer is %q", r.Content)
	}
	c.ExpectClosed(soon)
	g, _ = one(t, func(c *testkit.Conn, r *testkit.Request) { c.WaitPeer(soon) })
	c = testkit.Dial(t, g.addr)
	c.Send(get("/slow"))
	c.CloseWrite()
	if _, err := c.TryReadResponse("GET", soon); !errors.Is(err, syscall.ECONNRESET) && err != io.EOF {
		t.Errorf("%v", err)
	}
	if l := g.lineOf(t, "/slow"); l.text("termination") != "CH" || l["httpStatus"] != 499.0 {
		t.Errorf("the log says %v", l)
	}
}

func TestASlowResponseIsNotCutWhilePiecesCome(t *testing.T) {
	const timeout, pieces = 2 * time.Second, 6 // much longer than a busy machine's delays
	body := testkit.Pattern(pieces * 20 << 10)
	for _, w := range []struct{ name, head string }{
		{"copied", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 30<<10)},
		{"spliced", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
	} {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			want := body
			if w.name == "copied" {
				want = body[:30<<10]
			}
			b := testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) {
				c.Send(w.head)
				for n := 0; n < len(want); n += len(want) / pieces {
					time.Sleep(timeout / 4)
					piece := want[n : n+len(want)/pieces]
					if w.name == "chunked" {
						piece = fmt.Sprintf("%x\r\n%s\r\n", len(piece), piece)
					}
					c.Send(piece)
				}
				if w.name == "chunked" {
					c.Send("0\r\n\r\n")
				}
			})
			g := start(t, setup{backends: []*testkit.Backend{b}, settings: func(s *config.BackendSettings) { s.RequestTimeout = timeout }})
			c := testkit.Dial(t, g.addr)
			if r := ask(t, c, get("/"), 200); string(r.Content) != want {
				t.Errorf("%d bytes came, want %d", len(r.Content), len(want))
			}
			ask(t, c, get("/"), 200)
			if n := b.ConnCount(); n != 1 {
				t.Errorf("%d connections to the backend", n)
			}
		})
	}
}

func TestAResponseThatStallsIsCut(t *testing.T) {
	const timeout = 1500 * time.Millisecond // the beginning comes sooner on a busy machine, too
	for name, head := range map[string]string{
		"copied": "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart", "spliced": "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\npart",
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) { c.Send(head); c.WaitPeer(soon) })
			g := start(t, setup{backends: []*testkit.Backend{b}, settings: func(s *config.BackendSettings) { s.RequestTimeout = timeout }})
			c := testkit.Dial(t, g.addr)
			from := time.Now()
			c.Send(get("/"))
			r, err := c.TryReadResponse("GET", soon)
			if took := time.Since(from); err == nil || r == nil || string(r.Content) != "part" || took < timeout || took > timeout+soon/2 {
				t.Errorf("%v, %v after %v", r, err, took)
			}
			if l := g.lines(t, 1)[0]; l.text("termination") != "SD" {
				t.Errorf("the log says %v", l)
			}
		})
	}
}

func TestServerSentEventsReachTheClientAtOnce(t *testing.T) {
	next := make(chan string)
	g, _ := one(t, func(c *testkit.Conn, r *testkit.Request) {
		c.Send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		for event := range next {
			c.Send(fmt.Sprintf("%x\r\n%s\r\n", len(event), event))
		}
		c.Send("0\r\n\r\n")
	})
	c := testkit.Dial(t, g.addr)
	c.Send(get("/events"))
	c.ReadN(len("HTTP/1.1 200 OK\r\n"))
	for i := range 5 {
		event := fmt.Sprintf("data: %d\n\n", i)
		from := time.Now()
		next <- event
		for got := ""; !strings.Contains(got, event); {
			got += c.ReadN(1)
		}
		if took := time.Since(from); took > soon/2 {
			t.Errorf("event %d came after %v", i, took)
		}
		time.Sleep(30 * time.Millisecond) // the client is being watched by now
	}
	close(next)
}

// While the response streams and the body is still coming, both directions go
// on beside each other.
func TestBothBodiesStreamAtATime(t *testing.T) {
	const size = 1 << 20
	g, _ := one(t, func(c *testkit.Conn, r *testkit.Request) {
		c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		buf := make([]byte, 16<<10)
		for {
			n, err := r.Read(buf)
			if n > 0 {
				c.Send(fmt.Sprintf("%x\r\n%s\r\n", n, buf[:n]))
			}
			if err != nil {
				break
			}
		}
		c.Send("0\r\n\r\n")
	})
	c := testkit.Dial(t, g.addr)
	body := testkit.Pattern(size)
	go func() {
		c.TrySend(request("POST", "/", fmt.Sprint("Content-Length: ", size))+body[:size/2], soon)
		time.Sleep(150 * time.Millisecond) // longer than it takes to look for the client
		c.TrySend(body[size/2:], soon)
	}()
	if r := c.ReadResponse("POST"); string(r.Content) != body {
		t.Errorf("%d bytes came back, want %d", len(r.Content), size)
	}
}

func TestExpect100(t *testing.T) {
	body := testkit.Pattern(40 << 10)
	head := request("PUT", "/", fmt.Sprint("Content-Length: ", len(body)), "Expect: 100-continue")
	t.Run("backend says 100", func(t *testing.T) {
		g, b := one(t, nil)
		c := testkit.Dial(t, g.addr)
		c.Send(head)
		if r := c.ReadResponse("PUT"); r.StatusCode != 100 {
			t.Fatalf("answer is %q", r.Head)
		}
		c.Send(body)
		if r := c.ReadResponse("PUT"); r.StatusCode != 200 || testkit.DecodeEcho(t, r.Content).BodyLen != int64(len(body)) {
			t.Fatalf("answer is %q", r.Head)
		}
		if got := b.Last().Get("Expect"); got != "100-continue" {
			t.Errorf("Expect is %q at the backend", got)
		}
		ask(t, c, get("/"), 200)
	})
	for _, status := range []int{413, 401} {
		t.Run(fmt.Sprint("backend refuses with ", status), func(t *testing.T) {
			g, b := one(t, func(c *testkit.Conn, r *testkit.Request) { c.Respond(r, status, "no") })
			c := testkit.Dial(t, g.addr)
			from := time.Now()
			c.Send(head)
			r, interim := c.ReadFinal("PUT")
			if r.StatusCode != status || r.Get("Connection") != "close" || len(interim) > 0 && int64(time.Since(from)) < expectWait {
				t.Fatalf("answer is %q after %d others", r.Head, len(interim))
			}
			c.ExpectClosed(soon)
			if r := b.Requests()[0]; r.BodyLen != 0 {
				t.Errorf("%d bytes of the body reached the backend", r.BodyLen)
			}
		})
	}
	t.Run("backend is silent", func(t *testing.T) {
		g, _ := one(t, func(c *testkit.Conn, r *testkit.Request) {
			r.NoContinue = true
			r.ReadBody()
			c.Respond(r, 200, "ok")
		})
		c := testkit.Dial(t, g.addr)
		from := time.Now()
		c.Send(head)
		r := c.ReadResponse("PUT")
		if took := time.Since(from); r.StatusCode != 100 || took < time.Second-50*time.Millisecond || took > soon/2 {
			t.Fatalf("answer is %q after %v", r.Head, took)
		}
		ask(t, c, body, 200)
	})
	t.Run("the body comes with the head", func(t *testing.T) {
		g, b := one(t, nil)
		c := testkit.Dial(t, g.addr)
		c.Send(head + body)
		r, interim := c.ReadFinal("PUT")
		if r.StatusCode != 200 || len(interim) > 1 || b.Last().BodyLen != int64(len(body)) {
			t.Errorf("answer is %q after %d others", r.Head, len(interim))
		}
	})
	t.Run("a short body comes with the head", func(t *testing.T) {
		g, b := one(t, nil)
		c := testkit.Dial(t, g.addr)
		c.Send(request("PUT", "/", "Content-Length: 2", "Expect: 100-continue") + "hi")
		if r := c.ReadResponse("PUT"); r.StatusCode != 200 || b.Last().Get("Expect") != "" {
			t.Errorf("answer is %q, Expect at the backend %q", r.Head, b.Last().Get("Expect"))
		}
	})
}

func TestInformationalResponsesArePassedOn(t *testing.T) {
	hints := "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n"
	g, _ := one(t, testkit.Raw("HTTP/1.1 100 Continue\r\n\r\n"+hints+"HTTP/1.1 102 Processing\r\n\r\n"+hints+"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	c := testkit.Dial(t, g.addr)
	for range 2 {
		c.Send(get("/"))
		r, interim := c.ReadFinal("GET")
		if r.StatusCode != 200 || len(interim) != 3 || interim[0].Get("Link") != "</a.css>" || interim[0].Get("X-Hop") != "" || interim[1].StatusCode != 102 {
			t.Errorf("%d informational responses, then %q", len(interim), r.Head)
		}
	}
	c.Send("GET / HTTP/1.0\r\nHost: shop.test\r\nConnection: keep-alive\r\n\r\n")
	if r := c.ReadResponse("GET"); r.StatusCode != 200 {
		t.Errorf("HTTP/1.0 got %q", r.Head)
	}
}
