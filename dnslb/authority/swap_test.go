package authority

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gatehouse/dnslb/server"
	"gatehouse/internal/testkit"
)

// While configurations and snapshots are swapped every query gets a whole
// answer, of one or the other.
func TestSwapsUnderLoad(t *testing.T) {
	one, two := newSetup(t, nil), newSetup(t, nil)
	a := one.authority
	good, bad := one.director.Snapshot(one.known(nil)), one.director.Snapshot(one.known([]string{"www/a"}))
	query := question(t, "www.tm.example.", dns.TypeA, edns(1232, false, subnet("203.0.113.0/24")))
	var answered atomic.Int64
	var stop atomic.Bool
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			r := a.NewResponder().(*Responder)
			for !stop.Load() {
				m := exchange(t, r, query, peer(server.UDP, "198.51.100.5"))
				if got := short(m.Answer); m.Rcode != 0 || got != "A 192.0.2.1" && got != "A 192.0.2.2" {
					t.Errorf("%s", m)
					return
				}
				answered.Add(1)
			}
		})
	}
	testkit.Eventually(t, 20*time.Second, "answers", func() bool { return answered.Load() > 0 || t.Failed() })
	before := answered.Load()
	for i := 0; i < 300 || answered.Load() == before && !t.Failed(); i++ { // until one was answered meanwhile
		a.Use(one.view, good)
		a.Update(bad)
		a.Update(good)
		a.Use(two.view, two.director.Snapshot(two.known([]string{"www/a"})))
	}
	stop.Store(true)
	asking.Wait()
	if one.view.Counters.Sum().Rcodes[0]+two.view.Counters.Sum().Rcodes[0] != uint64(answered.Load()) {
		t.Error("not every answer was counted")
	}
}
