package l7

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/stream"
	"gatehouse/internal/testkit"
)

// transport is that of the gateway's only member.
func (g *gateway) transport(t *testing.T) *Transport {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.transports) != 1 {
		t.Fatalf("%d transports", len(g.transports))
	}
	for only := range g.transports {
		return only
	}
	return nil
}

// age makes the connections of a transport that are idle look unused for so
// much longer.
func (t *Transport) age(by time.Duration) {
	for i := range t.idle {
		s := &t.idle[i]
		s.mu.Lock()
		for _, c := range s.conns {
			c.Used -= int64(by)
		}
		s.mu.Unlock()
	}
}

// Two connections, of which only one is idle for too long.
func TestConnectionsThatAreIdleForLongAreClosed(t *testing.T) {
	release := make(chan struct{})
	g, b := one(t, func(c *testkit.Conn, r *testkit.Request) {
		if r.Target == "/slow" {
			<-release
		}
		c.Respond(r, 200, "ok")
	})
	slow, quick := testkit.Dial(t, g.addr), testkit.Dial(t, g.addr)
	slow.Send(get("/slow"))
	testkit.Eventually(t, soon, "the first connection", func() bool { return b.RequestCount() == 1 })
	ask(t, quick, get("/"), 200)
	testkit.Eventually(t, soon, "a connection to be kept", func() bool { return g.idle() == 1 })
	tr := g.transport(t)
	tr.age(upstreamIdle)
	close(release)
	slow.ReadFinal("GET")
	testkit.Eventually(t, soon, "the other to be kept", func() bool { return g.idle() == 2 })

	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { g.Run(ctx); close(ran) }()
	defer func() { cancel(); <-ran }()
	testkit.Eventually(t, soon, "the old connection to be closed", func() bool { return b.OpenConns() == 1 })
	if g.idle() != 1 || tr.Open() != 1 {
		t.Errorf("%d connections are idle and %d open, want the one that was used just now", g.idle(), tr.Open())
	}
	ask(t, quick, get("/"), 200)
	if b.ConnCount() != 2 {
		t.Error("the connection that was left is not used")
	}
}

// A member may be closed while a connection to it is being made: nobody would
// close that later.
func TestADialThatEndsAfterCloseLeavesNothingOpen(t *testing.T) {
	ca := testkit.NewCA(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	g := start(t, setup{targets: []config.Target{targetAt(ln.Addr().String())}, toTLS: ca.ClientConfig("backend.test")})
	tr := g.transport(t)
	dialled := make(chan error, 1)
	go func() {
		_, err := tr.dial(context.Background())
		dialled <- err
	}()
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	tr.Close() // before the handshake is answered
	nc.SetDeadline(time.Now().Add(soon))
	server := tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{ca.Server("backend.test").TLS}})
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-dialled; !errors.Is(err, errTransportClosed) || !isOurs(err) {
		t.Errorf("the dial ended with %v", err)
	}
	if n, err := server.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		t.Errorf("the connection is not closed: %v", err)
	}
	if tr.Open() != 0 || tr.Idle() != 0 {
		t.Errorf("%d connections are open, %d idle", tr.Open(), tr.Idle())
	}
}

// Whatever comes first, no connection is left once a transport is closed and
// its users are done.
func TestNothingIsKeptBeyondClose(t *testing.T) {
	g, b := one(t, nil)
	backend, err := g.pool.Acquire(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer backend.End()
	for range 20 {
		tr := g.NewTransport(backend, nil)
		var users sync.WaitGroup
		for shard := range uint32(4) {
			users.Go(func() { dialAndKeep(t, tr, shard) })
		}
		users.Go(func() { tr.Close() })
		users.Wait()
		if tr.Open() != 0 || tr.Idle() != 0 {
			t.Fatalf("%d connections are open, %d idle", tr.Open(), tr.Idle())
		}
		if _, err := tr.dial(context.Background()); err != errTransportClosed {
			t.Fatalf("a dial after Close: %v", err)
		}
	}
	testkit.Eventually(t, soon, "the connections to go", func() bool { return b.OpenConns() == 0 })
}

// dialAndKeep puts new connections among the idle ones until the transport is
// closed, or was not for long.
func dialAndKeep(t *testing.T, tr *Transport, shard uint32) {
	for range 100 {
		c, err := tr.dial(context.Background())
		if err == errTransportClosed {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		tr.put(shard, c, stream.Now())
	}
}

// A connection that comes back after its member was closed is closed, too.
func TestAConnectionThatComesBackAfterCloseIsNotKept(t *testing.T) {
	g, b := one(t, nil)
	tr := g.transport(t)
	c, err := tr.dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	tr.Close()
	tr.put(0, c, stream.Now())
	if tr.Open() != 0 || tr.Idle() != 0 {
		t.Errorf("%d connections are open, %d idle", tr.Open(), tr.Idle())
	}
	testkit.Eventually(t, soon, "the connection to go", func() bool { return b.OpenConns() == 0 })
}

// Waiting for a next request ends before anybody is asked whether he is there:
// so many questions at once would be lost.
func TestConnectionsThatWaitAreNotAskedForLife(t *testing.T) {
	g, _, err := config.ParseGateway("a.yaml", []byte("listeners: []"))
	if err != nil {
		t.Fatal(err)
	}
	alive := KeepAlive()
	if !alive.Enable || alive.Idle <= g.Limits.IdleTimeout || alive.Idle <= upstreamIdle || alive.Count < 5 {
		t.Errorf("%+v, while connections wait for %v and %v", alive, g.Limits.IdleTimeout, upstreamIdle)
	}
}
