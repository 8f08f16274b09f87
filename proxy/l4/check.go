package l4

import (
	"net/netip"
	"sync/atomic"

	"gatehouse/config"
)

// Check is one member asked in one way: rules that ask the same share it.
type Check struct {
	Probe  *config.L4Probe
	Target netip.AddrPort
	Host   string // the member's name, for certificates and logs
	*Verdict
}

// Verdict is what is known of a Check. It lasts from one configuration to the
// next.
type Verdict struct{ v atomic.Uint32 }

// Health is what a Check found.
type Health uint32

// What a check can have found.
const (
	Untried Health = iota // nothing yet: the member is used
	Up
	Down
)

// Health is what was found last.
func (v *Verdict) Health() Health { return Health(v.v.Load()) }

// checkKey is a check's identity.
type checkKey struct {
	probe  string
	target netip.AddrPort
}
