package geo

import (
	"math"
	"math/bits"
	"net/netip"
)

// Places are those that the database has, by the number that [Database.Find]
// returns; 0 is the unknown place. They are shared: nobody may change them. A
// closed database has the unknown one alone.
func (d *Database) Places() []Place {
	if c := d.content.Load(); c != nil {
		return c.places
	}
	return make([]Place, 1)
}

// Find is [Database.Lookup] for those who keep an answer: it returns the number
// of the place, an index of [Database.Places], and the largest prefix around
// the address in which every address has that place. So the prefixes of two
// addresses are equal or have no address in common, which makes them right as
// scopes of EDNS Client Subnet (RFC 7871 7.3.1).
//
// The prefix has the family of the address, for an IPv4-mapped IPv6 address
// that is IPv4, and no zone. It is that of an address without a place too. A
// closed database answers 0 and the whole family, as does any for no address
// at all, with the zero Prefix.
func (d *Database) Find(addr netip.Addr) (n int, within netip.Prefix) {
	return d.content.Load().find(addr, nil, nil)
}

// find is Find with the entries at which a class changes, nil for all. A nil
// content is that of a closed database.
func (c *content) find(addr netip.Addr, v4, v6 *Marks) (n int, within netip.Prefix) {
	switch {
	case !addr.IsValid():
		return 0, netip.Prefix{}
	case addr.Is4() || addr.Is4In6():
		addr = addr.Unmap()
		length := 0
		if c != nil {
			n, length = c.v4.around(address{high: split4(addr)}, v4)
		}
		return n, prefix(addr, length)
	}
	addr = addr.WithZone("")
	var a address
	a.high, a.low = split(addr)
	length := 0
	if c != nil {
		n, length = c.v6.around(a, v6)
		length = max(length, a.common(mapped)+1)
	}
	return n, prefix(addr, length)
}

// Range is for those who go over all addresses of a family: it returns the
// number of the place of an address, which is not mapped, and the last address
// up to which all have it, and none is mapped.
func (d *Database) Range(addr netip.Addr) (n int, last netip.Addr) {
	a, v4 := address{}, addr.Is4()
	if v4 {
		a.high = split4(addr)
	} else {
		a.high, a.low = split(addr)
	}
	end := address{math.MaxUint64, math.MaxUint64}
	if c := d.content.Load(); c != nil {
		t := &c.v6
		if v4 {
			t = &c.v4
		}
		n, end = t.upTo(a)
	}
	if !v4 && a.less(mapped) && mapped.less(end) {
		end = mapped.before()
	}
	return n, join(end, v4)
}

// upTo returns the number of the place of an address and the last of its entry.
func (t *table) upTo(a address) (n int, last address) {
	last = address{math.MaxUint64, math.MaxUint64}
	if len(t.place) == 0 {
		return 0, last
	}
	entry := t.entry(a.high, a.low)
	if entry+1 < len(t.place) {
		last = t.start(entry + 1).before()
	}
	return int(t.place[entry]), last
}

// mapped is ::ffff:0:0/96, whose addresses are looked up elsewhere: no prefix
// of others may have it within.
var mapped = address{low: 0xffff << 32}

// around returns the number of the place of an address, and the length of the
// largest prefix with it that does not leave the entry, or with changes, those
// from one of these up to the next.
func (t *table) around(a address, changes *Marks) (n, length int) {
	if len(t.place) == 0 {
		return 0, 0
	}
	entry := t.entry(a.high, a.low)
	first, next := entry, entry+1
	if changes != nil {
		first, next = changes.Before(entry), changes.After(entry)
	}
	if first > 0 {
		length = a.common(t.start(first).before()) + 1
	}
	if next < len(t.place) {
		length = max(length, a.common(t.start(next))+1)
	}
	return int(t.place[entry]), length
}

func (t *table) start(entry int) address {
	a := address{high: t.high[entry]}
	if t.low != nil {
		a.low = t.low[entry]
	}
	return a
}

// before is the address before this one, which is not the first.
func (a address) before() address {
	low, borrow := bits.Sub64(a.low, 1, 0)
	return address{a.high - borrow, low}
}

// common is how many leading bits two addresses share.
func (a address) common(b address) int {
	if a.high != b.high {
		return bits.LeadingZeros64(a.high ^ b.high)
	}
	return 64 + bits.LeadingZeros64(a.low^b.low)
}

// prefix is the one of that length around an address.
func prefix(addr netip.Addr, length int) netip.Prefix {
	p, _ := addr.Prefix(length) // the length is one that addr can have
	return p
}
