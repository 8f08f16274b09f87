package l7

import (
	"net/netip"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/internal/tlscert"
	"gatehouse/proxy/l7/rewrite"
)

// Client is who sent a request, and how it came in.
type Client struct {
	Addr     netip.AddrPort // after trusted-proxy evaluation; Port 0 when only the address is known
	Peer     netip.AddrPort // the other end of the connection, or who the PROXY header says
	Local    netip.AddrPort // where the connection was accepted
	Listener string
	TLS      bool
	Proto    string // "HTTP/1.1"

	// What follows is set only for stages.

	Host    string   // of the request, as httpmsg.Request.HostName; empty: none
	TraceID [32]byte // hexadecimal digits: X-AppGW-Trace-Id, the log's transactionId
	Memory  Memory   // for what they keep of bodies
}

// Connection is what is known of the client's connection that requests come
// on. A protocol that multiplexes has one for many exchanges.
type Connection struct {
	Frontend int            // ID of the frontend that accepted it
	Peer     netip.AddrPort // who the client is: from the PROXY header if there was one
	Local    netip.AddrPort
	Shard    uint32 // spreads counters over cores

	Secure   bool   // TLS from the client
	TLSGroup string // of the listener that did the handshake
	TLSFor   string // its name
	// ClientCert is what the client showed that listener; nil: it did not ask.
	ClientCert *tlscert.ClientCert
	TLSVersion uint16
	Cipher     uint16
	ServerName string
	Handshake  int64 // how long the PROXY header and TLS took; -1: neither

	Offered []uint16             // cipher suites that the client offered
	Trips   rewrite.RoundTripper // knows how long it takes to the client and back; nil: nobody does
}

// Arrival is how a request came in; times are on the clock of stream.Now.
type Arrival struct {
	Start     int64 // when the first bytes of its head were read
	HeadDone  int64 // when the head was complete; 0: at once
	First     bool  // on its connection
	IdleSince int64 // when the last exchange ended, or the connection was opened
	Proto     string
	Early     bool // before the end of the handshake: it may be a replay (RFC 8470)
}

// Exchange is one request on its way through, whatever protocol carries it,
// and the contract between the gateway and the protocols. http1.Exchange is
// one; HTTP/2 and HTTP/3 streams are others.
//
// One goroutine uses it, with one exception: ReadBody and Trailers may run in
// another while the first responds. Every error means that the client cannot
// be served any more, except an *http1.Error, which has a status to answer with:
// of a body's, or of a response that is not fit for the client.
type Exchange interface {
	RequestBody
	Responder

	// Request is valid until the exchange is over.
	Request() *httpmsg.Request

	// Watch looks for the client leaving while nothing reads its body, and
	// calls onGone at most once, from another goroutine. Unwatch ends it.
	Watch(onGone func())
	Unwatch() (gone bool)

	// Gone reports whether the client is known to have left; it may be asked
	// while another goroutine reads the body.
	Gone() bool

	// Received and Sent are bytes at the HTTP layer.
	Received() int64
	Sent() int64
}

// RequestBody is the body of a request, free of its framing.
type RequestBody interface {
	// HoldBody reads until the body is whole or max bytes are held, or its
	// memory is full; with wait false it takes only what has arrived. It comes
	// before ReadBody, which goes on behind what is held and may overwrite it.
	HoldBody(max int, wait bool) (held []byte, whole bool, err error)
	// ReadBody returns the next piece, usually of at most 64 KiB, and io.EOF
	// after the last.
	ReadBody() ([]byte, error)
	Trailers(dst *httpmsg.Fields)
	BodyDone() bool
	// Awaits100 reports that the client sends no body before it is told to
	// go on; Continue tells it, and HoldBody and ReadBody do by themselves
	// unless KeepFromContinue was called.
	Awaits100() bool
	Continue() error
	KeepFromContinue()
	// InterruptBody makes a ReadBody in another goroutine return;
	// ResumeBody undoes it when that goroutine is done.
	InterruptBody()
	ResumeBody()
}

// Responder takes the response. Framing is the protocol's affair.
type Responder interface {
	sink

	// Inform sends a 1xx response.
	Inform(r *httpmsg.Response) error
	// Started reports whether a final head was sent.
	Started() bool
	// CloseAfter ends the client's connection, where there is one to end,
	// after this exchange.
	CloseAfter()
	// Retire is CloseAfter for when the connection is not fit for further
	// requests, which then matters also where there are several at a time.
	Retire()
	// Abort makes sure that the client does not take what it got for a whole
	// response.
	Abort()
	// Spoil is Abort for when nobody knows what state the exchange is in: its
	// memory must not be used again.
	Spoil()
	// Switch answers 101, or what stands for it, and gives up the connection to
	// a tunnel, with the bytes that already came behind the request.
	Switch(r *httpmsg.Response, protocol []byte) (stream.Tunnel, []byte, error)
}

// lastSink is a sink that the end of a body costs nothing if it comes with the
// last piece: which is not empty, and has no trailers behind it. Finish does not
// follow.
type lastSink interface {
	WriteLast(p []byte) error
}

// sink takes a final response: the client's exchange, or what stands before it
// and changes the response or keeps a copy.
type sink interface {
	// Respond sends the final head and the first piece of the body; end says
	// that the body ends with it.
	Respond(r *httpmsg.Response, body []byte, end bool) error
	WriteBody(p []byte) error
	Finish(trailers *httpmsg.Fields) error
	// Direct returns a stream that body bytes may be moved to as they are,
	// or nil; Moved notes that n were.
	Direct() *stream.Conn
	Moved(n int64)
}
