package l7

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/cidr"
	"gatehouse/internal/testkit"
	"gatehouse/proxy"
)

// named answers with a name, after a while.
func named(name string, wait time.Duration) testkit.Handler {
	return func(c *testkit.Conn, r *testkit.Request) {
		r.ReadBody()
		if wait > 0 {
			c.Stall(wait)
		}
		c.Respond(r, 200, name)
	}
}

// fleet is n backends that answer with their names, a, b, c...
func fleet(t *testing.T, n int) []*testkit.Backend {
	var all []*testkit.Backend
	for i := range n {
		all = append(all, testkit.NewBackend(t, named(string(rune('a'+i)), 0)))
	}
	return all
}

func balanced(how config.Balance, hash config.HashKey) func(*proxy.Options) {
	return func(o *proxy.Options) { o.Balance, o.Hash = how, hash }
}

// who is the name of the backend that answers a request.
func who(t *testing.T, g *gateway, lines ...string) string {
	t.Helper()
	c := testkit.Dial(t, g.addr)
	return string(ask(t, c, get("/x?y", lines...), 200).Content)
}

func responseTime(g *gateway, b *testkit.Backend) float64 {
	for _, s := range g.pool.Status().Backends {
		if s.Name == b.Addr {
			return s.ResponseSeconds
		}
	}
	return -1
}

// Whatever is wrong with a member, a pool balanced by ewma finds out from one
// request or two, and leaves it alone.
func TestEWMAAvoidsMembersThatServeBadly(t *testing.T) {
	closed := testkit.RefusingAddr(t)
	for name, bad := range map[string]testkit.Handler{
		"slow":                 named("bad", 2*time.Second),
		"unavailable, at once": testkit.Respond(503, "bad"),
		"closes connections":   func(c *testkit.Conn, r *testkit.Request) { c.Close() },
		"closes them late":     func(c *testkit.Conn, r *testkit.Request) { c.Stall(200 * time.Millisecond); c.Close() },
		"resets connections":   func(c *testkit.Conn, r *testkit.Request) { c.Reset() },
		"speaks nonsense":      testkit.RawClose("SSH-2.0-OpenSSH_10\r\n\r\n"),
		"never answers":        func(c *testkit.Conn, r *testkit.Request) { c.Stall(soon) },
		"refuses connections":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			good := testkit.NewBackend(t, named("good", 0))
			s := setup{backends: []*testkit.Backend{good}, pool: balanced(config.EWMA, config.HashKey{}),
				settings: func(s *config.BackendSettings) {
					s.RequestTimeout, s.Retries.OnTimeout = 3*time.Second, true
				}}
			if bad == nil {
				s.targets = []config.Target{targetAt(closed)}
			} else {
				s.backends = append(s.backends, testkit.NewBackend(t, bad))
			}
			g := start(t, s)
			// Two that know nothing are level, so each is asked sooner or later.
			c := testkit.Dial(t, g.addr)
			answered := func() string {
				c.Send(get("/"))
				r, _ := c.ReadFinal("GET")
				return string(r.Content)
			}
			known := func() bool {
				answered()
				for _, b := range g.pool.Status().Backends {
					if b.ResponseSeconds == 0 {
						return false
					}
				}
				return true
			}
			testkit.Eventually(t, soon, "both to be known", known)
			for i := range 50 {
				if got := answered(); got != "good" {
					t.Fatalf("request %d: %q", i, got)
				}
			}
			if got := responseTime(g, good); got <= 0 || got > 1.5 { // a busy machine makes it slow, too
				t.Errorf("the good one takes %v s", got)
			}
		})
	}
}

