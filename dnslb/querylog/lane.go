package querylog

import "sync/atomic"

// Lane is one goroutine's way into the log. Its methods are for that goroutine
// alone.
type Lane struct {
	log  *Logger
	ring []entry // a power of two

	// The owner's.
	skipped int64 // queries since the last that was wanted
	puts    uint64
	arena   arena // bytes and head are the owner's, tail the reader's

	head   atomic.Uint64 // records ever put
	_      [64]byte      // the reader writes what follows
	tail   atomic.Uint64 // records ever taken
	closed atomic.Bool
	lost   atomic.Uint64 // records without room in the ring
	noTap  atomic.Uint64 // records whose messages had no room in the arena
}

// Want says whether the query at hand is one to log: every n-th of this lane.
// Call it once for each query, and Put only if it is true.
func (l *Lane) Want() bool {
	n := l.log.sample.Load()
	l.skipped++
	if n <= 0 || l.skipped < n {
		return false
	}
	l.skipped = 0
	return true
}

// Put copies r into the log, or counts it as dropped when the log is behind. It
// never waits, and keeps nothing of what r points to but its strings.
func (l *Lane) Put(r *Record) {
	size := uint64(len(l.ring))
	if l.puts-l.tail.Load() == size {
		l.lost.Add(1)
		return
	}
	e := &l.ring[l.puts&(size-1)]
	e.set(r)
	if l.log.Dnstap() {
		l.keep(e, r)
	} else {
		l.arena.drop()
	}
	l.puts++
	l.head.Store(l.puts)
	switch waiting := l.puts - l.tail.Load(); {
	case waiting == 1:
		kick(l.log.dirty)
	case waiting == size/2:
		kick(l.log.full)
	}
}

// keep copies the messages.
func (l *Lane) keep(e *entry, r *Record) {
	if l.arena.bytes == nil {
		l.arena.bytes = make([]byte, l.log.opts.MessageBytes)
	}
	raw, ok := l.arena.put(r.Query, r.Response)
	if !ok {
		l.noTap.Add(frames(r.Query, r.Response))
	}
	e.raw = raw
}

// Close says that nothing more is put. What was put is still written.
func (l *Lane) Close() {
	l.closed.Store(true)
	kick(l.log.dirty)
}

// drain gives the records that are there to take, in order. What is put
// meanwhile waits for its turn, so that one busy lane does not hold up others.
func (l *Lane) drain(take func(e *entry, query, response []byte)) {
	head := l.head.Load()
	for tail := l.tail.Load(); tail != head; {
		e := &l.ring[tail&uint64(len(l.ring)-1)]
		query, response := l.arena.messages(e.raw)
		take(e, query, response)
		l.arena.free(e.raw)
		tail++
		l.tail.Store(tail)
	}
	if l.head.Load() != head {
		kick(l.log.dirty)
	}
}

func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
