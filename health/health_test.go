package health

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// script is a checker that answers as told and records when it was asked.
type script struct {
	mu    sync.Mutex
	err   error
	hang  bool
	asked []time.Time
}

func (s *script) Check(ctx context.Context) error {
	s.mu.Lock()
	s.asked = append(s.asked, time.Now())
	err, hang := s.err, s.hang
	s.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (s *script) set(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
}

func (s *script) times() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.asked...)
}

// run starts a table within a synctest bubble; the function it returns stops
// and joins it.
func run(t *Table) func() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		t.Run(ctx)
		close(done)
	}()
	return func() {
		cancel()
		<-done
	}
}

func TestObserveMovesByThresholds(t *testing.T) {
	bad := errors.New("status 503 not in 200-399")
	tests := []struct {
		name     string
		policy   Policy
		outcomes string // + success, - failure
		states   string // u untried, H healthy, D down
		usable   string // after each: y or n
	}{
		{"first success", Policy{}, "+", "H", "y"},
		{"default thresholds", Policy{}, "+--+---+", "HHHHHHDH", "yyyyyyny"},
		{"untried goes down", Policy{UnhealthyThreshold: 2}, "--", "uD", "yn"},
		{"startUnhealthy", Policy{StartUnhealthy: true}, "-+", "uH", "ny"},
		{"startUnhealthy needs one success", Policy{StartUnhealthy: true, HealthyThreshold: 3}, "+", "H", "y"},
		{"coming back takes several", Policy{UnhealthyThreshold: 1, HealthyThreshold: 3}, "-++-+++", "DDDDDDH", "nnnnnny"},
		{"a success ends the row", Policy{UnhealthyThreshold: 3}, "--+--+", "uuHHHH", "yyyyyy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			policy := tt.policy.withDefaults()
			start := time.Unix(1000, 0)
			s := Status{Since: start}.judge(policy)
			for i, outcome := range tt.outcomes {
				before := s
				var err error
				if outcome == '-' {
					err = bad
				}
				now := start.Add(time.Duration(i+1) * time.Second)
				s = s.observe(policy, now, time.Millisecond, err)
				if got := "uHD"[s.State]; got != tt.states[i] {
					t.Errorf("after %q: state %c, want %c", tt.outcomes[:i+1], got, tt.states[i])
				}
				if got := s.Usable; got != (tt.usable[i] == 'y') {
					t.Errorf("after %q: usable %t", tt.outcomes[:i+1], got)
				}
				if changed := s.State != before.State; changed != s.Since.Equal(now) {
					t.Errorf("after %q: since %v, changed %t", tt.outcomes[:i+1], s.Since, changed)
				}
				if (s.Reason == bad.Error()) != (err != nil) {
					t.Errorf("after %q: reason %q", tt.outcomes[:i+1], s.Reason)
				}
			}
		})
	}
}

func TestTableTellsOfTransitionsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Options{})
		stop := run(table)
		defer stop()
		c := &script{}
		var told []string
		w := table.Watch(Subject{Key: "a"}, c, Policy{Interval: 10 * time.Second}, func(s Status) {
			told = append(told, s.State.String()+" "+s.Reason)
		})
		if s := w.Status(); s.State != Untried || !s.Usable {
			t.Errorf("before the first probe: %+v", s)
		}
		time.Sleep(2 * time.Second)
		if s, ok := table.Lookup("a"); !ok || s.State != Healthy {
			t.Errorf("after the first probe: %+v, %t", s, ok)
		}
		c.set(errors.New("connect refused"))
		time.Sleep(time.Minute)
		c.set(nil)
		time.Sleep(12 * time.Second)
		synctest.Wait()
		want := "healthy |unhealthy connect refused|healthy "
		if got := strings.Join(told, "|"); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		w.Stop()
		if _, ok := table.Lookup("a"); ok {
			t.Error("still found after Stop")
		}
	})
}

func TestProbesAreSpreadAndKeepTheirInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Options{})
		begin := time.Now()
		const n, interval = 200, 10 * time.Second
		var all []*script
		for i := range n {
			c := &script{}
			all = append(all, c)
			table.Watch(Subject{Key: fmt.Sprint(i), Address: fmt.Sprint(i)}, c, Policy{Interval: interval}, nil)
		}
		stop := run(table)
		time.Sleep(time.Minute)
		stop()
		starts := make(map[time.Time]int)
		for i, c := range all {
			times := c.times()
			if d := times[0].Sub(begin); d >= firstWithin {
				t.Errorf("watch %d: first probe after %v", i, d)
			}
			starts[times[0]]++
			for k := 1; k < len(times); k++ {
				if d := times[k].Sub(times[k-1]); d < interval*9/10 || d > interval*11/10 {
					t.Errorf("watch %d: %v between two probes", i, d)
				}
			}
			if len(times) < 5 {
				t.Errorf("watch %d: %d probes in a minute", i, len(times))
			}
		}
		if len(starts) < n/2 {
			t.Errorf("%d probes began in only %d instants", n, len(starts))
		}
	})
}

func TestAProbeThatHangsEndsWithItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Options{})
		stop := run(table)
		defer stop()
		c := &script{hang: true}
		w := table.Watch(Subject{Key: "a"}, c, Policy{Interval: 10 * time.Second, Timeout: 30 * time.Second, UnhealthyThreshold: 1}, nil)
		time.Sleep(firstWithin + 30*time.Second + time.Millisecond)
		s := w.Status()
		if s.State != Unhealthy || s.Reason != "timeout after 30s" || s.Took != 30*time.Second {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Second)
		if n := len(c.times()); n != 2 {
			t.Errorf("%d probes, want the second as soon as the first is over", n)
		}
	})
}

// crowd counts how many checks run at once.
type crowd struct{ now, most atomic.Int64 }

func (c *crowd) Check(ctx context.Context) error {
	n := c.now.Add(1)
	defer c.now.Add(-1)
	for m := c.most.Load(); n > m && !c.most.CompareAndSwap(m, n); m = c.most.Load() {
	}
	time.Sleep(time.Second)
	return nil
}

func TestConcurrencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Options{Concurrency: 7})
		stop := run(table)
		defer stop()
		c := &crowd{}
		var watches []*Watch
		for i := range 100 {
			watches = append(watches, table.Watch(Subject{Key: fmt.Sprint(i), Address: fmt.Sprint(i)}, c, Policy{Interval: time.Minute}, nil))
		}
		time.Sleep(20 * time.Second)
		if most := c.most.Load(); most != 7 {
			t.Errorf("%d probes at once, want 7", most)
		}
		for i, w := range watches {
			if w.Status().State != Healthy {
				t.Errorf("watch %d was not probed in time", i)
			}
		}
	})
}

func TestUpdateKeepsTheVerdictAndVoidsTheRunningProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Options{})
		stop := run(table)
		defer stop()
		policy := Policy{Interval: time.Hour, Timeout: time.Hour, UnhealthyThreshold: 1}
		w := table.Watch(Subject{Key: "a"}, &script{}, policy, nil)
		time.Sleep(2 * time.Second)

		hanging := &script{hang: true}
		policy.Interval = 10 * time.Second
		w.Update(hanging, policy)
		if s := w.Status(); s.State != Healthy {
			t.Fatalf("the verdict is lost: %+v", s)
		}
		time.Sleep(10 * time.Second) // the new interval, not the old
		synctest.Wait()
		if len(hanging.times()) != 1 {
			t.Fatal("the new checker was not asked within the new interval")
		}
		good := &script{}
		w.Update(good, policy)
		synctest.Wait()
		if s := w.Status(); s.State != Healthy || s.Reason != "" {
			t.Errorf("the abandoned probe counted: %+v", s)
		}
		if len(good.times()) != 1 {
			t.Error("the probe was not begun anew at once")
		}
	})
}

func TestUpdateJudgesTheUntriedByTheNewPolicy(t *testing.T) {
	table := NewTable(Options{})
	w := table.Watch(Subject{Key: "a"}, &script{}, Policy{}, nil)
	w.Update(&script{}, Policy{StartUnhealthy: true})
	if w.Status().Usable {
		t.Error("usable though the policy starts unhealthy")
	}
}

func TestAWatchOfTheSameKeyBeginsWithTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Options{})
		stop := run(table)
		defer stop()
		bad := &script{err: errors.New("x")}
		old := table.Watch(Subject{Key: "a"}, bad, Policy{UnhealthyThreshold: 1}, nil)
		time.Sleep(2 * time.Second)
		next := table.Watch(Subject{Key: "a"}, bad, Policy{StartUnhealthy: true}, nil)
		if s := next.Status(); s.State != Unhealthy || s.Usable {
			t.Errorf("%+v", s)
		}
		old.Stop()
		if _, ok := table.Lookup("a"); !ok {
			t.Error("stopping the old watch removed the new one")
		}
	})
}

func TestStopCancelsTheRunningProbeAndItsResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Options{})
		stop := run(table)
		defer stop()
		c := &script{hang: true}
		w := table.Watch(Subject{Key: "a"}, c, Policy{Timeout: time.Hour, UnhealthyThreshold: 1}, func(Status) { t.Error("told after Stop") })
		time.Sleep(2 * time.Second)
		w.Stop()
		w.Stop() // again does no harm
		time.Sleep(2 * time.Hour)
		if n := len(c.times()); n != 1 {
			t.Errorf("%d probes begun after Stop", n-1)
		}
		if w.Status().State != Untried {
			t.Errorf("the result of a stopped probe counted: %+v", w.Status())
		}
	})
}

