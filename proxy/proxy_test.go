package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/config"
	"gatehouse/health"
)

// closer is what tests attach.
type closer struct {
	backend string
	closed  atomic.Int32
}

func (c *closer) Close() error {
	c.closed.Add(1)
	return nil
}

// attachments records what was attached.
type attachments struct {
	mu  sync.Mutex
	all []*closer
}

func (a *attachments) attach(b *Backend) io.Closer {
	c := &closer{backend: b.Name()}
	a.mu.Lock()
	a.all = append(a.all, c)
	a.mu.Unlock()
	return c
}

// open lists the backends whose attachments are open, and fails if one was
// closed twice.
func (a *attachments) open(t *testing.T) []string {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	var names []string
	for _, c := range a.all {
		switch c.closed.Load() {
		case 0:
			names = append(names, c.backend)
		case 1:
		default:
			t.Errorf("attachment of %s closed %d times", c.backend, c.closed.Load())
		}
	}
	slices.Sort(names)
	return names
}

// zone is a resolver that answers from a map.
type zone struct {
	mu    sync.Mutex
	names map[string][]string
	asked int
}

func (z *zone) set(name string, addrs ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.names[name] = addrs
}

func (z *zone) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked++
	addrs, ok := z.names[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var all []netip.Addr
	for _, a := range addrs {
		all = append(all, netip.MustParseAddr(a))
	}
	return all, nil
}

func targets(hosts ...string) []config.Target {
	var all []config.Target
	for _, h := range hosts {
		all = append(all, config.Target{Host: h, Weight: 1})
	}
	return all
}

// options are those of a pool with targets; more may be set.
func options(hosts ...string) Options {
	return Options{
		Name:        "shop",
		Settings:    "plain",
		Targets:     targets(hosts...),
		DefaultPort: 80,
		Drain:       30 * time.Second,
		Drains:      NewDrains(),
		Logger:      slog.New(slog.DiscardHandler),
	}
}

// commit builds and commits a pool, and closes it when the test ends, unless
// another has taken it over.
func commit(t *testing.T, o Options, prev *Pool) *Pool {
	t.Helper()
	p, err := NewPool(o, prev)
	if err != nil {
		t.Fatal(err)
	}
	p.Commit()
	return p
}

func drainNamed(p *Pool, name string) int { return p.opts.Drains.Drain(name, p) }

func undrain(p *Pool, name string) int {
	back, _ := p.opts.Drains.Undrain(name, p)
	return back
}

