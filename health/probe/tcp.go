package probe

import (
	"context"

	"gatehouse/health"
)

// TCP asks by connecting: whoever accepts is well.
type TCP struct {
	Network string // "tcp" or "unix"
	Address string // host:port, or the path of a socket
	// Dial connects; nil: like a [net.Dialer].
	Dial DialFunc
}

// Check implements [health.Checker].
func (t *TCP) Check(ctx context.Context) error {
	conn, err := t.Dial.dial(ctx, t.Network, t.Address)
	if err != nil {
		return health.Failure(err)
	}
	conn.Close() // what comes after the accept is not asked for
	return nil
}