// A client that sends its body slowly says nothing of the member.
func TestClientsDoNotMakeMembersSlow(t *testing.T) {
	const long = 100_000
	b := testkit.NewBackend(t, named("a", 0))
	// slowly is how long the member takes by a slow upload: the least of several,
	// because it is slow indeed now and then on a busy machine.
	slowly := func(size int) (*gateway, float64) {
		least := 1e9
		for n := 0; ; n++ {
			g := start(t, setup{backends: []*testkit.Backend{b}, pool: balanced(config.EWMA, config.HashKey{})})
			c := testkit.Dial(t, g.addr)
			ask(t, c, get("/"), 200)
			c.Send(request("POST", "/", fmt.Sprint("Content-Length: ", size)))
			c.Dribble(testkit.Pattern(size), size/5, 200*time.Millisecond)
			c.ReadFinal("POST")
			if least = min(least, responseTime(g, b)); least <= 0.2 || n == 5 {
				return g, least
			}
		}
	}
	if _, got := slowly(long); got <= 0 || got > 0.2 {
		t.Errorf("%v s after a slow upload", got)
	}
	g, got := slowly(20)
	if got <= 0 || got > 0.2 {
		t.Errorf("%v s after a slow short upload", got)
	}
	b.Handle(testkit.Respond(503, "no"))
	ask(t, testkit.Dial(t, g.addr), request("POST", "/", fmt.Sprint("Content-Length: ", long))+testkit.Pattern(long), 503)
	if got := responseTime(g, b); got < 5 {
		t.Errorf("%v s after an upload that was refused", got)
	}
}

func TestClientsThatLeaveCountByHowLongTheyWaited(t *testing.T) {
	b := testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) { c.Stall(soon) })
	g := start(t, setup{backends: []*testkit.Backend{b}, pool: balanced(config.EWMA, config.HashKey{})})
	for i, wait := range []time.Duration{0, 2 * time.Second} {
		c := testkit.Dial(t, g.addr)
		c.Send(get("/hangs"))
		testkit.Eventually(t, soon, "the request to arrive", func() bool { return b.RequestCount() == 1+i })
		time.Sleep(wait)
		c.Close()
		testkit.Eventually(t, soon, "the client to be missed", func() bool { return g.pool.Status().Backends[0].InFlight == 0 })
		if got := responseTime(g, b); (got > 1.5) != (wait > 0) { // a busy machine's delays are none of the wait
			t.Errorf("%v s after a client that waited %v", got, wait)
		}
	}
}

func TestHashSendsAKeyToOneMember(t *testing.T) {
	tests := []struct {
		name    string
		key     config.HashKey
		request func(i int) (target, line string) // of key i
	}{
		{"header", config.HashKey{On: config.HashHeader, Name: "x-user"}, func(i int) (string, string) { return "/", fmt.Sprint("X-User: ", i) }},
		{"cookie", config.HashKey{On: config.HashCookie, Name: "user"}, func(i int) (string, string) { return "/", fmt.Sprint("Cookie: a=b; user=", i) }},
		{"path", config.HashKey{On: config.HashURI}, func(i int) (string, string) { return fmt.Sprint("/things/", i), "X-Any: thing" }},
		{"query", config.HashKey{On: config.HashURI}, func(i int) (string, string) { return fmt.Sprint("/?id=", i), "X-Any: thing" }},
		{"client address", config.HashKey{}, func(i int) (string, string) { return "/", fmt.Sprint("X-Forwarded-For: 192.0.2.", i) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := fleet(t, 3)
			g := start(t, setup{backends: all, pool: balanced(config.Hash, tt.key),
				snapshot: func(s *Snapshot) { s.Trusted = cidr.Set([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}) }})
			member := func(i int) string {
				target, line := tt.request(i)
				return string(ask(t, testkit.Dial(t, g.addr), get(target, line), 200).Content)
			}
			owner, owned := map[int]string{}, map[string]int{}
			for i := range 60 {
				owner[i] = member(i)
				owned[owner[i]]++
				if again := member(i); again != owner[i] {
					t.Fatalf("key %d: %s, then %s", i, owner[i], again)
				}
			}
			if len(owned) != 3 {
				t.Fatalf("keys go to %v", owned)
			}
			all[0].Stop() // a's keys move, by a retry, and nobody else's
			moved := map[string]bool{}
			for i := range 60 {
				now := member(i)
				switch {
				case owner[i] == "a":
					moved[now] = true
				case now != owner[i]:
					t.Errorf("key %d moved from %s to %s though a went", i, owner[i], now)
				}
			}
			if len(moved) != 2 || moved["a"] {
				t.Errorf("the keys of a went to %v", moved)
			}
		})
	}
}

