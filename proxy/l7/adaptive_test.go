package l7

import (
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/proxy"
)

// A member that becomes slow gets less to do at a time, and what does not fit
// waits.
func TestASlowMemberGetsLessAtATime(t *testing.T) {
	b := testkit.NewBackend(t, nil)
	adaptive := config.Adaptive{Min: 2, Max: 50, Tolerance: 200}
	g := start(t, setup{backends: []*testkit.Backend{b},
		settings: func(s *config.BackendSettings) {
			s.Adaptive, s.Queue = adaptive, config.Queue{Length: 100, Timeout: soon}
		},
		pool: func(o *proxy.Options) { o.Adaptive, o.QueueLength = adaptive, 100 }})
	c := testkit.Dial(t, g.addr)
	for range 30 {
		ask(t, c, get("/"), 200)
	}
	before := stateOf(g, b).Limit
	b.Handle(func(c *testkit.Conn, r *testkit.Request) { c.Stall(150 * time.Millisecond); c.Respond(r, 200, "late") })
	testkit.Eventually(t, soon, "the limit to fall", func() bool {
		ask(t, c, get("/"), 200)
		return stateOf(g, b).Limit < before
	})
}
