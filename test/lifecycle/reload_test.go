package lifecycle

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/testkit"
)

func TestReloadsUnderLoadLoseNothing(t *testing.T) {
	p, l := startReloads(newGateway(t, "-race"))
	churn(p, l, 20)
	l.more(200)
	l.finish()
}

func TestTwoHundredReloadsLeaveNothingBehind(t *testing.T) {
	testkit.Long(t)
	g := newGateway(t)
	p, l := startReloads(g)
	churn(p, l, 40)
	before := settledUsage(p, l)
	churn(p, l, 200)
	after := settledUsage(p, l)
	l.finish()
	t.Logf("after 40 reloads %+v, after 240 %+v", before, after)
	after.compare(t, before)
}

// startReloads starts a gateway and puts it under load.
func startReloads(g *gateway) (*plan, *load) {
	p := newPlan(g, newOrigin(g.t), newOrigin(g.t), newOrigin(g.t))
	g.start(p.text())
	l := startLoad(g, everybody)
	l.more(200)
	return p, l
}

// churn reloads n times: changes, one text in five refused, and all three ways to ask for it.
func churn(p *plan, l *load, n int) {
	p.g.t.Helper()
	seed := rand.Uint64()
	p.g.t.Logf("changes of seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range n {
		if !l.ok() {
			l.finish()
			p.g.t.Fatalf("stopped after %d reloads", i)
		}
		if r.IntN(5) == 0 {
			text, names := p.broken(r, p.g.t)
			p.g.refused(r, text, names)
			continue
		}
		for range 1 + r.IntN(3) {
			p.mutate(r)
		}
		p.g.applied(r, p.text())
	}
}

// applied gives the gateway a configuration in one of three ways and waits until it is in use.
func (g *gateway) applied(r *rand.Rand, text string) {
	g.t.Helper()
	before := g.status().Reloads
	g.trigger(r, text, 0)
	var now status
	testkit.Eventually(g.t, soon, "a reload to be applied", func() bool {
		now = g.status()
		return now.Reloads.Applied > before.Applied || now.Reloads.Refused > before.Refused && g.inPlace(now)
	})
	if now.Reloads.Applied == before.Applied {
		g.t.Fatalf("refused: %s\n%s", now.Reloads.Error, text)
	}
}

// inPlace is whether a refusal stands: a file that was written in place may have been read half.
func (g *gateway) inPlace(now status) bool { return now.Reloads.Trigger != "file" }

// refused gives the gateway a configuration that is wrong, and wants it refused with a reason.
func (g *gateway) refused(r *rand.Rand, text, names string) {
	g.t.Helper()
	before := g.status().Reloads
	g.trigger(r, text, 1)
	var now status
	testkit.Eventually(g.t, soon, "a reload to be refused", func() bool {
		now = g.status()
		return now.Reloads.Refused > before.Refused
	})
	if !strings.Contains(now.Reloads.Error, names) {
		g.t.Fatalf("%d applied; the reason has no %q: %s\n%s", now.Reloads.Applied-before.Applied, names, now.Reloads.Error, text)
	}
}

// trigger writes a configuration and makes the gateway notice; the command is to end with that status.
func (g *gateway) trigger(r *rand.Rand, text string, status int) {
	g.t.Helper()
	switch r.IntN(3) {
	case 0: // the watch notices
		testkit.Replace(g.t, g.file, text)
	case 1:
		if err := os.WriteFile(g.file, []byte(text), 0o600); err != nil {
			g.t.Fatal(err)
		}
		g.mark()
		g.signal(syscall.SIGHUP)
		g.waitLog(`"trigger":"SIGHUP"`) // not only what the watch made of it before
	case 2:
		testkit.Replace(g.t, g.file, text)
		if code, out := g.command("reload"); code != status {
			g.t.Fatalf("appgw reload: status %d, want %d: %s\n%s", code, status, out, text)
		}
	}
}

// usage is what a process uses. Memory is the heap after collection.
type usage struct {
	goroutines, descriptors int
	heap                    int64
}

// settledUsage goes back to the first configuration, holds back the load and looks what is used.
func settledUsage(p *plan, l *load) (u usage) {
	g := p.g
	l.more(500) // with this configuration every connection is used again
	l.pause()
	defer l.resume()
	// Other settings are other members: what is kept for the old ones goes, so that how many connections to backends the
	// chance of the load has left does not matter.
	p.reset()
	p.settings = ", hostName: other.test"
	g.configure(p.text())
	p.reset()
	g.configure(p.text())
	testkit.Eventually(g.t, soon, "drained backends and retired snapshots to go", func() bool {
		s := g.status()
		leaving := false
		for _, pool := range s.Pools {
			for _, b := range pool.Backends {
				leaving = leaving || b.State == "draining"
			}
		}
		return s.RetiredSnapshots == 0 && !leaving
	})
	u = g.usage()
	for range 8 { // the least of several looks: each finds leftovers of the one before
		now := g.usage()
		u = usage{min(u.goroutines, now.goroutines), min(u.descriptors, now.descriptors), min(u.heap, now.heap)}
	}
	return u
}

func (g *gateway) usage() (u usage) {
	g.t.Helper()
	g.page("/debug/pprof/heap?gc=1&debug=1") // twice: pools give up what they hold at the second collection
	lines := bufio.NewScanner(strings.NewReader(g.page("/debug/pprof/heap?gc=1&debug=1")))
	for lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "# HeapAlloc = %d", &u.heap); err == nil {
			break
		}
	}
	if _, err := fmt.Sscanf(g.page("/debug/pprof/goroutine?debug=1"), "goroutine profile: total %d", &u.goroutines); err != nil {
		g.t.Fatal(err)
	}
	u.descriptors = testkit.Descriptors(g.t, g.pid())
	return u
}

// compare allows 2 % more. Of goroutines and descriptors there are about eighty, hence also three: a probe or a write of the
// log may be under way or not. And 64 KiB of a heap of 2.3 MB: what the runtime keeps for the most goroutines and threads
// there ever were is in it. A leak of 330 bytes in each reload shows.
func (u usage) compare(t *testing.T, before usage) {
	t.Helper()
	check := func(what string, now, then, slack int64) {
		if most := then + max(then/50, slack); now > most {
			t.Errorf("%s: %d before, %d after, more than %d", what, then, now, most)
		}
	}
	check("goroutines", int64(u.goroutines), int64(before.goroutines), 3)
	check("descriptors", int64(u.descriptors), int64(before.descriptors), 3)
	check("bytes of heap", u.heap, before.heap, 64<<10)
}
