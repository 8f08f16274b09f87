package proxy

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/config"
	"gatehouse/health"
)

// live is what successive pools of one name and settings share: the backends,
// and all that changes. Requests read members and the backends' counters, and
// never take the lock.
type live struct {
	name, settings string
	members        atomic.Pointer[members] // never nil
	cursor         atomic.Uint64           // of the pickers
	standbyCursor  atomic.Uint64           // of those for retries that go to the next priority
	ejectAfter     atomic.Int64            // connect failures; 0: never
	ejectErrors    atomic.Int64            // server errors; 0: never
	timed          atomic.Bool             // response times are asked for
	queue          *queue                  // set once
	maxRequests    atomic.Int64            // 0: no limit
	entered        atomic.Int64            // requests, of pools that limit them
	retries        atomic.Int64            // in flight
	overBudget     atomic.Uint64           // retries and hedges that were not made
	hedges         atomic.Uint64           // made
	hedgesWon      atomic.Uint64           // of them, those that answered first

	mu     sync.Mutex
	owner  *Pool // the pool committed last; nil before the first
	opts   Options
	closed bool

	backends map[identity]*Backend // members, usable or not
	order    []*Backend            // the same in the order of configuration
	leaving  map[identity]*Backend // no longer members, not drained yet
	names    map[string]*lookup    // targets that are looked up, by host

	choice choice      // of the members published
	step   *time.Timer // until slow start goes on; nil: it does not

	// ctx ends the lookups, cut the waiting of drains.
	ctx   context.Context
	stop  context.CancelFunc
	cut   chan struct{}
	tasks sync.WaitGroup // lookups and drains; none is added once closed
}

