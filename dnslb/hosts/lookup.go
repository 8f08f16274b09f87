package hosts

import (
	"context"
	"net/netip"
	"time"
)

// Lookup finds the addresses of a host, a name in lower case without a dot at
// its end, and says how long they hold.
//
// Addresses that come together with an error are those of the one family, IPv4
// or IPv6, that could be asked about: what is known of the other goes on. An
// answer without addresses is a failure, with an error or without one.
//
// It must return soon after ctx is done, which is the case after 30 s at the
// latest, and may be called for several hosts at once. It must not return a
// slice that it changes later.
type Lookup func(ctx context.Context, host string) (addrs []netip.Addr, ttl time.Duration, err error)
