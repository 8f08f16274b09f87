package stream

import (
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// carryBuffer is the room that a loop reads into.
	carryBuffer = 32 << 10
	// carryTurns is how often in a row one end may fill it before its pair is
	// given back: others are waiting.
	carryTurns = 8
	// carryEvents is how many events are taken at once.
	carryEvents = 128
	// carryTurn is after how long other goroutines have their turn, once the
	// events at hand are handled.
	carryTurn = int64(500 * time.Microsecond)
)

// carryLoop is some of the pairs of a Carrier, whose sockets are in an epoll
// set. Its goroutine waits for the set in the runtime's poller, as others do
// for a socket, and takes no thread to itself.
type carryLoop struct {
	set   *polled
	epoll int
	live  int // pairs; the carrier's lock is held for it

	mu    sync.Mutex
	slots []carrySlot
	free  []int32
}

// carrySlot is a place of a pair. Events of one that has left say an older
// generation.
type carrySlot struct {
	p          *pair
	generation uint32
}

func newCarryLoop() (*carryLoop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err = unix.SetNonblock(epoll, true); err != nil { // or the poller would not be given it
		unix.Close(epoll)
		return nil, os.NewSyscallError("fcntl", err)
	}
	set, err := pollFile(epoll)
	if err != nil {
		return nil, err
	}
	return &carryLoop{set: set, epoll: epoll}, nil
}

// end has the goroutine end.
func (l *carryLoop) end() { _ = l.set.SetReadDeadline(base) }

// add enters a pair; false: the kernel does not take it, or it is not wanted
// any more.
func (l *carryLoop) add(p *pair) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		p.slot = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		p.slot = int32(len(l.slots))
		l.slots = append(l.slots, carrySlot{})
	}
	l.slots[p.slot].p = p
	l.live++
	for i, c := range p.ends {
		c.carried.Store(p)
		if c.interrupted.Load() || l.watch(c, p.slot, i) != nil {
			l.vacate(p)
			return false
		}
	}
	return true
}

// watch enters a socket; what it has already is told at once.
func (l *carryLoop) watch(c *Conn, slot int32, end int) error {
	const events = unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLRDHUP | unix.EPOLLET
	e := unix.EpollEvent{Events: events, Fd: slot, Pad: int32(l.slots[slot].generation<<1) | int32(end)}
	return l.control(c, unix.EPOLL_CTL_ADD, &e)
}

func (l *carryLoop) control(c *Conn, op int, e *unix.EpollEvent) (err error) {
	gone := c.control(func(fd uintptr) { err = unix.EpollCtl(l.epoll, op, int(fd), e) })
	if gone != nil {
		return gone
	}
	return err
}

// remove takes a pair out.
func (l *carryLoop) remove(p *pair) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.vacate(p)
}

func (l *carryLoop) vacate(p *pair) {
	for _, c := range p.ends {
		_ = l.control(c, unix.EPOLL_CTL_DEL, nil) // not if it was never in
	}
	s := &l.slots[p.slot]
	s.p = nil
	s.generation = (s.generation + 1) & (1<<30 - 1)
	l.free = append(l.free, p.slot)
	l.live--
}

// carryBatch is what the goroutine of a loop works with.
type carryBatch struct {
	events  [carryEvents]unix.EpollEvent
	pairs   [carryEvents]*pair // whose events they are
	buf     [carryBuffer]byte
	yielded int64
}

// run moves what comes, until end.
func (l *carryLoop) run() {
	b := new(carryBatch)
	_ = l.set.raw.Read(func(epoll uintptr) bool {
		for l.turn(int(epoll), b) {
		}
		return false
	})
	_ = l.set.Close()
}

// turn handles what has happened; false: it is time to wait. What happens from
// now on is told, so that one does not have to look first; but where much is
// going on, there is more by now, and to look is cheaper than to be woken.
func (l *carryLoop) turn(epoll int, b *carryBatch) bool {
	n := sysEvents(epoll, b.events[:])
	if n == 0 {
		return false
	}
	now := Now()
	l.find(b, n)
	for i, p := range b.pairs[:n] {
		if p != nil {
			e := &b.events[i]
			p.ready(int(e.Pad&1), e.Events, b.buf[:], now)
		}
	}
	clear(b.pairs[:n])
	if now-b.yielded >= carryTurn {
		b.yielded = now
		runtime.Gosched()
	}
	return n > 1
}

// find finds whose the first n events are.
func (l *carryLoop) find(b *carryBatch, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range n {
		e := &b.events[i]
		if s := &l.slots[e.Fd]; s.generation == uint32(e.Pad)>>1 {
			b.pairs[i] = s.p
		}
	}
}
