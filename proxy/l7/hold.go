package l7

import (
	"errors"
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

// errNoRoom is that held bodies take all the memory they may.
var errNoRoom = errors.New("held bodies take all of their memory")

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
	used  atomic.Int64 // bytes lent
	pools [holdSizes]sync.Pool
}

// reserve takes n bytes of most; false when there are not so many left.
func (h *holdings) reserve(n int, most int64) bool {
	if h.used.Add(int64(n)) > most {
		h.used.Add(-int64(n))
		return false
	}
	return true
}

// impatient reports whether a body that has been coming in for so long, in
// nanoseconds, must make room for others.
func (h *holdings) impatient(most, since int64) bool {
	return since > holdPatience && h.used.Load() > most/2
}

// held is the beginning of one body, in one piece. Its memory follows what has
// arrived, not what was announced: it grows with the body, twice as large each
// time. The zero value holds nothing.
type held struct {
	bytes []byte
	size  int     // reserved
	class int     // of mem
	mem   *[]byte // from the pool; nil for an outsize piece, or nothing
}

// add appends a piece; false when all held bodies together would take more
// than most.
func (d *held) add(from *holdings, piece []byte, most int64) bool {
	if need := len(d.bytes) + len(piece); need > cap(d.bytes) && !d.grow(from, need, most) {
		return false
	}
	d.bytes = append(d.bytes, piece...)
	return true
}

func (d *held) grow(from *holdings, need int, most int64) bool {
	var next held
	for next.class < holdSizes-1 && holdSize(next.class) < need {
		next.class++
	}
	next.size = max(need, holdSize(next.class))
	if !from.reserve(next.size, most) {
		return false
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
	return true
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
	to.used.Add(-int64(d.size))
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
