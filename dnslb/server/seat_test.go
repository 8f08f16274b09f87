package server

import (
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"gatehouse/config"
)

func TestSeatsAreEvictedAsConnectionsAre(t *testing.T) {
	b := NewConnections(config.DNSLimits{TCPConnections: 2, TCPPerClient: 2})
	var gone []string
	admit := func(name, client string) *Seat {
		return b.Admit(netip.MustParseAddr(client), func() { gone = append(gone, name) })
	}
	first, second := admit("first", "192.0.2.1"), admit("second", "::ffff:192.0.2.1")
	if admit("third", "192.0.2.1") != nil {
		t.Error("one client has three seats of two")
	}
	if !first.Begin() {
		t.Error("first is gone")
	}
	other := admit("other", "192.0.2.2")
	if len(gone) != 1 || gone[0] != "second" || second.Wait() || second.Begin() {
		t.Fatalf("evicted %q, want the one that waits", gone)
	}
	if !other.Begin() || admit("more", "192.0.2.3") != nil {
		t.Error("one that is in use was evicted")
	}
	if !first.Wait() || admit("last", "192.0.2.3") == nil {
		t.Error("one that waits again was not evicted")
	}
	second.Leave()
	other.Leave()
	other.Leave()
	if b.open != 1 {
		t.Errorf("%d seats are taken, want 1", b.open)
	}
}

func TestRespondersAreReplacedWhenTheyPanic(t *testing.T) {
	var made atomic.Int32
	var log strings.Builder
	r := NewResponders(func() Responder {
		n := made.Add(1)
		return respond(func(out, q []byte, _ *Peer) []byte {
			if len(q) == 13 {
				panic("odd")
			}
			return append(out, byte(n))
		})
	}, slog.New(slog.NewTextHandler(&log, nil)))
	peer := &Peer{Transport: HTTPS}
	if _, panicked := r.Respond(nil, query(1, 13), peer); !panicked || !strings.Contains(log.String(), "odd") {
		t.Errorf("panicked %t, logged %q", panicked, log.String())
	}
	before := made.Load()
	answer, panicked := r.Respond(nil, query(1, 12), peer)
	if panicked || len(answer) != 1 || answer[0] < 2 || before < 2 {
		t.Errorf("answer %v after %d were made, panicked %t", answer, before, panicked)
	}
}
