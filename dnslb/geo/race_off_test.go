//go:build !race

package geo

// raceDetector: the tests run at their own speed.
const raceDetector = false
