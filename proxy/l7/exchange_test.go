package l7

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/internal/testkit"
	"gatehouse/proxy/http1"
)

// memoryExchange is an exchange that lives in memory: what a stream of a
// protocol that multiplexes looks like to the gateway. Its body comes through
// a channel, its response goes into a buffer.
type memoryExchange struct {
	req      httpmsg.Request
	body     chan []byte   // closed at its end
	left     chan struct{} // closed when the client leaves
	stop     chan struct{} // closed by InterruptBody
	unwatch  chan struct{}
	watching sync.WaitGroup

	mu       sync.Mutex
	done     bool
	status   int
	fields   []string
	informed []int
	answer   strings.Builder
	started  bool
	finished bool
	aborted  bool
}

func newMemoryExchange(t *testing.T, head string) *memoryExchange {
	t.Helper()
	x := &memoryExchange{body: make(chan []byte), left: make(chan struct{}), stop: make(chan struct{})}
	lim := http1.Limits{HeadBytes: 8 << 10, Fields: 100, URLBytes: 4 << 10}
	if err := http1.ParseRequest([]byte(head), &x.req, &lim); err != nil {
		t.Fatal(err)
	}
	if x.req.Body == httpmsg.BodyNone {
		x.done = true
	}
	return x
}

var errReset = errors.New("stream was reset")

func (x *memoryExchange) Request() *httpmsg.Request { return &x.req }
func (x *memoryExchange) Received() int64           { return 1 }
func (x *memoryExchange) Sent() int64               { return int64(x.answer.Len()) }

func (x *memoryExchange) HoldBody(max int, wait bool) (held []byte, whole bool, err error) {
	for wait && len(held) < min(max, 64<<10) && !x.done {
		p, err := x.ReadBody()
		if err != nil && err != io.EOF {
			return nil, false, err
		}
		held = append(held, p...)
	}
	return held, x.done, nil
}

func (x *memoryExchange) ReadBody() ([]byte, error) {
	select {
	case p, ok := <-x.body:
		if !ok {
			x.mu.Lock()
			x.done = true
			x.mu.Unlock()
			return nil, io.EOF
		}
		return p, nil
	case <-x.left:
		return nil, errReset
	case <-x.stop:
		return nil, stream.ErrInterrupted
	}
}

func (x *memoryExchange) Trailers(*httpmsg.Fields) {}

func (x *memoryExchange) BodyDone() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.done
}

func (x *memoryExchange) Awaits100() bool   { return false }
func (x *memoryExchange) Continue() error   { return nil }
func (x *memoryExchange) KeepFromContinue() {}
func (x *memoryExchange) InterruptBody()    { close(x.stop) }
func (x *memoryExchange) ResumeBody()       {}

func (x *memoryExchange) Watch(onGone func()) {
	unwatch := make(chan struct{})
	x.unwatch = unwatch
	x.watching.Go(func() {
		select {
		case <-x.left:
			onGone()
		case <-unwatch:
		}
	})
}

func (x *memoryExchange) Unwatch() bool {
	if x.unwatch != nil {
		close(x.unwatch)
		x.unwatch = nil
		x.watching.Wait()
	}
	return x.Gone()
}

func (x *memoryExchange) Gone() bool {
	select {
	case <-x.left:
		return true
	default:
		return false
	}
}

func (x *memoryExchange) Inform(r *httpmsg.Response) error {
	x.informed = append(x.informed, r.Status)
	return nil
}

func (x *memoryExchange) Respond(r *httpmsg.Response, body []byte, end bool) error {
	x.started, x.status = true, r.Status
	for i := range r.Len() {
		if _, name, value, ok := r.At(i); ok {
			x.fields = append(x.fields, fmt.Sprintf("%s: %s", name, value))
		}
	}
	x.answer.Write(body)
	x.finished = end
	return nil
}

func (x *memoryExchange) WriteBody(p []byte) error {
	if x.Gone() {
		return errReset
	}
	x.answer.Write(p)
	return nil
}

