package httpmsg

// Method is a request method; MethodOther is any other token.
type Method uint8

// The methods of RFC 9110 and RFC 5789.
const (
	MethodOther Method = iota
	GET
	HEAD
	POST
	PUT
	PATCH
	DELETE
	OPTIONS
	CONNECT
	TRACE
)

// methodNames are the known methods; they are case-sensitive.
var methodNames = [...]string{GET: "GET", HEAD: "HEAD", POST: "POST", PUT: "PUT", PATCH: "PATCH",
	DELETE: "DELETE", OPTIONS: "OPTIONS", CONNECT: "CONNECT", TRACE: "TRACE"}

// String is the method's name; "OTHER" for MethodOther, which keeps metric
// labels bounded.
func (m Method) String() string {
	if m == MethodOther || int(m) >= len(methodNames) {
		return "OTHER"
	}
	return methodNames[m]
}

// MethodOf returns the Method of a token as received.
func MethodOf(token []byte) Method {
	for m := GET; int(m) < len(methodNames); m++ {
		if string(token) == methodNames[m] {
			return m
		}
	}
	return MethodOther
}

// Idempotent reports whether repeating the request means the same as sending
// it once (RFC 9110 9.2.2).
func (m Method) Idempotent() bool {
	switch m {
	case GET, HEAD, OPTIONS, TRACE, PUT, DELETE:
		return true
	}
	return false
}

// BodyKind is how the length of a message's body is known.
type BodyKind uint8

const (
	BodyNone    BodyKind = iota // no body at all
	BodyLength                  // ContentLength bytes
	BodyChunked                 // chunked, length unknown
	BodyToClose                 // a response that ends with its connection
)

// TargetForm is the form of a request target (RFC 9112 3.2).
type TargetForm uint8

const (
	OriginForm TargetForm = iota
	AbsoluteForm
	AsteriskForm
)

// Request is the head of a request and how its body is framed. It is filled
// by a protocol's parser and changed by the gateway before it is forwarded.
type Request struct {
	Fields

	Method     Method
	MethodText Span
	Form       TargetForm
	Target     Span // as received
	RawPath    Span // path of the target as received; never empty except for the asterisk form
	Query      Span // after the "?", as received; Valid iff HasQuery
	HasQuery   bool
	Path       Span // canonical path; set by the gateway (see CanonicalPath)
	// Rewritten is set when the gateway has put others in the place of Path
	// and Query: what is forwarded is then not what Target says.
	Rewritten bool

	// Authority is the host and port that the request is for, as received:
	// the target's for the absolute form, otherwise the Host field's. Empty
	// only for HTTP/1.0 without Host.
	Authority Span
	// HostName is the authority's host in lower case, without port, brackets
	// kept for IPv6, one trailing dot removed.
	HostName Span
	// Port is the authority's port, 0 if it names none.
	Port uint16

	Minor         uint8 // of HTTP/1.x
	Body          BodyKind
	ContentLength int64 // Valid iff Body is BodyLength
	Close         bool  // the client will not or must not send another request
	Expect100     bool  // the client waits for 100 (Continue)
	// UpgradeTo is the protocol that the client asks to switch to; empty when
	// it does not ask, or asks in a way that must be ignored (a body,
	// HTTP/1.0, h2c, no Connection: upgrade).
	UpgradeTo Span
	// TETrailers is set when the client sent TE: trailers.
	TETrailers bool
}

// Reset makes r an empty request over wire.
func (r *Request) Reset(wire []byte) {
	fields := r.Fields
	*r = Request{Fields: fields}
	r.Fields.Reset(wire)
}

// Response is the head of a response and how its body is framed.
type Response struct {
	Fields

	Status        int
	Reason        Span
	Minor         uint8
	Body          BodyKind
	ContentLength int64 // the Content-Length field, -1 if there is none: also on responses to HEAD and on 304
	Close         bool  // the backend will close the connection
}

// Reset makes r an empty response over wire.
func (r *Response) Reset(wire []byte) {
	fields := r.Fields
	*r = Response{Fields: fields, ContentLength: -1}
	r.Fields.Reset(wire)
}
