package querylog

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestWantTakesEveryNth(t *testing.T) {
	l := New(Options{Output: &memory{}, Sample: 3})
	defer closeLog(t, l)
	lane, wanted := l.Lane(), 0
	for range 30 {
		if lane.Want() {
			wanted++
		}
	}
	if wanted != 10 {
		t.Errorf("%d of 30 queries were wanted, want 10", wanted)
	}
}

func TestWantIsFalseWithoutAnOutput(t *testing.T) {
	l := New(Options{})
	defer closeLog(t, l)
	lane := l.Lane()
	if lane.Want() {
		t.Error("a record is wanted that nobody writes")
	}
	l.Use(&memory{}, 1, "")
	if !lane.Want() {
		t.Error("a reload that begins a log did not reach the lane")
	}
}

func TestPutKeepsNothingOfTheRecord(t *testing.T) {
	out := &memory{}
	l := New(Options{Output: out})
	lane, r := l.Lane(), sample()
	lane.Put(&r)
	copy(r.Name, "\x03xxx")
	r.Endpoints[0] = "other"
	closeLog(t, l)
	if got := out.String(); !strings.Contains(got, `"www.tm.example."`) || !strings.Contains(got, `"west"`) {
		t.Errorf("the line changed with the caller's buffers: %s", got)
	}
}

// A full lane drops, and the producer does not wait for an output that hangs.
func TestFullLaneDropsAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &memory{held: make(chan struct{})}
		l := New(Options{Output: out, Records: 8})
		lane, r := l.Lane(), sample()
		lane.Put(&r)
		synctest.Wait()
		for range 20 {
			lane.Put(&r)
		}
		if got := l.Stats().Dropped; got != 13 {
			t.Errorf("dropped %d of 21 with room for 8", got)
		}
		close(out.held)
		closeLog(t, l)
		if s := l.Stats(); s.Written != 8 || countLines([]byte(out.String())) != 8 {
			t.Errorf("written %d, %d lines, want 8", s.Written, countLines([]byte(out.String())))
		}
	})
}

func TestPutDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l := New(Options{Output: &memory{held: make(chan struct{})}, Records: 4096, Dnstap: "unix:/does/not/exist", Logger: quiet()})
	lane, r := l.Lane(), sample()
	if n := testing.AllocsPerRun(2000, func() {
		if lane.Want() {
			lane.Put(&r)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Every record of every lane is written once, in its lane's order, or counted
// as dropped.
func TestLanesAccountForEveryRecord(t *testing.T) {
	const lanes, each = 3, 5000
	out := &memory{}
	l := New(Options{Output: out, Records: 64})
	var wg sync.WaitGroup
	for i := range lanes {
		wg.Go(func() {
			lane, r := l.Lane(), sample()
			defer lane.Close()
			r.Profile = fmt.Sprint(i)
			for n := range each {
				r.Size = n
				lane.Put(&r)
			}
		})
	}
	wg.Wait()
	closeLog(t, l)
	s, lines := l.Stats(), strings.SplitAfter(out.String(), "\n")
	if s.Written+s.Dropped != lanes*each || int(s.Written) != len(lines)-1 || s.Written == 0 {
		t.Errorf("%d lines, written %d + dropped %d, want the sum %d", len(lines)-1, s.Written, s.Dropped, lanes*each)
	}
	last := map[string]int{}
	for _, line := range lines[:len(lines)-1] {
		var size int
		_, rest, _ := strings.Cut(line, `"size":`)
		fmt.Sscan(strings.SplitN(rest, ",", 2)[0], &size)
		_, profile, _ := strings.Cut(line, `"profile":"`)
		if before, ok := last[profile[:1]]; ok && size <= before {
			t.Fatalf("record %d after %d", size, before)
		}
		last[profile[:1]] = size
	}
}

func TestClosedLanesAreForgottenWithTheirCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &memory{}
		l := New(Options{Output: out, Records: 2})
		lane, r := l.Lane(), sample()
		for range 5 {
			lane.Put(&r)
		}
		lane.Close()
		time.Sleep(time.Second)
		synctest.Wait()
		if s := l.Stats(); s.Lanes != 0 || s.Dropped != 3 || s.Written != 2 {
			t.Errorf("%d lanes, dropped %d, written %d; want 0, 3, 2", s.Lanes, s.Dropped, s.Written)
		}
		closeLog(t, l)
	})
}

// What the arena returns is what was put, whatever the sizes, and it never
// holds more than it has.
func TestArenaReturnsWhatWasPut(t *testing.T) {
	a := arena{bytes: make([]byte, 1000)}
	rnd := rand.New(rand.NewPCG(1, 2))
	type kept struct {
		s    span
		q, r string
	}
	var waiting []kept
	refused, taken := 0, 0
	for i := range 20000 {
		q := strings.Repeat(string(rune('a'+i%26)), rnd.IntN(200))
		r := strings.Repeat(string(rune('A'+i%26)), 1+rnd.IntN(250))
		if s, ok := a.put([]byte(q), []byte(r)); ok {
			waiting = append(waiting, kept{s, q, r})
		} else {
			refused++
		}
		for len(waiting) > 0 && rnd.IntN(2) == 0 {
			first := waiting[0]
			gotQ, gotR := a.messages(first.s)
			if string(gotQ) != first.q || string(gotR) != first.r {
				t.Fatalf("record %d: got %q %q, want %q %q", i, gotQ, gotR, first.q, first.r)
			}
			a.free(first.s)
			waiting, taken = waiting[1:], taken+1
		}
	}
	if refused == 0 || taken < 1000 {
		t.Errorf("refused %d, taken %d: the test missed the bound or the ring", refused, taken)
	}
}
