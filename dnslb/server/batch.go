package server

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// batchSize is how many datagrams one system call takes.
	batchSize = 32

	// querySize is the longest query over UDP. Nobody needs more than a few
	// hundred bytes; 4096 is what EDNS has come to mean by large.
	querySize = 4096

	// controlWords is the room for control messages, in units of 8 bytes, as
	// which they are aligned: both kinds of packet information fit.
	controlWords = 16
)

// message is the kernel's struct mmsghdr.
type message struct {
	header unix.Msghdr
	n      uint32 // bytes received or sent
}

// batch is the memory of a socket: slot i has the i-th query read, who sent
// it, and room for its answer. Received slots are numbered by arrival, the
// out messages by the order of answers; both refer to the same slots.
type batch struct {
	in, out         [batchSize]message
	inData, outData [batchSize]unix.Iovec
	names           [batchSize]unix.RawSockaddrInet6 // or RawSockaddrInet4, by family
	control         [batchSize][controlWords]uint64
	queries         []byte
	answers         []byte
	answerSize      int
	pktinfo         bool
}

// newBatch makes a batch for answers of that many bytes; pktinfo: the kernel
// says to which address a datagram came, and is told from which to send.
func newBatch(answerSize int, pktinfo bool) *batch {
	b := &batch{
		queries:    make([]byte, batchSize*querySize),
		answers:    make([]byte, batchSize*answerSize),
		answerSize: answerSize,
		pktinfo:    pktinfo,
	}
	for i := range batchSize {
		b.inData[i].Base = &b.queries[i*querySize]
		b.inData[i].SetLen(querySize)
		h := &b.in[i].header
		h.Iov = &b.inData[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
	}
	b.reset(batchSize)
	return b
}

// reset prepares the first n slots for receiving.
func (b *batch) reset(n int) {
	for i := range n {
		h := &b.in[i].header
		h.Namelen = unix.SizeofSockaddrInet6
		h.Flags = 0
		if b.pktinfo {
			h.Control = (*byte)(unsafe.Pointer(&b.control[i]))
			h.SetControllen(controlWords * 8)
		}
	}
}

// query is what was received in slot i, and whether all of it.
func (b *batch) query(i int) (query []byte, whole bool) {
	n := min(int(b.in[i].n), querySize)
	return b.queries[i*querySize:][:n:n], b.in[i].header.Flags&unix.MSG_TRUNC == 0
}

// room is where the answer of slot i goes: empty, and no larger than it may be.
func (b *batch) room(i int) []byte {
	return b.answers[i*b.answerSize:][:0:b.answerSize]
}

// from is who sent slot i; not valid if that is no internet address.
func (b *batch) from(i int) netip.AddrPort {
	name := &b.names[i]
	switch name.Family {
	case unix.AF_INET:
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), bigEndian(&in4.Port))
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), bigEndian(&name.Port))
	}
	return netip.AddrPort{}
}

// bigEndian reads a port as the kernel writes it.
func bigEndian(port *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(port))[:])
}

// reply makes answer, which is in the room of slot i, the k-th message to send.
func (b *batch) reply(k, i int, answer []byte) {
	b.outData[k].Base = unsafe.SliceData(answer)
	b.outData[k].SetLen(len(answer))
	in, out := &b.in[i].header, &b.out[k].header
	*out = unix.Msghdr{Name: in.Name, Namelen: in.Namelen, Iov: &b.outData[k]}
	out.SetIovlen(1)
	if b.pktinfo {
		n := replyFrom(b.controlBytes(i))
		if n > 0 {
			out.Control = in.Control
			out.SetControllen(n)
		}
	}
}

// local is the address to which slot i was sent, if the kernel has said.
func (b *batch) local(i int) netip.Addr {
	data, level := packetInfo(b.controlBytes(i))
	switch level {
	case unix.IPPROTO_IP:
		return netip.AddrFrom4([4]byte(data[4:8]))
	case unix.IPPROTO_IPV6:
		return netip.AddrFrom16([16]byte(data[:16])).Unmap()
	}
	return netip.Addr{}
}

// controlBytes are the control messages that came with slot i.
func (b *batch) controlBytes(i int) []byte {
	n := min(int(b.in[i].header.Controllen), controlWords*8)
	return unsafe.Slice((*byte)(unsafe.Pointer(&b.control[i])), n)
}
