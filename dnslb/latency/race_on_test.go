//go:build race

package latency

// raceDetector: the tests run some ten times slower.
const raceDetector = true
