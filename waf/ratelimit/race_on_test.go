//go:build race

package ratelimit

// raceDetector: the tests run some ten times slower.
const raceDetector = true
