package http2

import (
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/testkit"
	"gatehouse/proxy/http1"
)

// Many bodies that are held at once must not wait for each other's share of the
// connection's window.
func TestHeldBodiesShareTheWindow(t *testing.T) {
	l := newLab(t, func(x *Exchange) {
		held, whole, err := x.HoldBody(20<<10, true)
		n := len(held)
		for !whole && err == nil {
			var p []byte
			if p, err = x.ReadBody(); err == io.EOF {
				break
			}
			n += len(p)
		}
		if err != nil && err != io.EOF {
			t.Error(err)
		}
		respond(x, 200, "")
		if n != 15000 {
			t.Errorf("a body of %d bytes", n)
		}
	})
	c := l.dial()
	var ids []uint32
	for range MaxStreams {
		ids = append(ids, c.ask(false, request("POST", "/", "content-length", "15000")...))
	}
	for _, id := range ids {
		c.framer.WriteData(id, false, make([]byte, 10400))
	}
	window := connWindow - 10400*len(ids) // what is left; the first update makes it so
	for first, answers := true, 0; answers < len(ids); {
		f, err := c.read()
		if err != nil {
			t.Fatalf("%v, with %d bytes of window, %d answers", err, window, answers)
		}
		switch f := f.(type) {
		case *http2.WindowUpdateFrame:
			if f.StreamID == 0 && !first {
				window += int(f.Increment)
			}
			first = false
		case *http2.HeadersFrame:
			answers++
		}
		for window >= 4600 && ids[0] != 0 { // 0: all were sent their rest
			c.framer.WriteData(ids[0], true, make([]byte, 4600))
			ids = append(ids[1:], 0)
			window -= 4600
		}
	}
}

// Trailers may come just when their stream ends from our side.
func TestTrailersAtTheEnd(t *testing.T) {
	l := newLab(t, func(x *Exchange) { respond(x, 200, "") })
	for range 20 {
		c := l.dial()
		for range 50 {
			id := c.ask(false, request("POST", "/")...)
			c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block("x-sum", "1"), EndStream: true, EndHeaders: true})
		}
		c.alive()
		c.conn.Close()
	}
}

// All requests of a connection may be answered before their bodies are there,
// whose trailers are on the way then.
func TestLateTrailersOfMany(t *testing.T) {
	l := newLab(t, func(x *Exchange) { respond(x, 200, "") })
	c := l.dial()
	var ids []uint32
	for range MaxStreams {
		ids = append(ids, c.ask(false, request("POST", "/")...))
	}
	for resets := 0; resets < MaxStreams; {
		f, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := f.(*http2.RSTStreamFrame); ok {
			resets++
		}
	}
	for _, id := range ids {
		c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block("x-sum", "1"), EndStream: true, EndHeaders: true})
	}
	c.alive()
}

// A client that has the end of a response may open the next stream, whether or
// not the handler is done with what comes after.
func TestOpenStreamsAsTheClientCounts(t *testing.T) {
	hold := make(chan struct{})
	l := newLab(t, func(x *Exchange) {
		respond(x, 200, "")
		if string(x.Request().Bytes(x.Request().Target)) == "/slow" {
			<-hold // a log that is written
		}
	})
	defer close(hold)
	c := l.dial()
	for range MaxStreams {
		c.must(c.ask(true, get("/slow")...))
	}
	c.alive()
}

// A client that does not read its responses cannot have us keep their heads
// for it, however many it asks for.
func TestHeadsThatNobodyReads(t *testing.T) {
	filler := strings.Repeat("x", 60<<10)
	l := newLab(t, func(x *Exchange) {
		var r httpmsg.Response
		r.Reset(nil)
		r.Status = 204
		r.AddString("X-Filler", filler)
		x.Respond(&r, nil, true)
	}, func(l *lab) { l.stall = time.Minute })
	c := l.dial()
	waiting := func() (n int) {
		l.each(func(h *Conn) {
			h.mu.Lock()
			defer h.mu.Unlock()
			n = len(h.out)
		})
		return n
	}
	full := func() bool { // the sockets, and what waits for them
		if waiting() < maxOut {
			return false
		}
		time.Sleep(50 * time.Millisecond) // for the writer to find room, if there is any
		return waiting() >= maxOut
	}
	for asked := 0; !full(); asked++ {
		if asked == 1000 {
			t.Fatal("60 MB went into the sockets")
		}
		before := l.begun.Load()
		c.ask(true, get("/")...)
		testkit.Eventually(t, soon, "the request", func() bool { return l.begun.Load() > before })
	}
	// The writer may have been stopped rather than the sockets full: then it
	// finds room for some of those that come now.
	const more = 50
	for round := 1; round == 1 || l.serving.Load() < more; round++ {
		if round > 10 {
			t.Fatalf("%d streams wait to write", l.serving.Load())
		}
		before := l.begun.Load()
		for range more {
			c.ask(true, get("/")...)
		}
		testkit.Eventually(t, soon, "the requests", func() bool { return l.begun.Load() == before+more })
		if n := waiting(); n > maxOut+64<<10 {
			t.Errorf("%d bytes wait to be written", n)
		}
	}
	for ends, all := int64(0), l.begun.Load(); ends < all; { // all of it comes when somebody reads
		f, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		if h, ok := f.(*http2.HeadersFrame); ok && h.StreamEnded() {
			ends++
		}
	}
}

