//go:build linux

package load

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/net/ipv4"
)

// wire is how queries travel.
type wire interface {
	// send sends all of the messages.
	send(all [][]byte) error
	// receive waits until something arrives or the time is over, and hands
	// over what is there. A message is valid only during the call.
	receive(until time.Time, do func(message []byte)) error
	io.Closer
}

func dial(o *Options) (wire, error) {
	if o.TCP {
		conn, err := net.DialTimeout("tcp4", o.Addr.String(), o.Timeout)
		if err != nil {
			return nil, err
		}
		return &stream{Conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}, nil
	}
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(o.Addr))
	if err != nil {
		return nil, err
	}
	d := &datagrams{UDPConn: conn, batch: ipv4.NewPacketConn(conn), in: make([]ipv4.Message, o.Window)}
	for i := range d.in {
		d.in[i].Buffers = [][]byte{make([]byte, 4096)}
	}
	return d, nil
}

// datagrams sends and receives many datagrams with one system call.
type datagrams struct {
	*net.UDPConn
	batch   *ipv4.PacketConn
	in, out []ipv4.Message
}

func (d *datagrams) send(all [][]byte) error {
	d.out = d.out[:0]
	for i := range all {
		d.out = append(d.out, ipv4.Message{Buffers: all[i : i+1]})
	}
	for rest := d.out; len(rest) > 0; {
		n, err := d.batch.WriteBatch(rest, 0)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

func (d *datagrams) receive(until time.Time, do func([]byte)) error {
	if err := d.SetReadDeadline(until); err != nil {
		return err
	}
	n, err := d.batch.ReadBatch(d.in, 0)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	for i := range max(n, 0) {
		do(d.in[i].Buffers[0][:d.in[i].N])
	}
	return err
}

// stream is a TCP connection with two bytes of length before each message.
type stream struct {
	net.Conn
	r   *bufio.Reader
	out []byte
}

func (s *stream) send(all [][]byte) error {
	s.out = s.out[:0]
	for _, m := range all {
		s.out = binary.BigEndian.AppendUint16(s.out, uint16(len(m)))
		s.out = append(s.out, m...)
	}
	_, err := s.Write(s.out)
	return err
}

// receive waits with Peek, which takes nothing away when the time is over.
func (s *stream) receive(until time.Time, do func([]byte)) error {
	if err := s.SetReadDeadline(until); err != nil {
		return err
	}
	for {
		head, err := s.r.Peek(2)
		if err == nil {
			size := 2 + int(binary.BigEndian.Uint16(head))
			if head, err = s.r.Peek(size); err == nil {
				do(head[2:])
				_, err = s.r.Discard(size)
			}
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, bufio.ErrBufferFull):
			return ignoreDeadline(err)
		case err != nil:
			return err
		case s.r.Buffered() < 2:
			return nil
		}
	}
}

func ignoreDeadline(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}
