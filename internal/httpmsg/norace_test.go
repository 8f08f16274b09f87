//go:build !race

package httpmsg

const raceEnabled = false
