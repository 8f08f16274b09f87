package dnssec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// maxSet bounds an RRset in bytes: more does not fit into a message.
const maxSet = 65535

// fixed is the length of what follows the owner of a record: type, class,
// TTL and the length of its data.
const fixed = 10

// shape says where the data of a type has names that the canonical form has
// in lower case: after some bytes and some character strings.
type shape struct{ skip, strings, names int }

// shapes are the types of RFC 4034 6.2, as far as they exist, without NSEC and
// RRSIG (RFC 6840 5.1).
var shapes = map[uint16]shape{
	dns.TypeNS:    {names: 1},
	dns.TypeMD:    {names: 1},
	dns.TypeMF:    {names: 1},
	dns.TypeCNAME: {names: 1},
	dns.TypeSOA:   {names: 2},
	dns.TypeMB:    {names: 1},
	dns.TypeMG:    {names: 1},
	dns.TypeMR:    {names: 1},
	dns.TypePTR:   {names: 1},
	dns.TypeMINFO: {names: 2},
	dns.TypeMX:    {skip: 2, names: 1},
	dns.TypeRP:    {names: 2},
	dns.TypeAFSDB: {skip: 2, names: 1},
	dns.TypeRT:    {skip: 2, names: 1},
	dns.TypePX:    {skip: 2, names: 2},
	dns.TypeNAPTR: {skip: 4, strings: 3, names: 1},
	dns.TypeKX:    {skip: 2, names: 1},
	dns.TypeSRV:   {skip: 6, names: 1},
	dns.TypeDNAME: {names: 1},
}

// Canonical appends the canonical form of an RRset (RFC 4034 6) to dst: its
// records packed without compression, names in lower case, sorted, none
// twice. Where the TTLs differ, which RFC 2181 forbids, the smallest counts.
// It is what [Signer.Cached] and [Signer.SignCanonical] take; a server that
// gives the same set often makes it once. Not valid are an empty set, records
// of several owners, classes or types, and more than 65535 bytes.
func Canonical(dst []byte, rrset []dns.RR) ([]byte, error) {
	return canonical(dst, rrset, "")
}

// canonical is [Canonical] with another owner, unless that is empty.
func canonical(dst []byte, rrset []dns.RR, owner string) ([]byte, error) {
	records, err := pack(rrset)
	if err != nil {
		return dst, err
	}
	head := ownerLen(records[0])
	name := records[0][:head]
	if owner != "" {
		if name, err = packName(owner); err != nil {
			return dst, err
		}
	}
	slices.SortFunc(records, func(a, b []byte) int { return bytes.Compare(a[head+fixed:], b[head+fixed:]) })
	records = slices.CompactFunc(records, func(a, b []byte) bool { return bytes.Equal(a[head+fixed:], b[head+fixed:]) })
	for _, r := range records {
		dst = append(append(dst, name...), r[head:]...)
	}
	return dst, nil
}

// pack returns the records of a set in the order given, each in canonical form
// and all with the same TTL.
func pack(rrset []dns.RR) ([][]byte, error) {
	if len(rrset) == 0 {
		return nil, errors.New("an empty RRset")
	}
	records, size := make([][]byte, 0, len(rrset)), 0
	for _, rr := range rrset {
		r, err := packRecord(rr)
		if err != nil {
			return nil, err
		}
		if size += len(r); size > maxSet {
			return nil, fmt.Errorf("an RRset of more than %d bytes", maxSet)
		}
		records = append(records, r)
	}
	return records, alike(records)
}

// alike checks that records make a set and gives all the smallest TTL.
func alike(records [][]byte) error {
	first, head := records[0], ownerLen(records[0])
	ttl := binary.BigEndian.Uint32(first[head+4:])
	for _, r := range records[1:] {
		if len(r) < head+fixed || !bytes.Equal(r[:head+4], first[:head+4]) { // owner, type, class
			return errors.New("records of several owners, types or classes, which are no RRset")
		}
		ttl = min(ttl, binary.BigEndian.Uint32(r[head+4:]))
	}
	for _, r := range records {
		binary.BigEndian.PutUint32(r[head+4:], ttl)
	}
	return nil
}

func packRecord(rr dns.RR) ([]byte, error) {
	if rr == nil {
		return nil, errors.New("no record")
	}
	h := rr.Header()
	if _, ok := dns.IsDomainName(h.Name); !ok || !dns.IsFqdn(h.Name) {
		return nil, fmt.Errorf("%q is not an absolute domain name", h.Name)
	}
	r := make([]byte, dns.Len(rr)+1)
	n, err := dns.PackRR(dns.Copy(rr), r, 0, nil, false) // packing sets Rdlength, and the record may be shared
	if err != nil {
		return nil, fmt.Errorf("packing %s %s: %w", h.Name, dns.Type(h.Rrtype), err)
	}
	r = r[:n]
	head := ownerLen(r)
	if head == 0 || len(r) < head+fixed {
		return nil, fmt.Errorf("packing %s: no whole record", h.Name)
	}
	lower(r[:head])
	lowerNames(r[head+fixed:], shapes[h.Rrtype])
	return r, nil
}

// packName returns the canonical form of a name.
func packName(name string) ([]byte, error) {
	if _, ok := dns.IsDomainName(name); !ok || !dns.IsFqdn(name) {
		return nil, fmt.Errorf("%q is not an absolute domain name", name)
	}
	wire := make([]byte, maxName)
	n, err := dns.PackDomainName(name, wire, 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("name %q: %w", name, err)
	}
	lower(wire[:n])
	return wire[:n], nil
}

// ownerLen returns the length of the name at the begin of b, 0 if there is no
// whole one without compression.
func ownerLen(b []byte) int {
	for i := 0; i < len(b) && i < 255; i += 1 + int(b[i]) {
		if b[i] == 0 {
			return i + 1
		}
		if b[i] > 63 {
			return 0
		}
	}
	return 0
}

// labels returns how many labels the packed name at the begin of b has,
// without the root and without a leftmost asterisk (RFC 4034 3.1.3).
func labels(b []byte) uint8 {
	n := uint8(0)
	for i := 0; b[i] != 0; i += 1 + int(b[i]) {
		n++
	}
	if b[0] == 1 && b[1] == '*' {
		n--
	}
	return n
}

// lower brings a packed name into lower case. The lengths of labels are below
// all letters.
func lower(name []byte) {
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			name[i] = c + 'a' - 'A'
		}
	}
}

func lowerNames(data []byte, s shape) {
	at := s.skip
	for range s.strings {
		if at >= len(data) {
			return
		}
		at += 1 + int(data[at])
	}
	for range s.names {
		if at >= len(data) {
			return
		}
		n := ownerLen(data[at:])
		lower(data[at : at+n])
		at += n
	}
}
