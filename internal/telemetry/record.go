package telemetry

import "net/netip"

// Record is what one exchange leaves behind: the source of its access log
// line and of every counter.
//
// proxy/l7 keeps one per connection and fills it anew for each exchange. Its
// slices point into pooled memory and are valid only during the call that
// receives the Record; nobody keeps them. Whatever came from the client is
// as it was received: encoders escape, the producer does not.
//
// Call Reset before filling it: most zero values mean "none", but a timer
// that was not reached is -1.
type Record struct {
	// Start is when the first byte of the request was read (for HTTP/1 the
	// first byte of its head), wall clock, nanoseconds since 1970.
	Start int64

	// TraceID is the value of X-AppGW-Trace-Id: 32 hexadecimal digits.
	TraceID [32]byte

	ClientAddr netip.AddrPort // who asks, after trusted-proxy evaluation
	PeerAddr   netip.AddrPort // the other end of the connection

	User string // who asks, as an authentication found out; empty: none did

	// Names of what was chosen; empty: the exchange did not get so far.
	Listener string
	Rule     string
	PathRule string
	Pool     string
	Settings string
	Backend  string // "ip:port" or "unix:/path" of the last member tried

	Method      []byte
	Target      []byte // request target as received
	Path        []byte // path as forwarded, without the query
	Query       []byte // without the question mark
	Host        []byte // as received
	HostSent    []byte // as sent to the backend
	UserAgent   []byte
	Referer     []byte
	ContentType []byte // of the response
	Proto       string // "HTTP/1.1"; empty: not understood

	Status        int // sent to the client; 0: none; 499: the client left first (Azure, nginx)
	BackendStatus int // received from the backend; 0: none

	// Bytes at the HTTP layer (before TLS), heads included.
	BytesIn    int64 // read from the client
	BytesOut   int64 // written to the client
	BackendIn  int64 // read from the backend
	BackendOut int64 // written to the backend

	TLS        bool
	TLSVersion uint16 // crypto/tls number
	Cipher     uint16 // crypto/tls number
	ServerName string // SNI

	// The client's certificate, on listeners that ask for one. ClientVerify is
	// SUCCESS, NONE, or FAILED: and the reason; empty: none was asked for.
	ClientVerify      string
	ClientFingerprint string // SHA-1, hexadecimal
	ClientIssuer      string

	// Timers in nanoseconds, -1 when that point was not reached; the names
	// are HAProxy's. Ta = TR + Tw + Tc + Tr + Td.
	Th int64 // connection accepted until handshakes (PROXY, TLS) were done; 0 on every request but a connection's first
	Ti int64 // idle before the first byte of this request
	TR int64 // first byte of the request until its head was complete
	Tw int64 // waiting in a queue for a member or a connection
	Tc int64 // connecting to the backend, TLS included; 0 on a reused connection
	Tr int64 // request head sent until the response head was complete
	Td int64 // response head until the last byte was sent to the client
	Ta int64 // the whole of it: first byte of the request to last byte of the response

	Queued  int64  // of Tw, the time in the queue of the pool; 0: it did not wait there
	Hedge   string // "won" or "lost", if a second member was asked beside the first; empty: none was
	Retries int    // further attempts made
	Reused  bool   // the upstream connection had served before

	// Termination says who ended the exchange and in which phase; see
	// [Termination]. The zero value counts as normal.
	Termination Termination

	// CacheResult is what a cache did: hit, stale, collapsed, revalidated,
	// expired, miss, bypass or unavailable. Empty: there is none for the request.
	CacheResult string

	// What the web application firewall did. Empty: none looked at it.
	WAFPolicy         string // name of the policy
	WAFMode           string // "Prevention" or "Detection"
	WAFAction         string // what became of the request, as "Allowed", "Matched", "Blocked"
	WAFEvaluationTime int64  // nanoseconds spent in it

	Reason    string // short, for people: "no healthy member", "connect refused"; empty when all went well
	ErrorInfo string // one of the ErrorInfo constants; empty: ErrorInfoNone
}

