package l7

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/stream"
	"gatehouse/internal/telemetry"
	"gatehouse/proxy/http1"
)

// Gateway answers requests by its current snapshot.
type Gateway struct {
	log    *slog.Logger
	access *telemetry.AccessLog

	// via is this process's entry in the Via fields of requests: a request
	// that carries it already has come round in a loop.
	via string

	current atomic.Pointer[Snapshot]
	options atomic.Pointer[http1.Options] // those of current, apart: idle connections keep them

	connections atomic.Int64 // client connections, in all
	clients     clientCounts
	shards      atomic.Uint32
	dates       dates
	limited     limitedLog
	panics      atomic.Int64
	held        holdings
	mirrors     mirrors
	tunnels     tunnels
	carrier     *stream.Carrier
	behind      behind
	asking      sync.Pool // of *flow, for what services of authentications are asked

	mu         sync.Mutex
	retired    []*Snapshot
	transports map[*Transport]struct{}
}

// NewGateway makes a gateway that serves nothing yet; access may be nil.
func NewGateway(log *slog.Logger, access *telemetry.AccessLog) *Gateway {
	var id [6]byte
	rand.Read(id[:])
	g := &Gateway{log: log, access: access, transports: map[*Transport]struct{}{}}
	g.carrier = stream.NewCarrier(runtime.GOMAXPROCS(0))
	g.via = "1.1 gatehouse-" + hex.EncodeToString(id[:])
	g.current.Store(&Snapshot{})
	g.options.Store(&http1.Options{})
	return g
}

// Use makes a snapshot the current one. It cannot fail.
func (g *Gateway) Use(s *Snapshot) {
	options := s.Options
	g.options.Store(&options)
	old := g.current.Swap(s)
	g.mu.Lock()
	g.retired = append(g.retired, old)
	g.mu.Unlock()
	old.retire()
	g.forgetClosed()
}

// Retired is the number of replaced snapshots that exchanges still hold.
func (g *Gateway) Retired() int {
	g.forgetClosed()
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.retired)
}

func (g *Gateway) forgetClosed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	kept := g.retired[:0]
	for _, s := range g.retired {
		if s.InUse() {
			kept = append(kept, s)
		}
	}
	clear(g.retired[len(kept):])
	g.retired = kept
}

// housekeeping is how often idle backend connections are looked through.
const housekeeping = time.Second

// Run keeps house until ctx ends: it closes backend connections that were
// idle for long, and keeps the clock of the access log right. Then it waits for
// the end of the copies that mirrors are sent, and no more are taken, and ends
// the validations of caches that nobody waits for.
func (g *Gateway) Run(ctx context.Context) error {
	tick := time.NewTicker(housekeeping)
	defer tick.Stop()
	defer g.mirrors.close(g)
	defer g.behind.stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			stream.SyncWall()
			g.closeIdleUpstreams()
		}
	}
}

func (g *Gateway) closeIdleUpstreams() {
	g.mu.Lock()
	all := make([]*Transport, 0, len(g.transports))
	for t := range g.transports {
		all = append(all, t)
	}
	g.mu.Unlock()
	now := stream.Now()
	for _, t := range all {
		t.closeIdle(now)
	}
}

// Panics is the number of requests that ran into a bug of the gateway's.
func (g *Gateway) Panics() int64 { return g.panics.Load() }

// Connections is the number of open client connections.
func (g *Gateway) Connections() int64 { return g.connections.Load() }
