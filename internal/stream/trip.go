package stream

import (
	"errors"
	"syscall"
)

// Trip writes up to three pieces on a connection that should be silent and
// waits for the first bytes of the answer: in one pass, with the fewest
// system calls.
//
// First it looks whether the connection is still silent and open; if not, it
// returns ErrStale and has written nothing. sent is the number of bytes that
// were written in any case. With ErrTimeout the pieces are out and Read may
// go on waiting.
//
// fresh says that the connection was opened just now.
func (c *Conn) Trip(a, b, d, into []byte, fresh bool, deadline int64) (sent int64, n int, err error) {
	before := c.written
	if c.tls != nil {
		n, err = c.tripTLS(a, b, d, into, fresh, deadline)
		return c.written - before, n, err
	}
	if c.tripFn == nil {
		c.tripFn = c.rawTrip
	}
	c.setPieces(a, b, d)
	c.readBuf, c.tripSent, c.readErr = into, false, nil
	err = c.await(c.tripFn, deadline)
	c.readBuf = nil
	switch {
	case err == ErrTimeout && !c.tripSent:
		return c.lateTrip(before)
	case err != nil:
		c.dropPieces()
		return c.written - before, 0, err
	case c.readErr == errUnsent:
		// The socket was full: wait for it outside the read.
		if err := c.flush(); err != nil {
			return c.written - before, 0, stalled(err)
		}
		n, err := c.readPlain(into, deadline)
		return c.written - before, n, err
	}
	c.dropPieces()
	return c.written - before, c.readN, c.readErr
}

// lateTrip is a Trip whose deadline came before it was this goroutine's turn:
// the pieces still go out, since that is what a timeout promises.
func (c *Conn) lateTrip(before int64) (sent int64, n int, err error) {
	if !c.Silent() {
		c.dropPieces()
		return 0, 0, ErrStale
	}
	if err = stalled(c.flush()); err == nil {
		err = ErrTimeout
	}
	return c.written - before, 0, err
}

// ErrStalled is returned by Trip when the peer did not take all of the
// pieces in time, unlike ErrTimeout, which says that they are out.
var ErrStalled = errors.New("peer takes no more")

// stalled tells a timeout of a write from that of the read behind it.
func stalled(err error) error {
	if errors.Is(err, ErrTimeout) {
		return ErrStalled
	}
	return err
}

// errUnsent says that not all pieces fit into the socket.
var errUnsent = errors.New("socket full")

// rawTrip runs inside the connection's read lock. Its first pass checks and
// writes, after the poller was reset and before anything is read: readiness
// that comes later cannot be missed, so no read is wasted on an answer that
// cannot be there yet.
func (c *Conn) rawTrip(fd uintptr) bool {
	if c.tripSent {
		return c.readInto(fd, c.readBuf)
	}
	if !silent(fd) {
		c.readN, c.readErr = 0, ErrStale
		return true
	}
	for c.iovLeft > 0 {
		n, errno := c.writeOnce(fd)
		switch {
		case errno == syscall.EAGAIN:
			c.readN, c.readErr = 0, errUnsent
			return true
		case errno != 0:
			c.readN, c.readErr = 0, errno
			return true
		}
		c.wrote(n)
	}
	c.tripSent = true
	return false
}

// silent reports whether a connection is open and has nothing to read.
func silent(fd uintptr) bool {
	_, errno := sysPeek(fd)
	return errno == syscall.EAGAIN
}

func (c *Conn) tripTLS(a, b, d, into []byte, fresh bool, deadline int64) (int, error) {
	// A fresh TLS connection may have session tickets waiting in its socket.
	if !fresh && !c.Silent() || fresh && !c.silentTLS() {
		return 0, ErrStale
	}
	if err := c.writeTLS(a, b, d); err != nil {
		return 0, stalled(err)
	}
	return c.Read(into, deadline)
}

// Silent reports whether an idle connection is still open with nothing to
// read.
func (c *Conn) Silent() bool {
	if c.peekFn == nil {
		c.peekFn = func(fd uintptr) bool {
			c.readErr = nil
			if !silent(fd) {
				c.readErr = ErrStale
			}
			return true
		}
	}
	if c.await(c.peekFn, Never) != nil || c.readErr != nil {
		return false
	}
	return c.tls == nil || c.silentTLS()
}

// silentTLS reports whether TLS holds nothing back: records that were read
// from the socket together with earlier ones.
func (c *Conn) silentTLS() bool {
	n, err := c.readTLS(c.one[:], past)
	return n == 0 && err == ErrTimeout
}
