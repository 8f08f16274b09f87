//go:build linux

package load

import (
	"testing"
	"time"
)

func TestRequestsAreDueAtAConstantRateWhateverTheDelay(t *testing.T) {
	s := newSchedule(time.Second, 2*time.Second, 3000)
	if _, ok := s.take(time.Second - 1); ok {
		t.Fatal("a request was due before the start")
	}
	// A stall of half a second: 1501 requests are due at once, each from
	// its own moment.
	for i := range int64(1501) {
		due, ok := s.take(1500 * time.Millisecond)
		want := time.Second + time.Duration(i)*time.Second/3000
		if !ok || due < want-1 || due > want+1 {
			t.Fatalf("request %d was due at %v (%v), want %v", i, due, ok, want)
		}
	}
	if _, ok := s.take(1500 * time.Millisecond); ok {
		t.Error("one request too many is due")
	}
	if got, want := s.wait(1500*time.Millisecond, time.Second), time.Second/3000; got < want-2 || got > want+2 {
		t.Errorf("wait %v, want %v", got, want)
	}
	if got := s.left(); got != 1499 {
		t.Errorf("%d left, want 1499", got)
	}
}

func TestAScheduleEnds(t *testing.T) {
	s := newSchedule(0, time.Second, 10)
	for range 10 {
		if _, ok := s.take(time.Hour); !ok {
			t.Fatal("too few requests")
		}
	}
	if _, ok := s.take(time.Hour); ok || !s.over() || s.left() != 0 {
		t.Error("requests are due after the end")
	}
	if got := s.wait(time.Hour, 7); got != 7 {
		t.Errorf("wait after the end: %v, want the limit", got)
	}
}
