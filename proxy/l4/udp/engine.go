package udp

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/proxy/l4"
)

// Engine is what all doors of a process share.
type Engine struct {
	flows    *l4.Flows
	now      func() int64
	loops    []*loop
	running  sync.WaitGroup
	next     atomic.Uint32 // the loop of the next door's first socket
	joins    bool          // the kernel joins datagrams that arrive (UDP_GRO)
	rings    bool          // calls are made several at once
	most     int           // up to which number flows take descriptors; 0: all
	segments atomic.Bool   // and cuts what is to be sent (UDP_SEGMENT)
}

// Options of an Engine. The zero value works.
type Options struct {
	// Loops is how many goroutines there are; if zero, one per core.
	Loops int
	// Now is the clock by which flows are admitted and end, in nanoseconds; it
	// must not go back. If nil, that of the process. Rules that hold for TCP
	// as well are to be asked by the same clock.
	Now func() int64
	// Plain leaves UDP_GRO and UDP_SEGMENT alone, even where the kernel has
	// them.
	Plain bool
	// Descriptors is up to which number flows take descriptors, as others need
	// some too; if zero, there is no bound.
	Descriptors int
	// NoRing makes system calls one by one, even where the kernel has
	// io_uring and lets us.
	NoRing bool
}

// NewEngine makes an Engine, which must be closed. Flows are entered in flows.
func NewEngine(flows *l4.Flows, o Options) (*Engine, error) {
	e := &Engine{flows: flows, now: o.Now, rings: directCalls && !o.NoRing, most: o.Descriptors}
	if e.now == nil {
		start := time.Now()
		e.now = func() int64 { return int64(time.Since(start)) + 1 }
	}
	if !o.Plain {
		joins, segments := offloads()
		e.joins = joins
		e.segments.Store(segments)
	}
	n := o.Loops
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	for range n {
		l, err := newLoop(e)
		if err != nil {
			for _, l := range e.loops {
				l.close()
			}
			return nil, fmt.Errorf("udp: %w", err)
		}
		e.loops = append(e.loops, l)
	}
	for _, l := range e.loops {
		e.running.Go(l.run)
	}
	return e, nil
}

// Loops is how many goroutines there are: as many sockets as a door should
// have.
func (e *Engine) Loops() int { return len(e.loops) }

// Close ends the goroutines. All Servers must be closed.
func (e *Engine) Close() {
	for _, l := range e.loops {
		l.do(func() { l.done = true })
	}
	e.running.Wait()
}

// offloads finds out what the kernel can: UDP_SEGMENT since 4.18, UDP_GRO
// since 5.0.
func offloads() (joins, segments bool) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, false
	}
	defer unix.Close(fd)
	joins = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1) == nil
	segments = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, 512) == nil
	return joins, segments
}

var (
	errNoSocket = errors.New("no sockets of UDP for a door")
	// errEverything is for a door of every port of every address.
	errEverything = errors.New("a door of every port (HA ports) needs an address of its own")
)
