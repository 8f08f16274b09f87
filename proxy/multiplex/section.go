package multiplex

import (
	"gatehouse/internal/httpmsg"
	"gatehouse/proxy/http1"
)

// Section is a field section on its way in: the head of a request, or its
// trailers (RFC 9113 8.1, RFC 9114 4.1).
type Section struct {
	// Refusal is why the request cannot be served; Malformed says so of what
	// is not even a request.
	Refusal   *http1.Error
	Malformed bool

	size     int // of the fields, each counted as RFC 9113 6.5.2 and RFC 9114 4.2.2 do
	fields   int
	most     int // bytes that size may be
	mostN    int // fields that there may be
	trailers bool

	method, scheme, path, authority string
	protocol                        string // of an extended CONNECT
	regular                         bool   // a field that is no pseudo-header has come
	host                            string
	hosts                           int
	cookies                         bool
	cookie                          []byte
	text                            []byte // field lines
}

// Trailers are bounded by these (row 14).
const (
	MaxTrailers     = 16 // their number in a request
	maxTrailerBytes = 4 << 10
)

// Refusals that are not the parser's.
var (
	errHeadTooLarge = &http1.Error{Status: 431, Reason: "request head too large", Info: "ERRORINFO_INVALID_HEADER"}
	errManyFields   = &http1.Error{Status: 431, Reason: "too many fields", Info: "ERRORINFO_INVALID_HEADER"}
	errAuthority    = &http1.Error{Status: 400, Reason: ":authority and Host differ", Info: "ERRORINFO_INVALID_HOST"}

	// ErrMalformed is what is answered by the end of the stream alone.
	ErrMalformed = &http1.Error{Reason: "malformed request", Info: "ERRORINFO_INVALID_REQUEST"}
)

// Begin makes a section ready for the head of a request, within its limits. The
// memory of the one before is used again.
func (s *Section) Begin(l *http1.Limits) {
	*s = Section{most: l.HeadBytes, mostN: max(l.Fields, 1), text: s.text[:0], cookie: s.cookie[:0]}
}

// BeginTrailers makes it ready for trailers.
func (s *Section) BeginTrailers() {
	*s = Section{trailers: true, most: maxTrailerBytes, mostN: MaxTrailers, text: s.text[:0], cookie: s.cookie[:0]}
}

// Trim gives memory back, all that is larger than most.
func (s *Section) Trim(most int) {
	s.text, s.cookie = trimmed(s.text, most), trimmed(s.cookie, most)
}

func trimmed(p []byte, most int) []byte {
	if cap(p) > most {
		return nil
	}
	return p[:0]
}

// Kept is how large the larger of its buffers is.
func (s *Section) Kept() int { return max(cap(s.text), cap(s.cookie)) }

// Bomb reports whether the section is far beyond what is refused: an attack.
func (s *Section) Bomb() bool { return s.size > 4*s.most }

// Field takes one field.
func (s *Section) Field(name, value string) {
	s.size += len(name) + len(value) + 32
	s.fields++
	switch {
	case s.Malformed || s.Refusal != nil:
	case s.size > s.most+32*s.mostN:
		s.Refusal = errHeadTooLarge
	case s.fields > s.mostN+4: // the pseudo-headers are not fields
		s.Refusal = errManyFields
	case len(name) > 0 && name[0] == ':':
		s.pseudo(name, value)
	default:
		s.plain(name, value)
	}
}

// pseudo takes a pseudo-header (RFC 9113 8.3.1, RFC 9114 4.3.1).
func (s *Section) pseudo(name, value string) {
	var to *string
	switch name {
	case ":method":
		to = &s.method
	case ":scheme":
		to = &s.scheme
	case ":path":
		to = &s.path
	case ":authority":
		to = &s.authority
	case ":protocol":
		to = &s.protocol
	}
	if to == nil || s.regular || s.trailers || *to != "" || value == "" || !ValidValue(value) {
		s.Malformed = true
		return
	}
	*to = value
}

// plain takes a field (RFC 9113 8.2, RFC 9114 4.2).
func (s *Section) plain(name, value string) {
	s.regular = true
	if !ValidName(name) || !ValidValue(value) {
		s.Malformed = true
		return
	}
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		s.Malformed = true
		return
	case "te":
		if value != "trailers" {
			s.Malformed = true
			return
		}
	case "host":
		s.host = value
		s.hosts++
		return
	case "cookie": // crumbs (RFC 9113 8.2.3)
		if s.cookies {
			s.cookie = append(s.cookie, "; "...)
		}
		s.cookies = true
		s.cookie = append(s.cookie, value...)
		return
	}
	s.text = AppendLine(s.text, name, value)
}

// AppendLine appends a field line.
func AppendLine(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// ValidName reports whether a field name is one: a token in lower case.
func ValidName(name string) bool {
	if name == "" {
		return false
	}
	for i := range len(name) {
		if !nameByte[name[i]] {
			return false
		}
	}
	return true
}

// nameByte are the bytes of field names: those of tokens but capital letters.
var nameByte = func() (t [256]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz" {
		t[c] = true
	}
	return t
}()

