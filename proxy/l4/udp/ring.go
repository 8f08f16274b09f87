package udp

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring has the kernel do several calls on different sockets as one system call
// (io_uring(7)), the entry to which costs as much as what it does for a small
// datagram. It is used for nothing else: each call is one that does not wait,
// and all are over when run returns.
type ring struct {
	fd       int
	memory   []byte // of both queues
	entries  []byte // of the submission queue
	tail     *uint32
	mask     uint32
	array    *uint32 // indices of entries
	doneHead *uint32
	doneTail *uint32
	doneMask uint32
	done     unsafe.Pointer // of completions
	n        uint32         // calls since run
	results  [ringSize]int32
	failed   bool // it must not be used any more
}

const (
	// ringSize is how many calls are made at once.
	ringSize = 64

	// From include/uapi/linux/io_uring.h.
	opSendMsg, opRecvMsg, opSend  = 9, 10, 26
	ringSingleMap, ringFastPoll   = 1 << 0, 1 << 5 // features; the latter came after all the calls used here
	ringGetEvents                 = 1 << 0
	ringOffQueues, ringOffEntries = 0, 0x10000000
	sizeofEntry, sizeofDone       = 64, 16
	setupRing, enterRing          = unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER
)

// ringParams is struct io_uring_params.
type ringParams struct {
	entries, doneEntries, flags, cpu, idle, features, queue uint32
	_                                                       [3]uint32
	in                                                      struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	out struct {
		head, tail, mask, entries, overflow, done, flags, _ uint32
		_                                                   uint64
	}
}

// ringEntry is the beginning of struct io_uring_sqe, of 64 bytes.
type ringEntry struct {
	op, flags uint8
	priority  uint16
	fd        int32
	offset    uint64
	address   uint64
	length    uint32
	msgFlags  uint32
	user      uint64
}

// ringDone is struct io_uring_cqe.
type ringDone struct {
	user   uint64
	result int32
	flags  uint32
}

// newRing makes a ring, where the kernel lets us.
func newRing() (*ring, error) {
	var p ringParams
	fd, _, errno := unix.Syscall(setupRing, ringSize, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("io_uring: %w", errno)
	}
	r := &ring{fd: int(fd)}
	if p.features&ringSingleMap == 0 || p.features&ringFastPoll == 0 || p.entries < ringSize {
		r.close()
		return nil, fmt.Errorf("io_uring: %w", unix.ENOSYS)
	}
	if err := r.share(&p); err != nil {
		r.close()
		return nil, fmt.Errorf("io_uring: %w", err)
	}
	return r, nil
}

// share maps what is shared with the kernel.
func (r *ring) share(p *ringParams) (err error) {
	size := max(int(p.in.array+p.entries*4), int(p.out.done+p.doneEntries*sizeofDone))
	if r.memory, err = unix.Mmap(r.fd, ringOffQueues, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		return err
	}
	if r.entries, err = unix.Mmap(r.fd, ringOffEntries, int(p.entries)*sizeofEntry, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		return err
	}
	word := func(at uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.memory[at])) }
	r.tail, r.mask, r.array = word(p.in.tail), *word(p.in.mask), word(p.in.array)
	r.doneHead, r.doneTail, r.doneMask = word(p.out.head), word(p.out.tail), *word(p.out.mask)
	r.done = unsafe.Pointer(&r.memory[p.out.done])
	return nil
}

func (r *ring) close() {
	for _, m := range [][]byte{r.memory, r.entries} {
		if m != nil {
			_ = unix.Munmap(m)
		}
	}
	unix.Close(r.fd)
}

// add adds a call, which is not made before run: it is the n-th. There may be
// ringSize of them. What address points to must stay where it is, and alive.
func (r *ring) add(op uint8, fd int, address unsafe.Pointer, length int) {
	at := (*r.tail + r.n) & r.mask
	e := (*ringEntry)(unsafe.Pointer(&r.entries[at*sizeofEntry]))
	*e = ringEntry{op: op, fd: int32(fd), address: uint64(uintptr(address)), length: uint32(length), msgFlags: unix.MSG_DONTWAIT, user: uint64(r.n)}
	*(*uint32)(unsafe.Add(unsafe.Pointer(r.array), at*4)) = at
	r.n++
}

// sendPlain adds the sending of one datagram by a connected socket.
func (r *ring) sendPlain(fd int, m *message) {
	r.add(opSend, fd, unsafe.Pointer(m.header.Iov.Base), int(m.header.Iov.Len))
}

func (r *ring) send(fd int, m *message)    { r.add(opSendMsg, fd, unsafe.Pointer(&m.header), 1) }
func (r *ring) receive(fd int, m *message) { r.add(opRecvMsg, fd, unsafe.Pointer(&m.header), 1) }

// run makes the calls, and returns their results: of each what it has sent or
// received, or an error as a negative number.
func (r *ring) run() []int32 {
	n := r.n
	r.n = 0
	results := r.results[:n]
	for i := range results {
		results[i] = -int32(unix.ECANCELED) // it was not made
	}
	if r.failed {
		return results
	}
	atomic.StoreUint32(r.tail, *r.tail+n)
	for submit, open, tries := n, n, 0; open > 0; tries++ {
		made, _, errno := unix.RawSyscall6(enterRing, uintptr(r.fd), uintptr(submit), uintptr(open), ringGetEvents, 0, 0)
		if errno == 0 {
			submit -= min(submit, uint32(made))
		} else if errno != unix.EINTR && errno != unix.EAGAIN || tries > 2*ringSize {
			r.failed = true // what is left in the queue is not to be made later
			break
		}
		open -= r.reap(results)
	}
	return results
}

// reap takes the results that are there.
func (r *ring) reap(results []int32) (n uint32) {
	head := *r.doneHead
	for tail := atomic.LoadUint32(r.doneTail); head != tail; head++ {
		d := (*ringDone)(unsafe.Add(r.done, (head&r.doneMask)*sizeofDone))
		if d.user < uint64(len(results)) {
			results[d.user] = d.result
		}
		n++
	}
	atomic.StoreUint32(r.doneHead, head)
	return n
}
