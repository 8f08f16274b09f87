package http1

import (
	"bytes"
	"strconv"

	"gatehouse/internal/httpmsg"
)

// maxMethod is the longest method taken (row 20).
const maxMethod = 32

// maxHost bounds the authority: a domain name has at most 255 bytes.
const maxHost = 255 + len(":65535")

var (
	errMethod     = &Error{400, "bad method", infoMethod}
	errMethodCase = &Error{400, "known method in lower case", infoMethod}
	errConnect    = &Error{405, "CONNECT", infoMethod}
	errTrace      = &Error{405, "TRACE", infoTrace}
	errTarget     = &Error{400, "bad request target", infoURI}
	errLongTarget = &Error{414, "request target too long", infoURI}
	errHTTP09     = &Error{400, "request without a version", info09}
	errVersion    = &Error{400, "bad version", infoVersion}
	errNewVersion = &Error{505, "version not supported", infoVersion}
	errNoHost     = &Error{400, "no Host", infoNoHost}
	errHosts      = &Error{400, "more than one Host", infoHost}
	errHost       = &Error{400, "bad Host", infoHost}
	errExpect     = &Error{417, "unknown expectation", infoHeader}
)

// ParseRequest parses one request head, its final empty line included, into
// r. It fills in everything but Path. Of what RFC 9112 lets a recipient repair
// it repairs nothing: whatever two implementations could read differently is
// an error, and after an error the connection cannot be used any more. Errors
// are *Error. Nothing is allocated once r has been used before.
func ParseRequest(head []byte, r *httpmsg.Request, lim *Limits) error {
	r.Reset(head)
	if why := wholeHead(head, lim); why != fine {
		return requestErrors[why]
	}
	next, err := parseRequestLine(head, r, lim)
	if err != nil {
		return err
	}
	var p framing
	if why := p.parseFields(&r.Fields, head, next, lim.Fields); why != fine {
		return requestErrors[why]
	}
	var why fault
	if r.Body, r.ContentLength, why = p.body(&r.Fields, r.Minor); why != fine {
		return requestErrors[why]
	}
	if err := p.settleHost(r); err != nil {
		return err
	}
	return p.settleConnection(r)
}

// parseRequestLine parses the request line and returns where the fields begin.
func parseRequestLine(head []byte, r *httpmsg.Request, lim *Limits) (int, error) {
	i := tokenEnd(head, 0)
	if i == 0 || i > maxMethod || head[i] != ' ' {
		return 0, errMethod
	}
	r.MethodText = span(0, i)
	r.Method = httpmsg.MethodOf(head[:i])
	if err := refuseMethod(r.Method, head[:i]); err != nil {
		return 0, err
	}
	start := i + 1
	i = targetEnd(head, start)
	r.Target = span(start, i)
	if lim.URLBytes > 0 && i-start > lim.URLBytes {
		return 0, errLongTarget
	}
	if i == start || head[i] != ' ' {
		if i > start && head[i] == '\r' {
			return 0, errHTTP09
		}
		return 0, errTarget
	}
	minor, err := parseVersion(head[i+1:])
	if err != nil {
		return 0, err
	}
	r.Minor = minor
	return i + len(" HTTP/1.1\r\n"), parseTarget(r, head[start:i], start)
}

// refuseMethod refuses methods that a gateway has no business with, and known
// ones in another case, which some servers take for the real ones.
func refuseMethod(m httpmsg.Method, name []byte) error {
	switch m {
	case httpmsg.CONNECT:
		return errConnect
	case httpmsg.TRACE:
		return errTrace
	case httpmsg.MethodOther:
		for m := httpmsg.GET; m <= httpmsg.TRACE; m++ {
			if httpmsg.EqualFold(name, m.String()) {
				return errMethodCase
			}
		}
	}
	return nil
}

// parseVersion reads the version and its CRLF.
func parseVersion(b []byte) (minor uint8, err error) {
	const size = len("HTTP/1.1\r\n")
	if len(b) < size || string(b[:5]) != "HTTP/" || b[8] != '\r' || b[9] != '\n' ||
		class[b[5]]&digit == 0 || b[6] != '.' || class[b[7]]&digit == 0 {
		return 0, errVersion
	}
	if b[5] != '1' || b[7] > '1' {
		return 0, errNewVersion
	}
	return b[7] - '0', nil
}

