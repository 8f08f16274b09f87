package udp

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/proxy/l4"
)

// open begins a flow to a member; nil: that is refused, and told.
func (l *loop) open(f *front, rules *rules, t *l4.Tuple) *flow {
	b, d := rules.balancer, rules.door
	if b.Admit(d, t, l.now) != l4.NotRefused {
		return nil
	}
	x, why := f.server.exit(t)
	if why == l4.NotRefused {
		var fl *flow
		if fl, why = l.connect(f, rules, t); fl != nil {
			fl.leaveBy(x)
			return fl
		}
		f.server.giveBack(x)
	}
	b.Refuse(d, t, why)
	return nil
}

// exit is that of a flow which begins; nil: it needs none, or has none as it
// is refused.
func (s *Server) exit(t *l4.Tuple) (*exit, l4.Refusal) {
	if s.exits == nil {
		return nil, l4.NotRefused
	}
	return s.exits.take(t)
}

// giveBack ends the use of an exit, if there is one.
func (s *Server) giveBack(x *exit) {
	if x != nil {
		s.exits.leave(x)
	}
}

// leaveBy has the client answered by an exit, if there is one.
func (f *flow) leaveBy(x *exit) {
	if x != nil {
		f.exit, f.out = x, x.fd
	}
}

// connect tries the members for a flow.
func (l *loop) connect(f *front, rules *rules, t *l4.Tuple) (*flow, l4.Refusal) {
	rt := rules.door.Route()
	if rt == nil {
		return nil, l4.RefusedNoMember
	}
	why := l4.RefusedNoMember
	pick := rt.Pick(t)
	for m := pick.Next(); m != nil; m = pick.Next() {
		target := rt.Target(m, t)
		fd, err := l.engine.dial(target, rules.source(t))
		if err == nil {
			fl := newFlow(f, rules, t, m, target, fd)
			if err = l.adopt(fl); err == nil {
				fl.server.open.Add(1)
				return fl, l4.NotRefused
			}
			unix.Close(fd)
		}
		if scarce(err) {
			return nil, l4.RefusedFlows
		}
		m.Life.Failed.Add(1)
		why = l4.RefusedConnect
	}
	return nil, why
}

// newFlow makes a flow whose socket is fd.
func newFlow(f *front, rules *rules, t *l4.Tuple, m *l4.Member, target netip.AddrPort, fd int) *flow {
	fl := &flow{server: f.server, loop: f.loop, out: f.fd, fd: fd, rules: rules, joinable: [2]uint16{slotSize - 1, slotSize - 1}}
	fl.Tuple, fl.Rule, fl.Member, fl.Backend, fl.Started = *t, rules.door.Rule, m, target, time.Now()
	fl.Close = fl.close
	fl.active.Store(f.loop.now)
	return fl
}

// scarce tells whether an error is about what the process or the kernel has
// no more of, so that another member would not help.
func scarce(err error) bool {
	switch err {
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ENOSPC, unix.EAGAIN:
		return true
	}
	return false
}

// dial makes a socket that is connected to a member; source, if valid, is the
// client, from whose address it comes if both are of one family.
func (e *Engine) dial(target, source netip.AddrPort) (fd int, err error) {
	family := unix.AF_INET6
	if target.Addr().Is4() {
		family = unix.AF_INET
	}
	if fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, err
	}
	if e.most > 0 && fd >= e.most {
		unix.Close(fd)
		return -1, unix.EMFILE
	}
	if source.IsValid() && source.Addr().Is4() == target.Addr().Is4() {
		err = bindTransparent(fd, family, source)
	}
	if err == nil {
		err = unix.Connect(fd, sockaddr(target))
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	if e.joins {
		_ = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1)
	}
	return fd, nil
}

