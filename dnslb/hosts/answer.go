package hosts

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// maxAliases bounds the CNAMEs from a name to its addresses.
const maxAliases = 16

var errLongChain = errors.New("too many aliases, or a circle of them")

// answer is what a server says of one family.
type answer struct {
	addrs []netip.Addr  // none if the name has none
	ttl   time.Duration // that of its addresses; without meaning if it has none
}

// follow goes from the name of a question along the CNAMEs of an answer to its
// addresses. Records of other names, types and classes are passed over.
func follow(records []dns.RR, q dns.Question) (answer, error) {
	name, ttl := q.Name, uint32(1<<31-1)
	for range maxAliases + 1 {
		var found answer
		alias := ""
		for _, rr := range records {
			h := rr.Header()
			if h.Class != dns.ClassINET || !sameName(h.Name, name) {
				continue
			}
			if addr, ok := address(rr, q.Qtype); ok {
				found.addrs = append(found.addrs, addr)
				ttl = min(ttl, lifetime(h))
			} else if c, ok := rr.(*dns.CNAME); ok && alias == "" {
				alias = c.Target
				ttl = min(ttl, lifetime(h))
			}
		}
		if len(found.addrs) > 0 || alias == "" {
			found.ttl = time.Duration(ttl) * time.Second
			return found, nil
		}
		name = alias
	}
	return answer{}, errLongChain
}

// address is that of a record of the type that was asked for. An IPv4 address
// in the shape of an IPv6 one is none: as an AAAA it leads nowhere.
func address(rr dns.RR, qtype uint16) (netip.Addr, bool) {
	var bytes []byte
	switch rr := rr.(type) {
	case *dns.A:
		bytes = rr.A.To4()
	case *dns.AAAA:
		bytes = rr.AAAA
	}
	addr, ok := netip.AddrFromSlice(bytes)
	return addr, ok && rr.Header().Rrtype == qtype && !addr.Is4In6()
}

// lifetime is the time to live of a record in seconds; one with the highest
// bit is zero (RFC 2181, section 8).
func lifetime(h *dns.RR_Header) uint32 {
	if h.Ttl > 1<<31-1 {
		return 0
	}
	return h.Ttl
}

// sameName compares two names as miekg/dns writes them, in which every byte
// that is not printable ASCII is escaped.
func sameName(a, b string) bool {
	return strings.EqualFold(a, b)
}
