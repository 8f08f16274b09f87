package l7

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// frame is one frame of a WebSocket; masked as from a client, or not.
func frame(opcode byte, payload string, masked bool) string {
	b := []byte{0x80 | opcode, 0}
	switch n := len(payload); {
	case n < 126:
		b[1] = byte(n)
	case n < 1<<16:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	if masked {
		b[1] |= 0x80
		b = append(b, 0, 0, 0, 0)
	}
	return string(b) + payload
}

// parseFrames takes frames apart, as their receiver would; rest is what is
// left of one that is not whole.
func parseFrames(b []byte) (opcodes []byte, payloads []string, rest []byte) {
	for len(b) >= 2 {
		n, head := uint64(b[1]&0x7f), 2
		switch {
		case n == 126 && len(b) >= 4:
			n, head = uint64(binary.BigEndian.Uint16(b[2:])), 4
		case n == 127 && len(b) >= 10:
			n, head = binary.BigEndian.Uint64(b[2:]), 10
		case n >= 126:
			return opcodes, payloads, b
		}
		var mask [4]byte
		if b[1]&0x80 != 0 {
			if len(b) < head+4 {
				return opcodes, payloads, b
			}
			copy(mask[:], b[head:])
			head += 4
		}
		if uint64(len(b)-head) < n {
			return opcodes, payloads, b
		}
		payload := bytes.Clone(b[head : head+int(n)])
		for i := range payload {
			payload[i] ^= mask[i%4]
		}
		opcodes, payloads = append(opcodes, b[0]&0x0f), append(payloads, string(payload))
		b = b[head+int(n):]
	}
	return opcodes, payloads, b
}

const saysGoingAway = "\x03\xe9"

// stopNow stops the frontend as at the end of a drain, with a tunnel open.
func (g *gateway) stopNow(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, soon, "the tunnel", func() bool {
		g.tunnels.mu.Lock()
		defer g.tunnels.mu.Unlock()
		return len(g.tunnels.open) > 0
	})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	g.frontend.Stop(ctx)
}

// chat runs a gateway whose backend sends first, and what the backend got once
// its connection has ended.
func chat(t *testing.T, first string, idle time.Duration) (*gateway, <-chan string) {
	t.Helper()
	got := make(chan string, 1)
	b := testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) {
		c.Send(switching + first)
		all, _ := io.ReadAll(readOnly{c})
		got <- string(all)
		c.Close()
	})
	return start(t, setup{backends: []*testkit.Backend{b}, snapshot: func(s *Snapshot) { s.Limits.TunnelIdleTimeout = idle }}), got
}

func received(t *testing.T, got <-chan string) string {
	t.Helper()
	select {
	case s := <-got:
		return s
	case <-time.After(soon):
		t.Fatal("the backend's side goes on")
	}
	return ""
}

func TestAWebSocketIsToldThatItsListenerStops(t *testing.T) {
	hello := frame(1, strings.Repeat("hello", 50), false)
	g, got := chat(t, hello, time.Minute)
	c := open(t, g, frame(1, "from the client", true))
	if c.ReadN(len(hello)) != hello {
		t.Fatal("the first frame differs")
	}
	g.stopNow(t)
	if s := string(c.ReadAll(soon)); s != "\x88\x02"+saysGoingAway {
		t.Errorf("the client got %q", s)
	}
	opcodes, payloads, rest := parseFrames([]byte(received(t, got)))
	if !bytes.Equal(opcodes, []byte{1, opcodeClose}) || payloads[0] != "from the client" || payloads[1] != saysGoingAway || len(rest) > 0 {
		t.Errorf("the backend got frames %v, %q", opcodes, payloads)
	}
	if l := g.lines(t, 1)[0]; l.text("termination") != "PD" || !strings.Contains(fmt.Sprint(l), "its listener stops") {
		t.Errorf("the log says %v", l)
	}
}

// In the middle of a frame nothing can be said: the end must do.
func TestAFrameThatIsNotWholeIsNotBrokenUp(t *testing.T) {
	half := frame(2, strings.Repeat("x", 300), false)[:100]
	g, got := chat(t, half, time.Minute)
	c := open(t, g, frame(1, "abc", true)[:3])
	if c.ReadN(len(half)) != half {
		t.Fatal("the half of a frame differs")
	}
	g.stopNow(t)
	if s := string(c.ReadAll(soon)); s != "" {
		t.Errorf("the client got %q", s)
	}
	if s := received(t, got); s != frame(1, "abc", true)[:3] {
		t.Errorf("the backend got %q", s)
	}
}

func TestASecondCloseFrameIsNotSent(t *testing.T) {
	bye := frame(opcodeClose, "\x03\xe8", false)
	g, got := chat(t, bye, time.Minute)
	c := open(t, g, "")
	if c.ReadN(len(bye)) != bye {
		t.Fatal("the close frame differs")
	}
	g.stopNow(t)
	if s := string(c.ReadAll(soon)); s != "" {
		t.Errorf("the client got %q", s)
	}
	if opcodes, _, _ := parseFrames([]byte(received(t, got))); !bytes.Equal(opcodes, []byte{opcodeClose}) {
		t.Errorf("the backend, which got none before, got %v", opcodes)
	}
}