func TestRunJoinsAndGivesNoVerdictOnItsWayOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Options{Concurrency: 3})
		var watches []*Watch
		for i := range 10 {
			watches = append(watches, table.Watch(Subject{Key: fmt.Sprint(i), Address: fmt.Sprint(i)}, &script{hang: true}, Policy{UnhealthyThreshold: 1, Timeout: time.Hour}, nil))
		}
		stop := run(table)
		time.Sleep(5 * time.Second)
		stop() // synctest fails if a goroutine is left
		for _, w := range watches {
			if s := w.Status(); s.State != Untried {
				t.Errorf("%+v", s)
			}
		}
	})
}

// reluctant ends a second after it is told to.
type reluctant struct{ ended atomic.Bool }

func (r *reluctant) Check(ctx context.Context) error {
	<-ctx.Done()
	time.Sleep(time.Second)
	r.ended.Store(true)
	return ctx.Err()
}

func TestRunWaitsForWhatItStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Options{})
		c := &reluctant{}
		table.Watch(Subject{Key: "a"}, c, Policy{Timeout: time.Hour}, nil)
		stop := run(table)
		time.Sleep(2 * time.Second)
		stop()
		if !c.ended.Load() {
			t.Error("Run returned before its probe")
		}
	})
}

func TestAStoppedWatchIsForgottenAtOnce(t *testing.T) {
	table := NewTable(Options{})
	for i := range 1000 {
		w := table.Watch(Subject{Key: fmt.Sprint(i), Address: fmt.Sprint(i)}, &script{}, Policy{Interval: 24 * time.Hour}, nil)
		if i%2 == 0 {
			w.Stop()
		}
	}
	if len(table.queue) != 500 || len(table.byKey) != 500 {
		t.Errorf("%d queued, %d known, want 500", len(table.queue), len(table.byKey))
	}
	for i, w := range table.queue {
		if w.index != i || w.stopped {
			t.Fatalf("queue[%d] has index %d, stopped %t", i, w.index, w.stopped)
		}
	}
}

func TestRunGoesOnAfterItWasStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Options{})
		c := &script{hang: true}
		table.Watch(Subject{Key: "a"}, c, Policy{Interval: time.Second, Timeout: time.Hour}, nil)
		stop := run(table)
		time.Sleep(2 * time.Second)
		stop()
		stop = run(table)
		time.Sleep(2 * time.Second)
		stop()
		if n := len(c.times()); n != 2 {
			t.Errorf("%d probes, want 2", n)
		}
	})
}

func TestReasonIsShortAndStable(t *testing.T) {
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 4), Port: 80}, Err: os.NewSyscallError("connect", err)}
	}
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"nil", nil, ""},
		{"refused", dial(syscall.ECONNREFUSED), "connect refused"},
		{"reset", fmt.Errorf("read: %w", dial(syscall.ECONNRESET)), "connection reset"},
		{"unreachable", dial(syscall.EHOSTUNREACH), "no route to host"},
		{"socket missing", dial(syscall.ENOENT), "no such socket"},
		{"deadline", context.DeadlineExceeded, "timeout"},
		{"poll deadline", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "timeout"},
		{"early end", io.ErrUnexpectedEOF, "connection closed by the other side"},
		{"no such name", &net.DNSError{Err: "no such host", Name: "x.example", Server: "10.0.0.53:53"}, "no such host"},
		{"resolver is down", &net.DNSError{Err: "read udp 127.0.0.1:51234->127.0.0.1:53: read: connection refused", Name: "x.example"}, "name lookup: connection refused"},
		{"wrong name", x509.HostnameError{Certificate: &x509.Certificate{}, Host: "a.example"}, "certificate is not valid for a.example"},
		{"unknown", fmt.Errorf("dial 10.0.0.4:51234: %w", errors.New("odd")), "odd"},
		{"control characters", errors.New("a\r\nb\x1b[0m"), "a  b [0m"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Reason(tt.err); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	if got := Reason(errors.New(strings.Repeat("é", 5000))); len(got) > 210 {
		t.Errorf("a reason of %d bytes", len(got))
	}
}

func BenchmarkStatus(b *testing.B) {
	w := NewTable(Options{}).Watch(Subject{Key: "a"}, &script{}, Policy{}, nil)
	b.ReportAllocs()
	for b.Loop() {
		if !w.Status().Usable {
			b.Fatal("not usable")
		}
	}
}
