package l7

import (
	"cmp"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// defaultHeldBytes is what bodies held for stages may take together where
	// the snapshot does not say.
	defaultHeldBytes = 256 << 20
	// holdPatience is how long a body may take to be held once more than half
	// of that is taken: who sends slowly must not keep the others out.
	holdPatience = int64(10 * time.Second)
)

// Why a body cannot be held: held bodies take all the memory they may, or
// those of its client do.
var (
	errNoRoom       = errors.New("held bodies take all of their memory")
	errNoClientRoom = errors.New("held bodies of the client take all of its memory")
)

// Sizes of the memory that bodies are held in: doubled from the smallest on,
// and a last one for the largest limit with a piece that goes beyond it.
const (
	smallestHold = 32 << 10
	largestHold  = MaxHold + 128<<10
	holdSizes    = 8
)

func holdSize(class int) int {
	if class == holdSizes-1 {
		return largestHold
	}
	return smallestHold << class
}

// holdings is the memory of all held bodies.
type holdings struct {
	used    atomic.Int64 // bytes lent
	clients clientCounts // of them, who has how many
	pools   [holdSizes]sync.Pool

	patience int64 // with slow ones, in nanoseconds; 0: holdPatience
}

// room is how much memory held bodies may take when one more is held.
type room struct {
	all    int64      // together
	client netip.Addr // whose the body is; invalid: nobody's
	own    int64      // those of the client
}

// reserve takes n bytes, and says which limit is in the way.
func (h *holdings) reserve(n int64, r *room) error {
	if r.client.IsValid() && !h.clients.add(r.client, n, r.own) {
		return errNoClientRoom
	}
	if h.used.Add(n) > r.all {
		h.free(n, r.client)
		return errNoRoom
	}
	return nil
}

// free gives n bytes back.
func (h *holdings) free(n int64, client netip.Addr) {
	h.used.Add(-n)
	if client.IsValid() {
		h.clients.remove(client, n)
	}
}

// impatient says whether a body, of a request or a response, that has been
// coming in for so long, in nanoseconds, must make room for others, and which
// limit asks for it.
func (h *holdings) impatient(r *room, since int64) error {
	switch {
	case since <= cmp.Or(h.patience, holdPatience):
		return nil
	case h.used.Load() > r.all/2:
		return errNoRoom
	case r.client.IsValid() && h.clients.of(r.client) > r.own/2:
		return errNoClientRoom
	}
	return nil
}

// held is the beginning of one body, in one piece. Its memory follows what has
// arrived, not what was announced: it grows with the body, twice as large each
// time. The zero value holds nothing.
type held struct {
	bytes  []byte
	size   int        // reserved
	client netip.Addr // for whom; invalid: nobody
	class  int        // of mem
	mem    *[]byte    // from the pool; nil for an outsize piece, or nothing
}

// add appends a piece, if there is room for it.
func (d *held) add(from *holdings, piece []byte, r *room) error {
	if need := len(d.bytes) + len(piece); need > cap(d.bytes) {
		if err := d.grow(from, need, r); err != nil {
			return err
		}
	}
	d.bytes = append(d.bytes, piece...)
	return nil
}

func (d *held) grow(from *holdings, need int, r *room) error {
	next := held{client: r.client}
	for next.class < holdSizes-1 && holdSize(next.class) < need {
		next.class++
	}
	if next.size = max(need, holdSize(next.class)); cap(d.bytes) > largestHold {
		next.size = max(need, cap(d.bytes)+cap(d.bytes)/8) // or each piece would copy all before it
	}
	if err := from.reserve(int64(next.size), r); err != nil {
		return err
	}
	if next.size > largestHold {
		next.bytes = make([]byte, 0, next.size)
	} else {
		next.mem = from.lend(next.class)
		next.bytes = (*next.mem)[:0]
	}
	next.bytes = append(next.bytes, d.bytes...)
	d.release(from)
	*d = next
	return nil
}

func (h *holdings) lend(class int) *[]byte {
	if mem, ok := h.pools[class].Get().(*[]byte); ok {
		return mem
	}
	mem := make([]byte, 0, holdSize(class))
	return &mem
}

// release gives the memory back. It may be called again.
func (d *held) release(to *holdings) {
	if d.size == 0 {
		return
	}
	to.free(int64(d.size), d.client)
	if d.mem != nil {
		to.pools[d.class].Put(d.mem)
	}
	*d = held{}
}

// forget gives back what was reserved, but not the memory: somebody may use
// it still.
func (d *held) forget(to *holdings) {
	d.mem = nil
	d.release(to)
}

// HeldBytes is the memory that bodies held for stages take now.
func (g *Gateway) HeldBytes() int64 { return g.held.used.Load() }
