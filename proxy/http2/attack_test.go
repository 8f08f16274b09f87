package http2

import (
	"bytes"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// attack is one way to make a server work more than its client does. It sends
// until that fails, or for so many frames or so long.
type attack struct {
	name     string
	settings []http2.Setting
	send     func(c *client, i int) error
	silent   bool // it does not read
}

const (
	attackFrames = 50_000
	attackTime   = 2 * time.Second
	attackMemory = 64 << 20
)

func headersFrame(id uint32, b []byte, end, whole bool) http2.HeadersFrameParam {
	return http2.HeadersFrameParam{StreamID: id, BlockFragment: b, EndStream: end, EndHeaders: whole}
}

// attacks are those of section 2 of the reference that come from clients.
func attacks() []attack {
	var zero []byte
	open := func(c *client) uint32 { return c.ask(false, request("POST", "/hold")...) }
	return []attack{
		{name: "rapid reset, CVE-2023-44487", send: func(c *client, _ int) error {
			id := c.ask(true, get("/hold")...)
			return c.framer.WriteRSTStream(id, http2.ErrCodeCancel)
		}},
		{name: "made you reset by a window of 0, CVE-2025-8671", send: func(c *client, _ int) error {
			id := c.ask(true, get("/hold")...)
			return c.framer.WriteRawFrame(http2.FrameWindowUpdate, 0, id, make([]byte, 4))
		}},
		{name: "made you reset by an overflowing window", send: func(c *client, _ int) error {
			return c.framer.WriteWindowUpdate(c.ask(true, get("/hold")...), 1<<31-1)
		}},
		{name: "made you reset by a priority of its own", send: func(c *client, _ int) error {
			id := c.ask(true, get("/hold")...)
			return c.framer.WritePriority(id, http2.PriorityParam{StreamDep: id})
		}},
		{name: "made you reset by DATA after the end", send: func(c *client, _ int) error {
			return c.framer.WriteData(c.ask(true, get("/hold")...), true, nil)
		}},
		{name: "reset flood by malformed requests, CVE-2019-9514", silent: true, send: func(c *client, _ int) error {
			c.ask(true, get("/", "connection", "close")...)
			return nil
		}},
		{name: "continuation flood, CVE-2023-45288", send: func(c *client, i int) error {
			if i == 0 {
				return c.framer.WriteHeaders(headersFrame(1, c.block(get("/")...), true, false))
			}
			return c.framer.WriteContinuation(1, false, c.block("x", strings.Repeat("v", 1000)))
		}},
		{name: "continuation flood of empty frames", send: func(c *client, i int) error {
			if i == 0 {
				return c.framer.WriteHeaders(headersFrame(1, c.block(get("/")...), true, false))
			}
			return c.framer.WriteContinuation(1, false, nil)
		}},
		{name: "continuation flood, Huffman-coded", send: func(c *client, i int) error {
			if i == 0 {
				return c.framer.WriteHeaders(headersFrame(1, c.block(get("/")...), true, false))
			}
			b := append([]byte{0}, hpack.AppendHuffmanString([]byte{0x81}, "a")...)
			return c.framer.WriteContinuation(1, false, append(b, 0))
		}},
		{name: "HPACK bomb, CVE-2016-6581", send: func(c *client, i int) error {
			if i == 0 {
				c.ask(true, get("/hold", "x", strings.Repeat("v", 3900))...)
			}
			// The entry is the newest of the dynamic table: index 62.
			b := c.block(get("/hold")...)
			for range 4000 {
				b = append(b, 0x80|62)
			}
			id := c.next
			c.next += 2
			return c.framer.WriteHeaders(headersFrame(id, b, true, true))
		}},
		{name: "bomb of one-byte references, CVE-2026-49975", settings: []http2.Setting{{ID: http2.SettingInitialWindowSize}}, send: func(c *client, i int) error {
			b := append(c.block(get("/hold")...), 0x40, 1, 'c', 0) // c: , indexed
			for range 16_000 {
				b = append(b, 0x80|62)
			}
			id := c.next
			c.next += 2
			return c.framer.WriteHeaders(headersFrame(id, b, true, true))
		}},
		{name: "cookie crumbs", send: func(c *client, i int) error {
			b := append(c.block(get("/hold")...), 0x40|32, 0) // cookie: , indexed
			for range 10_000 {
				b = append(b, 0x80|62)
			}
			id := c.next
			c.next += 2
			return c.framer.WriteHeaders(headersFrame(id, b, true, true))
		}},
		{name: "data dribble, CVE-2019-9511", settings: []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}}, send: func(c *client, i int) error {
			if i < MaxStreams {
				c.ask(true, get("/large")...)
				return nil
			}
			return c.framer.WriteWindowUpdate(uint32(2*(i%MaxStreams)+1), 1)
		}},
		{name: "ping flood, CVE-2019-9512", silent: true, send: func(c *client, _ int) error { return c.framer.WritePing(false, [8]byte{}) }},
		{name: "priority churn, CVE-2019-9513", send: func(c *client, i int) error {
			return c.framer.WritePriority(uint32(2*i+1), http2.PriorityParam{StreamDep: uint32(2*i + 3), Weight: uint8(i)})
		}},
		{name: "settings flood, CVE-2019-9515", silent: true, send: func(c *client, i int) error {
			return c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(i)})
		}},
		{name: "empty names, CVE-2019-9516", send: func(c *client, _ int) error {
			c.ask(true, get("/", "", "")...)
			return nil
		}},
		{name: "large windows and no reading, CVE-2019-9517", silent: true, settings: []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}}, send: func(c *client, i int) error {
			if i == 0 {
				c.framer.WriteWindowUpdate(0, 1<<30)
			}
			if i >= MaxStreams {
				time.Sleep(time.Millisecond)
				return nil
			}
			c.ask(true, get("/large")...)
			return nil
		}},
		{name: "empty DATA, CVE-2019-9518", send: func(c *client, i int) error {
			if i == 0 {
				open(c)
			}
			return c.framer.WriteData(1, false, zero)
		}},
		{name: "padding for data", send: func(c *client, i int) error {
			if i == 0 {
				open(c)
			}
			return c.framer.WriteDataPadded(1, false, zero, make([]byte, 10))
		}},
		{name: "unknown frames", send: func(c *client, i int) error {
			kind := http2.FrameType(10 + i%200)
			if kind == 0x10 {
				kind++ // PRIORITY_UPDATE is known
			}
			return c.framer.WriteRawFrame(kind, http2.Flags(i), uint32(i), []byte{1, 2, 3})
		}},
		{name: "small window updates", send: func(c *client, i int) error {
			if i == 0 {
				open(c)
			}
			return c.framer.WriteWindowUpdate(1, 1)
		}},
		{name: "refused streams", send: func(c *client, _ int) error {
			c.ask(true, get("/hold")...)
			return nil
		}},
	}
}

