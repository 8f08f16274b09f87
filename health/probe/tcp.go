package probe

import (
	"context"
	"errors"
	"net"

	"gatehouse/health"
)

// TCP asks by connecting: whoever accepts is well.
type TCP struct {
	Network string // "tcp" or "unix"
	Address string // host:port, or the path of a socket
}

// Check implements [health.Checker].
func (t *TCP) Check(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, t.Network, t.Address)
	if err != nil {
		return errors.New(health.Reason(err))
	}
	conn.Close() // what comes after the accept is not asked for
	return nil
}
