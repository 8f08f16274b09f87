package relay

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/proxy/l4"
)

func TestBytesGoBothWays(t *testing.T) {
	m := newMember(t, nil)
	l := newLab(t, options{}, m.addr)
	c := l.dial()
	say(t, c, "hello")
	b := m.take()
	hear(t, b, "hello")
	say(t, b, "good day")
	hear(t, c, "good day")
	if n := l.state.Flows.TCP.Load(); n != 1 {
		t.Errorf("%d flows", n)
	}
	c.Close()
	hearEnd(t, b)
	b.Close()
	if why := l.ended(); why != l4.EndClosed {
		t.Errorf("ended: %v", why)
	}
}

// A member may speak first, as that of SMTP does.
func TestMemberSpeaksFirst(t *testing.T) {
	m := newMember(t, func(c *net.TCPConn) { c.Write([]byte("220 ready")) })
	l := newLab(t, options{}, m.addr)
	c := l.dial()
	hear(t, c, "220 ready")
	hearEnd(t, c)
}

func TestHalfClose(t *testing.T) {
	for _, first := range []string{"client", "member"} {
		t.Run(first, func(t *testing.T) {
			m := newMember(t, nil)
			l := newLab(t, options{}, m.addr)
			a := l.dial()
			b := m.take()
			if first == "member" {
				a, b = b, a
			}
			say(t, a, "last words")
			a.CloseWrite()
			hear(t, b, "last words")
			hearEnd(t, b)
			time.Sleep(20 * time.Millisecond) // the flow is half closed, and stays
			for range 3 {
				say(t, b, "an answer")
				hear(t, a, "an answer")
			}
			b.Close()
			hearEnd(t, a)
			a.Close()
			if why := l.ended(); why != l4.EndClosed {
				t.Errorf("ended: %v", why)
			}
		})
	}
}

func TestResetIsPassedOn(t *testing.T) {
	for _, from := range []string{"client", "member"} {
		for _, half := range []bool{false, true} {
			m := newMember(t, nil)
			l := newLab(t, options{}, m.addr)
			a := l.dial()
			b := m.take()
			if from == "member" {
				a, b = b, a
			}
			say(t, a, "x")
			hear(t, b, "x")
			if half {
				a.CloseWrite()
				hearEnd(t, b)
				time.Sleep(10 * time.Millisecond)
			}
			a.SetLinger(0)
			a.Close()
			if !half {
				hearReset(t, b)
			}
			if why := l.ended(); why != l4.EndReset {
				t.Errorf("from the %s (half closed: %v): ended: %v", from, half, why)
			}
			if half {
				// Who has heard the end must not hear another; its writes fail.
				testkit.Eventually(t, 5*time.Second, "a write to fail", func() bool {
					_, err := b.Write([]byte("y"))
					return err != nil
				})
			}
			b.Close()
		}
	}
}

// What a member says before it breaks off reaches the client, also when the
// relay learns of the end by what the client sends.
func TestLastWordsBeforeReset(t *testing.T) {
	for _, more := range []bool{false, true} {
		m := newMember(t, nil)
		l := newLab(t, options{}, m.addr)
		c := l.dial()
		say(t, c, "a request that nobody reads")
		b := m.take()
		time.Sleep(20 * time.Millisecond)
		release := l.hold()
		if more {
			say(t, c, "more")
		}
		say(t, b, "413 too long")
		b.Close() // with bytes unread: a reset
		release()
		hear(t, c, "413 too long")
		hearReset(t, c)
	}
}

func idleAfter(d time.Duration) func(*l4.Rule) {
	return func(r *l4.Rule) { r.Config.IdleTimeout = d }
}

func TestIdleFlowsEnd(t *testing.T) {
	for _, tt := range []struct {
		settings string
		hear     func(*testing.T, net.Conn)
	}{{", tcpReset: true", hearReset}, {", tcpReset: false", hearEnd}} {
		m := newMember(t, nil)
		l := newLab(t, options{settings: tt.settings, rule: idleAfter(time.Minute)}, m.addr)
		c := l.dial()
		b := m.take()
		// Traffic in either direction keeps the flow for longer than that.
		for i := range 4 {
			l.age(50 * time.Second)
			from, to := net.Conn(c), net.Conn(b)
			if i%2 == 0 {
				from, to = b, c
			}
			say(t, from, "x")
			hear(t, to, "x")
		}
		if l.age(50 * time.Second); l.over() != 0 {
			t.Errorf("%s: ended before its time", tt.settings)
		}
		l.age(10 * time.Second)
		tt.hear(t, c)
		tt.hear(t, b)
		if why := l.ended(); why != l4.EndIdle {
			t.Errorf("%s: ended: %v", tt.settings, why)
		}
	}
}

