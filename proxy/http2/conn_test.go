package http2

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"gatehouse/internal/testkit"
)

func TestPreface(t *testing.T) {
	l := newLab(t, echo)
	for _, first := range []string{"GET / HTTP/1.1\r\n\r\n", strings.Replace(Preface, "SM", "MS", 1)} {
		c := l.dialRaw()
		c.conn.Write([]byte(first))
		if code := c.ended(); code != -1 {
			t.Errorf("%q: code %d", first, code)
		}
	}
	c := l.dialRaw() // and no settings behind it
	c.conn.Write([]byte(Preface))
	c.framer.WritePing(false, [8]byte{})
	if code := c.ended(); code != int(http2.ErrCodeProtocol) {
		t.Errorf("code %d", code)
	}
}

// Connections end when they are silent: before the first request, between
// requests, and within a head.
func TestTimeouts(t *testing.T) {
	const head, idle = time.Second, 400 * time.Millisecond
	for _, tt := range []struct {
		name  string
		begin func(*client)
		code  http2.ErrCode
		idle  time.Duration
		least time.Duration
	}{
		{"new", func(*client) {}, http2.ErrCodeNo, idle, head},
		{"idle", func(c *client) { c.must(c.ask(true, get("/")...)) }, http2.ErrCodeNo, idle, idle},
		{"within a head", func(c *client) {
			c.alive()
			c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: c.block(get("/")...)[:2], EndStream: true})
		}, http2.ErrCodeEnhanceYourCalm, soon, head}, // a busy machine may not come to the head at once
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, func(x *Exchange) { respond(x, 200, "") }, func(l *lab) {
				l.options.HeadTimeout, l.options.IdleTimeout = head, tt.idle
			})
			began := time.Now()
			c := l.dial()
			tt.begin(c)
			if code := c.ended(); code != int(tt.code) {
				t.Errorf("code %d", code)
			}
			if d := time.Since(began); d < tt.least || d > 2*soon {
				t.Errorf("it took %v", d)
			}
		})
	}
	t.Run("an answer that takes its time", func(t *testing.T) { // is not idle
		l := newLab(t, func(x *Exchange) {
			time.Sleep(head + idle)
			respond(x, 200, "")
		}, func(l *lab) { l.options.HeadTimeout, l.options.IdleTimeout = head, idle })
		c := l.dial()
		if a := c.must(c.ask(true, get("/")...)); a.status != "200" {
			t.Errorf("answer %+v", a)
		}
	})
}

// Drain lets what is under way finish, also what is on its way.
func TestDrain(t *testing.T) {
	hold := make(chan struct{})
	l := newLab(t, func(x *Exchange) {
		if q := x.Request(); string(q.Bytes(q.Target)) == "/long" {
			<-hold
		}
		respond(x, 200, "")
	})
	c := l.dial()
	long := c.ask(true, get("/long")...)
	testkit.Eventually(t, soon, "the request", func() bool { return l.serving.Load() == 1 })
	l.each((*Conn).Drain)
	l.each((*Conn).Leave)
	f, err := c.read()
	for ; err == nil; f, err = c.read() {
		if g, ok := f.(*http2.GoAwayFrame); ok {
			if g.ErrCode != http2.ErrCodeNo || g.LastStreamID != 1<<31-1 {
				t.Fatalf("%v", g)
			}
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	c.alive() // it was on its way
	close(hold)
	if a := c.must(long); a.status != "200" {
		t.Errorf("answer %+v", a)
	}
	if code := c.ended(); code != int(http2.ErrCodeNo) {
		t.Errorf("code %d", code)
	}
}

func TestLeaveWhenIdle(t *testing.T) {
	l := newLab(t, echo, func(l *lab) { l.options.IdleTimeout = time.Hour }) // so that it is no timeout that ends it
	c := l.dial()
	c.alive()
	testkit.Eventually(t, soon, "it to be idle", func() bool {
		idle := true
		l.each(func(c *Conn) { idle = idle && c.Idle() })
		return idle
	})
	l.each((*Conn).Leave)
	if code := c.ended(); code != int(http2.ErrCodeNo) {
		t.Errorf("code %d", code)
	}
}

// More streams than were agreed on are refused, so that they can be tried
// again; those that are open go on.
func TestConcurrentStreams(t *testing.T) {
	hold := make(chan struct{})
	l := newLab(t, func(x *Exchange) { <-hold; respond(x, 200, "") })
	c := l.dial()
	for range MaxStreams {
		c.ask(true, get("/")...)
	}
	if a := c.must(c.ask(true, get("/")...)); !a.isReset || a.reset != http2.ErrCodeRefusedStream {
		t.Errorf("answer %+v", a)
	}
	// Streams that the client has given up count as long as they are served.
	for id := uint32(1); id < 2*MaxStreams; id += 2 {
		c.framer.WriteRSTStream(id, http2.ErrCodeCancel)
		c.ask(true, get("/")...)
	}
	if a := c.must(c.ask(true, get("/")...)); !a.isReset || a.reset != http2.ErrCodeRefusedStream {
		t.Errorf("answer %+v", a)
	}
	testkit.Eventually(t, soon, "all others to be served", func() bool { return l.serving.Load() == maxServing })
	close(hold)
}

// Frames where none may be, of the kinds that the conformance suite leaves out.
func TestFramesOutOfPlace(t *testing.T) {
	l := newLab(t, echo)
	tests := []struct {
		name string
		send func(c *client)
		code http2.ErrCode
	}{
		{"PUSH_PROMISE", func(c *client) {
			c.framer.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
		}, http2.ErrCodeProtocol},
		{"even stream", func(c *client) {
			c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 2, BlockFragment: c.block(get("/")...), EndStream: true, EndHeaders: true})
		}, http2.ErrCodeProtocol},
		{"DATA on an idle stream", func(c *client) { c.framer.WriteData(9, true, nil) }, http2.ErrCodeProtocol},
		{"window of an idle stream", func(c *client) { c.framer.WriteWindowUpdate(9, 1) }, http2.ErrCodeProtocol},
		{"huge initial window", func(c *client) {
			c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
		}, http2.ErrCodeFlowControl},
		{"broken compression", func(c *client) {
			c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, EndStream: true, EndHeaders: true})
		}, http2.ErrCodeCompression},
	}
	for _, tt := range tests {
		c := l.dial()
		tt.send(c)
		if code := c.ended(); code != int(tt.code) {
			t.Errorf("%s: code %d, want %v", tt.name, code, tt.code)
		}
	}
}
