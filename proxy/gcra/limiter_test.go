package gcra

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func (l *Limiter) numbered(n int) Key {
	return l.Text(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

const second = int64(time.Second)

func TestABurstPassesAndThenARequestForEachInterval(t *testing.T) {
	l := New(Settings{Requests: 10, Per: 10 * time.Second, Burst: 3, Keys: 1000})
	k, now := l.Text([]byte("client")), 100*second
	for i := range 3 {
		if a := l.Allow(k, now); !a.OK || a.Over || a.Remaining != 2-i {
			t.Fatalf("request %d: %+v", i, a)
		}
	}
	a := l.Allow(k, now)
	if a.OK || !a.Over || a.Wait != time.Second || a.Remaining != 0 || a.Reset != 3*time.Second {
		t.Fatalf("the fourth: %+v", a)
	}
	if a := l.Allow(l.Text([]byte("other")), now); !a.OK {
		t.Error("another group is refused, too")
	}
	if a := l.Allow(k, now+second-1); a.OK || a.Wait != 1 {
		t.Errorf("a nanosecond too early: %+v", a)
	}
	if a := l.Allow(k, now+second); !a.OK || a.Remaining != 0 || a.Wait != time.Second {
		t.Errorf("after the wait: %+v", a)
	}
	if a := l.Allow(k, now+100*second); !a.OK || a.Remaining != 2 {
		t.Errorf("after a pause: %+v", a)
	}
	if s := l.Stats(); s != (Stats{Passed: 6, Refused: 2, Keys: 2}) {
		t.Errorf("%+v", s)
	}
}

// The contract, against a log of every request: in any time t no more than
// Burst + t/interval pass.
func TestNoSpanOfTimeHasMoreThanItsShare(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		s := Settings{Requests: 1 + random.IntN(50), Per: time.Second + time.Duration(random.Int64N(int64(time.Minute))), Burst: 1 + random.IntN(20), Keys: 1000}
		l := New(s)
		k, now := l.numbered(1), int64(0)
		var passed []int64
		for range 2000 {
			now += random.Int64N(2 * l.interval)
			a := l.Allow(k, now)
			if !a.OK {
				if again := l.Allow(k, now+int64(a.Wait)-1); again.OK {
					t.Fatalf("%+v: passes before its wait of %v is over", s, a.Wait)
				}
				continue
			}
			passed = append(passed, now)
			for i, at := range passed {
				if n := int64(len(passed) - i); n > int64(s.Burst)+(now-at)/l.interval {
					t.Fatalf("%+v: %d passed in %v", s, n, time.Duration(now-at))
				}
			}
		}
		if len(passed) < 20 {
			t.Errorf("%+v: only %d passed", s, len(passed))
		}
	}
}

func TestADryRunRefusesNothing(t *testing.T) {
	l := New(Settings{Requests: 1, Per: time.Minute, Burst: 1, Keys: 100, DryRun: true})
	l.Allow(Key{}, 0)
	if a := l.Allow(Key{}, 0); !a.OK || !a.Over {
		t.Errorf("%+v", a)
	}
	if s := l.Stats(); s.Spared != 1 || s.Refused != 0 || s.Passed != 1 {
		t.Errorf("%+v", s)
	}
}

func TestALimitThatIsKeptGoesOnCounting(t *testing.T) {
	wide := New(Settings{Requests: 60, Per: time.Minute, Burst: 1000, Keys: 1000})
	k := wide.numbered(1)
	for range 1000 {
		wide.Allow(k, 0)
	}
	narrow := Keep(wide, Settings{Requests: 60, Per: time.Minute, Burst: 5, Keys: 1000})
	if a := narrow.Allow(k, 0); a.OK {
		t.Error("the count is forgotten")
	}
	if a := narrow.Allow(k, 1*second); !a.OK {
		t.Errorf("punished for what the wider limit allowed: %+v", a)
	}
}

func TestAFullTableKeepsWhoIsAtTheLimit(t *testing.T) {
	const keys = 64 * 20
	l := New(Settings{Requests: 100, Per: time.Hour, Burst: 100, Keys: keys})
	greedy := l.Text([]byte("greedy"))
	for l.Allow(greedy, 0).OK {
	}
	for i := range 50 * keys { // who makes keys up
		l.Allow(l.numbered(i), 0)
	}
	if a := l.Allow(greedy, 0); a.OK {
		t.Error("who is at the limit was forgotten")
	}
	s := l.Stats()
	if s.Keys > keys || s.Evicted < 40*keys {
		t.Errorf("%+v, want at most %d keys", s, keys)
	}
}

func TestIdleGroupsAreForgotten(t *testing.T) {
	l := New(Settings{Requests: 10, Per: time.Second, Burst: 1, Keys: 1 << 20})
	for i := range 20_000 {
		l.Allow(l.numbered(i), int64(i)*second)
	}
	if s := l.Stats(); s.Keys > 64*8 || s.Evicted != 0 {
		t.Errorf("%+v", s)
	}
}

func TestManyAtOnceGetNoMore(t *testing.T) {
	l := New(Settings{Requests: 1, Per: time.Hour, Burst: 100, Keys: 1000})
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				if l.Allow(Key{}, 0).OK {
					passed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := passed.Load(); n != 100 {
		t.Errorf("%d passed, want 100", n)
	}
}

func TestAddressesThatCountTogether(t *testing.T) {
	l := New(Settings{})
	key := func(s string, bits int) Key { return l.Address(netip.MustParseAddr(s), bits) }
	tests := []struct {
		name, a, b string
		bits       int
		same       bool
	}{
		{"mapped into IPv6", "192.0.2.1", "::ffff:192.0.2.1", 64, true},
		{"neighbours", "192.0.2.1", "192.0.2.2", 64, false},
		{"one network", "2001:db8::1", "2001:db8::2", 64, true},
		{"two networks", "2001:db8::1", "2001:db8:0:1::1", 64, false},
		{"a wider one", "2001:db8::1", "2001:db8:0:1::1", 48, true},
		{"whole addresses", "2001:db8::1", "2001:db8::2", 128, false},
		{"a zone", "fe80::1%eth0", "fe80::1%eth1", 128, true},
	}
	for _, tt := range tests {
		if same := key(tt.a, tt.bits) == key(tt.b, tt.bits); same != tt.same {
			t.Errorf("%s: %v, want %v", tt.name, same, tt.same)
		}
	}
	b := netip.MustParseAddr("2001:db8::").As16()
	if l.Text(b[:]) == key("2001:db8::", 64) {
		t.Error("a text has the key of an address")
	}
	l.Address(netip.Addr{}, 64) // no address is no trouble
}

func TestTheSteadyStateAllocatesNothing(t *testing.T) {
	l := New(Settings{Requests: 1000, Per: time.Second, Burst: 1000, Keys: 1000})
	addr, now := netip.MustParseAddr("2001:db8::1"), int64(0)
	if n := testing.AllocsPerRun(1000, func() {
		now += 1e6
		l.Allow(l.Address(addr, 64), now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAllow(b *testing.B) {
	l := New(Settings{Requests: 1000, Per: time.Second, Burst: 1000, Keys: 100_000})
	addr, now := netip.MustParseAddr("2001:db8::1"), int64(0)
	for b.Loop() {
		now += 1e6
		l.Allow(l.Address(addr, 64), now)
	}
}
