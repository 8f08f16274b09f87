package http1

import (
	"strconv"

	"gatehouse/internal/httpmsg"
)

var (
	errStatusLine      = &Error{502, "response: bad status line", infoUpstream}
	errResponseVersion = &Error{502, "response: bad version", infoUpstream}
	errStatus          = &Error{502, "response: bad status", infoUpstream}
	errBodilessChunks  = &Error{502, "response: Transfer-Encoding where no body may be", infoUpstream}
)

// ParseResponse parses one response head, its final empty line included, into
// r; method is the request's. It is as strict as ParseRequest: a backend that
// cannot be understood in one way only is a 502 (rows 72 and 73). Errors are
// *Error. Nothing is allocated once r has been used before.
func ParseResponse(head []byte, r *httpmsg.Response, method httpmsg.Method, lim *Limits) error {
	r.Reset(head)
	if why := wholeHead(head, lim); why != fine {
		return responseErrors[why]
	}
	next, err := parseStatusLine(head, r)
	if err != nil {
		return err
	}
	var p framing
	if why := p.parseFields(&r.Fields, head, next, lim.Fields); why != fine {
		return responseErrors[why]
	}
	if err := p.frameResponse(r, method); err != nil {
		return err
	}
	o, why := p.options(&r.Fields)
	if why != fine {
		return responseErrors[why]
	}
	r.Close = r.Close || o.close || r.Minor == 0 && !o.keepAlive || r.Body == httpmsg.BodyToClose
	return nil
}

// parseStatusLine parses the status line and returns where the fields begin.
// The space before an empty reason may be missing, as it is in practice.
func parseStatusLine(head []byte, r *httpmsg.Response) (int, error) {
	const fixed = len("HTTP/1.1 200")
	if len(head) < fixed+len("\r\n\r\n") || string(head[:7]) != "HTTP/1." || head[7]&^1 != '0' || head[8] != ' ' {
		return 0, errResponseVersion
	}
	r.Minor = head[7] - '0'
	for _, c := range head[9:fixed] {
		if class[c]&digit == 0 {
			return 0, errStatus
		}
		r.Status = r.Status*10 + int(c-'0')
	}
	if r.Status < 100 || r.Status > 599 {
		return 0, errStatus
	}
	start := fixed
	switch head[fixed] {
	case ' ':
		start++
	case '\r':
	default:
		return 0, errStatus
	}
	end := textEnd(head, start)
	if head[end] != '\r' || head[end+1] != '\n' {
		return 0, errStatusLine
	}
	r.Reason = span(start, end)
	return end + 2, nil
}

// frameResponse decides how the response's body is framed (RFC 9112 6.3).
func (p *framing) frameResponse(r *httpmsg.Response, method httpmsg.Method) error {
	kind, length, why := p.body(&r.Fields, r.Minor)
	if why != fine {
		return responseErrors[why]
	}
	if kind == httpmsg.BodyLength {
		r.ContentLength = length
	}
	r.Body = kind
	switch {
	case r.Status < 200 || r.Status == 204:
		return p.bodiless(r)
	case r.Status == 304 || method == httpmsg.HEAD:
		r.Body = httpmsg.BodyNone
	case kind == httpmsg.BodyNone:
		r.Body = httpmsg.BodyToClose
	}
	return nil
}

// bodiless frames a response that never has a body, and must not have framing
// fields (RFC 9110 8.6, RFC 9112 6.1). A Content-Length is dropped since it is
// common; if it announces something the connection is not trusted further.
func (p *framing) bodiless(r *httpmsg.Response) error {
	if r.Body == httpmsg.BodyChunked {
		return errBodilessChunks
	}
	if p.lengths > 0 {
		r.DeleteAt(p.length)
	}
	r.Close = r.ContentLength > 0
	r.Body = httpmsg.BodyNone
	return nil
}

// AppendStatusLine appends the status line of an HTTP/1.1 response. An empty
// reason is replaced by the standard phrase.
func AppendStatusLine(dst []byte, status int, reason []byte) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	if len(reason) > 0 {
		dst = append(dst, reason...)
	} else {
		dst = append(dst, ReasonPhrase(status)...)
	}
	return append(dst, "\r\n"...)
}

// ReasonPhrase is the standard phrase of a status code (RFC 9110 15 and the
// IANA registry); empty for a status without one.
func ReasonPhrase(status int) string {
	if status < 0 || status >= len(phrases) {
		return ""
	}
	return phrases[status]
}

var phrases = [...]string{
	100: "Continue",
	101: "Switching Protocols",
	102: "Processing",
	103: "Early Hints",
	200: "OK",
	201: "Created",
	202: "Accepted",
	203: "Non-Authoritative Information",
	204: "No Content",
	205: "Reset Content",
	206: "Partial Content",
	207: "Multi-Status",
	208: "Already Reported",
	226: "IM Used",
	300: "Multiple Choices",
	301: "Moved Permanently",
	302: "Found",
	303: "See Other",
	304: "Not Modified",
	305: "Use Proxy",
	307: "Temporary Redirect",
	308: "Permanent Redirect",
	400: "Bad Request",
	401: "Unauthorized",
	402: "Payment Required",
	403: "Forbidden",
	404: "Not Found",
	405: "Method Not Allowed",
	406: "Not Acceptable",
	407: "Proxy Authentication Required",
	408: "Request Timeout",
	409: "Conflict",
	410: "Gone",
	411: "Length Required",
	412: "Precondition Failed",
	413: "Content Too Large",
	414: "URI Too Long",
	415: "Unsupported Media Type",
	416: "Range Not Satisfiable",
	417: "Expectation Failed",
	418: "I'm a teapot",
	421: "Misdirected Request",
	422: "Unprocessable Content",
	423: "Locked",
	424: "Failed Dependency",
	425: "Too Early",
	426: "Upgrade Required",
	428: "Precondition Required",
	429: "Too Many Requests",
	431: "Request Header Fields Too Large",
	451: "Unavailable For Legal Reasons",
	499: "Client Closed Request",
	500: "Internal Server Error",
	501: "Not Implemented",
	502: "Bad Gateway",
	503: "Service Unavailable",
	504: "Gateway Timeout",
	505: "HTTP Version Not Supported",
	506: "Variant Also Negotiates",
	507: "Insufficient Storage",
	508: "Loop Detected",
	510: "Not Extended",
	511: "Network Authentication Required",
}
