package http2

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/internal/testkit"
	"gatehouse/proxy/http1"
)

// connectTo makes a connection to a backend that lives until the test ends.
func connectTo(t testing.TB, b *testkit.H2Backend) *ClientConn {
	t.Helper()
	nc, err := new(net.Dialer).DialContext(context.Background(), "tcp", b.Addr)
	if err != nil {
		t.Fatal(err)
	}
	s, err := stream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s.Stall = soon
	c := NewClientConn(s)
	t.Cleanup(c.Close)
	return c
}

// requestTo parses a request.
func requestTo(t testing.TB, text string) *httpmsg.Request {
	t.Helper()
	var r httpmsg.Request
	if err := http1.ParseRequest([]byte(text), &r, &http1.Limits{HeadBytes: 64 << 10, Fields: 100, URLBytes: 8 << 10}); err != nil {
		t.Fatal(err)
	}
	r.Path = r.RawPath
	return &r
}

const getRoot = "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"

// begun is a request that is out.
func begun(t testing.TB, c *ClientConn) *Upstream {
	t.Helper()
	u := NewUpstream()
	if !c.Open(u, 14<<10) {
		t.Fatal("the connection takes no request")
	}
	if err := u.Start(requestTo(t, getRoot), nil, true, stream.Now()); err != nil {
		t.Fatal(err)
	}
	return u
}

// answerTo reads the whole response.
func answerTo(u *Upstream) (status int, body string, err error) {
	deadline := stream.Now() + int64(soon)
	if err := u.ReadHead(deadline); err != nil {
		return 0, "", err
	}
	for {
		p, err := u.ReadBody(deadline)
		if err == io.EOF {
			return u.Head().Status, body, nil
		}
		if err != nil {
			return u.Head().Status, body, err
		}
		body += string(p)
	}
}

func ok(c *testkit.H2Conn, r *testkit.H2Request) { c.Respond(r, "200", "ok") }

