package l7

import (
	"context"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/proxy"
)

func TestRequestsAreSharedExactlyByWeight(t *testing.T) {
	tests := [][]int{{1}, {1, 1}, {95, 5}, {1, 0, 2}, {0, 7}, {999_999, 1}, {333_333, 333_333, 333_334}, {1, 2, 3, 4, 5, 6, 7}}
	for _, weights := range tests {
		s, total := &Split{}, 0
		got := map[*Target]int{}
		targets := make([]*Target, len(weights))
		for i, w := range weights {
			targets[i] = &Target{}
			s.Add(targets[i], w)
			total += w
		}
		for n := 1; n <= 20_000; n++ {
			got[s.pick()]++
			for i, w := range weights {
				want := float64(n) * float64(w) / float64(total)
				if d := float64(got[targets[i]]) - want; d > 6 || d < -6 || w == 0 && d != 0 {
					t.Fatalf("%v: after %d requests target %d has %d, want %.1f", weights, n, i, got[targets[i]], want)
				}
			}
		}
	}
	s := &Split{}
	s.Add(&Target{}, 0)
	if s.pick() != nil {
		t.Error("a target without weight gets requests")
	}
}

// secondPool is a pool beside that of a gateway, with the same settings.
func (g *gateway) secondPool(t *testing.T, b *testkit.Backend, name string) (*proxy.Pool, *Settings) {
	conf := g.listener.Target.Settings.BackendSettings
	p := g.newPool(t, &setup{backends: []*testkit.Backend{b}, pool: func(o *proxy.Options) { o.Name = name }}, conf)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		p.Close(ctx)
	})
	return p, NewSettings(conf, name)
}

// retarget puts a changed copy of the target to use.
func (g *gateway) retarget(change func(*Target)) {
	l, target := *g.listener, *g.listener.Target
	change(&target)
	l.Target = &target
	g.listener = &l
	sites := NewSites()
	sites.Add(&l, nil)
	old := g.snap
	g.snap = &Snapshot{Sites: []*Sites{sites}, Trusted: old.Trusted, Unrouted: old.Unrouted, Limits: old.Limits, Options: old.Options, HeldBytes: old.HeldBytes}
	g.Use(g.snap)
}

// canary runs a gateway that shares requests among two pools, stable and next.
func canary(t *testing.T, stableWeight, nextWeight int, settings func(*config.BackendSettings)) *gateway {
	stable, next := testkit.NewBackend(t, named("stable", 0)), testkit.NewBackend(t, named("next", 0))
	g := start(t, setup{backends: []*testkit.Backend{stable}, settings: settings})
	pool, set := g.secondPool(t, next, "next")
	g.weigh(stableWeight, nextWeight, &Target{Pool: pool, Settings: set, Metrics: g.listener.Target.Metrics})
	return g
}

func (g *gateway) weigh(stableWeight, nextWeight int, next *Target) {
	g.retarget(func(t *Target) {
		if t.Split == nil {
			t.Split = &Split{}
		} else {
			t.Pool, t.Settings = t.Split.parts[0].target.Pool, t.Split.parts[0].target.Settings
		}
		stable := &Target{Pool: t.Pool, Settings: t.Settings, Metrics: t.Metrics}
		t.Pool, t.Settings, t.Split = nil, nil, &Split{}
		t.Split.Add(stable, stableWeight)
		t.Split.Add(next, nextWeight)
	})
}

func TestACanaryGetsItsShare(t *testing.T) {
	g := canary(t, 3, 1, nil)
	got := map[string]int{}
	for range 40 {
		got[who(t, g)]++
	}
	if got["stable"] < 28 || got["next"] < 8 || got["stable"]+got["next"] != 40 {
		t.Errorf("%v, want 30 and 10", got)
	}
	for _, l := range g.lines(t, 40) {
		if pool := l.text("backendPoolName"); pool != "main" && pool != "next" {
			t.Fatalf("the log has pool %q: %v", pool, l)
		}
	}
}

func TestNoWeightIsNoPool(t *testing.T) {
	g := canary(t, 0, 0, nil)
	ask(t, testkit.Dial(t, g.addr), get("/none"), 500)
	if l := g.lineOf(t, "/none"); l.text("reason") != "no backend pool of the rule has a weight" {
		t.Errorf("the log says %v", l)
	}
}

func TestAnAffinityCookieDecidesAboutThePool(t *testing.T) {
	g := canary(t, 1, 1, func(s *config.BackendSettings) { s.Affinity.Enabled = true })
	cookies := map[string]string{}
	for range 10 {
		c := testkit.Dial(t, g.addr)
		r := ask(t, c, get("/"), 200)
		cookie, _, _ := strings.Cut(r.Get("Set-Cookie"), ";")
		cookies[string(r.Content)] = cookie
	}
	if len(cookies) != 2 {
		t.Fatalf("cookies of %v", cookies)
	}
	for name, cookie := range cookies {
		for range 6 {
			if got := who(t, g, "Cookie: "+cookie); got != name {
				t.Errorf("the cookie of %s leads to %s", name, got)
			}
		}
	}
	g.weigh(1, 0, g.listener.Target.Split.parts[1].target)
	for range 3 {
		if got := who(t, g, "Cookie: "+cookies["next"]); got != "stable" {
			t.Errorf("a pool of weight 0 serves who has its cookie")
		}
	}
}

func TestASharedRequestAllocatesNothing(t *testing.T) {
	each, last := allocations(t, setup{target: func(t *Target) {
		inner := *t
		t.Split = &Split{}
		t.Split.Add(&inner, 1)
		t.Split.Add(&inner, 2)
		t.Pool, t.Settings = nil, nil
	}})
	if each > 0.05 {
		t.Errorf("%.3f allocations for each request; the last answer is %q", each, last)
	}
}
