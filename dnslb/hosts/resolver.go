package hosts

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// lookupTimeout bounds one lookup, so that a server that is slow on purpose
// does not hold what others wait for.
const lookupTimeout = 30 * time.Second

// Resolver keeps the addresses of hosts. Its methods may be called by several
// goroutines at once.
type Resolver struct {
	opts   Options
	wanted atomic.Pointer[map[string]*host] // by canonical name; the map does not change
	wake   chan struct{}                    // capacity 1: the queue has changed

	mu    sync.Mutex // guards what follows, changes of wanted, and the last part of each host
	queue queue      // the hosts of which no lookup runs
}

// New returns a Resolver that wants no hosts yet.
func New(opts Options) *Resolver {
	r := &Resolver{opts: opts.withDefaults(), wake: make(chan struct{}, 1)}
	r.wanted.Store(&map[string]*host{})
	return r
}

// Set says which hosts are wanted from now on, in any spelling and any number
// of times. Hosts that were wanted before keep their addresses and the time of
// their next lookup; others are looked up at once. Those that are not named
// are forgotten, and a lookup of theirs that runs is ended.
func (r *Resolver) Set(hosts []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, wanted, now := *r.wanted.Load(), make(map[string]*host, len(hosts)), time.Now()
	for _, name := range hosts {
		name = canonical(name)
		if wanted[name] != nil {
			continue
		}
		h := before[name]
		if h == nil {
			h = newHost(name, now)
			r.queue.add(h)
		}
		wanted[name] = h
	}
	for name, h := range before {
		if wanted[name] == nil {
			h.forget()
		}
	}
	r.queue.prune()
	r.wanted.Store(&wanted)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// forget ends what is done for a host. Resolver.mu is held.
func (h *host) forget() {
	h.gone = true
	if h.stop != nil {
		h.stop()
	}
	h.settle()
}

// Addresses are the last good addresses of a host, sorted and each once, IPv4
// before IPv6 and at most 32 of each; none if it was not found yet or is not
// wanted. The slice does not change and must not be changed. It takes no lock,
// and allocates nothing for names in lower case.
func (r *Resolver) Addresses(host string) []netip.Addr {
	h := (*r.wanted.Load())[canonical(host)]
	if h == nil {
		return nil
	}
	return h.status.Load().Addresses
}

// Status is what is known of a host; false if it is not wanted.
func (r *Resolver) Status(host string) (Status, bool) {
	h := (*r.wanted.Load())[canonical(host)]
	if h == nil {
		return Status{}, false
	}
	return *h.status.Load(), true
}

// Settled waits until every host that is wanted now has been looked up once,
// with or without success, so that the first answers are not empty without
// need. Its error is that of ctx, and says how many hosts are missing.
func (r *Resolver) Settled(ctx context.Context) error {
	wanted := *r.wanted.Load()
	for _, h := range wanted {
		select {
		case <-h.tried:
			continue
		default:
		}
		select {
		case <-h.tried:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d hosts not looked up yet: %w", untried(wanted), len(wanted), context.Cause(ctx))
		}
	}
	return nil
}

func untried(hosts map[string]*host) (n int) {
	for _, h := range hosts {
		select {
		case <-h.tried:
		default:
			n++
		}
	}
	return n
}

// result is what a lookup found.
type result struct {
	host  *host
	addrs []netip.Addr
	ttl   time.Duration
	err   error
}

// Run looks hosts up until ctx is done, and returns nil after every lookup has
// ended. It is to be called once.
func (r *Resolver) Run(ctx context.Context) error {
	var lookups sync.WaitGroup
	defer lookups.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, r.opts.Concurrency) // a lookup never waits to hand over
	timer := time.NewTimer(0)
	defer timer.Stop()
	for busy := 0; ; {
		for busy < r.opts.Concurrency {
			h, lookupCtx, wait := r.next(ctx)
			if h == nil {
				timer.Reset(wait)
				break
			}
			busy++
			lookups.Go(func() { results <- r.lookup(lookupCtx, h) })
		}
		select {
		case found := <-results:
			busy--
			if ctx.Err() == nil { // else it failed because of that
				r.enter(found)
			}
		case <-timer.C:
		case <-r.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// next takes the next host whose lookup is due, or says how long to wait for
// one.
func (r *Resolver) next(ctx context.Context) (*host, context.Context, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		return nil, nil, time.Hour // Set wakes
	}
	if wait := time.Until(r.queue[0].due); wait > 0 {
		return nil, nil, wait
	}
	h := r.queue.take()
	ctx, h.stop = context.WithTimeout(ctx, lookupTimeout)
	return h, ctx, 0
}

func (r *Resolver) lookup(ctx context.Context, h *host) result {
	addrs, ttl, err := r.opts.Lookup(ctx, h.name)
	return result{h, addrs, ttl, err}
}

// enter puts to use what a lookup found, unless the host is gone by now.
func (r *Resolver) enter(found result) {
	h := found.host
	before := h.status.Load()
	now := before.learn(found.addrs, found.err, time.Now())
	if !r.requeue(h, now.Tried.Add(r.opts.pause(now, found.ttl))) {
		return
	}
	h.status.Store(now)
	r.report(before, now)
	if !slices.Equal(before.Addresses, now.Addresses) {
		r.opts.Changed(h.name, now.Addresses)
	}
	r.mu.Lock()
	h.settle()
	r.mu.Unlock()
}

// requeue has a host looked up again; false if it is gone.
func (r *Resolver) requeue(h *host, due time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	h.stop()
	h.stop = nil
	if h.gone {
		return false
	}
	h.due = due
	r.queue.add(h)
	return true
}

// report logs what is new, once and not with every lookup.
func (r *Resolver) report(before, now *Status) {
	log := r.opts.Log.With("host", now.Host)
	if now.Reason != before.Reason && now.Reason != "" {
		log.Warn("host not resolved", "reason", now.Reason, "addressesKept", len(now.Addresses))
	}
	if !slices.Equal(before.Addresses, now.Addresses) || now.Reason == "" && before.Reason != "" {
		log.Info("host resolved", "addresses", now.Addresses)
	}
}
