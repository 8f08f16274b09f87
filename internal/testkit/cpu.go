package testkit

import (
	"syscall"
	"testing"
	"time"
)

// ProcessorTime is what this process has used so far. It does not grow while others keep the machine busy, so that a bound of
// what something costs is held against this rather than the clock.
func ProcessorTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatalf("testkit: %v", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
