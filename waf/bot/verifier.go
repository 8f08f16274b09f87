package bot

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// state is what is known of an address.
type state uint8

const (
	unasked   state = iota // nothing yet
	confirmed              // it has a host name of an operator, and that has it
	denied                 // it has none
	failed                 // DNS failed, which says nothing
)

// finding is what was found out about an address.
type finding struct {
	state    state
	operator int // where confirmed
}

// verifier finds out whose addresses are, without having anybody wait.
type verifier struct {
	Options
	operators []operator
	queue     chan netip.Addr
	stop      context.CancelFunc
	workers   sync.WaitGroup

	mu    sync.Mutex
	cache cache // guarded by mu
}

// queued is how many addresses wait to be looked up, for each that is: more
// are not, until somebody asks for them again.
const queued = 64

func newVerifier(o Options, operators []operator) *verifier {
	v := &verifier{Options: o, operators: operators, queue: make(chan netip.Addr, queued*o.Workers), cache: cache{size: o.Size}}
	ctx, stop := context.WithCancel(context.Background())
	v.stop = stop
	for range o.Workers {
		v.workers.Go(func() { v.work(ctx) })
	}
	return v
}

func (v *verifier) close() {
	v.stop()
	v.workers.Wait()
}

// ask says what is known of an address, and has it looked up when that is
// nothing or old.
func (v *verifier) ask(a netip.Addr, now time.Time) finding {
	v.mu.Lock()
	defer v.mu.Unlock()
	e := v.cache.find(a)
	if e != nil {
		e.used = true
		if e.queued || now.Before(e.due) {
			return e.finding
		}
	}
	select {
	case v.queue <- a:
	default: // too many: another time
		if e == nil {
			return finding{}
		}
		return e.finding
	}
	if e == nil {
		e = v.cache.add(a)
	}
	e.queued = true
	return e.finding
}

// maxStale is for how long a finding counts while DNS fails.
const maxStale = 24 * time.Hour

// learn keeps what was found out. A failure does not undo what was known,
// but for what is very old.
func (v *verifier) learn(a netip.Addr, f finding, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e := v.cache.find(a)
	if e == nil {
		return // was forgotten meanwhile, for others
	}
	e.queued = false
	if f.state == failed {
		e.due = now.Add(v.Retry)
		if e.state == unasked || now.Sub(e.learned) > maxStale {
			e.finding = f
		}
		return
	}
	e.finding, e.learned, e.due = f, now, now.Add(v.Keep)
}

func (v *verifier) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-v.queue:
			f, name, err := v.lookUp(ctx, a)
			if ctx.Err() != nil {
				return
			}
			v.learn(a, f, time.Now())
			v.Logger.DebugContext(ctx, "address of a crawler", "addr", a, "found", f.state.String(), "name", name, "err", err)
		}
	}
}

// lookUpNow looks an address up while the caller waits.
func (v *verifier) lookUpNow(ctx context.Context, a netip.Addr) {
	f, _, _ := v.lookUp(ctx, a)
	v.mu.Lock()
	if v.cache.find(a) == nil {
		v.cache.add(a)
	}
	v.mu.Unlock()
	v.learn(a, f, time.Now())
}

// String is the state in the log.
func (s state) String() string {
	return [...]string{"unasked", "confirmed", "denied", "failed"}[s]
}

// maxNames is how many host names of an address are looked at. Crawlers have
// one.
const maxNames = 4

// lookUp asks DNS for the names of an address, and for the addresses of the
// first that an operator has. An error is one that says nothing; with one
// the address may be confirmed all the same.
func (v *verifier) lookUp(ctx context.Context, a netip.Addr) (f finding, name string, err error) {
	ctx, cancel := context.WithTimeout(ctx, v.Timeout)
	defer cancel()
	names, err := v.Resolver.LookupAddr(ctx, a.String())
	if len(names) == 0 && err != nil && !notFound(err) {
		return finding{state: failed}, "", err
	}
	err = nil
	for _, n := range names[:min(len(names), maxNames)] {
		name = strings.ToLower(strings.TrimSuffix(n, ".")) + "." // absolute: no search domain is tried
		i := slices.IndexFunc(v.operators, func(o operator) bool { return o.named(name) })
		if i < 0 {
			continue
		}
		has, e := v.has(ctx, name, a)
		if has {
			return finding{confirmed, i}, name, nil
		}
		err = errors.Join(err, e)
	}
	if err != nil {
		return finding{state: failed}, name, err
	}
	return finding{state: denied}, name, nil
}

// has reports whether a host name has an address.
func (v *verifier) has(ctx context.Context, name string, a netip.Addr) (bool, error) {
	network := "ip6"
	if a.Is4() {
		network = "ip4"
	}
	addrs, err := v.Resolver.LookupNetIP(ctx, network, name)
	if slices.ContainsFunc(addrs, func(b netip.Addr) bool { return b.Unmap() == a }) {
		return true, nil
	}
	if err != nil && !notFound(err) {
		return false, err
	}
	return false, nil
}

// notFound reports whether DNS says that there is no such name.
func notFound(err error) bool {
	e, ok := errors.AsType[*net.DNSError](err)
	return ok && e.IsNotFound && !e.IsTimeout
}
