package waf

import (
	"net/netip"
	"net/url"
	"strings"

	"gatehouse/internal/httpmsg"
	"gatehouse/waf/body"
	"gatehouse/waf/variables"
)

// Client is who sends a request, and over what.
type Client struct {
	Addr  netip.AddrPort // who asks, as trusted proxies say
	Peer  netip.AddrPort // the other end of the connection
	Local netip.AddrPort
	TLS   bool
	Proto string // HTTP/1.1
	Trace string // of the access log, which the WAF log repeats

	Memory Memory // for what is kept of bodies; nil: not counted
}

// reader makes the variables of requests from messages. Its memory is used
// again; the texts it makes are not.
type reader struct {
	buf       []byte
	targetLen int // of the target in buf
}

// request fills r from a message. All its texts are pieces of one copy of the
// head.
//
// REQUEST_FILENAME is of the path that is forwarded; the variables that hold
// the target are as it was received, unless it was rewritten.
func (rd *reader) request(m *httpmsg.Request, c *Client, argumentLimit int, r *variables.Request) {
	rd.collect(m, c)
	all := string(rd.buf)
	take := func(n int) string {
		s := all[:n]
		all = all[n:]
		return s
	}
	method, target := int(m.MethodText.Len), rd.targetLen
	r.Line = all[:method+1+target+1+len(c.Proto)]
	r.Method = take(method)
	take(1)
	r.Target = take(target)
	take(1)
	r.Protocol = take(len(c.Proto))
	r.Host = take(int(m.HostName.Len))
	r.Path = take(int(m.Path.Len))
	r.Sent = r.Path
	r.Query = ""
	switch {
	case !m.HasQuery:
	case m.Rewritten:
		r.Query = r.Target[target-int(m.Query.Len):]
	default:
		r.Query = r.Target[m.Query.Off-m.Target.Off:][:m.Query.Len]
	}
	r.Client, r.Peer, r.Server, r.TLS = c.Addr, c.Peer, c.Local, c.TLS
	r.Headers = r.Headers[:0]
	r.Cookies = r.Cookies[:0]
	for i := range m.Len() {
		id, name, value, ok := m.At(i)
		if !ok {
			continue
		}
		p := variables.Pair{Name: take(len(name)), Value: take(len(value))}
		if id == httpmsg.TransferEncoding && (c.Proto == "HTTP/2.0" || c.Proto == "HTTP/3.0") {
			continue // the gateway's own word for a body of unknown length: HTTP/2 and HTTP/3 have no such field
		}
		r.Headers = append(r.Headers, p)
		if id == httpmsg.Cookie {
			r.Cookies = body.Cookies(p.Value, r.Cookies)
		}
	}
	rd.target(r, argumentLimit)
}

// collect copies the texts of a head.
func (rd *reader) collect(m *httpmsg.Request, c *Client) {
	b := append(rd.buf[:0], m.Bytes(m.MethodText)...)
	b = append(b, ' ')
	from := len(b)
	b = appendTarget(b, m)
	rd.targetLen = len(b) - from
	b = append(b, ' ')
	b = append(b, c.Proto...)
	b = append(b, m.Bytes(m.HostName)...)
	b = append(b, m.Bytes(m.Path)...)
	for i := range m.Len() {
		if _, name, value, ok := m.At(i); ok {
			b = append(b, name...)
			b = append(b, value...)
		}
	}
	rd.buf = b
}

// appendTarget appends the request target: as received, or as the gateway has
// rewritten it. What is judged is what the backend gets.
func appendTarget(b []byte, m *httpmsg.Request) []byte {
	if !m.Rewritten {
		return append(b, m.Bytes(m.Target)...)
	}
	b = append(b, m.Bytes(m.Path)...)
	if m.HasQuery {
		b = append(append(b, '?'), m.Bytes(m.Query)...)
	}
	return b
}

// target works out what the rules know of the request target.
func (rd *reader) target(r *variables.Request, argumentLimit int) {
	r.URI, _, _ = strings.Cut(r.Target, "#")
	r.URIParseError = !parses(r.URI)
	if strings.IndexByte(r.Path, '%') >= 0 {
		if decoded, err := url.PathUnescape(r.Path); err == nil {
			r.Path = decoded
		}
	}
	r.Basename = r.Path
	if i := strings.LastIndexAny(r.Path, "/\\"); i >= 0 && i+1 < len(r.Path) {
		r.Basename = r.Path[i+1:]
	}
	r.ArgsGet, r.ArgsTruncated = body.Query(r.Query, argumentLimit)
}

// parses reports whether a target is a URI as package url has it; what the
// gateway forwards always is, but for odd escapes in a query.
func parses(target string) bool {
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}
