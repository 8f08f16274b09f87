package stream

import (
	"fmt"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Carrier moves the bytes of pairs of plain connections that hold a
// conversation, such as a WebSocket: small pieces, now and then. Each pair is
// in one of a few event loops, so that many pieces cost one wake-up of a
// goroutine; a pair that is silent holds no buffer, and no goroutine but the one
// that waits in Carry.
type Carrier struct {
	mu    sync.Mutex
	loops []*carryLoop // nil: no pairs
	next  int
}

// NewCarrier makes a carrier with n event loops, one for each core as a rule.
// A loop begins with its first pair and ends with its last.
func NewCarrier(n int) *Carrier { return &Carrier{loops: make([]*carryLoop, max(1, n))} }

// Left is what two connections were given back with, beside what their next
// use will tell.
type Left struct {
	From     int    // whose it is: 0 or 1, as in Carry
	Rest     []byte // was read from it, and is not written to the other
	ReadErr  error  // of reading from it; nil: none
	WriteErr error  // of writing to the other; nil: none
}

// Carry moves bytes between two plain connections, 0 and 1, until something
// else happens than the next piece of a conversation: an end, an error, urgent
// data, 256 KiB at once, a socket that is full, an Interrupt, or the time on
// the clock of Now that until gives, which is asked again once that has come.
// Then the connections are the caller's again, which finds out by using them.
//
// passed is shown each piece that the other side has taken, and the time. It
// is called by an event loop, so it must not wait, and must not use the
// connections; when it panics, Carry does.
func (ca *Carrier) Carry(ends [2]*Conn, passed func(from int, b []byte, now int64), until func() int64) Left {
	p := &pair{ends: ends, passed: passed, done: make(chan struct{})}
	for _, c := range ends {
		if c.unpoll() != nil {
			return Left{}
		}
	}
	if p.begin(ca) {
		p.wait(until)
	}
	for _, c := range ends {
		c.carried.Store(nil)
	}
	if p.panicked != "" {
		panic(p.panicked)
	}
	return p.left
}

// add gives a pair to one of the loops, in turn; false: it cannot be had, or
// the pair was interrupted.
func (ca *Carrier) add(p *pair) bool {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	i := ca.next % len(ca.loops)
	ca.next = (i + 1) % len(ca.loops)
	if ca.loops[i] == nil {
		l, err := newCarryLoop()
		if err != nil {
			return false
		}
		ca.loops[i] = l
		go l.run()
	}
	p.carrier, p.place = ca, i
	if ca.loops[i].add(p) {
		return true
	}
	ca.endIfEmpty(i)
	return false
}

// remove takes a pair away.
func (ca *Carrier) remove(p *pair) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.loops[p.place].remove(p)
	ca.endIfEmpty(p.place)
}

func (ca *Carrier) endIfEmpty(i int) {
	if l := ca.loops[i]; l.live == 0 {
		ca.loops[i] = nil
		l.end()
	}
}

// pair is two connections that are being carried.
type pair struct {
	ends    [2]*Conn
	passed  func(from int, b []byte, now int64)
	carrier *Carrier
	place   int // of its loop
	slot    int32
	done    chan struct{}

	mu       sync.Mutex // held while bytes are moved
	over     bool
	left     Left
	panicked string // by passed, and where; empty: it did not
}

// begin has the pair carried; false: it is not.
func (p *pair) begin(ca *Carrier) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = !ca.add(p)
	return !p.over
}

// wait waits until the pair is given back.
func (p *pair) wait(until func() int64) {
	for {
		var timer <-chan time.Time
		if deadline := until(); deadline != Never {
			timer = time.After(time.Duration(deadline - Now()))
		}
		select {
		case <-p.done:
			return
		case <-timer:
			if Now() >= until() {
				p.stop()
			}
		}
	}
}

// stop gives the pair back.
func (p *pair) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
}

func (p *pair) end() {
	if p.over {
		return
	}
	p.over = true
	p.carrier.remove(p)
	close(p.done)
}

// ready moves what an event of an end allows.
func (p *pair) ready(from int, events uint32, buf []byte, now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.survive()
	if p.over {
		return
	}
	const ordinary = unix.EPOLLIN | unix.EPOLLRDHUP
	if events&^ordinary != 0 || !p.move(from, buf, now) || events&unix.EPOLLRDHUP != 0 {
		p.end()
	}
}

// survive keeps a bug in passed from ending the loop.
func (p *pair) survive() {
	if why := recover(); why != nil {
		p.panicked = fmt.Sprintf("%v\n%s", why, debug.Stack())
		p.end()
	}
}

// move moves what an end has sent; false: the pair is to be given back.
func (p *pair) move(from int, buf []byte, now int64) bool {
	for range carryTurns {
		n, errno := p.ends[from].recv(buf)
		switch {
		case errno == syscall.EAGAIN:
			return true
		case errno != 0:
			p.left = Left{From: from, ReadErr: errno}
			return false
		case n == 0:
			return false
		}
		if !p.write(from, buf[:n], now) {
			return false
		}
		if n < len(buf) && p.ends[from].emptiedByLess() {
			return true // what comes from here on is told
		}
	}
	return false
}

// write passes on what was read from an end.
func (p *pair) write(from int, b []byte, now int64) bool {
	n, errno := p.ends[1-from].send(b)
	if n > 0 {
		p.passed(from, b[:n], now)
	}
	if n == len(b) {
		return true
	}
	p.left = Left{From: from, Rest: append([]byte(nil), b[n:]...)}
	if errno != 0 && errno != syscall.EAGAIN {
		p.left.WriteErr = errno
	}
	return false
}

// emptiedByLess reports whether a read that got less than it had room for has
// emptied the socket. That of a unix socket ends behind descriptors that were
// sent, too, of which no event tells.
func (c *Conn) emptiedByLess() bool { return c.remote.IsValid() }

// recv reads what is there, without waiting.
func (c *Conn) recv(b []byte) (int, syscall.Errno) {
	n, errno := 0, syscall.EBADF
	c.mu.Lock()
	if c.fd >= 0 {
		n, errno = sysRead(uintptr(c.fd), b)
	}
	c.mu.Unlock()
	if errno != 0 {
		return 0, errno
	}
	c.readReceived += int64(n)
	return n, 0
}

// send writes what there is room for, without waiting.
func (c *Conn) send(b []byte) (int, syscall.Errno) {
	n, errno := 0, syscall.EBADF
	c.mu.Lock()
	if c.fd >= 0 {
		n, errno = sysWrite(uintptr(c.fd), &b[0], len(b))
	}
	c.mu.Unlock()
	if errno != 0 {
		return 0, errno
	}
	c.written += int64(n)
	return n, 0
}

// unpoll takes a plain connection out of the runtime's poller, for which it
// is as if it had just been accepted.
func (c *Conn) unpoll() error {
	c.leave()
	c.readArmed, c.writeArmed = Never, Never
	return c.socket.unpoll()
}
