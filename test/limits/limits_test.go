package limits

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

func TestARateLimitGoesOnOverAReload(t *testing.T) {
	g := start(t, `
rateLimits: [{name: few, requests: 1, per: 1h, burst: 3}]
rules: [{name: all, listener: web, backendPool: app, backendSettings: plain, rateLimits: [few]}]
`)
	for range 3 {
		g.want(200, "/")
	}
	g.want(429, "/")
	g.reload("burst: 3", "burst: 4")
	g.want(200, "/") // the fourth
	g.want(429, "/")
	for outcome, want := range map[string]int{"passed": 4, "refused": 2, "spared": 0} {
		if got := g.metric(fmt.Sprintf(`gatehouse_rate_limit_requests_total{limit="few",outcome=%q}`, outcome)); got != want {
			t.Errorf("%s: %d, want %d", outcome, got, want)
		}
	}
	g.reload("burst: 4", "burst: 4, dryRun: true")
	g.want(200, "/")
	if got := g.metric(`gatehouse_rate_limit_requests_total{limit="few",outcome="spared"}`); got != 1 {
		t.Errorf("spared: %d, want 1", got)
	}
}

// A body that does not say how long it is, over HTTP/2, is cut where it is too long, whether a member has it by then or not.
func TestABodyOfHTTP2ThatIsTooLong(t *testing.T) {
	for name, settings := range map[string]string{"streamed": "", "buffered": ", requestBuffering: {maxSize: 1MiB}"} {
		t.Run(name, func(t *testing.T) {
			g := start(t, fmt.Sprintf(`
backendSettings: [{name: bounded, probe: "off", maxBodySize: 100KB%s}]
rules: [{name: all, listener: web, backendPool: app, backendSettings: bounded}]
`, settings))
			c := g.http2(t)
			for size, want := range map[int]int{100_000: 200, 100_001: 413, 900_000: 413} {
				body := struct{ io.Reader }{strings.NewReader(strings.Repeat("x", size))} // of unknown length
				r, err := c.Post("http://"+g.web+"/", "text/plain", body)
				if err != nil {
					t.Fatalf("%d bytes: %v", size, err)
				}
				if r.Body.Close(); r.StatusCode != want || r.ProtoMajor != 2 {
					t.Errorf("%d bytes: %s %d, want %d", size, r.Proto, r.StatusCode, want)
				}
			}
		})
	}
}

func TestAMirrorThatHangsHoldsNeitherClientsNorTheEnd(t *testing.T) {
	hang := testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) { c.WaitPeer(time.Minute) })
	g := start(t, fmt.Sprintf(`
backendPools: [{name: hang, targets: [%q]}]
rules: [{name: all, listener: web, backendPool: app, backendSettings: plain, mirror: {backendPool: hang, backendSettings: plain}}]
shutdown: {drain: 1s}
`, hang.Addr))
	for range 40 {
		g.want(200, "/")
	}
	testkit.Eventually(t, soon, "copies at the mirror", func() bool { return hang.ConnCount() == 32 })
	g.proc.Stop(soon)
}

func TestABufferedUploadIsStoppedWithItsClient(t *testing.T) {
	g := start(t, `
backendSettings: [{name: held, probe: "off", requestBuffering: {maxSize: 4MiB}}]
rules: [{name: all, listener: web, backendPool: app, backendSettings: held}]
`)
	before := g.app.ConnCount()
	c := testkit.Dial(t, g.web)
	c.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n", strings.Repeat("x", 1_000_000))
	c.Reset()
	c = testkit.Dial(t, g.web)
	c.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n", strings.Repeat("x", 2_000_000))
	if r, _ := c.ReadFinal("POST"); r.StatusCode != 200 {
		t.Errorf("%q", r.Head)
	}
	if n := g.app.ConnCount() - before; n != 1 {
		t.Errorf("%d connections for one whole upload", n)
	}
}

// Weights change with a reload, under traffic of which nothing is lost.
func TestWeightsChangeUnderTraffic(t *testing.T) {
	next := testkit.NewBackend(t, testkit.Respond(200, "next"))
	g := start(t, fmt.Sprintf(`
backendPools: [{name: next, targets: [%q]}]
rules: [{name: all, listener: web, backendSettings: plain, backendPools: [{pool: app, weight: 100}, {pool: next, weight: 0}]}]
`, next.Addr))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.ask(ctx) }()
	for _, w := range [][2]string{{"0}", "1}"}, {"1}", "50}"}, {"50}", "100}"}} {
		g.reload("weight: "+w[0], "weight: "+w[1])
	}
	testkit.Eventually(t, soon, "requests at the new version", func() bool { return next.RequestCount() > 20 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// ask asks until ctx ends, and returns what was not answered with 200.
func (g *gateway) ask(ctx context.Context) error {
	for ctx.Err() == nil {
		r, err := http.Get("http://" + g.web + "/")
		if err != nil {
			return err
		}
		if r.Body.Close(); r.StatusCode != 200 {
			return fmt.Errorf("status %d", r.StatusCode)
		}
	}
	return nil
}
