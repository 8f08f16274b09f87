// Package zone has the names of a server: the ordinary records of its zones,
// the profiles beside them, and where there is nothing.
//
// A [Set] is built from a configuration and never changes. [Set.Find] walks
// it as RFC 1034 4.3.2 and RFC 4592 say, without allocation.
package zone

import (
	"encoding/binary"
	"fmt"

	"github.com/miekg/dns"

	"gatehouse/dnslb"
	"gatehouse/dnslb/dnssec"
	"gatehouse/dnslb/wire"
)

// Set is the zones of a server.
type Set struct {
	Zones []*Zone

	nodes     map[string]*Node // by name in lower case, in wire format
	maxLabels int              // of any name, the root's included
}

// Zone is one zone.
type Zone struct {
	Name   string // as configured: lower case, no trailing dot
	Origin []byte // the same in wire format
	Apex   *Node

	// Negative is the SOA record of negative answers: its TTL is the smaller
	// of its own and its MINIMUM (RFC 2308 3).
	Negative *RRset
	SOA      *RRset
}

// Serial is the number of the zone's SOA record.
func (z *Zone) Serial() uint32 { return z.SOA.RRs[0].(*dns.SOA).Serial }

// Node is a name.
type Node struct {
	Name []byte // lower case, wire format
	Zone *Zone
	// Sets are its records. A name without any, and without a profile, is
	// there for what is below it (an empty non-terminal).
	Sets []*RRset
	// Profile directs A, AAAA, CNAME and service binding queries; nil: none.
	Profile *dnslb.Profile
	// Cut is the name at or above this one from which another server has
	// authority; nil: none. At the cut itself, Sets has its NS records.
	Cut *Node
	// Below tells whether there are names below this one: that it does not
	// exist must not be said then (RFC 8020).
	Below bool
	// Wildcard is the name * below this one; nil: none.
	Wildcard *Node
	// Above is the name of the same spelling in the zone above, where this
	// one is an apex: it has the DS records. Nil: none.
	Above *Node
}

// RRset is the records of one name and type.
type RRset struct {
	Type uint16
	TTL  uint32
	Data [][]byte // of each record, in the canonical form and order of RFC 4034 6
	RRs  []dns.RR // the same, as they were written
}

// Get is the set of a type, nil if there is none.
func (n *Node) Get(t uint16) *RRset {
	for _, s := range n.Sets {
		if s.Type == t {
			return s
		}
	}
	return nil
}

// Types are those of the name's own records that this zone has the say about:
// at a cut NS and DS, whatever else is there being glue (RFC 4035 2.3).
func (n *Node) Types() []uint16 {
	types := make([]uint16, 0, len(n.Sets))
	for _, s := range n.Sets {
		if n.Cut == nil || s.Type == dns.TypeNS || s.Type == dns.TypeDS {
			types = append(types, s.Type)
		}
	}
	return types
}

// NewRRset makes the set of records, which have one name and type.
func NewRRset(rrs ...dns.RR) (*RRset, error) {
	s := &RRset{Type: rrs[0].Header().Rrtype, TTL: rrs[0].Header().Ttl, RRs: rrs}
	for _, rr := range rrs {
		s.TTL = min(s.TTL, rr.Header().Ttl) // all the same (RFC 2181 5.2)
	}
	for _, rr := range rrs {
		rr.Header().Ttl = s.TTL
	}
	packed, err := dnssec.Canonical(nil, rrs)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", rrs[0].Header().Name, dns.TypeToString[s.Type], err)
	}
	for at := 0; at < len(packed); {
		for packed[at] != 0 { // the owner
			at += 1 + int(packed[at])
		}
		at += 1 + 10
		end := at + int(binary.BigEndian.Uint16(packed[at-2:]))
		s.Data = append(s.Data, packed[at:end:end])
		at = end
	}
	return s, nil
}

// Data is what a record holds, without compression.
func Data(rr dns.RR) ([]byte, error) {
	b := make([]byte, dns.Len(rr)+16)
	end, err := dns.PackRR(rr, b, 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", rr.Header().Name, dns.TypeToString[rr.Header().Rrtype], err)
	}
	name := make([]byte, 256)
	n, err := dns.PackDomainName(rr.Header().Name, name, 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rr.Header().Name, err)
	}
	return b[n+10 : end], nil
}

// Wire is a name in wire format and lower case. The case is that of its
// octets, not of how they are written: \065 is an A, and what is not ASCII has
// none (RFC 4343 2.1, 3).
func Wire(name string) ([]byte, error) {
	b := make([]byte, 2*wire.MaxName)
	n, err := dns.PackDomainName(dns.Fqdn(name), b, 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("%q is not a name: %w", name, err)
	}
	if n > wire.MaxName {
		return nil, fmt.Errorf("%q is not a name: it has %d octets, and at most %d are possible", name, n, wire.MaxName)
	}
	for i, c := range b[:n] {
		if 'A' <= c && c <= 'Z' { // the lengths of labels are below
			b[i] = c + 'a' - 'A'
		}
	}
	return append([]byte(nil), b[:n]...), nil
}

// Text is a name in wire format as people write it, with the final dot.
func Text(name []byte) string {
	text, _, err := dns.UnpackDomainName(name, 0)
	if err != nil {
		return "?"
	}
	return text
}
