package udp

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// slots is how many datagrams, or what the kernel has joined of them, are
	// in hand at once.
	slots = 64
	// clientBatch is how many of clients one system call takes, memberBatch
	// how many of one member.
	clientBatch = 32
	memberBatch = 16

	// slotSize is more than the largest datagram has: 65507 bytes over IPv4,
	// 65527 over IPv6. What is joined is not larger than 65535.
	slotSize = 1 << 16
	// stride is from one slot to the next: not a power of two, as else the
	// beginnings of all would share a few lines of the cache.
	stride = slotSize + 33*64
)

// message is the kernel's struct mmsghdr.
type message struct {
	header unix.Msghdr
	n      uint32 // bytes received or sent
}

// inbox is where a loop reads datagrams to. It is in use either for clients,
// from the first slot on, or for members, one after the other until all is
// sent.
type inbox struct {
	data    []byte
	iovs    [slots]unix.Iovec
	client  [clientBatch]message
	names   [clientBatch]unix.RawSockaddrInet6 // or RawSockaddrInet4, by family
	member  [slots]message
	control [slots]controlRoom
	used    int // slots with datagrams of members
}

func newInbox() *inbox {
	b := &inbox{data: make([]byte, slots*stride)}
	for i := range slots {
		b.iovs[i].Base = &b.data[i*stride]
		b.iovs[i].SetLen(slotSize)
		b.prepare(&b.member[i], i)
	}
	for i := range clientBatch {
		b.prepare(&b.client[i], i)
		b.client[i].header.Name = (*byte)(unsafe.Pointer(&b.names[i]))
	}
	return b
}

func (b *inbox) prepare(m *message, i int) {
	m.header.Iov = &b.iovs[i]
	m.header.SetIovlen(1)
	m.header.Control = (*byte)(unsafe.Pointer(&b.control[i]))
}

// reset prepares messages to be received.
func reset(list []message, nameLen uint32) {
	for i := range list {
		h := &list[i].header
		h.Namelen = nameLen
		h.SetControllen(controlWords * 8)
	}
}

// fromClients reads what clients have sent.
func (b *inbox) fromClients(fd int) (int, unix.Errno) {
	reset(b.client[:], unix.SizeofSockaddrInet6)
	return receive(fd, b.client[:])
}

// fromMember reads what a member has sent, at most so many, from slot used on.
func (b *inbox) fromMember(fd, most int) (int, unix.Errno) {
	list := b.member[b.used : b.used+most]
	reset(list, 0)
	return receive(fd, list)
}

// datagram is what is in slot i.
func (b *inbox) datagram(m *message, i int) []byte {
	n := min(int(m.n), slotSize)
	return b.data[i*stride:][:n:n]
}

// arrival is what the kernel has said about slot i.
func (b *inbox) arrival(m *message, i int) (a arrival) {
	if c := b.controls(m, i); len(c) > 0 {
		a = readControl(c)
	}
	return a
}

// controls are the control messages of slot i.
func (b *inbox) controls(m *message, i int) []byte {
	return b.control[i].bytes()[:min(int(m.header.Controllen), controlWords*8)]
}

// addrOf is an address of the kernel's; not valid if it is none of the
// internet's.
func addrOf(name *unix.RawSockaddrInet6) netip.AddrPort {
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

// kernelAddr is addrOf the other way: for sockets of both families, or of
// IPv4.
func kernelAddr(name *unix.RawSockaddrInet6, a netip.AddrPort, four bool) uint32 {
	if four && a.Addr().Is4() {
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		*in4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.Addr().As4()}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&in4.Port))[:], a.Port())
		return unix.SizeofSockaddrInet4
	}
	*name = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: a.Addr().As16()}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], a.Port())
	return unix.SizeofSockaddrInet6
}
