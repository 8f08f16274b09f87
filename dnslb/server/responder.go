package server

import (
	"net/netip"
	"time"
)

// Responder answers queries. Each UDP socket has one of its own and each TCP
// connection that is not idle borrows one, so it needs no locks; what several
// share must be safe for that.
//
// A Responder that panics is replaced by a new one: its own state is unknown.
// One that is an io.Closer is closed then, and if it is a UDP socket's when the
// Server has ended; those of connections are left to the garbage collector.
// What Close returns does not matter.
type Responder interface {
	// Respond appends the response to query to out, which is empty, and
	// returns it. Nothing appended: nothing is sent.
	//
	// A query is at least a header of 12 bytes, and not a response; nothing
	// else is checked. Over UDP out has a capacity of Limits.UDPSize, and a
	// longer response is not sent. Over the others the limit is 65535 bytes
	// and appending may move out.
	//
	// It must not keep out, query or from, nor write to query.
	Respond(out, query []byte, from *Peer) []byte
}

// Streamer is implemented by a Responder that answers some queries over TCP
// and TLS with several messages, as a zone transfer does (RFC 5936 2.2).
type Streamer interface {
	// Stream is asked before Respond. If the query is not one of its own it
	// returns false without having written, and Respond answers.
	//
	// write copies one message and fails once the client is gone or too
	// slow, or for a message of more than 65535 bytes. Any error of Stream
	// ends the connection.
	Stream(query []byte, from *Peer, write func(msg []byte) error) (handled bool, err error)
}

// Peer is who asks, and how.
type Peer struct {
	Addr      netip.AddrPort // never an IPv4 address mapped to IPv6, and without a zone
	Local     netip.Addr     // the address that was asked, likewise
	LocalPort uint16         // and its port
	Transport Transport
	Now       time.Time // of arrival; over UDP and for pipelined queries one for all read together
}

// Transport is how a query came.
type Transport uint8

// The transports. A Server does not listen for HTTPS: it is the Peer of those
// who do.
const (
	UDP Transport = iota + 1
	TCP
	TLS
	HTTPS
)

// String is the transport in lower case.
func (t Transport) String() string {
	switch t {
	case UDP:
		return "udp"
	case TCP:
		return "tcp"
	case TLS:
		return "tls"
	case HTTPS:
		return "https"
	}
	return "invalid"
}

// The header of a message (RFC 1035 4.1.1), as far as it matters here.
const (
	headerSize = 12
	flagsAt    = 2
	responseQR = 0x80
)

// isQuery tells whether a message has a header that says it is a query.
// Answering a response would let a forged one go back and forth for ever.
func isQuery(msg []byte) bool {
	return len(msg) >= headerSize && msg[flagsAt]&responseQR == 0
}
