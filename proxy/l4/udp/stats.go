package udp

import "sync/atomic"

// Stats are counts of a Server since it began.
type Stats struct {
	// Flows are those at the moment.
	Flows int
	// Ignored are datagrams of clients that cannot be answered: from port 0,
	// or from the door itself.
	Ignored uint64
	// Refused are datagrams that belonged to no flow, and began none.
	Refused uint64
	// Unsent are datagrams that the kernel did not take, either way.
	Unsent uint64
	// Overflowed are datagrams of clients for which the kernel had no room,
	// as they were not read soon enough.
	Overflowed uint64
	// Errors are failures to read from clients.
	Errors uint64
}

type counters struct {
	ignored, refused, unsent, errors atomic.Uint64
}

// Stats may be called at any time.
func (s *Server) Stats() Stats {
	st := Stats{
		Flows:   int(s.table.count.Load()),
		Ignored: s.stats.ignored.Load(), Refused: s.stats.refused.Load(),
		Unsent: s.stats.unsent.Load(), Errors: s.stats.errors.Load(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		for _, f := range s.fronts {
			st.Overflowed += overflowed(f.fd)
		}
	}
	return st
}