func closePool(t *testing.T, p *Pool) {
	t.Helper()
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// serving lists whom n picks go to, each once, sorted.
func serving(t *testing.T, p *Pool) []string {
	t.Helper()
	seen := map[string]bool{}
	for range 200 {
		b, err := p.Acquire(nil)
		if err != nil {
			break
		}
		b.End()
		seen[b.Name()] = true
	}
	var names []string
	for n := range seen {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func wantServing(t *testing.T, p *Pool, want ...string) {
	t.Helper()
	if got := serving(t, p); !slices.Equal(got, want) {
		t.Errorf("requests go to %v, want %v", got, want)
	}
}

func acquire(t *testing.T, p *Pool) *Backend {
	t.Helper()
	b, err := p.Acquire(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// one is the backend of that name.
func one(t *testing.T, p *Pool, name string) *Backend {
	t.Helper()
	for range 1000 {
		if b, err := p.Pick(nil); err == nil && b.Name() == name {
			return b
		}
	}
	t.Fatalf("%s is never picked", name)
	return nil
}

func stateOf(t *testing.T, p *Pool, name string) BackendStatus {
	t.Helper()
	for _, s := range p.Status().Backends {
		if s.Name == name {
			return s
		}
	}
	return BackendStatus{State: 255, Reason: "not listed"}
}

func TestPickErrorsSayWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{names: map[string][]string{}}
		unresolved := options("app.internal", "b.internal")
		unresolved.Resolver = z
		limited := options("10.0.0.4")
		limited.MaxConnections = 1
		tests := []struct {
			name    string
			options Options
			do      func(p *Pool) *Backend // returns whom to exclude
			want    error
			text    string
		}{
			{"no targets", options(), nil, ErrEmpty, "pool is empty"},
			{"name not found", unresolved, nil, ErrUnresolved, "name not resolved yet: app.internal: no such host (and 1 more)"},
			{"drained", options("10.0.0.4"), func(p *Pool) *Backend { drainNamed(p, "10.0.0.4"); synctest.Wait(); return nil }, ErrUnusable, "no healthy member: 1 draining"},
			{"full", limited, func(p *Pool) *Backend { acquire(t, p); return nil }, ErrBusy, "all members at their limit"},
			{"nobody else", options("10.0.0.4"), func(p *Pool) *Backend { return one(t, p, "10.0.0.4:80") }, ErrNoOther, "no other healthy member"},
			{"closed", options("10.0.0.4"), func(p *Pool) *Backend { closePool(t, p); return nil }, ErrClosed, "pool is closed"},
		}
		for _, tt := range tests {
			p := commit(t, tt.options, nil)
			synctest.Wait()
			var exclude *Backend
			if tt.do != nil {
				exclude = tt.do(p)
			}
			for name, pick := range map[string]func(*Backend) (*Backend, error){"Pick": p.Pick, "Acquire": p.Acquire} {
				b, err := pick(exclude)
				if b != nil || !errors.Is(err, tt.want) || err.Error() != tt.text {
					t.Errorf("%s: %s: %v, %v; want %q", tt.name, name, b, err, tt.text)
				}
			}
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			p.Close(ctx)
		}
	})
}

func TestNewPoolRefusesWhatItCannotServe(t *testing.T) {
	bad := options("10.0.0.4")
	bad.DefaultPort = 0
	noAddress := options("")
	badProbe := options()
	badProbe.Probe = &Probe{}
	other := options()
	other.Name = "images"
	prev := commit(t, options(), nil)
	defer closePool(t, prev)
	for name, o := range map[string]Options{"port": bad, "address": noAddress, "probe": badProbe, "other pool": other} {
		if _, err := NewPool(o, prev); err == nil || !strings.HasPrefix(err.Error(), `pool "`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBuildingChangesNothing(t *testing.T) {
	var a attachments
	o := options("10.0.0.4")
	o.Attach = a.attach
	p := commit(t, o, nil)
	defer closePool(t, p)
	o.Targets = targets("10.0.0.5")
	if _, err := NewPool(o, p); err != nil {
		t.Fatal(err)
	}
	wantServing(t, p, "10.0.0.4:80")
	if got := a.open(t); !slices.Equal(got, []string{"10.0.0.4:80"}) {
		t.Errorf("attached: %v", got)
	}
}

func TestWeightsAndMethodsApply(t *testing.T) {
	for name, balance := range map[string]config.Balance{"roundRobin": config.RoundRobin, "leastRequests": config.LeastRequests} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.Balance = balance
			o.Targets = []config.Target{{Host: "10.0.0.4", Weight: 3}, {Host: "10.0.0.5", Port: 81}, {Unix: "/run/app.sock", Weight: 2}}
			p := commit(t, o, nil)
			defer closePool(t, p)
			counts := map[string]int{}
			for range 600 {
				b := acquire(t, p)
				counts[b.Name()]++
				b.End()
			}
			if counts["10.0.0.4:80"] != 300 || counts["10.0.0.5:81"] != 100 || counts["unix:/run/app.sock"] != 200 {
				t.Error(counts)
			}
		})
	}
}

func TestLeastRequestsFollowsWhatIsInFlight(t *testing.T) {
	o := options("10.0.0.4", "10.0.0.5")
	o.Balance = config.LeastRequests
	p := commit(t, o, nil)
	first := acquire(t, p)
	second := acquire(t, p)
	if first == second {
		t.Fatal("the second request went to the busy backend")
	}
	second.End()
	for range 5 {
		if b := acquire(t, p); b != second {
			t.Fatal("a request went to the busy backend")
		}
		second.End()
	}
	first.End()
	closePool(t, p)
}

func TestMaxConnectionsIsNeverExceeded(t *testing.T) {
	o := options("10.0.0.4", "10.0.0.5")
	o.MaxConnections = 3
	p := commit(t, o, nil)
	inFlight := map[string]*atomic.Int64{"10.0.0.4:80": {}, "10.0.0.5:80": {}}
	var over, served atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 3000 {
				b, err := p.Acquire(nil)
				if err != nil {
					if !errors.Is(err, ErrBusy) {
						t.Error(err)
					}
					continue
				}
				served.Add(1)
				if inFlight[b.Name()].Add(1) > 3 {
					over.Add(1)
				}
				runtime.Gosched()
				inFlight[b.Name()].Add(-1)
				b.End()
			}
		})
	}
	wg.Wait()
	var total uint64
	for _, s := range p.Status().Backends {
		total += s.Requests
		if s.InFlight != 0 {
			t.Errorf("%s has %d in flight", s.Name, s.InFlight)
		}
	}
	if int64(total) != served.Load() || over.Load() > 0 {
		t.Errorf("%d requests counted, %d served, %d over the limit", total, served.Load(), over.Load())
	}
	held := 0
	for {
		if _, err := p.Acquire(nil); err != nil {
			break
		}
		held++
	}
	if held != 6 {
		t.Errorf("%d requests in flight at 2 backends of 3", held)
	}
	if b := p.live.order[0]; b.Begin() {
		t.Error("Begin at the limit")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p.Close(ctx)
}

// TestBeginIsExactUnderContention asks without picking first, so that many
// are refused: a request that is refused must not make room.
func TestBeginIsExactUnderContention(t *testing.T) {
	o := options("10.0.0.4")
	o.MaxConnections = 2
	p := commit(t, o, nil)
	b := one(t, p, "10.0.0.4:80")
	var inFlight, over atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20000 {
				if !b.Begin() {
					continue
				}
				if inFlight.Add(1) > 2 {
					over.Add(1)
				}
				runtime.Gosched()
				inFlight.Add(-1)
				b.End()
			}
		})
	}
	wg.Wait()
	if n := over.Load(); n > 0 || b.InFlight() != 0 {
		t.Errorf("%d times over the limit; %d in flight at the end", n, b.InFlight())
	}
	closePool(t, p)
}

func TestTokensAgreeAndAreBelievedOnlyIfKnown(t *testing.T) {
	secret := []byte("a secret of the installation")
	o := options("10.0.0.4", "10.0.0.5")
	o.AffinitySecret = secret
	p := commit(t, o, nil)
	o.Targets = targets("10.0.0.9", "10.0.0.5", "10.0.0.4") // another instance, another order
	other := commit(t, o, nil)
	b := one(t, p, "10.0.0.5:80")
	if len(b.Token()) != 22 || strings.ContainsAny(b.Token(), "+/=; ,") {
		t.Errorf("token %q", b.Token())
	}
	if got := other.ByToken([]byte(b.Token())); got == nil || got.Name() != b.Name() {
		t.Errorf("the other instance finds %v", got)
	}
	if p.ByToken([]byte(one(t, other, "10.0.0.9:80").Token())) != nil {
		t.Error("a member of another pool is found")
	}
	for _, forged := range []string{"", "x", "10.0.0.5:80", strings.Repeat("A", 22), b.Token() + "=", strings.ToUpper(b.Token())} {
		if p.ByToken([]byte(forged)) != nil {
			t.Errorf("%q is believed", forged)
		}
	}
	o.AffinitySecret = []byte("another secret")
	third := commit(t, o, nil)
	secretless := commit(t, options("10.0.0.4"), nil)
	if b := secretless.ByToken(nil); b != nil {
		t.Error("no token leads to a backend")
	}
	closePool(t, secretless)
	if third.ByToken([]byte(b.Token())) != nil {
		t.Error("the token of another secret is believed")
	}
	o.AffinitySecret, o.Name = secret, "images"
	fourth := commit(t, o, nil)
	if fourth.ByToken([]byte(b.Token())) != nil {
		t.Error("the token of another pool is believed")
	}
	for _, p := range []*Pool{p, other, third, fourth} {
		closePool(t, p)
	}
}

