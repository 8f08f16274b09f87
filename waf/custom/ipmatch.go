package custom

import (
	"fmt"
	"net/netip"
	"strings"

	"gatehouse/internal/cidr"
)

// ipMatch is IPMatch. A look-up costs the bits of an address, however many
// prefixes there are.
type ipMatch struct {
	prefixes *cidr.Table[struct{}]
}

func newIPMatch(values []string) (ipMatch, error) {
	if len(values) == 0 || len(values) > MaxPrefixes {
		return ipMatch{}, fmt.Errorf("%d addresses, want 1 to %d", len(values), MaxPrefixes)
	}
	list := make([]netip.Prefix, len(values))
	for i, v := range values {
		p, err := parsePrefix(v)
		if err != nil {
			return ipMatch{}, err
		}
		list[i] = p
	}
	return ipMatch{cidr.Set(list)}, nil
}

// parsePrefix reads 192.0.2.1 or 192.0.2.0/24 and the same of IPv6.
func parsePrefix(v string) (netip.Prefix, error) {
	if strings.Contains(v, "/") {
		p, err := netip.ParsePrefix(v)
		if err != nil {
			return p, fmt.Errorf("%s is no prefix", abbreviated(v))
		}
		return p, nil
	}
	a, err := netip.ParseAddr(v)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%s is no address", abbreviated(v))
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

func (m ipMatch) holdsAddr(a netip.Addr, _ func(netip.Addr) string) bool {
	return m.prefixes.Contains(a)
}
