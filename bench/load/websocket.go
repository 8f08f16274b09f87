//go:build linux

package load

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"gatehouse/bench/sock"
)

// upgrade asks for a WebSocket (RFC 6455 4.1), from a server that sends back
// whatever comes.
const upgrade = "GET /echo HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// switchProtocols makes the connection a WebSocket, and blocks meanwhile.
func (c *conn) switchProtocols() error {
	if err := sock.Await(c.fd, true, socketTimeout); err != nil {
		return err
	}
	if _, err := sock.Send(c.fd, fmt.Appendf(nil, upgrade, c.t.opts.Host)); err != nil {
		return err // it fits the socket's buffer
	}
	for n := 0; ; {
		if err := sock.Await(c.fd, false, socketTimeout); err != nil {
			return err
		}
		got, err := sock.Recv(c.fd, c.head[n:])
		switch n += got; {
		case err != nil && err != sock.ErrAgain:
			return err
		case bytes.HasSuffix(c.head[:n], headEnd):
			return switched(c.head[:n])
		case got == 0 && err == nil || n == len(c.head):
			return errMalformed
		}
	}
}

func switched(head []byte) error {
	if status, err := parseStatus(head); err != nil || status != 101 {
		return errStatus
	}
	return nil
}

// webSocketMessage is a binary message of n bytes as a client sends it: masked
// (RFC 6455 5.3).
func webSocketMessage(n int) []byte {
	b := []byte{0x82, 0x80 | 127}
	switch {
	case n < 126:
		b[1] = 0x80 | byte(n)
	case n < 1<<16:
		b[1] = 0x80 | 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return append(append(b, 1, 2, 3, 4), bytes.Repeat([]byte{'x'}, n)...)
}
