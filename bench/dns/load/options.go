//go:build linux

// Package load asks a DNS server as fast as it answers: a closed loop with a
// window of outstanding queries on each of some sockets.
//
// It does what dnsperf does, and in addition sends a different client subnet
// with each query, and tells the quantiles of the latencies.
package load

import (
	"errors"
	"net/netip"
	"time"
)

// Varied as Options.ECS sends a different /24 with each query.
const Varied = "varied"

// maxWindow keeps a number of the slot in eight bits of a query's ID.
const maxWindow = 256

// Options says what to send. It travels to the load generator's process as
// JSON.
type Options struct {
	Addr    netip.AddrPort
	Queries string // file, see ReadQueries
	ECS     string // EDNS Client Subnet: none if empty, Varied, or an IPv4 /24
	DO      bool   // ask for signatures
	TCP     bool
	Sockets int // each with a thread of its own
	Window  int // outstanding queries of a socket, at most 256

	Warmup   time.Duration // goes before and is not counted
	Duration time.Duration
	Timeout  time.Duration // after which a query is lost

	PIDs []int // processes whose CPU time is read at the start and the end of Duration
}

func (o *Options) check() error {
	switch {
	case !o.Addr.IsValid():
		return errors.New("no address")
	case o.Sockets < 1 || o.Sockets > 1024:
		return errors.New("sockets: want 1 to 1024")
	case o.Window < 1 || o.Window > maxWindow:
		return errors.New("window: want 1 to 256")
	case o.Duration <= 0 || o.Timeout <= 0 || o.Warmup < 0:
		return errors.New("duration, timeout: want more than 0")
	}
	return nil
}

// Result is what a run has measured.
type Result struct {
	Answered uint64            // within Duration
	Lost     uint64            // sent within Duration and not answered in time
	Stray    uint64            // answers to no query that is outstanding
	Empty    uint64            // NOERROR without an answer
	Rcodes   map[string]uint64 // of the answered ones
	QPS      float64
	P50, P99 float64 // milliseconds from sending to receiving
	CPU      float64 // microseconds of the processes for each answered query
	LoadCPU  float64 // the same of this process
}
