package http2

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/internal/testkit"
	"gatehouse/proxy/http1"
)

func TestRequestAndAnswer(t *testing.T) {
	l := newLab(t, echo)
	c := l.dial()
	a := c.must(c.ask(true, get("/a?b=c", "user-agent", "x", "cookie", "a=1", "te", "trailers", "cookie", "b=2")...))
	want := "GET /a?b=c\nhost: shop.test\r\nuser-agent: x\r\nte: trailers\r\ncookie: a=1; b=2\r\n\n"
	if a.status != "200" || a.body != want || a.field("x-answer") != "yes" || a.field("content-length") != strconv.Itoa(len(want)) {
		t.Errorf("answer %+v, want body %q", a, want)
	}
	// A body of unknown length, in pieces, with trailers.
	id := c.ask(false, request("POST", "/up", "trailer", "x-sum, cookie")...)
	for _, piece := range []string{"one ", "", "two "} {
		c.framer.WriteDataPadded(id, false, []byte(piece), []byte{0, 0, 0})
	}
	c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block("x-sum", "7", "x-secret", "8"), EndStream: true, EndHeaders: true})
	a = c.must(id)
	if want = "POST /up\nhost: shop.test\r\ntrailer: x-sum, cookie\r\ntransfer-encoding: chunked\r\n\none two x-sum: 7\r\n"; a.body != want {
		t.Errorf("body %q, want %q", a.body, want)
	}
	// One of a known length.
	id = c.ask(false, request("PUT", "/up", "content-length", "5")...)
	c.framer.WriteData(id, false, []byte("he"))
	c.framer.WriteData(id, true, []byte("llo"))
	if a = c.must(id); a.body != "PUT /up\nhost: shop.test\r\ncontent-length: 5\r\n\nhello" {
		t.Errorf("body %q", a.body)
	}
}

// A head that takes several frames.
func TestContinuation(t *testing.T) {
	l := newLab(t, echo)
	c := l.dial()
	b := c.block(get("/", "x-long", strings.Repeat("v", 3000))...)
	c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:10], EndStream: true})
	c.framer.WriteContinuation(1, false, b[10:500])
	c.framer.WriteContinuation(1, true, b[500:])
	if a := c.must(1); !strings.Contains(a.body, "x-long: vvv") {
		t.Errorf("answer %+v", a)
	}
}

