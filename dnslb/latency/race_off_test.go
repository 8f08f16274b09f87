//go:build !race

package latency

// raceDetector: the tests run at their own speed.
const raceDetector = false
