//go:build linux

package peers

import (
	"errors"
	"net"
	"net/netip"
	"os"
)

// Ports below the range from which the kernel takes those of outgoing
// connections (32768 by default): thousands of these come and go during a
// run, and one of them might hold the port of a proxy yet to start.
const (
	firstPort = 18_000
	lastPort  = 31_999
)

// Ports hands out loopback addresses that nobody listens on. The zero value
// is ready to use.
type Ports struct {
	next uint16
}

// Take returns an address that is free now, a different one each time until
// the range has been gone through.
func (p *Ports) Take() (netip.AddrPort, error) {
	if p.next == 0 {
		// Two harnesses, or tests, that start at once begin in different
		// places: a port is free until the proxy that it is for has bound it.
		p.next = firstPort + uint16(os.Getpid()*61%(lastPort-firstPort))
	}
	for range lastPort - firstPort {
		if p.next > lastPort {
			p.next = firstPort
		}
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), p.next)
		p.next++
		if l, err := net.Listen("tcp4", addr.String()); err == nil {
			return addr, l.Close()
		}
	}
	return netip.AddrPort{}, errors.New("no free port")
}