func newLive(name, settings string) *live {
	l := &live{
		name:     name,
		settings: settings,
		backends: make(map[identity]*Backend),
		leaving:  make(map[identity]*Backend),
		names:    make(map[string]*lookup),
		cut:      make(chan struct{}),
		queue:    new(queue),
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	// Instances that start together should not all begin with the same
	// member.
	l.cursor.Store(uint64(rand.Uint32()))
	l.members.Store(l.nobody(ErrEmpty))
	return l
}

func (l *live) nobody(err error) *members {
	m := newMembers(nil, nil, &Options{}, &l.cursor)
	m.err = err
	return m
}

func (l *live) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// commit makes p the owner and its options those in force.
func (l *live) commit(p *Pool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.owner, l.opts = p, p.opts
	l.ejectAfter.Store(int64(p.opts.Ejection.ConnectFailures))
	l.ejectErrors.Store(int64(p.opts.Ejection.ServerErrors))
	l.maxRequests.Store(int64(p.opts.MaxRequests))
	l.queue.length.Store(int64(p.opts.QueueLength))
	l.timed.Store(p.opts.Balance == config.EWMA)
	l.commitNames(p.prepared)
	p.prepared = nil
	l.reconcile(true)
}

// wanted is one member that there should be.
type wanted struct {
	id       identity
	weight   int
	priority int
}

// want lists the members that configuration and lookups ask for.
func (l *live) want() []wanted {
	var all []wanted
	for _, t := range l.opts.Targets {
		id := identity{unix: t.Unix, target: t.Host, fingerprint: l.opts.Fingerprint}
		weight, priority := max(t.Weight, 1), max(t.Priority, 1)
		if t.Unix != "" {
			all = append(all, wanted{id, weight, priority})
			continue
		}
		port := t.Port
		if port == 0 {
			port = l.opts.DefaultPort
		}
		for _, a := range l.addresses(t.Host) {
			id.addr = netip.AddrPortFrom(a, uint16(port))
			all = append(all, wanted{id, weight, priority})
		}
	}
	return all
}

// addresses are those of a literal, or the last that a lookup found.
func (l *live) addresses(host string) []netip.Addr {
	if a, ok := literal(host); ok {
		return []netip.Addr{a}
	}
	if n := l.names[host]; n != nil {
		return n.addrs
	}
	return nil
}

func literal(host string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(host)
	return a.Unmap(), err == nil
}

// reconcile makes the members what they should be. With renew, those that
// stay take over the options in force.
func (l *live) reconcile(renew bool) {
	gone := l.backends
	l.backends = make(map[identity]*Backend)
	l.order = nil
	for _, w := range l.want() {
		if b := l.backends[w.id]; b != nil {
			b.weight.Add(int64(w.weight)) // listed twice: twice the share
			b.priority = min(b.priority, w.priority)
			continue
		}
		b, stays := gone[w.id]
		delete(gone, w.id)
		if !stays {
			b = l.admit(w.id)
		}
		b.weight.Store(int64(w.weight))
		b.priority = w.priority
		if renew || !stays {
			l.configure(b)
		}
		l.backends[w.id] = b
		l.order = append(l.order, b)
	}
	// Whoever finds the gate of a backend shut must find it gone from the
	// members: publish first.
	l.publish()
	for _, b := range gone {
		l.retire(b)
	}
}

// admit returns a backend for an identity: one that was about to leave, or a
// new one.
func (l *live) admit(id identity) *Backend {
	b := l.leaving[id]
	if b != nil {
		delete(l.leaving, id)
		l.resume(b)
	} else {
		b = newBackend(l, id)
		l.attach(b)
	}
	if l.opts.Drains.mean(b) {
		l.beginDrain(b, operatorWish)
		l.shut(b)
	}
	return b
}

func (l *live) attach(b *Backend) {
	if l.opts.Attach == nil {
		return
	}
	if c := l.opts.Attach(b); c != nil {
		b.attached.Store(&attachment{Closer: c})
	}
}

// configure gives a backend the options in force.
func (l *live) configure(b *Backend) {
	b.adapt(l.opts.MaxConnections, l.opts.Adaptive)
	token := affinityToken(l.opts.AffinitySecret, l.name, b.name)
	b.token.Store(&token)
	l.watch(b)
}

// watch has a backend probed as the options say.
func (l *live) watch(b *Backend) {
	p := l.opts.Probe
	if p == nil || b.table != p.Table {
		b.unwatch()
	}
	if p == nil {
		return
	}
	checker := p.Checker(b)
	if b.watch != nil {
		b.watch.Update(checker, p.Policy)
		return
	}
	address := b.name + " " + b.target // one address may have two names, and be up under one of them only
	about := health.Subject{Key: l.name + " " + l.settings + " " + address + " " + b.id.fingerprint, Address: address, Way: b.id.fingerprint + " " + p.Way}
	b.table = p.Table
	b.watch = p.Table.Watch(about, checker, p.Policy, func(s health.Status) { l.judged(b, s) })
}

func (b *Backend) unwatch() {
	if b.watch != nil {
		b.watch.Stop()
		b.watch, b.table = nil, nil
	}
}

// judged is called when a probe has changed its verdict.
func (l *live) judged(b *Backend, s health.Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || b.watch == nil {
		return // stopped meanwhile
	}
	if s.State == health.Unhealthy {
		l.opts.Logger.Warn("backend is unhealthy", "backend", b.name, "reason", s.Reason)
	} else {
		l.opts.Logger.Info("backend is "+s.State.String(), "backend", b.name)
	}
	if b.passes() != b.passed {
		l.publish()
	}
}

// passes tells whether probes do not speak against a backend.
func (b *Backend) passes() bool { return b.watch == nil || b.watch.Status().Usable }

// answersTo tells whether an operator means b by name.
func (b *Backend) answersTo(name string) bool {
	if name == b.name || name == b.target {
		return true
	}
	if b.id.unix != "" {
		return name == b.id.unix
	}
	return name == b.id.addr.Addr().String() ||
		name == b.target+":"+strconv.Itoa(int(b.id.addr.Port()))
}
