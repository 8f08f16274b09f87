package multiplex

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"

	"gatehouse/internal/httpmsg"
	"gatehouse/proxy/http1"
)

// WebSocket (RFC 8441, RFC 9220): a client asks for it by an extended CONNECT,
// which is to a backend an upgrade of HTTP/1.1 (RFC 6455), and its stream is
// the connection from there on.

var (
	errProtocol = &http1.Error{Status: 501, Reason: "unknown :protocol", Info: "ERRORINFO_INVALID_METHOD"}

	// ErrAccept is for a backend that has not understood what it was asked.
	ErrAccept = &http1.Error{Status: 502, Reason: "the backend's Sec-WebSocket-Accept is wrong"}
	// ErrNoSwitch is for a backend that answers with a success of its own: to
	// the client it would be a tunnel (RFC 8441 5).
	ErrNoSwitch = &http1.Error{Status: 502, Reason: "the backend did not switch to WebSocket"}
)

// websocket is the one protocol that extended CONNECT is for.
const websocket = "websocket"

// checkConnect looks at an extended CONNECT (RFC 8441 4).
func (s *Section) checkConnect(ends bool) *http1.Error {
	switch {
	case s.method != "CONNECT" || s.authority == "" || s.path == "" || s.scheme == "" || ends || hasLength(s.text):
		return ErrMalformed
	case s.protocol != websocket:
		return errProtocol
	}
	s.method = "GET"
	return nil
}

// appendUpgrade appends what asks a backend for the protocol, and returns what
// it has to answer. The key, which these protocols have no use for, is ours.
func appendUpgrade(h []byte) (head []byte, accept string) {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // it does not fail
	h = append(h, "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: "...)
	from := len(h)
	h = base64.StdEncoding.AppendEncode(h, nonce[:])
	accept = AcceptFor(h[from:])
	return append(h, "\r\n"...), accept
}

// AcceptFor is the answer to a key (RFC 6455 4.2.2).
func AcceptFor(key []byte) string {
	sum := sha1.Sum(append(bytes.Clone(key), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Switched makes a backend's 101 the fields of the answer to an extended
// CONNECT that expects accept.
func Switched(r *httpmsg.Response, accept string) error {
	got, _ := r.Lookup("sec-websocket-accept")
	if accept == "" || string(got) != accept {
		return ErrAccept
	}
	r.DeleteName([]byte("sec-websocket-accept"))
	return nil
}
