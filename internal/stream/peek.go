package stream

import (
	"io"
	"syscall"
	"time"
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
