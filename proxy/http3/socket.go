package http3

import (
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// Socket is the UDP socket of an address. Two processes can have it at once,
// when a newer one takes over: each gives its connections ids that begin with a
// mark of its own, the newer one reads the socket and passes on to the older
// one what is of that one's connections. Both write to the socket.
type Socket struct {
	*net.UDPConn
	close   func() error
	mark    [markLen]byte
	batch   *ipv4.PacketConn
	in, out []byte // of the goroutine that reads

	older   atomic.Pointer[net.UnixConn] // where packets go that are not ours; nil: nowhere
	newer   *net.UnixConn                // where ours come from once retired
	handed  *net.UnixConn                // the other end, for the newer process
	retired atomic.Bool                  // a newer process reads the socket
	ending  atomic.Bool                  // QUIC reads no more
}

const (
	markLen = 4
	idLen   = 8
)

// NewSocket makes a socket of a bound one, which close closes; older leads to
// the process before, nil if there is none.
func NewSocket(udp *net.UDPConn, closing func() error, older *net.UnixConn) (*Socket, error) {
	s := &Socket{UDPConn: udp, close: closing, batch: ipv4.NewPacketConn(udp), in: make([]byte, maxPassed)}
	rand.Read(s.mark[:]) // it does not fail
	s.older.Store(older)
	var err error
	s.newer, s.handed, err = packetPair()
	return s, err
}

// packetPair makes a pair of connected sockets that keep the bounds of packets.
func packetPair() (a, b *net.UnixConn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	if a, err = FileConn(os.NewFile(uintptr(fds[0]), "quic")); err != nil {
		unix.Close(fds[1])
		return nil, nil, err
	}
	if b, err = FileConn(os.NewFile(uintptr(fds[1]), "quic")); err != nil {
		a.Close()
	}
	return a, b, err
}

var errNotUnix = errors.New("not a unix socket")

// FileConn is a unix socket of a file, which it closes.
func FileConn(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errNotUnix
	}
	return u, nil
}

// Handed is what the newer process makes its socket with, as older.
func (s *Socket) Handed() *net.UnixConn { return s.handed }

// Retire has the socket read by the newer process alone, as long as there is
// one.
func (s *Socket) Retire() {
	s.retired.Store(true)
	s.handed.Close()                    // the newer process has its own
	_ = s.UDPConn.SetReadDeadline(past) // whoever reads looks again
}

// Close closes the socket.
func (s *Socket) Close() error {
	s.newer.Close()
	s.handed.Close()
	if o := s.older.Load(); o != nil {
		o.Close()
	}
	return s.close()
}

// SetReadDeadline ends reads, whatever they read.
func (s *Socket) SetReadDeadline(t time.Time) error {
	s.ending.Store(!t.IsZero())
	_ = s.newer.SetReadDeadline(t) // it may be gone
	return s.UDPConn.SetReadDeadline(t)
}

// GenerateConnectionID implements quic.ConnectionIDGenerator.
func (s *Socket) GenerateConnectionID() (quic.ConnectionID, error) {
	var id [idLen]byte
	copy(id[:], s.mark[:])
	rand.Read(id[markLen:]) // it does not fail
	return quic.ConnectionIDFromBytes(id[:]), nil
}

// ConnectionIDLen implements quic.ConnectionIDGenerator.
func (s *Socket) ConnectionIDLen() int { return idLen }

// ReadBatch is how QUIC reads the socket.
func (s *Socket) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	for {
		var n int
		var err error
		if s.retired.Load() {
			n, err = s.readPassed(ms)
		} else {
			n, err = s.batch.ReadBatch(ms, flags)
		}
		switch {
		case err == nil:
		case s.ending.Load():
			return n, err
		case err == io.EOF:
			// The newer process has no use for the socket, or is gone.
			s.retired.Store(false)
			_ = s.UDPConn.SetReadDeadline(time.Time{})
			continue
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue // retired in the meantime
		default:
			return n, err
		}
		if n = s.keep(ms[:n]); n > 0 {
			return n, nil
		}
	}
}
