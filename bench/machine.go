//go:build linux

package main

import (
	"gatehouse/bench/peers"
	"gatehouse/bench/report"
)

// describe says what this run is and where.
func describe(s *settings) report.Info {
	info := report.Here()
	info.Rounds, info.Duration, info.Warmup = s.rounds, s.duration.String(), s.warmup.String()
	info.Pinned, info.Forwarded, info.Splice, info.LogFormat, info.Quick = s.pin, s.forward, s.splice, s.format, s.quick
	for _, system := range s.systems {
		info.Versions[system] = peers.Version(system, s.programs[peers.Base(system)])
	}
	return info
}
