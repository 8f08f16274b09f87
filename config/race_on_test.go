//go:build race

package config

// raceDetector: the tests run some ten times slower.
const raceDetector = true
