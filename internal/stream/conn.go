// Package stream is a byte stream to a client or a backend: plain TCP (or a
// unix socket) read and written with direct non-blocking system calls, or TLS
// on top of the same.
//
// A Conn has at most one reader and one writer at a time. Deadlines are
// points on the clock of Now and are given with each call; arming the
// runtime's timers is lazy, so that a busy connection touches them rarely.
package stream

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// base is the origin of Now. Its monotonic reading makes time.Since cheap.
var base = time.Now()

// Now is the monotonic time in nanoseconds since the process began, always
// greater than zero. Deadlines are points on this clock.
func Now() int64 { return int64(time.Since(base)) + 1 }

// wallOffset is Unix time less Now: a clock, kept right by SyncWall.
var wallOffset atomic.Int64

// WallAt converts a point on the clock of Now to Unix nanoseconds, as the
// wall clock stood when SyncWall was last called.
func WallAt(mono int64) int64 {
	if off := wallOffset.Load(); off != 0 {
		return mono + off
	}
	return base.UnixNano() + mono
}

// SyncWall reads the wall clock for WallAt. Whoever prints times calls it
// now and then, since the wall clock may be set.
func SyncWall() {
	wallOffset.Store(time.Now().UnixNano() - Now())
}

// Never is the deadline that does not come.
const Never int64 = 0

// Errors that callers branch on.
var (
	// ErrTimeout is returned when a call's deadline came.
	ErrTimeout error = timeoutError{}
	// ErrInterrupted is returned by a read that Interrupt ended.
	ErrInterrupted error = interruptedError{}
	// ErrStale is returned when an idle connection was closed by its peer, or
	// has bytes waiting that nobody asked for. Nothing was written.
	ErrStale = errors.New("stale connection")
)

// timeoutError satisfies net.Error so that crypto/tls does not take a
// deadline for the end of the connection.
type timeoutError struct{}

