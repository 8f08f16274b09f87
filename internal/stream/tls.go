package stream

import (
	"crypto/tls"
	"net"
	"time"
)

// ServeTLS makes c the server's side of a TLS connection.
func (c *Conn) ServeTLS(config *tls.Config, deadline int64) error {
	return c.handshake(tls.Server((*wire)(c), config), deadline)
}

// DialTLS makes c the client's side of a TLS connection.
func (c *Conn) DialTLS(config *tls.Config, deadline int64) error {
	return c.handshake(tls.Client((*wire)(c), config), deadline)
}

func (c *Conn) handshake(t *tls.Conn, deadline int64) error {
	c.tlsDeadline = deadline
	if err := t.Handshake(); err != nil {
		return err
	}
	c.tls = t
	return nil
}

// wire is the connection below TLS: the same plain reads and writes, as the
// net.Conn that crypto/tls wants.
type wire Conn

func (w *wire) Read(p []byte) (int, error) {
	c := (*Conn)(w)
	if c.tlsDeadline == past {
		return 0, ErrTimeout // only what is decrypted already was wanted
	}
	if c.staying {
		return c.readWireStaying(p, c.tlsDeadline)
	}
	return c.readPlain(p, c.tlsDeadline)
}

func (w *wire) Write(p []byte) (int, error) {
	c := (*Conn)(w)
	c.setPieces(p, nil, nil)
	if err := c.flush(); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *wire) Close() error         { return w.close() }
func (w *wire) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort((*Conn)(w).LocalAddr()) }
func (w *wire) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(w.remote) }

// Deadlines are given with each call; crypto/tls sets one only when closing,
// where shortenStall has bounded the write already.
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
