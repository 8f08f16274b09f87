package custom

import (
	"errors"
	"fmt"
	"net/netip"
)

// unknownCountry is the code of addresses that are in no country.
const unknownCountry = "ZZ"

// geoMatch is GeoMatch: a flag for each pair of letters.
type geoMatch [26 * 26]bool

func newGeoMatch(values []string) (*geoMatch, error) {
	if len(values) == 0 {
		return nil, errors.New("no countries")
	}
	m := new(geoMatch)
	for _, v := range values {
		i, ok := countryIndex(v)
		if !ok {
			return nil, fmt.Errorf("%s is no country code of two letters", abbreviated(v))
		}
		m[i] = true
	}
	return m, nil
}

// countryIndex numbers the codes of two letters, whose case does not matter.
func countryIndex(code string) (int, bool) {
	if len(code) != 2 {
		return 0, false
	}
	first, second := code[0]|0x20, code[1]|0x20
	if first < 'a' || first > 'z' || second < 'a' || second > 'z' {
		return 0, false
	}
	return int(first-'a')*26 + int(second-'a'), true
}

func (m *geoMatch) holdsAddr(a netip.Addr, country func(netip.Addr) string) bool {
	i, _ := countryIndex(countryOf(a, country))
	return m[i]
}

// countryOf is a code of two letters; what the look-up does not know is ZZ.
func countryOf(a netip.Addr, country func(netip.Addr) string) string {
	if country != nil && a.IsValid() {
		code := country(a.Unmap())
		if _, ok := countryIndex(code); ok {
			return code
		}
	}
	return unknownCountry
}
