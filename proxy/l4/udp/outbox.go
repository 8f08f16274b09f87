package udp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// maxSegments is how many datagrams the kernel takes as one: UDP_MAX_SEGMENTS
	// of the kernels before 6.9.
	maxSegments = 64
	// maxJoined is how many bytes they have at most.
	maxJoined = 65_000
)

// outbox is datagrams to send, in their order. Those of a flow that follow
// each other are joined where they may be.
type outbox struct {
	engine *Engine
	toward direction
	ring   *ring // nil: there is none

	messages  [slots]message
	iovs      [slots]unix.Iovec
	control   [slots]controlRoom
	parts     [slots]part
	n         int // of messages
	vectors   int // of iovs
	one       message
	oneVector unix.Iovec
}

// direction is where datagrams go.
type direction uint8

const (
	toClient direction = iota
	toMember
)

// part is one message: datagrams of one flow, all of a size but the last,
// which may be smaller.
type part struct {
	flow                *flow
	size, total, number int
}

// add adds what was received, several datagrams joined if segment is not 0.
// It must stay as it is until it is sent.
func (o *outbox) add(data []byte, segment int, f *flow) {
	switch {
	case segment <= 0 || segment >= len(data):
		o.append(data, len(data), 1, f)
	case segment <= o.joinable(f) && len(data) <= maxJoined && (len(data)-1)/segment < maxSegments:
		o.append(data, segment, (len(data)-1)/segment+1, f)
	default:
		for ; len(data) > segment; data = data[segment:] {
			o.append(data[:segment], segment, 1, f)
		}
		o.append(data, len(data), 1, f)
	}
}

// joinable is the largest size of datagrams that may be joined.
func (o *outbox) joinable(f *flow) int {
	if !o.engine.segments.Load() {
		return 0
	}
	return int(f.joinable[o.toward])
}

func (o *outbox) append(data []byte, size, number int, f *flow) {
	if o.join(data, size, number, f) {
		return
	}
	if o.n == slots || o.vectors == slots {
		o.flush()
	}
	h := &o.messages[o.n].header
	h.Iov = o.vector(data)
	h.Iovlen = 1
	o.parts[o.n] = part{f, size, len(data), number}
	o.n++
}

// vector takes the next of iovs.
func (o *outbox) vector(data []byte) *unix.Iovec {
	v := &o.iovs[o.vectors]
	v.Base = unsafe.SliceData(data)
	v.SetLen(len(data))
	o.vectors++
	return v
}

// join adds to the last message, if that is possible.
func (o *outbox) join(data []byte, size, number int, f *flow) bool {
	if o.n == 0 || o.vectors == slots {
		return false
	}
	p := &o.parts[o.n-1]
	switch {
	case p.flow != f, size == 0, p.size > o.joinable(f),
		p.total != p.size*p.number,                 // the last one is smaller
		size > p.size, size < p.size && number > 1, // another size
		p.number+number > maxSegments, p.total+len(data) > maxJoined:
		return false
	}
	o.vector(data)
	o.messages[o.n-1].header.Iovlen++
	p.total += len(data)
	p.number += number
	return true
}

// finish makes message i complete: where it goes, and from where.
func (o *outbox) finish(i int) {
	h, p := &o.messages[i].header, &o.parts[i]
	controls := 0
	if o.toward == toClient {
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&p.flow.name)), p.flow.nameLen
		if controls = p.flow.sourceLen; controls > 0 {
			o.control[i] = p.flow.source
		}
	}
	if p.number > 1 {
		controls = putSegment(&o.control[i], controls, p.size)
	}
	h.Control = nil
	if controls > 0 {
		h.Control = (*byte)(unsafe.Pointer(&o.control[i]))
	}
	h.SetControllen(controls)
}

// flush sends all.
func (o *outbox) flush() {
	for i := range o.n {
		o.finish(i)
	}
	if o.ring != nil && o.toward == toMember && o.n > 1 {
		o.flushByRing()
	} else {
		for at := 0; at < o.n; {
			end := at + 1
			for end < o.n && o.socket(end) == o.socket(at) {
				end++
			}
			o.flushRange(at, end)
			at = end
		}
	}
	o.n, o.vectors = 0, 0
}

// socket is what message i is sent by.
func (o *outbox) socket(i int) int {
	if o.toward == toMember {
		return o.parts[i].flow.fd
	}
	return o.parts[i].flow.out
}

