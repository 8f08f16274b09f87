//go:build linux

package load

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"gatehouse/bench/proc"

	"golang.org/x/sys/unix"
)

// Datagrams is a load of UDP: each client has so many datagrams under way, and
// sends the next when an answer comes.
type Datagrams struct {
	To       netip.AddrPort // of IPv4
	Clients  int            // sockets, each a flow of its own
	Window   int            // datagrams of one client under way; if zero, one
	Size     int            // of a datagram: 16 to 1472
	Warmup   time.Duration  // before anything counts
	Duration time.Duration  // what counts
	PIDs     []int          // processes whose CPU time is measured
}

// Echoed is what Datagrams have found out. All of it is of the time that
// counts.
type Echoed struct {
	Sent     uint64  `json:"sent"`
	Received uint64  `json:"received"`
	Lost     uint64  `json:"lost"`  // had no answer within a second
	Wrong    uint64  `json:"wrong"` // answers that are not what was sent
	Seconds  float64 `json:"seconds"`
	CPU      float64 `json:"cpu_us"`      // of PIDs, for each datagram that came back
	LoadCPU  float64 `json:"load_cpu_us"` // of the generator, likewise
}

// lost is when an answer does not come any more.
const lost = time.Second

// runner is one goroutine with the clients of a load.
type runner struct {
	Datagrams
	epoll   int
	clients []clientState
	box     *mailbox
	counts  Echoed
	closing bool // nothing is sent any more
}

type clientState struct {
	fd     int
	number uint64 // of the datagram sent last
	open   int    // datagrams under way
	last   time.Time
}

func (d Datagrams) check() error {
	switch {
	case !d.To.Addr().Is4():
		return fmt.Errorf("address %v: want one of IPv4", d.To)
	case d.Size < 16 || d.Size > 1472:
		return fmt.Errorf("datagrams of %d bytes: want 16 to 1472", d.Size)
	case d.Clients < 1 || d.Clients > 10_000 || d.Window < 0 || d.Window > batch:
		return fmt.Errorf("%d clients with %d datagrams each: want 1 to 10000, up to %d", d.Clients, d.Window, batch)
	case d.Duration <= 0 || d.Warmup < 0:
		return fmt.Errorf("%v after %v: want a time", d.Duration, d.Warmup)
	}
	return nil
}

// Run makes the load.
func (d Datagrams) Run() (Echoed, error) {
	if err := d.check(); err != nil {
		return Echoed{}, err
	}
	d.Window = max(d.Window, 1)
	w := &runner{Datagrams: d, epoll: -1, box: newMailbox(false), clients: make([]clientState, d.Clients)}
	defer w.close()
	if err := w.open(); err != nil {
		return Echoed{}, err
	}
	for i := range w.clients {
		w.burst(i, w.Window)
		if i%32 == 31 {
			w.collect(0)
		}
	}
	w.work(d.Warmup)
	return w.measure()
}

// measure is the part that counts, and waiting for its last answers.
func (w *runner) measure() (Echoed, error) {
	before := w.counts
	from, err := readMeter(w.PIDs)
	if err != nil {
		return Echoed{}, err
	}
	w.work(w.Duration)
	used, err := from.since(w.PIDs)
	if err != nil {
		return Echoed{}, err
	}
	r := w.counts
	w.drain()
	r.Sent, r.Received = r.Sent-before.Sent, r.Received-before.Received
	r.Lost, r.Wrong = w.counts.Lost-before.Lost, w.counts.Wrong
	r.Seconds = used.wall.Seconds()
	r.CPU, r.LoadCPU = used.per(r.Received)
	return r, nil
}

// work goes on for some time.
func (w *runner) work(d time.Duration) {
	now := time.Now()
	for end, looked := now.Add(d), now; now.Before(end); now = time.Now() {
		w.collect(10)
		if now.Sub(looked) > lost/4 {
			looked = now
			w.again(now)
		}
	}
}

