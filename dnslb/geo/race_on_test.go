//go:build race

package geo

// raceDetector: the tests run some ten times slower.
const raceDetector = true
