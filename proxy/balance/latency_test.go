package balance

import (
	"math"
	"sync"
	"testing"
	"time"
)

const ms = int64(time.Millisecond)

func wantSeconds(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > want/50 {
		t.Errorf("%s: %.6f s, want %.6f", what, got, want)
	}
}

func TestLatencyTakesPeaksAtOnceAndForgetsThemGradually(t *testing.T) {
	var l Latency
	now := int64(time.Hour)
	if l.Seconds(now) != 0 {
		t.Error("something is known from the start")
	}
	l.Observe(now, 10*ms)
	wantSeconds(t, "the first", l.Seconds(now), 0.010)
	l.Observe(now, 500*ms)
	wantSeconds(t, "a peak", l.Seconds(now), 0.5)
	wantSeconds(t, "decayed", l.Seconds(now+int64(decay)), 0.5/math.E)
	for range 10_000 { // ten seconds of short ones
		now += ms
		l.Observe(now, 10*ms)
	}
	wantSeconds(t, "ten seconds later", l.Seconds(now), 0.010+0.490/math.E)
	l.AtLeast(now, 5*ms)
	wantSeconds(t, "a short one that was given up", l.Seconds(now), 0.010+0.490/math.E)
	l.AtLeast(now, 3000*ms)
	wantSeconds(t, "a long one", l.Seconds(now), 3)
	if got := l.Seconds(now + int64(time.Hour)); got <= 0 {
		t.Errorf("%v after an hour: nothing is known", got)
	}
	l.Forget()
	if l.Seconds(now) != 0 {
		t.Error("something is known still")
	}
}

func TestLatencyStandsClocksThatWrapOrDiffer(t *testing.T) {
	var l Latency
	wrap := int64(1<<32) * ms // where 32 bits of milliseconds begin anew
	l.Observe(wrap-ms, 100*ms)
	l.Observe(wrap+ms, 100*ms)
	wantSeconds(t, "across the wrap", l.Seconds(wrap+2*ms), 0.1)
	l.Observe(wrap-5*ms, 50*ms) // a goroutine that was slow to report
	wantSeconds(t, "a late report", l.Seconds(wrap+2*ms), 0.1)
	wantSeconds(t, "a look from before", l.Seconds(wrap-9*ms), 0.1)
}

func TestLatencyUnderConcurrency(t *testing.T) {
	var l Latency
	var wg sync.WaitGroup
	for g := range int64(4) {
		wg.Go(func() {
			for i := range int64(2000) {
				l.Observe(i*ms, (10+g)*ms)
			}
		})
	}
	wg.Wait()
	if got := l.Seconds(2000 * ms); got < 0.0099 || got > 0.0131 {
		t.Errorf("%v, all took 10 to 13 ms", got)
	}
}
