package http2

import (
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/internal/testkit"
)

// Streams whose content is always at hand share a connection that is slow: none
// keeps it, and none is told that its client has stalled while that reads.
func TestStreamsTakeTurns(t *testing.T) {
	const (
		rate  = 8 << 20 // bytes a second
		stall = time.Second
	)
	for _, tt := range []struct {
		name   string
		pieces []int // of each stream
	}{
		{"large pieces", slices.Repeat([]int{128 << 10}, 12)},
		{"many", slices.Repeat([]int{128 << 10}, 96)}, // a round takes longer than a stall
		{"one of large pieces among small ones", append(slices.Repeat([]int{8 << 10}, 10), 128<<10)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			sent := map[uint32]int{} // pieces
			over := false
			l := newLab(t, func(x *Exchange) {
				piece := make([]byte, tt.pieces[x.id/2])
				err := x.Respond(chunkedHead(), nil, false)
				for err == nil {
					err = x.WriteBody(piece)
					mu.Lock()
					sent[x.id]++
					mu.Unlock()
				}
				mu.Lock()
				defer mu.Unlock()
				if !over {
					t.Errorf("stream %d ends: %v", x.id, err)
				}
				x.Abort()
			}, func(l *lab) { l.stall = stall })
			c := l.dial(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
			if err := c.conn.SetReadBuffer(64 << 10); err != nil {
				t.Fatal(err)
			}
			c.framer.WriteWindowUpdate(0, 1<<30)
			for range tt.pieces {
				c.ask(true, get("/")...)
			}
			c.readAt(rate, 4*stall, 32<<20)
			mu.Lock()
			defer mu.Unlock()
			over = true
			least, most := 1<<30, 0
			for id := range tt.pieces {
				n := sent[uint32(2*id+1)]
				least, most = min(least, n), max(most, n)
			}
			if first := 4 << 20 / slices.Min(tt.pieces); least == 0 || most > 4*least+first { // what the sockets took went to whoever came first
				t.Errorf("one stream sent %d pieces, another %d", least, most)
			}
			l.each(func(h *Conn) { h.stream.Cut() })
		})
	}
}

// readAt reads so many bytes a second, whatever they are, for a while, and at
// least so many in all.
func (c *client) readAt(rate int, long time.Duration, least int) {
	buf := make([]byte, 32<<10)
	got := 0
	c.conn.SetReadDeadline(time.Now().Add(6 * soon))
	for began := time.Now(); got < least || time.Since(began) < long; {
		n, err := c.conn.Read(buf)
		if err != nil {
			c.t.Fatal(err)
		}
		got += n
		time.Sleep(time.Duration(got)*time.Second/time.Duration(rate) - time.Since(began))
	}
}

func chunkedHead() *httpmsg.Response {
	r := new(httpmsg.Response)
	r.Reset(nil)
	r.Status, r.Body = 200, httpmsg.BodyChunked
	return r
}

// Large pieces, small ones, trailers, resets and changing windows, all at once.
func TestLargePiecesAmongTrouble(t *testing.T) {
	large := make([]byte, 300<<10)
	piece := func() []byte { return large[:1+rand.IntN(len(large))] }
	l := newLab(t, func(x *Exchange) {
		err := x.Respond(chunkedHead(), large[:rand.IntN(20<<10)], false)
		for range rand.IntN(3) {
			if err == nil {
				err = x.WriteBody(piece())
			}
		}
		if err != nil || rand.IntN(4) == 0 {
			x.Abort()
			return
		}
		if rand.IntN(3) > 0 {
			_ = x.WriteLast(piece()) // a stream may be reset meanwhile
			return
		}
		var trailers httpmsg.Fields
		trailers.Reset(nil)
		trailers.AddString("grpc-status", "0")
		_ = x.Finish(&trailers)
	}, patient)
	var clients sync.WaitGroup
	for range 3 {
		c := l.dial(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(1 + rand.IntN(600<<10))})
		c.framer.WriteWindowUpdate(0, uint32(1+rand.IntN(1<<20)))
		clients.Go(func() { c.makeTrouble(200) })
	}
	clients.Wait()
	l.each(func(h *Conn) {
		testkit.Eventually(t, soon, "nothing to be left", func() bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			return !h.dead && h.serving == 0 && len(h.streams) == 0 && len(h.out) == 0 && !h.queued && !h.writing &&
				h.line.next == nil && len(h.line.waiting) == 0 && h.vector == nil
		})
	})
}

// A peer that makes its table smaller must be told of ours, in the next block
// (RFC 9113 4.3.1); so it is in the first one.
func TestThePeerIsToldThatThereIsNoTable(t *testing.T) {
	l := newLab(t, func(x *Exchange) { respond(x, 200, "") })
	c := l.dial()
	block := func() []byte {
		t.Helper()
		c.ask(true, get("/")...)
		for {
			f, err := c.read()
			if err != nil {
				t.Fatal(err)
			}
			if h, ok := f.(*http2.HeadersFrame); ok {
				return slices.Clone(h.HeaderBlockFragment())
			}
		}
	}
	for i, wants := range []bool{true, false, true, false} {
		if i == 2 {
			c.framer.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
		}
		if b := block(); (b[0] == noTable) != wants {
			t.Errorf("block %d begins with %#x", i, b[0])
		}
	}
}

func TestABackendIsToldThatThereIsNoTable(t *testing.T) {
	ours, theirs := tcpPair(t)
	s, err := stream.New(ours)
	if err != nil {
		t.Fatal(err)
	}
	s.Stall = soon
	c := NewClientConn(s)
	t.Cleanup(c.Close)
	theirs.SetDeadline(time.Now().Add(soon))
	if _, err := io.ReadFull(theirs, make([]byte, len(Preface))); err != nil {
		t.Fatal(err)
	}
	fr := http2.NewFramer(theirs, theirs)
	until := func(wanted func(http2.Frame) bool) {
		t.Helper()
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if wanted(f) {
				return
			}
		}
	}
	for i, wants := range []bool{true, false, true, false} {
		if i%2 == 0 {
			fr.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
			until(func(f http2.Frame) bool { s, ok := f.(*http2.SettingsFrame); return ok && s.IsAck() })
		}
		begun(t, c)
		until(func(f http2.Frame) bool {
			h, ok := f.(*http2.HeadersFrame)
			if ok && (h.HeaderBlockFragment()[0] == noTable) != wants {
				t.Errorf("block %d begins with %#x", i, h.HeaderBlockFragment()[0])
			}
			return ok
		})
	}
}

func tcpPair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if ours, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if theirs, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	return ours, theirs
}
