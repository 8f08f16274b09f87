//go:build race

package waf

import "testing"

// oneGoroutine skips a test under the race detector, which has nothing to find
// in it and makes it ten times as slow.
func oneGoroutine(t *testing.T) {
	t.Helper()
	t.Skip("one goroutine, and slow under the race detector")
}
