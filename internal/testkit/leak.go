package testkit

import (
	"bytes"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"testing"
	"time"
)

// Eventually waits until cond holds; the test fails when it does not within that time. what completes "waiting for ...".
func Eventually(t testing.TB, within time.Duration, what string, cond func() bool) {
	t.Helper()
	if !holds(within, cond) {
		t.Fatalf("testkit: %v are over, still waiting for %s", within, what)
	}
}

func holds(within time.Duration, cond func() bool) bool {
	pause := time.Millisecond
	for end := time.Now().Add(within); !cond(); time.Sleep(pause) {
		if time.Now().After(end) {
			return false
		}
		pause = min(2*pause, 50*time.Millisecond)
	}
	return true
}

// Usage is what a test must give back.
type Usage struct {
	Goroutines  int
	Descriptors int
}

// Count says what this process uses now.
func Count(t testing.TB) Usage {
	t.Helper()
	// The runtime opens two descriptors of its own with the first pollable one; that is not to look like a leak.
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
	return Usage{Goroutines: runtime.NumGoroutine(), Descriptors: Descriptors(t, os.Getpid())}
}

// NoLeak notes what the test uses now and fails it when more is left at its end. Call it first, so that it looks after
// all other cleanups. Not for parallel tests.
func NoLeak(t testing.TB) {
	t.Helper()
	before := Count(t)
	t.Cleanup(func() { before.Settle(t, 5*time.Second) })
}

// Settle fails the test unless use comes down to u within that time, and shows the goroutines that are left.
func (u Usage) Settle(t testing.TB, within time.Duration) {
	t.Helper()
	var now Usage
	if holds(within, func() bool {
		now = Count(t)
		return now.Goroutines <= u.Goroutines && now.Descriptors <= u.Descriptors
	}) {
		return
	}
	var stacks bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
	t.Errorf("testkit: leak: before %+v, now %+v\n%s", u, now, clip(stacks.Bytes(), 8<<10))
}

// Descriptors counts the open descriptors of a process.
func Descriptors(t testing.TB, pid int) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	if pid == os.Getpid() {
		return len(entries) - 1 // the directory itself was open while it was read
	}
	return len(entries)
}

// Long skips a test that takes minutes unless GATEHOUSE_LONG is set; make test runs those once, without the race detector.
func Long(t testing.TB) {
	t.Helper()
	if os.Getenv("GATEHOUSE_LONG") == "" {
		t.Skip("long test: set GATEHOUSE_LONG=1 to run it")
	}
}
