package udp

import (
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"gatehouse/proxy/l4"
	"gatehouse/proxy/l4/steer"
)

// front is a socket of a door.
type front struct {
	server  *Server
	loop    *loop
	fd      int
	slot    int32
	failed  int // reads in a row
	watched bool
}

const (
	// After so many failed reads in a row each is followed by a pause, so that
	// an error that stays does not take a processor.
	patience   = 16
	errorPause = time.Millisecond
)

// group is the datagrams of one flow among those read at once: they are
// linked by l.links.
type group struct {
	flow *flow
	size int
	list [clientBatch]uint8
}

// fromClients reads what clients have sent, and sends it on.
func (l *loop) fromClients(f *front) {
	if f.fd < 0 {
		return
	}
	n, errno := l.in.fromClients(f.fd)
	if errno != 0 {
		f.readFailed(errno)
		return
	}
	f.failed = 0
	rules := f.server.rules.Load()
	groups := 0
	for i := range n {
		fl, ok := l.flowOf(f, rules, i)
		if !ok {
			continue
		}
		g := l.groupOf(groups, fl)
		if g == groups {
			groups++
			l.groups[g].flow, l.groups[g].size = fl, 0
		}
		l.groups[g].add(i)
	}
	for i := range groups {
		l.forward(f, rules, &l.groups[i])
	}
	l.members.flush()
	for i := range groups {
		if g := &l.groups[i]; g.flow != nil {
			g.flow.unpin()
			g.flow = nil
		}
	}
}

// readFailed counts an error. None of them is the end: they are about memory.
func (f *front) readFailed(errno unix.Errno) {
	if errno == unix.EAGAIN {
		return // somebody else has read it: another process with the socket
	}
	f.server.stats.errors.Add(1)
	if f.failed++; f.failed > patience {
		time.Sleep(errorPause)
	}
}

func (g *group) add(i int) {
	g.list[g.size] = uint8(i)
	g.size++
}

// groupOf is the index of a flow's group among the first n; n: it has none.
func (l *loop) groupOf(n int, f *flow) int {
	for i := range n {
		if l.groups[i].flow == f {
			return i
		}
	}
	return n
}

// flowOf is the flow that datagram i belongs to; not ok: it belongs to none,
// and cannot begin one.
func (l *loop) flowOf(f *front, rules *rules, i int) (*flow, bool) {
	m, name := &l.in.client[i], &l.in.names[i]
	if name.Family != unix.AF_INET && name.Family != unix.AF_INET6 || name.Port == 0 {
		f.server.stats.ignored.Add(1)
		return nil, false
	}
	k := clientKey(name)
	switch {
	case f.server.wildcard:
		a := l.in.arrival(m, i)
		k.setLocal(&a)
	case f.server.exits != nil:
		to, ok := steer.Destination(l.in.controls(m, i))
		if !ok || to.Port() == 0 {
			f.server.stats.ignored.Add(1) // as nobody knows from where to answer
			return nil, false
		}
		k.setAsked(to.Port())
	}
	if fl := f.server.table.get(&k); fl != nil {
		return fl, true
	}
	fl := l.begin(f, rules, &k, i, nil)
	return fl, fl != nil
}

// forward has a group sent to the member of its flow, or of a new flow if that
// must not go on. g.flow is the one, pinned; nil: there is none.
func (l *loop) forward(f *front, rules *rules, g *group) {
	fl := g.flow
	number := l.count(g)
	if !fl.pin(rules, number) {
		k := fl.key
		if fl = l.begin(f, rules, &k, int(g.list[0]), fl); fl == nil {
			f.server.stats.refused.Add(number - 1)
		} else if !fl.pin(rules, number) {
			f.server.stats.refused.Add(number)
			fl = nil // somebody else's, and it has ended already
		}
	}
	if g.flow = fl; fl == nil {
		return
	}
	for _, i := range g.list[:g.size] {
		m := &l.in.client[i]
		l.members.add(l.in.datagram(m, int(i)), l.segment(m, int(i)), fl)
	}
	fl.touch(l.now)
}

// segment is the size of the datagrams that are joined in slot i; 0: it is one.
func (l *loop) segment(m *message, i int) int {
	a := l.in.arrival(m, i)
	return a.segment
}

// count is how many datagrams a group has.
func (l *loop) count(g *group) (n uint64) {
	for _, i := range g.list[:g.size] {
		m := &l.in.client[i]
		_, number := cut(l.in.datagram(m, int(i)), l.segment(m, int(i)), ^uint64(0))
		n += number
	}
	return n
}

// begin begins a flow with datagram i, unless somebody else has; instead of
// old, if that is not nil. It returns nil if there cannot be one.
func (l *loop) begin(f *front, rules *rules, k *key, i int, old *flow) *flow {
	s := f.server
	shard := &s.table.shards[k.shard()]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if fl := shard.flows[*k]; fl != nil && fl != old {
		return fl
	}
	if old != nil {
		s.table.drop(shard, old)
		l.move(old)
	}
	from := origin{name: &l.in.names[i], nameLen: l.in.client[i].header.Namelen, arrival: l.in.arrival(&l.in.client[i], i)}
	t := &l.tuple
	*t = l4.Tuple{Protocol: l4.UDP, Client: plain(addrOf(from.name)), Frontend: s.asked(k, &from.arrival)}
	if t.Client == t.Frontend {
		s.stats.ignored.Add(1)
		return nil
	}
	fl := l.open(f, rules, t)
	if fl == nil {
		s.stats.refused.Add(1)
		return nil
	}
	fl.key = *k
	from.enter(fl)
	s.table.put(shard, fl)
	s.engine.flows.Add(&fl.Flow)
	return fl
}

// move ends a flow whose datagrams go elsewhere from now on.
func (l *loop) move(f *flow) {
	if !f.finish(l4.EndMoved) {
		return
	}
	if f.loop == l {
		l.release(f)
	} else {
		f.loop.do(func() { f.loop.release(f) })
	}
}

// origin is who began a flow, as the kernel says it.
type origin struct {
	name    *unix.RawSockaddrInet6
	nameLen uint32
	arrival arrival
}

// enter notes how a flow's client is answered.
func (o *origin) enter(f *flow) {
	f.nameLen = o.nameLen
	if o.name.Family == unix.AF_INET {
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(&f.name)) = *(*unix.RawSockaddrInet4)(unsafe.Pointer(o.name))
	} else {
		f.name = *o.name
	}
	f.sourceLen = o.arrival.replyFrom(&f.source)
}

// plain is an address without what depends on the socket: IPv4 mapped to IPv6,
// and zones.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
