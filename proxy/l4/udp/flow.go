package udp

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gatehouse/proxy/l4"
)

// flow is what one client and one member say to each other.
type flow struct {
	l4.Flow
	server *Server
	loop   *loop // reads what the member sends, and closes the socket
	out    int   // the socket by which the client is answered: of a front, or of exit
	exit   *exit // of a door of every port; nil: of one port
	key    key

	// How the client is answered: its address, and control messages with
	// that which it asked. They do not change.
	name      unix.RawSockaddrInet6
	nameLen   uint32
	source    controlRoom
	sourceLen int

	active atomic.Int64 // when there was traffic, on the engine's clock

	mu        sync.Mutex
	fd        int    // closed by loop, when there are no pins
	pins      int    // loops that are about to send to the member
	dead      bool   // it has ended
	late      bool   // the loop would have closed fd, but for the pins
	rules     *rules // by which it is known to be right
	seen      l4.Seen
	asked     uint64       // datagrams of the client
	answered  uint64       // datagrams of the member
	joinable  [2]uint16    // by direction: the largest datagrams that may be joined
	requested atomic.Int32 // l4.End + 1 of Close; 0: not called

	// Of loop.
	slot           int32
	turn           int32
	round          uint32 // when the member's datagrams were last read
	streak         int8   // rounds in a row in which there were some; see often
	later, earlier *flow  // in the wheel
}

// close is Flow.Close.
func (f *flow) close(why l4.End) {
	if f.requested.CompareAndSwap(0, int32(why)+1) {
		f.loop.do(func() { f.end(why) })
	}
}

// follows tells whether the flow may go on with its member by rules. f.mu must
// be held.
func (f *flow) follows(r *rules) bool {
	rt := r.door.Route()
	if rt == nil || !rt.Serves(f.Member, &f.seen) {
		return false
	}
	if r == f.rules {
		return true
	}
	if rt.Target(f.Member, &f.Tuple) != f.Backend || r.door.Rule.Config.Transparent != f.Rule.Config.Transparent {
		return false
	}
	f.rules = r
	return true
}

// pin keeps the socket open for so many datagrams to be sent. It returns false
// if the flow must not go on.
func (f *flow) pin(r *rules, datagrams uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead || !f.follows(r) {
		return false
	}
	f.pins++
	f.asked += datagrams
	return true
}

func (f *flow) unpin() {
	f.mu.Lock()
	f.pins--
	late := f.late && f.pins == 0
	f.mu.Unlock()
	if late {
		f.loop.do(func() { f.loop.release(f) })
	}
}

// finish counts the flow out, once. Its socket is still open.
func (f *flow) finish(why l4.End) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return false
	}
	f.dead = true
	f.server.engine.flows.Remove(&f.Flow, why)
	return true
}

// end ends the flow, if it has not ended. It is for the flow's loop.
func (f *flow) end(why l4.End) {
	if !f.finish(why) {
		return
	}
	s := &f.server.table.shards[f.key.shard()]
	s.mu.Lock()
	f.server.table.drop(s, f)
	s.mu.Unlock()
	f.loop.release(f)
}

// touch notes that there was traffic; less often than there is.
func (f *flow) touch(now int64) {
	if now-f.active.Load() > int64(tick)/4 {
		f.active.Store(now)
	}
}
