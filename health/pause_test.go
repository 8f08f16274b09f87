package health

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errRefused = errors.New("connect refused")

func TestAPauseForgetsTheVerdictAndEndsTheProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Options{})
		defer run(table)()
		c := &script{err: errRefused}
		w := table.Watch(Subject{Key: "a"}, c, Policy{Interval: 10 * time.Second, UnhealthyThreshold: 1}, nil)
		time.Sleep(2 * time.Second)
		if w.Status().State != Unhealthy {
			t.Fatalf("%+v", w.Status())
		}
		w.Pause()
		w.Pause() // again does no harm
		if s := w.Status(); s != (Status{Since: time.Now(), Usable: true}) {
			t.Errorf("paused: %+v", s)
		}
		if all := table.Verdicts(); len(all) != 0 {
			t.Errorf("what is paused has the verdicts %v", all)
		}
		w.Update(c, Policy{Interval: 20 * time.Second})
		w.Reset()
		time.Sleep(time.Hour)
		if n := len(c.times()); n != 1 {
			t.Errorf("%d probes in the pause", n-1)
		}
		c.set(nil)
		w.Resume()
		w.Resume()
		if w.Status().State != Untried {
			t.Errorf("resumed: %+v", w.Status())
		}
		time.Sleep(time.Second)
		if n := len(c.times()); n != 2 || w.Status().State != Healthy {
			t.Errorf("a second after the pause: %d probes, %+v", n-1, w.Status())
		}
		w.Pause()
		w.Stop()
		w.Resume()
		if len(table.queue) != 0 {
			t.Error("queued after Stop")
		}
		time.Sleep(time.Hour)
		if n := len(c.times()); n != 2 {
			t.Errorf("%d probes after Stop", n-2)
		}
	})
}

func TestResetForgetsTheVerdictAndProbesSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Options{})
		defer run(table)()
		c := &script{err: errRefused}
		w := table.Watch(Subject{Key: "a"}, c, Policy{Interval: time.Hour, UnhealthyThreshold: 2}, nil)
		time.Sleep(2 * time.Second)
		w.Reset()
		if s := w.Status(); s.State != Untried || s.Streak != 0 || s.Reason != "" {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Second)
		if s := w.Status(); len(c.times()) != 2 || s.Streak != -1 {
			t.Errorf("a second later: %d probes, %+v", len(c.times()), s)
		}
	})
}

func TestARunningProbeIsVoidAfterPauseAndReset(t *testing.T) {
	for _, name := range []string{"reset", "pause and resume"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table := NewTable(Options{})
				defer run(table)()
				c := &script{hang: true}
				w := table.Watch(Subject{Key: "a"}, c, Policy{Timeout: time.Hour, UnhealthyThreshold: 1}, func(s Status) { t.Errorf("told of %+v", s) })
				time.Sleep(2 * time.Second)
				if name == "reset" {
					w.Reset()
				} else {
					w.Pause()
					w.Resume() // before the probe has ended
				}
				synctest.Wait()
				if s := w.Status(); s.State != Untried || s.Streak != 0 {
					t.Errorf("%+v", s)
				}
				if n := len(c.times()); n != 2 {
					t.Errorf("%d probes, want that which was ended and the next", n)
				}
				w.Pause()
				time.Sleep(time.Hour)
				if n := len(c.times()); n != 2 || len(table.queue) != 0 {
					t.Errorf("paused: %d probes, %d queued", n, len(table.queue))
				}
			})
		})
	}
}

// call is a checker that calls a function.
type call func()

func (c call) Check(context.Context) error { c(); return nil }

func TestAPauseBetweenQueueAndProbe(t *testing.T) {
	table := NewTable(Options{})
	var w *Watch
	asked := 0
	w = table.Watch(Subject{Key: "a"}, call(func() { asked++; w.Pause() }), Policy{Interval: time.Nanosecond}, nil)
	take := func() {
		t.Helper()
		time.Sleep(time.Millisecond)
		if got, _ := table.pop(); got != w {
			t.Fatal("nothing to probe")
		}
	}
	take()
	w.Pause()
	table.probe(t.Context(), w)
	if asked != 0 || w.Status().State != Untried || len(table.queue) != 0 {
		t.Errorf("paused before the probe: asked %d times, %+v, %d queued", asked, w.Status(), len(table.queue))
	}
	w.Resume()
	take()
	table.probe(t.Context(), w)
	if asked != 1 || w.Status().State != Untried || len(table.queue) != 0 {
		t.Errorf("paused in the probe: asked %d times, %+v, %d queued", asked, w.Status(), len(table.queue))
	}
}

func TestWhatIsPausedIsNoWitness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Options{})
		defer run(table)()
		about := func(key string) Subject { return Subject{Key: key, Address: "192.0.2.1", Way: "http"} }
		p := Policy{UnhealthyThreshold: 1}
		a := table.Watch(about("a"), &script{err: errRefused}, p, nil)
		table.Watch(about("b"), &script{err: errRefused}, p, nil)
		time.Sleep(2 * time.Second)
		a.Pause()
		if s := table.Watch(about("c"), &script{}, p, nil).Status(); s.State != Unhealthy {
			t.Errorf("what is paused was believed: %+v", s)
		}
	})
}

// brief takes a while for each check, and finds when it is run twice at once.
type brief struct {
	sync.Mutex
	t *testing.T
}

func (b *brief) Check(ctx context.Context) error {
	if !b.TryLock() {
		b.t.Error("two probes of one watch at once")
		return nil
	}
	defer b.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(time.Millisecond):
	}
	return nil
}

// Whatever the order of calls, a watch is queued once or being probed, and goes
// on when it is resumed.
func TestPauseResumeAndResetAtAnyMoment(t *testing.T) {
	table := NewTable(Options{Concurrency: 4})
	defer run(table)()
	var callers sync.WaitGroup
	for i := range 4 {
		p := Policy{Interval: time.Millisecond, Steady: i%2 == 0}
		c := &brief{t: t}
		w := table.Watch(Subject{Key: fmt.Sprint(i), Address: fmt.Sprint(i)}, c, p, nil)
		for seed := range 2 {
			callers.Go(func() {
				r := rand.New(rand.NewSource(int64(seed)))
				calls := []func(){w.Pause, w.Resume, w.Reset, w.Resume, func() { w.Update(c, p) }}
				for range 2000 {
					calls[r.Intn(len(calls))]()
				}
				w.Resume()
			})
		}
	}
	callers.Wait()
	deadline := time.Now().Add(10 * time.Second)
	for i := range 4 {
		for {
			if s, _ := table.Lookup(fmt.Sprint(i)); s.Streak >= 3 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("watch %d is not probed any more", i)
			}
			time.Sleep(time.Millisecond)
		}
	}
	table.mu.Lock()
	defer table.mu.Unlock()
	queued := make(map[*Watch]bool)
	for i, w := range table.queue {
		if w.index != i || queued[w] || w.taken {
			t.Errorf("queue[%d]: index %d, twice %t, taken %t", i, w.index, queued[w], w.taken)
		}
		queued[w] = true
	}
}

// Many may be resumed at once.
func TestSteadyWatchesAreSpreadAnewAfterReset(t *testing.T) {
	const interval = 10 * time.Second
	steady(t, Policy{Interval: interval}, func(t *testing.T, m *monitored) {
		before := len(m.asked)
		m.w.Reset()
		time.Sleep(3 * interval)
		synctest.Wait()
		if got := m.asked[before+1].Sub(m.asked[before]); got >= interval {
			t.Errorf("second probe after %v", got)
		}
	})
}
