package lifecycle

import (
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

func TestDrainedBackendFinishesWhatItHasAndGetsNoMore(t *testing.T) {
	g := newGateway(t)
	leaving, staying := newOrigin(t), newOrigin(t)
	p := newPlan(g, leaving, staying)
	g.start(p.text())
	l := startLoad(g, mix{plain: 32, secure: 4, reconnect: 4, handshak: 1})
	l.more(200)
	held := ask(t, g.plain, "/held") // on whichever, and then on the other
	testkit.Eventually(t, soon, "a request that is held", func() bool { return leaving.inFlight.Load()+staying.inFlight.Load() > 0 })
	drain := func(action, says string) {
		t.Helper()
		if code, out := g.command(action, leaving.addr); code != 0 || !strings.Contains(out, says) {
			t.Fatalf("%s: status %d: %s", action, code, out)
		}
	}
	drain("drain", "draining")
	if code, out := g.command("backends"); code != 0 || !strings.Contains(out, "drain") {
		t.Errorf("backends: status %d: %s", code, out)
	}
	close(leaving.release)
	close(staying.release)
	if r := held.ReadResponse("GET"); r.StatusCode != 200 {
		t.Errorf("the request in flight: %s", r.Status)
	}
	g.becomes(leaving.addr, "drained")
	if leaving.inFlight.Load() != 0 {
		t.Error("drained with requests in flight")
	}
	quiet(t, leaving, func() {
		l.more(300)
		g.configure(p.text()) // the wish survives a reload,
		l.more(300)
		p.settings = ", hostName: other.test" // also one that replaces the members
		g.configure(p.text())
		l.more(300)
	})
	if code, out := g.command("drain", "127.0.0.1:1"); code != 1 || !strings.Contains(out, "127.0.0.1:1") {
		t.Errorf("draining nobody: status %d: %s", code, out)
	}
	drain("undrain", "in use again")
	before := leaving.requests.Load()
	testkit.Eventually(t, soon, "requests for the backend that is back", func() bool { return leaving.requests.Load() > before+20 })
	l.finish()
}

// becomes waits for the state of a backend in every pool.
func (g *gateway) becomes(addr, state string) {
	g.t.Helper()
	testkit.Eventually(g.t, soon, addr+" to be "+state, func() bool {
		for _, p := range g.status().Pools {
			for _, b := range p.Backends {
				if b.Name == addr && b.State != state {
					return false
				}
			}
		}
		return true
	})
}

// quiet fails the test if an origin gets requests while f runs, other than probes.
func quiet(t *testing.T, o *origin, f func()) {
	t.Helper()
	before := o.requests.Load()
	f()
	if n := o.requests.Load() - before; n != 0 {
		t.Errorf("%d requests for a drained backend", n)
	}
}