func TestAMissingHashKeyIsTheClientsAddress(t *testing.T) {
	for _, key := range []config.HashKey{{On: config.HashHeader, Name: "X-User"}, {On: config.HashCookie, Name: "user"}} {
		g := start(t, setup{backends: fleet(t, 5), pool: balanced(config.Hash, key)})
		byAddress := who(t, g)
		for _, without := range []string{"X-User:", "Cookie: user=", "Cookie: users=1", "X-Userr: 1"} {
			for range 4 {
				if got := who(t, g, without); got != byAddress {
					t.Errorf("%s: %q goes to %s, without it to %s", key, without, got, byAddress)
				}
			}
		}
	}
}

// The failure mode of hashing: everybody asks for one thing.
func TestAHotKeyIsSharedOutIfLoadIsBounded(t *testing.T) {
	for _, tt := range []struct{ factor, most, members int }{{0, 12, 1}, {125, 4, 3}, {200, 6, 2}} {
		release := make(chan struct{})
		var all []*testkit.Backend
		for range 4 {
			all = append(all, testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) {
				select {
				case <-release:
				case <-c.Done():
				}
				c.Respond(r, 200, "ok")
			}))
		}
		g := start(t, setup{backends: all, pool: balanced(config.Hash, config.HashKey{On: config.HashURI, BalanceFactor: tt.factor})})
		inFlight := func() (total, most, members int) {
			for _, b := range g.pool.Status().Backends {
				total += b.InFlight
				most = max(most, b.InFlight)
				if b.InFlight > 0 {
					members++
				}
			}
			return total, most, members
		}
		var clients []*testkit.Client
		for i := range 12 {
			c := testkit.Dial(t, g.addr)
			c.Send(get("/hot"))
			clients = append(clients, c)
			testkit.Eventually(t, soon, "the request to be in flight", func() bool { n, _, _ := inFlight(); return n == i+1 })
		}
		if _, most, members := inFlight(); most > tt.most || members < tt.members || tt.factor == 0 && members > 1 {
			t.Errorf("factor %d: %d members have up to %d of 12 requests, want at most %d", tt.factor, members, most, tt.most)
		}
		close(release)
		for _, c := range clients {
			c.ReadFinal("GET")
		}
	}
}

// waiting answers, but for paths under /hold/, whose requests wait for release.
func waiting(release chan struct{}) testkit.Handler {
	return func(c *testkit.Conn, r *testkit.Request) {
		if strings.HasPrefix(r.Target, "/hold/") {
			select {
			case <-release:
			case <-c.Done():
			}
		}
		c.Respond(r, 200, "ok")
	}
}

func stateOf(g *gateway, b *testkit.Backend) proxy.BackendStatus {
	for _, s := range g.pool.Status().Backends {
		if s.Name == b.Addr {
			return s
		}
	}
	return proxy.BackendStatus{}
}

// recovery is a gateway of whose two members one will have been away.
type recovery struct {
	*gateway
	back, other *testkit.Backend
	release     chan struct{}
}

func newRecovery(t *testing.T, how config.Balance, slowStart time.Duration) *recovery {
	r := &recovery{release: make(chan struct{})}
	r.back, r.other = testkit.NewBackend(t, waiting(r.release)), testkit.NewBackend(t, waiting(r.release))
	r.gateway = start(t, setup{backends: []*testkit.Backend{r.back, r.other}, pool: func(o *proxy.Options) {
		o.Balance, o.Hash, o.SlowStart = how, config.HashKey{On: config.HashURI}, slowStart
		o.Ejection = config.Ejection{ConnectFailures: 1, Time: 300 * time.Millisecond}
	}})
	return r
}

// herd is how many of n requests that stay in flight go to the member once it
// has come back from ejection, and how long it took to send them.
func (r *recovery) herd(t *testing.T, n int) (int, time.Duration) {
	r.back.Stop()
	c := testkit.Dial(t, r.addr)
	for i := 0; stateOf(r.gateway, r.back).State != proxy.Ejected; i++ {
		ask(t, c, get(fmt.Sprint("/", i)), 200)
	}
	r.back.Start()
	testkit.Eventually(t, soon, "the member to be used again", func() bool { return stateOf(r.gateway, r.back).State != proxy.Ejected })
	from := time.Now()
	var clients []*testkit.Client
	for i := range n {
		c := testkit.Dial(t, r.addr)
		c.Send(get(fmt.Sprint("/hold/", i)))
		clients = append(clients, c)
		testkit.Eventually(t, soon, "the request to arrive", func() bool {
			return stateOf(r.gateway, r.back).InFlight+stateOf(r.gateway, r.other).InFlight == i+1
		})
	}
	got, took := stateOf(r.gateway, r.back).InFlight, time.Since(from)
	close(r.release)
	for _, c := range clients {
		c.ReadFinal("GET")
	}
	return got, took
}

