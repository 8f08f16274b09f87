package l7

import (
	"strings"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/proxy"
)

// ejectingErrors is a pool whose members are ejected by three failures in a row.
func ejectingErrors(o *proxy.Options) {
	o.Ejection = config.Ejection{ServerErrors: 3, Time: time.Hour, MaxShare: 50}
}

func TestAMemberThatFailsRequestsIsEjected(t *testing.T) {
	for _, w := range []struct {
		name    string
		h       testkit.Handler
		timeout time.Duration
		want    bool
	}{
		{"500", testkit.Respond(500, "broken"), soon, true},
		{"503", testkit.Respond(503, "busy"), soon, true},
		{"404 is an answer", testkit.Respond(404, "no"), soon, false},
		{"closes instead", func(c *testkit.Conn, r *testkit.Request) { c.Close() }, soon, true},
		{"no response in time", func(c *testkit.Conn, r *testkit.Request) { c.WaitPeer(soon) }, 300 * time.Millisecond, true},
		{"no response but a malformed one", testkit.Raw("HTTP/1.1 20 OK\r\n\r\n"), soon, true},
	} {
		t.Run(w.name, func(t *testing.T) {
			bad, good := testkit.NewBackend(t, w.h), testkit.NewBackend(t, nil)
			g := start(t, setup{backends: []*testkit.Backend{bad, good}, pool: ejectingErrors,
				settings: func(s *config.BackendSettings) { s.RequestTimeout = w.timeout }})
			c := testkit.Dial(t, g.addr)
			for range 12 { // in turn
				c.Send(get("/"))
				c.ReadFinal("GET")
			}
			// A request that was given up may be read after that.
			testkit.Eventually(t, soon, "the requests at the member", func() bool { return bad.RequestCount() >= 3 })
			s := stateOf(g, bad)
			if got := s.State == proxy.Ejected; got != w.want || w.want && bad.RequestCount() != 3 || !w.want && bad.RequestCount() != 6 {
				t.Errorf("%d requests, then %+v", bad.RequestCount(), s)
			}
			if w.want && !strings.HasPrefix(s.Reason, "3 requests in a row failed") {
				t.Errorf("reason %q", s.Reason)
			}
		})
	}
}