// What a handler that ran into a bug leaves behind must not wait for ever.
func TestSpoiledWhileItIsRead(t *testing.T) {
	result := make(chan error, 1)
	l := newLab(t, func(x *Exchange) {
		if string(x.Request().Bytes(x.Request().MethodText)) == "GET" {
			respond(x, 200, "")
			return
		}
		reading := make(chan struct{})
		go func() {
			close(reading)
			_, err := x.ReadBody()
			result <- err
		}()
		<-reading
		x.Spoil()
	})
	c := l.dial()
	if a := c.must(c.ask(false, request("POST", "/")...)); !a.isReset {
		t.Errorf("answer %+v", a)
	}
	select {
	case err := <-result:
		if err != errGone {
			t.Error(err)
		}
	case <-time.After(soon):
		t.Error("it is read still")
	}
	c.alive()
}

// An idle connection keeps none of the memory that its requests took, although
// nothing comes that would wake its reader.
func TestIdleMemory(t *testing.T) {
	large := strings.Repeat("x", 6<<10)
	l := newLab(t, func(x *Exchange) {
		for {
			if _, err := x.ReadBody(); err != nil {
				break
			}
		}
		var r httpmsg.Response
		r.Reset(nil)
		r.Status, r.Body, r.ContentLength = 200, httpmsg.BodyLength, 100<<10
		r.AddString("X-Large", large)
		x.Respond(&r, make([]byte, 50<<10), false)
		x.WriteBody(make([]byte, 50<<10))
		x.Finish(nil)
	}, func(l *lab) { l.options.IdleTimeout = time.Hour })
	c := l.dial(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	c.framer.WriteWindowUpdate(0, 1<<20)
	id := c.ask(false, request("POST", "/", "x-large", large, "cookie", large)...)
	c.framer.WriteData(id, true, make([]byte, 10<<10))
	for end := false; !end; {
		f, err := c.framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		d, ok := f.(*http2.DataFrame)
		end = ok && d.StreamEnded()
	}
	var h *Conn
	l.each(func(c *Conn) { h = c })
	testkit.Eventually(t, soon, "small buffers", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return max(cap(h.out), cap(h.spare), cap(h.encoder.buf)) <= maxIdleBuffer && !h.large.Load()
	})
	c.conn.Close()
	testkit.Eventually(t, soon, "the end", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.dead
	})
	if n := h.block.section.Kept(); n > maxIdleBuffer {
		t.Errorf("%d bytes for the next head", n)
	}
}

// A client that was told to leave cannot stay, by opening more streams or by
// PING: it would keep the settings under which it came.
func TestDrainEnds(t *testing.T) {
	hold := make(chan struct{})
	l := newLab(t, func(x *Exchange) {
		if string(x.Request().Bytes(x.Request().Target)) == "/slow" {
			<-hold
		}
		respond(x, 200, "")
	}, func(l *lab) { l.options.IdleTimeout = time.Hour })
	c := l.dial()
	slow := c.ask(true, get("/slow")...)
	c.alive()
	l.each((*Conn).Drain)
	c.alive() // it may not have heard of it
	l.each(func(h *Conn) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.drained -= 2 * int64(http1.Linger)
	})
	if a := c.must(c.ask(true, get("/")...)); !a.isReset || a.reset != http2.ErrCodeRefusedStream {
		t.Errorf("a late request: %+v", a)
	}
	close(hold)
	if a := c.must(slow); a.status != "200" {
		t.Errorf("an early one: %+v", a)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for c.framer.WritePing(false, [8]byte{}) == nil {
			time.Sleep(20 * time.Millisecond)
		}
	}()
	if code := c.ended(); code > 0 {
		t.Errorf("GOAWAY with %d", code)
	}
	c.conn.Close()
	<-stopped
}

