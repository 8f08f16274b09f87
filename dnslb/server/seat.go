package server

import "net/netip"

// Seat is the place in Connections of a connection that another package
// serves. Its methods may be called by several goroutines.
type Seat struct {
	place
	bounds *Connections
	end    func()
}

// Admit counts a new connection of a client, which waits from now on; nil:
// there may not be one more. If it has to go, to make room for another, end is
// called once, by somebody else's goroutine; it closes the connection and does
// not wait.
func (c *Connections) Admit(client netip.Addr, end func()) *Seat {
	s := &Seat{bounds: c, end: end}
	s.owner, s.client = s, clientOf(client.Unmap().WithZone(""))
	if !c.admit(&s.place) {
		return nil
	}
	return s
}

// Begin notes that there is a query to answer, which keeps the connection. It
// returns false if that has been evicted.
func (s *Seat) Begin() bool { return s.bounds.begin(&s.place) }

// Wait notes that there is nothing to do but to wait for the client. It
// returns false if the connection has been evicted.
func (s *Seat) Wait() bool { return s.bounds.wait(&s.place) }

// Leave ends the counting; more than once is as once.
func (s *Seat) Leave() { s.bounds.leave(&s.place) }

func (s *Seat) evict() { s.end() }
