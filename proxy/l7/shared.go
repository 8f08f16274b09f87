package l7

import (
	"sync"

	"gatehouse/proxy/http2"
)

// shared are the HTTP/2 connections to one member. Each carries many requests;
// the next is opened when all are full, one at a time, and those who come
// meanwhile wait for it.
type shared struct {
	mu      sync.Mutex
	conns   []*http2.ClientConn // the oldest first: the last ones run dry
	dialing *sharedDial         // nil: none is under way
	alone   bool                // the member has chosen HTTP/1.1 when it was asked last
	closed  bool
}

// maxSharedConns bounds the HTTP/2 connections to one member.
const maxSharedConns = 64

// sharedDial is a connect that several requests wait for.
type sharedDial struct {
	done chan struct{} // closed when it is over
	err  error         // valid then
}

// claim is what shared.open came to.
type claim struct {
	opened bool
	dial   *sharedDial // under way: to wait for
	mine   bool        // the caller has to do it, and to call settle
	full   bool
}

// open has a connection carry u's next request. Without one that has room, the
// caller has to wait for another, or to make it; or, with a zero claim, to go
// on over HTTP/1.1.
func (s *shared) open(u *http2.Upstream, maxHead int) claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune()
	for _, c := range s.conns {
		if c.Open(u, maxHead) {
			return claim{opened: true}
		}
	}
	switch {
	case s.dialing != nil:
		return claim{dial: s.dialing}
	case s.alone:
		return claim{}
	case len(s.conns) >= maxSharedConns:
		return claim{full: true}
	}
	s.dialing = &sharedDial{done: make(chan struct{})}
	return claim{dial: s.dialing, mine: true}
}

// settle ends the dial that open asked for; one that is nil was nobody's.
func (s *shared) settle(d *sharedDial, err error) {
	if d == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialing = nil
	d.err = err
	close(d.done)
}

// chose notes which protocol the member has chosen.
func (s *shared) chose(one bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alone = one
}

// adopt takes a connection in; false: the member was closed meanwhile.
func (s *shared) adopt(c *http2.ClientConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns = append(s.conns, c)
	return true
}

// prune forgets connections that are over. s.mu is held.
func (s *shared) prune() {
	live := s.conns[:0]
	for _, c := range s.conns {
		if !c.Over() {
			live = append(live, c)
		}
	}
	clear(s.conns[len(live):])
	s.conns = live
}

// tend looks after the connections.
func (s *shared) tend(now, idleSince int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Tend(now, idleSince)
	}
	s.prune()
}

// close ends all connections, and what is under way on them.
func (s *shared) close() {
	s.mu.Lock()
	s.closed = true
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for _, c := range conns {
		c.Cut()
	}
	for _, c := range conns {
		c.Close()
	}
}

// count is how many there are.
func (s *shared) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune()
	return len(s.conns)
}
