package ratelimit

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/testkit"
)

func numbered(n int) (k Key) {
	binary.BigEndian.PutUint64(k[:], uint64(n))
	return k
}

func TestRequestsPassAndThenWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Settings{Requests: 3, Window: 15 * time.Second})
		for i := range 3 {
			ok, wait, left := l.Allow(Key{}, time.Now())
			if !ok || wait != 0 || left != 2-i {
				t.Fatalf("request %d: %v, wait %v, %d left", i, ok, wait, left)
			}
			time.Sleep(2 * time.Second)
		}
		// The first, at 0 s, is forgotten at 16 s; now it is 6 s.
		ok, wait, left := l.Allow(Key{}, time.Now())
		if ok || wait != 10*time.Second || left != 0 {
			t.Fatalf("the fourth: %v, wait %v, %d left", ok, wait, left)
		}
		if ok, _, _ := l.Allow(numbered(7), time.Now()); !ok {
			t.Error("another group is refused too")
		}
		time.Sleep(wait - time.Nanosecond)
		if ok, wait, _ := l.Allow(Key{}, time.Now()); ok || wait != 1 {
			t.Errorf("a nanosecond too early: %v, wait %v", ok, wait)
		}
		time.Sleep(time.Nanosecond)
		if ok, _, left := l.Allow(Key{}, time.Now()); !ok || left != 0 {
			t.Errorf("after the wait: %v, %d left", ok, left)
		}
		time.Sleep(time.Hour)
		if ok, _, left := l.Allow(Key{}, time.Now()); !ok || left != 2 {
			t.Errorf("after an hour: %v, %d left", ok, left)
		}
	})
}

// What Azure says: a client that goes on above its limit is throttled to it.
func TestAClientAboveTheLimitIsThrottledToIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Settings{Requests: 100, Window: time.Minute})
		passed := 0
		for range 640 * 10 { // ten requests a second for ten minutes and two thirds
			if ok, _, _ := l.Allow(Key{}, time.Now()); ok {
				passed++
			}
			time.Sleep(100 * time.Millisecond)
		}
		if passed != 10*100 { // a window is counted for 64 s
			t.Errorf("%d passed in ten windows", passed)
		}
	})
}

// The contract: no window has more than the limit, and who is refused had as
// many in the last sixteen fifteenths of a window.
func TestALimiterIsExactForALogOfEveryRequest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		limit := 1 + random.IntN(30)
		window := time.Duration(1+random.IntN(1000)) * 123457 * time.Microsecond
		l := New(Settings{Requests: limit, Window: window})
		now := l.counters.grid.start
		var passed []time.Time
		within := func(d time.Duration) (n int) {
			for i := len(passed) - 1; i >= 0 && now.Sub(passed[i]) < d; i-- {
				n++
			}
			return n
		}
		for range 2000 {
			now = now.Add(time.Duration(random.Int64N(int64(window) * 2 / int64(limit))))
			if random.IntN(200) == 0 {
				now = now.Add(time.Duration(random.Int64N(3 * int64(window))))
			}
			ok, wait, left := l.Allow(Key{}, now)
			long := l.counters.grid.step * slots
			switch {
			case ok && within(window) >= limit:
				t.Fatalf("%d in %v: one passes after %d", limit, window, within(window))
			case !ok && within(long) < limit:
				t.Fatalf("%d in %v: refused after %d in %v", limit, window, within(long), long)
			case !ok && (wait <= 0 || wait > long), ok && wait != 0:
				t.Fatalf("%v, wait %v", ok, wait)
			case left < 0 || left >= limit:
				t.Fatalf("%d left of %d", left, limit)
			}
			if ok {
				passed = append(passed, now)
			}
			if !ok && random.IntN(3) == 0 { // the wait is right to the nanosecond
				if ok, _, _ := l.Allow(Key{}, now.Add(wait-1)); ok {
					t.Fatal("passes before the wait is over")
				}
				now = now.Add(wait)
				if ok, _, _ := l.Allow(Key{}, now); !ok {
					t.Fatal("refused after the wait")
				}
				passed = append(passed, now)
			}
		}
	}
}