// Reset makes r ready for the next exchange.
func (r *Record) Reset() {
	*r = Record{
		Th: -1, Ti: -1, TR: -1, Tw: -1, Tc: -1, Tr: -1, Td: -1, Ta: -1,
		Termination: Termination{'-', '-'},
	}
}

// Termination is the first two letters of HAProxy's termination state: who
// ended the exchange, then the phase it was in. Both are '-' when a complete
// response was delivered.
//
//	first letter, who                      second letter, when
//	C  the client closed, reset or stalled  R  waiting for or reading the request, its body included
//	S  the backend closed, reset, stalled   Q  waiting in a queue for a member or connection
//	   or refused                           C  connecting to the backend
//	P  the gateway itself: refused, denied, H  waiting for or reading the response head
//	   a limit, shutdown, no member, bug    D  transferring the body, or a tunnel
//	-  nobody: normal end                   -  not in an exchange with a backend, or complete
//
// The usual combinations:
//
//	--  complete                            PR  refused before a backend was chosen: bad request, limit, access rule, no route
//	CR  client left or timed out in request P-  answered by the gateway as configured: redirect
//	CQ  client left while queued            PQ  no member, or the queue was full
//	CC  client left during connect          SC  connect refused, unreachable or timed out
//	CH  client left before the response     SH  backend closed or timed out before a response head, or sent an invalid one
//	CD  client left in the transfer         SD  backend closed, reset or stalled in the transfer
//	PC  connect stopped by the gateway      PH  response refused by the gateway; PD  transfer stopped by the gateway
type Termination [2]byte

// String returns the two letters.
func (t Termination) String() string {
	if t == (Termination{}) {
		return "--"
	}
	return string(t[:])
}

// The values of error_info in Azure's access log: why the gateway answered by
// itself. They are grouped as Azure documents them.
const (
	ErrorInfoNone = "ERRORINFO_NO_ERROR"

	// 4xx.
	ErrorInfoInvalidMethod        = "ERRORINFO_INVALID_METHOD"
	ErrorInfoInvalidRequest       = "ERRORINFO_INVALID_REQUEST"
	ErrorInfoInvalidVersion       = "ERRORINFO_INVALID_VERSION"
	ErrorInfoInvalid09Method      = "ERRORINFO_INVALID_09_METHOD"
	ErrorInfoInvalidHost          = "ERRORINFO_INVALID_HOST"
	ErrorInfoInvalidContentLength = "ERRORINFO_INVALID_CONTENT_LENGTH"
	ErrorInfoInvalidMethodTrace   = "ERRORINFO_INVALID_METHOD_TRACE"
	ErrorInfoClientClosed         = "ERRORINFO_CLIENT_CLOSED_REQUEST"
	ErrorInfoRequestURIInvalid    = "ERRORINFO_REQUEST_URI_INVALID"
	ErrorInfoNoHost               = "ERRORINFO_HTTP_NO_HOST_HEADER"
	ErrorInfoHTTPToHTTPSPort      = "ERRORINFO_HTTP_TO_HTTPS_PORT"
	ErrorInfoHTTPSNoCert          = "ERRORINFO_HTTPS_NO_CERT"
	ErrorInfoInvalidHeader        = "ERRORINFO_INVALID_HEADER"

	// 5xx.
	ErrorInfoUpstreamNoLive   = "ERRORINFO_UPSTREAM_NO_LIVE"
	ErrorInfoUpstreamClosed   = "ERRORINFO_UPSTREAM_CLOSED_CONNECTION"
	ErrorInfoUpstreamTimedOut = "ERRORINFO_UPSTREAM_TIMED_OUT"

	// A response that cannot be passed on, such as one whose head is over the
	// limit. Azure has no word for it.
	ErrorInfoUpstreamInvalid = "ERRORINFO_UPSTREAM_INVALID_RESPONSE"
)
