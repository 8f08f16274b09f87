package hosts

import (
	"log/slog"
	"net/netip"
	"time"
)

// Options say how a Resolver works. The zero value works.
type Options struct {
	// Lookup finds the addresses of a host. If nil, SystemLookup().
	Lookup Lookup

	// Shortest and Longest bound the time between two successful lookups of a
	// host, whatever its time to live says; a tenth is added or taken away
	// at random. If zero, 5 s and 5 min. A Longest below Shortest counts as
	// Shortest.
	Shortest, Longest time.Duration

	// Concurrency is how many lookups run at once, at most. If zero, 16.
	Concurrency int

	// Changed is told of the new addresses of a host, from the goroutine of
	// Run and one at a time: while it runs, no lookup begins. It must not
	// change addrs. It is not told of hosts that are no longer wanted, but for
	// one that Set drops at that moment. It may be nil.
	Changed func(host string, addrs []netip.Addr)

	// Log is told of what changes: other addresses, and the reason of
	// failures when it is a new one. If nil, discarded.
	Log *slog.Logger
}

const (
	defaultShortest    = 5 * time.Second
	defaultLongest     = 5 * time.Minute
	defaultConcurrency = 16
)

// withDefaults fills in what is zero.
func (o Options) withDefaults() Options {
	if o.Lookup == nil {
		o.Lookup = SystemLookup()
	}
	if o.Shortest <= 0 {
		o.Shortest = defaultShortest
	}
	if o.Longest <= 0 {
		o.Longest = defaultLongest
	}
	o.Longest = max(o.Longest, o.Shortest)
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	if o.Changed == nil {
		o.Changed = func(string, []netip.Addr) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}
