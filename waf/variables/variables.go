// Package variables holds what rules look at: the parts of one request, and
// of its response, under the names that ModSecurity gave them.
//
// It is data only. Everything in it is text that nobody changes any more;
// package waf fills it from a message, package waf/body adds what is in a
// body, and custom rules, the candidate index and Coraza read the same.
package variables

import (
	"net/netip"
	"strings"
)

// Pair is a named value: a field, a cookie, an argument. Pairs are kept in
// the order in which they came, repeated names included.
type Pair struct {
	Name, Value string
}

// Request is a request as rules see it.
type Request struct {
	Client netip.AddrPort // REMOTE_ADDR, REMOTE_PORT: who asks, as trusted proxies say
	Peer   netip.AddrPort // the other end of the connection (Azure: SocketAddr)
	Server netip.AddrPort // SERVER_ADDR, SERVER_PORT
	TLS    bool

	Method   string // REQUEST_METHOD
	Target   string // REQUEST_URI_RAW: the request target as received
	Protocol string // REQUEST_PROTOCOL: HTTP/1.1
	Line     string // REQUEST_LINE: method, target and protocol
	URI      string // REQUEST_URI: the target without a fragment
	Sent     string // the path that the backend gets: canonical, its percent-encodings as they are; empty: that of URI
	Path     string // REQUEST_FILENAME: the path, percent-decoded once
	Basename string // REQUEST_BASENAME: what follows the last slash of Path
	Query    string // QUERY_STRING: as received, without the question mark
	Host     string // SERVER_NAME: the host of the request, without its port

	Headers []Pair // REQUEST_HEADERS, names as received
	Cookies []Pair // REQUEST_COOKIES
	ArgsGet []Pair // ARGS_GET: percent-decoded

	URIParseError bool // URI_PARSE_ERROR
	ArgsTruncated bool // ARGUMENTS_LIMIT_REACHED: there are more arguments, of query or body, than the limit

	Body Body
}

// Header returns the first value of a field, by its name in lower case.
func (r *Request) Header(lower string) (value string, ok bool) {
	for i := range r.Headers {
		if equalFold(r.Headers[i].Name, lower) {
			return r.Headers[i].Value, true
		}
	}
	return "", false
}

// equalFold compares a field name with one in lower case, ASCII only.
func equalFold(name, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// Processor is how a body was read (REQBODY_PROCESSOR).
type Processor uint8

const (
	None       Processor = iota // no body, or one of a kind that is not read
	URLEncoded                  // application/x-www-form-urlencoded
	Multipart                   // multipart/form-data
	JSON
	XML
)

// String is the processor's name in REQBODY_PROCESSOR.
func (p Processor) String() string {
	return [...]string{"", "URLENCODED", "MULTIPART", "JSON", "XML"}[p]
}

// Body is a request body as rules see it.
type Body struct {
	Processor Processor
	Length    int    // REQUEST_BODY_LENGTH where Raw is set: of the decoded body
	Raw       string // REQUEST_BODY: set by URLEncoded, and where no processor fits
	ArgsPost  []Pair // ARGS_POST: form fields, or the leaves of JSON as json.a.0.b

	Files             []string // FILES: file names as sent, alternative readings included
	FileFields        []string // FILES_NAMES: the form fields they were sent in
	FileSizes         []Pair   // FILES_SIZES by file name
	FilesCombinedSize int      // FILES_COMBINED_SIZE
	PartHeaders       []Pair   // MULTIPART_PART_HEADERS: by the part's name, "Name: value"
	PartNames         []Pair   // MULTIPART_NAME
	PartFilenames     []Pair   // MULTIPART_FILENAME
	FilenameCharsets  []Pair   // MULTIPART_FILENAME_CHARSET, where filename* was used
	FilenameLanguages []Pair   // MULTIPART_FILENAME_LANGUAGE
	StrictError       bool     // MULTIPART_STRICT_ERROR
	DuplicateHeader   bool     // MULTIPART_DUPLICATE_PART_HEADER
	InvalidQuoting    bool     // MULTIPART_INVALID_QUOTING

	XMLAttributes []string // XML://@*
	XMLText       []string // XML:/*

	Error string // REQBODY_ERROR_MSG: why the body could not be read; what was read before is kept
}

// Response is a response as rules see it.
type Response struct {
	Protocol    string // RESPONSE_PROTOCOL
	Status      int    // RESPONSE_STATUS
	Headers     []Pair // RESPONSE_HEADERS
	ContentType string // RESPONSE_CONTENT_TYPE: without parameters
	Body        string // RESPONSE_BODY: its beginning, where it is inspected
}

// Origin is the path and the query that the backend gets, and so what rules
// about paths are to decide on: the canonical path, and the query as received.
// A target with a scheme and a host is without them.
func (r *Request) Origin() string {
	target := origin(r.URI)
	rest, same := strings.CutPrefix(target, r.Sent)
	if same && (rest == "" || rest[0] == '?') || r.Sent == "" {
		return target
	}
	if _, _, ok := strings.Cut(target, "?"); ok {
		return r.Sent + "?" + r.Query
	}
	return r.Sent
}

// origin is a target without scheme and host.
func origin(target string) string {
	if target == "" || target[0] == '/' || target[0] == '?' {
		return target
	}
	_, rest, absolute := strings.Cut(target, "://")
	if !absolute {
		return target // asterisk or authority form
	}
	if at := strings.IndexAny(rest, "/?"); at >= 0 {
		return rest[at:]
	}
	return "/"
}
