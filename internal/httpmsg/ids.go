package httpmsg

// ID names a field that the gateway treats specially; Other is every other.
type ID uint8

// The known fields. The comment of each group says why it is known.
const (
	Other ID = iota

	// Framing and connection management (RFC 9110 7.6, RFC 9112).
	Host
	Connection
	ContentLength
	TransferEncoding
	TE
	Trailer
	Upgrade
	KeepAlive
	ProxyConnection
	Expect
	HTTP2Settings
	MaxForwards

	// Written by the gateway, or believed only from trusted peers.
	XForwardedFor
	XForwardedHost
	XForwardedPort
	XForwardedProto
	XOriginalHost
	XOriginalURL
	XAppGWTraceID
	XRealIP
	Forwarded
	Via
	CDNLoop

	// Dropped from every client (hostile-input rows 48 and 49).
	Proxy

	// Read by the gateway.
	Authorization
	ContentEncoding
	ContentType
	Cookie
	Date
	Referer
	Server
	SetCookie
	UserAgent
	ProxyAuthenticate
	ProxyAuthorization
	Location

	numIDs
)

// names are the known fields in lower case.
var names = [numIDs]string{
	Host: "host", Connection: "connection", ContentLength: "content-length",
	TransferEncoding: "transfer-encoding", TE: "te", Trailer: "trailer", Upgrade: "upgrade",
	KeepAlive: "keep-alive", ProxyConnection: "proxy-connection", Expect: "expect",
	HTTP2Settings: "http2-settings", MaxForwards: "max-forwards",
	XForwardedFor: "x-forwarded-for", XForwardedHost: "x-forwarded-host",
	XForwardedPort: "x-forwarded-port", XForwardedProto: "x-forwarded-proto",
	XOriginalHost: "x-original-host", XOriginalURL: "x-original-url",
	XAppGWTraceID: "x-appgw-trace-id", XRealIP: "x-real-ip", Forwarded: "forwarded",
	Via: "via", CDNLoop: "cdn-loop", Proxy: "proxy",
	Authorization: "authorization", ContentEncoding: "content-encoding",
	ContentType: "content-type", Cookie: "cookie", Date: "date", Referer: "referer",
	Server: "server", SetCookie: "set-cookie", UserAgent: "user-agent",
	ProxyAuthenticate: "proxy-authenticate", ProxyAuthorization: "proxy-authorization",
	Location: "location",
}

// String is the field's name in lower case; empty for Other.
func (id ID) String() string {
	if id < numIDs {
		return names[id]
	}
	return ""
}

// Known returns the ID of a field name given as received. It allocates
// nothing and costs a look into a table and, mostly for known names only, one
// comparison.
func Known(name []byte) ID {
	if len(name) < 2 {
		return Other
	}
	id := slots[slot(len(name), name[0], name[len(name)-2])]
	if EqualFold(name, names[id]) {
		return id
	}
	return Other
}

// IDOf is Known for a string.
func IDOf(name string) ID { return Known([]byte(name)) }

// slot is a hash of a field name in any case, free of collisions between the
// known names: the factors were found by trying, and a test knows if a new
// name asks for others.
func slot(size int, first, lastButOne byte) int {
	return (size + 3*int(first|0x20) + 16*int(lastButOne|0x20)) & 127
}

// slots are the known fields by slot.
var slots = func() (t [128]ID) {
	for id := Other + 1; id < numIDs; id++ {
		name := names[id]
		t[slot(len(name), name[0], name[len(name)-2])] = id
	}
	return t
}()
