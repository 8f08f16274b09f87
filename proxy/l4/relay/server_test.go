package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/testkit"
	"gatehouse/proxy/l4"

	"golang.org/x/sys/unix"
)

// tell answers with a name whatever comes.
func tell(name string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		buf := make([]byte, 100)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			c.Write([]byte(name))
		}
	}
}

func TestReloadKeepsFlows(t *testing.T) {
	a, b := newMember(t, tell("a")), newMember(t, tell("b"))
	l := newLab(t, options{loops: 2}, a.addr)
	before := l.dial()
	say(t, before, "x")
	hear(t, before, "a")
	next := l.compile("", b.addr)
	l.s.Use(next, next.Doors[0])
	for range 20 {
		c := l.dial()
		say(t, c, "x")
		hear(t, c, "b")
		say(t, before, "x")
		hear(t, before, "a")
		c.Close()
	}
}

func TestStopKeepsFlows(t *testing.T) {
	m := newMember(t, echo)
	l := newLab(t, options{loops: 2}, m.addr)
	c := l.dial()
	say(t, c, "x")
	hear(t, c, "x")
	l.s.Stop()
	if late, err := net.Dial("tcp", l.addr); err == nil {
		late.Close()
		t.Error("it still listens")
	}
	say(t, c, "y")
	hear(t, c, "y")
	done := make(chan error, 1)
	go func() { done <- l.s.Drain(context.Background()) }()
	select {
	case <-done:
		t.Fatal("drained with a flow left")
	case <-time.After(50 * time.Millisecond):
	}
	c.Close()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("not drained")
	}
}

func TestDrainEndsWhatIsLeft(t *testing.T) {
	m := newMember(t, nil)
	l := newLab(t, options{}, m.addr)
	c := l.dial()
	b := m.take()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := l.s.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drain: %v", err)
	}
	hearReset(t, c)
	hearReset(t, b)
	if why := l.ended(); why != l4.EndStopping || l.s.Live() != 0 {
		t.Errorf("ended: %v; %d live", why, l.s.Live())
	}
}

// What had connected before Stop is served.
func TestStopServesWhatWaits(t *testing.T) {
	m := newMember(t, echo)
	l := newLab(t, options{}, m.addr)
	hold, held := make(chan bool), make(chan bool)
	lp := l.loops.loops[0]
	lp.post(func() {
		close(held)
		<-hold
		lp.unlisten(l.s) // before the loop hears of the connections
	})
	<-held
	var list []*net.TCPConn
	for range 10 {
		list = append(list, l.dial())
	}
	close(hold)
	l.s.Stop()
	for _, c := range list {
		say(t, c, "x")
		hear(t, c, "x")
	}
}

func TestInheritedSocket(t *testing.T) {
	m := newMember(t, echo)
	l := newLab(t, options{loops: 2}, m.addr)
	sockets, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), 2, ListenOptions{Backlog: 10})
	if err != nil {
		t.Fatal(err)
	}
	var heirs []*Listener
	for _, s := range sockets {
		f, err := s.File()
		if err != nil {
			t.Fatal(err)
		}
		heir, err := Inherit(f)
		f.Close()
		if err != nil || heir.Addr() != s.Addr() {
			t.Fatal(err, heir)
		}
		heirs = append(heirs, heir)
		s.Close()
	}
	s, err := l.loops.Serve(Options{Flows: &l.state.Flows}, l.b, l.b.Doors[0], heirs)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Drain(context.Background())
	for range 10 {
		c := dial(t, heirs[0].Addr().String())
		say(t, c, "x")
		hear(t, c, "x")
		c.Close()
	}
	for _, what := range []string{"tcp", "udp"} {
		if err := inheritOther(t, what); err == nil {
			t.Errorf("a socket of %s that does not listen was taken", what)
		}
	}
}

// inheritOther offers a socket that is no listener.
func inheritOther(t *testing.T, what string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial(what, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := c.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	heir, err := Inherit(f)
	if err == nil {
		heir.Close()
	}
	return err
}

// A stranger's address is not shared.
func TestListenIsAlone(t *testing.T) {
	one, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), 2, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	two, err := Listen(one[0].Addr(), 1, ListenOptions{})
	if !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a second one: %v", err)
	}
	for _, l := range append(one, two...) {
		l.Close()
	}
}

// Connections spread over the loops.
func TestLoopsShare(t *testing.T) {
	m := newMember(t, echo)
	l := newLab(t, options{loops: 2}, m.addr)
	for range 40 {
		c := l.dial()
		say(t, c, "x")
		hear(t, c, "x")
	}
	var mu sync.Mutex
	l.loops.each(func(i int, lp *loop) {
		mu.Lock()
		defer mu.Unlock()
		if lp.live < 5 {
			t.Errorf("loop %d has %d of 40 flows", i, lp.live)
		}
	})
}