// ValidValue reports whether a value has no control characters and no white
// space around it. The parser of HTTP/1.1 looks at the rest.
func ValidValue(value string) bool {
	if value == "" {
		return true
	}
	if c := value[0]; c == ' ' || c == '\t' {
		return false
	}
	if c := value[len(value)-1]; c == ' ' || c == '\t' {
		return false
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// Check looks at a head that is complete, at what only these protocols have to
// look at, and leaves what is wrong with it in Refusal. ends says that no body
// follows.
func (s *Section) Check(ends bool) {
	if err := s.check(ends); err != nil {
		s.Refusal = err
	}
}

func (s *Section) check(ends bool) *http1.Error {
	switch {
	case s.Malformed:
		return ErrMalformed
	case s.Refusal != nil:
		return s.Refusal
	case s.protocol != "":
		if err := s.checkConnect(ends); err != nil {
			return err
		}
	case s.method == "" || s.path == "" || s.scheme != "http" && s.scheme != "https":
		if s.method != "CONNECT" || s.path != "" || s.scheme != "" {
			return ErrMalformed
		}
		s.path = "/" // it is refused for its method
	}
	switch {
	case s.path[0] != '/' && (s.path != "*" || s.method != "OPTIONS"):
		return ErrMalformed
	case s.hosts > 1:
		return ErrMalformed
	case s.hosts == 1 && s.authority != "" && s.host != s.authority:
		return errAuthority
	}
	return nil
}

// Parsed is what a head turned out to be, beside the request itself.
type Parsed struct {
	Head   []byte // the request as text, which it points into
	Length int64  // of the body, by Content-Length; -1: unknown
	Accept string // the backend's answer to the key of an extended CONNECT; empty: it is none
	GRPC   bool
}

// Parse makes the request of a head that was checked; its text is appended to
// dst.
func (s *Section) Parse(dst []byte, req *httpmsg.Request, l *http1.Limits, ends bool) (p Parsed, refusal *http1.Error) {
	p.Length, p.GRPC = -1, IsGRPC(s.text)
	h := append(dst, s.method...)
	h = append(h, ' ')
	h = append(h, s.path...)
	h = append(h, " HTTP/1.1\r\n"...)
	authority := s.authority
	if authority == "" {
		authority = s.host
	}
	if authority != "" {
		h = AppendLine(h, "host", authority)
	}
	h = append(h, s.text...)
	if s.cookies {
		h = append(h, "cookie: "...)
		h = append(h, s.cookie...)
		h = append(h, "\r\n"...)
	}
	if s.protocol != "" {
		h, p.Accept = appendUpgrade(h)
	}
	if !ends && s.protocol == "" && !hasLength(s.text) {
		h = append(h, "transfer-encoding: chunked\r\n"...)
	}
	p.Head = append(h, "\r\n"...)
	if err := http1.ParseRequest(p.Head, req, l); err != nil {
		return p, err.(*http1.Error)
	}
	return p, p.settle(req, ends)
}

// settle makes the framing of the request that of its stream.
func (p *Parsed) settle(req *httpmsg.Request, ends bool) *http1.Error {
	if req.Body == httpmsg.BodyLength {
		p.Length = req.ContentLength
	}
	if p.Accept != "" {
		return nil // what follows is no body
	}
	if ends {
		if p.Length > 0 {
			return ErrMalformed // row 28
		}
		return nil
	}
	if req.Body == httpmsg.BodyNone {
		p.Length = 0
	}
	return nil
}

const (
	contentLength   = "content-length: "
	contentTypeGRPC = "content-type: application/grpc"
)

// hasLength reports whether there is a Content-Length among field lines.
func hasLength(text []byte) bool { return hasLine(text, contentLength) }

// IsGRPC reports whether field lines, with names in lower case, are those of
// gRPC, which ends with fields.
func IsGRPC(text []byte) bool { return hasLine(text, contentTypeGRPC) }

// hasLine reports whether a field line begins so.
func hasLine(text []byte, begin string) bool {
	for i := 0; i+len(begin) <= len(text); {
		if string(text[i:i+len(begin)]) == begin {
			return true
		}
		for text[i] != '\n' {
			i++
		}
		i++
	}
	return false
}

// TrailerLines are the lines of trailers; false when they are malformed.
func (s *Section) TrailerLines() ([]byte, bool) {
	return s.text, !s.Malformed && s.Refusal == nil && !s.cookies && s.hosts == 0
}

// Skip counts a field of a section that is refused for another reason.
func (s *Section) Skip(name, value string) { s.size += len(name) + len(value) + 32 }

// Bodiless reports whether a request of this method has no body, as a rule, and
// this one does not speak of one.
func (s *Section) Bodiless() bool {
	switch s.method {
	case "GET", "HEAD", "OPTIONS", "DELETE", "TRACE":
		return s.protocol == "" && !hasLength(s.text)
	}
	return false
}