// Many streams with everything at once: what is counted comes out even.
func TestEverythingAtOnce(t *testing.T) {
	l := newLab(t, func(x *Exchange) {
		switch rand.IntN(8) {
		case 0:
			x.Abort()
		case 1:
			x.HoldBody(1+rand.IntN(4000), true)
			respond(x, 403, "no")
		case 2:
			x.ReadBody()
			x.Watch(func() {})
			x.Unwatch()
			respond(x, 204, "")
		case 3:
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					if _, err := x.ReadBody(); err != nil {
						return
					}
				}
			}()
			respond(x, 200, "early")
			x.InterruptBody()
			<-done
		case 4:
			x.Watch(func() {})
			respond(x, 200, strings.Repeat("x", rand.IntN(50000)))
			x.Unwatch()
		default:
			echo(x)
		}
	}, patient)
	var clients sync.WaitGroup
	for range 4 {
		c := l.dial(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(1 + rand.IntN(4000))})
		clients.Go(func() { c.makeTrouble(600) })
	}
	clients.Wait()
	l.each(func(h *Conn) {
		testkit.Eventually(t, soon, "nothing to be left", func() bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			return !h.dead && h.unread == 0 && h.serving == 0 && len(h.streams) == 0 && h.unreturned < connWindow/4
		})
	})
}

// makeTrouble sends n requests of all kinds, many at a time, and waits until
// all are over.
func (c *client) makeTrouble(n int) {
	var mu sync.Mutex // of writes and open
	open := map[uint32]bool{}
	over := make(chan error, 1)
	slots := make(chan struct{}, 20)
	go func() {
		dec := hpack.NewDecoder(4096, func(hpack.HeaderField) {})
		for answered := 0; answered < n; {
			f, err := c.framer.ReadFrame()
			if err != nil {
				over <- err
				return
			}
			mu.Lock()
			ended := false
			switch f := f.(type) {
			case *http2.GoAwayFrame:
				mu.Unlock()
				over <- errGoAway
				return
			case *http2.HeadersFrame:
				dec.Write(f.HeaderBlockFragment())
				ended = f.StreamEnded()
			case *http2.DataFrame:
				c.framer.WriteWindowUpdate(0, max(f.Length, 1))
				if ended = f.StreamEnded(); !ended {
					c.framer.WriteWindowUpdate(f.StreamID, 2000+f.Length)
				}
			case *http2.RSTStreamFrame:
				ended = true
			}
			id := f.Header().StreamID
			if ended && open[id] {
				delete(open, id)
				answered++
				<-slots
			}
			mu.Unlock()
		}
		over <- nil
	}()
	for range n {
		slots <- struct{}{}
		mu.Lock()
		id := c.ask(false, request("POST", "/", "x-n", "1")...)
		open[id] = true
		mu.Unlock()
		for range rand.IntN(3) {
			mu.Lock()
			c.framer.WriteDataPadded(id, false, make([]byte, rand.IntN(2000)), make([]byte, rand.IntN(200)))
			mu.Unlock()
		}
		mu.Lock()
		switch rand.IntN(20) {
		case 0, 1: // an empty end
			c.framer.WriteData(id, true, nil)
		case 2:
			c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(1 + rand.IntN(4000))})
			c.framer.WriteData(id, true, nil)
		case 3:
			c.framer.WriteRSTStream(id, http2.ErrCodeCancel)
			if open[id] { // nothing is said of it any more, but of one more
				delete(open, id)
				open[c.ask(true, get("/")...)] = true
			}
		case 4, 5, 6, 7:
			c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block("x-sum", "1"), EndStream: true, EndHeaders: true})
		default:
			c.framer.WriteData(id, true, make([]byte, rand.IntN(2000)))
		}
		mu.Unlock()
	}
	if err := <-over; err != nil {
		c.t.Errorf("after %d streams: %v", c.next/2, err)
	}
	mu.Lock()
	c.framer.WritePing(false, [8]byte{})
	mu.Unlock()
}

// A stream beyond the limit is refused, whatever else is wrong with it: an
// error that is noted takes an exchange.
func TestRefusedBeforeItsErrors(t *testing.T) {
	hold := make(chan struct{})
	l := newLab(t, func(x *Exchange) {
		<-hold
		respond(x, 200, "")
	})
	defer close(hold)
	c := l.dial()
	for range MaxStreams {
		c.ask(true, get("/")...)
	}
	id := c.next
	c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block(get("/")...), EndStream: true, EndHeaders: true,
		Priority: http2.PriorityParam{StreamDep: id}})
	if a := c.must(id); a.reset != http2.ErrCodeRefusedStream || l.refused.Load() != 0 {
		t.Errorf("answer %+v", a)
	}
}
