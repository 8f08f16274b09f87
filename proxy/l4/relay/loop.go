package relay

import (
	"os"
	"runtime"
	"sync"
	"time"

	"gatehouse/internal/stream"
	"gatehouse/proxy/l4"

	"golang.org/x/sys/unix"
)

const (
	// bufferSize is the room that a loop reads into.
	bufferSize = 64 << 10
	// maxEvents is how many events are taken at once.
	maxEvents = 256
	// tick is how often deadlines are looked at while there are any.
	tick = int64(100 * time.Millisecond)
	// turn is how long a loop may go on before other goroutines have theirs.
	turn = int64(500 * time.Microsecond)
)

// loop carries flows. All but the inbox belongs to the goroutine of run.
type loop struct {
	epoll, alarm int // alarm is an eventfd that rings when there is something in the inbox
	spare        int // a descriptor in reserve, to accept and refuse with; -1: none
	now          int64
	yielded      int64 // when other goroutines had their turn
	nextTick     int64
	swept        int // the slot up to which flows were looked at last
	closing      bool
	paused       bool  // accepting, until the next tick
	reported     int64 // when accept errors were told last; 0: never

	slots     []slot
	free      []int32
	live      int       // flows
	early     earlyList // those not connected yet
	again     []*conn   // more is there, but others had to have their turn
	acceptors []*acceptor
	pipes     pipePool
	buf       []byte
	peer      sockaddr

	inbox
}

// slot is a place of a flow. Events of one that has left say an older
// generation.
type slot struct {
	c          *conn
	generation uint32
}

// inbox is what others ask of the loop.
type inbox struct {
	mu     sync.Mutex
	list   []func()
	closed bool
}

func newLoop() (*loop, error) {
	l := &loop{spare: -1, buf: make([]byte, bufferSize), now: stream.Now()}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if l.alarm, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		unix.Close(l.epoll)
		return nil, os.NewSyscallError("eventfd", err)
	}
	if err = l.watch(l.alarm, unix.EPOLLIN|unix.EPOLLET, tokenAlarm, 0); err != nil {
		unix.Close(l.epoll)
		unix.Close(l.alarm)
		return nil, err
	}
	l.reserve()
	return l, nil
}

// reserve takes the descriptor in reserve again.
func (l *loop) reserve() {
	if fd, err := unix.FcntlInt(uintptr(l.epoll), unix.F_DUPFD_CLOEXEC, 0); err == nil {
		l.spare = fd
	}
}

// Events carry a token in the field for a descriptor: a slot, tokenAlarm, or
// below it an acceptor; and in the other a slot's generation and side.
const tokenAlarm = -1

func acceptorToken(i int) int32 { return int32(-2 - i) }

// watch enters a descriptor; closing it takes it out.
func (l *loop) watch(fd int, events uint32, token, more int32) error {
	e := unix.EpollEvent{Events: events, Fd: token, Pad: more}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &e))
}

// post has f called by the loop, soon; false: it has ended.
func (l *loop) post(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.list = append(l.list, f)
	if len(l.list) == 1 {
		one := [8]byte{1, 1, 1, 1} // any number does
		_, _ = unix.Write(l.alarm, one[:])
	}
	return true
}

func (l *loop) run() {
	events := make([]unix.EpollEvent, maxEvents)
	for !l.closing {
		n := l.wait(events)
		l.now = stream.Now()
		for i := range n {
			l.handle(&events[i])
		}
		l.goOn()
		l.keepTime()
	}
	l.end()
}

// wait waits for events, or until patience ends. At first, and for no longer
// than a millisecond, it keeps the processor that the scheduler has given it:
// while there is traffic that costs less than to lose it, which also makes the
// runtime look after its threads every few microseconds.
func (l *loop) wait(events []unix.EpollEvent) int {
	patience := l.patience()
	if patience < 0 || patience > 1 {
		if n := sysWait(l.epoll, events, 1); n > 0 {
			return n
		}
	}
	n, err := unix.EpollWait(l.epoll, events, patience)
	if err != nil && err != unix.EINTR {
		panic("relay: epoll_wait: " + err.Error()) // of a descriptor that is ours alone
	}
	return max(n, 0)
}

// patience is how many milliseconds the loop may wait; -1: for ever.
func (l *loop) patience() int {
	switch {
	case len(l.again) > 0:
		return 0
	case l.live > 0 || l.paused:
		return int(max(0, l.nextTick-l.now)/int64(time.Millisecond)) + 1
	}
	return -1
}

func (l *loop) handle(e *unix.EpollEvent) {
	switch {
	case e.Fd >= 0:
		s := &l.slots[e.Fd]
		if s.c != nil && s.generation == uint32(e.Pad)>>1 {
			s.c.ready(int(e.Pad&1), e.Events)
		}
	case e.Fd == tokenAlarm:
		l.open()
	default:
		if a := l.acceptors[-2-e.Fd]; a != nil {
			l.accept(a)
		}
	}
}

// open does what others have asked for.
func (l *loop) open() {
	l.mu.Lock()
	list := l.list
	l.list = nil
	l.mu.Unlock()
	for _, f := range list {
		f()
	}
}

// goOn continues flows that had to let others have their turn.
func (l *loop) goOn() {
	if len(l.again) == 0 {
		return
	}
	list := l.again
	l.again = nil
	for _, c := range list {
		c.waiting = false
		if c.phase == relaying {
			c.move()
		}
	}
}

// keepTime looks at deadlines, and lets other goroutines run.
func (l *loop) keepTime() {
	if l.now-l.yielded >= turn {
		l.yielded = l.now
		runtime.Gosched()
	}
	if l.now < l.nextTick {
		return
	}
	l.nextTick = l.now + tick
	l.expire()
	l.sweep()
	if l.paused {
		l.resume()
	}
}

// place gives a flow a slot.
func (l *loop) place(c *conn) {
	if n := len(l.free); n > 0 {
		c.slot = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		c.slot = int32(len(l.slots))
		l.slots = append(l.slots, slot{})
	}
	l.slots[c.slot].c = c
	l.live++
}

// vacate takes it back; events that are still to come do not count.
func (l *loop) vacate(c *conn) {
	s := &l.slots[c.slot]
	s.c = nil
	s.generation = (s.generation + 1) & (1<<31 - 1)
	l.free = append(l.free, c.slot)
	l.live--
}

// endAll ends the flows of a server, or all for nil.
func (l *loop) endAll(s *Server, why l4.End) {
	for i := range l.slots {
		if c := l.slots[i].c; c != nil && (s == nil || c.server == s) {
			c.stop(why)
		}
	}
}

// end frees what the loop has.
func (l *loop) end() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.open() // what was asked for before
	l.endAll(nil, l4.EndStopping)
	for i, a := range l.acceptors {
		if a != nil {
			l.acceptors[i] = nil
			sysClose(a.fd)
		}
	}
	l.pipes.close()
	for _, fd := range []int{l.epoll, l.alarm, l.spare} {
		if fd >= 0 {
			sysClose(fd)
		}
	}
}