// What a backend may not say in a response ends that response, and no other.
func TestMalformedResponsesEndTheirStreamOnly(t *testing.T) {
	many := make([]string, 0, 3000)
	for range 1200 {
		many = append(many, "x-many", "1")
	}
	for name, answer := range map[string]func(c *testkit.H2Conn, r *testkit.H2Request){
		"no status":       func(c *testkit.H2Conn, r *testkit.H2Request) { c.Fields(r, true, "x", "y") },
		"two":             func(c *testkit.H2Conn, r *testkit.H2Request) { c.Fields(r, true, ":status", "200", ":status", "200") },
		"late":            func(c *testkit.H2Conn, r *testkit.H2Request) { c.Fields(r, true, "x", "y", ":status", "200") },
		"no number":       func(c *testkit.H2Conn, r *testkit.H2Request) { c.Fields(r, true, ":status", "2x0") },
		"long":            func(c *testkit.H2Conn, r *testkit.H2Request) { c.Fields(r, true, ":status", "0200") },
		"too high":        func(c *testkit.H2Conn, r *testkit.H2Request) { c.Fields(r, true, ":status", "600") },
		"101":             func(c *testkit.H2Conn, r *testkit.H2Request) { c.Fields(r, false, ":status", "101") },
		"100 that ends":   func(c *testkit.H2Conn, r *testkit.H2Request) { c.Fields(r, true, ":status", "100") },
		"a pseudo-header": func(c *testkit.H2Conn, r *testkit.H2Request) { c.Fields(r, true, ":status", "200", ":path", "/") },
		"upper case":      func(c *testkit.H2Conn, r *testkit.H2Request) { c.Fields(r, true, ":status", "200", "X-Up", "1") },
		"line feed":       func(c *testkit.H2Conn, r *testkit.H2Request) { c.Fields(r, true, ":status", "200", "x", "a\r\nb: c") },
		"nul":             func(c *testkit.H2Conn, r *testkit.H2Request) { c.Fields(r, true, ":status", "200", "x", "a\x00") },
		"connection": func(c *testkit.H2Conn, r *testkit.H2Request) {
			c.Fields(r, true, ":status", "200", "connection", "close")
		},
		"chunked": func(c *testkit.H2Conn, r *testkit.H2Request) {
			c.Fields(r, true, ":status", "200", "transfer-encoding", "chunked")
		},
		"upgrade": func(c *testkit.H2Conn, r *testkit.H2Request) { c.Fields(r, true, ":status", "200", "upgrade", "h2c") },
		"two lengths": func(c *testkit.H2Conn, r *testkit.H2Request) {
			c.Fields(r, false, ":status", "200", "content-length", "1", "content-length", "2")
		},
		"negative length": func(c *testkit.H2Conn, r *testkit.H2Request) {
			c.Fields(r, false, ":status", "200", "content-length", "-1")
		},
		"longer than said":  func(c *testkit.H2Conn, r *testkit.H2Request) { c.Respond(r, "200", "four", "content-length", "3") },
		"shorter than said": func(c *testkit.H2Conn, r *testkit.H2Request) { c.Respond(r, "200", "four", "content-length", "5") },
		"nothing, but a length": func(c *testkit.H2Conn, r *testkit.H2Request) {
			c.Fields(r, true, ":status", "200", "content-length", "5")
		},
		"a body of 204":        func(c *testkit.H2Conn, r *testkit.H2Request) { c.Respond(r, "204", "four") },
		"a body before a head": func(c *testkit.H2Conn, r *testkit.H2Request) { c.Data(r, "x", false) },
		"two heads": func(c *testkit.H2Conn, r *testkit.H2Request) {
			c.Fields(r, false, ":status", "200")
			c.Fields(r, false, ":status", "200")
		},
		"status in trailers": func(c *testkit.H2Conn, r *testkit.H2Request) {
			c.Fields(r, false, ":status", "200")
			c.Fields(r, true, ":status", "200")
		},
		"many fields": func(c *testkit.H2Conn, r *testkit.H2Request) {
			c.Fields(r, true, append([]string{":status", "200"}, many...)...)
		},
		"many 1xx": func(c *testkit.H2Conn, r *testkit.H2Request) {
			for range 50 {
				c.Fields(r, false, ":status", "103")
			}
		},
		"more than the window": func(c *testkit.H2Conn, r *testkit.H2Request) {
			c.Respond(r, "200", strings.Repeat("x", upstreamWindow+1))
		},
		"a head over the limit": func(c *testkit.H2Conn, r *testkit.H2Request) {
			c.Fields(r, true, ":status", "200", "x", strings.Repeat("x", 15<<10))
		},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeak(t)
			b := testkit.StartH2Backend(t, testkit.H2Options{}, func(c *testkit.H2Conn, r *testkit.H2Request) {
				if r.ID == 1 {
					answer(c, r)
					return
				}
				ok(c, r)
			})
			c := connectTo(t, b)
			u := begun(t, c)
			time.Sleep(time.Millisecond) // a window overrun is seen before anybody reads, or is none
			if name == "more than the window" {
				testkit.Eventually(t, soon, "the window to be overrun", func() bool { return u.Received() > upstreamWindow })
			}
			status, body, err := answerTo(u)
			for err == nil && status < 200 {
				status, body, err = answerTo(u)
			}
			if err == nil {
				t.Errorf("it was taken for %d %q", status, body)
			}
			u.Release()
			if status, body, err := answerTo(begun(t, c)); status != 200 || body != "ok" || err != nil {
				t.Errorf("the next is %d %q %v", status, body, err)
			}
		})
	}
}

