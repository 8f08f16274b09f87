//go:build !race

package ratelimit

// raceDetector: the tests run at their own speed.
const raceDetector = false