// Rows 20 to 34 of the reference: what must not be sent on to an HTTP/1.1
// backend.
func TestMalformedRequests(t *testing.T) {
	l := newLab(t, echo)
	without := func(name string) []string {
		f := get("/")
		for i := 0; i < len(f); i += 2 {
			if f[i] == name {
				return append(append([]string{}, f[:i]...), f[i+2:]...)
			}
		}
		return f
	}
	tests := []struct {
		name   string
		fields []string
		status string // "": the stream is reset
	}{
		{"capital letters", get("/", "X-Upper", "1"), ""},
		{"name with a space", get("/", "x y", "1"), ""},
		{"name with a colon", get("/", "x:y", "1"), ""},
		{"name with a break", get("/", "x\r\ny", "1"), ""},
		{"empty name", get("/", "", "1"), ""},
		{"break in a value", get("/", "x", "1\r\ny: 2"), ""},
		{"LF in a value", get("/", "x", "1\ny: 2"), ""},
		{"NUL in a value", get("/", "x", "1\x00"), ""},
		{"space before a value", get("/", "x", " 1"), ""},
		{"space behind a value", get("/", "x", "1\t"), ""},
		{"connection", get("/", "connection", "close"), ""},
		{"keep-alive", get("/", "keep-alive", "1"), ""},
		{"proxy-connection", get("/", "proxy-connection", "close"), ""},
		{"transfer-encoding", get("/", "transfer-encoding", "chunked"), ""},
		{"upgrade", get("/", "upgrade", "websocket"), ""},
		{"te", get("/", "te", "gzip"), ""},
		{"te with more", get("/", "te", "trailers, gzip"), ""},
		{"no method", without(":method"), ""},
		{"no path", without(":path"), ""},
		{"no scheme", without(":scheme"), ""},
		{"no authority", without(":authority"), "400"},
		{"host instead", append(without(":authority"), "host", "shop.test"), "200"},
		{"host beside", get("/", "host", "shop.test"), "200"},
		{"another host beside", get("/", "host", "other.test"), "400"},
		{"two hosts", append(without(":authority"), "host", "shop.test", "host", "shop.test"), ""},
		{"two paths", append(get("/"), ":path", "/"), ""},
		{"two methods", append([]string{":method", "GET"}, get("/")...), ""},
		{"unknown pseudo-header", append([]string{":x", "1"}, get("/")...), ""},
		{"protocol, not offered", append([]string{":protocol", "websocket"}, get("/")...), ""},
		{"status", append([]string{":status", "200"}, get("/")...), ""},
		{"late pseudo-header", append([]string{"x", "1"}, get("/")...), ""},
		{"empty path", get(""), ""},
		{"path without a slash", get("a"), ""},
		{"absolute path", get("http://shop.test/"), ""},
		{"path with a space", get("/a b"), "400"},
		{"path with a break", get("/a\r\nx: y"), ""},
		{"path with a version", get("/ HTTP/1.1\r\nx: y\r\n\r\n"), ""},
		{"fragment", get("/#a"), "400"},
		{"asterisk", get("*"), ""},
		{"asterisk, OPTIONS", request("OPTIONS", "*"), "200"},
		{"method with a space", request("GET /x", "/"), "400"},
		{"method in lower case", request("get", "/"), "400"},
		{"long method", request(strings.Repeat("A", 40), "/"), "400"},
		{"TRACE", request("TRACE", "/"), "405"},
		{"CONNECT", []string{":method", "CONNECT", ":authority", "shop.test:443"}, "405"},
		{"odd scheme", append([]string{":scheme", "ftp"}, without(":scheme")...), ""},
		{"scheme with a slash", append([]string{":scheme", "http://x/"}, without(":scheme")...), ""},
		{"bad authority", append([]string{":authority", "a@b"}, without(":authority")...), "400"},
		{"authority with a path", append([]string{":authority", "a/b"}, without(":authority")...), "400"},
		{"length of what has ended", get("/", "content-length", "5"), ""},
		{"length that is none", get("/", "content-length", "+0"), "400"},
		{"two lengths", get("/", "content-length", "0", "content-length", "1"), "400"},
		{"expectation", get("/", "expect", "miracles"), "417"},
	}
	c := l.dial()
	for _, tt := range tests {
		l.why.Store(nil)
		a := c.must(c.ask(true, tt.fields...))
		why := l.why.Load()
		switch {
		case tt.status == "" && (!a.isReset || a.reset != http2.ErrCodeProtocol || a.status != ""):
			t.Errorf("%s: answer %+v, want a reset", tt.name, a)
		case tt.status != "" && a.status != tt.status:
			t.Errorf("%s: answer %+v, want %s", tt.name, a, tt.status)
		case tt.status != "200" && why == nil:
			t.Errorf("%s: nobody was told", tt.name)
		}
	}
	c.alive()
}

// The limits of a head are those of HTTP/1.1.
func TestHeadLimits(t *testing.T) {
	l := newLab(t, echo)
	c := l.dial()
	many := get("/")
	for i := range 51 {
		many = append(many, fmt.Sprint("x", i), "1")
	}
	crumbs := get("/")
	for range 200 {
		crumbs = append(crumbs, "cookie", "a=1")
	}
	tests := []struct {
		name, status string
		fields       []string
	}{
		{"fields", "431", many},
		{"crumbs", "431", crumbs},
		{"one large field", "431", get("/", "x", strings.Repeat("v", 16<<10))},
		{"one that is larger than all may be", "431", get("/", "x", strings.Repeat("v", 20<<10))},
		{"URL", "414", get("/" + strings.Repeat("v", 8<<10))},
	}
	for _, tt := range tests {
		b := c.block(tt.fields...)
		id := c.next
		c.next += 2
		first := min(len(b), maxFrame)
		c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b[:first], EndStream: true, EndHeaders: first == len(b)})
		if first < len(b) {
			c.framer.WriteContinuation(id, true, b[first:])
		}
		if a := c.must(id); a.status != tt.status {
			t.Errorf("%s: answer %+v, want %s", tt.name, a, tt.status)
		}
	}
	c.alive()
}

