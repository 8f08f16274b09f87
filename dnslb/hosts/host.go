package hosts

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gatehouse/health"
)

const (
	// maxAddresses bounds the addresses of one host in each family: who
	// answers for the name decides how many there are. The lowest are kept,
	// so that they stay the same in whatever order they come.
	maxAddresses = 32

	firstRetry = time.Second      // the pause after a failure; it doubles
	lastRetry  = 30 * time.Second // up to this
)

// errNoAddresses is a name that exists and has no address.
var errNoAddresses = errors.New("no addresses")

// host is one name that is wanted.
type host struct {
	name   string                 // set once
	tried  chan struct{}          // closed after the first lookup, or when the host is gone
	status atomic.Pointer[Status] // never nil; what it points to does not change; stored by the goroutine of Run

	// What follows is guarded by Resolver.mu.

	due  time.Time          // of the next lookup; valid while the host is in the queue
	stop context.CancelFunc // ends the lookup that runs; nil if none does
	gone bool               // not wanted any more
}

// Status is what is known of a host, for people.
type Status struct {
	Host      string       // in lower case, without a dot at its end
	Addresses []netip.Addr // the last good ones; must not be changed
	Resolved  time.Time    // when they were last confirmed; zero if never
	Tried     time.Time    // when the last lookup ended; zero if none did
	Reason    string       // why the last lookup failed; empty if it did not
	Failures  int          // lookups that failed since the last good one
}

func newHost(name string, now time.Time) *host {
	h := &host{name: name, tried: make(chan struct{}), due: now}
	h.status.Store(&Status{Host: name})
	return h
}

// settle says that there is nothing to wait for before the first answer.
func (h *host) settle() {
	select {
	case <-h.tried:
	default:
		close(h.tried)
	}
}

// learn is the status after a lookup ended at now with these results.
func (s *Status) learn(found []netip.Addr, err error, now time.Time) *Status {
	next := *s
	next.Tried = now
	found = tidy(found)
	if err == nil && len(found) == 0 {
		err = errNoAddresses
	}
	if len(found) > 0 {
		next.Resolved = now
		if err != nil {
			found = tidy(append(found, otherFamily(s.Addresses, found)...))
		}
		if !slices.Equal(found, s.Addresses) {
			next.Addresses = found
		}
	}
	next.Reason, next.Failures = "", 0
	if err != nil {
		next.Reason, next.Failures = health.Reason(err), s.Failures+1
	}
	return &next
}

// otherFamily is what is known of the family of which nothing was found.
func otherFamily(known, found []netip.Addr) []netip.Addr {
	var others []netip.Addr
	for _, a := range known {
		if !slices.ContainsFunc(found, func(f netip.Addr) bool { return f.Is4() == a.Is4() }) {
			others = append(others, a)
		}
	}
	return others
}

// tidy returns those addresses that can be answered: sorted, each once, a
// bounded number, and in a slice of its own.
func tidy(addrs []netip.Addr) []netip.Addr {
	var good []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap().WithZone(""); a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() {
			good = append(good, a)
		}
	}
	slices.SortFunc(good, netip.Addr.Compare)
	good = slices.Compact(good)
	v6 := slices.IndexFunc(good, netip.Addr.Is6)
	if v6 < 0 {
		v6 = len(good)
	}
	four, six := good[:v6], good[v6:]
	return slices.Concat(four[:min(len(four), maxAddresses)], six[:min(len(six), maxAddresses)])
}

// pause is the time to the next lookup.
func (o *Options) pause(s *Status, ttl time.Duration) time.Duration {
	if s.Failures > 0 {
		return jitter(min(firstRetry<<min(s.Failures-1, 10), lastRetry))
	}
	return jitter(min(max(ttl, o.Shortest), o.Longest))
}

// jitter is d, a tenth more or less, so that hosts do not stay together.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// canonical is the one spelling of a name.
func canonical(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}