// No descriptor is left: clients are reset, those that were open go on.
func TestOutOfDescriptors(t *testing.T) {
	m := newMember(t, echo)
	var reported atomic.Int64
	l := newLab(t, options{serve: func(o *Options) { o.Report = func(error) { reported.Add(1) } }}, m.addr)
	before := l.dial()
	say(t, before, "x")
	hear(t, before, "x")
	var clients []int
	for range 5 { // sockets that are there before
		fd, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		clients = append(clients, fd)
	}
	restore := exhaust(t)
	at := sockaddrOf(netip.MustParseAddrPort(l.addr))
	release := l.hold() // all are turned away at one moment, of which it tells once
	for _, fd := range clients {
		if err := unix.Connect(fd, at); err != nil {
			t.Error(err)
		}
	}
	release()
	for _, fd := range clients {
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5})
		if _, err := unix.Read(fd, make([]byte, 1)); err != unix.ECONNRESET {
			t.Errorf("read: %v", err)
		}
	}
	say(t, before, "y")
	hear(t, before, "y")
	restore()
	for _, fd := range clients {
		unix.Close(fd)
	}
	c := l.dial()
	say(t, c, "x")
	hear(t, c, "x")
	if n := l.b.Rules[0].Life.Refused[l4.RefusedFlows].Load(); n != 5 || reported.Load() != 1 {
		t.Errorf("%d refused, %d reported", n, reported.Load())
	}
}

// exhaust takes all descriptors but none.
func exhaust(t *testing.T) (restore func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	low := old
	low.Cur = 200
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	var taken []int
	for {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			break
		}
		taken = append(taken, fd)
	}
	return func() {
		for _, fd := range taken {
			unix.Close(fd)
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Error(err)
		}
	}
}

func TestManyShortConnections(t *testing.T) {
	m := newMember(t, echo)
	l := newLab(t, options{loops: 2}, m.addr)
	const workers, each = 20, 150
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			for i := range each {
				if err := exchange(l.addr, fmt.Sprintf("%d of %d", i, w)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	testkit.Eventually(t, 5*time.Second, "flows to end", func() bool { return l.s.Live() == 0 })
	if n := l.state.Flows.Ended(l4.EndClosed); n != workers*each || l.b.Rules[0].Life.Total.Load() != n {
		t.Errorf("%d flows ended, %d began", n, l.b.Rules[0].Life.Total.Load())
	}
}

// exchange has a text echoed on a connection of its own.
func exchange(addr, text string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	c.Write([]byte(text))
	c.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(c); string(got) != text {
		return fmt.Errorf("%q came back as %q, %v", text, got, err)
	}
	return nil
}

// Connections that end in every way leave nothing behind. What is left is
// counted by the lab.
func TestNothingLeaks(t *testing.T) {
	// A member that breaks off, ends or goes on as it likes.
	m := newMember(t, func(c *net.TCPConn) {
		switch rand.IntN(4) {
		case 0:
			c.SetLinger(0)
		case 1:
			c.Read(make([]byte, 10))
		case 2:
			c.Write(make([]byte, rand.IntN(300<<10)))
			c.SetLinger(0)
		default:
			echo(c)
		}
	})
	l := newLab(t, options{loops: 2}, m.addr, testkit.RefusingAddr(t))
	before := testkit.Count(t)
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			for range 100 {
				misbehave(l.addr)
			}
		})
	}
	wait.Wait()
	l.s.Stop() // some clients have gone and wait to be accepted yet
	testkit.Eventually(t, 10*time.Second, "flows to end", func() bool { return l.s.Live() == 0 })
	l.loops.each(func(_ int, lp *loop) {
		if lp.live != 0 || lp.pipes.used != 0 || lp.early.head != nil || len(lp.free) != len(lp.slots) {
			t.Errorf("left: %d flows, %d pipes, %d of %d slots", lp.live, lp.pipes.used, len(lp.slots)-len(lp.free), len(lp.slots))
		}
		lp.pipes.close()
		lp.pipes.idle = nil
	})
	before.Settle(t, 5*time.Second)
	if n := l.state.Flows.TCP.Load(); n != 0 {
		t.Errorf("%d flows", n)
	}
}

// misbehave connects and ends in one of many ways.
func misbehave(addr string) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	c := nc.(*net.TCPConn)
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	switch rand.IntN(5) {
	case 0:
		c.SetLinger(0)
	case 1:
		c.Write([]byte("hello"))
		c.SetLinger(0)
	case 2:
		c.Write(make([]byte, rand.IntN(300<<10)))
	case 3:
		c.CloseWrite()
		io.Copy(io.Discard, c)
	default:
		c.Write([]byte("hello"))
		c.CloseWrite()
		io.Copy(io.Discard, c)
	}
}

// Flows leave descriptors to others: those of clients and those of members.
func TestDescriptorsThatAreNotForFlows(t *testing.T) {
	m := newMember(t, nil)
	l := newLab(t, options{serve: func(o *Options) { o.Descriptors = 1 }}, m.addr)
	if c, err := net.Dial("tcp", l.addr); err == nil {
		hearReset(t, c)
		c.Close()
	}
	refused := &l.b.Rules[0].Life.Refused[l4.RefusedFlows]
	testkit.Eventually(t, 5*time.Second, "a refusal", func() bool { return refused.Load() == 1 })
	c := &conn{loop: l.loops.loops[0], server: l.s, Flow: l4.Flow{Rule: l.b.Rules[0], Backend: netip.MustParseAddrPort(m.addr)}}
	if errno := c.dial(); errno != unix.EMFILE {
		t.Errorf("dial: %v", errno)
	}
	if p := new(pipePool); p.get(&l.s.opts, 1) != nil || p.used != 0 {
		t.Error("there is a pipe")
	}
}