func TestTokensSurviveReloadAndGrowthAndFollowTheSecret(t *testing.T) {
	o := options("10.0.0.4")
	o.AffinitySecret = []byte("one")
	p := commit(t, o, nil)
	b := one(t, p, "10.0.0.4:80")
	token := []byte(b.Token())
	o.Targets = targets("10.0.0.3", "10.0.0.4", "10.0.0.5")
	p = commit(t, o, p)
	if p.ByToken(token) != b {
		t.Error("lost when the pool grew")
	}
	drainNamed(p, "10.0.0.4")
	if p.ByToken(token) != nil {
		t.Error("leads to a drained backend")
	}
	undrain(p, "10.0.0.4")
	if p.ByToken(token) != b {
		t.Error("lost by undrain")
	}
	o.AffinitySecret = []byte("two")
	p = commit(t, o, p)
	if p.ByToken(token) != nil || p.ByToken([]byte(b.Token())) != b {
		t.Error("tokens do not follow the secret")
	}
	closePool(t, p)
}

func TestReloadKeepsWhatIsTheSameAndDrainsWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a attachments
		o := options("10.0.0.4", "10.0.0.5", "10.0.0.6")
		o.Attach = a.attach
		old := commit(t, o, nil)
		stays, busy := one(t, old, "10.0.0.4:80"), one(t, old, "10.0.0.5:80")
		stays.Begin()
		busy.Begin()
		kept := stays.Attached()

		o.Targets = targets("10.0.0.4", "10.0.0.7")
		o.Targets[0].Weight = 7
		p := commit(t, o, old)
		synctest.Wait()
		wantServing(t, p, "10.0.0.4:80", "10.0.0.7:80")
		wantServing(t, old, "10.0.0.4:80", "10.0.0.7:80") // who still holds the old pool
		if b := one(t, p, "10.0.0.4:80"); b != stays || b.Attached() != kept || b.InFlight() != 1 || b.Weight() != 7 {
			t.Errorf("the backend that stays is %+v", b.State())
		}
		if busy.Begin() {
			t.Error("a removed backend takes a request")
		}
		if s := stateOf(t, p, "10.0.0.5:80"); s.State != Draining || s.Reason != "removed" || s.InFlight != 1 {
			t.Errorf("%+v", s)
		}
		if got := a.open(t); !slices.Equal(got, []string{"10.0.0.4:80", "10.0.0.5:80", "10.0.0.7:80"}) {
			t.Errorf("open while one drains: %v", got)
		}
		busy.End()
		synctest.Wait()
		if got := a.open(t); !slices.Equal(got, []string{"10.0.0.4:80", "10.0.0.7:80"}) {
			t.Errorf("open when it is drained: %v", got)
		}
		if s := stateOf(t, p, "10.0.0.5:80"); s.Reason != "not listed" {
			t.Errorf("%+v", s)
		}
		closePool(t, old) // taken over: nothing happens
		wantServing(t, p, "10.0.0.4:80", "10.0.0.7:80")
		stays.End()
		closePool(t, p)
		if got := a.open(t); len(got) != 0 {
			t.Errorf("open after Close: %v", got)
		}
	})
}

// TestReplacingEveryMemberRefusesNobody swaps the only member for another
// while requests are made as fast as can be.
func TestReplacingEveryMemberRefusesNobody(t *testing.T) {
	var current atomic.Pointer[Pool]
	current.Store(commit(t, options("10.0.0.4"), nil))
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				b, err := current.Load().Acquire(nil)
				if err != nil {
					t.Errorf("no backend: %v", err)
					return
				}
				b.End()
			}
		})
	}
	hosts := []string{"10.0.0.4", "10.0.0.5"}
	for i := range 2000 {
		current.Store(commit(t, options(hosts[i%2]), current.Load()))
	}
	close(stop)
	clients.Wait()
	closePool(t, current.Load())
}

func TestOtherSettingsMakeAnotherBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a attachments
		o := options("10.0.0.4")
		o.Attach = a.attach
		o.Fingerprint = Fingerprint(config.BackendSettings{})
		p := commit(t, o, nil)
		before := one(t, p, "10.0.0.4:80")
		o.Fingerprint = Fingerprint(config.BackendSettings{Protocol: config.BackendHTTPS})
		p = commit(t, o, p)
		synctest.Wait()
		if after := one(t, p, "10.0.0.4:80"); after == before || after.Attached() == before.Attached() {
			t.Error("connections of the old settings are used under the new")
		}
		closePool(t, p)
		if got := a.open(t); len(a.all) != 2 || len(got) != 0 {
			t.Errorf("%d attached, open %v", len(a.all), got)
		}
	})
}

func TestTheDrainDeadlineCutsWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a attachments
		o := options("10.0.0.4", "10.0.0.5")
		o.Attach = a.attach
		p := commit(t, o, nil)
		b := one(t, p, "10.0.0.4:80")
		b.Begin()
		o.Targets = targets("10.0.0.5")
		p = commit(t, o, p)
		time.Sleep(30*time.Second - time.Millisecond)
		synctest.Wait()
		if got := a.open(t); len(got) != 2 {
			t.Errorf("cut too early: open are %v", got)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if got := a.open(t); !slices.Equal(got, []string{"10.0.0.5:80"}) {
			t.Errorf("after the deadline open are %v", got)
		}
		if b.Attached() == nil {
			t.Error("a request in flight lost its attachment")
		}
		b.End()
		closePool(t, p)
	})
}