// A body is as long as Content-Length says, or the stream is reset and the
// reader of the body is told (row 28).
func TestBodyLengths(t *testing.T) {
	got := make(chan error, 1)
	l := newLab(t, func(x *Exchange) {
		for {
			if _, err := x.ReadBody(); err != nil {
				got <- err
				break
			}
		}
		respond(x, 200, "")
	})
	for name, pieces := range map[string][]string{"short": {"abc"}, "long": {"abcdef"}, "long in pieces": {"abc", "def"}, "trailers too soon": {"abc", "+"}} {
		c := l.dial()
		id := c.ask(false, request("POST", "/", "content-length", "5")...)
		for i, p := range pieces {
			if p == "+" {
				c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block("x", "1"), EndStream: true, EndHeaders: true})
				continue
			}
			c.framer.WriteData(id, i == len(pieces)-1, []byte(p))
		}
		if a := c.must(id); !a.isReset || a.reset != http2.ErrCodeProtocol {
			t.Errorf("%s: answer %+v", name, a)
		}
		select {
		case err := <-got:
			if err == io.EOF {
				t.Errorf("%s: the body seemed whole", name)
			}
		case <-time.After(soon):
			t.Fatalf("%s: the reader was not told", name)
		}
	}
}

// Large bodies in both directions, many at once, while all windows are small.
func TestManyLargeBodies(t *testing.T) {
	t.Run("small windows", func(t *testing.T) { manyLargeBodies(t, 5000) })
	t.Run("large windows", func(t *testing.T) { manyLargeBodies(t, 300<<10) }) // written directly
}

func manyLargeBodies(t *testing.T, streamWindowOfClient uint32) {
	const size, streams = 1 << 20, 8
	l := newLab(t, func(x *Exchange) {
		var r httpmsg.Response
		r.Reset(nil)
		r.Status, r.Body = 200, httpmsg.BodyChunked
		if err := x.Respond(&r, nil, false); err != nil {
			x.Abort()
			return
		}
		for {
			p, err := x.ReadBody()
			if err == io.EOF {
				break
			}
			if err != nil || x.WriteBody(p) != nil {
				x.Abort()
				return
			}
		}
		x.Finish(nil)
	})
	c := l.dial(http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindowOfClient})
	c.framer.WriteWindowUpdate(0, streamWindowOfClient)
	var mu sync.Mutex // of writing
	window := make(chan struct{}, 1)
	open := map[uint32]int{0: 65535}
	var write sync.WaitGroup
	for range streams {
		id := c.ask(false, request("POST", "/")...)
		open[id] = 65535
	}
	for id := uint32(1); id < 2*streams; id += 2 {
		write.Go(func() {
			for left := size; left > 0; {
				mu.Lock()
				n := min(left, open[0], open[id], 10_000)
				if n > 0 {
					open[0] -= n
					open[id] -= n
					left -= n
					c.framer.WriteData(id, left == 0, []byte(strings.Repeat(string('a'+rune(id)), n)))
				}
				mu.Unlock()
				if n == 0 {
					select {
					case <-window:
					case <-time.After(10 * time.Millisecond):
					}
				}
			}
		})
	}
	got := map[uint32]int{}
	for done := 0; done < streams; {
		f, err := c.framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		switch f := f.(type) {
		case *http2.SettingsFrame:
			for id := uint32(1); id < 2*streams && !f.IsAck(); id += 2 {
				open[id] += streamWindow - 65535
			}
		case *http2.WindowUpdateFrame:
			open[f.StreamID] += int(f.Increment)
			select {
			case window <- struct{}{}:
			default:
			}
		case *http2.DataFrame:
			for _, b := range f.Data() {
				if b != 'a'+byte(f.StreamID) {
					t.Fatalf("a byte of another stream: %q", b)
				}
			}
			got[f.StreamID] += len(f.Data())
			if n := len(f.Data()); n > 0 {
				c.framer.WriteWindowUpdate(0, uint32(n))
				c.framer.WriteWindowUpdate(f.StreamID, uint32(n))
			}
			if f.StreamEnded() {
				done++
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			t.Fatalf("%v", f)
		}
		mu.Unlock()
	}
	write.Wait()
	for id, n := range got {
		if n != size {
			t.Errorf("stream %d: %d bytes", id, n)
		}
	}
}

