package relay

import (
	"bytes"
	"io"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// A read ends at urgent data (send(2), MSG_OOB) although there is more, and a
// splice does not get past it. The urgent byte itself is not passed on.
func TestWhatFollowsUrgentDataArrives(t *testing.T) {
	for name, size := range map[string]int{"copied": 3, "spliced": 4 << 20} {
		t.Run(name, func(t *testing.T) {
			m := newMember(t, nil)
			l := newLab(t, options{}, m.addr)
			c := l.dial()
			b := m.take()
			part := bytes.Repeat([]byte("z"), size)
			sent := make(chan error, 1)
			go func() {
				_, err := c.Write(part)
				sendUrgent(t, c)
				if err == nil {
					_, err = c.Write(part)
				}
				sent <- err
			}()
			got := make([]byte, 2*size)
			if n, err := io.ReadFull(b, got); err != nil {
				t.Errorf("%d bytes of %d: %v", n, len(got), err)
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
		})
	}
}

func sendUrgent(t *testing.T, c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err == nil {
		var e error
		if err = raw.Write(func(fd uintptr) bool {
			e = unix.Sendto(int(fd), []byte("U"), unix.MSG_OOB|unix.MSG_NOSIGNAL, nil)
			return e != unix.EAGAIN
		}); err == nil {
			err = e
		}
	}
	if err != nil {
		t.Error(err)
	}
}