func TestASilentWebSocketIsToldThatItEnds(t *testing.T) {
	g, got := chat(t, "", 200*time.Millisecond)
	c := open(t, g, "")
	if s := string(c.ReadAll(soon)); s != "\x88\x02"+saysGoingAway {
		t.Errorf("the client got %q", s)
	}
	if _, payloads, _ := parseFrames([]byte(received(t, got))); len(payloads) != 1 || payloads[0] != saysGoingAway {
		t.Errorf("the backend got %q", payloads)
	}
	if l := g.lines(t, 1)[0]; !strings.Contains(fmt.Sprint(l), "tunnel idle") {
		t.Errorf("the log says %v", l)
	}
}

// Another protocol has no frames.
func TestATunnelOfAnotherProtocolIsJustCut(t *testing.T) {
	g, _ := one(t, func(c *testkit.Conn, r *testkit.Request) {
		c.Send(strings.Replace(switching, "websocket", "other", 1) + "hello")
		io.Copy(io.Discard, readOnly{c})
		c.Close()
	})
	c := testkit.Dial(t, g.addr)
	c.Send(strings.Replace(upgrade, "websocket", "other", 1))
	all := make([]byte, 4096)
	n := 0
	for !bytes.HasSuffix(all[:n], []byte("hello")) {
		m, err := c.Read(all[n:])
		if n += m; err != nil {
			t.Fatal(err)
		}
	}
	g.stopNow(t)
	if n, err := c.Read(all); n > 0 || err == nil {
		t.Errorf("%q, %v came", all[:n], err)
	}
}

// A client that does not answer does not hold up the end.
func TestAClientThatDoesNotAnswerIsCut(t *testing.T) {
	g, _ := chat(t, "", time.Minute)
	c := open(t, g, "")
	from := time.Now()
	g.stopNow(t)
	if took := time.Since(from); took > soon/2 {
		t.Errorf("it took %v", took)
	}
	if s := c.ReadN(4); s != "\x88\x02"+saysGoingAway {
		t.Errorf("the client got %q", s)
	}
}

// randomFrames are some frames of any kind.
func randomFrames(r *rand.Rand, masked bool) string {
	var b strings.Builder
	for range 1 + r.IntN(8) {
		n := []int{r.IntN(5), 125, 126 + r.IntN(300), 65535, 65536 + r.IntN(10)}[r.IntN(5)]
		b.WriteString(frame(byte(r.IntN(3)), strings.Repeat("p", n), masked))
	}
	return b.String()
}

// Wherever a stream of frames is stopped and however it was cut up, a close
// frame stands only between two.
func FuzzCloseFrames(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed, seed%2 == 0)
	}
	f.Fuzz(func(t *testing.T, seed uint64, masked bool) {
		r := rand.New(rand.NewPCG(seed, 1))
		text := randomFrames(r, masked)
		stop := r.IntN(len(text) + 1)
		if r.IntN(2) == 0 { // rather often at a boundary
			stop = len(text)
		}
		var fr frames
		for rest := text[:stop]; rest != ""; {
			n := 1 + r.IntN(min(len(rest), 1+r.IntN(70000)))
			fr.pass([]byte(rest[:n]))
			rest = rest[n:]
		}
		_, _, rest := parseFrames([]byte(text[:stop]))
		if fr.atBoundary() != (len(rest) == 0) {
			t.Fatalf("%d bytes, %d of a frame that is not whole: boundary %v", stop, len(rest), fr.atBoundary())
		}
		if !fr.atBoundary() {
			return
		}
		opcodes, payloads, rest := parseFrames(appendClose([]byte(text[:stop]), masked))
		if last := len(opcodes) - 1; len(rest) > 0 || opcodes[last] != opcodeClose || payloads[last] != saysGoingAway {
			t.Fatalf("with the close frame: %v", opcodes)
		}
		fr.pass(appendClose(nil, masked))
		if fr.atBoundary() {
			t.Fatal("a second close frame would be sent")
		}
	})
}

func TestWhatAreNoFramesHasNoBoundary(t *testing.T) {
	var f frames
	f.pass([]byte("\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00"))
	if f.atBoundary() {
		t.Error("a length of 2^63 is none (RFC 6455 5.2)")
	}
}

func BenchmarkFrames(b *testing.B) {
	for _, size := range []int{100, 16 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			text := []byte(strings.Repeat(frame(1, strings.Repeat("x", size), true), max(1, 32<<10/size)))
			b.SetBytes(int64(len(text)))
			var f frames
			for b.Loop() {
				f.pass(text)
			}
		})
	}
}
