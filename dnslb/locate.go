package dnslb

import (
	"math"
	"net/netip"
	"slices"

	"gatehouse/dnslb/geo"
)

// Client is where a query comes from, as far as a profile goes by it.
type Client struct {
	// Addr is the address that stands for the client; invalid: not known,
	// and then the client is nowhere.
	Addr netip.Addr
	// Bits is the length of the prefix of Addr within which every address
	// has the same endpoints to choose from, with the same weights: the
	// SCOPE PREFIX-LENGTH of RFC 7871. 0: the client does not matter. It is
	// the widest of which that holds by the configuration, whatever is known
	// of endpoints. Those of two addresses are the same or disjoint, because
	// each is the leaf around its address of one tree of prefixes, in which
	// no two leaves beside each other are alike (RFC 7871 7.3.1).
	Bits int

	place, row int
}

// tree is what a profile and those nested in it go by.
type tree struct {
	spots                  geo.Finder // of places, or of rows; nil: of neither
	rows                   bool
	sticky                 bool
	stickyIPv4, stickyIPv6 int        // the longest
	bounds                 *spanTable // where ranges of any begin or end; nil: there are none

	// Until the director is compiled:
	partition *partition   // nil: goes by neither places nor rows
	cuts      []netip.Addr // of bounds
}

// compileTree adds up what the nested profiles go by, which are compiled.
func (p *Profile) compileTree(parts *partitions) {
	t := &p.tree
	if p.conf.Sticky {
		t.sticky, t.stickyIPv4, t.stickyIPv6 = true, p.conf.StickyIPv4, p.conf.StickyIPv6
	}
	ranges := p.subnets != nil
	if ranges {
		t.cuts = p.subnets.cuts()
	}
	for _, e := range p.Endpoints {
		if e.nested == nil {
			continue
		}
		below := &e.nested.tree
		t.sticky = t.sticky || below.sticky
		t.stickyIPv4, t.stickyIPv6 = max(t.stickyIPv4, below.stickyIPv4), max(t.stickyIPv6, below.stickyIPv6)
		ranges, t.cuts = ranges || below.bounds != nil, append(t.cuts, below.cuts...)
	}
	if t.partition = parts.of(p); t.partition != nil {
		t.rows = t.partition.rows
	}
	if ranges {
		slices.SortFunc(t.cuts, netip.Addr.Compare)
		t.cuts = slices.Compact(t.cuts)
		t.bounds = newBounds(t.cuts)
	}
}

// ByClient tells whether answers differ from client to client.
func (p *Profile) ByClient() bool {
	t := &p.tree
	return t.spots != nil || t.sticky || t.bounds != nil
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
	if t.spots != nil {
		n, within := t.spots.Find(c.Addr)
		if c.Bits = within.Bits(); t.rows {
			c.row, c.place = n, p.director.latencies.Place(n)
		} else {
			c.place = n
		}
	}
	if t.bounds != nil {
		c.Bits = max(c.Bits, t.bounds.bits(c.Addr))
	}
	if t.sticky {
		c.Bits = max(c.Bits, stickyBits(c.Addr, t.stickyIPv4, t.stickyIPv6))
	}
	if c.Addr.Is6() && p.ByClient() {
		c.Bits = max(c.Bits, common(c.Addr, mapped)+1)
	}
	return c
}

// mapped is the first of the addresses that are taken for the IPv4 address that
// they are: no prefix of others may have them within.
var mapped = netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff})

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
