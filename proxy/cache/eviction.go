package cache

// Eviction is S3-FIFO (Yang and others, SOSP 2023): what is new waits in a
// small queue, a tenth of the bytes, and comes into the main one only if it was
// used meanwhile, or comes back soon after it was evicted. So a flood of URLs
// that nobody asks for again drives out nothing but itself. A use only counts a
// number up, under a lock that readers share.

const (
	maxFreq = 3
	// maxSteps bounds how many entries are looked at for one victim.
	maxSteps = 128
	// nGhosts is how many evicted URIs a shard remembers.
	nGhosts = 1024
)

// evictor is the queues of a shard.
type evictor struct {
	small, main queue
	ghosts      [nGhosts]uint64 // hashes of URIs, by their place
}

// queue is a list whose first was added last.
type queue struct {
	first, last *Entry
	bytes       int64
}

func (e *Entry) bytes() int64 {
	if e.content == nil {
		return e.size
	}
	return e.size + int64(len(e.content.bytes))
}

func (q *queue) push(e *Entry) {
	e.in, e.next, e.prev = q, q.first, nil
	if q.first != nil {
		q.first.prev = e
	} else {
		q.last = e
	}
	q.first = e
	q.bytes += e.bytes()
}

func (q *queue) unlink(e *Entry) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		q.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		q.last = e.prev
	}
	q.bytes -= e.bytes()
	e.in, e.next, e.prev = nil, nil, nil
}

// add takes an entry in. One that replaces others goes where they were, so that
// a response does not lose its standing when it is renewed.
func (v *evictor) add(e *Entry, hash uint64, replaced []*Entry) {
	to := &v.small
	for _, old := range replaced {
		if old.in == &v.main && !old.pass {
			to = &v.main
		}
		e.freq.Store(max(e.freq.Load(), old.freq.Load()))
		old.in.unlink(old)
	}
	if g := &v.ghosts[hash>>32%nGhosts]; *g == hash {
		*g = 0
		to = &v.main
	}
	e.ghost = hash
	to.push(e)
}

func (v *evictor) drop(e *Entry) { e.in.unlink(e) }

// crowded reports whether the small queue has more than its share.
func (v *evictor) crowded() bool { return v.small.last != nil && v.small.bytes*10 >= v.main.bytes }

// victim is the entry to evict; nil if there is none. It stays in its queue.
func (v *evictor) victim() *Entry {
	for step := 0; ; step++ {
		q := &v.main
		if v.crowded() || v.main.last == nil {
			q = &v.small
		}
		e := q.last
		if e == nil {
			return nil
		}
		n := e.freq.Load()
		if n == 0 || step >= maxSteps {
			if q == &v.small {
				v.ghosts[e.ghost>>32%nGhosts] = e.ghost
			}
			return e
		}
		q.unlink(e)
		if q == &v.small {
			n = 1
		}
		e.freq.Store(n - 1)
		v.main.push(e)
	}
}
