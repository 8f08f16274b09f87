package querylog

import "sync/atomic"

// arena is where a lane keeps the messages of its records: a ring of bytes
// with one writer and one reader. It bounds them by their sum, since one TCP
// response may be as large as a hundred usual ones.
type arena struct {
	bytes []byte
	head  uint64        // the writer's: all bytes ever taken
	tail  atomic.Uint64 // set by the reader: all bytes ever given back
}

// span is a query and its response, one after the other.
type span struct {
	at              uint32
	query, response uint32 // lengths
	end             uint64 // of the arena's head behind it; 0 for no span
}

// put copies two messages to where they lie in one piece; false if there is
// no room. Those that need more than half of the arena may never find it.
func (a *arena) put(query, response []byte) (span, bool) {
	size, n := uint64(len(a.bytes)), uint64(len(query)+len(response))
	if n == 0 || n > size {
		return span{}, false
	}
	from := a.head
	if at := from % size; at+n > size {
		from += size - at // the rest is too short: begin anew
	}
	if from+n-a.tail.Load() > size {
		return span{}, false
	}
	at := from % size
	copy(a.bytes[at:], query)
	copy(a.bytes[at+uint64(len(query)):], response)
	a.head = from + n
	return span{uint32(at), uint32(len(query)), uint32(len(response)), a.head}, true
}

// drop gives the memory back if nobody reads in it any more.
func (a *arena) drop() {
	if a.bytes != nil && a.tail.Load() == a.head {
		a.bytes = nil
	}
}

// messages returns what put has copied, until free.
func (a *arena) messages(s span) (query, response []byte) {
	if s.end == 0 {
		return nil, nil // and bytes are not the reader's
	}
	middle := s.at + s.query
	return a.bytes[s.at:middle], a.bytes[middle : middle+s.response]
}

// free gives back a span and all before it.
func (a *arena) free(s span) {
	if s.end > 0 {
		a.tail.Store(s.end)
	}
}
