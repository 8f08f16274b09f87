// Package telemetry tells operators what happened: an access log, metrics and
// the process's own log.
//
// The data path fills one [Record] for each exchange and hands it to
// [AccessLog.Log] and [Route.Observe]. Both allocate nothing and never wait
// for an output or a scrape: a line goes into a bounded buffer of its shard
// and counters are added to memory of their shard. A shard is any number that
// tends to stay on one core, such as a connection's serial number; it is
// reduced to the number of shards, so every value is valid.
package telemetry

import "runtime"

// shardCount is the smallest power of two that gives every running goroutine
// a shard of its own; at least 2, so that a busy shard has a neighbour.
func shardCount() int {
	n := 2
	for n < runtime.GOMAXPROCS(0) {
		n *= 2
	}
	return n
}
