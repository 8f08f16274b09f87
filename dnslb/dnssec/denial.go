package dnssec

import (
	"slices"

	"github.com/miekg/dns"
)

// NSEC denies the types that a name does not have (RFC 9824 3.2). The types are
// those that it has in the zone, in any order, for an empty non-terminal none;
// RRSIG and NSEC are added, types that no record can have are left out. The
// TTL, in seconds, is the lesser of the SOA's TTL and its MINIMUM.
//
// The next name is the immediate successor of qname, so that the record covers
// no other name. For what is no absolute domain name the record is one that
// [Signer.Sign] refuses.
func (s *Signer) NSEC(qname string, types []uint16, ttl uint32) *dns.NSEC {
	bitmap := []uint16{dns.TypeRRSIG, dns.TypeNSEC}
	for _, t := range types {
		if isData(t) {
			bitmap = append(bitmap, t)
		}
	}
	return s.nsec(qname, bitmap, ttl)
}

// Nonexistent denies a name (RFC 9824 3.1): it is said to have the pseudo-type
// NXNAME, which no name has that exists. The TTL is as with [Signer.NSEC], the
// response code that of [Rcode].
func (s *Signer) Nonexistent(qname string, ttl uint32) *dns.NSEC {
	return s.nsec(qname, []uint16{dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNXNAME}, ttl)
}

// Rcode returns the response code for a name that does not exist, going by the
// OPT record of the query, which is nil if there is none. Without DO there is
// no proof to contradict, and it is NXDOMAIN. With DO it is NOERROR, as the
// proof says that the name is there; but NXDOMAIN for a client that sets CO,
// Compact Answers OK, to say that it knows better (RFC 9824 5.1).
func Rcode(query *dns.OPT) int {
	if query != nil && query.Do() && !query.Co() {
		return dns.RcodeSuccess
	}
	return dns.RcodeNameError
}

func (s *Signer) nsec(qname string, bitmap []uint16, ttl uint32) *dns.NSEC {
	slices.Sort(bitmap)
	return &dns.NSEC{
		Hdr:        dns.RR_Header{Name: qname, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: ttl},
		NextDomain: s.successor(qname),
		TypeBitMap: slices.Compact(bitmap),
	}
}

// isData says whether records of a type can be in a zone: all but 0, OPT and
// the range of questions and pseudo-types (RFC 6895 3.1).
func isData(t uint16) bool {
	return t != 0 && t != dns.TypeOPT && (t < 128 || t > 255)
}

// successor returns the name that follows immediately in the canonical order
// (RFC 4034 6.1), in lower case: below the name, the shortest with the lowest
// octet. Where the limit of 255 octets leaves no room for that, it is what RFC
// 4471 3.1.2 says: an octet more in the leftmost label, or a greater one, and
// after the last name of the zone the apex. What is no absolute name is
// returned as it is.
func (s *Signer) successor(name string) string {
	wire, err := packName(name)
	if err != nil {
		return name
	}
	next := append([]byte{1, 0}, wire...)
	if len(next) > maxName {
		next = s.beside(wire)
	}
	text, _, err := dns.UnpackDomainName(next, 0)
	if err != nil {
		return name
	}
	return text
}

// maxName is how long a packed name may be, in octets.
const maxName = 255

// beside returns the least packed name that is greater than the given one,
// which has no room for anything below it.
func (s *Signer) beside(name []byte) []byte {
	if n := name[0]; len(name) < maxName && n < 63 {
		return slices.Concat([]byte{n + 1}, name[1:1+n], []byte{0}, name[1+n:])
	}
	for len(name) > len(s.zone) {
		n := name[0]
		for i := n; i > 0; i-- {
			if name[i] < 255 {
				return slices.Concat([]byte{i}, name[1:i], []byte{above(name[i])}, name[1+n:])
			}
		}
		name = name[1+n:]
	}
	return s.zone
}

// above returns the next octet that the canonical order knows, which has no
// capital letters.
func above(c byte) byte {
	if c == '@' {
		return 'Z' + 1
	}
	return c + 1
}
