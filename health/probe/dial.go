package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// DialFunc connects as [net.Dialer.DialContext] does. It must end soon after
// ctx is done.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func (d DialFunc) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if d == nil {
		d = new(net.Dialer).DialContext
	}
	return d(ctx, network, address)
}

// dialNames connects to names as resolver knows them; nil: the system's. Each
// of a name's addresses is tried, IPv6 and IPv4 side by side (RFC 8305), until
// the context is done.
func dialNames(resolver *net.Resolver) DialFunc {
	return (&net.Dialer{Resolver: resolver, Control: refuseNobody}).DialContext
}

var errNobody = errors.New("the address is not that of one machine")

// refuseNobody keeps a name that is 0.0.0.0 or :: from being this machine,
// which would answer for the endpoint.
func refuseNobody(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if ip := a.Addr().Unmap(); ip.IsUnspecified() || ip.IsMulticast() {
		return errNobody
	}
	return nil
}