func (timeoutError) Error() string   { return "timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// Is makes errors.Is(err, os.ErrDeadlineExceeded) true.
func (timeoutError) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// interruptedError is temporary for crypto/tls as well: Resume continues.
type interruptedError struct{ timeoutError }

func (interruptedError) Error() string { return "interrupted" }

// maxDirect bounds one direct system call: longer ones would keep a
// processor from the scheduler.
const maxDirect = 128 << 10

// maxVector is that of several pieces: what was sent before with maxDirect of a
// body, and what frames it.
const maxVector = maxDirect + 32<<10

// Conn is one connection. The zero value is not usable; see New.
type Conn struct {
	socket
	tls *tls.Conn // nil on a plain connection

	// Stall bounds a write that makes no progress. If zero, it waits for ever.
	Stall time.Duration

	interrupted atomic.Bool
	cut         atomic.Bool          // by Cut: what looks like an end is none
	carried     atomic.Pointer[pair] // nil: no Carrier has it

	// Owned by the reader.
	readArmed    int64 // the deadline that the runtime has; Never: none
	readBuf      []byte
	readLender   Lender
	readN        int
	readErr      error
	readFn       func(uintptr) bool
	lentFn       func(uintptr) bool
	peekFn       func(uintptr) bool
	tripFn       func(uintptr) bool
	tripSent     bool
	tlsDeadline  int64   // of the TLS read in progress
	one          [1]byte // what an idle TLS connection reads into
	readReceived int64
	readShort    bool     // the last read got less than it had room for
	section      *section // not nil: holds the poller's lock for readers
	staying      bool     // a TLS read may use it

	// Owned by the writer.
	writeArmed int64
	fullSince  int64           // when this write found the socket full; 0: it has not
	iov        []syscall.Iovec // the pieces, in few or in memory of its own
	few        [3]syscall.Iovec
	iovLeft    int // bytes still to write
	iovAt      int
	iovEnd     int
	writeErr   error
	writeFn    func(uintptr) bool
	written    int64
}

// Lender lends the memory that an idle connection reads into, so that a
// connection that waits holds none.
type Lender interface {
	// Lend returns a buffer with room.
	Lend() []byte
	// Unlend takes it back, unused.
	Unlend()
}

// New makes a stream of a TCP or unix connection.
func New(nc net.Conn) (*Conn, error) {
	f, ok := nc.(pollable)
	if !ok {
		return nil, errors.New("stream: not a socket")
	}
	p, err := newPolled(f)
	if err != nil {
		return nil, err
	}
	c := newConn()
	c.fd, c.local, c.remote = -1, addrPort(nc.LocalAddr()), addrPort(nc.RemoteAddr())
	c.polled.Store(p)
	return c, nil
}

func newConn() *Conn {
	c := &Conn{}
	c.iov = c.few[:]
	c.readFn, c.lentFn, c.writeFn = c.rawRead, c.rawReadLent, c.rawWrite
	return c
}

// TLS is the TLS connection, nil on a plain stream.
func (c *Conn) TLS() *tls.Conn { return c.tls }

// Plain reports whether bytes on the wire are the stream's bytes.
func (c *Conn) Plain() bool { return c.tls == nil }

// RemoteAddr is the peer's address; the zero AddrPort for a unix socket.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// LocalAddr is our address; the zero AddrPort for a unix socket.
func (c *Conn) LocalAddr() netip.AddrPort { return c.localAddr() }

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// Received and Written count the bytes of the wire, TLS included.
func (c *Conn) Received() int64 { return c.readReceived }

// Written counts the bytes written to the wire.
func (c *Conn) Written() int64 { return c.written }

// Read reads at least one byte. The deadline is a point on the clock of Now.
func (c *Conn) Read(p []byte, deadline int64) (int, error) {
	if c.tls != nil {
		return c.readTLS(p, deadline)
	}
	return c.readPlain(p, deadline)
}

// readTLS reads plain text. crypto/tls returns data together with the alert
// that came behind it; the alert comes again with the next read.
func (c *Conn) readTLS(p []byte, deadline int64) (int, error) {
	c.tlsDeadline = deadline
	n, err := c.tls.Read(p)
	if n > 0 {
		return n, nil
	}
	return 0, err
}

func (c *Conn) readPlain(p []byte, deadline int64) (int, error) {
	c.readBuf = p
	err := c.await(c.readFn, deadline)
	c.readBuf = nil
	if err != nil {
		return 0, err
	}
	return c.readN, c.readErr
}

// ReadLent waits for the first bytes of a message. While it waits on a plain
// connection, no buffer is held: the lender is asked again for each attempt.
// With an error, nothing is lent.
func (c *Conn) ReadLent(l Lender, deadline int64) (int, error) {
	if c.tls != nil {
		return c.readLentTLS(l, deadline)
	}
	c.readLender = l
	err := c.await(c.lentFn, deadline)
	c.readLender = nil
	if err != nil {
		return 0, err
	}
	return c.readN, c.readErr
}

// readLentTLS waits for one byte of plain text, and takes the rest of its
// record without another system call.
func (c *Conn) readLentTLS(l Lender, deadline int64) (int, error) {
	if _, err := c.readTLS(c.one[:], deadline); err != nil {
		return 0, err
	}
	buf := l.Lend()
	buf[0] = c.one[0]
	// What is left of the record is there already; past keeps an empty rest
	// from waiting. An error that is not about that comes again.
	n, _ := c.readTLS(buf[1:], past)
	return n + 1, nil
}

// past is a deadline that has come: reads take what is there.
const past int64 = 1

// await runs a raw read function until it is done, with the deadline.
func (c *Conn) await(f func(uintptr) bool, deadline int64) error {
	if c.interrupted.Load() {
		return ErrInterrupted
	}
	if c.direct(f) || c.laterDirect(f) {
		return nil
	}
	p, err := c.poll()
	if err != nil {
		return err
	}
	c.leave()
	return c.awaitIn(p, f, deadline)
}

// laterDirect is direct after others had their turn, before a socket is made
// known to the poller for the first time: what a client sends behind its
// connect is often there by then, and taking a socket out of the poller again
// makes the runtime watch its threads closely for a millisecond.
func (c *Conn) laterDirect(f func(uintptr) bool) bool {
	if c.polled.Load() != nil {
		return false
	}
	runtime.Gosched()
	return c.direct(f)
}

// awaitIn waits in the poller: for f, or if that is nil for the section.
func (c *Conn) awaitIn(p *polled, f func(uintptr) bool, deadline int64) error {
	for {
		c.armRead(p, deadline)
		if c.interrupted.Load() {
			return ErrInterrupted
		}
		var err error
		if f != nil {
			err = p.raw.Read(f)
		} else {
			err, _ = c.section.next()
		}
		if err == nil {
			return nil
		}
		if !isDeadline(err) {
			return closed(err)
		}
		if c.interrupted.Load() {
			return ErrInterrupted
		}
		// The timer may be an earlier call's.
		if deadline != Never && Now() >= deadline {
			return ErrTimeout
		}
		c.readArmed = past
	}
}

// armRead makes sure that the runtime's timer does not come later than the
// deadline. A timer that comes earlier is left: await looks at the clock and
// arms again.
func (c *Conn) armRead(p *polled, deadline int64) {
	if c.readArmed == deadline || (c.readArmed > past && (deadline == Never || c.readArmed < deadline)) {
		return
	}
	c.readArmed = deadline
	if deadline == Never {
		p.SetReadDeadline(time.Time{})
		return
	}
	p.SetReadDeadline(base.Add(time.Duration(deadline)))
}

// Interrupt makes a read in progress, and every later one, return
// ErrInterrupted, until Resume. It may be called from another goroutine.
func (c *Conn) Interrupt() {
	c.interrupted.Store(true)
	// A reader whose socket the poller does not know yet sees the flag before
	// it waits.
	if p := c.polled.Load(); p != nil {
		p.SetReadDeadline(base)
	}
	if p := c.carried.Load(); p != nil {
		p.stop()
	}
}

// Resume undoes Interrupt. It is the reader's to call, when nobody reads.
func (c *Conn) Resume() {
	c.interrupted.Store(false)
	c.readArmed = past
}

func (c *Conn) rawRead(fd uintptr) bool {
	return c.readInto(fd, c.readBuf)
}

func (c *Conn) rawReadLent(fd uintptr) bool {
	done := c.readInto(fd, c.readLender.Lend())
	if !done || c.readErr != nil {
		c.readLender.Unlend()
	}
	return done
}

// readInto reads once; false means that nothing is there yet.
func (c *Conn) readInto(fd uintptr, p []byte) bool {
	n, errno := sysRead(fd, p[:min(len(p), maxDirect)])
	switch {
	case errno == syscall.EAGAIN:
		return false
	case n <= 0 && c.cut.Load():
		c.readN, c.readErr = 0, syscall.ECONNRESET
	case errno != 0:
		c.readN, c.readErr = 0, errno
	case n == 0:
		c.readN, c.readErr = 0, io.EOF
	default:
		c.readN, c.readErr = n, nil
		c.readShort = n < min(len(p), maxDirect)
		c.readReceived += int64(n)
	}
	return true
}

// Write writes up to three pieces in order, in as few system calls as the
// socket allows, and waits while the peer is slow: no longer than Stall
// without progress.
func (c *Conn) Write(a, b, d []byte) error {
	if c.tls != nil {
		return c.writeTLS(a, b, d)
	}
	c.setPieces(a, b, d)
	return c.flush()
}

// WriteAll is Write of any number of pieces.
func (c *Conn) WriteAll(pieces [][]byte) error {
	if c.tls != nil {
		return c.writeTLS(pieces...)
	}
	if len(pieces) > len(c.iov) {
		c.iov = make([]syscall.Iovec, len(pieces))
	}
	c.iovAt, c.iovEnd, c.iovLeft = 0, 0, 0
	for _, p := range pieces {
		c.addPiece(p)
	}
	return c.flush()
}

func (c *Conn) writeTLS(pieces ...[]byte) error {
	for _, p := range pieces {
		if len(p) == 0 {
			continue
		}
		if _, err := c.tls.Write(p); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) setPieces(a, b, d []byte) {
	c.iovAt, c.iovEnd, c.iovLeft = 0, 0, 0
	c.addPiece(a)
	c.addPiece(b)
	c.addPiece(d)
}

func (c *Conn) addPiece(p []byte) {
	if len(p) == 0 {
		return
	}
	v := &c.iov[c.iovEnd]
	v.Base = &p[0]
	v.SetLen(len(p))
	c.iovEnd++
	c.iovLeft += len(p)
}

// flush writes what setPieces set.
func (c *Conn) flush() error {
	if c.iovLeft == 0 {
		return nil
	}
	err := c.awaitWrite(c.writeFn)
	if err == nil {
		err = c.writeErr
	}
	c.dropPieces()
	return err
}

// awaitWrite runs a raw write function until it is done, or the socket was
// full for Stall. The function calls full whenever it has to wait.
func (c *Conn) awaitWrite(f func(uintptr) bool) error {
	c.fullSince = 0
	if c.direct(f) {
		return nil
	}
	p, err := c.poll()
	if err != nil {
		return err
	}
	for {
		err := p.raw.Write(f)
		if err == nil || !isDeadline(err) {
			return closed(err)
		}
		// The timer may be an earlier write's, or have been set before the
		// last progress.
		if c.fullSince != 0 && c.Stall > 0 && Now() >= c.fullSince+int64(c.Stall) {
			return ErrTimeout
		}
		c.armWrite(p)
	}
}

// dropPieces forgets the callers' memory.
func (c *Conn) dropPieces() {
	c.iovLeft = 0
	for i := range c.iovEnd {
		c.iov[i].Base = nil
	}
}

// rawWrite writes until everything is out (true), or the socket is full
// (false: wait), or an error came.
func (c *Conn) rawWrite(fd uintptr) bool {
	c.writeErr = nil
	for c.iovLeft > 0 {
		n, errno := c.writeOnce(fd)
		switch {
		case errno == syscall.EAGAIN:
			c.full()
			return false
		case errno != 0:
			c.writeErr = errno
			return true
		}
		c.wrote(n)
	}
	return true
}

// writeOnce writes at most maxVector bytes with one system call.
func (c *Conn) writeOnce(fd uintptr) (int, syscall.Errno) {
	v := c.iov[c.iovAt:c.iovEnd]
	size := int(v[0].Len)
	if len(v) == 1 || size > maxDirect {
		return sysWrite(fd, v[0].Base, min(size, maxDirect))
	}
	if c.iovLeft > maxVector {
		n := 1
		for n < len(v) && size+int(v[n].Len) <= maxVector {
			size += int(v[n].Len)
			n++
		}
		v = v[:n]
	}
	return sysWritev(fd, v)
}

// wrote advances the pieces by n bytes.
func (c *Conn) wrote(n int) {
	c.written += int64(n)
	c.iovLeft -= n
	for n > 0 {
		v := &c.iov[c.iovAt]
		if n < int(v.Len) {
			advance(v, n)
			return
		}
		n -= int(v.Len)
		v.Base = nil
		c.iovAt++
	}
}

// full notes that the peer has to make room before more can be written.
func (c *Conn) full() {
	c.fullSince = Now()
	// Half a stall of slack: a reader that is merely slow costs a timer
	// change now and then, not with each packet.
	if p := c.polled.Load(); p != nil && c.Stall > 0 && c.writeArmed-c.fullSince <= int64(c.Stall)/2 {
		c.armWrite(p)
	}
}

// armWrite sets the runtime's timer to when the wait has been too long.
func (c *Conn) armWrite(p *polled) {
	if c.Stall <= 0 {
		c.writeArmed = Never
		p.SetWriteDeadline(time.Time{})
		return
	}
	from := c.fullSince
	if from == 0 {
		from = Now()
	}
	c.writeArmed = from + int64(c.Stall)
	p.SetWriteDeadline(base.Add(time.Duration(c.writeArmed)))
}

// CloseWrite sends the end of our stream: a FIN, after TLS's close_notify.
func (c *Conn) CloseWrite() error {
	if c.tls != nil {
		c.tls.CloseWrite()
	}
	return c.shutdownWrite()
}

// Close ends the connection; a TLS peer is told.
func (c *Conn) Close() error {
	c.leave()
	if c.tls != nil && c.tls.ConnectionState().HandshakeComplete {
		c.shortenStall()
		return c.tls.Close()
	}
	return c.close()
}

// shortenStall keeps the close_notify from waiting long for a full socket.
func (c *Conn) shortenStall() {
	if c.Stall <= 0 || c.Stall > time.Second {
		c.Stall = time.Second
		c.writeArmed = Never // whatever the runtime has is later, or comes again
	}
}

// Abort ends the connection with a reset: the peer cannot take what it got
// for a whole message. Like Close, it is for whoever reads; others Cut.
func (c *Conn) Abort() error {
	c.leave()
	return c.reset()
}

// Cut sends a reset, from any goroutine, and makes what the connection's users
// do with it fail; they close it. A unix socket has no reset, so that its peer
// sees an end; our side sees a reset all the same.
func (c *Conn) Cut() {
	c.cut.Store(true)
	c.disconnect()
}
