// Package tlscert keeps the certificates that listeners serve: read from
// files, chosen by server name, renewed without a reload.
//
// A [Store] is built for a configuration from all its certificate files; each
// listener has its [Set]. While [Store.Run] runs, changed files are read
// again and take effect at the next handshake; a pair that is broken or half
// written leaves the last good one in use. [Tickets] outlives
// configurations, so that clients resume sessions across reloads.
package tlscert

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Source is one certificate of a listener. The first one of a listener is its
// default.
type Source struct {
	Listener string
	CertFile string // PEM: the leaf, then the chain
	KeyFile  string // PEM, not encrypted
	OCSPFile string // DER: the answer that is sent with it; empty: that of its responder
	Staple   bool   // its responder may be asked
}

// Options configure Load. The zero value works.
type Options struct {
	Logger *slog.Logger // for renewals and failures; if nil, slog.Default

	// Interval is how often files are looked at. If zero, 5 s.
	Interval time.Duration

	// Previous is the store of the configuration before, if any. A pair
	// that it serves stays in use when its files cannot be read now: a
	// reload must not fail because a renewal is under way.
	Previous *Store

	// Responder asks OCSP responders. If nil, none is asked.
	Responder Responder
}

// Store is the certificates of one configuration.
type Store struct {
	opts   Options
	sets   map[string]*Set
	order  []*Set
	notify chan struct{}
	ready  chan struct{}

	mu    sync.Mutex // guards the pairs' state and serialises index changes
	pairs map[files]*pair
}

// pair is two files and the last good thing that was in them. Listeners that
// name the same files share one. The store's mutex guards it.
type pair struct {
	files
	good    *certificate
	seen    pairStamp // when last read
	settled bool      // seen tells of every change since
	failure error     // why the files as they are now cannot be used; nil if they are in use
	told    bool      // the failure was logged
	users   []*Set
	staple  *staple // nil: none, and none was asked for
}

// SourceError is why a source cannot be served.
type SourceError struct {
	Source Source
	Err    error
}

func (e *SourceError) Error() string {
	return fmt.Sprintf("listener %q: certificate %s: %v", e.Source.Listener, e.Source.CertFile, e.Err)
}

// Unwrap returns the cause.
func (e *SourceError) Unwrap() error { return e.Err }