func TestTimeThatGoesBackwardsOpensNothing(t *testing.T) {
	l := New(Settings{Requests: 2, Window: time.Minute})
	now := l.counters.grid.start.Add(time.Hour)
	l.Allow(Key{}, now)
	l.Allow(Key{}, now.Add(-time.Hour))
	for _, at := range []time.Duration{-2 * time.Hour, -time.Hour, -time.Minute, 0} {
		if ok, wait, _ := l.Allow(Key{}, now.Add(at)); ok || wait <= 0 {
			t.Errorf("%v: %v, wait %v", at, ok, wait)
		}
	}
	// Before the limiter was made, for somebody new: the first step.
	early := l.counters.grid.start.Add(-3*time.Hour - time.Second)
	if ok, _, left := l.Allow(numbered(5), early); !ok || left != 1 {
		t.Errorf("before the start: %v, %d left", ok, left)
	}
}

func TestStepsAreNoShorterThanTheWindow(t *testing.T) {
	for _, window := range []time.Duration{time.Minute, time.Minute + 1, time.Second - 1, 15 * time.Millisecond} {
		if step := New(Settings{Window: window}).counters.grid.step; step*steps < window || step*steps > window+steps {
			t.Errorf("%v: steps of %v", window, step)
		}
	}
}

func TestAClientIsNotForgottenWithinItsWindowWhoeverComes(t *testing.T) {
	l := New(Settings{Requests: 1, Window: 15 * time.Second})
	now := l.counters.grid.start
	for client := range 100 {
		l.Allow(numbered(client), now)
	}
	for second := range 16 {
		now = now.Add(time.Second - 1)
		for i := range 1000 {
			l.Allow(numbered(1000*(second+1)+i), now)
		}
	}
	for client := range 100 { // just before the sixteen fifteenths are over
		if ok, _, _ := l.Allow(numbered(client), now); ok {
			t.Errorf("client %d passes again", client)
		}
		if ok, _, _ := l.Allow(numbered(client), now.Add(time.Second)); !ok {
			t.Errorf("client %d is refused after its window", client)
		}
	}
}

func TestAFullShardLooksFurtherForIdleGroups(t *testing.T) {
	const most, step = 40, 100
	var s shard
	for i := range most {
		w := s.find(numbered(i), step-slots, most)
		if i < 30 {
			w.advance(step)
		}
	}
	s.hand = 0
	if w := s.find(numbered(most), step, most); w == &s.rest || s.shared != 0 {
		t.Error("shares though there are idle groups")
	}
}

func TestSettingsAreBounded(t *testing.T) {
	tests := []struct {
		name     string
		settings Settings
		want     Settings
	}{
		{"zero", Settings{}, Settings{0, time.Minute, 1 << 20}},
		{"negative", Settings{-1, -1, -1}, Settings{0, 15 * time.Millisecond, 64}},
		{"huge", Settings{math.MaxInt, math.MaxInt64, 5000}, Settings{math.MaxInt32, math.MaxInt64, 5000}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := New(tt.settings)
			if l.settings != tt.want {
				t.Errorf("%+v, want %+v", l.settings, tt.want)
			}
			ok, wait, _ := l.Allow(Key{}, time.Now())
			if pass := tt.want.Requests > 0; ok != pass || (wait == 0) != pass {
				t.Errorf("%v, wait %v", ok, wait)
			}
		})
	}
}