// parseTarget finds the form and the parts of the target, which begins at
// off of the head (RFC 9112 3.2).
func parseTarget(r *httpmsg.Request, target []byte, off int) error {
	switch {
	case target[0] == '/':
		r.Form = httpmsg.OriginForm
		setPath(r, target, off)
		return nil
	case len(target) == 1 && target[0] == '*' && r.Method == httpmsg.OPTIONS:
		r.Form = httpmsg.AsteriskForm
		return nil
	}
	return parseAbsolute(r, target, off)
}

// setPath splits path and query, which begin at off of the head.
func setPath(r *httpmsg.Request, b []byte, off int) {
	end := len(b)
	if q := bytes.IndexByte(b, '?'); q >= 0 {
		r.HasQuery = true
		r.Query = span(off+q+1, off+end)
		end = q
	}
	r.RawPath = span(off, off+end)
}

// parseAbsolute parses a target with scheme and authority.
func parseAbsolute(r *httpmsg.Request, target []byte, off int) error {
	n := 0
	for _, scheme := range [...]string{"http://", "https://"} {
		if len(target) > len(scheme) && httpmsg.EqualFold(target[:len(scheme)], scheme) {
			n = len(scheme)
		}
	}
	if n == 0 {
		return errTarget
	}
	rest := target[n:]
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if end == 0 {
		return errTarget
	}
	r.Form = httpmsg.AbsoluteForm
	r.Authority = span(off+n, off+n+end)
	setPath(r, rest[end:], off+n+end)
	if r.RawPath.Len > 0 {
		return nil
	}
	if r.Method == httpmsg.OPTIONS && !r.HasQuery {
		r.Form = httpmsg.AsteriskForm // RFC 9112 3.2.4
		return nil
	}
	r.RawPath = r.KeepString("/")
	return nil
}

// settleHost makes sure that the request has one authority, and that the Host
// field is it (RFC 9112 3.2 and 3.2.2).
func (p *framing) settleHost(r *httpmsg.Request) error {
	switch {
	case p.hosts > 1:
		return errHosts
	case p.hosts == 0 && r.Minor > 0:
		return errNoHost
	case p.hosts == 0 && r.Authority.Len == 0:
		return nil
	case p.hosts == 0:
		r.Add(httpmsg.Host, r.KeepString("Host"), r.Authority)
		return setAuthority(r, r.Authority)
	}
	field := r.ValueSpanAt(p.host)
	if err := setAuthority(r, field); err != nil {
		return err
	}
	if target := r.Authority; target.Len > 0 && !bytes.Equal(r.Bytes(target), r.Bytes(field)) {
		r.SetValueAt(p.host, target)
		return setAuthority(r, target)
	}
	r.Authority = field
	r.RestateAt(p.host)
	return nil
}

// setAuthority validates an authority and sets HostName and Port (RFC 3986
// 3.2, without user information; of names only what DNS and practice know:
// row 23).
func setAuthority(r *httpmsg.Request, s httpmsg.Span) error {
	b := r.Bytes(s)
	if len(b) == 0 || len(b) > maxHost {
		return errHost
	}
	end, capitals, ok := hostEnd(b)
	if !ok {
		return errHost
	}
	if r.Port, ok = parsePort(b[end:]); !ok {
		return errHost
	}
	name := b[:end]
	if name[end-1] == '.' {
		name = name[:end-1]
	}
	r.HostName = httpmsg.Span{Off: s.Off, Len: int32(len(name))}
	if capitals {
		a := r.Arena()
		n := len(a)
		r.HostName = r.Kept(httpmsg.AppendLower(a, name), n)
	}
	return nil
}

