package lifecycle

import (
	"fmt"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

const stopConfig = `
admin: {address: "$ADMIN"}
logs: {access: {output: "$LOG", format: json}}
shutdown: {drain: $DRAIN}
listeners:
  - {name: plain, address: "$PLAIN"}
  - {name: secure, address: "$SECURE", protocol: https, tls: {certificates: [{certFile: "$CERT", keyFile: "$KEY"}]}}
backendPools:
  - {name: main, targets: ["$BACKEND"]}
backendSettings:
  - {name: plain, probe: "off", requestTimeout: 60s}
rules:
  - {name: plain, listener: plain, backendPool: main, backendSettings: plain}
  - {name: secure, listener: secure, backendPool: main, backendSettings: plain}
`

// startStop starts a gateway before one origin with this drain time.
func startStop(t *testing.T, drain string) (*gateway, *origin) {
	t.Helper()
	g, o := newGateway(t), newOrigin(t)
	g.start(g.fill(stopConfig, "$BACKEND", o.addr, "$CERT", g.cert.CertFile, "$KEY", g.cert.KeyFile, "$DRAIN", drain))
	return g, o
}

// ask sends a request and leaves its answer to be read.
func ask(t *testing.T, addr, path string) *testkit.Client {
	t.Helper()
	c := testkit.Dial(t, addr)
	c.Send("GET " + path + " HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	return c
}

// hold opens that many requests that the origin does not answer before it is told.
func (o *origin) hold(t *testing.T, addr string, n int) (all []*testkit.Client) {
	t.Helper()
	for range n {
		all = append(all, ask(t, addr, "/held"))
	}
	testkit.Eventually(t, soon, "requests to reach the origin", func() bool { return int(o.inFlight.Load()) == n })
	return all
}

func TestSIGTERMDrains(t *testing.T) {
	g, o := startStop(t, "20s")
	held := o.hold(t, g.plain, 5)
	idle := testkit.Dial(t, g.plain)
	idle.Send("GET /first HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	idle.ReadResponse("GET")
	fresh := testkit.Dial(t, g.plain) // has not sent anything yet
	secure := testkit.DialTLS(t, g.secure, g.ca.ClientConfig(host))
	g.signal(syscall.SIGTERM)
	began := time.Now()
	g.waitLog("draining")
	testkit.Eventually(t, soon, "new connections to be refused", func() bool {
		c, err := net.Dial("tcp", g.plain)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if code, body, err := g.fetch("/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("/readyz while draining: %d %v %s", code, err, body)
	}
	for _, c := range []*testkit.Client{idle, fresh, secure} {
		c.ExpectClosed(soon)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("idle connections were closed after %v, about a second is expected", d)
	}
	if !g.proc.Running() {
		t.Fatal("it ended with requests in flight")
	}
	close(o.release)
	for _, c := range held {
		if r := c.ReadResponse("GET"); r.StatusCode != 200 || !r.Close {
			t.Errorf("a request in flight: %s, close announced: %v", r.Status, r.Close)
		}
		c.ExpectClosed(soon)
	}
	if code := g.proc.Wait(soon); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// A request that is on its way when the signal comes finds its idle connection still there.
func TestSIGTERMLingersForRequestsOnTheirWay(t *testing.T) {
	g, o := startStop(t, "20s")
	held := o.hold(t, g.plain, 1)
	idle := ask(t, g.plain, "/first")
	idle.ReadResponse("GET")
	began := time.Now()
	g.signal(syscall.SIGTERM)
	g.waitLog("draining")
	lastOne(t, idle, began)
	close(o.release)
	held[0].ReadResponse("GET")
}

// lastOne sends a request on a connection that was idle and is to go since a while, and wants an answer that says so. If this
// machine needs longer for that than the gateway waits, it may find the connection closed.
func lastOne(t *testing.T, c *testkit.Client, since time.Time) {
	t.Helper()
	_, err := c.TrySend("GET /last HTTP/1.1\r\nHost: shop.test\r\n\r\n", soon)
	after := time.Since(since)
	var r *testkit.Response
	if err == nil {
		r, err = c.TryReadResponse("GET", soon)
	}
	switch {
	case err != nil && after > linger:
		t.Logf("sent after %v: %v", after, err)
	case err != nil:
		t.Errorf("sent after %v: %v", after, err)
	case r.StatusCode != 200 || !r.Close:
		t.Errorf("%s, close announced: %v", r.Status, r.Close)
	}
}

func TestRequestLongerThanTheDrainIsCutAtTheDeadline(t *testing.T) {
	g, o := startStop(t, "2s")
	held := o.hold(t, g.plain, 1)
	g.signal(syscall.SIGTERM)
	began := time.Now()
	held[0].ExpectClosed(soon)
	if d := time.Since(began); d < 1900*time.Millisecond {
		t.Errorf("cut after %v", d)
	}
	if code := g.proc.Wait(soon); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

func TestSecondSIGTERMExitsAtOnce(t *testing.T) {
	g, o := startStop(t, "60s")
	o.hold(t, g.plain, 1)
	g.signal(syscall.SIGTERM)
	g.waitLog("draining")
	g.signal(syscall.SIGTERM)
	if code := g.proc.Wait(soon); code != 1 {
		t.Errorf("exit status %d", code)
	}
	g.waitLog("stopping at once")
}

func TestSIGTERMUnderLoadCutsNothing(t *testing.T) {
	g, _ := startStop(t, "20s")
	l := startLoad(g, everybody)
	l.more(500)
	l.resting.Store(true) // nobody opens a connection from here on
	testkit.Eventually(t, soon, "clients to hang up", func() bool { return l.passing.Load() == 0 })
	l.settled(64)
	l.leaving.Store(true)
	l.last.Store(true)
	g.signal(syscall.SIGTERM)
	l.over.Wait()
	l.finish()
	if told, late := l.told.Load(), l.late.Load(); told+late < 64 {
		t.Errorf("%d of 64 connections were told to close, %d were late", told, late)
	}
	if code := g.proc.Wait(soon); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

func TestStartThatCannotWorkEndsWithAReason(t *testing.T) {
	binary := testkit.Build(t, "./cmd/appgw")
	taken, missing := occupy(t), "missing.pem"
	base := "admin: {address: \"off\"}\nlisteners:\n  - {name: web, address: \"$A\"$TLS}\n"
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"port in use", base, []string{"$F:3: listeners[0].address", taken, "in use"}},
		{"missing certificate", `$TLS`, []string{"$F:3: listeners[0].tls.certificates[0]", missing, "no such file"}},
		{"not YAML", "listeners: [\n", []string{"$F:"}},
		{"unknown key", "listeners:\n  - {name: web, address: \":1\", colour: red}\n", []string{"$F:2: ", "colour"}},
		{"dangling name", "rules:\n  - {name: r, listener: nowhere, redirect: x}\n", []string{"$F:2: ", "nowhere"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := c.text
			if text == "$TLS" {
				text = fmt.Sprintf("admin: {address: \"off\"}\nlisteners:\n  - {name: web, address: %q, protocol: https, tls: {certificates: [{certFile: %s, keyFile: %s}]}}\n",
					testkit.FreeAddr(t), missing, missing)
			}
			file := testkit.Config(t, replace(text, "$A", taken, "$TLS", ""))
			code, out := runCommand(t, binary, "run", "-c", file)
			if code != 1 {
				t.Errorf("exit status %d", code)
			}
			for _, want := range c.want {
				if want = replace(want, "$F", file); !containsAll(out, []string{want}) {
					t.Errorf("no %q in: %s", want, out)
				}
			}
		})
	}
}

func TestWrongUsageAndMissingFileSayWhatToDo(t *testing.T) {
	binary := testkit.Build(t, "./cmd/appgw")
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"no configuration", []string{"run"}, 1, []string{"appgw demo", "appgw proxy --from"}},
		{"named file missing", []string{"run", "-c", "nowhere.yaml"}, 1, []string{"nowhere.yaml", "no such file"}},
		{"unknown flag", []string{"run", "--colour"}, 2, []string{"--colour", "--help"}},
		{"unknown command", []string{"walk"}, 2, []string{"walk", "--help"}},
		{"surplus argument", []string{"run", "x"}, 2, []string{"--help"}},
		{"missing argument", []string{"drain"}, 2, []string{"--help"}},
		{"nobody there", []string{"status", "--admin", "127.0.0.1:1"}, 1, []string{"127.0.0.1:1", "refused"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out := runCommand(t, binary, c.args...)
			if code != c.code || !containsAll(out, c.want) {
				t.Errorf("exit status %d, want %d; want %q in: %s", code, c.code, c.want, out)
			}
		})
	}
}

// A response that began before the drain did not say that the connection goes: a request behind it may be on its way.
func TestConnectionIsKeptAWhileAfterAResponseThatBeganBeforeTheDrain(t *testing.T) {
	step := make(chan struct{}, 40)
	b, spare := slowly(t, step), newOrigin(t)
	g := newGateway(t)
	g.start(g.fill(streamsConfig, "$BACKEND", b.Addr, "$SPARE", spare.addr, "$DRAIN", "20s"))
	c := ask(t, g.plain, "/download")
	step <- struct{}{}
	c.ReadN(len("HTTP/1.1 200 OK\r\n")) // the head is out
	g.signal(syscall.SIGTERM)
	g.waitLog("draining")
	testkit.Eventually(t, soon, "the socket to close", func() bool {
		probe, err := net.Dial("tcp", g.plain)
		if err == nil {
			probe.Close()
		}
		return err != nil
	})
	ends := time.Now()
	for range 39 {
		step <- struct{}{}
	}
	finished(t, c)
	time.Sleep(200 * time.Millisecond) // what it is to be kept for is a second
	lastOne(t, c, ends)
	if code := g.proc.Wait(soon); code != 0 {
		t.Errorf("exit status %d", code)
	}
}
