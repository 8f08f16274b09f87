package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"gatehouse/config"
	"gatehouse/internal/stream"
	"gatehouse/proxy/balance"
)

// Why a pick fails. The errors that [Pool.Acquire] and [Pool.Pick] return are
// these or wrap them, and their text is meant for people.
var (
	ErrEmpty      = errors.New("pool is empty")
	ErrUnresolved = errors.New("name not resolved yet")
	ErrUnusable   = errors.New("no healthy member")
	ErrBusy       = errors.New("all members at their limit")
	ErrNoOther    = errors.New("no other healthy member")
	ErrClosed     = errors.New("pool is closed")
)

// Pool is a backend pool under one set of backend settings, as one
// configuration sees it. The pools of successive configurations are handles
// on the same live backends, so that a request which still holds the old one
// picks by the new membership.
//
// All methods but Prepare and Commit are safe for concurrent use.
type Pool struct {
	opts     Options
	live     *live
	prepared map[string]lookupResult
}

// NewPool builds a pool, and changes nothing: it has no members before
// Commit, and may be dropped instead.
//
// prev is the pool of the same name and settings in the running
// configuration, nil if there is none. Its backends live on in the new pool
// where their identity is the same (address, port, target, Fingerprint), with
// their health, requests in flight and attachments.
func NewPool(o Options, prev *Pool) (*Pool, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("pool %q: %w", o.Name, err)
	}
	o.setDefaults()
	p := &Pool{opts: o}
	if prev != nil && !prev.live.isClosed() {
		if prev.opts.Name != o.Name || prev.opts.Settings != o.Settings {
			return nil, fmt.Errorf("pool %q with settings %q cannot follow pool %q with settings %q",
				o.Name, o.Settings, prev.opts.Name, prev.opts.Settings)
		}
		p.live = prev.live
	} else {
		p.live = newLive(o.Name, o.Settings)
	}
	return p, nil
}

// Prepare looks up the names that the predecessor did not know, so that
// Commit finds members at once. It may be left out. A name that is not found
// by the time ctx is done is no error: it is looked up again after Commit.
func (p *Pool) Prepare(ctx context.Context) {
	p.prepared = p.live.prepare(ctx, &p.opts)
}

// Commit puts the pool in its predecessor's place and sets it to work: new
// backends are attached and probed, names looked up, and backends that are
// gone drained. It does not wait for any of that, and cannot fail.
func (p *Pool) Commit() { p.live.commit(p) }

// Name is the name of the backend pool.
func (p *Pool) Name() string { return p.opts.Name }

// Settings is the name of the backend settings.
func (p *Pool) Settings() string { return p.opts.Settings }

// Balance is the way members are picked.
func (p *Pool) Balance() config.Balance { return p.opts.Balance }

// HashKey is what AcquireFor's key is to be made of; nil if it does not
// matter.
func (p *Pool) HashKey() *config.HashKey {
	if p.opts.Balance != config.Hash {
		return nil
	}
	return &p.opts.Hash
}

// Acquire picks a backend and begins a request on it; the caller must call
// End. It never returns exclude, which may be nil: a retry goes elsewhere.
func (p *Pool) Acquire(exclude *Backend) (*Backend, error) { return p.AcquireFor(0, exclude) }

// AcquireFor is Acquire for a request whose key is given, which matters to
// pools that are balanced by hash.
func (p *Pool) AcquireFor(key uint64, exclude *Backend) (*Backend, error) {
	// A Begin fails if the last place was taken meanwhile, or the backend
	// has just begun to drain; then the members are already without it.
	for range 8 {
		b, err := p.pick(key, exclude)
		if err != nil {
			return nil, err
		}
		if b.Begin() {
			return b, nil
		}
	}
	for _, b := range p.live.members.Load().usable {
		if b != exclude && b.Begin() {
			return b, nil
		}
	}
	return nil, ErrBusy
}

// Pick returns the backend whose turn it is and which may be used now: its
// Begin can still fail, and then the caller picks again. It never returns
// exclude, which may be nil. Most callers want Acquire.
func (p *Pool) Pick(exclude *Backend) (*Backend, error) { return p.pick(0, exclude) }

func (p *Pool) pick(key uint64, exclude *Backend) (*Backend, error) {
	return p.live.members.Load().pick(key, exclude)
}

func (m *members) pick(key uint64, exclude *Backend) (*Backend, error) {
	avoid := -1
	if exclude != nil {
		avoid = slices.Index(m.usable, exclude)
	}
	if i := m.picker.Pick(key, avoid); i >= 0 {
		return m.usable[i], nil
	}
	if exclude != nil && m.standby != nil {
		if b, err := m.standby.pick(key, exclude); err == nil {
			return b, nil
		}
	}
	return nil, m.refusal(avoid)
}

// ByToken returns the backend that an affinity token stands for; nil if the
// token is unknown, or the backend is unhealthy, ejected, draining or gone,
// and another must be picked. The token is believed as it is: who forges one
// must know it, and gains a choice of backend.
func (p *Pool) ByToken(token []byte) *Backend {
	return p.live.members.Load().tokens[string(token)]
}

// Status returns the state of every backend, also of those that are leaving,
// and of the names.
func (p *Pool) Status() Status { return p.live.statusOf() }