// hostEnd returns where the host in an authority ends and whether it has
// capital letters.
func hostEnd(b []byte) (end int, capitals, ok bool) {
	if b[0] == '[' {
		end = bytes.IndexByte(b, ']') + 1
		if end == 0 {
			return 0, false, false
		}
		addr, ok := httpmsg.ParseAddr(b[1 : end-1])
		return end, true, ok && addr.Is6()
	}
	var seen byte
	for last := byte('.'); end < len(b) && class[b[end]]&host != 0; end++ {
		if b[end] == '.' && last == '.' {
			return 0, false, false // an empty label
		}
		last = b[end]
		seen |= class[last]
	}
	return end, seen&upper != 0, end > 0
}

// parsePort reads what follows the host: nothing, ":" or ":" and a port.
func parsePort(b []byte) (port uint16, ok bool) {
	if len(b) <= 1 {
		return 0, len(b) == 0 || b[0] == ':'
	}
	if b[0] != ':' || len(b) > len(":65535") {
		return 0, false
	}
	n := 0
	for _, c := range b[1:] {
		if class[c]&digit == 0 {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return uint16(n), n > 0 && n < 1<<16
}

// settleConnection sets what the request says about its connection.
func (p *framing) settleConnection(r *httpmsg.Request) error {
	o, why := p.options(&r.Fields)
	if why != fine {
		return requestErrors[why]
	}
	r.Close = o.close || r.Minor == 0 && !o.keepAlive
	hasBody := r.Body == httpmsg.BodyChunked || r.ContentLength > 0
	if p.expects > 0 && r.Minor > 0 { // HTTP/1.0: RFC 9110 10.1.1
		if p.expects > 1 || !httpmsg.EqualFold(r.ValueAt(p.expect), "100-continue") {
			return errExpect
		}
		r.Expect100 = hasBody
	}
	if p.tes > 0 {
		r.TETrailers = r.HasToken(httpmsg.TE, "trailers")
	}
	if p.upgrades == 1 && o.upgrade && r.Minor > 0 && !hasBody && r.Method == httpmsg.GET {
		r.UpgradeTo = upgradeTo(r, p.upgrade)
	}
	return nil
}

// upgradeTo chooses the first protocol offered that may be switched to. More
// HTTP, and TLS, would hide requests from the gateway (row 37).
func upgradeTo(r *httpmsg.Request, at int) httpmsg.Span {
	value := r.ValueAt(at)
	whole := r.ValueSpanAt(at)
	for elem, rest, ok := httpmsg.NextElement(value); ok; elem, rest, ok = httpmsg.NextElement(rest) {
		name, version, slash := bytes.Cut(elem, []byte("/"))
		if !isToken(name) || slash && !isToken(version) {
			return httpmsg.Span{}
		}
		if hidesHTTP(name) {
			continue
		}
		off := cap(value) - cap(elem) // both are pieces of the wire
		return httpmsg.Span{Off: whole.Off + int32(off), Len: int32(len(elem))}
	}
	return httpmsg.Span{}
}

func hidesHTTP(protocol []byte) bool {
	for _, name := range [...]string{"h2c", "h2", "h3", "HTTP", "TLS"} {
		if httpmsg.EqualFold(protocol, name) {
			return true
		}
	}
	return false
}

// AppendRequestLine appends the request line as it is forwarded: the method as
// received, the canonical path (as received if there is none), the query as
// received, and always HTTP/1.1.
func AppendRequestLine(dst []byte, r *httpmsg.Request) []byte {
	dst = append(dst, r.Bytes(r.MethodText)...)
	dst = append(dst, ' ')
	switch {
	case r.Form == httpmsg.AsteriskForm:
		dst = append(dst, '*')
	case r.Path.Len > 0:
		dst = append(dst, r.Bytes(r.Path)...)
	default:
		dst = append(dst, r.Bytes(r.RawPath)...)
	}
	if r.HasQuery {
		dst = append(dst, '?')
		dst = append(dst, r.Bytes(r.Query)...)
	}
	return append(dst, " HTTP/1.1\r\n"...)
}

// setLength restates a Content-Length that was not written in the usual way.
func setLength(f *httpmsg.Fields, at int, length int64) {
	a := f.Arena()
	n := len(a)
	f.SetValueAt(at, f.Kept(strconv.AppendInt(a, length, 10), n))
}