// What costs us more than a backend ends its connection.
func TestFloodsOfABackendEndItsConnection(t *testing.T) {
	repeat := func(f func(c *testkit.H2Conn, i int)) func(c *testkit.H2Conn, r *testkit.H2Request) {
		return func(c *testkit.H2Conn, r *testkit.H2Request) {
			for i := range 100_000 {
				select {
				case <-c.Closed:
					return
				default:
					f(c, i)
				}
			}
		}
	}
	for name, flood := range map[string]func(c *testkit.H2Conn, r *testkit.H2Request){
		"PING": repeat(func(c *testkit.H2Conn, i int) {
			c.Framer(func(f *http2.Framer) { f.WritePing(false, [8]byte{}) })
		}),
		"SETTINGS": repeat(func(c *testkit.H2Conn, i int) {
			c.Framer(func(f *http2.Framer) { f.WriteSettings() })
		}),
		"RST_STREAM": repeat(func(c *testkit.H2Conn, i int) {
			c.Framer(func(f *http2.Framer) { f.WriteRSTStream(1, http2.ErrCodeCancel) })
		}),
		"PRIORITY": repeat(func(c *testkit.H2Conn, i int) {
			c.Framer(func(f *http2.Framer) { f.WritePriority(1, http2.PriorityParam{}) })
		}),
		"WINDOW_UPDATE": repeat(func(c *testkit.H2Conn, i int) {
			c.Framer(func(f *http2.Framer) { f.WriteWindowUpdate(0, 1) })
		}),
		"unknown": repeat(func(c *testkit.H2Conn, i int) {
			c.Framer(func(f *http2.Framer) { f.WriteRawFrame(0x77, 0, 0, nil) })
		}),
		"GOAWAY": repeat(func(c *testkit.H2Conn, i int) { c.GoAway(1, http2.ErrCodeNo) }),
		"empty DATA": func(c *testkit.H2Conn, r *testkit.H2Request) {
			c.Fields(r, false, ":status", "200")
			repeat(func(c *testkit.H2Conn, i int) { c.Data(r, "", false) })(c, r)
		},
		"CONTINUATION": func(c *testkit.H2Conn, r *testkit.H2Request) {
			c.Framer(func(f *http2.Framer) { f.WriteHeaders(http2.HeadersFrameParam{StreamID: r.ID}) })
			repeat(func(c *testkit.H2Conn, i int) {
				c.Framer(func(f *http2.Framer) { f.WriteContinuation(r.ID, false, nil) })
			})(c, r)
		},
		"a bomb": func(c *testkit.H2Conn, r *testkit.H2Request) {
			block := hpackBomb()
			c.Framer(func(f *http2.Framer) {
				f.WriteHeaders(http2.HeadersFrameParam{StreamID: r.ID, BlockFragment: block, EndHeaders: true})
			})
		},
		"push": func(c *testkit.H2Conn, r *testkit.H2Request) {
			c.Framer(func(f *http2.Framer) {
				f.WritePushPromise(http2.PushPromiseParam{StreamID: r.ID, PromiseID: 2, EndHeaders: true})
			})
		},
		"an idle stream": func(c *testkit.H2Conn, r *testkit.H2Request) {
			c.Framer(func(f *http2.Framer) { f.WriteRSTStream(99, http2.ErrCodeCancel) })
		},
		"a window of too much": func(c *testkit.H2Conn, r *testkit.H2Request) {
			c.Framer(func(f *http2.Framer) { f.WriteWindowUpdate(0, 1<<31-1) })
		},
		"no field block": func(c *testkit.H2Conn, r *testkit.H2Request) {
			c.Framer(func(f *http2.Framer) {
				f.WriteHeaders(http2.HeadersFrameParam{StreamID: r.ID, BlockFragment: []byte{0x80}, EndHeaders: true})
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeak(t)
			b := testkit.StartH2Backend(t, testkit.H2Options{}, flood)
			c := connectTo(t, b)
			u := begun(t, c)
			if status, body, err := answerTo(u); err == nil {
				t.Errorf("it was taken for %d %q", status, body)
			}
			u.Release()
			testkit.Eventually(t, soon, "the end of the connection", c.Over)
		})
	}
}

// hpackBomb is a small block of many large fields: one in the dynamic table,
// and references to it.
func hpackBomb() []byte {
	var out strings.Builder
	enc := hpack.NewEncoder(&out)
	enc.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("a", 3000)})
	block := []byte(out.String())
	for range 10_000 {
		block = append(block, 0x80|62)
	}
	return block
}

// A window that stays shut ends the request that waits for it, in the time of a
// stall.
func TestAShutWindowEndsAnUpload(t *testing.T) {
	b := testkit.StartH2Backend(t, testkit.H2Options{Stalled: true}, func(c *testkit.H2Conn, r *testkit.H2Request) { <-r.Gone })
	c := connectTo(t, b)
	c.stall = 200 * time.Millisecond
	u := NewUpstream()
	c.Open(u, 14<<10)
	defer u.Release()
	r := requestTo(t, "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n")
	if err := u.Start(r, nil, false, stream.Now()); err != nil {
		t.Fatal(err)
	}
	var err error
	sent := 0
	for piece := make([]byte, 16<<10); err == nil && sent < 1<<20; sent += len(piece) {
		err = u.SendBody(piece)
	}
	if err != stream.ErrTimeout || sent > 128<<10 {
		t.Errorf("%v after %d bytes", err, sent)
	}
}