// Close drains every backend, waits until that is done, and joins what Commit
// started; once ctx is done it closes attachments without waiting longer, and
// returns ctx's error. A pool that another has taken over closes at once, and
// nothing happens.
//
// After Close every pick fails. A pool that a reload removes must be closed
// only when the last request that could still pick from it has done so.
func (p *Pool) Close(ctx context.Context) error { return p.live.close(ctx, p) }

// members is what a pick reads: an immutable list of the backends that may be
// used now, made anew whenever that changes.
type members struct {
	usable []*Backend
	picker balance.Picker
	tokens map[string]*Backend
	err    error // why usable is empty

	standby *members // of the next priority, for retries that find nobody else; nil: none
}

// refusal says why a pick failed that avoided the member with that index.
func (m *members) refusal(avoid int) error {
	switch {
	case len(m.usable) == 0:
		return m.err
	case len(m.usable) == 1 && avoid == 0:
		return ErrNoOther
	}
	return ErrBusy
}

// newMembers makes the snapshot; weights are those that count now.
func newMembers(usable []*Backend, weights []int, o *Options, cursor *atomic.Uint64) *members {
	m := &members{usable: usable, tokens: make(map[string]*Backend, len(usable))}
	for _, b := range usable {
		// Two targets may have one address: the first keeps the token.
		if t := b.Token(); t != "" && m.tokens[t] == nil {
			m.tokens[t] = b
		}
	}
	m.picker = newPicker(usable, weights, o, cursor)
	return m
}

func newPicker(usable []*Backend, weights []int, o *Options, cursor *atomic.Uint64) balance.Picker {
	load := func(i int) int64 { return usable[i].load() }
	switch o.Balance {
	case config.LeastRequests:
		return balance.NewLeastRequests(weights, load, cursor)
	case config.P2C:
		return balance.NewTwoChoices(weights, load, nil)
	case config.EWMA:
		return balance.NewTwoChoices(weights, load, func(i int) float64 { return usable[i].latency.Seconds(stream.Now()) })
	case config.Hash:
		ids := make([]uint64, len(usable))
		for i, b := range usable {
			ids[i] = b.hash
		}
		return balance.NewHash(ids, weights, load, o.Hash.BalanceFactor)
	}
	if o.MaxConnections == 0 && o.Adaptive.Max == 0 {
		load = nil // nobody is ever full
	}
	return balance.NewRoundRobin(weights, load, cursor)
}

// Status is the state of a pool for people.
type Status struct {
	Pool     string `json:"pool"`
	Settings string `json:"settings"`
	Balance  string `json:"balance"`
	Panic    bool   `json:"panic,omitempty"` // too few backends are healthy: all are used
	// RetriesOverBudget is how many retries and hedges were not made because
	// of their budget.
	RetriesOverBudget uint64          `json:"retriesOverBudget"`
	Hedges            uint64          `json:"hedges,omitempty"`
	HedgesWon         uint64          `json:"hedgesWon,omitempty"` // that answered first
	Backends          []BackendStatus `json:"backends"`
	Names             []NameStatus    `json:"names,omitempty"`
	Queue             *QueueStatus    `json:"queue,omitempty"` // nil: there is none
}

// BackendStatus is the state of one backend for people.
type BackendStatus struct {
	Name     string       `json:"name"`   // address
	Target   string       `json:"target"` // as configured
	State    BackendState `json:"state"`
	Since    time.Time    `json:"since"`
	Reason   string       `json:"reason,omitempty"`
	Weight   int          `json:"weight"`
	Priority int          `json:"priority"`
	InFlight int          `json:"inFlight"`
	Limit    int          `json:"limit,omitempty"` // of InFlight: the fixed or the adaptive one; 0: none
	Requests uint64       `json:"requests"`

	Ejections uint64 `json:"ejections"` // in all

	// EffectiveWeight is the weight that counts now: 0 if the balancer
	// picks others only, and a part of Weight in slow start.
	EffectiveWeight float64 `json:"effectiveWeight"`
	// ResponseSeconds is the response time that balance: ewma goes by; 0
	// if there is none, or another way to balance.
	ResponseSeconds float64 `json:"responseSeconds,omitempty"`
}

// NameStatus is the state of a target that is looked up.
type NameStatus struct {
	Name      string    `json:"name"`
	Addresses int       `json:"addresses"` // in use
	Resolved  time.Time `json:"resolved"`  // last success; zero if never
	Reason    string    `json:"reason,omitempty"`
}

// BackendState is what became of a backend. Only Healthy and Unknown get new
// requests (and Ejected, when nobody else is left).
type BackendState uint8

const (
	Unknown   BackendState = iota // not probed, or no verdict yet
	Healthy                       // the probe says so
	Unhealthy                     // the probe says so, or has still to say otherwise (startUnhealthy)
	Ejected                       // out for a time after failures of requests
	Draining                      // no new requests; some are in flight
	Drained                       // nothing in flight, and out of use until Undrain
)

// String is the state in lower case; what is no state is "invalid".
func (s BackendState) String() string {
	names := [...]string{"untried", "healthy", "unhealthy", "ejected", "draining", "drained"}
	if int(s) < len(names) {
		return names[s]
	}
	return "invalid"
}

// MarshalText makes the state readable in JSON.
func (s BackendState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote; a state of another version is
// Unknown.
func (s *BackendState) UnmarshalText(text []byte) error {
	for t := Unknown; t <= Drained; t++ {
		if t.String() == string(text) {
			*s = t
			return nil
		}
	}
	*s = Unknown
	return nil
}
