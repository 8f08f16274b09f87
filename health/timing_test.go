package health

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// monitored is a watch whose transitions and probes are recorded.
type monitored struct {
	server
	w *Watch
}

// server answers after a while, or not at all, or refuses.
type server struct {
	mu    sync.Mutex
	err   error
	after time.Duration // negative: never
	asked []time.Time
}

func (s *server) Check(ctx context.Context) error {
	s.mu.Lock()
	s.asked = append(s.asked, time.Now())
	err, after := s.err, s.after
	s.mu.Unlock()
	if after < 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	if after == 0 {
		return err
	}
	select {
	case <-time.After(after):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *server) become(err error, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.after = err, after
}

func (s *server) last() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[len(s.asked)-1]
}

// asks waits for the next probe to begin, and returns when it was.
func (m *monitored) asks() time.Time {
	before := m.last()
	for !m.last().After(before) {
		time.Sleep(time.Millisecond)
		synctest.Wait()
	}
	return m.last()
}

// becomes waits for a verdict, and returns when it was.
func (m *monitored) becomes(t *testing.T, want State) time.Time {
	t.Helper()
	for range 10_000 {
		if s := m.w.Status(); s.State == want {
			return s.Since
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%+v, never %s", m.w.Status(), want)
	return time.Time{}
}

// steady runs f with a watch that has been well for a while and is asked at
// whole intervals from now.
func steady(t *testing.T, p Policy, f func(*testing.T, *monitored)) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Options{})
		defer run(table)()
		p.Steady = true
		m := &monitored{}
		m.w = table.Watch(Subject{Key: "a"}, &m.server, p, nil)
		time.Sleep(3 * p.Interval)
		synctest.Wait()
		if m.w.Status().State != Healthy {
			t.Fatalf("%+v", m.w.Status())
		}
		f(t, m)
	})
}

// The rows of Azure's documentation: interval, timeout, tolerated failures,
// and what comes of them.
func azureTimings() []struct {
	name                  string
	policy                Policy
	best, worst, recovery time.Duration
} {
	policy := func(interval, timeout time.Duration, tolerated int) Policy {
		return Policy{Interval: interval * time.Second, Timeout: timeout * time.Second, UnhealthyThreshold: tolerated + 1}
	}
	return []struct {
		name                  string
		policy                Policy
		best, worst, recovery time.Duration
	}{
		{"30/10/3", policy(30, 10, 3), 90 * time.Second, 130 * time.Second, 40 * time.Second},
		{"10/9/3", policy(10, 9, 3), 30 * time.Second, 49 * time.Second, 19 * time.Second},
		{"10/5/0", policy(10, 5, 0), 0, 15 * time.Second, 15 * time.Second},
	}
}

func TestDetectionInTheBestCase(t *testing.T) {
	for _, tt := range azureTimings() {
		t.Run(tt.name, func(t *testing.T) {
			steady(t, tt.policy, func(t *testing.T, m *monitored) {
				// Refuse from the moment of a probe on.
				fails := m.asks().Add(tt.policy.Interval)
				time.Sleep(time.Until(fails) - time.Nanosecond)
				m.become(errRefused, 0)
				if got := m.becomes(t, Unhealthy).Sub(fails); got != tt.best {
					t.Errorf("known after %v, want %v", got, tt.best)
				}
			})
		})
	}
}

func TestDetectionInTheWorstCase(t *testing.T) {
	for _, tt := range azureTimings() {
		t.Run(tt.name, func(t *testing.T) {
			steady(t, tt.policy, func(t *testing.T, m *monitored) {
				// Hang right after a good probe.
				fails := m.asks()
				m.become(nil, -1)
				if got := m.becomes(t, Unhealthy).Sub(fails); got != tt.worst {
					t.Errorf("known after %v, want %v", got, tt.worst)
				}
			})
		})
	}
}

func TestRecoveryInTheWorstCase(t *testing.T) {
	for _, tt := range azureTimings() {
		t.Run(tt.name, func(t *testing.T) {
			steady(t, tt.policy, func(t *testing.T, m *monitored) {
				m.become(nil, -1)
				m.becomes(t, Unhealthy)
				// Come back right after a probe has begun in vain, and take
				// all the time there is.
				recovers := m.asks()
				m.become(nil, tt.policy.Timeout-time.Nanosecond)
				got := m.becomes(t, Healthy).Sub(recovers)
				if got != tt.recovery-time.Nanosecond {
					t.Errorf("back after %v, want just under %v", got, tt.recovery)
				}
			})
		})
	}
}

func TestAnAnswerAfterTheTimeoutIsAFailure(t *testing.T) {
	for _, tt := range azureTimings() {
		t.Run(tt.name, func(t *testing.T) {
			steady(t, tt.policy, func(t *testing.T, m *monitored) {
				m.become(nil, tt.policy.Timeout+time.Nanosecond)
				m.becomes(t, Unhealthy)
				if got, want := m.w.Status().Reason, "timeout after "+tt.policy.Timeout.String(); got != want {
					t.Errorf("%q, want %q", got, want)
				}
			})
		})
	}
}

func TestToleratedFailuresAreTolerated(t *testing.T) {
	for _, tt := range azureTimings() {
		t.Run(tt.name, func(t *testing.T) {
			steady(t, tt.policy, func(t *testing.T, m *monitored) {
				m.become(errRefused, 0)
				for n := 1; n <= tt.policy.UnhealthyThreshold; n++ {
					m.asks()
					want := Healthy
					if n == tt.policy.UnhealthyThreshold {
						want = Unhealthy
					}
					if s := m.w.Status(); s.State != want || s.Streak != -n {
						t.Errorf("after failure %d: %+v, want %s", n, s, want)
					}
				}
			})
		})
	}
}

