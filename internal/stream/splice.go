package stream

import (
	"io"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// pipeSize is asked for each pipe; the kernel may grant less.
const pipeSize = 512 << 10

// pipe carries pages from one socket to another without copying them.
type pipe struct {
	r, w int
	held int // bytes in it
}

// pipePool keeps a bounded number of empty pipes.
type pipePool struct {
	mu   sync.Mutex
	idle []*pipe
}

// maxIdlePipes bounds the descriptors that are kept: two for each pipe.
const maxIdlePipes = 32

// pipes is a cache and nothing else, as a sync.Pool would be.
var pipes pipePool

func (pp *pipePool) get() (*pipe, error) {
	pp.mu.Lock()
	if n := len(pp.idle); n > 0 {
		p := pp.idle[n-1]
		pp.idle = pp.idle[:n-1]
		pp.mu.Unlock()
		return p, nil
	}
	pp.mu.Unlock()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeSize) // refused beyond the user's quota: smaller steps
	return &pipe{r: fds[0], w: fds[1]}, nil
}

// put keeps an empty pipe and closes one that is not.
func (pp *pipePool) put(p *pipe) {
	pp.mu.Lock()
	if p.held == 0 && len(pp.idle) < maxIdlePipes {
		pp.idle = append(pp.idle, p)
		pp.mu.Unlock()
		return
	}
	pp.mu.Unlock()
	unix.Close(p.r)
	unix.Close(p.w)
}

// Splice moves bytes from one plain stream to another inside the kernel.
type Splice struct {
	dst, src *Conn
	p        *pipe
	want     int64
	got      int
	err      error
	in, out  func(uintptr) bool
}

// NewSplice begins moving bytes from src to dst. Both must be plain and
// their buffered bytes moved already. Close must be called.
func NewSplice(dst, src *Conn) (*Splice, error) {
	p, err := pipes.get()
	if err != nil {
		return nil, err
	}
	s := &Splice{dst: dst, src: src, p: p}
	s.in, s.out = s.rawIn, s.rawOut
	return s, nil
}

// Close gives the pipe back.
func (s *Splice) Close() { pipes.put(s.p) }

// Step moves at least one and at most n bytes, in one step of at most a
// pipe's size. It waits for src until the deadline and for dst as Write does.
// Write errors are wrapped in WriteError.
func (s *Splice) Step(n int64, deadline int64) (int64, error) {
	s.want = min(n, pipeSize)
	if err := s.src.await(s.in, deadline); err != nil {
		return 0, err
	}
	if s.err != nil {
		return 0, s.err
	}
	s.p.held = s.got
	moved := int64(s.got)
	s.src.readReceived += moved
	if err := s.drain(); err != nil {
		return 0, WriteError{err}
	}
	s.dst.written += moved
	return moved, nil
}

// WriteError is an error of the side that is written to.
type WriteError struct{ Err error }

func (e WriteError) Error() string { return "write: " + e.Err.Error() }
func (e WriteError) Unwrap() error { return e.Err }

func (s *Splice) rawIn(fd uintptr) bool {
	n, err := splice(int(fd), s.p.w, s.want)
	if err == syscall.EAGAIN {
		return false
	}
	s.got, s.err = int(n), err
	switch {
	case n <= 0 && s.src.cut.Load():
		s.err = syscall.ECONNRESET
	case n == 0 && err == nil:
		s.err = io.EOF
	}
	return true
}

// drain empties the pipe into dst.
func (s *Splice) drain() error {
	if err := s.dst.awaitWrite(s.out); err != nil {
		return err
	}
	return s.err
}

func (s *Splice) rawOut(fd uintptr) bool {
	for s.p.held > 0 {
		n, err := splice(s.p.r, int(fd), int64(s.p.held))
		if err == syscall.EAGAIN {
			s.dst.full()
			return false
		}
		if s.err = err; err != nil {
			return true
		}
		s.p.held -= int(n)
	}
	return true
}

func splice(from, to int, n int64) (int64, error) {
	for {
		moved, err := unix.Splice(from, nil, to, nil, int(n), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if err != unix.EINTR {
			return moved, err
		}
	}
}
