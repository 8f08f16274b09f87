package http3

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// A packet goes from a newer process to an older one with what came with it:
//
//	length of the control messages (1), control messages,
//	length of the address (1), address and port, the packet

// maxPassed is how large a packet can be with that. QUIC's are no larger than
// an Ethernet frame.
const maxPassed = 4 << 10

// keep moves the packets of our connections to the front and passes the others
// on. Each stays in the buffer of its place, which is QUIC's.
func (s *Socket) keep(ms []ipv4.Message) int {
	older := s.older.Load()
	if older == nil {
		return len(ms)
	}
	kept := 0
	for i := range ms {
		if s.foreign(ms[i].Buffers[0][:ms[i].N]) {
			s.pass(older, &ms[i])
			continue
		}
		if kept < i {
			to, from := &ms[kept], &ms[i]
			to.N = copy(to.Buffers[0], from.Buffers[0][:from.N])
			to.NN = copy(to.OOB, from.OOB[:from.NN])
			to.Addr = from.Addr
		}
		kept++
	}
	return kept
}

// foreign reports whether a packet has an id that a server has made, and not we
// (RFC 9000 17.2, 17.3): clients begin with one of their own.
func (s *Socket) foreign(p []byte) bool {
	switch {
	case len(p) < 1+idLen:
		return false
	case p[0]&0x80 == 0:
		return !bytes.Equal(p[1:1+markLen], s.mark[:])
	case len(p) < 6+idLen || !isHandshake(p) || p[5] != idLen:
		return false
	}
	return !bytes.Equal(p[6:6+markLen], s.mark[:])
}

// isHandshake reports whether a long header is of the type that follows the
// server's first (RFC 9000 17.2.4, RFC 9369 3.2).
func isHandshake(p []byte) bool {
	kind := p[0] >> 4 & 3
	if binary.BigEndian.Uint32(p[1:]) == 0x6b3343cf {
		return kind == 3
	}
	return kind == 2
}

// pass passes a packet on, unless the older process is slow.
func (s *Socket) pass(to *net.UnixConn, m *ipv4.Message) {
	a, ok := m.Addr.(*net.UDPAddr)
	if !ok || m.NN > 255 {
		return
	}
	p := append(s.out[:0], byte(m.NN))
	p = append(p, m.OOB[:m.NN]...)
	p = append(p, 0)
	at := len(p)
	p, _ = a.AddrPort().AppendBinary(p) // it does not fail
	p[at-1] = byte(len(p) - at)
	p = append(p, m.Buffers[0][:m.N]...)
	s.out = p
	raw, err := to.SyscallConn()
	if err == nil {
		var sendErr error
		err = raw.Write(func(fd uintptr) bool {
			sendErr = unix.Sendto(int(fd), p, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
			return true
		})
		if sendErr == unix.EAGAIN {
			return // as if the network had lost it
		}
		if err == nil {
			err = sendErr
		}
	}
	if err != nil && s.older.CompareAndSwap(to, nil) {
		to.Close() // it has ended
	}
}

// readPassed reads a packet that the newer process passes on.
func (s *Socket) readPassed(ms []ipv4.Message) (int, error) {
	n, err := s.newer.Read(s.in)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, io.EOF
	}
	if len(ms) == 0 || !unpack(s.in[:n], &ms[0]) {
		return 0, nil
	}
	return 1, nil
}

// unpack takes a packet apart that was passed on; false when it is not whole.
func unpack(p []byte, m *ipv4.Message) bool {
	oob, p, ok := cut(p)
	if !ok || len(oob) > len(m.OOB) {
		return false
	}
	text, p, ok := cut(p)
	var from netip.AddrPort
	if !ok || from.UnmarshalBinary(text) != nil || len(p) == 0 || len(p) > len(m.Buffers[0]) {
		return false
	}
	m.NN = copy(m.OOB, oob)
	m.N = copy(m.Buffers[0], p)
	m.Addr = net.UDPAddrFromAddrPort(from)
	return true
}

// cut takes what its length stands before.
func cut(p []byte) (piece, rest []byte, ok bool) {
	if len(p) == 0 || len(p)-1 < int(p[0]) {
		return nil, nil, false
	}
	n := 1 + int(p[0])
	return p[1:n], p[n:], true
}
