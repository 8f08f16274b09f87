package udp

import (
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A loop that is never out of work lets other goroutines run, long before the
// runtime would make it.
func TestBusyLoopLetsOthersRun(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	m := newMember(t, "127.0.0.1:0", nil)
	l := newLab(t, setup{members: []netip.AddrPort{m.addr()}})
	ready, err := unix.Eventfd(1, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	lp := l.engine.loops[0]
	if !lp.call(func() { err = lp.watch(ready, lp.take(nil, nil), unix.EPOLLIN) }) || err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ready)
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

// Of a member that sends in many rounds in a row several datagrams are read at
// once, as long as that is of use.
func TestWhoIsReadSeveralAtOnce(t *testing.T) {
	l := &loop{ring: new(ring)}
	f := new(flow)
	rounds := func(n int) (often int) {
		for range n {
			l.rounds++
			l.flows, l.often = nil, nil
			l.readable(f)
			often += len(l.often)
			if len(l.often)+len(l.flows) != 1 {
				t.Fatal("the flow is not read once")
			}
		}
		return often
	}
	l.rounds = 100
	if n := rounds(1 + afterStreak); n != 1 {
		t.Errorf("%d of the first rounds, want the last", n)
	}
	if n := rounds(5); n != 5 {
		t.Errorf("%d of the 5 next", n)
	}
	l.rounds++ // without
	if n := rounds(afterStreak); n != 0 {
		t.Errorf("%d after a pause", n)
	}
	f.streak = -pardon // it was in vain
	if n := rounds(pardon + afterStreak); n != 1 {
		t.Errorf("%d of %d, want the last", n, pardon+afterStreak)
	}
	l.ring = nil
	l.rounds++
	if n := rounds(1); n != 1 {
		t.Error("without a ring there is no other way")
	}
}