// A keep-alive of either side is traffic, though no byte is seen; that of a
// client which reads nothing is not.
func TestKeepAliveIsTraffic(t *testing.T) {
	for _, from := range []string{"client", "member"} {
		m := newMember(t, nil)
		l := newLab(t, options{rule: idleAfter(time.Minute)}, m.addr)
		a, b := l.dial(), m.take()
		if from == "member" {
			a, b = b, a
		}
		// The flow has had traffic, which is over.
		say(t, a, "x")
		hear(t, b, "x")
		if err := a.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 100}); err != nil {
			t.Fatal(err)
		}
		if err := b.SetKeepAlive(false); err != nil {
			t.Fatal(err)
		}
		seen := uint32(0)
		for range 5 {
			seen = l.anotherSegment(seen)
			l.age(20 * time.Second)
		}
		if l.over() != 0 {
			t.Errorf("%s: the flow has ended", from)
		}
		a.SetKeepAlive(false)
		for range 2 { // before the first there may have been one more
			l.age(time.Minute)
		}
		hearReset(t, b)
	}
}

// anotherSegment waits until the sides of the only flow have sent another
// number of segments than before, and all are acknowledged.
func (l *lab) anotherSegment(before uint32) (n uint32) {
	l.t.Helper()
	testkit.Eventually(l.t, 10*time.Second, "a segment", func() (ok bool) {
		l.loops.each(func(_ int, lp *loop) {
			if c := lp.slots[0].c; c != nil && c.phase == relaying {
				n, ok = c.segments()
			}
		})
		return ok && n != before
	})
	return n
}

// Who has stopped reading is not alive for having a kernel that answers.
func TestStalledFlowIsIdle(t *testing.T) {
	m := newMember(t, nil)
	l := newLab(t, options{rule: idleAfter(time.Second)}, m.addr)
	c, b := l.dial(), m.take()
	c.SetReadBuffer(4 << 10)
	c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 100})
	began := time.Now()
	for {
		if _, err := b.Write(make([]byte, 1<<20)); err != nil {
			break
		}
	}
	if d := time.Since(began); d > 15*time.Second { // by itself: the connections have 20 s
		t.Errorf("ended after %v", d)
	}
	if why := l.ended(); why != l4.EndIdle {
		t.Errorf("ended: %v", why)
	}
}

// sums is the checksum of what is read to the end, and how much it is.
func sums(r io.Reader) ([32]byte, int64) {
	h := sha256.New()
	n, _ := io.Copy(h, r)
	return [32]byte(h.Sum(nil)), n
}

// noise is bytes that differ everywhere.
func noise(n int, seed byte) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{seed})
	r.Read(b)
	return b
}

// send writes all in pieces of every size, then shuts down.
func send(c *net.TCPConn, b []byte, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	for len(b) > 0 {
		n := min(len(b), 1+r.IntN(1<<r.IntN(21)))
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
		b = b[n:]
	}
	c.CloseWrite()
}

func TestMuchBothWaysAtOnce(t *testing.T) {
	size := 64 << 20
	if testkit.Race {
		size = 8 << 20
	}
	t.Run("spliced", func(t *testing.T) { muchBothWays(t, size, false) })
	t.Run("copied", func(t *testing.T) { muchBothWays(t, size/4, true) })
}

