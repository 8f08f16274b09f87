package l7

import (
	"net/netip"
	"testing"
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/testkit"
)

func TestWhatStagesKeepIsCounted(t *testing.T) {
	who := netip.MustParseAddr("192.0.2.1")
	for _, w := range []struct {
		name      string
		used, own int64 // by others, in all and of the client
		patience  time.Duration
		first     int64
		then      int64
		want      error
	}{
		{"there is room", 0, 0, 0, 100, 100, nil},
		{"held bytes take it all", 850, 0, 0, 100, 100, errNoRoom},
		{"those of the client do", 0, 300, 0, 100, 100, errNoClientRoom},
		{"it has had some for long", 600, 0, time.Nanosecond, 100, 0, errNoRoom},
		{"the client has much, for long", 0, 250, time.Nanosecond, 100, 0, errNoClientRoom},
		{"for long, and there is room", 0, 0, time.Nanosecond, 100, 0, nil},
	} {
		t.Run(w.name, func(t *testing.T) {
			h := holdings{patience: int64(w.patience)}
			h.reserve(w.used, &room{all: 1000})
			h.clients.add(who, w.own, 400)
			var c copies
			r := &room{all: 1000, client: who, own: 400}
			if err := c.reserve(&h, w.first, r); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
			got := c.reserve(&h, w.then, r)
			want := w.used + w.first
			if got == nil {
				want += w.then
			}
			if got != w.want || h.used.Load() != want || h.clients.of(who) != want-w.used+w.own {
				t.Errorf("%v; %d bytes are used, %d of the client", got, h.used.Load(), h.clients.of(who))
			}
			c.release(&h, w.first/2)
			if h.used.Load() != want-w.first/2 {
				t.Errorf("%d bytes are used when half of the first is given back", h.used.Load())
			}
			c.release(&h, 10_000) // no more than there is
			c.end(&h)
			if h.used.Load() != w.used || h.clients.of(who) != w.own {
				t.Errorf("%d bytes are used in the end, %d of the client", h.used.Load(), h.clients.of(who))
			}
			if c.reserve(&h, 1, r) == nil {
				t.Error("an exchange that is over gets more")
			}
		})
	}
}

// A stage that forgets what it reserved, or fails, keeps nothing.
func TestWhatStagesKeepIsGivenBack(t *testing.T) {
	for _, w := range []struct {
		name    string
		reserve int
		fails   bool
		given   bool
		hits    float64
	}{{"", 100_000, false, true, 0}, {"a bug", 100_000, true, true, 0}, {"too much", 300_001, false, false, 1}} {
		t.Run(w.name, func(t *testing.T) {
			s := &fakeStage{}
			var g *gateway
			s.body = func([]byte, bool) Verdict {
				given := s.client.Memory.Reserve(w.reserve)
				if held := g.HeldBytes(); given != w.given || held != 0 != given {
					t.Errorf("given %v, %d bytes are counted", given, held)
				}
				if w.fails {
					panic("on purpose")
				}
				return Verdict{}
			}
			b := testkit.NewBackend(t, nil)
			g = start(t, setup{backends: []*testkit.Backend{b}, target: func(t *Target) { t.Stages = []StageMaker{&firstOnly{s: s}} },
				snapshot: func(s *Snapshot) { s.HeldBytes = 300_000 }})
			c := testkit.Dial(t, g.addr)
			c.Send(put("a body"))
			r, err := c.TryReadResponse("PUT", soon)
			if w.fails {
				testkit.Eventually(t, soon, "the bytes to be given back", func() bool { return g.HeldBytes() == 0 && g.holders() == 0 })
				g.panics.Store(0)
				return
			}
			if err != nil || r.StatusCode != 200 {
				t.Fatalf("answer is %v, %v", r, err)
			}
			finished(t, g)
			if n := limitHits(t, g, "heldBytes"); n != w.hits || g.HeldBytes() != 0 {
				t.Errorf("counted %v times; %d bytes are left", n, g.HeldBytes())
			}
			ask(t, testkit.Dial(t, g.addr), get("/"), 200)
		})
	}
}

// The flow that a connection uses again gives memory again.
func TestEachExchangeMayKeepSomething(t *testing.T) {
	s := &fakeStage{}
	given := 0
	s.head = func(*httpmsg.Request) Verdict {
		if s.client.Memory.Reserve(1000) {
			given++
		}
		return Verdict{}
	}
	g, _ := staged(t, s, nil)
	c := testkit.Dial(t, g.addr)
	for range 3 {
		ask(t, c, get("/"), 200)
	}
	g.lines(t, 3)
	if given != 3 {
		t.Errorf("given %d times", given)
	}
}
