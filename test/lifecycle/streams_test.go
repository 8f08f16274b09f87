package lifecycle

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// slowly is a backend for what outlives configurations: it echoes on a tunnel, and sends a download as fast as it is told.
func slowly(t *testing.T, step <-chan struct{}) *testkit.Backend {
	return testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) {
		switch r.Target {
		case "/tunnel":
			c.Send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
			_, _ = io.Copy(c, c)
			c.Close()
		case "/download":
			c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(download)))
			for rest := download; len(rest) > 0; rest = rest[piece:] {
				select {
				case <-step:
				case <-c.Done():
					return
				}
				c.Send(rest[:piece])
			}
		default:
			c.Respond(r, 200, "ok")
		}
	})
}

const piece = 32 << 10

var download = testkit.Pattern(40 * piece)

const streamsConfig = `
admin: {address: "$ADMIN"}
logs: {access: {output: "$LOG", format: json}}
shutdown: {drain: $DRAIN}
listeners:
  - {name: plain, address: "$PLAIN"}
$MORE
backendPools:
  - {name: main, targets: ["$BACKEND"]}
  - {name: spare, targets: ["$SPARE"]}
backendSettings:
  - {name: plain, probe: "off", drain: $DRAIN}
rules:
  - {name: plain, listener: plain, backendPool: $POOL, backendSettings: plain}
`

// fill puts values in the place of names such as $PLAIN.
func (g *gateway) fill(text string, more ...string) string {
	common := []string{"$ADMIN", g.admin, "$PLAIN", g.plain, "$SECURE", g.secure, "$MORE", "", "$LOG", "stdout", "$POOL", "main", "$DRAIN", "5s"}
	return strings.NewReplacer(append(more, common...)...).Replace(text)
}

// openTunnel opens an echoing tunnel through the gateway.
func openTunnel(t *testing.T, addr string) *testkit.Client {
	t.Helper()
	c := testkit.Dial(t, addr)
	c.Send("GET /tunnel HTTP/1.1\r\nHost: shop.test\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
	if r := c.ReadResponse("GET"); r.StatusCode != 101 {
		t.Fatalf("no tunnel: %s", r.Status)
	}
	return c
}

func echoed(t *testing.T, c *testkit.Client, text string) {
	t.Helper()
	c.Send(text)
	if got := c.ReadN(len(text)); got != text {
		t.Fatalf("echo of %q: %q", text, got)
	}
}

// Tunnels and long bodies belong to connections and members, not to a configuration: as long as their address is listened on
// and their member is in the pool, they go on.
func TestTunnelAndDownloadGoOnThroughReloads(t *testing.T) {
	step := make(chan struct{})
	b, spare := slowly(t, step), newOrigin(t)
	g := newGateway(t)
	fill := func(more ...string) string {
		return g.fill(streamsConfig, append(more, "$BACKEND", b.Addr, "$SPARE", spare.addr)...)
	}
	g.start(fill())
	tunnel, loading := openTunnel(t, g.plain), testkit.Dial(t, g.plain)
	loading.Send("GET /download HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	head := "HTTP/1.1 200 OK\r\n"
	if got := loading.ReadN(len(head)); got != head {
		t.Fatal(got)
	}
	other := testkit.FreeAddr(t)
	for i := range 20 {
		more := ""
		if i%2 == 0 {
			more = fmt.Sprintf("  - {name: other, address: %q}", other)
		}
		g.configure(fill("$MORE", more, "$LOG", []string{"stdout", "stderr"}[i%2]) + fmt.Sprintf("# %d\n", i))
		echoed(t, tunnel, fmt.Sprintf("after reload %d", i))
		step <- struct{}{}
		step <- struct{}{}
	}
	finished(t, loading)
	// The last byte is there before the request is over.
	testkit.Eventually(t, soon, "retired snapshots to go", func() bool { return g.status().RetiredSnapshots == 0 })
}

// finished reads the rest of the download.
func finished(t *testing.T, c *testkit.Client) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(soon))
	rest := make([]byte, 0, len(download)+1000)
	for len(rest) < len(download) || !strings.HasSuffix(string(rest), download) {
		buf := make([]byte, piece)
		n, err := c.Read(buf)
		rest = append(rest, buf[:n]...)
		if err != nil {
			t.Fatalf("download: %v after %d bytes", err, len(rest))
		}
	}
}

// A member that a reload removes is drained: what is open goes on until its drain time is over, and is cut then.
func TestStreamsOfARemovedPoolGoOnUntilItsDrainTimeIsOver(t *testing.T) {
	step := make(chan struct{})
	b, spare := slowly(t, step), newOrigin(t)
	g := newGateway(t)
	fill := func(more ...string) string {
		return g.fill(streamsConfig, append(more, "$BACKEND", b.Addr, "$SPARE", spare.addr, "$DRAIN", "5s")...)
	}
	g.start(fill())
	tunnel, loading := openTunnel(t, g.plain), testkit.Dial(t, g.plain)
	loading.Send("GET /download HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	step <- struct{}{}
	removed := time.Now()
	g.configure(fill("$POOL", "spare"))
	if r := testkit.Get(t, g.plain, host, "/x"); string(r.Content) != said("GET", "/x", 0) {
		t.Errorf("a new request is not served by the new pool: %q", r.Content)
	}
	echoed(t, tunnel, "still there")
	step <- struct{}{}
	_ = tunnel.SetReadDeadline(time.Now().Add(soon))
	_, err := io.ReadAll(tunnel)
	if d := time.Since(removed); d < 4900*time.Millisecond || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the tunnel was cut after %v, drain time is 5s (%v)", d, err)
	}
	_ = loading.SetReadDeadline(time.Now().Add(soon))
	if got, _ := io.ReadAll(loading); strings.Contains(string(got), download[len(download)-100:]) {
		t.Error("the download was not cut")
	}
	g.waitLog("backend is drained", b.Addr)
}

// Another TLS policy is for the connections to come; one that is there is served once more and told to close.
func TestChangedTLSPolicySendsConnectionsAwayWithAnAnswer(t *testing.T) {
	g := newGateway(t)
	p := newPlan(g, newOrigin(t))
	g.start(p.text())
	c := testkit.DialTLS(t, g.secure, g.ca.ClientConfig(host))
	p.policy = "AppGwSslPolicy20220101S"
	g.configure(p.text())
	c.Send("GET /x HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	if r := c.ReadResponse("GET"); r.StatusCode != 200 || !r.Close {
		t.Errorf("%s, close announced: %v", r.Status, r.Close)
	}
}

// An address that becomes https serves nothing any more on connections without TLS.
func TestListenerThatBecomesHTTPSLeavesNothingToPlainConnections(t *testing.T) {
	g := newGateway(t)
	p := newPlan(g, newOrigin(t))
	g.start(p.text())
	c := ask(t, g.plain, "/first")
	if r := c.ReadResponse("GET"); r.StatusCode != 200 {
		t.Fatal(r.Status)
	}
	g.plain, g.secure = g.secure, g.plain
	g.configure(p.text())
	c.Send("GET /x HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	if r := c.ReadResponse("GET"); r.StatusCode != 404 || !r.Close {
		t.Errorf("%s, close announced: %v", r.Status, r.Close)
	}
	secure := testkit.DialTLS(t, g.secure, g.ca.ClientConfig(host))
	secure.Send("GET /x HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
	if r := secure.ReadResponse("GET"); r.StatusCode != 200 {
		t.Errorf("https: %s", r.Status)
	}
}