func TestABackendThatComesBackWhileItDrainsIsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a attachments
		o := options("10.0.0.4")
		o.Attach = a.attach
		p := commit(t, o, nil)
		b := acquire(t, p)
		o.Targets = nil
		p = commit(t, o, p)
		time.Sleep(20 * time.Second)
		o.Targets = targets("10.0.0.4")
		p = commit(t, o, p)
		if one(t, p, "10.0.0.4:80") != b {
			t.Error("it is another")
		}
		if n := len(p.Status().Backends); n != 1 {
			t.Errorf("listed %d times", n)
		}
		time.Sleep(time.Minute) // the old deadline must not cut
		wantServing(t, p, "10.0.0.4:80")
		if got := a.open(t); len(got) != 1 || len(a.all) != 1 {
			t.Errorf("open %v of %d", got, len(a.all))
		}
		b.End()
		closePool(t, p)
	})
}

func TestOperatorsDrainAndUndrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a attachments
		o := options("10.0.0.4", "10.0.0.5")
		o.Attach = a.attach
		p := commit(t, o, nil)
		b := one(t, p, "10.0.0.4:80")
		b.Begin()
		if n := drainNamed(p, "10.9.9.9:80"); n != 0 {
			t.Errorf("an unknown name means %d backends", n)
		}
		if n := drainNamed(p, "10.0.0.4:80"); n != 1 {
			t.Errorf("the name means %d backends", n)
		}
		synctest.Wait()
		wantServing(t, p, "10.0.0.5:80")
		if s := stateOf(t, p, "10.0.0.4:80"); s.State != Draining || s.Reason != "drained by an operator" {
			t.Errorf("%+v", s)
		}
		b.End()
		synctest.Wait()
		if s := stateOf(t, p, "10.0.0.4:80"); s.State != Drained {
			t.Errorf("%+v", s)
		}
		if got := a.open(t); !slices.Equal(got, []string{"10.0.0.5:80"}) {
			t.Errorf("open: %v", got)
		}
		p = commit(t, o, p)
		wantServing(t, p, "10.0.0.5:80")
		if n := undrain(p, "10.0.0.4"); n != 1 {
			t.Errorf("%d came back", n)
		}
		wantServing(t, p, "10.0.0.4:80", "10.0.0.5:80")
		if got := a.open(t); len(got) != 2 || len(a.all) != 3 {
			t.Errorf("open: %v of %d", got, len(a.all))
		}
		// The wish is revoked under another name than it was made.
		o.Targets = targets("10.0.0.5")
		p = commit(t, o, p)
		synctest.Wait()
		o.Targets = targets("10.0.0.4", "10.0.0.5")
		p = commit(t, o, p)
		wantServing(t, p, "10.0.0.4:80", "10.0.0.5:80")
		closePool(t, p)
	})
}

func TestChangesOfMindLeaveNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := commit(t, options("10.0.0.4", "10.0.0.5"), nil)
		b := one(t, p, "10.0.0.4:80")
		b.Begin()
		before := runtime.NumGoroutine()
		for range 100 {
			drainNamed(p, "10.0.0.4")
			synctest.Wait()
			undrain(p, "10.0.0.4")
		}
		synctest.Wait()
		if after := runtime.NumGoroutine(); after > before+20 { // other tests may have left some that end
			t.Errorf("%d goroutines, %d before", after, before)
		}
		b.End()
		closePool(t, p)
	})
}

func TestADrainedNameStaysDrainedAtNewAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{names: map[string][]string{"app.internal": {"10.0.0.4"}}}
		o := options("app.internal", "10.0.0.9")
		o.Resolver = z
		p := commit(t, o, nil)
		synctest.Wait()
		drainNamed(p, "app.internal:80")
		z.set("app.internal", "10.0.0.5")
		time.Sleep(time.Minute)
		wantServing(t, p, "10.0.0.9:80")
		if s := stateOf(t, p, "10.0.0.5:80"); s.State != Drained {
			t.Errorf("%+v", s)
		}
		undrain(p, "app.internal")
		wantServing(t, p, "10.0.0.5:80", "10.0.0.9:80")
		closePool(t, p)
	})
}

func TestConnectFailuresEjectForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		o := options("10.0.0.4", "10.0.0.5")
		o.AffinitySecret = []byte("s")
		o.Ejection = config.Ejection{ConnectFailures: 3, Time: 10 * time.Second}
		p := commit(t, o, nil)
		b := one(t, p, "10.0.0.4:80")
		b.ConnectFailed(refused)
		b.ConnectFailed(refused)
		b.ConnectOK()
		b.ConnectFailed(refused)
		b.ConnectFailed(refused)
		wantServing(t, p, "10.0.0.4:80", "10.0.0.5:80") // never three in a row
		b.ConnectFailed(refused)
		wantServing(t, p, "10.0.0.5:80")
		if p.ByToken([]byte(b.Token())) != nil {
			t.Error("affinity leads to an ejected backend")
		}
		if s := b.State(); s.State != Ejected || s.Reason != "3 connect failures: connect refused" {
			t.Errorf("%+v", s)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		wantServing(t, p, "10.0.0.4:80", "10.0.0.5:80")
		b.ConnectFailed(refused) // one more is enough
		wantServing(t, p, "10.0.0.5:80")
		b.ConnectOK()
		wantServing(t, p, "10.0.0.4:80", "10.0.0.5:80")
		time.Sleep(time.Minute)

		// If everybody is ejected, everybody is used.
		c := one(t, p, "10.0.0.5:80")
		for range 3 {
			b.ConnectFailed(refused)
			c.ConnectFailed(refused)
		}
		wantServing(t, p, "10.0.0.4:80", "10.0.0.5:80")
		if s := c.State(); s.State != Ejected || !strings.Contains(s.Reason, "for want of others") {
			t.Errorf("%+v", s)
		}
		b.ConnectOK() // one is well: the other is out again
		wantServing(t, p, "10.0.0.4:80")
		closePool(t, p)
	})
}