func TestALimitThatIsKeptGoesOnCounting(t *testing.T) {
	now := time.Now()
	old := New(Settings{Requests: 3, Window: time.Minute})
	for range 3 {
		old.Allow(Key{}, now)
	}
	tests := []struct {
		name     string
		settings Settings
		same     bool // the same limiter
		ok       bool
	}{
		{"the same", Settings{Requests: 3, Window: time.Minute}, true, false},
		{"the same, by default", Settings{Requests: 3}, true, false},
		{"fewer requests", Settings{Requests: 1}, false, false},
		{"more requests", Settings{Requests: 9}, false, true},
		{"fewer groups", Settings{Requests: 3, Groups: 100}, false, false},
		{"another window", Settings{Requests: 3, Window: time.Hour}, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kept := Keep(old, tt.settings)
			if kept.settings != tt.settings.normal() || (kept == old) != tt.same {
				t.Errorf("settings %+v, the same limiter: %v", kept.settings, kept == old)
			}
			if ok, _, _ := kept.Allow(Key{}, now); ok != tt.ok {
				t.Errorf("passes: %v", ok)
			}
		})
	}
	if ok, _, _ := Keep(nil, Settings{Requests: 1}).Allow(Key{}, now); !ok {
		t.Error("a limit that was not there before counted something")
	}
}

func TestWithoutRoomNewcomersShareALimitAndTheOthersDoNot(t *testing.T) {
	l := New(Settings{Requests: 2, Window: time.Minute, Groups: 640})
	now := l.counters.grid.start
	passed := 0
	for i := range 100_000 {
		if ok, _, _ := l.Allow(numbered(i), now); ok {
			passed++
		}
	}
	if most := 640 + shards*2; passed > most || passed < 640 {
		t.Errorf("%d newcomers passed, want 640 to %d", passed, most)
	}
	if s := l.Stats(); s.Groups > 640 || s.Shared != uint64(100_000-s.Groups) {
		t.Errorf("%+v", s)
	}
	if ok, _, _ := l.Allow(numbered(0), now); !ok {
		t.Error("a client from before the flood is refused")
	}
	// The flood is over and idle: there is room again.
	now = now.Add(2 * time.Minute)
	shared := l.Stats().Shared
	for i := range 640 / 4 {
		if ok, _, left := l.Allow(numbered(1_000_000+i), now); !ok || left != 1 {
			t.Fatalf("client %d after the flood: %v, %d left", i, ok, left)
		}
	}
	if s := l.Stats(); s.Shared != shared {
		t.Errorf("%d requests share after the flood", s.Shared-shared)
	}
}

func TestGroupsThatAreIdleGoAndTheirMemoryToo(t *testing.T) {
	l := New(Settings{Requests: 2, Window: time.Second})
	now := l.counters.grid.start
	for i := range 50_000 {
		l.Allow(numbered(i), now)
	}
	if s := l.Stats(); s.Groups != 50_000 {
		t.Errorf("%d groups", s.Groups)
	}
	now = now.Add(2 * time.Second)
	for i := range 20_000 { // others come
		l.Allow(numbered(-1-i%2000), now)
	}
	if s := l.Stats(); s.Groups > 50_000-2000 {
		t.Errorf("%d groups are left of 50000 idle ones after 2000 others came: they do not go faster than they come", s.Groups)
	}
	for i := range 50_000 {
		now = now.Add(time.Millisecond)
		l.Allow(numbered(1_000_000+i), now)
	}
	if s := l.Stats(); s.Groups > 3000 {
		t.Errorf("%d groups, of which some 1100 are not idle", s.Groups)
	}
	room := 0
	for i := range l.counters.shards {
		room += cap(l.counters.shards[i].groups)
	}
	if room > 16_000 {
		t.Errorf("room for %d groups is kept", room)
	}
}