// Load reads every pair and returns all errors at once: each error that the
// join holds is a [SourceError].
func Load(sources []Source, opts Options) (*Store, error) {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Interval <= 0 {
		opts.Interval = 5 * time.Second
	}
	s := &Store{
		opts: opts, sets: map[string]*Set{}, pairs: map[files]*pair{},
		notify: make(chan struct{}, 1), ready: make(chan struct{}),
	}
	close(s.ready)
	s.opts.Previous = nil // or every store ever built would be kept
	var errs []error
	for _, src := range sources {
		if err := s.add(src, opts.Previous); err != nil {
			errs = append(errs, &SourceError{src, err})
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, set := range s.order {
		set.rebuild()
	}
	return s, nil
}

// add reads a source's pair, if no listener before had it, and notes who uses
// it.
func (s *Store) add(src Source, previous *Store) error {
	f := files{src.CertFile, src.KeyFile, src.OCSPFile, src.Staple}
	p := s.pairs[f]
	if p == nil {
		p = &pair{files: f}
		s.pairs[f] = p
		p.read(time.Now())
		if p.good == nil {
			p.good = previous.good(f)
		}
		p.inherit(previous)
	}
	if p.good == nil {
		return p.failure
	}
	set := s.sets[src.Listener]
	if set == nil {
		set = &Set{listener: src.Listener}
		s.sets[src.Listener] = set
		s.order = append(s.order, set)
	}
	set.pairs = append(set.pairs, p)
	p.users = append(p.users, set)
	return nil
}

// inherit takes over the answer that was sent with the same certificate.
func (p *pair) inherit(previous *Store) {
	if p.good == nil {
		return
	}
	if p.staple = p.good.fixed; p.staple != nil || previous == nil {
		return
	}
	previous.mu.Lock()
	defer previous.mu.Unlock()
	if old := previous.pairs[p.files]; old != nil && old.staple != nil && old.good.sum == p.good.sum {
		st := *old.staple
		st.asking = false
		p.staple = &st
	}
}

// good returns what the store serves for f; nil if nothing. A nil Store has
// nothing.
func (s *Store) good(f files) *certificate {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pairs[f]; p != nil {
		return p.good
	}
	return nil
}

// read reads the files. The stamp is taken first: a write during the reading
// shows as a change the next time.
func (p *pair) read(now time.Time) (renewed bool) {
	seen := stampFiles(p.files)
	if seen != p.seen {
		p.told = false
	}
	p.seen, p.settled = seen, seen.settled(now)
	c, err := load(p.files, now)
	if p.failure = err; err != nil {
		return false
	}
	renewed = p.good == nil || p.good.sum != c.sum
	if !renewed {
		c.loaded = p.good.loaded // only its warnings are news: the clock, the mode
	}
	restapled := c.fixed != nil && (p.staple == nil || !bytes.Equal(p.staple.raw, c.fixed.raw))
	if p.good = c; renewed || restapled {
		p.staple = c.fixed
	}
	if restapled && !renewed {
		p.rebuild()
	}
	return renewed
}

// rebuild makes the index from the pairs as they are now. The store's mutex is
// held, or nobody else knows the store yet.
func (s *Set) rebuild() {
	now := time.Now()
	certs := make([]*tls.Certificate, len(s.pairs))
	for i, p := range s.pairs {
		certs[i] = p.served(now)
	}
	s.index.Store(newIndex(certs))
}

// Set returns the certificates of a listener; nil when it has none.
func (s *Store) Set(listener string) *Set { return s.sets[listener] }

// String names the task.
func (s *Store) String() string { return "certificates" }

// Ready is closed: the certificates were read before there was a store.
func (s *Store) Ready() <-chan struct{} { return s.ready }

// Notify makes Run look at the files now. It never blocks.
func (s *Store) Notify() {
	select {
	case s.notify <- struct{}{}:
	default:
	}
}

// retryInterval is how soon a pair that failed, perhaps half written, is read
// again.
const retryInterval = time.Second

// Run follows the files until ctx is done.
func (s *Store) Run(ctx context.Context) error {
	var stapling sync.WaitGroup
	stapling.Go(func() { s.follow(ctx) })
	defer stapling.Wait()
	timer := time.NewTimer(s.opts.Interval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.notify:
		case <-timer.C:
		}
		wait := s.opts.Interval
		if again := s.check(time.Now()); again {
			wait = min(wait, retryInterval)
		}
		timer.Reset(wait)
	}
}

// check reads what changed. again is true when a failure was seen for the
// first time: the second look, soon after, decides whether it is one.
func (s *Store) check(now time.Time) (again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := map[*Set]bool{}
	for _, p := range s.pairs {
		if p.settled && p.failure == nil && stampFiles(p.files) == p.seen {
			continue
		}
		first := p.failure == nil
		if p.read(now) {
			s.opts.Logger.Info("certificate renewed", "file", p.cert, "expires", p.good.tls.Leaf.NotAfter)
			for _, set := range p.users {
				changed[set] = true
			}
		}
		again = s.tell(p, first) || again
	}
	for set := range changed {
		set.rebuild()
	}
	return again
}

// tell logs a pair's failure once for each state of the files, and not before
// it was seen twice: who renews writes one file after the other.
func (s *Store) tell(p *pair, first bool) (again bool) {
	if p.failure == nil || p.told {
		return false
	}
	if first {
		return true
	}
	p.told = true
	s.opts.Logger.Error("certificate not renewed, the one before stays in use", "file", p.cert, "key", p.key, "error", p.failure)
	return false
}

// Status is what is known of one certificate of a listener.
type Status struct {
	Listener  string
	CertFile  string
	KeyFile   string
	Names     []string // DNS names and addresses
	KeyType   string   // "ECDSA P-256"
	NotBefore time.Time
	NotAfter  time.Time
	Serial    string    // hexadecimal
	Loaded    time.Time // when the certificate in use was read
	Warnings  []string  // of the certificate in use
	Error     string    // why the files as they are now are not in use; empty if they are
	Staple    time.Time // until when the OCSP answer that is sent with it is in force; zero: none is sent
	OCSPError string    // why there is no newer one
}

// Status returns the state of every certificate, in the order of the
// configuration.
func (s *Store) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Status
	for _, set := range s.order {
		for _, p := range set.pairs {
			all = append(all, p.status(set.listener))
		}
	}
	return all
}

func (p *pair) status(listener string) Status {
	leaf := p.good.tls.Leaf
	st := Status{
		Listener: listener, CertFile: p.cert, KeyFile: p.key,
		Names: names(&p.good.tls), KeyType: keyType(leaf),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, Serial: leaf.SerialNumber.Text(16),
		Loaded: p.good.loaded, Warnings: p.good.warnings,
	}
	for _, ip := range leaf.IPAddresses {
		st.Names = append(st.Names, ip.String())
	}
	if s := p.staple; s != nil && s.raw != nil {
		st.Staple = s.until
	}
	if s := p.staple; s != nil && s.err != nil {
		st.OCSPError = s.err.Error()
	}
	if p.failure != nil {
		st.Error = p.failure.Error()
	}
	return st
}
