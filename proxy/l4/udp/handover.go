package udp

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/proxy/l4"
)

// FlowRecord is what another process needs to know, beside its socket, to go
// on with a flow. It is made for JSON.
type FlowRecord struct {
	Rule     string         `json:"rule"`
	Client   netip.AddrPort `json:"client"`
	Frontend netip.AddrPort `json:"frontend"`
	Zone     uint32         `json:"zone,omitempty"` // the interface of a link-local client
	Pool     string         `json:"pool"`
	Member   string         `json:"member"` // its l4.Member.Key
	Target   netip.AddrPort `json:"target"`
	Started  time.Time      `json:"started"`
	Asked    uint64         `json:"asked"`    // datagrams of the client
	Answered uint64         `json:"answered"` // datagrams of the member
}

// Flows are the flows of a door and, at the same index, duplicates of their
// sockets, which the caller closes. Call Stop first: then no flow begins that
// is not among them, and what clients send meanwhile waits in the sockets of
// the door for who adopts the flows. A flow for which there is no descriptor
// left is left out; it will begin anew. Close ends the flows in this process,
// as far as its log and its counts are concerned.
func (s *Server) Flows() ([]FlowRecord, []*os.File) {
	var records []FlowRecord
	var files []*os.File
	for _, f := range s.table.all() {
		if r, file := f.record(); file != nil {
			records, files = append(records, r), append(files, file)
		}
	}
	return records, files
}

func (f *flow) record() (FlowRecord, *os.File) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return FlowRecord{}, nil
	}
	fd, err := unix.FcntlInt(uintptr(f.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return FlowRecord{}, nil
	}
	return FlowRecord{Rule: f.Rule.Name, Client: f.Client, Frontend: f.Frontend, Zone: f.key.scope, Pool: f.Member.Pool, Member: f.Member.Key(),
		Target: f.Backend, Started: f.Started, Asked: f.asked, Answered: f.answered}, os.NewFile(uintptr(fd), "udp flow")
}

// Adopt goes on with flows of another process, and returns how many it took.
// It closes the files, and is called before Start. Those that this configuration has no place for (another
// rule, a member that is not served or is elsewhere now, a limit) begin anew
// with their client's next datagram.
func (s *Server) Adopt(records []FlowRecord, files []*os.File) (int, error) {
	if len(records) != len(files) {
		return 0, fmt.Errorf("udp %v: %d flows with %d sockets", s.address, len(records), len(files))
	}
	n := 0
	for i := range records {
		fd, err := duplicate(files[i])
		files[i].Close()
		if err != nil {
			continue
		}
		taken := false
		f := s.fronts[i%len(s.fronts)]
		if !f.loop.call(func() { taken = f.loop.takeOver(f, &records[i], fd) }) || !taken {
			unix.Close(fd)
			continue
		}
		n++
	}
	return n, nil
}

// takeOver makes a flow of a record. It returns false if there is no place for
// it.
func (l *loop) takeOver(f *front, r *FlowRecord, fd int) bool {
	s, rules := f.server, f.server.rules.Load()
	m := rules.member(r)
	if m == nil || !s.mine(r) || !isConnected(fd, r.Target) {
		return false
	}
	name, k, ok := s.identity(f, r)
	if !ok {
		return false
	}
	shard := &s.table.shards[k.shard()]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	t := l4.Tuple{Protocol: l4.UDP, Client: r.Client, Frontend: r.Frontend}
	if shard.flows[k] != nil || rules.balancer.Readmit(rules.door, &t, l.now) != l4.NotRefused {
		return false
	}
	x, why := s.exit(&t)
	if why != l4.NotRefused {
		rules.balancer.Refuse(rules.door, &t, why)
		return false
	}
	if l.engine.joins {
		_ = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1)
	}
	fl := newFlow(f, rules, &t, m, r.Target, fd)
	fl.key, fl.Started, fl.asked, fl.answered = k, r.Started, r.Asked, r.Answered
	name.enter(fl)
	fl.leaveBy(x)
	if l.adopt(fl) != nil {
		s.giveBack(x)
		rules.balancer.Refuse(rules.door, &t, l4.RefusedFlows)
		return false
	}
	s.open.Add(1)
	s.table.put(shard, fl)
	s.engine.flows.Add(&fl.Flow)
	return true
}

// member is that of a record, if it is served and where it was; nil: not.
func (r *rules) member(rec *FlowRecord) *l4.Member {
	rt := r.door.Route()
	if rt == nil || r.door.Rule.Name != rec.Rule || rt.Pool != rec.Pool {
		return nil
	}
	for _, st := range rt.Status() {
		t := l4.Tuple{Protocol: l4.UDP, Client: rec.Client, Frontend: rec.Frontend}
		if st.Key() == rec.Member && st.Eligible && rt.Target(st.Member, &t) == rec.Target {
			return st.Member
		}
	}
	return nil
}

// mine tells whether a record is of this door.
func (s *Server) mine(r *FlowRecord) bool {
	if !r.Client.IsValid() || r.Client.Port() == 0 {
		return false
	}
	switch {
	case s.exits != nil:
		return r.Frontend.Addr() == s.address.Addr() && r.Frontend.Port() != 0
	case s.wildcard:
		return r.Frontend.Port() == s.address.Port()
	}
	return r.Frontend == s.address
}

// isConnected tells whether a socket is what a record says it is.
func isConnected(fd int, to netip.AddrPort) bool {
	peer, err := unix.Getpeername(fd)
	if err != nil {
		return false
	}
	switch a := peer.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)) == to
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)) == to
	}
	return false
}

// identity is how the kernel calls the client of a record on the door's
// socket, and its key there.
func (s *Server) identity(f *front, r *FlowRecord) (o origin, k key, ok bool) {
	domain, err := unix.GetsockoptInt(f.fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	four := domain == unix.AF_INET
	if err != nil || four && !(r.Client.Addr().Is4() && r.Frontend.Addr().Is4()) {
		return o, k, false
	}
	o.name = &unix.RawSockaddrInet6{}
	o.nameLen = kernelAddr(o.name, r.Client, four)
	if !four {
		o.name.Scope_id = r.Zone
	}
	if s.wildcard {
		o.arrival = asked(r.Frontend.Addr(), four, r.Zone)
	}
	k = clientKey(o.name)
	k.setLocal(&o.arrival)
	if s.exits != nil {
		k.setAsked(r.Frontend.Port())
	}
	return o, k, true
}
