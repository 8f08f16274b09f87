package http3

import (
	"time"

	"github.com/quic-go/quic-go"

	"gatehouse/proxy/http1"
)

// Handler answers the requests of connections.
type Handler interface {
	// Options returns what applies to the next request of a connection.
	Options() *http1.Options
	// ServeStream answers one request. When it returns the exchange is over;
	// nothing of it may be kept.
	ServeStream(x *Exchange)
	// RefuseStream answers what is not a request that can be served. With a
	// status of zero it is to be ended by Abort, without an answer.
	RefuseStream(x *Exchange, why *http1.Error)
}

// Protocol is HTTP/3 in the handshake (RFC 9114 3.1).
const Protocol = "h3"

// What a client may have of one connection.
const (
	// MaxStreams is how many requests a client may have open at once, those
	// included that it has given up until their end here: their end takes a
	// moment.
	MaxStreams = 100
	// maxUniStreams is how many streams it may have open for anything else. It
	// needs three (RFC 9114 6.2).
	maxUniStreams = 8
	// streamWindow is how much of a body a client may send ahead, connWindow
	// of all of them. Both are what a connection can make us hold of bodies
	// that nobody reads.
	streamWindow = 256 << 10
	connWindow   = 1 << 20
	// leastProgress is what a slow client has to take of a response within a
	// write stall.
	leastProgress = 1 << 10
	// maxSettings bounds a SETTINGS frame and others of the control stream.
	maxSettings = 1 << 10
	// maxTrailers bounds the frame of trailer fields; their number and size
	// are package multiplex's to bound.
	maxTrailers = 8 << 10
	// smallBuffer is what heads are read into, bodyBuffer bodies.
	smallBuffer = 2 << 10
	bodyBuffer  = 32 << 10
	// joined is how large a body may be to be copied behind its head.
	joined = 8 << 10
	// settle is how long a connection is kept beside Linger, in round trips,
	// so that what was sent last arrives: closing loses it.
	settle = 4
)

// Config is what QUIC goes by for a connection: windows, streams and times.
// early says that requests may come before the end of the handshake, where they
// can be replayed (RFC 9001 9.2).
func Config(o *http1.Options, early bool) *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:           max(o.HeadTimeout/2, time.Second), // twice that in all
		MaxIdleTimeout:                 o.IdleTimeout,
		InitialStreamReceiveWindow:     streamWindow,
		MaxStreamReceiveWindow:         streamWindow,
		InitialConnectionReceiveWindow: connWindow,
		MaxConnectionReceiveWindow:     connWindow,
		MaxIncomingStreams:             MaxStreams,
		MaxIncomingUniStreams:          maxUniStreams,
		RequireStreamCreditRelease:     true,
		Allow0RTT:                      early,
	}
}