func TestComingBackTakesSuccessesAndTheHoldDown(t *testing.T) {
	const interval = 10 * time.Second
	tests := []struct {
		name      string
		successes int
		holdDown  time.Duration
		want      time.Duration // from the verdict that it is down, all probes after succeed
	}{
		{"one", 1, 0, interval},
		{"three", 3, 0, 3 * interval},
		{"hold-down of whole intervals", 2, 5 * interval, 5 * interval},
		{"hold-down between probes", 2, 45 * time.Second, 5 * interval},
		{"hold-down is over first", 6, 45 * time.Second, 6 * interval},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := Policy{Interval: interval, Timeout: time.Second, UnhealthyThreshold: 1, HealthyThreshold: tt.successes, HoldDown: tt.holdDown}
			steady(t, p, func(t *testing.T, m *monitored) {
				m.become(errRefused, 0)
				down := m.becomes(t, Unhealthy)
				m.become(nil, 0)
				if got := m.becomes(t, Healthy).Sub(down); got != tt.want {
					t.Errorf("back after %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// Without Steady every interval may be a tenth longer or shorter.
func TestJitterAddsATenthToDetection(t *testing.T) {
	for _, tt := range azureTimings() {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table := NewTable(Options{})
				defer run(table)()
				const n = 300
				var all []*monitored
				for i := range n {
					m := &monitored{}
					m.w = table.Watch(Subject{Key: fmt.Sprint(i), Address: fmt.Sprint(i)}, &m.server, tt.policy, nil)
					all = append(all, m)
				}
				time.Sleep(2 * tt.policy.Interval)
				lasts := make([]time.Time, n)
				for i, m := range all {
					m.become(nil, -1)
					lasts[i] = m.last()
				}
				probes := time.Duration(tt.policy.UnhealthyThreshold) * tt.policy.Interval
				var longest time.Duration
				for i, m := range all {
					longest = max(longest, m.becomes(t, Unhealthy).Sub(lasts[i]))
				}
				if most := probes + probes/10 + tt.policy.Timeout; longest > most {
					t.Errorf("known after up to %v, want at most %v", longest, most)
				}
				if longest <= tt.worst {
					t.Errorf("known after up to %v, no more than without jitter", longest)
				}
			})
		})
	}
}

func TestSteadyWatchesKeepTheIntervalAndAreSpreadOverIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, interval, tenths = 1000, 10 * time.Second, 10
		table := NewTable(Options{})
		begin := time.Now()
		var all []*server
		for i := range n {
			s := &server{}
			table.Watch(Subject{Key: fmt.Sprint(i), Address: fmt.Sprint(i)}, s, Policy{Interval: interval, Steady: true}, nil)
			all = append(all, s)
		}
		stop := run(table)
		time.Sleep(5 * interval)
		stop()
		var phases [tenths]int
		for i, s := range all {
			if d := s.asked[0].Sub(begin); d >= firstWithin {
				t.Errorf("watch %d: first probe after %v", i, d)
			}
			if d := s.asked[1].Sub(s.asked[0]); d >= interval {
				t.Errorf("watch %d: second probe after %v", i, d)
			}
			for k := 2; k < len(s.asked); k++ {
				if d := s.asked[k].Sub(s.asked[k-1]); d != interval {
					t.Errorf("watch %d: %v between two probes", i, d)
				}
			}
			phases[s.asked[2].Sub(begin)%interval*tenths/interval]++
		}
		for i, got := range phases {
			if got < n/tenths/2 || got > n/tenths*2 {
				t.Errorf("%d of %d watches are asked in tenth %d of the interval", got, n, i)
			}
		}
	})
}

// crowded counts what runs at once over many servers.
type crowded struct {
	server
	of *crowd
}

func (c *crowded) Check(ctx context.Context) error {
	m := c.of.now.Add(1)
	defer c.of.now.Add(-1)
	for most := c.of.most.Load(); m > most && !c.of.most.CompareAndSwap(most, m); most = c.of.most.Load() {
	}
	return c.server.Check(ctx)
}

func TestThousandsAreAskedInTimeByFewGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, most, interval = 5000, 128, 10 * time.Second
		table := NewTable(Options{Concurrency: most})
		count := &crowd{}
		all := make([]*crowded, n)
		for i := range all {
			all[i] = &crowded{of: count, server: server{after: 100 * time.Millisecond}}
			table.Watch(Subject{Key: fmt.Sprint(i), Address: fmt.Sprint(i)}, all[i], Policy{Interval: interval, Timeout: 9 * time.Second, Steady: true}, nil)
		}
		begin := time.Now()
		stop := run(table)
		time.Sleep(5 * interval)
		stop()
		if got := count.most.Load(); got > most || got < most/2 {
			t.Errorf("up to %d probes at once, want at most %d, and about that", got, most)
		}
		for i, c := range all {
			before := begin
			for k, at := range c.asked {
				// What is due waits for what runs, but not for long.
				if d := at.Sub(before); d > interval+200*time.Millisecond {
					t.Fatalf("watch %d: probe %d comes %v after the one before", i, k, d)
				}
				before = at
			}
			if len(c.asked) < 4 {
				t.Fatalf("watch %d was asked %d times in five intervals", i, len(c.asked))
			}
		}
	})
}
