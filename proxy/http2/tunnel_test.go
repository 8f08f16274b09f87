package http2

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy/multiplex"
)

// connect are the pseudo-headers of an extended CONNECT.
func connect(protocol string, fields ...string) []string {
	return append([]string{":method", "CONNECT", ":protocol", protocol, ":scheme", "https", ":path", "/chat", ":authority", "shop.test"}, fields...)
}

// room lends a buffer.
type room struct{ buf []byte }

func (r *room) Lend() []byte { return r.buf }
func (r *room) Unlend()      {}

// switching is the response of a backend that has switched protocols.
func switching(accept string) *httpmsg.Response {
	r := new(httpmsg.Response)
	r.Reset(nil)
	r.Status = 101
	r.AddString("Sec-WebSocket-Accept", accept)
	r.AddString("Sec-WebSocket-Protocol", "chat")
	r.AddString("Upgrade", "websocket")
	return r
}

func TestWebSocket(t *testing.T) {
	asked := make(chan string, 1)
	ended := make(chan error, 1)
	l := newLab(t, func(x *Exchange) {
		q := x.Request()
		asked <- string(q.Bytes(q.MethodText)) + " " + string(q.Bytes(q.UpgradeTo)) + "\n" + string(q.AppendLines(nil))
		key, _ := q.Lookup("sec-websocket-key")
		tn, early, err := x.Switch(switching(multiplex.AcceptFor(key)), nil)
		if err != nil || len(early) > 0 {
			t.Errorf("%v, %q", err, early)
		}
		lent := &room{make([]byte, 10)}
		for {
			n, err := tn.ReadLent(lent, stream.Never)
			if err != nil {
				ended <- err
				break
			}
			if err := tn.Write([]byte("<"), lent.buf[:n], []byte(">")); err != nil {
				t.Error(err)
			}
		}
		tn.CloseWrite()
		tn.Close()
	})
	c := l.dial()
	id := c.ask(false, connect("websocket", "sec-websocket-version", "13", "sec-websocket-protocol", "chat")...)
	c.framer.WriteData(id, false, []byte("hello"))
	var a answer
	for a.body != "<hello>" {
		f, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.HeadersFrame:
			c.fields = nil
			c.dec.Write(f.HeaderBlockFragment())
			a.head(c.fields)
		case *http2.DataFrame:
			a.body += string(f.Data())
		}
	}
	if a.status != "200" || a.field("sec-websocket-protocol") != "chat" || a.field("sec-websocket-accept") != "" || a.field("upgrade") != "" {
		t.Errorf("answer %+v", a)
	}
	if q := <-asked; !strings.HasPrefix(q, "GET websocket\n") || !strings.Contains(q, "sec-websocket-version: 13\r\n") {
		t.Errorf("asked %q", q)
	}
	c.framer.WriteData(id, true, nil)
	if a := c.must(id); a.body != "" || a.isReset {
		t.Errorf("at the end: %+v", a)
	}
	if err := <-ended; err != io.EOF {
		t.Error(err)
	}
}

// Ends of tunnels that are no ends of streams.
func TestTunnelErrors(t *testing.T) {
	result := make(chan error, 1)
	l := newLab(t, func(x *Exchange) {
		q := x.Request()
		key, _ := q.Lookup("sec-websocket-key")
		switch string(q.Bytes(q.Target)) {
		case "/alive":
			respond(x, 200, "")
			return
		}
		tn, _, err := x.Switch(switching(multiplex.AcceptFor(key)), nil)
		if err != nil {
			result <- err // the reset has come first
			return
		}
		deadline := stream.Never
		if _, ok := q.Lookup("x-short"); ok {
			deadline = stream.Now() + int64(50*time.Millisecond)
		}
		if _, ok := q.Lookup("x-interrupt"); ok {
			time.AfterFunc(20*time.Millisecond, tn.Interrupt)
		}
		_, err = tn.ReadLent(&room{make([]byte, 10)}, deadline)
		result <- err
	})
	c := l.dial()
	for name, want := range map[string]error{"x-short": stream.ErrTimeout, "x-interrupt": stream.ErrInterrupted, "x-reset": errGone} {
		id := c.ask(false, connect("websocket", name, "1")...)
		if name == "x-reset" {
			for { // it is a tunnel
				if f, err := c.read(); err != nil || f.Header().Type == http2.FrameHeaders && f.Header().StreamID == id {
					break
				}
			}
			c.framer.WriteRSTStream(id, http2.ErrCodeCancel)
		}
		if err := <-result; !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	c.alive()
}

// What is no extended CONNECT that can be served (rows 33, 36 and 39).
func TestWrongConnects(t *testing.T) {
	l := newLab(t, func(x *Exchange) {
		q := x.Request()
		if string(q.Bytes(q.Target)) != "/chat" {
			respond(x, 200, "")
			return
		}
		if _, ok := q.Lookup("x-refused"); ok {
			respond(x, 403, "no")
			return
		}
		if _, _, err := x.Switch(switching("AAAA"), nil); err != multiplex.ErrAccept {
			t.Error(err)
		}
		if err := respond(x, 200, "a page"); err != multiplex.ErrNoSwitch || x.Started() {
			t.Errorf("a page for a tunnel: %v", err)
		}
		respond(x, 502, "")
	})
	c := l.dial()
	if a := c.must(c.ask(false, connect("websocket", "x-refused", "1")...)); a.status != "403" || a.body != "no" {
		t.Errorf("refused by the backend: %+v", a)
	}
	if a := c.must(c.ask(false, connect("websocket")...)); a.status != "502" {
		t.Errorf("a wrong Sec-WebSocket-Accept: %+v", a)
	}
	if a := c.must(c.ask(false, connect("connect-udp")...)); a.status != "501" {
		t.Errorf("unknown protocol: %+v", a)
	}
	if a := c.must(c.ask(false, connect("websocket", "content-length", "3")...)); !a.isReset || a.reset != http2.ErrCodeProtocol {
		t.Errorf("with a length: %+v", a)
	}
	if a := c.must(c.ask(true, connect("websocket")...)); !a.isReset || a.reset != http2.ErrCodeProtocol {
		t.Errorf("an end at once: %+v", a)
	}
	if a := c.must(c.ask(false, ":method", "CONNECT", ":protocol", "websocket", ":authority", "shop.test")); !a.isReset {
		t.Errorf("without a path: %+v", a)
	}
	if a := c.must(c.ask(false, append(connect("websocket"), "upgrade", "websocket")...)); !a.isReset {
		t.Errorf("with Upgrade: %+v", a)
	}
	c.alive()
}
