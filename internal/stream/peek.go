package stream

import (
	"io"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// peeker is the state of one Peek.
type peeker struct {
	p    []byte
	have int
	n    int
	err  error
}

// Peek waits until more than have bytes have arrived and copies what is there
// into p without taking it. It is for the start of a plain connection.
func (c *Conn) Peek(p []byte, have int, deadline int64) (int, error) {
	k := &peeker{p: p, have: have}
	if err := c.await(k.peek, deadline); err != nil {
		return 0, err
	}
	return k.n, k.err
}

func (k *peeker) peek(fd uintptr) bool {
	n, _, err := syscall.Recvfrom(int(fd), k.p, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR || err == nil && n > 0 && n <= k.have:
		return false
	case err != nil:
		k.err = err
	case n == 0:
		k.err = io.EOF
	default:
		k.n = n
	}
	return true
}

// HungUp reports whether the peer has closed or reset the connection, also
// when bytes that it sent before are still unread. Any goroutine may ask.
func (c *Conn) HungUp() bool {
	gone := false
	err := c.control(func(fd uintptr) {
		p := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(p[:], 0)
		gone = err == nil && n > 0
	})
	return gone || err != nil
}

// Discard takes n bytes that Peek has seen.
func (c *Conn) Discard(n int) error {
	buf := make([]byte, n)
	for n > 0 {
		got, err := c.readPlain(buf[:n], Now()+int64(time.Second))
		if err != nil {
			return err
		}
		n -= got
	}
	return nil
}
