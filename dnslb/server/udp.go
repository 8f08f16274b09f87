package server

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// sendWait is how long a batch of answers waits for room in the socket's
	// send buffer, which drains at the speed of the network.
	sendWait = 100 * time.Millisecond

	// After so many failed receives in a row each is followed by a pause, so
	// that an error that stays does not take a processor.
	patience   = 16
	errorPause = 10 * time.Millisecond
)

// udpSocket is one of the sockets of an address, served by one goroutine.
type udpSocket struct {
	conn  net.PacketConn
	raw   syscall.RawConn
	guard *guard
	stats *counters
	batch *batch
	peer  Peer // Local stays what it is if the socket has one address

	// What receive and send of a batch come to; see onReadable, onWritable.
	got     int
	pending int  // answers to send
	sent    int  // of them
	waits   bool // for room in the send buffer
	errno   unix.Errno
	failed  int // receives in a row

	onReadable, onWritable func(fd uintptr) bool // made once
}

// newUDPSocket makes conn, which is bound to address, one that is served.
func newUDPSocket(conn net.PacketConn, address netip.Addr, g *guard, answerSize int) (*udpSocket, error) {
	raw, err := rawConn(conn)
	if err != nil {
		return nil, err
	}
	wildcard := address.IsUnspecified()
	if err := setUDPOptions(raw, wildcard); err != nil {
		return nil, fmt.Errorf("socket options: %w", err)
	}
	s := &udpSocket{conn: conn, raw: raw, guard: g, stats: new(counters), batch: newBatch(answerSize, wildcard)}
	s.peer.Transport, s.peer.LocalPort = UDP, boundTo(conn.LocalAddr()).Port()
	if !wildcard {
		s.peer.Local = address.Unmap().WithZone("")
	}
	s.onReadable = func(fd uintptr) bool {
		s.got, s.errno = receive(fd, s.batch.in[:])
		return s.errno != unix.EAGAIN
	}
	s.onWritable = func(fd uintptr) bool {
		var n int
		n, s.errno = send(fd, s.batch.out[s.sent:s.pending])
		if s.errno == 0 {
			s.sent += n
		}
		return s.errno != unix.EAGAIN || !s.waits
	}
	return s, nil
}

// rawConn gives access to the descriptor of a socket.
func rawConn(socket any) (syscall.RawConn, error) {
	c, ok := socket.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%T is not a socket", socket)
	}
	return c.SyscallConn()
}

// serve answers until stop or the socket is closed.
func (s *udpSocket) serve() {
	for s.raw.Read(s.onReadable) == nil {
		if s.errno != 0 {
			s.receiveFailed()
			continue
		}
		s.failed = 0
		s.answer()
		s.send()
		s.batch.reset(s.got)
	}
}

// close closes the socket, which is not served or no longer.
func (s *udpSocket) close() {
	s.conn.Close()
	s.guard.close()
}

// stop ends serve once the batch in hand is answered.
func (s *udpSocket) stop() { _ = s.conn.SetReadDeadline(longAgo) }

// receiveFailed counts an error. None of them is the end: they are about a
// datagram sent before, or about memory.
func (s *udpSocket) receiveFailed() {
	s.stats.socketErrors.Add(1)
	if s.failed++; s.failed > patience {
		time.Sleep(errorPause)
	}
}

// answer asks the Responder about each query of the batch.
func (s *udpSocket) answer() {
	s.stats.queries.Add(uint64(s.got))
	s.peer.Now = time.Now()
	s.pending, s.sent = 0, 0
	for i := range s.got {
		answer, drop, ok := s.respond(i)
		if !ok {
			s.stats.drop(drop)
			continue
		}
		s.batch.reply(s.pending, i, answer)
		s.pending++
	}
}

// respond asks about the query in slot i; not ok: it is dropped.
func (s *udpSocket) respond(i int) (answer []byte, why Drop, ok bool) {
	query, whole := s.batch.query(i)
	switch s.peer.Addr = s.batch.from(i); {
	case !whole:
		return nil, DropLong, false
	case len(query) < headerSize:
		return nil, DropShort, false
	case !isQuery(query):
		return nil, DropResponse, false
	case s.peer.Addr.Port() == 0:
		return nil, DropPort, false
	}
	if s.batch.pktinfo {
		s.peer.Local = s.batch.local(i)
	}
	room := s.batch.room(i)
	answer, panicked := s.guard.respond(room, query, &s.peer)
	switch {
	case panicked:
		return nil, DropPanic, false
	case len(answer) == 0:
		return nil, DropSilent, false
	case len(answer) > cap(room):
		return nil, DropLongAnswer, false
	}
	return answer, 0, true
}

// send sends the answers. One that the kernel refuses (no route, a firewall,
// no memory) is given up, and the next one tried.
func (s *udpSocket) send() {
	s.waits = false
	for s.sent < s.pending {
		first := s.sent
		if s.raw.Write(s.onWritable) != nil {
			break // no room for long enough, or closed
		}
		s.stats.responses.Add(uint64(s.sent - first))
		switch s.errno {
		case 0:
		case unix.EAGAIN:
			s.waits = true
			_ = s.conn.SetWriteDeadline(time.Now().Add(sendWait))
		default:
			s.stats.socketErrors.Add(1)
			s.stats.drop(DropUnsent)
			s.sent++
		}
	}
	if s.waits {
		_ = s.conn.SetWriteDeadline(time.Time{})
	}
	s.stats.dropped[DropUnsent].Add(uint64(s.pending - s.sent))
}
