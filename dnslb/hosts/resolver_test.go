package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// script is a Lookup whose results a test decides.
type script struct {
	mu    sync.Mutex
	calls map[string][]time.Time
	now   int // lookups that run
	most  int // that ran at once
	reply Lookup
}

func (s *script) lookup(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	s.mu.Lock()
	if s.calls == nil {
		s.calls = map[string][]time.Time{}
	}
	s.calls[host] = append(s.calls[host], time.Now())
	s.now++
	s.most = max(s.most, s.now)
	reply := s.reply
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}()
	return reply(ctx, host)
}

// say has later lookups end at once with these results.
func (s *script) say(ttl time.Duration, err error, addrs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reply = func(context.Context, string) ([]netip.Addr, time.Duration, error) { return parse(addrs...), ttl, err }
}

func (s *script) times(host string) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls[host])
}

// begin runs a resolver until the function that it returns is called, which
// waits for its end.
func begin(t *testing.T, opts Options) (*Resolver, func()) {
	t.Helper()
	r := New(opts)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	return r, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func wantAddresses(t *testing.T, r *Resolver, host string, want ...string) {
	t.Helper()
	if got := r.Addresses(host); !slices.Equal(got, parse(want...)) {
		t.Errorf("addresses of %s: %v, want %v", host, got, want)
	}
}

func TestAllHostsAreLookedUpAtOnceWithinConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{reply: func(context.Context, string) ([]netip.Addr, time.Duration, error) {
			time.Sleep(time.Second)
			return parse("192.0.2.1"), time.Minute, nil
		}}
		r, end := begin(t, Options{Lookup: s.lookup})
		defer end()
		var names []string
		for i := range 50 {
			names = append(names, fmt.Sprintf("host%d.example", i))
		}
		start := time.Now()
		r.Set(names)
		if err := r.Settled(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 4*time.Second || s.most != 16 {
			t.Errorf("50 lookups of a second took %v, %d at once; want 4s and 16", took, s.most)
		}
		for _, name := range names {
			wantAddresses(t, r, name, "192.0.2.1")
		}
	})
}

func TestOneHostInManySpellingsIsOneLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		s.say(time.Minute, nil, "192.0.2.1")
		r, end := begin(t, Options{Lookup: s.lookup})
		defer end()
		r.Set(slices.Concat(slices.Repeat([]string{"a.example", "A.Example."}, 5000)))
		synctest.Wait()
		if len(s.times("a.example")) != 1 || len(s.calls) != 1 {
			t.Errorf("looked up %v, want a.example once", s.calls)
		}
		wantAddresses(t, r, "A.EXAMPLE.", "192.0.2.1")
		if got, ok := r.Status("A.example"); !ok || got.Host != "a.example" {
			t.Errorf("status %+v, %v", got, ok)
		}
	})
}

func TestRefreshFollowsTheTimeToLiveWithinBounds(t *testing.T) {
	tests := []struct {
		name       string
		opts       Options
		ttl, about time.Duration
	}{
		{"short", Options{}, 0, 5 * time.Second},
		{"negative", Options{}, -time.Hour, 5 * time.Second},
		{"as it says", Options{}, time.Minute, time.Minute},
		{"long", Options{}, 24 * time.Hour, 5 * time.Minute},
		{"own bounds, short", Options{Shortest: 20 * time.Second, Longest: 40 * time.Second}, time.Second, 20 * time.Second},
		{"own bounds, long", Options{Shortest: 20 * time.Second, Longest: 40 * time.Second}, time.Minute, 40 * time.Second},
		{"crossed bounds", Options{Shortest: 20 * time.Second, Longest: time.Second}, time.Minute, 20 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{}
				s.say(tt.ttl, nil, "192.0.2.1")
				tt.opts.Lookup = s.lookup
				r, end := begin(t, tt.opts)
				defer end()
				r.Set([]string{"a.example"})
				time.Sleep(20 * tt.about)
				wantPauses(t, s.times("a.example"), slices.Repeat([]time.Duration{tt.about}, 15))
			})
		})
	}
}

// wantPauses checks the times between lookups, each a tenth more or less than
// said, and not always the same.
func wantPauses(t *testing.T, times []time.Time, want []time.Duration) {
	t.Helper()
	if len(times) <= len(want) {
		t.Fatalf("%d lookups, want more than %d", len(times), len(want))
	}
	exact := 0
	for i, about := range want {
		pause := times[i+1].Sub(times[i])
		if pause < about-about/10 || pause > about+about/10 {
			t.Errorf("pause %d is %v, want about %v", i, pause, about)
		}
		if pause == about || i > 0 && pause == times[i].Sub(times[i-1]) {
			exact++
		}
	}
	if exact > len(want)/2 {
		t.Errorf("%d of %d pauses are not random", exact, len(want))
	}
}

func TestFailuresAreRetriedEverLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		s.say(time.Hour, errors.New("no luck"))
		r, end := begin(t, Options{Lookup: s.lookup})
		defer end()
		r.Set([]string{"a.example"})
		time.Sleep(3 * time.Minute)
		const sec = time.Second
		wantPauses(t, s.times("a.example"), []time.Duration{sec, 2 * sec, 4 * sec, 8 * sec, 16 * sec, 30 * sec, 30 * sec})

		s.say(time.Minute, nil, "192.0.2.1")
		time.Sleep(40 * sec)
		s.say(0, errors.New("no luck"))
		before := len(s.times("a.example"))
		time.Sleep(66*sec + 4*sec)
		if again := s.times("a.example")[before:]; len(again) < 3 {
			t.Errorf("%d lookups since it fails again, want the pauses to begin anew", len(again))
		}
	})
}

func TestLastGoodAddressesAreKept(t *testing.T) {
	for name, err := range map[string]error{"failure": errors.New("no luck"), "no such host": errNoSuchHost, "empty": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{}
				s.say(time.Minute, nil, "192.0.2.2", "2001:db8::1")
				var log bytes.Buffer
				r, end := begin(t, Options{Lookup: s.lookup, Log: slog.New(slog.NewTextHandler(&log, nil))})
				r.Set([]string{"a.example"})
				synctest.Wait()
				resolved := time.Now()
				s.say(time.Minute, err)
				time.Sleep(24 * time.Hour)
				wantAddresses(t, r, "a.example", "192.0.2.2", "2001:db8::1")
				got, _ := r.Status("a.example")
				if got.Reason == "" || got.Failures < 1000 || !got.Resolved.Equal(resolved) || time.Since(got.Tried) > time.Minute {
					t.Errorf("status %+v", got)
				}
				s.say(time.Minute, nil, "2001:db8::1", "192.0.2.2")
				time.Sleep(time.Hour)
				if got, _ := r.Status("a.example"); got.Reason != "" || got.Failures != 0 || time.Since(got.Resolved) > 2*time.Minute {
					t.Errorf("status after it is back: %+v", got)
				}
				end()
				if good, bad := strings.Count(log.String(), "host resolved"), strings.Count(log.String(), "host not resolved"); good != 2 || bad != 1 {
					t.Errorf("logged %d successes and %d failures, want 2 and 1:\n%s", good, bad, &log)
				}
			})
		})
	}
}

func TestAnotherReasonIsLoggedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		s.say(0, errors.New("no luck"))
		var log bytes.Buffer
		r, end := begin(t, Options{Lookup: s.lookup, Log: slog.New(slog.NewTextHandler(&log, nil))})
		r.Set([]string{"a.example"})
		time.Sleep(time.Hour)
		s.say(0, errNoSuchHost)
		time.Sleep(time.Hour)
		end()
		for _, want := range []string{`reason="no luck"`, `reason="no such host"`} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("%s is not logged once:\n%s", want, &log)
			}
		}
	})
}

func TestFamilyThatCouldNotBeAskedAboutIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		s.say(time.Minute, nil, "192.0.2.1", "2001:db8::1")
		r, end := begin(t, Options{Lookup: s.lookup})
		defer end()
		r.Set([]string{"a.example"})
		synctest.Wait()
		s.say(time.Minute, refusal(2), "192.0.2.9")
		time.Sleep(2 * time.Minute)
		wantAddresses(t, r, "a.example", "192.0.2.9", "2001:db8::1")
		if got, _ := r.Status("a.example"); got.Reason != "the name server answers SERVFAIL" || got.Failures == 0 {
			t.Errorf("status %+v", got)
		}
		s.say(time.Minute, nil, "192.0.2.9")
		time.Sleep(2 * time.Minute)
		wantAddresses(t, r, "a.example", "192.0.2.9")
	})
}

