package operator

import (
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// site is a backend whose probes succeed or fail as told; to others it always
// answers with its name.
type site struct {
	*testkit.Backend
	sick atomic.Bool
}

func newSite(t *testing.T, name string) *site {
	s := &site{}
	s.Backend = testkit.NewBackend(t, testkit.ByPath(map[string]testkit.Handler{
		"/": testkit.Respond(200, name),
		"/healthz": func(c *testkit.Conn, r *testkit.Request) {
			if s.sick.Load() {
				c.Respond(r, 503, "ill")
				return
			}
			c.Respond(r, 200, "well")
		},
	}))
	return s
}

const sitesText = `
  - name: sites
    balance: ewma
    targets: ["$A", "$B", {address: "$C", priority: 2, weight: 3}]
    slowStart: 1h
    minHealthy: 51%
    panicThreshold: 40%
`

// Two sites, of which the second waits for the first to fail, and what an
// operator sees of it: who serves and why, and what a weight counts.
func TestWhyAMemberServesOrDoesNot(t *testing.T) {
	a, b, c := newSite(t, "a"), newSite(t, "b"), newSite(t, "c")
	g := start(t, "off", "")
	text := strings.Replace(g.read(t), "\nbackendSettings:\n", strings.NewReplacer("$A", a.Addr, "$B", b.Addr, "$C", c.Addr).Replace(sitesText)+
		"backendSettings:\n  - {name: probed, probe: quick}\n", 1)
	text = strings.Replace(text, "\nprobes:\n", "\nprobes:\n  - {name: quick, path: /healthz, interval: 50ms, timeout: 5s, unhealthyThreshold: 2}\n", 1)
	text = strings.Replace(text, "{name: slow, listener: slow, backendPool: app, backendSettings: hurried}", "{name: slow, listener: slow, backendPool: sites, backendSettings: probed}", 1)
	g.write(t, text)
	if status, answer := g.ask(t, "POST", "/reload", nil); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	of := func(metric string, s *site) string {
		return fmt.Sprintf(`gatehouse_%s{backend="%s",pool="sites",settings="probed"}`, metric, s.Addr)
	}
	const panicking = `gatehouse_pool_panic{pool="sites",settings="probed"}`
	answers := func(names string) {
		t.Helper()
		got := map[string]bool{}
		for range 60 {
			r := g.get(t, "slow.test", "/")
			if name := string(r.Content); r.StatusCode != 200 || !strings.Contains(names, name) {
				t.Fatalf("%d %s answers, want one of %s", r.StatusCode, name, names)
			}
			got[string(r.Content)] = true
		}
		if len(got) == 0 {
			t.Error("nobody answers")
		}
	}
	shown := func(want string) {
		t.Helper()
		out, err := exec.Command(testkit.Build(t, "./cmd/appgw"), "backends", "--admin", g.admin).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%v: %q is not in\n%s", err, want, out)
		}
	}

	g.expectMetrics(t, map[string]float64{of("backend_weight", a): 1, of("backend_weight", b): 1, of("backend_weight", c): 0, of("backend_up", c): 1, panicking: 0})
	answers("ab")
	shown("on standby: priority 1 serves")
	if g.scrape(t)[of("backend_response_average_seconds", a)] <= 0 {
		t.Error("no response time of a is seen")
	}

	b.sick.Store(true) // one of two is fewer than 51 %
	g.expectMetrics(t, map[string]float64{of("backend_weight", a): 1, of("backend_weight", b): 0, of("backend_weight", c): 3})
	answers("ac")

	a.sick.Store(true)
	c.sick.Store(true)
	g.expectMetrics(t, map[string]float64{panicking: 1, of("backend_weight", a): 1, of("backend_weight", b): 1, of("backend_weight", c): 3, of("backend_up", b): 0})
	answers("abc")
	shown("status 503 not in 200-399; used because too few are healthy")

	c.sick.Store(false)
	g.expectMetrics(t, map[string]float64{panicking: 0, of("backend_weight", a): 0, of("backend_weight", c): 3})
	answers("c")
}

// What a member that comes back gets of its weight is seen to rise.
func TestSlowStartIsSeen(t *testing.T) {
	a, b := newSite(t, "a"), newSite(t, "b")
	g := start(t, "off", "")
	text := strings.Replace(g.read(t), "\nbackendSettings:\n", fmt.Sprintf("\n  - {name: sites, targets: [%q, {address: %q, weight: 10}], slowStart: 4s}\nbackendSettings:\n", a.Addr, b.Addr), 1)
	text = strings.Replace(text, "{name: slow, listener: slow, backendPool: app, backendSettings: hurried}", "{name: slow, listener: slow, backendPool: sites, backendSettings: plain}", 1)
	g.write(t, text)
	if status, answer := g.ask(t, "POST", "/reload", nil); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	weight := fmt.Sprintf(`gatehouse_backend_weight{backend="%s",pool="sites",settings="plain"}`, b.Addr)
	g.expectMetrics(t, map[string]float64{weight: 10})
	g.ask(t, "POST", "/drain?backend="+b.Addr, nil)
	g.expectMetrics(t, map[string]float64{weight: 0})
	time.Sleep(4 * time.Second) // so that a has its whole weight
	g.ask(t, "POST", "/undrain?backend="+b.Addr, nil)
	before := g.scrape(t)[weight]
	if before < 1 || before > 9 {
		t.Errorf("a weight of %v, want 1 or a little more", before)
	}
	testkit.Eventually(t, soon, "the weight to rise", func() bool { now := g.scrape(t)[weight]; return now > before && now < 10 })
	g.expectMetrics(t, map[string]float64{weight: 10})
}