func muchBothWays(t *testing.T, size int, noPipes bool) {
	up, down := noise(size, 1), noise(size+12345, 2)
	m := newMember(t, nil)
	l := newLab(t, options{}, m.addr)
	l.loops.each(func(_ int, lp *loop) {
		if noPipes {
			lp.pipes.next = math.MaxInt64
		}
	})
	c := l.dial()
	b := m.take()
	var wait sync.WaitGroup
	wait.Go(func() { send(c, up, 1) })
	wait.Go(func() { send(b, down, 2) })
	check := func(what string, conn net.Conn, want []byte) {
		if sum, n := sums(conn); n != int64(len(want)) || sum != sha256.Sum256(want) {
			t.Errorf("%s: %d bytes of %d, or others", what, n, len(want))
		}
	}
	wait.Go(func() { check("to the member", b, up) })
	wait.Go(func() { check("to the client", c, down) })
	wait.Wait()
	if why := l.ended(); why != l4.EndClosed {
		t.Errorf("ended: %v", why)
	}
	f := l.log.last
	if f.Sent.Load() != uint64(len(up)) || f.Received.Load() != uint64(len(down)) {
		t.Errorf("counted %d to the member and %d from it, of %d and %d", f.Sent.Load(), f.Received.Load(), len(up), len(down))
	}
	if l.b.Rules[0].Life.Sent.Load() != uint64(len(up)) || f.SentPackets.Load() == 0 || f.ReceivedPackets.Load() == 0 {
		t.Error("the rule or the packets are not counted")
	}
}

// Who does not read holds up who writes, and costs no memory but a buffer or
// a pipe.
func TestSlowReader(t *testing.T) {
	const size = 32 << 20
	all := noise(size, 3)
	m := newMember(t, func(c *net.TCPConn) { c.Write(all) })
	l := newLab(t, options{}, m.addr)
	c := l.dial()
	c.SetReadBuffer(64 << 10)
	held, passed := -1, 0
	testkit.Eventually(t, 5*time.Second, "the flow to be held up", func() bool {
		before := passed
		held, passed = l.waiting()
		time.Sleep(50 * time.Millisecond)
		return held > 0 && passed == before
	})
	if held > pipeSize+bufferSize || passed > size/2 {
		t.Errorf("%d bytes wait in the relay, %d have passed", held, passed)
	}
	if sum, n := sums(c); n != size || sum != sha256.Sum256(all) {
		t.Errorf("%d bytes, or others", n)
	}
}

// waiting is how many bytes wait in the relay, and how many clients have got.
func (l *lab) waiting() (held, passed int) {
	l.loops.each(func(_ int, lp *loop) {
		for _, s := range lp.slots {
			if s.c == nil {
				continue
			}
			passed += int(s.c.Received.Load())
			for i := range s.c.sides {
				held += cap(s.c.sides[i].pending)
				if p := s.c.sides[i].pipe; p != nil {
					held += p.held
				}
			}
		}
	})
	return held, passed
}

// Small messages after much come as they did before.
func TestSmallAfterMuch(t *testing.T) {
	m := newMember(t, echo)
	l := newLab(t, options{}, m.addr)
	c := l.dial()
	for _, size := range []int{5, 1 << 20, 7, 3 << 20, 1, 1, 1, 1, 1, 1, 100 << 10, 2} {
		b := noise(size, byte(size))
		go c.Write(b)
		got := make([]byte, size)
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%d bytes: %v, or others", size, err)
		}
	}
	used := -1
	testkit.Eventually(t, 5*time.Second, "pipes to be given back", func() bool {
		l.loops.each(func(_ int, lp *loop) { used = lp.pipes.used })
		return used == 0
	})
}

func TestCloseByAnybody(t *testing.T) {
	m := newMember(t, nil)
	l := newLab(t, options{}, m.addr)
	c := l.dial()
	b := m.take()
	say(t, c, "x")
	hear(t, b, "x")
	var flow *l4.Flow
	l.state.Flows.Each(func(f *l4.Flow) bool {
		flow = f
		for range 3 {
			f.Close(l4.EndDrained)
		}
		return true
	})
	hearReset(t, c)
	hearReset(t, b)
	if why := l.ended(); why != l4.EndDrained {
		t.Errorf("ended: %v", why)
	}
	flow.Close(l4.EndOperator)        // after its end: nothing
	l.loops.each(func(int, *loop) {}) // it has done so
	if n, r := len(l.log.ends), len(l.log.refused); n != 1 || r != 0 || l.s.Live() != 0 {
		t.Errorf("%d ends, %d refusals, %d live", n, r, l.s.Live())
	}
}

