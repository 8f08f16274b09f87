package l4

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Flow is a TCP connection or a UDP conversation that goes to a member.
type Flow struct {
	Tuple
	Rule    *Rule // as it was when the flow began
	Member  *Member
	Backend netip.AddrPort
	Started time.Time

	// Bytes and packets to the member (Sent) and from it (Received). Whoever
	// carries them adds; packets of TCP are what was read at once.
	Sent, Received               atomic.Uint64
	SentPackets, ReceivedPackets atomic.Uint64

	// Close ends the flow soon; it may be called more than once, and by
	// anybody.
	Close func(why End)

	next, previous *Flow
	shard          *flowShard
}

// End is why a flow ended.
type End uint8

// The ends.
const (
	EndClosed   End = iota // by the client and the member
	EndReset               // by either with a reset, or an error
	EndIdle                // no traffic for too long
	EndDrained             // its member was removed, and the time to drain is over
	EndMoved               // of UDP: its member gets no flows any more
	EndDenied              // a security group no longer allows it
	EndStopping            // the process ends
	EndAnswered            // of UDP: all expected responses came
	EndOperator            // somebody asked for it
	ends
)

var endNames = [ends]string{"closed", "reset", "idle", "drained", "moved", "denied", "stopping", "answered", "operator"}

// String is the end as logs and metrics call it.
func (e End) String() string { return endNames[e] }

// FlowLogger is told of flows. Its methods must not block.
type FlowLogger interface {
	Begin(*Flow)
	End(*Flow, End)
	Refuse(Tuple, *Rule, Refusal)
}

// Flows are those of the process.
type Flows struct {
	TCP, UDP atomic.Int64

	// Log, if not nil, is told of each. It must not change once there are
	// flows.
	Log FlowLogger

	// Late, if not nil, is told that a flow has begun by another
	// configuration than the one in use (see Use): it was let in before that
	// one came, and reached its member after. It must not block, nor change
	// once there are flows.
	Late func()

	inUse        atomic.Pointer[Balancer]
	inTCP, inUDP atomic.Int64 // let in: what limits are about

	clients clientTable // of UDP, while there is a limit
	ended   [ends]atomic.Uint64
	shards  [flowShards]flowShard
	at      atomic.Uint32
}

const flowShards = 64

// flowShard is a ring of flows.
type flowShard struct {
	mu   sync.Mutex
	head *Flow
	_    [40]byte
}

// admitted counts those of a protocol that were let in, also while they have no
// member yet.
func (fs *Flows) admitted(p Protocol) *atomic.Int64 {
	if p == UDP {
		return &fs.inUDP
	}
	return &fs.inTCP
}

func (fs *Flows) count(p Protocol) *atomic.Int64 {
	if p == UDP {
		return &fs.UDP
	}
	return &fs.TCP
}

// Add enters a flow, which must be Removed.
func (fs *Flows) Add(f *Flow) {
	fs.count(f.Protocol).Add(1)
	f.Member.Life.Flows.Add(1)
	f.Member.Life.Total.Add(1)
	f.Rule.Life.Total.Add(1)
	s := &fs.shards[fs.at.Add(1)%flowShards]
	f.shard = s
	s.mu.Lock()
	if s.head == nil {
		f.next, f.previous = f, f
	} else {
		f.next, f.previous = s.head, s.head.previous
		f.previous.next, f.next.previous = f, f
	}
	s.head = f
	s.mu.Unlock()
	if fs.Log != nil {
		fs.Log.Begin(f)
	}
	if b := fs.inUse.Load(); b != nil && fs.Late != nil && b.names[f.Rule.Name] != f.Rule {
		fs.Late()
	}
}

// Use says which configuration is in use. A flow that is added is either
// there for an Each that begins after it, or Late is told of it.
func (fs *Flows) Use(b *Balancer) { fs.inUse.Store(b) }

// Remove takes a flow out that has ended, once.
func (fs *Flows) Remove(f *Flow, why End) {
	s := f.shard
	s.mu.Lock()
	if f.next == f {
		s.head = nil
	} else {
		f.next.previous, f.previous.next = f.previous, f.next
		if s.head == f {
			s.head = f.next
		}
	}
	f.next, f.previous = nil, nil
	s.mu.Unlock()
	fs.count(f.Protocol).Add(-1)
	f.Member.Life.Flows.Add(-1)
	f.Member.Life.Sent.Add(f.Sent.Load())
	f.Member.Life.Received.Add(f.Received.Load())
	life := f.Rule.Life
	life.Sent.Add(f.Sent.Load())
	life.Received.Add(f.Received.Load())
	life.SentPackets.Add(f.SentPackets.Load())
	life.ReceivedPackets.Add(f.ReceivedPackets.Load())
	fs.leave(life, &f.Tuple)
	fs.ended[why].Add(1)
	if fs.Log != nil {
		fs.Log.End(f, why)
	}
}

// leave counts a flow out that was admitted.
func (fs *Flows) leave(life *RuleLife, t *Tuple) {
	fs.admitted(t.Protocol).Add(-1)
	life.leave(t.Client.Addr())
	if t.Protocol == UDP {
		fs.clients.leave(t.Client.Addr())
	}
}

// Ended is how many flows ended for a reason.
func (fs *Flows) Ended(why End) uint64 { return fs.ended[why].Load() }

// Ends are all reasons.
func Ends() []End {
	list := make([]End, ends)
	for i := range list {
		list[i] = End(i)
	}
	return list
}

// Each calls visit with each flow until it returns false. Flows that begin or
// end meanwhile may be missed; visit may call Close, but not Add and Remove.
func (fs *Flows) Each(visit func(*Flow) bool) {
	for i := range fs.shards {
		if !fs.shards[i].each(visit) {
			return
		}
	}
}

func (s *flowShard) each(visit func(*Flow) bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.head == nil {
		return true
	}
	for f := s.head; ; f = f.next {
		if !visit(f) {
			return false
		}
		if f.next == s.head {
			return true
		}
	}
}
