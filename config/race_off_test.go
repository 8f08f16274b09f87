//go:build !race

package config

// raceDetector: the tests run at their own speed.
const raceDetector = false