// bindTransparent binds a socket to the address of a client, with its port
// unless that is taken (ip(7), IP_TRANSPARENT).
func bindTransparent(fd, family int, source netip.AddrPort) error {
	level, option := unix.IPPROTO_IP, unix.IP_TRANSPARENT
	if family == unix.AF_INET6 {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT
	}
	if err := unix.SetsockoptInt(fd, level, option, 1); err != nil {
		return err
	}
	err := unix.Bind(fd, sockaddr(source))
	if err == unix.EADDRINUSE {
		err = unix.Bind(fd, sockaddr(netip.AddrPortFrom(source.Addr(), 0)))
	}
	return err
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

const (
	// afterStreak is how many rounds in a row a member must have sent
	// something for several of its datagrams to be read at once, pardon how
	// many more if that was in vain.
	afterStreak = 2
	pardon      = 16
)

// readable notes that the member of a flow has sent something.
func (l *loop) readable(f *flow) {
	if f.round+1 == l.rounds {
		f.streak = min(f.streak+1, afterStreak)
	} else {
		f.streak = min(f.streak, 0)
	}
	f.round = l.rounds
	if l.ring == nil || f.streak >= afterStreak {
		l.often = append(l.often, f)
	} else {
		l.flows = append(l.flows, f)
	}
}

// fromMembers reads what the members of l.flows and l.often have sent, and
// passes it on. Of what there is more epoll will tell again.
func (l *loop) fromMembers() {
	for list := l.flows; len(list) > 0; {
		if l.ring == nil || len(list) == 1 {
			l.fromMember(list[0])
			list = list[1:]
			continue
		}
		n := min(len(list), slots)
		l.fromSome(list[:n])
		list = list[n:]
	}
	for _, f := range l.often {
		if l.fromMember(f) < 2 {
			f.streak = -pardon
		}
	}
	l.toClients()
	clear(l.flows)
	clear(l.often)
	l.flows, l.often = l.flows[:0], l.often[:0]
}

// fromMember reads what one member has sent, several datagrams if there are,
// and returns how many.
func (l *loop) fromMember(f *flow) int {
	if l.in.used+memberBatch > slots {
		l.toClients()
	}
	n, errno := l.in.fromMember(f.fd, memberBatch)
	if errno != 0 {
		f.failed(errno)
		return 0
	}
	first := l.in.used
	l.in.used += n
	l.answer(f, first, n)
	return n
}

// fromSome reads a datagram of each of some members.
func (l *loop) fromSome(list []*flow) {
	l.toClients()
	reset(l.in.member[:len(list)], 0)
	for i, f := range list {
		l.ring.receive(f.fd, &l.in.member[i])
	}
	for i, result := range l.ring.run() {
		if result < 0 {
			list[i].failed(unix.Errno(-result))
			continue
		}
		l.in.member[i].n = uint32(result)
		l.answer(list[i], i, 1)
	}
	l.in.used = len(list)
}

// failed notes an error of the socket to the member.
func (f *flow) failed(errno unix.Errno) {
	if byICMP(errno) {
		f.Member.Life.Failed.Add(1)
	}
}

// answer passes what is in n slots to the client.
func (l *loop) answer(f *flow, first, n int) {
	f.mu.Lock()
	if f.dead {
		f.mu.Unlock()
		return // somebody has moved it
	}
	left := ^uint64(0)
	expected := uint64(f.server.rules.Load().door.Rule.Config.Responses)
	if expected > 0 {
		left = max(expected*f.asked, f.answered) - f.answered
	}
	var bytes, number uint64
	for i := first; i < first+n && number < left; i++ {
		m := &l.in.member[i]
		data, segment := l.in.datagram(m, i), l.segment(m, i)
		data, count := cut(data, segment, left-number)
		l.clients.add(data, segment, f)
		bytes += uint64(len(data))
		number += count
	}
	f.answered += number
	f.Received.Add(bytes)
	f.ReceivedPackets.Add(number)
	f.mu.Unlock()
	f.touch(l.now)
	f.server.touch(l.now)
	if expected > 0 && number == left {
		f.end(l4.EndAnswered)
	}
}

// cut is data, which is datagrams of segment bytes if that is not 0, and how
// many it has, but no more than most.
func cut(data []byte, segment int, most uint64) ([]byte, uint64) {
	if segment <= 0 || len(data) <= segment {
		return data, 1
	}
	n := uint64((len(data)-1)/segment + 1)
	if n > most {
		return data[:most*uint64(segment)], most
	}
	return data, n
}

// toClients sends what members have said.
func (l *loop) toClients() {
	l.clients.flush()
	l.in.used = 0
}

// expired looks at a flow whose time has come.
func (l *loop) expired(f *flow) bool {
	due := f.active.Load() + int64(f.server.rules.Load().door.Rule.Config.IdleTimeout)
	if due <= l.now {
		f.end(l4.EndIdle)
		return true
	}
	l.wheel.remove(f)
	l.wheel.add(f, due)
	return false
}