// Memory for bodies that nobody reads is what the windows say.
func TestWindowsHold(t *testing.T) {
	hold := make(chan struct{})
	l := newLab(t, func(x *Exchange) { <-hold; respond(x, 200, "") })
	for _, over := range []int{streamWindow, connWindow} {
		c := l.dial()
		var ids []uint32
		sent := 0
		for sent <= over {
			if len(ids) == 0 || over == connWindow && sent%streamWindow == 0 {
				ids = append(ids, c.ask(false, request("POST", "/")...))
			}
			c.framer.WriteData(ids[len(ids)-1], false, make([]byte, 16<<10))
			sent += 16 << 10
		}
		if over == connWindow {
			if code := c.ended(); code != int(http2.ErrCodeFlowControl) {
				t.Errorf("over the connection's window: code %d", code)
			}
			continue
		}
		if a := c.must(ids[0]); !a.isReset || a.reset != http2.ErrCodeFlowControl {
			t.Errorf("over the stream's window: %+v", a)
		}
	}
	close(hold)
}

// What a stream that is over held of the connection's window is given back.
func TestWindowOfUnreadBodies(t *testing.T) {
	l := newLab(t, func(x *Exchange) { respond(x, 200, "no") })
	c := l.dial()
	allowed := 65535
	for sent := 0; sent < 3*connWindow; {
		id := c.ask(false, request("POST", "/")...)
		a := &answer{}
		for n := 0; n < 64<<10; {
			if allowed >= 16<<10 && !a.isReset {
				c.framer.WriteData(id, false, make([]byte, 16<<10))
				allowed -= 16 << 10
				sent += 16 << 10
				n += 16 << 10
				continue
			}
			f, err := c.read()
			if err != nil {
				t.Fatalf("after %d bytes: %v", sent, err)
			}
			switch f := f.(type) {
			case *http2.WindowUpdateFrame:
				if f.StreamID == 0 {
					allowed += int(f.Increment)
				}
			case *http2.RSTStreamFrame:
				if f.ErrCode != http2.ErrCodeNo {
					t.Fatalf("reset with %v", f.ErrCode)
				}
				a.isReset = a.isReset || f.StreamID == id
				if a.isReset {
					n = 64 << 10
				}
			case *http2.GoAwayFrame:
				t.Fatal(f)
			}
		}
	}
}

