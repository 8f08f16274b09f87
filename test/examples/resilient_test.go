package examples

import (
	"fmt"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// One member fails in some way, and no client is told.
func TestResilientAPI(t *testing.T) {
	for name, h := range map[string]testkit.Handler{
		"503":    testkit.Respond(503, "busy"),
		"resets": func(c *testkit.Conn, r *testkit.Request) { c.Reset() },
		"stalls": func(c *testkit.Conn, r *testkit.Request) { c.WaitPeer(20 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			bad, good := testkit.NewBackend(t, h), testkit.NewBackend(t, testkit.Respond(200, "well"))
			e := serve(t, "resilient-api", map[string]*testkit.Backend{"3001": bad, "3002": good})
			for i := range 4 {
				r := testkit.Get(t, e.at("8080"), "api.test", fmt.Sprint("/", i))
				if r.StatusCode != 200 || string(r.Content) != "well" {
					t.Errorf("%d: %q", i, r.Head)
				}
			}
		})
	}
}
