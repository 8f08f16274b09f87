package stream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// accepting listens and returns an acceptor with a function that connects.
func accepting(t *testing.T, network, address string) (*Acceptor, func() net.Conn) {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	a, err := NewAcceptor(ln)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a, func() net.Conn {
		nc, err := net.Dial(network, ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		return nc
	}
}

func accept(t *testing.T, a *Acceptor) *Conn {
	t.Helper()
	c, err := a.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// waiting waits until what was written to nc has arrived at c.
func waiting(t *testing.T, c *Conn) {
	t.Helper()
	for deadline := time.Now().Add(soon); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if !c.direct(silent) {
			return
		}
	}
	t.Fatal("nothing arrives")
}

func TestARequestThatIsThereCostsThePollerNothing(t *testing.T) {
	a, dial := accepting(t, "tcp", "127.0.0.1:0")
	nc := dial()
	io.WriteString(nc, "request")
	c := accept(t, a)
	waiting(t, c)
	if got := readString(t, c); got != "request" {
		t.Fatalf("read %q", got)
	}
	if err := c.Write([]byte("resp"), []byte("onse"), nil); err != nil {
		t.Fatal(err)
	}
	if c.polled.Load() != nil {
		t.Error("the socket was registered")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(nc); err != nil || string(got) != "response" {
		t.Fatalf("got %q, %v", got, err)
	}
	if _, err := c.Read(make([]byte, 1), Never); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	if err := c.Write([]byte("x"), nil, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
	if c.Close() == nil {
		t.Error("closed twice")
	}
}

// What comes while others have their turn is read without the poller: here the
// peer runs as soon as the reader lets it. Now and then the system stops the
// peer in the middle of that, hence the attempts.
func TestARequestThatComesMeanwhileCostsThePollerNothing(t *testing.T) {
	a, dial := accepting(t, "tcp", "127.0.0.1:0")
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for range 20 {
		nc := dial()
		c := accept(t, a)
		go io.WriteString(nc, "request")
		got := readString(t, c)
		registered := c.polled.Load() != nil
		c.Close()
		if got != "request" {
			t.Fatalf("read %q", got)
		}
		if !registered {
			return
		}
	}
	t.Error("the socket was registered each time")
}

func TestAcceptedConnectionsWait(t *testing.T) {
	a, dial := accepting(t, "tcp", "127.0.0.1:0")
	nc := dial()
	c := accept(t, a)
	defer c.Close()
	if _, err := c.Read(make([]byte, 1), Now()+int64(20*time.Millisecond)); err != ErrTimeout {
		t.Fatalf("a silent peer: %v", err)
	}
	time.AfterFunc(20*time.Millisecond, func() { io.WriteString(nc, "late") })
	if got := readString(t, c); got != "late" {
		t.Fatalf("read %q", got)
	}
}

func TestAcceptedConnectionsWriteMoreThanTheSocketHolds(t *testing.T) {
	a, dial := accepting(t, "tcp", "127.0.0.1:0")
	nc := dial()
	c := accept(t, a)
	c.Stall = soon
	want := bytes.Repeat([]byte("0123456789abcdef"), flood/16)
	sent := make(chan error, 1)
	go func() { sent <- errors.Join(c.Write(want[:100], want[100:], nil), c.Close()) }()
	time.Sleep(20 * time.Millisecond) // the socket is full by now, or the test is easier
	got, err := io.ReadAll(nc)
	if err := errors.Join(err, <-sent); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, or others", len(got), len(want))
	}
}

func TestAcceptedConnectionsStall(t *testing.T) {
	a, dial := accepting(t, "tcp", "127.0.0.1:0")
	dial()
	c := accept(t, a)
	defer c.Abort()
	c.Stall = 50 * time.Millisecond
	if err := c.Write(make([]byte, flood), nil, nil); err != ErrTimeout {
		t.Fatalf("got %v", err)
	}
}

func TestInterruptReachesAnUnregisteredReader(t *testing.T) {
	a, dial := accepting(t, "tcp", "127.0.0.1:0")
	nc := dial()
	c := accept(t, a)
	defer c.Close()
	c.Interrupt()
	if _, err := c.Read(make([]byte, 1), Never); err != ErrInterrupted {
		t.Fatalf("got %v", err)
	}
	c.Resume()
	io.WriteString(nc, "x")
	if got := readString(t, c); got != "x" {
		t.Fatalf("read %q", got)
	}
	done := make(chan error, 1)
	go func() { _, err := c.Read(make([]byte, 1), Never); done <- err }()
	c.Interrupt()
	if err := <-done; err != ErrInterrupted {
		t.Fatalf("while it registers: %v", err)
	}
}

func TestAcceptedAddresses(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		a, dial := accepting(t, "tcp", address)
		nc := dial()
		c := accept(t, a)
		want := func(of net.Addr) netip.AddrPort { return addrPort(of) }
		if got := c.RemoteAddr(); got != want(nc.LocalAddr()) {
			t.Errorf("%s: remote is %v, want %v", address, got, want(nc.LocalAddr()))
		}
		if got := c.LocalAddr(); got != want(nc.RemoteAddr()) {
			t.Errorf("%s: local is %v, want %v", address, got, want(nc.RemoteAddr()))
		}
		c.Close()
	}
}

func TestAcceptorOfAUnixSocket(t *testing.T) {
	a, dial := accepting(t, "unix", filepath.Join(t.TempDir(), "s"))
	io.WriteString(dial(), "hello")
	c := accept(t, a)
	defer c.Close()
	if c.RemoteAddr().IsValid() || c.LocalAddr().IsValid() {
		t.Error("a unix socket has an address")
	}
	if got := readString(t, c); got != "hello" {
		t.Fatalf("read %q", got)
	}
}

func TestClosingAnAcceptorEndsAccept(t *testing.T) {
	a, _ := accepting(t, "tcp", "127.0.0.1:0")
	done := make(chan error, 1)
	go func() { _, err := a.Accept(); done <- err }()
	time.Sleep(10 * time.Millisecond)
	a.Close()
	if err := <-done; err != os.ErrClosed {
		t.Fatalf("got %v", err)
	}
}

// A descriptor must not be used once it is closed: its number may be another
// connection's by then.
func TestClosingWaitsForACallOnTheDescriptor(t *testing.T) {
	a, dial := accepting(t, "tcp", "127.0.0.1:0")
	for name, end := range map[string]func(*Conn) error{"Close": (*Conn).Close, "Abort": (*Conn).Abort} {
		dial()
		c := accept(t, a)
		inside, leave, closed := make(chan struct{}), make(chan struct{}), make(chan struct{})
		go c.direct(func(uintptr) bool { close(inside); <-leave; return true })
		<-inside
		go func() { end(c); close(closed) }()
		select {
		case <-closed:
			t.Fatalf("%s closed a descriptor in use", name)
		case <-time.After(20 * time.Millisecond):
		}
		close(leave)
		<-closed
		if c.direct(func(uintptr) bool { return true }) {
			t.Errorf("after %s the descriptor is still used", name)
		}
		if _, err := c.poll(); err != net.ErrClosed {
			t.Errorf("after %s the poller is given the descriptor: %v", name, err)
		}
	}
}