// A reader that takes nothing stalls its stream only, and not for ever.
func TestWriteStall(t *testing.T) {
	result := make(chan error, 1)
	l := newLab(t, func(x *Exchange) {
		if r := x.Request(); string(r.Bytes(r.Target)) == "/alive" {
			respond(x, 200, "")
			return
		}
		result <- respond(x, 200, strings.Repeat("x", 100_000))
	}, func(l *lab) { l.stall = 600 * time.Millisecond })
	c := l.dial(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
	began := time.Now()
	id := c.ask(true, get("/")...)
	for i := range 20 { // windows of a byte are no progress
		c.framer.WriteWindowUpdate(id, 1)
		time.Sleep(20 * time.Millisecond)
		if i == 10 {
			if a, err := c.wait(c.ask(true, get("/alive")...)); err != nil || a.status != "200" {
				t.Errorf("meanwhile: %v, %+v", err, a)
			}
		}
	}
	select {
	case err := <-result:
		if d := time.Since(began); err != stream.ErrTimeout || d < 500*time.Millisecond {
			t.Errorf("%v after %v", err, d)
		}
	case <-time.After(soon):
		t.Fatal("it waits for ever")
	}
}

// A client that leaves is noticed while nobody reads its body.
func TestClientLeaves(t *testing.T) {
	gone := make(chan bool)
	l := newLab(t, func(x *Exchange) {
		left := make(chan struct{})
		x.Watch(func() { close(left) })
		select {
		case <-left:
		case <-time.After(soon):
		}
		gone <- x.Unwatch() && x.Gone()
		if err := respond(x, 200, ""); err == nil {
			t.Error("it could be answered")
		}
	})
	for name, leave := range map[string]func(*client, uint32){
		"reset":  func(c *client, id uint32) { c.framer.WriteRSTStream(id, http2.ErrCodeCancel) },
		"closed": func(c *client, _ uint32) { c.conn.Close() },
		"cut":    func(c *client, _ uint32) { c.conn.SetLinger(0); c.conn.Close() },
	} {
		c := l.dial()
		id := c.ask(true, get("/")...)
		testkit.Eventually(t, soon, "the request", func() bool { return l.serving.Load() == 1 })
		leave(c, id)
		if !<-gone {
			t.Errorf("%s: not noticed", name)
		}
		testkit.Eventually(t, soon, "the end", func() bool { return l.serving.Load() == 0 })
	}
}

// A client that waits for 100 (Continue) gets it when its body is wanted.
func TestContinue(t *testing.T) {
	l := newLab(t, func(x *Exchange) {
		if !x.Awaits100() {
			t.Error("it does not wait")
		}
		echo(x)
	})
	c := l.dial()
	id := c.ask(false, request("POST", "/", "expect", "100-continue", "content-length", "2")...)
	f, err := c.read()
	for ; err == nil && f.Header().StreamID == 0; f, err = c.read() {
	}
	h, ok := f.(*http2.HeadersFrame)
	if err != nil || !ok {
		t.Fatalf("%v, %v", f, err)
	}
	c.dec.Write(h.HeaderBlockFragment())
	if c.fields[0].Value != "100" {
		t.Fatalf("head %v", c.fields)
	}
	c.framer.WriteData(id, true, []byte("ok"))
	if a := c.must(id); !strings.HasSuffix(a.body, "ok") {
		t.Errorf("answer %+v", a)
	}
}

// Bodies that come too slowly are refused, as with HTTP/1.1.
func TestHoldBody(t *testing.T) {
	type result struct {
		held  string
		whole bool
		rest  string
	}
	results := make(chan result, 1)
	l := newLab(t, func(x *Exchange) {
		most := 4
		if r := x.Request(); string(r.Bytes(r.Target)) == "/all" {
			most = 100
		}
		held, whole, err := x.HoldBody(most, true)
		if err != nil {
			t.Error(err)
		}
		res := result{held: string(held), whole: whole}
		for !whole {
			p, err := x.ReadBody()
			if err == io.EOF {
				break
			}
			res.rest += string(p)
		}
		if !x.BodyDone() {
			t.Error("the body is not done")
		}
		results <- res
		respond(x, 200, "")
	})
	c := l.dial()
	for path, want := range map[string]result{"/some": {"abcd", false, "efgh"}, "/all": {"abcdefgh", true, ""}} {
		id := c.ask(false, request("POST", path)...)
		c.framer.WriteData(id, false, []byte("abcde"))
		c.framer.WriteData(id, true, []byte("fgh"))
		if c.must(id); <-results != want {
			t.Errorf("%s: not %+v", path, want)
		}
	}
}

// Interim responses, trailers of the response, answers without a body.
func TestResponses(t *testing.T) {
	l := newLab(t, func(x *Exchange) {
		var r httpmsg.Response
		r.Reset(nil)
		r.Status = 103
		r.AddString("Link", "</a>")
		x.Inform(&r)
		r.Reset(nil)
		r.Status, r.Body, r.ContentLength = 200, httpmsg.BodyChunked, -1
		r.AddString("Connection", "close")
		r.AddString("Transfer-Encoding", "chunked")
		r.AddString("Set-Cookie", "a")
		r.AddString("Set-Cookie", "b")
		q := x.Request()
		if string(q.Bytes(q.Target)) == "/none" {
			r.Status = 304
			x.Respond(&r, nil, true)
			return
		}
		x.Respond(&r, []byte("one "), false)
		x.WriteBody([]byte("two"))
		var trailers httpmsg.Fields
		trailers.Reset(nil)
		trailers.AddString("Grpc-Status", "0")
		x.Finish(&trailers)
	})
	c := l.dial()
	a := c.must(c.ask(true, get("/")...))
	if a.status != "200" || a.body != "one two" || len(a.informed) != 1 || len(a.trailers) != 1 || a.trailers[0].Name != "grpc-status" {
		t.Errorf("answer %+v", a)
	}
	if len(a.fields) != 2 {
		t.Errorf("fields %v", a.fields)
	}
	if a = c.must(c.ask(true, get("/none")...)); a.status != "304" || a.body != "" {
		t.Errorf("answer %+v", a)
	}
	if a = c.must(c.ask(true, request("HEAD", "/")...)); a.status != "200" || a.body != "" {
		t.Errorf("answer %+v", a)
	}
}

// A handler that gives up, or does not finish, does not look like one that
// does.
func TestAborts(t *testing.T) {
	l := newLab(t, func(x *Exchange) {
		var r httpmsg.Response
		r.Reset(nil)
		r.Status, r.Body = 200, httpmsg.BodyChunked
		q := x.Request()
		switch string(q.Bytes(q.Target)) {
		case "/alive":
			respond(x, 200, "")
		case "/abort":
			x.Respond(&r, []byte("x"), false)
			x.Abort()
		case "/spoil":
			x.Spoil()
		case "/unfinished":
			x.Respond(&r, []byte("x"), false)
		}
	})
	c := l.dial()
	for _, path := range []string{"/abort", "/spoil", "/unfinished"} {
		if a := c.must(c.ask(true, get(path)...)); !a.isReset || a.reset != http2.ErrCodeInternal {
			t.Errorf("%s: %+v", path, a)
		}
	}
	c.alive()
}

// A slow body is refused when its time is over.
func TestSlowBody(t *testing.T) {
	got := make(chan error, 1)
	l := newLab(t, func(x *Exchange) {
		x.bodyStart -= int64(http1.BodyGrace) // its grace is over
		_, err := x.ReadBody()
		got <- err
		respond(x, 408, "")
	}, func(l *lab) { l.options.BodyMinRate = 100 })
	c := l.dial()
	id := c.ask(false, request("POST", "/")...)
	if a := c.must(id); a.status != "408" {
		t.Errorf("answer %+v", a)
	}
	if err := <-got; err != http1.ErrBodyTimeout {
		t.Error(err)
	}
}

func TestInterruptBody(t *testing.T) {
	got := make(chan error)
	l := newLab(t, func(x *Exchange) {
		go func() { _, err := x.ReadBody(); got <- err }()
		time.Sleep(10 * time.Millisecond)
		x.InterruptBody()
		if err := <-got; err != stream.ErrInterrupted {
			t.Error(err)
		}
		x.ResumeBody()
		respond(x, 200, "")
	})
	c := l.dial()
	if a := c.must(c.ask(false, request("POST", "/")...)); a.status != "200" {
		t.Errorf("answer %+v", a)
	}
}
