package l7

import (
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
		s := &Snapshot{Sites: g.snap.Sites, Options: g.snap.Options, Limits: g.snap.Limits, Trusted: g.snap.Trusted, Unrouted: g.snap.Unrouted}
		g.Use(s)
		time.Sleep(time.Millisecond)
	}
	close(stop)
	clients.Wait()
	if n := g.Retired(); n > 0 {
		t.Errorf("%d snapshots are held", n)
	}
}
