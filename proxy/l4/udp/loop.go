package udp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/proxy/l4"
)

const (
	// maxEvents is how many sockets one system call reports.
	maxEvents = 128
	// turn is how long a loop may go on before other goroutines have theirs.
	turn = int64(500 * time.Microsecond)
)

// loop is one goroutine with its epoll.
type loop struct {
	engine *Engine
	epoll  int
	wake   int // eventfd
	timer  int // timerfd: ticks while there are flows

	events  [maxEvents]unix.EpollEvent
	ready   int
	places  []place
	free    []int32
	fronts  []*front // to be read in this round
	flows   []*flow  // likewise, from their members
	often   []*flow  // those of them of which there may be much to read
	rounds  uint32
	in      *inbox
	clients outbox
	members outbox
	ring    *ring // nil: there is none
	groups  [clientBatch]group
	tuple   l4.Tuple // of what may become a flow
	now     int64    // when the round began, on the engine's clock
	yielded int64    // when other goroutines had their turn
	wheel   wheel
	ticking bool
	overdue bool // the wheel has more to end
	done    bool

	mu    sync.Mutex
	tasks []func() // to be done by the goroutine
	gone  bool     // it will do no more
}

// place is a socket that epoll watches: of a flow, of a front, or nothing.
// Its generation tells events of a former one.
type place struct {
	flow       *flow
	front      *front
	generation int32
}

// The first places are of the loop itself.
const (
	placeWake = iota
	placeTimer
	firstPlace
)

func newLoop(e *Engine) (l *loop, err error) {
	l = &loop{engine: e, epoll: -1, wake: -1, timer: -1, in: newInbox(), places: make([]place, firstPlace)}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	l.clients = outbox{engine: e, toward: toClient}
	l.members = outbox{engine: e, toward: toMember}
	if e.rings {
		l.ring, _ = newRing() // the same without, only slower
		l.members.ring = l.ring
	}
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("timerfd: %w", err)
	}
	if err = l.watch(l.wake, placeWake, unix.EPOLLIN); err != nil {
		return nil, err
	}
	if err = l.watch(l.timer, placeTimer, unix.EPOLLIN); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *loop) watch(fd int, at int32, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: at, Pad: l.places[at].generation}
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &ev)
}

// unwatch must be called before a socket is closed, as another process may
// have it too.
func (l *loop) unwatch(fd int) { _ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, fd, nil) }

// take takes a place.
func (l *loop) take(f *flow, fr *front) int32 {
	if n := len(l.free); n > 0 {
		at := l.free[n-1]
		l.free = l.free[:n-1]
		l.places[at].flow, l.places[at].front = f, fr
		return at
	}
	l.places = append(l.places, place{flow: f, front: fr})
	return int32(len(l.places) - 1)
}

// leave gives a place back.
func (l *loop) leave(at int32) {
	p := &l.places[at]
	p.flow, p.front = nil, nil
	p.generation++
	l.free = append(l.free, at)
}

// adopt makes a flow one of the loop's.
func (l *loop) adopt(f *flow) error {
	f.slot = l.take(f, nil)
	if err := l.watch(f.fd, f.slot, unix.EPOLLIN); err != nil {
		l.leave(f.slot)
		return err
	}
	if !l.ticking {
		l.tick(true)
	}
	l.wheel.add(f, l.now+int64(f.server.rules.Load().door.Rule.Config.IdleTimeout))
	return nil
}

// release closes the socket of a flow that has ended.
func (l *loop) release(f *flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.late = f.pins > 0; f.late {
		return // who has pinned it will say when
	}
	l.leave(f.slot)
	l.wheel.remove(f)
	l.unwatch(f.fd)
	unix.Close(f.fd)
	f.fd = -1
	if f.exit != nil {
		l.clients.flush() // what is to leave by it
		f.server.giveBack(f.exit)
	}
	f.server.open.Done()
}

// tick starts or stops the timer.
func (l *loop) tick(on bool) {
	var spec unix.ItimerSpec
	if on {
		l.wheel.at = l.now / int64(tick)
		spec.Value = unix.NsecToTimespec(int64(tick))
		spec.Interval = spec.Value
	}
	if unix.TimerfdSettime(l.timer, 0, &spec, nil) == nil {
		l.ticking = on
	}
}

// do has the goroutine do something soon. It returns false if there is none
// any more.
func (l *loop) do(task func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return false
	}
	l.tasks = append(l.tasks, task)
	if len(l.tasks) == 1 {
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		_, _ = unix.Write(l.wake, one[:])
	}
	return true
}

// call is do, and waits until it is done.
func (l *loop) call(task func()) bool {
	done := make(chan struct{})
	if !l.do(func() { task(); close(done) }) {
		return false
	}
	<-done
	return true
}

// run goes on until a task sets done.
func (l *loop) run() {
	for !l.done {
		l.wait()
		l.now = l.engine.now()
		l.round()
		if l.now-l.yielded >= turn {
			l.yielded = l.now
			runtime.Gosched()
		}
	}
	l.mu.Lock()
	l.gone = true
	l.mu.Unlock()
	l.work()
	l.close()
}

// wait waits for something to do. At first, and for no longer than a
// millisecond, it keeps the processor that the scheduler has given it: while
// there is traffic that costs less than to lose it, which also makes the
// runtime look after its threads every few microseconds.
func (l *loop) wait() {
	if l.overdue {
		l.ready = waitBriefly(l.epoll, l.events[:], 0)
		return
	}
	if l.ready = waitBriefly(l.epoll, l.events[:], 1); l.ready > 0 {
		return
	}
	n, err := unix.EpollWait(l.epoll, l.events[:], -1)
	if err != nil {
		n = 0 // EINTR
	}
	l.ready = n
}

// round does what is to be done.
func (l *loop) round() {
	work := false
	l.rounds++
	for i := range l.ready {
		ev := &l.events[i]
		p := &l.places[ev.Fd]
		switch {
		case ev.Fd == placeWake:
			work = true
		case ev.Fd == placeTimer:
			l.overdue = true
			drain(l.timer)
		case p.generation != ev.Pad:
		case p.flow != nil:
			l.readable(p.flow)
		case p.front != nil:
			l.fronts = append(l.fronts, p.front)
		}
	}
	l.fromMembers()
	for _, f := range l.fronts {
		l.fromClients(f)
	}
	l.fronts = l.fronts[:0]
	if l.ring != nil && l.ring.failed {
		l.ring.close()
		l.ring, l.members.ring = nil, nil
	}
	if l.overdue {
		l.expire()
	}
	if work {
		drain(l.wake)
		l.work()
	}
}

// work does the tasks.
func (l *loop) work() {
	l.mu.Lock()
	tasks := l.tasks
	l.tasks = nil
	l.mu.Unlock()
	for _, task := range tasks {
		task()
	}
}

// expire ends flows that were idle for too long.
func (l *loop) expire() {
	l.overdue = !l.wheel.advance(l.now, l.expired)
	if l.wheel.n == 0 && l.ticking {
		l.tick(false)
	}
}

func drain(fd int) {
	var count [8]byte
	_, _ = unix.Read(fd, count[:])
}

// close closes what the loop has. It has no flows and no fronts.
func (l *loop) close() error {
	var errs []error
	if l.ring != nil {
		l.ring.close()
	}
	for _, fd := range []int{l.timer, l.wake, l.epoll} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	return errors.Join(errs...)
}
