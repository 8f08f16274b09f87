package relay

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	// pipeSize is asked for each pipe; the kernel may grant less.
	pipeSize = 1 << 20
	// leastPipe is what a pipe must have room for to be better than copying.
	leastPipe = 64 << 10
	// maxPipes bounds the pipes of a loop that are in use, by as many flows
	// that move much at once; others copy.
	maxPipes = 256
	// maxIdlePipes bounds those that are kept for the next.
	maxIdlePipes = 16
	// noPipesFor is for how long none is asked for when the kernel has refused
	// one of use: the user's quota may have room again.
	noPipesFor = int64(time.Second)
)

// pipe carries pages from one socket to another without copying them.
type pipe struct {
	r, w int
	held int // bytes in it
}

// pipePool is the pipes of one loop.
type pipePool struct {
	idle []*pipe
	used int
	next int64 // when one may be asked for again
}

// get returns an empty pipe; nil: there may not be one more.
func (pp *pipePool) get(o *Options, now int64) *pipe {
	if n := len(pp.idle); n > 0 {
		p := pp.idle[n-1]
		pp.idle = pp.idle[:n-1]
		pp.used++
		return p
	}
	if now < pp.next || pp.used >= maxPipes {
		return nil
	}
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return nil
	}
	p := &pipe{r: fds[0], w: fds[1]}
	if o.spared(p.r) || o.spared(p.w) {
		p.close()
		return nil
	}
	if size, err := unix.FcntlInt(uintptr(p.r), unix.F_SETPIPE_SZ, pipeSize); err != nil || size < leastPipe {
		// Beyond the user's quota new pipes have a page or two.
		if size, _ = unix.FcntlInt(uintptr(p.r), unix.F_GETPIPE_SZ, 0); size < leastPipe {
			pp.next = now + noPipesFor
			p.close()
			return nil
		}
	}
	pp.used++
	return p
}

// put takes a pipe back. One that holds bytes is not used again.
func (pp *pipePool) put(p *pipe) {
	pp.used--
	if p.held == 0 && len(pp.idle) < maxIdlePipes {
		pp.idle = append(pp.idle, p)
		return
	}
	p.close()
}

func (pp *pipePool) close() {
	for _, p := range pp.idle {
		p.close()
	}
}

func (p *pipe) close() {
	sysClose(p.r)
	sysClose(p.w)
}
