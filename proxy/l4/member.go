package l4

import (
	"net/netip"
	"sync/atomic"

	"gatehouse/config"
)

// Member is a machine of a pool: an address, or one of the addresses of a
// host name. It does not change but for what Life counts.
type Member struct {
	Pool   string
	Name   string // as the configuration calls it; of a host name the address is appended
	Addr   netip.Addr
	Port   int // replaces the rule's; 0: it does not
	Weight int
	Admin  config.AdminState
	Life   *Life
}

// Life is what lasts of a member from one configuration to the next.
type Life struct {
	// Flows are those at the moment, Total all there ever were.
	Flows atomic.Int64
	Total atomic.Uint64
	// Failed are attempts to connect that failed.
	Failed atomic.Uint64
	// Sent and Received are bytes to and from the member.
	Sent, Received atomic.Uint64

	drained atomic.Bool // by the operator
}

// Drained tells whether the operator lets no new flow go to the member.
func (l *Life) Drained() bool { return l.drained.Load() }

// Key is a member's identity in its pool, whatever it is called.
func (m *Member) Key() string {
	if m.Port == 0 {
		return m.Addr.String()
	}
	return netip.AddrPortFrom(m.Addr, uint16(m.Port)).String()
}

// Target is where to connect for a rule whose port is given.
func (m *Member) Target(port int) netip.AddrPort {
	if m.Port != 0 {
		port = m.Port
	}
	return netip.AddrPortFrom(m.Addr, uint16(port))
}

// Names resolves host names: it returns the addresses of one as they were
// found last, none while they are not known.
type Names func(host string) []netip.Addr

// membersOf are the members of a pool, with the addresses of host names.
func membersOf(pool *config.L4Pool, names Names, state *State) []*Member {
	var list []*Member
	seen := map[string]bool{}
	add := func(m *Member) {
		key := m.Key()
		if seen[key] {
			return // two names with one address
		}
		seen[key] = true
		m.Life = state.life(m.Pool, key)
		list = append(list, m)
	}
	for i := range pool.Members {
		c := &pool.Members[i]
		m := Member{Pool: pool.Name, Name: c.Name, Addr: c.Address, Port: c.Port, Weight: c.Weight, Admin: c.State}
		if c.Host == "" {
			add(&m)
			continue
		}
		for _, a := range names(c.Host) {
			one := m
			one.Addr, one.Name = a.Unmap(), c.Name+"("+a.Unmap().String()+")"
			add(&one)
		}
	}
	return list
}