// The failure mode of balancing by load: a member that was away has nothing in
// flight, and all that comes runs to it.
func TestTheHerdDoesNotRunToAMemberThatRecovers(t *testing.T) {
	const requests, slowStart = 40, 4 * time.Second
	var slow []*recovery
	for how := config.RoundRobin; how <= config.Hash; how++ {
		slow = append(slow, newRecovery(t, how, slowStart))
	}
	time.Sleep(slowStart) // so that the other members have their whole weight
	for how := config.RoundRobin; how <= config.Hash; how++ {
		t.Run(how.String(), func(t *testing.T) {
			// Its share is 3.6 of them, or half; more when a busy machine takes
			// so long that its weight grows meanwhile.
			got, took := slow[how].herd(t, requests)
			weight := min(1, took.Seconds()/slowStart.Seconds())
			if got > 13+int(requests*weight/(1+weight)) {
				t.Errorf("it has %d of %d requests after %v", got, requests, took)
			}
			if got, _ := newRecovery(t, how, 0).herd(t, requests); got < 7 {
				t.Errorf("without slow start it has %d of %d requests", got, requests)
			}
		})
	}
}

// Until a member is ejected its requests are retried, if need be with the next
// priority.
func TestAClientSeesNothingOfAMemberThatDies(t *testing.T) {
	all := fleet(t, 2)
	targets := []config.Target{targetAt(all[0].Addr), targetAt(all[1].Addr)}
	targets[1].Priority = 2
	g := start(t, setup{targets: targets})
	if got := who(t, g); got != "a" {
		t.Errorf("%s answers", got)
	}
	all[0].Stop()
	for range 10 {
		if got := who(t, g); got != "b" {
			t.Errorf("%s answers", got)
		}
	}
	all[0].Start()
	if got := who(t, g); got != "a" {
		t.Errorf("%s answers", got)
	}
}

// All that can be ejected are: the next priority serves, then nobody; and once
// a member answers again, so does the gateway, long before ejections end.
func TestPrioritiesWhenAllAreEjected(t *testing.T) {
	all := fleet(t, 3)
	var targets []config.Target
	for i, b := range all {
		target := targetAt(b.Addr)
		target.Priority = 1 + i/2
		targets = append(targets, target)
	}
	g := start(t, setup{targets: targets, pool: func(o *proxy.Options) {
		o.Balance, o.MinHealthy = config.LeastRequests, 50
		o.Ejection = config.Ejection{ConnectFailures: 1, Time: time.Hour}
	}})
	wantAnswers := func(names string) {
		t.Helper()
		got := map[string]bool{}
		for range 20 {
			got[who(t, g)] = true
		}
		if len(got) != len(names) {
			t.Errorf("%v answer, want %s", got, names)
		}
		for name := range got {
			if !strings.Contains(names, name) {
				t.Errorf("%s answers, want %s", name, names)
			}
		}
	}
	wantAnswers("ab")
	all[0].Stop() // requests that meet it are retried
	wantAnswers("b")
	all[1].Stop()
	wantAnswers("c")
	if s := stateOf(g, all[1]); s.State != proxy.Ejected || s.EffectiveWeight != 0 {
		t.Errorf("%+v", s)
	}
	all[2].Stop()
	for range 5 {
		ask(t, testkit.Dial(t, g.addr), get("/"), 502)
	}
	for _, b := range all {
		if s := stateOf(g, b); !strings.HasSuffix(s.Reason, "; used for want of others") || s.EffectiveWeight != 1 {
			t.Errorf("%+v", s)
		}
	}
	all[1].Start()
	testkit.Eventually(t, soon, "an answer", func() bool {
		c := testkit.Dial(t, g.addr)
		c.Send(get("/"))
		r, _ := c.ReadFinal("GET")
		return r.StatusCode == 200
	})
	wantAnswers("b")
}