func TestProxyHeader(t *testing.T) {
	for _, settings := range []string{"", byName} {
		m := newMember(t, nil)
		l := newLab(t, options{settings: ", proxyProtocol: v1" + settings, serve: func(o *Options) {
			o.Choose = first
			o.Header = func(b []byte, v config.ProxyProtocol, t *l4.Tuple) []byte {
				return append(b, "PROXY "+t.Client.String()+" "+t.Frontend.String()+"\r\n"...)
			}
		}}, m.addr)
		c := l.dial()
		if settings != "" {
			say(t, c, "zero\n")
		}
		b := m.take()
		// Where it need not be known what the client says, it is there before.
		hear(t, b, "PROXY "+c.LocalAddr().String()+" "+l.addr+"\r\n")
		if settings == "" {
			say(t, c, "zero\n")
		}
		hear(t, b, "zero\n")
		c.Close()
		b.Close()
		l.ended()
		if n := l.log.last.Sent.Load(); n != 5 {
			t.Errorf("%d bytes counted", n)
		}
	}
}

// first is a Choose that routes by the first line.
func first(_ *l4.Rule, b []byte) Choice {
	line, _, found := strings.Cut(string(b), "\n")
	switch {
	case !found:
		return Choice{More: true}
	case line == "zero":
		return Choice{Index: 0}
	case line == "none":
		return Choice{Index: -1}
	}
	return Choice{Refuse: l4.RefusedSNI}
}

const byName = ", sni: [{hostNames: [a.example], backendPool: web}]"

func TestRouteByFirstBytes(t *testing.T) {
	for _, tt := range []struct {
		say  []string
		want l4.Refusal
	}{
		{say: []string{"zero\nmore"}},
		{say: []string{"ze", "ro", "\n", "more"}},
		{say: []string{"none\n"}},
		{say: []string{"other\n"}, want: l4.RefusedSNI},
		{say: []string{strings.Repeat("x", maxPeek)}, want: l4.RefusedHeader},
		{say: []string{"ze", ""}, want: l4.RefusedHeader}, // and nothing more
	} {
		m := newMember(t, nil)
		l := newLab(t, options{settings: byName, serve: func(o *Options) { o.Choose = first }}, m.addr)
		c := l.dial()
		for _, s := range tt.say {
			if s == "" {
				c.CloseWrite()
				break
			}
			say(t, c, s)
			time.Sleep(5 * time.Millisecond)
		}
		if tt.want != 0 {
			hearReset(t, c)
			if why := l.refusal(); why != tt.want {
				t.Errorf("%.10q: refused: %v, want %v", tt.say, why, tt.want)
			}
			continue
		}
		b := m.take()
		hear(t, b, strings.Join(tt.say, ""))
		say(t, c, "on")
		hear(t, b, "on")
		c.CloseWrite()
		hearEnd(t, b)
		b.Close()
	}
}

func TestSilentClient(t *testing.T) {
	m := newMember(t, nil)
	l := newLab(t, options{settings: byName, serve: func(o *Options) { o.Choose = first }}, m.addr)
	c := l.dial()
	testkit.Eventually(t, 5*time.Second, "the connection", func() bool { return l.s.Live() == 1 })
	l.loops.each(func(_ int, lp *loop) {
		if d := lp.early.head.early.deadline - lp.now; d < int64(peekTime)/2 || d > int64(peekTime) {
			t.Errorf("it may take %v", time.Duration(d))
		}
		lp.early.head.early.deadline = lp.now
	})
	hearReset(t, c)
	if why := l.refusal(); why != l4.RefusedHeader {
		t.Errorf("refused: %v", why)
	}
}

// Where a door is all addresses, the flow says which was meant.
func TestLocalAddress(t *testing.T) {
	for _, tt := range []struct{ at, to, want string }{
		{"0.0.0.0:0", "127.0.0.9", "127.0.0.9"},
		{"[::]:0", "127.0.0.9", "127.0.0.9"}, // not ::ffff:127.0.0.9
		{"[::]:0", "::1", "::1"},
	} {
		m := newMember(t, nil)
		l := newLab(t, options{at: tt.at}, m.addr)
		port := netip.MustParseAddrPort(l.addr).Port()
		c := dial(t, netip.AddrPortFrom(netip.MustParseAddr(tt.to), port).String())
		b := m.take()
		c.Close()
		b.Close()
		l.ended()
		f := l.log.last
		local := c.LocalAddr().(*net.TCPAddr).AddrPort()
		if f.Frontend != netip.AddrPortFrom(netip.MustParseAddr(tt.want), port) || f.Client != local {
			t.Errorf("%s at %s: %v -> %v", tt.to, tt.at, f.Client, f.Frontend)
		}
	}
}
