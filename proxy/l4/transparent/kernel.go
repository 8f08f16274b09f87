package transparent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// kernel asks about rules and routes by netlink (rtnetlink(7)): three
// questions, for which a library would be much.
type kernel struct {
	fd  int
	seq uint32
	buf []byte
}

const (
	replyTime = 2 * time.Second
	// replySize is more than the kernel puts into one datagram of a dump.
	replySize = 1 << 16
)

func openKernel() (*kernel, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	timeout := unix.NsecToTimeval(int64(replyTime))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		unix.Close(fd)
		return nil, err
	}
	// Dumps of one table alone, since Linux 4.20; older kernels give all.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	return &kernel{fd: fd, buf: make([]byte, replySize)}, nil
}

func (k *kernel) close() { unix.Close(k.fd) }

// message is a struct rtmsg or struct fib_rule_hdr, which have the same
// shape, and its attributes.
type message struct {
	family, srcLen, dstLen uint8
	table                  uint8
	kind                   uint8 // rtm_type, or action
	flags                  uint32
	attributes             map[uint16][]byte
}

const messageSize = unix.SizeofRtMsg

// tableOf is the number of the table, which may be too large for the header.
func (m *message) tableOf() uint32 {
	if n, ok := m.number(unix.RTA_TABLE); ok { // FRA_TABLE is the same
		return n
	}
	return uint32(m.table)
}

func (m *message) number(attribute uint16) (uint32, bool) {
	if v := m.attributes[attribute]; len(v) == 4 {
		return binary.NativeEndian.Uint32(v), true
	}
	return 0, false
}

func (m *message) text(attribute uint16) string {
	return strings.TrimRight(string(m.attributes[attribute]), "\x00")
}

// pack appends the request to a header.
func (m *message) pack(kind, flags uint16, seq uint32) []byte {
	b := make([]byte, unix.SizeofNlMsghdr, 64)
	b = append(b, m.family, m.dstLen, m.srcLen, 0, m.table, 0, 0, m.kind)
	b = binary.NativeEndian.AppendUint32(b, m.flags)
	for number, value := range m.attributes {
		b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
		b = binary.NativeEndian.AppendUint16(b, number)
		b = append(b, value...) // of four or sixteen bytes: needs no padding
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.NativeEndian.PutUint32(b[8:], seq)
	return b
}

// ask sends a request and gives each answer to fn.
func (k *kernel) ask(m *message, kind, flags uint16, fn func(*message)) error {
	k.seq++
	if err := unix.Sendto(k.fd, m.pack(kind, unix.NLM_F_REQUEST|flags, k.seq), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	for {
		n, from, err := unix.Recvfrom(k.fd, k.buf, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		}
		if nl, ok := from.(*unix.SockaddrNetlink); !ok || nl.Pid != 0 {
			continue // not from the kernel
		}
		done, err := readAnswers(k.buf[:n], k.seq, fn)
		if done || err != nil {
			return err
		}
	}
}

// readAnswers reads the messages of a datagram. Those to an older request,
// which was given up, are passed over.
func readAnswers(b []byte, seq uint32, fn func(*message)) (done bool, err error) {
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return true, errors.New("a malformed answer")
		}
		kind, flags := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:])
		body := b[unix.SizeofNlMsghdr:size]
		ours := binary.NativeEndian.Uint32(b[8:]) == seq
		b = b[min((size+3)&^3, len(b)):]
		switch {
		case !ours:
		case kind == unix.NLMSG_DONE:
			return true, nil
		case kind == unix.NLMSG_ERROR:
			return true, errorOf(body)
		default:
			fn(parseMessage(body))
			if flags&unix.NLM_F_MULTI == 0 {
				return true, nil
			}
		}
	}
	return false, nil
}

func errorOf(body []byte) error {
	if len(body) < 4 {
		return errors.New("a malformed error")
	}
	if n := int32(binary.NativeEndian.Uint32(body)); n < 0 {
		return unix.Errno(-n)
	}
	return nil
}

// parseMessage reads what it can; what is cut short is not there.
func parseMessage(b []byte) *message {
	m := &message{attributes: map[uint16][]byte{}}
	if len(b) < messageSize {
		return m
	}
	m.family, m.dstLen, m.srcLen, m.table, m.kind = b[0], b[1], b[2], b[4], b[7]
	m.flags = binary.NativeEndian.Uint32(b[8:])
	for b = b[messageSize:]; len(b) >= unix.SizeofRtAttr; {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			break
		}
		m.attributes[binary.NativeEndian.Uint16(b[2:])] = b[unix.SizeofRtAttr:size]
		b = b[min((size+3)&^3, len(b)):]
	}
	return m
}

// deviceTo is the name of the interface by which packets to an address leave.
func (k *kernel) deviceTo(a netip.Addr) (string, error) {
	m := &message{family: unix.AF_INET6, dstLen: uint8(a.BitLen()), attributes: map[uint16][]byte{unix.RTA_DST: a.AsSlice()}}
	if a.Is4() {
		m.family = unix.AF_INET
	}
	var index uint32
	err := k.ask(m, unix.RTM_GETROUTE, 0, func(answer *message) { index, _ = answer.number(unix.RTA_OIF) })
	if err != nil {
		return "", err
	}
	device, err := net.InterfaceByIndex(int(index))
	if err != nil {
		return "", fmt.Errorf("interface %d: %w", index, err)
	}
	return device.Name, nil
}

// hasLocalRoute tells whether a table has a route of type local.
func (k *kernel) hasLocalRoute(family uint8, table uint32) (bool, error) {
	m := &message{family: family, kind: unix.RTN_LOCAL, attributes: map[uint16][]byte{
		unix.RTA_TABLE: binary.NativeEndian.AppendUint32(nil, table)}}
	found := false
	err := k.ask(m, unix.RTM_GETROUTE, unix.NLM_F_DUMP, func(answer *message) {
		found = found || answer.kind == unix.RTN_LOCAL && answer.tableOf() == table
	})
	if err == unix.ENOENT { // there is no such table
		err = nil
	}
	return found, err
}
