package server

import "sync/atomic"

// Drop is why a query got no response.
type Drop uint8

// The reasons. Over TCP and TLS the first two and DropUnsent end the
// connection.
const (
	DropShort      Drop = iota // less than a header
	DropResponse               // it is a response itself
	DropPort                   // from port 0, where nobody can be
	DropLong                   // longer than 4096 bytes, over UDP
	DropSilent                 // the Responder wants no answer
	DropPanic                  // the Responder panicked
	DropLongAnswer             // the response is longer than the transport takes
	DropUnsent                 // the response could not be sent

	drops // how many there are
)

// Drops are all reasons, in order.
func Drops() []Drop {
	all := make([]Drop, drops)
	for i := range all {
		all[i] = Drop(i)
	}
	return all
}

// String is the reason in a word, in lower case.
func (d Drop) String() string {
	names := [drops]string{"short", "response", "port", "long", "silent", "panic", "long-answer", "unsent"}
	if d >= drops {
		return "invalid"
	}
	return names[d]
}

// Stats counts what happened since Listen. Numbers only grow, but for
// Connections; each is exact, but they are not of one instant.
type Stats struct {
	UDP, TCP, TLS TransportStats
}

// TransportStats are the Stats of one transport.
type TransportStats struct {
	Queries      uint64        // messages received, whatever became of them
	Responses    uint64        // messages sent
	Dropped      [drops]uint64 // queries without a response, by Drop
	SocketErrors uint64        // failed system calls, but for those that had to wait

	// Of TCP and TLS.
	Connections uint64 // open now
	Accepted    uint64 // connections taken
	Refused     uint64 // closed at once: too many
	Evicted     uint64 // closed while idle, to take another
	TimedOut    uint64 // closed for being idle or slow
}

// counters are the TransportStats of one socket. Each is written by few and
// read by anybody, and lies on cache lines of its own.
type counters struct {
	_            [64]byte
	queries      atomic.Uint64
	responses    atomic.Uint64
	dropped      [drops]atomic.Uint64
	socketErrors atomic.Uint64
	connections  atomic.Int64
	accepted     atomic.Uint64
	refused      atomic.Uint64
	evicted      atomic.Uint64
	timedOut     atomic.Uint64
	_            [64]byte
}

// drop counts a query without a response.
func (c *counters) drop(why Drop) { c.dropped[why].Add(1) }

// addTo adds the counters to a sum.
func (c *counters) addTo(s *TransportStats) {
	s.Queries += c.queries.Load()
	s.Responses += c.responses.Load()
	for i := range c.dropped {
		s.Dropped[i] += c.dropped[i].Load()
	}
	s.SocketErrors += c.socketErrors.Load()
	s.Connections += uint64(c.connections.Load())
	s.Accepted += c.accepted.Load()
	s.Refused += c.refused.Load()
	s.Evicted += c.evicted.Load()
	s.TimedOut += c.timedOut.Load()
}

// Add adds the stats of another socket of the transport.
func (s *TransportStats) Add(t TransportStats) {
	s.Queries += t.Queries
	s.Responses += t.Responses
	for i := range s.Dropped {
		s.Dropped[i] += t.Dropped[i]
	}
	s.SocketErrors += t.SocketErrors
	s.Connections += t.Connections
	s.Accepted += t.Accepted
	s.Refused += t.Refused
	s.Evicted += t.Evicted
	s.TimedOut += t.TimedOut
}