// A backend that vanished is noticed once a request had no answer.
func TestAVanishedBackendIsNoticed(t *testing.T) {
	b := testkit.StartH2Backend(t, testkit.H2Options{Silent: true}, func(c *testkit.H2Conn, r *testkit.H2Request) {})
	c := connectTo(t, b)
	u := begun(t, c)
	if err := u.ReadHead(stream.Now() + int64(50*time.Millisecond)); err != stream.ErrTimeout {
		t.Fatal(err)
	}
	c.Tend(stream.Now(), 0)
	if n := b.Pings.Load(); n != 0 {
		t.Error("it was asked while the request waits: servers of gRPC do not like that")
	}
	u.Release()
	c.Tend(stream.Now(), 0)
	testkit.Eventually(t, soon, "a PING", func() bool { return b.Pings.Load() == 1 })
	c.Tend(stream.Now(), 0)
	if !c.Usable() {
		t.Error("it has no time to answer")
	}
	c.Tend(stream.Now()+int64(answerBy)+1, 0)
	testkit.Eventually(t, soon, "the end of the connection", c.Over)
}

func TestInterruptAndShutEndWaits(t *testing.T) {
	b := testkit.StartH2Backend(t, testkit.H2Options{Stalled: true}, func(c *testkit.H2Conn, r *testkit.H2Request) { <-r.Gone })
	c := connectTo(t, b)
	u := begun(t, c)
	time.AfterFunc(10*time.Millisecond, u.Interrupt)
	if err := u.ReadHead(stream.Never); err != stream.ErrInterrupted {
		t.Error(err)
	}
	u.Release()
	if u = NewUpstream(); !c.Open(u, 1<<10) {
		t.Fatal("no room")
	}
	u.Start(requestTo(t, "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n"), nil, false, 0)
	time.AfterFunc(10*time.Millisecond, u.Shut)
	if err := u.SendBody(make([]byte, 1<<20)); err != errStopped {
		t.Error(err)
	}
	u.Release()
	testkit.Eventually(t, soon, "two resets", func() bool { return b.Resets.Load() == 2 })
}

// Whatever block comes as a response head, what is made of it is a head of
// HTTP/1.1 that means the same, or an error.
func FuzzResponseHead(f *testing.F) {
	seed := func(fields ...string) {
		var out strings.Builder
		enc := hpack.NewEncoder(&out)
		for i := 0; i < len(fields); i += 2 {
			enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		f.Add([]byte(out.String()), true)
		f.Add([]byte(out.String()), false)
	}
	seed(":status", "200", "content-type", "text/plain", "content-length", "5")
	seed(":status", "103", "link", "</x>")
	seed(":status", "200", "content-type", "application/grpc", "grpc-status", "0")
	seed("x", "y", ":status", "200")
	f.Fuzz(func(t *testing.T, block []byte, ends bool) {
		var b headBlock
		b.begin(1, ends)
		d := hpack.NewDecoder(4096, b.field)
		if _, err := d.Write(block); err != nil || d.Close() != nil {
			return
		}
		u := NewUpstream()
		u.maxHead, u.length, u.method = 64<<10, -1, httpmsg.GET
		if why := u.takeBlock(&b); why != "" {
			return
		}
		u.headText = u.pending
		if err := u.parse(); err != nil {
			return
		}
		r := u.Head()
		switch {
		case r.Status != b.status:
			t.Errorf("the status is %d, of %d", r.Status, b.status)
		case r.Len() > b.fields:
			t.Errorf("%d fields, of %d: %q", r.Len(), b.fields, u.headText)
		case u.length >= 0 && b.status >= 200 && !u.isBodiless(b.status) && r.ContentLength != u.length:
			t.Errorf("the length is %d, of %d", r.ContentLength, u.length)
		case r.Body == httpmsg.BodyToClose || r.Close:
			t.Errorf("it ends with its connection: %q", u.headText)
		}
	})
}
