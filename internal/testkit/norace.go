//go:build !race

package testkit

// Race says whether the race detector is on: allocation ceilings and timings mean nothing then.
const Race = false
