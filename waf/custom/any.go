package custom

import (
	"errors"
	"net/netip"
)

// anything is Any.
type anything struct{}

func noValues(values []string) error {
	if len(values) > 0 {
		return errors.New("takes no values")
	}
	return nil
}

func (anything) holds(string) bool { return true }

func (anything) holdsAddr(a netip.Addr, _ func(netip.Addr) string) bool { return a.IsValid() }