// Each attack ends with ENHANCE_YOUR_CALM, or costs little memory; never are
// more requests served than were agreed on, and an honest client beside it is
// served all the time.
func TestAttacks(t *testing.T) {
	for _, a := range attacks() {
		t.Run(a.name, func(t *testing.T) { a.run(t) })
	}
}

func (a attack) run(t *testing.T) {
	hold := make(chan struct{})
	large := bytes.Repeat([]byte("x"), 1<<20)
	var most atomic.Int64
	var l *lab
	l = newLab(t, func(x *Exchange) {
		if n := l.serving.Load(); n > most.Load() {
			most.Store(n)
		}
		switch r := x.Request(); string(r.Bytes(r.Target)) {
		case "/hold":
			<-hold
			respond(x, 200, "")
		case "/large":
			respondWith(x, 200, large)
		default:
			respond(x, 200, "")
		}
	}, patient)
	defer close(hold)
	honest := l.dial()
	honest.alive()
	before := memory()
	bad := l.dial(a.settings...)
	ended := make(chan int, 1)
	if !a.silent {
		go func() { ended <- bad.drainTo() }()
	}
	slow := time.Duration(0)
	sent, began := 0, time.Now()
	for ; sent < attackFrames && time.Since(began) < attackTime; sent++ {
		bad.conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		if err := a.send(bad, sent); err != nil {
			break
		}
		if sent%1000 == 999 {
			from := time.Now()
			honest.alive()
			slow = max(slow, time.Since(from))
		}
	}
	honest.alive()
	grown := int64(memory()) - int64(before)
	if grown > attackMemory {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
	if n := most.Load(); n > maxServing+1 {
		t.Errorf("%d requests were served at once", n)
	}
	if slow > soon {
		t.Errorf("the honest client waited %v", slow)
	}
	code := "not asked"
	select {
	case n := <-ended:
		code = http2.ErrCode(n).String()
	case <-time.After(10 * time.Millisecond):
	}
	t.Logf("%d frames in %v, ended with %s, memory %+d KiB, %d at once", sent, time.Since(began).Round(time.Millisecond), code, grown>>10, most.Load())
}

// drainTo reads to the end of the connection and returns the last GOAWAY's code;
// -1: there was none.
func (c *client) drainTo() int {
	code := -1
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			return code
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			code = int(g.ErrCode)
		}
	}
}

func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
