package proxy

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gatehouse/health"
)

const (
	// maxAddresses bounds the members that one name can become: who
	// answers for the name decides how many addresses it has.
	maxAddresses = 64
	// lookupTimeout bounds one lookup.
	lookupTimeout = 10 * time.Second
	// lookupsAtOnce bounds the lookups of one Prepare.
	lookupsAtOnce = 16
	// firstRetry is the pause after a name was not found for the first
	// time; it doubles up to the usual interval.
	firstRetry = time.Second
)

// errNoAddresses is a lookup that succeeds and says nothing.
var errNoAddresses = errors.New("no addresses")

// lookup is a name that is looked up time and again. live.mu guards it, but
// for what is set once.
type lookup struct {
	host     string             // set once
	stop     context.CancelFunc // set once
	soon     chan struct{}      // set once; capacity 1: a reload wants to know now
	addrs    []netip.Addr       // the last that were found
	resolved time.Time          // when
	reason   string             // why the last lookup failed; empty if it did not
	failures int                // in a row
}

func (n *lookup) snapshot() NameStatus {
	return NameStatus{Name: n.host, Addresses: len(n.addrs), Resolved: n.resolved, Reason: n.reason}
}

// lookupResult is what Prepare found.
type lookupResult struct {
	addrs []netip.Addr
	err   error
}

// hosts are the names among the targets, each once.
func (o *Options) hosts() []string {
	var all []string
	for _, t := range o.Targets {
		if _, ok := literal(t.Host); !ok && t.Unix == "" && !slices.Contains(all, t.Host) {
			all = append(all, t.Host)
		}
	}
	return all
}

// find looks up a name: sorted, each address once, and a bounded number.
func (o *Options) find(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found, err := o.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, a := range found {
		if a = a.Unmap(); a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() {
			addrs = append(addrs, a)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	if len(addrs) == 0 {
		return nil, errNoAddresses
	}
	return addrs[:min(len(addrs), maxAddresses)], nil
}

// prepare looks up the names that are not known yet, several at once.
func (l *live) prepare(ctx context.Context, o *Options) map[string]lookupResult {
	l.mu.Lock()
	var unknown []string
	for _, host := range o.hosts() {
		if n := l.names[host]; n == nil || len(n.addrs) == 0 {
			unknown = append(unknown, host)
		}
	}
	l.mu.Unlock()

	results := make([]lookupResult, len(unknown))
	slots := make(chan struct{}, lookupsAtOnce)
	var wg sync.WaitGroup
	for i, host := range unknown {
		slots <- struct{}{}
		wg.Go(func() {
			results[i].addrs, results[i].err = o.find(ctx, host)
			<-slots
		})
	}
	wg.Wait()
	found := make(map[string]lookupResult)
	for i, host := range unknown {
		found[host] = results[i]
	}
	return found
}

// commitNames begins to look up names that are new, ends it for those that
// are gone, and has the others looked up soon. The caller reconciles.
func (l *live) commitNames(prepared map[string]lookupResult) {
	keep := make(map[string]*lookup)
	for _, host := range l.opts.hosts() {
		n := l.names[host]
		delete(l.names, host)
		if n != nil {
			l.renew(n, prepared)
		} else {
			n = l.newLookup(host, prepared)
		}
		keep[host] = n
	}
	for _, n := range l.names {
		n.stop()
	}
	l.names = keep
}

// renew has a known name looked up soon, and takes what Prepare found if it
// had no addresses.
func (l *live) renew(n *lookup, prepared map[string]lookupResult) {
	if r, ok := prepared[n.host]; ok && len(n.addrs) == 0 {
		l.enter(n, r.addrs, r.err)
	}
	select {
	case n.soon <- struct{}{}:
	default:
	}
}

func (l *live) newLookup(host string, prepared map[string]lookupResult) *lookup {
	n := &lookup{host: host, soon: make(chan struct{}, 1)}
	var ctx context.Context
	ctx, n.stop = context.WithCancel(l.ctx)
	var wait time.Duration
	if r, ok := prepared[host]; ok {
		wait = l.enter(n, r.addrs, r.err)
	}
	l.tasks.Go(func() { l.lookupLoop(ctx, n, wait) })
	return n
}

// lookupLoop looks a name up until ctx is done, first after wait.
func (l *live) lookupLoop(ctx context.Context, n *lookup, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-n.soon:
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		o := l.opts
		l.mu.Unlock()
		addrs, err := o.find(ctx, n.host)
		if ctx.Err() != nil {
			return
		}
		timer.Reset(l.learn(ctx, n, addrs, err))
	}
}

// learn puts to use what a lookup found, and says when to look again.
func (l *live) learn(ctx context.Context, n *lookup, addrs []netip.Addr, err error) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil {
		return time.Hour // removed meanwhile: the loop ends
	}
	addrsBefore, reasonBefore := n.addrs, n.reason
	wait := l.enter(n, addrs, err)
	switch {
	case !slices.Equal(addrsBefore, n.addrs):
		l.reconcile(false)
	case reasonBefore != n.reason:
		l.publish() // the reason for having nobody names it
	}
	return wait
}

// enter records the outcome of a lookup. What is known stays in use while
// lookups fail.
func (l *live) enter(n *lookup, addrs []netip.Addr, err error) (wait time.Duration) {
	log, wait := l.opts.Logger.With("name", n.host), jitter(l.opts.Resolve)
	if err == nil {
		if n.reason != "" || !slices.Equal(addrs, n.addrs) {
			log.Info("name resolved", "addresses", addrs)
		}
		n.addrs, n.resolved, n.reason, n.failures = addrs, time.Now(), "", 0
		return wait
	}
	reason := health.Reason(err)
	if reason != n.reason { // once, not every time
		log.Warn("name not resolved", "reason", reason, "addressesKept", len(n.addrs))
	}
	n.reason = reason
	n.failures++
	if len(n.addrs) == 0 {
		wait = min(wait, firstRetry<<min(n.failures-1, 10))
	}
	return wait
}

// jitter is d, a tenth more or less, so that lookups of many pools do not
// stay together.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}
