package l7

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

var upgrade = get("/chat", "Connection: Upgrade", "Upgrade: websocket")

// tunnelTo runs a gateway whose backend switches protocols, sends early and
// echoes what comes.
func tunnelTo(t *testing.T, early string, idle time.Duration) *gateway {
	t.Helper()
	b := testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) {
		c.Send(switching + early)
		io.Copy(c, readOnly{c})
		c.CloseWrite()
		c.WaitPeer(soon)
		c.Close()
	})
	return start(t, setup{backends: []*testkit.Backend{b}, snapshot: func(s *Snapshot) { s.Limits.TunnelIdleTimeout = idle }})
}

// readOnly keeps io.Copy from going round the connection's buffer.
type readOnly struct{ c *testkit.Conn }

func (r readOnly) Read(p []byte) (int, error) { return r.c.Read(p) }

func open(t *testing.T, g *gateway, behind string) *testkit.Client {
	t.Helper()
	c := testkit.Dial(t, g.addr)
	c.Send(upgrade + behind)
	head := c.ReadN(len("HTTP/1.1 101"))
	for !strings.HasSuffix(head, "\r\n\r\n") {
		head += c.ReadN(1)
	}
	if !strings.HasPrefix(head, "HTTP/1.1 101") || !strings.Contains(head, "Upgrade: websocket\r\n") || !strings.Contains(head, "Connection: Upgrade\r\n") {
		t.Fatalf("answer is %q", head)
	}
	return c
}

func TestATunnelCarriesBothDirections(t *testing.T) {
	g := tunnelTo(t, "early", time.Minute)
	c := open(t, g, "behind the head")
	if got := c.ReadN(len("earlybehind the head")); got != "earlybehind the head" {
		t.Errorf("got %q", got)
	}
	big := testkit.Pattern(3 << 20)
	go c.TrySend(big, soon)
	if c.ReadN(len(big)) != big {
		t.Error("the echo differs")
	}
	c.Send("bye")
	c.CloseWrite()
	if got := string(c.ReadAll(soon)); got != "bye" {
		t.Errorf("after the half-close came %q", got)
	}
	if l := g.lines(t, 1)[0]; l.text("termination") != "--" || l["httpStatus"] != 101.0 {
		t.Errorf("the log says %v", l)
	}
}

// In a conversation between plain connections no goroutine copies: the carrier
// does; what ends it is for the copiers.
func TestAConversationIsCarried(t *testing.T) {
	copying := func() bool {
		all := make([]byte, 8<<20)
		return strings.Contains(string(all[:runtime.Stack(all, true)]), "copyTunnel")
	}
	g := tunnelTo(t, "", time.Minute)
	c := open(t, g, "")
	for range 3 {
		c.Send("word")
		c.ReadN(len("word"))
	}
	testkit.Eventually(t, soon, "no copiers, nor those of other tests", func() bool { return !copying() })
	big := testkit.Pattern(8 << 20)
	go c.TrySend(big, soon)
	testkit.Eventually(t, soon, "copiers", copying)
	if c.ReadN(len(big)) != big {
		t.Error("the echo differs")
	}
	c.Send("last")
	c.CloseWrite()
	if got := string(c.ReadAll(soon)); got != "last" {
		t.Errorf("after the half-close came %q", got)
	}
	if l := g.lines(t, 1)[0]; l["receivedBytes"] == 0.0 || l.text("termination") != "--" {
		t.Errorf("the log says %v", l)
	}
}

func TestTheBackendMayEndItsSideOfATunnelFirst(t *testing.T) {
	got := make(chan string, 1)
	g, _ := one(t, func(c *testkit.Conn, r *testkit.Request) {
		c.Send(switching + "all I have")
		c.CloseWrite()
		all, _ := io.ReadAll(readOnly{c})
		got <- string(all)
		c.Close()
	})
	c := open(t, g, "")
	if s := string(c.ReadAll(soon)); s != "all I have" {
		t.Errorf("the client got %q", s)
	}
	c.Send("still heard")
	c.CloseWrite()
	if s := <-got; s != "still heard" {
		t.Errorf("the backend got %q", s)
	}
}

func TestASilentTunnelEnds(t *testing.T) {
	t.Parallel()
	const idle = 2 * time.Second // much longer than a busy machine's delays
	g := tunnelTo(t, "", idle)
	c := open(t, g, "")
	from := time.Now()
	for range 5 { // traffic keeps it
		time.Sleep(idle / 4)
		from = time.Now()
		c.Send("x")
		c.ReadN(1)
	}
	c.ExpectClosed(soon)
	if took := time.Since(from); took < idle/2 || took > idle+soon/2 {
		t.Errorf("closed after %v", took)
	}
	if l := g.lines(t, 1)[0]; !strings.Contains(fmt.Sprint(l), "tunnel idle") {
		t.Errorf("the log says %v", l)
	}
}

func TestAResetEndsBothSidesOfATunnel(t *testing.T) {
	ended := make(chan error, 1)
	g, _ := one(t, func(c *testkit.Conn, r *testkit.Request) {
		c.Send(switching)
		ended <- c.WaitPeer(soon)
		c.Close()
	})
	open(t, g, "").Reset()
	select {
	case <-ended:
	case <-time.After(soon):
		t.Fatal("the backend's side goes on")
	}
}

func TestARefusedUpgradeStaysHTTP(t *testing.T) {
	g, b := one(t, testkit.Respond(426, "no", "Upgrade: websocket"))
	r := ask(t, testkit.Dial(t, g.addr), upgrade, 426)
	if string(r.Content) != "no" {
		t.Errorf("body %q", r.Content)
	}
	ask(t, testkit.Dial(t, g.addr), get("/"), 426)
	if n := b.ConnCount(); n != 1 {
		t.Errorf("%d connections to the backend", n)
	}
}

func TestA101NobodyAskedForIsRefused(t *testing.T) {
	g, _ := one(t, testkit.Raw(switching))
	ask(t, testkit.Dial(t, g.addr), get("/"), 502)
}

// Backends that do not mind the end of their client are common: 50 clients
// that left must not keep 50 tunnels until the idle timeout.
func TestATunnelOfWhichOneSideEndedDoesNotLinger(t *testing.T) {
	t.Parallel()
	const linger = 1200 * time.Millisecond // much longer than a busy machine's delays
	over := make(chan struct{})
	b := testkit.NewBackend(t, func(c *testkit.Conn, r *testkit.Request) {
		c.Send(switching)
		io.Copy(io.Discard, readOnly{c}) // the client's end, and then some more to say
		c.Dribble("012345", 1, linger/4)
		<-over
		c.Close()
	})
	defer close(over)
	g := start(t, setup{backends: []*testkit.Backend{b}, snapshot: func(s *Snapshot) { s.tunnelLinger = linger }})
	c := open(t, g, "")
	time.Sleep(linger + linger/4) // silence of an open tunnel is no matter
	c.Send("x")
	c.CloseWrite()
	from := time.Now()
	if got := string(c.ReadAll(soon)); got != "012345" {
		t.Errorf("the client got %q", got)
	}
	if took := time.Since(from); took < 2*linger || took > soon {
		t.Errorf("closed after %v", took)
	}
	if l := g.lines(t, 1)[0]; l.text("termination") != "SD" || !strings.Contains(fmt.Sprint(l), "one side of the tunnel ended") {
		t.Errorf("the log says %v", l)
	}
}
