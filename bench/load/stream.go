//go:build linux

package load

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"gatehouse/bench/sock"

	"golang.org/x/sys/unix"
)

// stream is a connection as the event loop uses it. No method blocks: each
// returns sock.ErrAgain instead, and io.EOF at the end of the stream.
type stream interface {
	read(p []byte) (int, error)
	// discard takes up to n bytes without looking at them.
	discard(n int) (int, error)
	write(p []byte) (int, error)
}

// plain is a TCP connection. A read that leaves room has emptied the socket,
// and the next one need not ask the kernel: the epoll set reports new bytes.
type plain struct {
	fd      int
	drained bool
}

func (s *plain) read(p []byte) (int, error) {
	if s.drained {
		return 0, sock.ErrAgain
	}
	n, err := sock.Recv(s.fd, p)
	return s.took(n, len(p), err)
}

func (s *plain) discard(n int) (int, error) {
	if s.drained {
		return 0, sock.ErrAgain
	}
	got, err := sock.Discard(s.fd, n)
	return s.took(got, n, err)
}

func (s *plain) took(n, asked int, err error) (int, error) {
	if err == nil && n == 0 {
		return 0, io.EOF
	}
	s.drained = err == nil && n < asked
	return n, err
}

func (s *plain) write(p []byte) (int, error) { return sock.Send(s.fd, p) }

// secure is a TLS connection after its handshake.
type secure struct {
	conn    *tls.Conn
	scratch []byte // where discarded bytes go; shared by a thread's connections
}

func (s *secure) read(p []byte) (int, error) { return s.conn.Read(p) }

func (s *secure) discard(n int) (int, error) {
	return s.conn.Read(s.scratch[:min(n, len(s.scratch))])
}

func (s *secure) write(p []byte) (int, error) { return s.conn.Write(p) }

// socket lets crypto/tls use a non-blocking socket. Reads block only during
// the handshake; writes always (the requests fit the socket's buffer).
type socket struct {
	fd       int
	blocking bool
}

const socketTimeout = 5 * time.Second

func (s *socket) Read(p []byte) (int, error) {
	for {
		n, err := sock.Recv(s.fd, p)
		if err == sock.ErrAgain && s.blocking {
			if err := sock.Await(s.fd, false, socketTimeout); err != nil {
				return 0, err
			}
			continue
		}
		if err == nil && n == 0 {
			return 0, io.EOF
		}
		return n, err
	}
}

func (s *socket) Write(p []byte) (int, error) {
	for sent := 0; ; {
		n, err := sock.Send(s.fd, p[sent:])
		sent += n
		switch {
		case err == sock.ErrAgain:
			err = sock.Await(s.fd, true, socketTimeout)
			if err != nil {
				return sent, err
			}
		case err != nil || sent == len(p):
			return sent, err
		}
	}
}

func (s *socket) Close() error                     { return unix.Close(s.fd) }
func (s *socket) LocalAddr() net.Addr              { return nil }
func (s *socket) RemoteAddr() net.Addr             { return nil }
func (s *socket) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (s *socket) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (s *socket) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// config pins the server's certificate instead of building a chain: the
// handshake still proves that the server has its key, and the check costs
// the generator next to nothing. Without a session cache crypto/tls does not
// offer to resume, so that no server has a reason to issue tickets.
func (o *TLSOptions) config() (*tls.Config, error) {
	want, err := fingerprint(o.CertFile)
	if err != nil {
		return nil, err
	}
	group := tls.X25519
	if o.Hybrid {
		group = tls.X25519MLKEM768
	}
	return &tls.Config{
		ServerName:         o.ServerName,
		NextProtos:         []string{"http/1.1"},
		CurvePreferences:   []tls.CurveID{group},
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if sha256.Sum256(state.PeerCertificates[0].Raw) != want {
				return errors.New("not the expected certificate")
			}
			return nil
		},
	}, nil
}

func fingerprint(certFile string) ([sha256.Size]byte, error) {
	text, err := os.ReadFile(certFile)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return [sha256.Size]byte{}, fmt.Errorf("%s: no certificate", certFile)
	}
	return sha256.Sum256(block.Bytes), nil
}

func describeTLS(state tls.ConnectionState) string {
	return fmt.Sprintf("%s %s %v", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), state.CurveID)
}