// flushRange sends messages of one socket.
func (o *outbox) flushRange(at, end int) {
	for at < end {
		n, errno := o.send(at, end)
		for i := at; i < at+n; i++ {
			o.sent(o.parts[i].flow, o.parts[i].number, o.parts[i].total)
		}
		if at += n; errno != 0 {
			o.failed(at, errno)
			at++
		}
	}
}

func (o *outbox) send(at, end int) (int, unix.Errno) {
	if o.toward == toMember && end-at == 1 && o.parts[at].number == 1 {
		if errno := sendPlain(o.socket(at), &o.messages[at]); errno != 0 {
			return 0, errno
		}
		return 1, 0
	}
	return send(o.socket(at), o.messages[at:end])
}

// flushByRing sends messages of several sockets.
func (o *outbox) flushByRing() {
	for i := range o.n {
		if o.parts[i].number == 1 {
			o.ring.sendPlain(o.socket(i), &o.messages[i])
		} else {
			o.ring.send(o.socket(i), &o.messages[i])
		}
	}
	for i, result := range o.ring.run() {
		if p := &o.parts[i]; result >= 0 {
			o.sent(p.flow, p.number, p.total)
		} else {
			o.failed(i, unix.Errno(-result))
		}
	}
}

// sent counts what a member was sent; what it sends is counted as it comes.
func (o *outbox) sent(f *flow, number, bytes int) {
	if o.toward == toMember {
		f.Sent.Add(uint64(bytes))
		f.SentPackets.Add(uint64(number))
	}
}

// failed does what can be done for message i.
func (o *outbox) failed(i int, errno unix.Errno) {
	p := &o.parts[i]
	if p.number > 1 && o.unjoin(p, errno) {
		o.sendApart(i)
		return
	}
	if o.again(o.socket(i), &o.messages[i], p.flow, errno) {
		o.sent(p.flow, p.number, p.total)
	} else {
		p.flow.server.stats.unsent.Add(uint64(p.number))
	}
}

// again sends a message once more, as an error can be about one sent before
// (ICMP), even twice, or pass (EPERM, while a firewall's tables are full). It
// tells whether that did it. There is no waiting for room: a queue that is full
// drops what comes, as that of any router.
func (o *outbox) again(fd int, m *message, f *flow, errno unix.Errno) bool {
	for range 2 {
		if o.toward == toMember && byICMP(errno) {
			f.Member.Life.Failed.Add(1)
		}
		if errno == unix.EAGAIN || errno == unix.ENOBUFS || errno == unix.EMSGSIZE {
			return false
		}
		if _, errno = send(fd, unsafe.Slice(m, 1)); errno == 0 {
			return true
		}
	}
	return false
}

// unjoin notes that datagrams of a size cannot be joined: for this flow, as
// they are larger than packets may be, or at all, as the device does not do
// checksums. It returns false if the error means something else.
func (o *outbox) unjoin(p *part, errno unix.Errno) bool {
	switch errno {
	case unix.EIO:
		o.engine.segments.Store(false)
	case unix.EINVAL, unix.EMSGSIZE:
		p.flow.joinable[o.toward] = uint16(p.size - 1)
	default:
		return false
	}
	return true
}

// sendApart sends the datagrams of message i one by one.
func (o *outbox) sendApart(i int) {
	p := &o.parts[i]
	h := o.messages[i].header
	h.SetControllen(0)
	if p.flow.sourceLen > 0 && o.toward == toClient {
		h.SetControllen(p.flow.sourceLen)
	}
	vectors := unsafe.Slice(h.Iov, int(h.Iovlen))
	h.Iov = &o.oneVector
	h.SetIovlen(1)
	o.one.header = h
	for _, v := range vectors {
		for data := unsafe.Slice(v.Base, int(v.Len)); len(data) > 0; data = data[min(p.size, len(data)):] {
			n := min(p.size, len(data))
			o.oneVector.Base = &data[0]
			o.oneVector.SetLen(n)
			o.sendOne(o.socket(i), p.flow, n)
		}
	}
	o.one, o.oneVector = message{}, unix.Iovec{}
}

func (o *outbox) sendOne(fd int, f *flow, bytes int) {
	_, errno := send(fd, unsafe.Slice(&o.one, 1))
	if errno == 0 || o.again(fd, &o.one, f, errno) {
		o.sent(f, 1, bytes)
	} else {
		f.server.stats.unsent.Add(1)
	}
}

// byICMP tells whether an error may be about a datagram sent before: udp(7),
// ip(7).
func byICMP(errno unix.Errno) bool {
	switch errno {
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENOPROTOOPT, unix.EPROTO, unix.EOPNOTSUPP, unix.ENONET:
		return true
	}
	return false
}
