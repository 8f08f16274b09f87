package relay

import (
	"io"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/internal/testkit"
)

// A loop that is never out of work lets other goroutines run, long before the
// runtime would make it.
func TestBusyLoopLetsOthersRun(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	l := newLab(t, options{}, testkit.RefusingAddr(t))
	ready, err := unix.Eventfd(1, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	lp := l.loops.loops[0]
	l.loops.each(func(int, *loop) {
		// An event that nobody waits for, again and again.
		lp.acceptors = append(lp.acceptors, nil)
		err = lp.watch(ready, unix.EPOLLIN, acceptorToken(len(lp.acceptors)-1), 0)
	})
	defer unix.Close(ready)
	if err != nil {
		t.Fatal(err)
	}
	// Of most turns, as the machine may have something else to do in some.
	turns := make([]time.Duration, 200)
	for i := range turns {
		began := time.Now()
		runtime.Gosched()
		turns[i] = time.Since(began)
	}
	slices.Sort(turns)
	if d := turns[len(turns)/2]; d > 5*time.Millisecond {
		t.Errorf("a turn takes %v; the runtime alone would give one after 10 ms", d)
	}
}

// An event of a flow that has ended is not one of the flow in its place.
func TestEventsOfThePast(t *testing.T) {
	m := newMember(t, nil)
	l := newLab(t, options{}, m.addr)
	lp := l.loops.loops[0]
	var events [2]unix.EpollEvent
	for i := range events {
		c := l.dial()
		m.take()
		l.loops.each(func(int, *loop) {
			events[i] = unix.EpollEvent{Events: unix.EPOLLRDHUP, Fd: 0, Pad: int32(lp.slots[0].generation<<1) | client}
		})
		if i == 0 {
			c.SetLinger(0)
			c.Close()
			l.ended()
		}
	}
	for i, want := range []bool{false, true} {
		l.loops.each(func(int, *loop) {
			lp.handle(&events[i])
			if got := lp.slots[0].c.sides[client].hup; got != want {
				t.Errorf("event %d arrived: %v", i, got)
			}
		})
	}
}

// What does not fit into one turn goes on, though no event tells of it.
func TestMoreThanATurn(t *testing.T) {
	const size = 3 * maxTurn
	m := newMember(t, nil)
	l := newLab(t, options{}, m.addr)
	c, b := l.dial(), m.take()
	lp := l.loops.loops[0]
	l.loops.each(func(int, *loop) {
		for _, s := range lp.slots[0].c.sides {
			roomy(t, s.fd)
		}
	})
	raw, _ := c.SyscallConn()
	raw.Control(func(fd uintptr) { roomy(t, int(fd)) })
	// Windows grow with what is read.
	warm := make([]byte, 8<<20)
	go b.Write(make([]byte, len(warm)))
	io.ReadFull(c, warm)
	release := l.hold()
	sent := make(chan bool)
	go func() { b.Write(warm[:size]); close(sent) }()
	select {
	case <-sent:
	case <-time.After(2 * time.Second):
		release()
		t.Skip("the kernel does not hold so much")
	}
	time.Sleep(50 * time.Millisecond) // it arrives
	release()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := io.ReadFull(c, warm[:size]); err != nil {
		t.Errorf("%d of %d bytes: %v", n, size, err)
	}
}

// roomy gives a socket large buffers.
func roomy(t *testing.T, fd int) {
	t.Helper()
	for _, option := range []int{unix.SO_RCVBUF, unix.SO_SNDBUF} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 16<<20); err != nil {
			t.Error(err)
		}
	}
}
