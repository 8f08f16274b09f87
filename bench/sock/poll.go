//go:build linux

package sock

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxWait bounds one Wait. It is a raw system call that keeps its processor,
// so that a garbage collection may have to wait for it.
const maxWait = 50 * time.Millisecond

// Poll is an edge-triggered epoll set.
type Poll struct {
	fd     int
	events []unix.EpollEvent
}

// NewPoll makes a set that reports up to size events at once.
func NewPoll(size int) (*Poll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &Poll{fd: fd, events: make([]unix.EpollEvent, size)}, nil
}

// Add watches a connection in both directions, edge-triggered. The token
// comes back with its events; closing fd takes it out of the set.
func (p *Poll) Add(fd int, token int32) error {
	return p.add(fd, token, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET)
}

// AddListener watches a listening socket that several sets share: one of them
// wakes for each connection.
func (p *Poll) AddListener(fd int, token int32) error {
	return p.add(fd, token, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
}

func (p *Poll) add(fd int, token int32, events uint32) error {
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: token})
}

// Wait returns the tokens that are ready, or none after the timeout (at most
// 50 ms). What it returns is valid until the next call.
func (p *Poll) Wait(timeout time.Duration) ([]unix.EpollEvent, error) {
	timeout = max(0, min(timeout, maxWait))
	ts := unix.NsecToTimespec(int64(timeout))
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd),
		uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)),
		uintptr(unsafe.Pointer(&ts)), 0, 8)
	switch errno {
	case 0:
		return p.events[:n], nil
	case unix.EINTR:
		return nil, nil
	default:
		return nil, errno
	}
}

// Close releases the set.
func (p *Poll) Close() error { return unix.Close(p.fd) }