// drain waits for what is under way. What does not come is lost.
func (w *runner) drain() {
	w.closing = true
	open := 1
	for end := time.Now().Add(lost); open > 0 && time.Now().Before(end); {
		w.collect(10)
		open = 0
		for i := range w.clients {
			open += w.clients[i].open
		}
	}
	w.counts.Lost += uint64(open)
}

func (w *runner) open() (err error) {
	for i := range w.clients {
		w.clients[i].fd = -1
	}
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	for i := range w.clients {
		if err := w.connect(i); err != nil {
			return err
		}
	}
	return nil
}

func (w *runner) connect(i int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	w.clients[i].fd = fd
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: w.To.Addr().As4(), Port: int(w.To.Port())}); err != nil {
		return err
	}
	return unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)})
}

func (w *runner) close() {
	for _, c := range w.clients {
		if c.fd >= 0 {
			unix.Close(c.fd)
		}
	}
	if w.epoll >= 0 {
		unix.Close(w.epoll)
	}
}

// burst sends n datagrams of a client, each with its number.
func (w *runner) burst(i, n int) {
	c := &w.clients[i]
	c.last = time.Now()
	for j := range n {
		c.number++
		binary.LittleEndian.PutUint64(w.box.data[j][:], c.number)
		binary.LittleEndian.PutUint64(w.box.data[j][8:], uint64(i))
		w.box.messages[j].n = uint32(w.Size)
	}
	sent := w.box.send(c.fd, n)
	c.open += sent
	w.counts.Sent += uint64(sent)
}

// collect takes answers, and sends as many datagrams.
func (w *runner) collect(timeout int) {
	var events [128]unix.EpollEvent
	n, err := unix.EpollWait(w.epoll, events[:], timeout)
	if err != nil {
		return
	}
	for _, ev := range events[:n] {
		i := int(ev.Fd)
		c := &w.clients[i]
		got, errno := w.box.receive(c.fd)
		if errno != 0 {
			continue
		}
		for j := range got {
			if !w.right(i, j) {
				w.counts.Wrong++
			}
		}
		w.counts.Received += uint64(got)
		c.open = max(0, c.open-got) // one that was given up may still come
		if room := min(got, w.Window-c.open); room > 0 && !w.closing {
			w.burst(i, room)
		}
	}
}

// right tells whether an answer is one that client i waits for.
func (w *runner) right(i, j int) bool {
	data := w.box.data[j][:]
	return int(w.box.messages[j].n) == w.Size && binary.LittleEndian.Uint64(data[8:]) == uint64(i) &&
		binary.LittleEndian.Uint64(data)-1 < w.clients[i].number
}

// again begins anew with clients whose answers were lost.
func (w *runner) again(now time.Time) {
	for i := range w.clients {
		if c := &w.clients[i]; now.Sub(c.last) > lost {
			w.counts.Lost += uint64(c.open)
			c.open = 0
			w.burst(i, w.Window)
		}
	}
}

// meter is the CPU time of some processes, and of this one, at a moment.
type meter struct {
	at        time.Time
	cpu, self time.Duration
}

func readMeter(pids []int) (m meter, err error) {
	if m.cpu, err = proc.CPUTime(pids...); err != nil {
		return m, err
	}
	m.self, err = proc.CPUTime(unix.Getpid())
	m.at = time.Now()
	return m, err
}

// usage is what was used between two moments.
type usage struct{ wall, cpu, self time.Duration }

func (m meter) since(pids []int) (usage, error) {
	now, err := readMeter(pids)
	return usage{now.at.Sub(m.at), now.cpu - m.cpu, now.self - m.self}, err
}

// per is microseconds of CPU time of both for each of n.
func (u usage) per(n uint64) (cpu, self float64) {
	if n == 0 {
		return 0, 0
	}
	return float64(u.cpu) / 1e3 / float64(n), float64(u.self) / 1e3 / float64(n)
}