func TestSetKeepsWhatIsKnownAndForgetsWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		s.say(time.Minute, nil, "192.0.2.1")
		r, end := begin(t, Options{Lookup: s.lookup})
		defer end()
		r.Set([]string{"kept.example", "gone.example"})
		synctest.Wait()
		r.Set([]string{"kept.example", "new.example"})
		wantAddresses(t, r, "kept.example", "192.0.2.1")
		wantAddresses(t, r, "gone.example")
		if _, ok := r.Status("gone.example"); ok {
			t.Error("a host that is gone has a status")
		}
		synctest.Wait()
		wantAddresses(t, r, "new.example", "192.0.2.1")
		if n := len(s.times("kept.example")); n != 1 {
			t.Errorf("a host that is kept was looked up %d times", n)
		}
		time.Sleep(time.Hour)
		if n := len(s.times("gone.example")); n != 1 {
			t.Errorf("a host that is gone was looked up %d times", n)
		}
		if n := len(s.times("kept.example")); n < 50 {
			t.Errorf("a host that is kept was looked up %d times within an hour", n)
		}
	})
}

func TestLookupOfAHostThatIsGoneEndsAndIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changed []string
		calls := 0
		s := &script{reply: func(ctx context.Context, _ string) ([]netip.Addr, time.Duration, error) {
			if calls++; calls > 1 {
				return parse("192.0.2.2"), time.Minute, nil
			}
			<-ctx.Done()
			return parse("192.0.2.1"), time.Minute, nil
		}}
		r, end := begin(t, Options{Lookup: s.lookup, Changed: func(host string, addrs []netip.Addr) {
			changed = append(changed, fmt.Sprint(host, addrs))
		}})
		r.Set([]string{"a.example"})
		synctest.Wait()
		r.Set(nil)
		r.Set([]string{"a.example"})
		synctest.Wait()
		wantAddresses(t, r, "a.example", "192.0.2.2")
		time.Sleep(time.Second)
		s.mu.Lock()
		running := s.now
		s.mu.Unlock()
		end()
		if want := []string{"a.example[192.0.2.2]"}; !slices.Equal(changed, want) || running != 0 {
			t.Errorf("changed %v, want %v; %d lookups run on", changed, want, running)
		}
	})
}

func TestChangedIsToldOfOtherAddressesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		var r *Resolver
		var changed []string
		r, end := begin(t, Options{Lookup: s.lookup, Changed: func(host string, addrs []netip.Addr) {
			changed = append(changed, fmt.Sprint(host, addrs, " ", slices.Equal(addrs, r.Addresses(host))))
		}})
		s.say(time.Minute, nil, "192.0.2.1", "192.0.2.2", "192.0.2.1")
		r.Set([]string{"a.example"})
		time.Sleep(10 * time.Minute)
		s.say(time.Minute, nil, "192.0.2.2", "192.0.2.1")
		time.Sleep(10 * time.Minute)
		s.say(time.Minute, errNoSuchHost)
		time.Sleep(10 * time.Minute)
		s.say(time.Minute, nil, "192.0.2.3")
		time.Sleep(10 * time.Minute)
		end()
		want := []string{"a.example[192.0.2.1 192.0.2.2] true", "a.example[192.0.2.3] true"}
		if !slices.Equal(changed, want) {
			t.Errorf("changed %v, want %v", changed, want)
		}
	})
}

func TestSettledSaysWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{reply: func(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
			if host == "bad.example" {
				return nil, 0, errNoSuchHost
			}
			<-ctx.Done()
			return nil, 0, ctx.Err()
		}}
		r, end := begin(t, Options{Lookup: s.lookup})
		defer end()
		if err := r.Settled(t.Context()); err != nil {
			t.Errorf("without hosts: %v", err)
		}
		r.Set([]string{"bad.example", "slow.example"})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := r.Settled(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 of 2 hosts") {
			t.Errorf("Settled: %v", err)
		}
		go func() {
			time.Sleep(time.Second)
			r.Set([]string{"bad.example"})
		}()
		start := time.Now()
		if err := r.Settled(t.Context()); err != nil || time.Since(start) != time.Second {
			t.Errorf("after the slow host was dropped: %v, after %v", err, time.Since(start))
		}
	})
}

func TestSlowLookupIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{reply: func(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
			if host == "slow.example" {
				<-ctx.Done()
				return nil, 0, ctx.Err()
			}
			return parse("192.0.2.1"), 0, nil
		}}
		r, end := begin(t, Options{Lookup: s.lookup, Concurrency: 1})
		defer end()
		r.Set([]string{"slow.example"})
		synctest.Wait()
		r.Set([]string{"slow.example", "next.example"})
		start := time.Now()
		if err := r.Settled(t.Context()); err != nil || time.Since(start) != lookupTimeout {
			t.Errorf("settled after %v: %v", time.Since(start), err)
		}
		wantAddresses(t, r, "next.example", "192.0.2.1")
		if got, _ := r.Status("slow.example"); got.Reason != "timeout" {
			t.Errorf("status %+v", got)
		}
	})
}