// One may always be out, more only up to the share.
func TestEjectionsAreBounded(t *testing.T) {
	for share, want := range map[int]int{0: 4, 100: 4, 75: 3, 74: 2, 1: 1} {
		o := options("10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7")
		o.Ejection = config.Ejection{ConnectFailures: 1, Time: time.Hour, MaxShare: share}
		p := commit(t, o, nil)
		for range 2 {
			for _, b := range p.live.order {
				b.ConnectFailed(syscall.ECONNREFUSED)
			}
		}
		out := 0
		for _, s := range p.Status().Backends {
			if s.State == Ejected {
				out++
			}
		}
		if out != want {
			t.Errorf("%d %%: %d of 4 are ejected, want %d", share, out, want)
		}
		closePool(t, p)
	}
}

func TestRetriesHaveABudget(t *testing.T) {
	for _, tt := range []struct{ inFlight, share, want int }{
		{0, 20, 3}, {0, 0, 3}, {14, 20, 3}, {19, 20, 4}, {99, 20, 20}, {99, 0, 3}, {9, 100, 10},
	} {
		p := commit(t, options("10.0.0.4", "10.0.0.5"), nil)
		for range tt.inFlight {
			defer acquire(t, p).End()
		}
		for round := range 2 {
			got := 0
			for p.BeginRetry(tt.share) {
				got++
			}
			if got != tt.want {
				t.Errorf("%d in flight, %d %%: %d retries, want %d", tt.inFlight, tt.share, got, tt.want)
			}
			for range got {
				p.EndRetry()
			}
			if n := p.Status().RetriesOverBudget; n != uint64(round+1) {
				t.Errorf("%d were refused, want %d", n, round+1)
			}
		}
	}
}

func TestEjectionMayBeOff(t *testing.T) {
	p := commit(t, options("10.0.0.4", "10.0.0.5"), nil)
	defer closePool(t, p)
	b := one(t, p, "10.0.0.4:80")
	for range 1000 {
		b.ConnectFailed(syscall.ECONNREFUSED)
	}
	wantServing(t, p, "10.0.0.4:80", "10.0.0.5:80")
}

func TestNamesBecomeMembersAndFollowTheirAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a attachments
		z := &zone{names: map[string][]string{"app.internal": {"10.0.0.5", "10.0.0.4", "::ffff:10.0.0.4", "0.0.0.0"}}}
		o := options("app.internal")
		o.Targets[0].Weight = 3
		o.Resolver, o.Resolve, o.Attach = z, 30*time.Second, a.attach
		p := commit(t, o, nil)
		synctest.Wait()
		wantServing(t, p, "10.0.0.4:80", "10.0.0.5:80")
		b := one(t, p, "10.0.0.4:80")
		if b.Target() != "app.internal" || b.Weight() != 3 {
			t.Errorf("target %q, weight %d", b.Target(), b.Weight())
		}
		b.Begin()
		z.set("app.internal", "10.0.0.5", "10.0.0.6")
		time.Sleep(34 * time.Second)
		synctest.Wait()
		wantServing(t, p, "10.0.0.5:80", "10.0.0.6:80")
		if s := stateOf(t, p, "10.0.0.4:80"); s.State != Draining {
			t.Errorf("%+v", s)
		}
		b.End()
		synctest.Wait()
		if got := a.open(t); !slices.Equal(got, []string{"10.0.0.5:80", "10.0.0.6:80"}) {
			t.Errorf("open: %v", got)
		}
		// A name that fails, or says nothing, keeps what it had.
		z.mu.Lock()
		delete(z.names, "app.internal")
		z.mu.Unlock()
		time.Sleep(time.Hour)
		wantServing(t, p, "10.0.0.5:80", "10.0.0.6:80")
		if n := p.Status().Names[0]; n.Reason != "no such host" || n.Addresses != 2 || time.Since(n.Resolved) < 59*time.Minute {
			t.Errorf("%+v", n)
		}
		z.set("app.internal")
		time.Sleep(time.Minute)
		wantServing(t, p, "10.0.0.5:80", "10.0.0.6:80")
		if n := p.Status().Names[0]; n.Reason != "no addresses" {
			t.Errorf("%+v", n)
		}
		closePool(t, p)
	})
}

func TestANameNeverFoundIsTriedSoonAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{names: map[string][]string{}}
		o := options("app.internal")
		o.Resolver, o.Resolve = z, time.Hour
		p := commit(t, o, nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if z.asked < 4 || z.asked > 5 {
			t.Errorf("asked %d times in 10 s, want at 0, 1, 3, 7", z.asked)
		}
		z.set("app.internal", "10.0.0.4")
		time.Sleep(10 * time.Second)
		wantServing(t, p, "10.0.0.4:80")
		closePool(t, p)
	})
}

func TestANameThatIsGoneIsAskedForNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{names: map[string][]string{"app.internal": {"10.0.0.4"}}}
		o := options("app.internal")
		o.Resolver = z
		p := commit(t, o, nil)
		synctest.Wait()
		asked := z.asked
		o.Targets = targets("10.0.0.5")
		p = commit(t, o, p)
		time.Sleep(time.Hour)
		synctest.Wait()
		if z.asked != asked {
			t.Errorf("asked %d times more", z.asked-asked)
		}
		closePool(t, p)
	})
}

func TestPrepareFindsNamesBeforeCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{names: map[string][]string{"a.internal": {"10.0.0.4"}, "b.internal": {"10.0.0.5"}}}
		o := options("a.internal", "b.internal", "missing.internal")
		o.Resolver = z
		p, err := NewPool(o, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.Prepare(context.Background())
		p.Commit()
		wantServing(t, p, "10.0.0.4:80", "10.0.0.5:80") // without waiting
		asked := z.asked
		next, err := NewPool(o, p)
		if err != nil {
			t.Fatal(err)
		}
		next.Prepare(context.Background())
		if z.asked != asked+1 {
			t.Errorf("asked for %d names, want the missing one", z.asked-asked)
		}
		next.Commit()
		wantServing(t, next, "10.0.0.4:80", "10.0.0.5:80")
		closePool(t, next)
	})
}

func TestANameHasABoundedNumberOfAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var many []string
		a := netip.MustParseAddr("10.1.0.1")
		for range 1000 {
			many = append(many, a.String())
			a = a.Next()
		}
		o := options("app.internal")
		o.Resolver = &zone{names: map[string][]string{"app.internal": many}}
		p := commit(t, o, nil)
		synctest.Wait()
		if n := len(p.Status().Backends); n != maxAddresses {
			t.Errorf("%d members", n)
		}
		closePool(t, p)
	})
}

// verdict is a checker that answers as told, by backend.
type verdict struct {
	mu  sync.Mutex
	bad map[string]error
}

func (v *verdict) set(name string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.bad[name] = err
}

func (v *verdict) probe(table *health.Table) *Probe {
	return &Probe{
		Table:  table,
		Policy: health.Policy{Interval: 10 * time.Second, UnhealthyThreshold: 2},
		Checker: func(b *Backend) health.Checker {
			return checkFunc(func() error {
				v.mu.Lock()
				defer v.mu.Unlock()
				return v.bad[b.Name()]
			})
		},
	}
}

type checkFunc func() error

func (f checkFunc) Check(context.Context) error { return f() }

// runTable runs a table until the function it returns is called.
func runTable(table *health.Table) func() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		table.Run(ctx)
		close(done)
	}()
	return func() {
		cancel()
		<-done
	}
}

// One failed probe decides nothing, and must not read as if it did.
func TestTheReasonSaysThatAFailedProbeDidNotDecide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := health.NewTable(health.Options{})
		defer runTable(table)()
		refused := errors.New("connect refused")
		v := &verdict{bad: map[string]error{"10.0.0.4:80": refused}}
		o := options("10.0.0.4", "10.0.0.5")
		o.Probe = v.probe(table)
		p := commit(t, o, nil)
		time.Sleep(2 * time.Second)
		if s := stateOf(t, p, "10.0.0.4:80"); s.State != Unknown || s.Reason != "last probe failed: connect refused" {
			t.Errorf("untried: %+v", s)
		}
		v.set("10.0.0.5:80", refused)
		time.Sleep(time.Minute)
		if s := stateOf(t, p, "10.0.0.5:80"); s.State != Unhealthy || s.Reason != "connect refused" {
			t.Errorf("unhealthy: %+v", s)
		}
		if s := stateOf(t, p, "10.0.0.4:80"); s.State != Unhealthy || s.Reason != "connect refused" {
			t.Errorf("unhealthy from the start: %+v", s)
		}
		v.set("10.0.0.5:80", nil)
		time.Sleep(time.Minute)
		v.set("10.0.0.5:80", refused)
		for range 20 {
			time.Sleep(time.Second)
			if s := stateOf(t, p, "10.0.0.5:80"); s.Reason != "" {
				if s.State != Healthy || s.Reason != "last probe failed: connect refused" {
					t.Errorf("healthy: %+v", s)
				}
				return
			}
		}
		t.Error("no probe failed")
	})
}

func TestProbesTakeMembersOutAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := health.NewTable(health.Options{})
		defer runTable(table)()
		v := &verdict{bad: map[string]error{}}
		o := options("10.0.0.4", "10.0.0.5")
		o.Probe = v.probe(table)
		p := commit(t, o, nil)
		if s := stateOf(t, p, "10.0.0.4:80"); s.State != Unknown || s.Reason != "no probe has ended yet" {
			t.Errorf("%+v", s)
		}
		wantServing(t, p, "10.0.0.4:80", "10.0.0.5:80") // the untried are used
		time.Sleep(2 * time.Second)
		if s := stateOf(t, p, "10.0.0.4:80"); s.State != Healthy || s.Reason != "" {
			t.Errorf("%+v", s)
		}
		v.set("10.0.0.4:80", errors.New("status 503 not in 200-399"))
		time.Sleep(23 * time.Second)
		wantServing(t, p, "10.0.0.5:80")
		if s := stateOf(t, p, "10.0.0.4:80"); s.State != Unhealthy || s.Reason != "status 503 not in 200-399" {
			t.Errorf("%+v", s)
		}
		// A reload keeps the verdict, and the schedule.
		for range 30 {
			p = commit(t, o, p)
			wantServing(t, p, "10.0.0.5:80")
			time.Sleep(time.Second)
		}
		v.set("10.0.0.5:80", errors.New("connect refused"))
		time.Sleep(25 * time.Second)
		if _, err := p.Pick(nil); !errors.Is(err, ErrUnusable) || !strings.HasPrefix(err.Error(), "no healthy member: 2 unhealthy (") {
			t.Errorf("%v", err)
		}
		v.set("10.0.0.4:80", nil)
		for range 12 { // reloads in between do not keep probes from running
			time.Sleep(time.Second)
			p = commit(t, o, p)
		}
		wantServing(t, p, "10.0.0.4:80")
		o.Probe = nil // no probes, no verdicts
		p = commit(t, o, p)
		wantServing(t, p, "10.0.0.4:80", "10.0.0.5:80")
		closePool(t, p)
	})
}

func TestReloadChangesTheProbeAndEndsThoseOfTheGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := health.NewTable(health.Options{})
		defer runTable(table)()
		var asked sync.Map
		good, bad := &verdict{bad: map[string]error{}}, &verdict{bad: map[string]error{"10.0.0.4:80": errors.New("x")}}
		o := options("10.0.0.4", "10.0.0.5")
		o.Probe = good.probe(table)
		p := commit(t, o, nil)
		time.Sleep(2 * time.Second)
		o.Probe = bad.probe(table)
		checker := o.Probe.Checker
		o.Probe.Checker = func(b *Backend) health.Checker {
			c := checker(b)
			return checkFunc(func() error {
				asked.Store(b.Name(), time.Now())
				return c.Check(context.Background())
			})
		}
		p = commit(t, o, p)
		wantServing(t, p, "10.0.0.4:80", "10.0.0.5:80") // the verdict so far stands
		time.Sleep(25 * time.Second)
		wantServing(t, p, "10.0.0.5:80")
		o.Targets = targets("10.0.0.4")
		p = commit(t, o, p)
		removed := time.Now()
		time.Sleep(time.Minute)
		synctest.Wait()
		if at, ok := asked.Load("10.0.0.5:80"); !ok || at.(time.Time).After(removed) {
			t.Errorf("the removed backend was probed at %v", at)
		}
		if at, _ := asked.Load("10.0.0.4:80"); !at.(time.Time).After(removed) {
			t.Error("the other was not")
		}
		closePool(t, p)
	})
}

func TestStartUnhealthyKeepsTheUntriedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := health.NewTable(health.Options{})
		defer runTable(table)()
		v := &verdict{bad: map[string]error{"10.0.0.5:80": errors.New("x")}}
		o := options("10.0.0.4", "10.0.0.5")
		o.Probe = v.probe(table)
		o.Probe.Policy.StartUnhealthy = true
		p := commit(t, o, nil)
		wantServing(t, p)
		time.Sleep(2 * time.Second)
		wantServing(t, p, "10.0.0.4:80")
		closePool(t, p)
	})
}

func TestCloseWaitsForWhatIsInFlightAndNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a attachments
		o := options("10.0.0.4")
		o.Attach = a.attach
		p := commit(t, o, nil)
		b := acquire(t, p)
		begun := time.Now()
		time.AfterFunc(5*time.Second, b.End)
		closePool(t, p)
		if took := time.Since(begun); took != 5*time.Second {
			t.Errorf("closed after %v", took)
		}
		closePool(t, p) // again does no harm

		p = commit(t, o, nil)
		b = acquire(t, p)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		begun = time.Now()
		if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(begun); took != 3*time.Second || len(a.open(t)) != 0 {
			t.Errorf("closed after %v, open are %v", took, a.open(t))
		}
		b.End()
	})
}

func TestANewPoolAfterACloseIsItsOwn(t *testing.T) {
	p := commit(t, options("10.0.0.4"), nil)
	closePool(t, p)
	next := commit(t, options("10.0.0.4"), p)
	wantServing(t, next, "10.0.0.4:80")
	closePool(t, next)
}

func TestStatusListsEverybodyInOrder(t *testing.T) {
	p := commit(t, options("10.0.0.9", "10.0.0.4", "10.0.0.5"), nil)
	defer closePool(t, p)
	var names []string
	for _, s := range p.Status().Backends {
		names = append(names, s.Name)
	}
	if want := []string{"10.0.0.9:80", "10.0.0.4:80", "10.0.0.5:80"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
}

// TestRandomReloadsUnderLoad reloads, drains, fails and resolves at random
// while requests run: none may fail to find a backend, nothing may be closed
// under a request before its time, and nothing may be left at the end
// (synctest would not return).
func TestRandomReloadsUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := health.NewTable(health.Options{})
		stopTable := runTable(table)
		var a attachments
		z := &zone{names: map[string][]string{"app.internal": {"10.1.0.1"}}}
		v := &verdict{bad: map[string]error{}}
		random := rand.New(rand.NewPCG(7, 7))
		draw := func() Options {
			o := options("10.0.0.1") // always there, and never drained
			for _, h := range []string{"10.0.0.2", "10.0.0.3", "10.0.0.4", "app.internal"} {
				if random.IntN(2) == 0 {
					o.Targets = append(o.Targets, config.Target{Host: h, Weight: 1 + random.IntN(5)})
				}
			}
			random.Shuffle(len(o.Targets), func(i, j int) { o.Targets[i], o.Targets[j] = o.Targets[j], o.Targets[i] })
			o.Balance = config.Balance(random.IntN(2))
			o.Resolver, o.Resolve, o.Attach = z, time.Second, a.attach
			o.AffinitySecret = []byte("s")
			o.Drain = time.Minute
			o.Ejection = config.Ejection{ConnectFailures: 2, Time: time.Second}
			if random.IntN(4) > 0 {
				o.Probe = v.probe(table)
			}
			if random.IntN(10) == 0 {
				o.Fingerprint = "other"
			}
			return o
		}
		var current atomic.Pointer[Pool]
		current.Store(commit(t, draw(), nil))
		stop := make(chan struct{})
		var clients sync.WaitGroup
		for i := range 16 {
			clients.Go(func() { request(t, &current, uint64(i), stop) })
		}
		for i := range 200 {
			p, err := NewPool(draw(), current.Load())
			if err != nil {
				t.Fatal(err)
			}
			if i%7 != 3 { // some are dropped after all
				p.Commit()
				current.Store(p)
			}
			z.set("app.internal", []string{"10.1.0.1", "10.1.0.2", "10.1.0.3"}[:1+random.IntN(3)]...)
			v.set("10.0.0.2:80", []error{nil, errors.New("x")}[random.IntN(2)])
			drainNamed(current.Load(), "10.0.0.3")
			time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
			undrain(current.Load(), "10.0.0.3")
		}
		close(stop)
		clients.Wait()
		closePool(t, current.Load())
		stopTable()
		if got := a.open(t); len(got) != 0 {
			t.Errorf("attachments left open: %v", got)
		}
	})
}

// request sends requests until stop is closed, as a proxy would: the pool is
// loaded first, and used a while later.
func request(t *testing.T, current *atomic.Pointer[Pool], seed uint64, stop <-chan struct{}) {
	random := rand.New(rand.NewPCG(seed, 1))
	pause := func() { time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond) }
	for {
		select {
		case <-stop:
			return
		default:
		}
		p := current.Load()
		pause()
		b, err := p.Acquire(nil)
		if err != nil {
			t.Errorf("no backend: %v", err)
			return
		}
		c := b.Attached().(*closer)
		if random.IntN(5) == 0 {
			b.ConnectFailed(syscall.ECONNREFUSED)
		} else {
			b.ConnectOK()
		}
		pause()
		if c.closed.Load() != 0 {
			t.Errorf("attachment of %s closed under a request", b.Name())
		}
		b.End()
	}
}

