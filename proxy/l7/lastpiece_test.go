package l7

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gatehouse/internal/testkit"
)

// longBody is more than one piece, and than what is written at once.
const longBody = 300_001

// Bodies of HTTP/2 are whole, each in frames of its own stream, and end with
// their last piece: a frame of its own for that would cost a write.
func TestTheEndComesWithTheLastPiece(t *testing.T) {
	const streams = 20
	b := testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) {
		body := testkit.Pattern(longBody)
		if r.Target == "/chunked" {
			c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			c.Send(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body))
			return
		}
		c.Respond(r, 200, body)
	})
	g := start(t, setup{backends: []*testkit.Backend{b}, listener: func(l *Listener) { l.HTTP2 = true }})
	c := dialFramed(t, g.addr)
	for i := range streams {
		path := "/length"
		if i%5 == 4 {
			path = "/chunked"
		}
		c.get(uint32(2*i+1), path)
	}
	bodies := map[uint32]*strings.Builder{}
	for ended := 0; ended < streams; {
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.DataFrame:
			id := f.StreamID
			if bodies[id] == nil {
				bodies[id] = new(strings.Builder)
			}
			bodies[id].Write(f.Data())
			if len(f.Data()) == 0 && id%10 != 9 { // the end of chunks may come late
				t.Errorf("stream %d: an empty frame after %d bytes", id, bodies[id].Len())
			}
			if f.StreamEnded() {
				ended++
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			t.Fatal(f)
		}
	}
	for id, b := range bodies {
		if b.String() != testkit.Pattern(longBody) {
			t.Errorf("stream %d: %d other bytes", id, b.Len())
		}
	}
}

// framed is a client of HTTP/2 that writes and reads frames.
type framed struct {
	*http2.Framer
	t *testing.T
}

func dialFramed(t *testing.T, addr string) *framed {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(soon))
	nc.Write([]byte(http2.ClientPreface))
	c := &framed{http2.NewFramer(nc, nc), t}
	c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	c.WriteWindowUpdate(0, 1<<30)
	return c
}

func (c *framed) get(id uint32, path string) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", path}, {":authority", "shop.test"}} {
		enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	if err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true}); err != nil {
		c.t.Fatal(err)
	}
}
