package l7

import (
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/testkit"
)

func TestARetiredSnapshotClosesAfterItsLastRelease(t *testing.T) {
	g := NewGateway(slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	var closed atomic.Int32
	s := &Snapshot{Closed: func() { closed.Add(1) }}
	g.Use(s)
	for shard := range uint32(40) {
		if g.acquire(shard) != s {
			t.Fatal("another snapshot")
		}
	}
	g.Use(&Snapshot{})
	for shard := range uint32(40) {
		if closed.Load() != 0 || g.Retired() != 1 {
			t.Fatalf("closed with %d uses left", 40-shard)
		}
		s.release(shard)
	}
	if closed.Load() != 1 || g.Retired() != 0 {
		t.Errorf("closed %d times, %d retired", closed.Load(), g.Retired())
	}
}

// Whoever holds a snapshot holds one that is not closed, whatever is swapped.
func TestNoSnapshotIsClosedInUse(t *testing.T) {
	g := NewGateway(slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	const swaps = 1000
	var closed atomic.Int32
	var stop atomic.Bool
	var users sync.WaitGroup
	for shard := range uint32(4) {
		users.Go(func() {
			for !stop.Load() {
				s := g.acquire(shard)
				if s.closed.Load() {
					t.Error("a closed snapshot was acquired")
				}
				s.release(shard)
			}
		})
	}
	var swappers sync.WaitGroup
	for range 4 {
		swappers.Go(func() {
			for range swaps / 4 {
				g.Use(&Snapshot{Closed: func() { closed.Add(1) }})
			}
		})
	}
	swappers.Wait()
	stop.Store(true)
	users.Wait()
	g.Use(&Snapshot{})
	if n := closed.Load(); n != swaps || g.Retired() != 0 {
		t.Errorf("%d of %d snapshots were closed, %d are retired", n, swaps, g.Retired())
	}
}

// reload replaces the snapshot by one that says the same.
func (g *gateway) reload() {
	g.Use(&Snapshot{Sites: g.snap.Sites, Options: g.snap.Options, Limits: g.snap.Limits, Trusted: g.snap.Trusted, Unrouted: g.snap.Unrouted})
}

func TestRequestsGoOnWhileSnapshotsAreSwapped(t *testing.T) {
	g, _ := one(t, testkit.Respond(200, "ok"))
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		c := testkit.Dial(t, g.addr)
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if _, err := c.TrySend(get("/"), soon); err != nil {
						t.Error(err)
						return
					}
					if r, err := c.TryReadResponse("GET", soon); err != nil || r.StatusCode != 200 {
						t.Errorf("%v, %v", r, err)
						return
					}
				}
			}
		})
	}
	for range 500 {
		g.reload()
		time.Sleep(time.Millisecond)
	}
	close(stop)
	clients.Wait()
	// Clients have their last answers just before those are over.
	testkit.Eventually(t, soon, "all replaced snapshots to close", func() bool { return g.Retired() == 0 })
}

// pieces is a backend that sends a response in pieces of one byte, one for each
// value received.
func pieces(next <-chan struct{}) testkit.Handler {
	return func(c *testkit.Conn, r *testkit.Request) {
		c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range next {
			c.Send("1\r\nx\r\n")
		}
		c.Send("0\r\n\r\n")
	}
}

// readPieces reads a response until it has so many pieces of one byte.
func readPieces(c *testkit.Client, n int) {
	for got := ""; strings.Count(got, "1\r\nx\r\n") < n; {
		got += c.ReadN(1)
	}
}

// A download may take hours: no replaced configuration is kept for it.
func TestALongResponseDoesNotHoldItsSnapshot(t *testing.T) {
	next := make(chan struct{})
	g, _ := one(t, pieces(next))
	c := testkit.Dial(t, g.addr)
	c.Send(get("/"))
	next <- struct{}{}
	readPieces(c, 1)
	g.reload()
	testkit.Eventually(t, soon, "the replaced snapshot to close", func() bool { return g.Retired() == 0 })
	next <- struct{}{}
	readPieces(c, 1)
	close(next)
	if got := c.ReadN(len("0\r\n\r\n")); got != "0\r\n\r\n" {
		t.Errorf("the response ends with %q", got)
	}
}

// What a stage works with belongs to its snapshot, for as long as it looks on.
func TestAStageHoldsItsSnapshotToTheEnd(t *testing.T) {
	next := make(chan struct{})
	s := &fakeStage{respHead: func(*httpmsg.Response) Verdict { return Verdict{Watch: true} }}
	g, _ := staged(t, s, pieces(next))
	c := testkit.Dial(t, g.addr)
	c.Send(get("/"))
	next <- struct{}{}
	readPieces(c, 1)
	g.reload()
	for range 3 {
		next <- struct{}{}
		readPieces(c, 1)
		if g.Retired() != 1 {
			t.Fatal("the snapshot was closed under the stage")
		}
	}
	close(next)
	testkit.Eventually(t, soon, "the replaced snapshot to close", func() bool { return g.Retired() == 0 })
}

func TestATunnelDoesNotHoldItsSnapshot(t *testing.T) {
	g := tunnelTo(t, "", time.Minute)
	c := open(t, g, "")
	g.reload()
	testkit.Eventually(t, soon, "the replaced snapshot to close", func() bool { return g.Retired() == 0 })
	c.Send("still there")
	if got := c.ReadN(len("still there")); got != "still there" {
		t.Errorf("the tunnel brings %q", got)
	}
}
