package geo

import (
	"net/netip"
	"sync/atomic"
)

// Database answers which place an address has. It is safe for concurrent use,
// [Database.Close] included.
type Database struct {
	description string
	builtin     bool
	content     atomic.Pointer[content]
}

// content is what a Database knows until it is closed.
type content struct {
	places       []Place // by the numbers in the tables; 0 is the unknown place
	v4, v6       table
	subdivisions bool
}

func newDatabase(description string, c *content) *Database {
	for _, p := range c.places {
		c.subdivisions = c.subdivisions || p.Subdivision != ""
	}
	d := &Database{description: description}
	d.content.Store(c)
	return d
}

// Lookup returns the place of an address, the zero Place if it is not known.
//
// An IPv4-mapped IPv6 address is looked up as the IPv4 address it is. The IPv4
// address within a 6to4 or Teredo address is not looked at: anyone may write
// any into it. Private, loopback, link-local and other special addresses have
// no place in the built-in database; a database of the operator is believed
// where it has one for them. A zone is ignored.
func (d *Database) Lookup(addr netip.Addr) Place {
	c := d.content.Load()
	switch {
	case c == nil || !addr.IsValid():
		return Place{}
	case addr.Is4() || addr.Is4In6():
		return c.places[c.v4.find(split4(addr), 0)]
	}
	return c.places[c.v6.find(split(addr))]
}

// HasSubdivisions tells whether some address has a subdivision: rules for
// states can match nothing otherwise.
func (d *Database) HasSubdivisions() bool {
	c := d.content.Load()
	return c != nil && c.subdivisions
}

// Description names the data and its version or date, in one line for logs
// and status pages.
func (d *Database) Description() string { return d.description }

// Close lets go of the memory of the data, some 20 bytes for each range.
// Lookups that already run finish, later ones find nothing. The built-in
// database is shared and stays: closing it does nothing.
func (d *Database) Close() {
	if !d.builtin {
		d.content.Store(nil)
	}
}
