package l7

import (
	"net/netip"
	"sync"

	"gatehouse/internal/stream"
)

// Memory is what a stage may keep of the bodies of its exchange beyond a call.
// It is a part of what held bodies may take, of all exchanges and of the
// exchange's client. What a stage has reserved in the end is given back behind
// Done.
type Memory interface {
	// Reserve asks for n more bytes, 0 or more. It says no, and changes nothing,
	// when there is no room, or when there is little and the exchange has had
	// some for long: ask before every piece, 0 where it fits.
	Reserve(n int) bool
	// Release gives n bytes back, no more than were reserved.
	Release(n int)
}

// copies is the memory that the stages of an exchange keep parts of bodies in.
type copies struct {
	mu     sync.Mutex
	bytes  int64      // reserved
	client netip.Addr // for whom; invalid: nobody
	since  int64      // when the first of them were, on the clock of stream.Now
	over   bool       // the exchange is: nothing more is given
}

// reserve takes n more bytes, and says which limit is in the way.
func (c *copies) reserve(from *holdings, n int64, r *room) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := stream.Now()
	if c.over {
		return errNoRoom
	}
	if c.bytes == 0 {
		c.client, c.since = r.client, now
	}
	if err := from.impatient(r, now-c.since); err != nil {
		return err
	}
	if err := from.reserve(n, &room{all: r.all, client: c.client, own: r.own}); err != nil {
		return err
	}
	c.bytes += n
	return nil
}

func (c *copies) release(to *holdings, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n = min(n, c.bytes); n > 0 {
		c.bytes -= n
		to.free(n, c.client)
	}
}

// end gives back what is left. A goroutine that a bug left behind gets no more
// until begin is called.
func (c *copies) end(to *holdings) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bytes > 0 {
		to.free(c.bytes, c.client)
	}
	c.bytes, c.over = 0, true
}

func (c *copies) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = false
}

// memory is the Memory of the stages of a flow.
type memory struct{ f *flow }

// Reserve implements Memory.
func (m memory) Reserve(n int) bool {
	r := m.f.room()
	err := m.f.copies.reserve(&m.f.gw.held, int64(n), &r)
	if err != nil {
		m.f.countNoRoom(err, "body not kept for a stage")
	}
	return err == nil
}

// Release implements Memory.
func (m memory) Release(n int) { m.f.copies.release(&m.f.gw.held, int64(n)) }