func TestTheHotPathAllocatesNothing(t *testing.T) {
	for balance := config.RoundRobin; balance <= config.Hash; balance++ {
		name := balance.String()
		o := options("10.0.0.4", "10.0.0.5", "10.0.0.6")
		o.Balance, o.MaxConnections, o.AffinitySecret = balance, 100, []byte("s")
		o.Attach = new(attachments).attach
		p := commit(t, o, nil)
		first := acquire(t, p)
		first.End()
		token := []byte(first.Token())
		if n := testing.AllocsPerRun(200, func() {
			b, err := p.AcquireFor(7, nil)
			if err != nil || b.Attached().(*closer) == nil {
				t.Fatal(err)
			}
			b.ConnectOK()
			b.Answered(1e9, 1e6)
			b.End()
			if b = p.ByToken(token); b == nil {
				t.Fatal("token unknown")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations per request", name, n)
		}
		closePool(t, p)
	}
}

func BenchmarkAcquire(b *testing.B) {
	for balance := config.RoundRobin; balance <= config.Hash; balance++ {
		b.Run(balance.String(), func(b *testing.B) {
			o := options("10.0.0.4", "10.0.0.5", "10.0.0.6")
			o.Balance = balance
			p, err := NewPool(o, nil)
			if err != nil {
				b.Fatal(err)
			}
			p.Commit()
			defer p.Close(context.Background())
			b.ReportAllocs()
			for b.Loop() {
				backend, err := p.Acquire(nil)
				if err != nil {
					b.Fatal(err)
				}
				backend.Answered(1e9, 1e6)
				backend.End()
			}
		})
	}
}

// A member that is known to be down is not tried on clients because its
// settings were changed or renamed.
func TestAVerdictOutlivesChangedSettings(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"another Host":     func(o *Options) { o.Fingerprint = "shop.example" },
		"renamed settings": func(o *Options) { o.Settings = "renamed" },
		"renamed pool":     func(o *Options) { o.Name = "renamed" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table := health.NewTable(health.Options{})
				defer runTable(table)()
				v := &verdict{bad: map[string]error{"10.0.0.4:80": errors.New("connect refused")}}
				o := options("10.0.0.4", "10.0.0.5")
				o.Probe = v.probe(table)
				old := commit(t, o, nil)
				time.Sleep(25 * time.Second)
				wantServing(t, old, "10.0.0.5:80")
				change(&o)
				prev := old
				if o.Name != "shop" || o.Settings != "plain" {
					prev = nil
				}
				p := commit(t, o, prev)
				wantServing(t, p, "10.0.0.5:80")
				closePool(t, old)
				v.set("10.0.0.4:80", nil)
				time.Sleep(11 * time.Second)
				wantServing(t, p, "10.0.0.4:80", "10.0.0.5:80")
				closePool(t, p)
			})
		})
	}
}

// That the port of a member is open says nothing to settings that ask for a
// page, by whatever name.
func TestAVerdictOutlivesARenameBesideAnotherProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := health.NewTable(health.Options{})
		defer runTable(table)()
		page := &verdict{bad: map[string]error{"10.0.0.4:80": errors.New("status 500")}}
		o := options("10.0.0.4", "10.0.0.5")
		o.Probe = page.probe(table)
		o.Probe.Way = "page"
		old := commit(t, o, nil)
		open := options("10.0.0.4", "10.0.0.5")
		open.Settings, open.Probe = "other", (&verdict{}).probe(table)
		open.Probe.Way = "port"
		other := commit(t, open, nil)
		time.Sleep(25 * time.Second)
		wantServing(t, other, "10.0.0.4:80", "10.0.0.5:80")
		o.Settings = "renamed"
		p := commit(t, o, nil)
		wantServing(t, p, "10.0.0.5:80")
		for _, p := range []*Pool{old, other, p} {
			closePool(t, p)
		}
	})
}

func TestADrainOutlivesTheNamesOfPoolsAndSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options("10.0.0.4", "10.0.0.5")
		old := commit(t, o, nil)
		other := options("10.0.0.4", "10.0.0.6")
		other.Name, other.Drains = "other", o.Drains
		second := commit(t, other, nil)
		if n := o.Drains.Drain("10.0.0.4:80", old, second); n != 2 {
			t.Errorf("the name means %d backends", n)
		}
		if n := o.Drains.Drain("10.9.9.9", old, second); n != 0 || !slices.Equal(o.Drains.Names(), []string{"10.0.0.4:80"}) {
			t.Errorf("an unknown name means %d, in force are %q", n, o.Drains.Names())
		}
		o.Settings = "renamed"
		o.Drains = NewDrains(o.Drains.Names()...) // as the next process has it
		p := commit(t, o, nil)
		wantServing(t, p, "10.0.0.5:80")
		if back, known := o.Drains.Undrain("10.0.0.4:80", p); back != 1 || !known {
			t.Errorf("%d came back, known: %t", back, known)
		}
		wantServing(t, p, "10.0.0.4:80", "10.0.0.5:80")
		for _, p := range []*Pool{old, second, p} {
			closePool(t, p)
		}
	})
}

// While one pool still has a member drained by a name, the name stands.
func TestADrainIsForgottenWhenAllItMeansIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{names: map[string][]string{"app.internal": {"10.0.0.4", "10.0.0.5"}}}
		o := options("app.internal")
		o.Resolver = z
		first := commit(t, o, nil)
		o.Name = "other"
		second := commit(t, o, nil)
		synctest.Wait()
		o.Drains.Drain("app.internal", first, second)
		o.Drains.Undrain("10.0.0.4", first, second)
		if got := o.Drains.Names(); len(got) != 1 {
			t.Errorf("in force after one of two: %q", got)
		}
		o.Drains.Undrain("10.0.0.5", first, second)
		if got := o.Drains.Names(); len(got) != 0 {
			t.Errorf("in force after both: %q", got)
		}
		closePool(t, first)
		closePool(t, second)
	})
}