// The table and the list of groups must agree, whatever was removed when.
func TestShardsStayConsistent(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	l := New(Settings{Requests: 5, Window: time.Second, Groups: 64 * 100})
	now := l.counters.grid.start
	for range 200_000 {
		now = now.Add(time.Duration(random.Int64N(int64(300 * time.Microsecond))))
		l.Allow(numbered(int(math.Exp(random.Float64()*11))), now)
	}
	for i := range l.counters.shards {
		s := &l.counters.shards[i]
		if len(s.number) != len(s.groups) || len(s.groups) > 100 {
			t.Fatalf("%d numbers, %d groups", len(s.number), len(s.groups))
		}
		for n, g := range s.groups {
			if int(s.number[g.key]) != n {
				t.Fatalf("group %d has the number %d", n, s.number[g.key])
			}
			sum := uint32(0)
			for _, c := range g.counts {
				sum += c
			}
			if sum != g.sum || sum > 5 {
				t.Fatalf("sum %d of %d", g.sum, g.counts)
			}
		}
	}
}

func TestMemoryOfAMillionClientsIsBounded(t *testing.T) {
	const perClient = 200
	clients := 1_000_000
	if testkit.Race {
		clients = 50_000
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	l := New(Settings{Requests: 2, Window: time.Minute})
	now := time.Now()
	before := heap()
	for i := range clients {
		l.Allow(numbered(i), now)
	}
	used := heap() - before
	t.Logf("%d bytes a client", used/uint64(clients))
	if used > uint64(clients)*perClient {
		t.Errorf("%d bytes a client, more than %d", used/uint64(clients), perClient)
	}
	if s := l.Stats(); s.Groups+int(s.Shared) != clients {
		t.Errorf("%+v", s)
	}
	for i := range clients { // as many again have no room
		l.Allow(numbered(clients+i), now)
	}
	if s := l.Stats(); s.Groups > defaultGroups || heap()-before > defaultGroups*perClient {
		t.Errorf("%+v with %d bytes", s, heap()-before)
	}
	runtime.KeepAlive(l)
}

func TestTheLimitIsExactUnderConcurrency(t *testing.T) {
	l := New(Settings{Requests: 1000, Window: time.Minute})
	now := time.Now()
	var passed atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 500 {
				if ok, _, _ := l.Allow(Key{}, now); ok {
					passed.Add(1)
				}
				l.Allow(numbered(2+i*500+n), now)
				if n%100 == 0 {
					l.Stats()
					Keep(l, Settings{Requests: 999}).Allow(numbered(1), now)
				}
			}
		})
	}
	wg.Wait()
	if passed.Load() != 1000 {
		t.Errorf("%d passed", passed.Load())
	}
}

func TestAllowAllocatesNothing(t *testing.T) {
	l := New(Settings{Requests: 50, Window: time.Minute})
	now := time.Now()
	l.Allow(numbered(1), now)
	if n := testing.AllocsPerRun(200, func() { l.Allow(numbered(1), now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The ceiling: 200 ns for one of many clients.
func TestAllowIsFast(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector slows everything down")
	}
	l, keys, now := busy()
	testkit.Fast(t, "a request", 200*time.Nanosecond, func() time.Duration {
		begin := time.Now()
		for _, k := range keys {
			l.Allow(k, now)
		}
		return time.Since(begin) / time.Duration(len(keys))
	})
}

func busy() (*Limiter, []Key, time.Time) {
	l, now := New(Settings{Requests: 1000, Window: time.Minute}), time.Now()
	keys := make([]Key, 10_000)
	for i := range keys {
		keys[i] = numbered(i)
		l.Allow(keys[i], now)
	}
	return l, keys, now
}

func BenchmarkAllow(b *testing.B) {
	l, keys, now := busy()
	b.Run("clients", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			l.Allow(keys[i%len(keys)], now.Add(time.Duration(i)))
		}
	})
	b.Run("refused", func(b *testing.B) {
		l := New(Settings{Requests: 1})
		b.ReportAllocs()
		for b.Loop() {
			l.Allow(Key{}, now)
		}
	})
	b.Run("one group on all processors", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				l.Allow(Key{}, now)
			}
		})
	})
}
