package dnslb

import (
	"math"
	"net/netip"
)

// Client is where a query comes from, as far as a profile goes by it.
type Client struct {
	// Addr is the address that stands for the client; invalid: not known,
	// and then the client is nowhere.
	Addr netip.Addr
	// Bits is the length of the prefix of Addr within which every address
	// has the same endpoints to choose from, with the same weights: the
	// SCOPE PREFIX-LENGTH of RFC 7871. 0: the client does not matter.
	Bits int

	place, row int
}

// tree is what a profile and those nested in it go by.
type tree struct {
	places, rows, sticky   bool
	stickyIPv4, stickyIPv6 int        // the longest
	bounds                 *spanTable // where a range of any begins or ends; nil: there is none
	ranges                 []span
}

// compileTree adds up what the nested profiles go by, which are compiled.
func (p *Profile) compileTree() {
	t := tree{places: p.places != nil, rows: p.rows != nil}
	if p.conf.Sticky {
		t.sticky, t.stickyIPv4, t.stickyIPv6 = true, p.conf.StickyIPv4, p.conf.StickyIPv6
	}
	for _, e := range p.Endpoints {
		for _, r := range e.conf.Subnets {
			t.ranges = append(t.ranges, span{r.First, r.Last, 0})
		}
		if e.nested == nil {
			continue
		}
		below := &e.nested.tree
		t.places, t.rows, t.sticky = t.places || below.places, t.rows || below.rows, t.sticky || below.sticky
		t.stickyIPv4, t.stickyIPv6 = max(t.stickyIPv4, below.stickyIPv4), max(t.stickyIPv6, below.stickyIPv6)
		t.ranges = append(t.ranges, below.ranges...)
	}
	if t.ranges != nil {
		t.bounds = newBounds(t.ranges)
	}
	p.tree = t
}

// newBounds is a table with a piece wherever one of the ranges, which may
// overlap, begins or ends.
func newBounds(ranges []span) *spanTable {
	t := newSpanTable(nil)
	for _, r := range ranges {
		t.family(r.first).cut(r.first)
		if after := r.last.Next(); after.IsValid() {
			t.family(r.first).cut(after)
		}
	}
	return t
}

// cut lets a piece begin at an address.
func (s *spans) cut(at netip.Addr) {
	i := s.index(at)
	if s.start[i] == at {
		return
	}
	s.start = append(s.start[:i+1], append([]netip.Addr{at}, s.start[i+1:]...)...)
	s.value = append(s.value, -1)
}

// ByClient tells whether answers differ from client to client.
func (p *Profile) ByClient() bool {
	t := &p.tree
	return t.places || t.rows || t.sticky || t.bounds != nil
}

// Locate finds what the profile, and those nested in it, have to know of a
// client. An IPv4-mapped address is the IPv4 address.
func (p *Profile) Locate(addr netip.Addr) Client {
	c := Client{Addr: addr.Unmap().WithZone("")}
	t := &p.tree
	if !c.Addr.IsValid() {
		c.place, c.row = 0, p.director.nowhere()
		return c
	}
	if t.places {
		var within netip.Prefix
		c.place, within = p.director.places.Find(c.Addr)
		c.Bits = within.Bits()
	}
	if t.rows {
		var within netip.Prefix
		c.row, within = p.director.latencies.Find(c.Addr)
		c.Bits = max(c.Bits, within.Bits())
	}
	if t.bounds != nil {
		c.Bits = max(c.Bits, t.bounds.bits(c.Addr))
	}
	if t.sticky {
		c.Bits = max(c.Bits, stickyBits(c.Addr, t.stickyIPv4, t.stickyIPv6))
	}
	return c
}

// nowhere is the row of a client that is not known: that of an address which
// no table has.
func (d *Director) nowhere() int {
	if d.latencies == nil {
		return 0
	}
	row, _ := d.latencies.Find(netip.IPv4Unspecified())
	return row
}

func stickyBits(a netip.Addr, v4, v6 int) int {
	if a.Is4() {
		return v4
	}
	return v6
}

// network is a number that stands for the network of a client, for sticky
// choices of a profile.
func (p *Profile) network(a netip.Addr) uint64 {
	if !a.IsValid() {
		return math.MaxUint64
	}
	n, err := a.Prefix(stickyBits(a, p.conf.StickyIPv4, p.conf.StickyIPv6))
	if err != nil {
		return math.MaxUint64
	}
	b := n.Addr().As16()
	return hash(b[:])
}