func (x *memoryExchange) Finish(*httpmsg.Fields) error { x.finished = true; return nil }
func (x *memoryExchange) Started() bool                { return x.started }
func (x *memoryExchange) CloseAfter()                  {}
func (x *memoryExchange) Retire()                      {}
func (x *memoryExchange) Abort()                       { x.aborted = true }
func (x *memoryExchange) Spoil()                       { x.aborted = true }
func (x *memoryExchange) Direct() *stream.Conn         { return nil }
func (x *memoryExchange) Moved(int64)                  {}
func (x *memoryExchange) Switch(*httpmsg.Response, []byte) (stream.Tunnel, []byte, error) {
	return nil, nil, errors.New("no connection to give up")
}

// over serves an exchange as one of several on a connection.
func (g *gateway) over(x Exchange) {
	c := Connection{Peer: netip.MustParseAddrPort("192.0.2.7:4711"), Shard: 3, Handshake: -1}
	now := stream.Now()
	g.ServeExchange(x, &c, Arrival{Start: now, IdleSince: now, Proto: "MEM/2"})
}

func TestAnotherProtocolMultiplexesExchanges(t *testing.T) {
	g, b := one(t, nil)
	const streams = 20
	var all sync.WaitGroup
	for i := range streams {
		body := testkit.Pattern(i * 9000)
		x := newMemoryExchange(t, fmt.Sprintf("PUT /stream/%d HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n", i))
		all.Go(func() {
			for n := 0; n < len(body); n += 3000 {
				x.body <- []byte(body[n:min(n+3000, len(body))])
			}
			close(x.body)
		})
		all.Go(func() {
			g.over(x)
			if x.status != 200 || !x.finished || x.aborted {
				t.Errorf("stream %d: status %d, finished %v, aborted %v: %s", i, x.status, x.finished, x.aborted, x.answer.String())
				return
			}
			e := testkit.DecodeEcho(t, []byte(x.answer.String()))
			if e.Target != fmt.Sprint("/stream/", i) || e.BodyLen != int64(len(body)) || e.Get("X-Forwarded-For") != "192.0.2.7" {
				t.Errorf("stream %d: %s with %d bytes from %s", i, e.Target, e.BodyLen, e.Get("X-Forwarded-For"))
			}
		})
	}
	all.Wait()
	if n := b.RequestCount(); n != streams {
		t.Errorf("%d requests", n)
	}
	if l := g.lines(t, streams)[0]; l.text("httpVersion") != "MEM/2" {
		t.Errorf("the log says %v", l)
	}
}

func TestAnotherProtocolsClientLeaves(t *testing.T) {
	for _, w := range []struct {
		name, head string
		handler    testkit.Handler
	}{
		{"before the head", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", func(c *testkit.Conn, r *testkit.Request) { c.WaitPeer(soon) }},
		{"within the response", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", func(c *testkit.Conn, r *testkit.Request) {
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
			c.WaitPeer(soon)
		}},
		{"within the body", "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", func(c *testkit.Conn, r *testkit.Request) { c.WaitPeer(soon) }},
	} {
		t.Run(w.name, func(t *testing.T) {
			g, b := one(t, w.handler)
			x := newMemoryExchange(t, w.head)
			served := make(chan struct{})
			go func() { g.over(x); close(served) }()
			testkit.Eventually(t, soon, "the request", func() bool { return b.RequestCount() == 1 })
			time.Sleep(10 * time.Millisecond)
			from := time.Now()
			close(x.left)
			<-served
			if took := time.Since(from); took > within || !x.aborted {
				t.Errorf("aborted %v after %v", x.aborted, took)
			}
			testkit.Eventually(t, soon, "the backend's connection to go", func() bool { return b.OpenConns() == 0 })
		})
	}
}

func TestAnotherProtocolIsRefusedAndCannotBeUpgraded(t *testing.T) {
	g, _ := one(t, testkit.Raw("HTTP/1.1 103 Early Hints\r\n\r\n"+switching))
	x := newMemoryExchange(t, "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	g.over(x)
	if x.status != 502 || !x.finished || len(x.informed) != 1 {
		t.Errorf("status %d, finished %v, informed %v", x.status, x.finished, x.informed)
	}
}
