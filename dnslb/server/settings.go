package server

import (
	"cmp"
	"time"

	"gatehouse/config"
)

// SetLimits changes TCPIdle, TCPQueries and WaitingForWriting of a Server that
// runs, for the connections there are as for those to come; what the kernel
// keeps for a client, which is a part of the last one, changes for those to
// come. What is zero is as in Config.Limits. Connections that share bounds have
// their own SetLimits, and UDPSize stays.
func (s *Server) SetLimits(l config.DNSLimits) {
	l = Defaults(l)
	for _, st := range s.streams {
		st.setLimits(&l)
	}
}

// SetDrain changes Config.Drain of a Server that has not been told to end.
func (s *Server) SetDrain(d time.Duration) { s.drain.Store(int64(cmp.Or(d, defaultDrain))) }

// setLimits puts limits to use. Who has waited under a longer time begins to
// wait anew under the shorter one.
func (s *streams) setLimits(l *config.DNSLimits) {
	before := s.limits.Swap(l)
	if raw, err := rawConn(s.listener); err == nil && before.WaitingForWriting != l.WaitingForWriting {
		_ = setSendBuffer(raw, l.WaitingForWriting) // fails only if no more connections come
	}
	if l.TCPIdle < before.TCPIdle {
		s.each(func(c *conn) { c.hurry(l.TCPIdle) })
	}
}