func TestRunWaitsForItsLookupsAndBlamesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{reply: func(ctx context.Context, _ string) ([]netip.Addr, time.Duration, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			return nil, 0, ctx.Err()
		}}
		var log bytes.Buffer
		r, end := begin(t, Options{Lookup: s.lookup, Log: slog.New(slog.NewTextHandler(&log, nil))})
		r.Set([]string{"a.example", "b.example"})
		synctest.Wait()
		end()
		if s.now != 0 || s.most != 2 || log.Len() != 0 {
			t.Errorf("%d of %d lookups run on; logged %q", s.now, s.most, &log)
		}
	})
}

func TestLookupsThatTheEndOfRunCutShortAreNotLogged(t *testing.T) {
	for range 30 { // which of two events is seen first is a matter of chance
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			s := &script{reply: func(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
				if host == "first.example" {
					return parse("192.0.2.1"), time.Minute, nil
				}
				<-ctx.Done()
				return nil, 0, ctx.Err()
			}}
			var log bytes.Buffer
			r := New(Options{Lookup: s.lookup, Log: slog.New(slog.NewTextHandler(&log, nil)), Changed: func(string, []netip.Addr) {
				cancel()
				time.Sleep(time.Second) // the others end meanwhile
			}})
			r.Set([]string{"first.example", "a.example", "b.example", "c.example"})
			if err := r.Run(ctx); err != nil || strings.Contains(log.String(), "not resolved") {
				t.Errorf("%v; logged\n%s", err, &log)
			}
		})
	}
}

func TestQueueStaysInOrderWhenPruned(t *testing.T) {
	var q queue
	start := time.Now()
	for range 200 {
		h := newHost("a.example", start.Add(rand.N(time.Hour)))
		h.gone = rand.N(2) == 0
		q.add(h)
	}
	q.prune()
	for last := start; len(q) > 0; {
		h := q.take()
		if h.gone || h.due.Before(last) {
			t.Fatalf("gone %v, due %v after one that is due %v", h.gone, h.due.Sub(start), last.Sub(start))
		}
		last = h.due
	}
}

func TestTidyKeepsWhatCanBeAnswered(t *testing.T) {
	got := tidy(append(parse("2001:db8::2", "192.0.2.2", "::ffff:192.0.2.1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "192.0.2.2", "fe80::1%eth0"), netip.Addr{}))
	if want := parse("192.0.2.1", "192.0.2.2", "2001:db8::2", "fe80::1"); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	var many []netip.Addr
	for i := range 100 {
		many = append(many, netip.AddrFrom4([4]byte{192, 0, 2, byte(200 - i)}), netip.AddrFrom16([16]byte{0x20, 1, 15: byte(200 - i)}))
	}
	got = tidy(many)
	if len(got) != 64 || got[0] != netip.MustParseAddr("192.0.2.101") || got[31] != netip.MustParseAddr("192.0.2.132") || !got[32].Is6() {
		t.Errorf("of 100 of each family are left %v", got)
	}
}

func TestAddressesAllocateNothing(t *testing.T) {
	r := New(Options{})
	r.Set([]string{"a.example"})
	h := (*r.wanted.Load())["a.example"]
	h.status.Store(h.status.Load().learn(parse("192.0.2.1"), nil, time.Now()))
	if n := testing.AllocsPerRun(100, func() {
		if len(r.Addresses("a.example.")) != 1 {
			t.Fatal("no addresses")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSetAndReadsMayMeetLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n int
		var mu sync.Mutex
		s := &script{reply: func(context.Context, string) ([]netip.Addr, time.Duration, error) {
			mu.Lock()
			defer mu.Unlock()
			n++
			return []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})}, 0, nil
		}}
		r, end := begin(t, Options{Lookup: s.lookup, Shortest: time.Millisecond, Longest: time.Millisecond})
		defer end()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 200 {
					r.Set([]string{fmt.Sprintf("host%d.example", (i+j)%5), "always.example"})
					time.Sleep(time.Millisecond)
					r.Addresses("always.example")
					r.Status("host1.example")
				}
			})
		}
		wg.Wait()
		if err := r.Settled(t.Context()); err != nil || len(r.Addresses("always.example")) != 1 || len(s.times("always.example")) < 150 {
			t.Errorf("settled: %v; %d lookups of what is always wanted", err, len(s.times("always.example")))
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.queue) > 2 {
			t.Errorf("%d hosts in the queue, of 2 that are wanted", len(r.queue))
		}
	})
}
