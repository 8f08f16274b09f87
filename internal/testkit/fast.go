package testkit

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// fastPatience is how long a ceiling has to be met once: other work on the machine comes and goes.
const fastPatience = 10 * time.Second

// usualSearch is what reference takes on the machine for which ceilings are set.
const usualSearch = 55 * time.Nanosecond

// Fast fails the test if an operation takes longer than the ceiling. round does some of them and says how long one took; the
// best round counts. On a machine that is slower than the usual one the ceiling is higher, by as much as a search takes longer.
func Fast(t testing.TB, what string, ceiling time.Duration, round func() time.Duration) {
	t.Helper()
	if Race {
		return // the race detector slows everything down
	}
	best, search := time.Hour, time.Hour
	meets := func() bool {
		return best <= ceiling || float64(best)*float64(usualSearch) <= float64(ceiling)*float64(search)
	}
	for end := time.Now().Add(fastPatience); ; {
		for range 20 {
			best, search = min(best, round()), min(search, reference())
		}
		if meets() || time.Now().After(end) {
			break
		}
	}
	t.Logf("%s: %v; the search that machines are compared by: %v", what, best, search)
	if !meets() {
		t.Errorf("%s: %v, want at most %v where a search takes %v", what, best, ceiling, usualSearch)
	}
}

// searched is what reference searches: sorted numbers, and some of them in no order.
var searched = sync.OnceValues(func() (sorted, some []uint32) {
	x := uint32(1)
	for range 1 << 17 {
		x = x*1664525 + 1013904223
		sorted = append(sorted, x)
	}
	some = slices.Clone(sorted[:2000])
	slices.Sort(sorted)
	return sorted, some
})

// reference is how long a binary search takes: reads and branches that cannot be foreseen, as in a table of addresses.
func reference() time.Duration {
	sorted, some := searched()
	begin := time.Now()
	for _, x := range some {
		if _, found := slices.BinarySearch(sorted, x); !found {
			panic("testkit: a number is not where it was put")
		}
	}
	return time.Since(begin) / time.Duration(len(some))
}
