package doh

import (
	"cmp"
	"time"

	"gatehouse/config"
	"gatehouse/dnslb/server"
)

// SetLimits changes the limits of a Server that runs; see Config.Limits. With
// another TCPIdle or WaitingForWriting connections begin anew: one that is
// there has one more request, as if it had come to TCPQueries, and waits for
// it no longer than either TCPIdle. Connections that share bounds have their
// own SetLimits.
func (s *Server) SetLimits(l config.DNSLimits) {
	l = server.Defaults(l)
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.limits.Swap(&l)
	if s.stopped || before.TCPIdle == l.TCPIdle && before.WaitingForWriting == l.WaitingForWriting {
		return
	}
	old := s.front
	s.front = s.newFront()
	if s.running {
		s.open(s.front)
		s.retire(old, min(before.TCPIdle, l.TCPIdle))
	}
}

// SetPath changes where queries are taken; see Config.Path.
func (s *Server) SetPath(path string) {
	path = cmp.Or(path, defaultPath)
	s.path.Store(&path)
}

// SetDrain changes Config.Drain of a Server that has not been told to end.
func (s *Server) SetDrain(d time.Duration) { s.drain.Store(int64(cmp.Or(d, defaultDrain))) }
