package rewrite

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"strconv"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/tlscert"
)

// appendPart appends a piece of a value.
func (x *Exchange) appendPart(dst []byte, p *part, base int) []byte {
	switch {
	case p.Variable.Source == config.SourceNone:
		return append(dst, p.Text...)
	case p.Variable.Source == config.SourceMatcher:
		if 2*p.Group+1 >= len(x.found) || x.found[2*p.Group] < 0 {
			return dst
		}
		return append(dst, x.from[x.found[2*p.Group]:x.found[2*p.Group+1]]...)
	case p.Group == 0:
		return x.appendVariable(dst, p.Variable)
	case p.Variable.Source.OfResponse():
		return append(dst, x.r.Bytes(x.group[base+p.at])...)
	}
	return append(dst, x.q.Bytes(x.group[base+p.at])...)
}

// span is the text of a variable as a piece of the message whose turn it is.
// What is none already is copied there.
func (x *Exchange) span(v config.RewriteVariable) httpmsg.Span {
	if x.r == nil {
		switch v.Source {
		case config.SourceURIPath:
			return x.path
		case config.SourceQueryString, config.SourceRequestQuery:
			return x.query
		case config.SourceHost:
			return x.q.HostName
		case config.SourceHTTPMethod:
			return x.q.MethodText
		}
	}
	m := x.turn()
	if s, ok := x.onlyLine(v); ok {
		return s
	}
	a := m.Arena()
	n := len(a)
	a = x.appendVariable(a, v)
	return m.Kept(a, n)
}

// onlyLine is a field that is there once, which need not be copied; ok is
// false for every other, and for what rules before have changed.
func (x *Exchange) onlyLine(v config.RewriteVariable) (s httpmsg.Span, ok bool) {
	if v.Source != config.SourceRequestField && v.Source != config.SourceResponseField {
		return s, false
	}
	if v.Source == config.SourceRequestField {
		for i := range x.changes {
			if x.changes[i].isName(v.Name) {
				return s, false
			}
		}
	}
	m, lines := x.turn(), 0
	for i := range m.Len() {
		if id, name, _, live := m.At(i); live && httpmsg.EqualFold(name, v.Name) && !x.hidden(id, name) {
			s = m.ValueSpanAt(i)
			lines++
		}
	}
	return s, lines < 2
}

// appendVariable appends the text of a variable.
func (x *Exchange) appendVariable(dst []byte, v config.RewriteVariable) []byte {
	q := x.q
	switch v.Source {
	case config.SourceRequestField:
		return x.appendRequestField(dst, v.Name)
	case config.SourceResponseField:
		return appendLines(dst, &x.r.Fields, v.Name, nil)
	case config.SourceCookie:
		value, _ := httpmsg.CookieValue(&q.Fields, v.Name)
		return append(dst, value...)
	case config.SourceAddXForwardedFor:
		return x.appendForwardedFor(dst)
	case config.SourceClientUser:
		return x.appendUser(dst)
	case config.SourceHost:
		return append(dst, q.Bytes(q.HostName)...)
	case config.SourceHTTPMethod:
		return append(dst, q.Bytes(q.MethodText)...)
	case config.SourceQueryString, config.SourceRequestQuery:
		return append(dst, q.Bytes(x.query)...)
	case config.SourceRequestURI:
		return x.appendRequestURI(dst)
	case config.SourceURIPath:
		return append(dst, q.Bytes(x.path)...)
	}
	return x.appendFact(dst, v.Source)
}

// appendFact appends what is not of a message.
func (x *Exchange) appendFact(dst []byte, s config.RewriteSource) []byte {
	switch s {
	case config.SourceCiphersSupported:
		dst = appendCiphers(dst, x.Offered)
	case config.SourceClientTCPRTT:
		if x.Trips != nil {
			if rtt, ok := x.Trips.RTT(); ok {
				dst = strconv.AppendInt(dst, rtt.Microseconds(), 10)
			}
		}
	case config.SourceCiphersUsed:
		if x.Secure {
			dst = append(dst, tlscert.OpenSSLName(x.Cipher)...)
		}
	case config.SourceClientIP:
		dst = appendAddr(dst, x.Client.Addr())
	case config.SourceClientPort:
		if x.Client.Port() != 0 {
			dst = strconv.AppendUint(dst, uint64(x.Client.Port()), 10)
		}
	case config.SourceHTTPStatus:
		dst = strconv.AppendInt(dst, int64(x.r.Status), 10)
	case config.SourceHTTPVersion:
		dst = append(dst, x.Proto...)
	case config.SourceReceivedBytes:
		dst = strconv.AppendInt(dst, x.Received, 10)
	case config.SourceSentBytes:
		dst = strconv.AppendInt(dst, x.Sent, 10)
	case config.SourceRequestScheme:
		dst = append(dst, "http"...)
		if x.Secure {
			dst = append(dst, 's')
		}
	case config.SourceServerPort:
		dst = strconv.AppendUint(dst, uint64(x.Port), 10)
	case config.SourceSSLConnectionProtocol:
		dst = append(dst, x.tlsName()...)
	case config.SourceSSLEnabled:
		if x.Secure {
			dst = append(dst, "On"...)
		}
	default:
		dst = x.appendCertificate(dst, s)
	}
	return dst
}

// appendCiphers appends cipher suites as nginx does: by their OpenSSL names,
// where they have one, with colons between.
func appendCiphers(dst []byte, suites []uint16) []byte {
	for i, id := range suites {
		if i > 0 {
			dst = append(dst, ':')
		}
		dst = append(dst, tlscert.OpenSSLName(id)...)
	}
	return dst
}

// tlsName is the version of TLS as OpenSSL, and so nginx and Azure, write it.
func (x *Exchange) tlsName() string {
	switch {
	case !x.Secure:
		return ""
	case x.TLSVersion == 0x0304:
		return "TLSv1.3"
	case x.TLSVersion == 0x0303:
		return "TLSv1.2"
	case x.TLSVersion == 0x0302:
		return "TLSv1.1"
	}
	return "TLSv1"
}

// appendRequestURI appends path and query as received, without scheme and
// host.
func (x *Exchange) appendRequestURI(dst []byte) []byte {
	if x.q.Form != httpmsg.AbsoluteForm {
		return append(dst, x.q.Bytes(x.q.Target)...)
	}
	dst = append(dst, x.q.Bytes(x.q.RawPath)...)
	if x.asked {
		dst = append(append(dst, '?'), x.q.Bytes(x.query)...)
	}
	return dst
}

// appendRequestField appends a field of the request as the rules so far have
// left it.
func (x *Exchange) appendRequestField(dst []byte, name string) []byte {
	from, appended := len(dst), 0
	last := -1 // change that replaces
	for i := range x.changes {
		if x.changes[i].isName(name) && !x.changes[i].append {
			last = i
		}
	}
	if last < 0 {
		dst = appendLines(dst, &x.q.Fields, name, x.hidden)
	} else {
		dst = append(dst, x.q.Bytes(x.changes[last].value)...)
		appended = last + 1
	}
	for i := appended; i < len(x.changes); i++ {
		if x.changes[i].isName(name) {
			dst = append(separate(dst, from, name), x.q.Bytes(x.changes[i].value)...)
		}
	}
	return dst
}

// separate appends what goes between two lines of a field (RFC 9110 5.3, RFC
// 9113 8.2.3).
func separate(dst []byte, from int, name string) []byte {
	switch {
	case len(dst) == from:
		return dst
	case httpmsg.EqualFold([]byte("cookie"), name):
		return append(dst, "; "...)
	}
	return append(dst, ", "...)
}

// appendLines appends the lines of a field as one.
func appendLines(dst []byte, m *httpmsg.Fields, name string, hidden func(id httpmsg.ID, name []byte) bool) []byte {
	from := len(dst)
	for i := range m.Len() {
		id, n, value, ok := m.At(i)
		if !ok || !httpmsg.EqualFold(n, name) || hidden != nil && hidden(id, n) {
			continue
		}
		if id == httpmsg.SetCookie && len(dst) > from {
			return dst // lines of Set-Cookie cannot be joined: it is the first
		}
		dst = append(separate(dst, from, name), value...)
	}
	return dst
}

// hidden reports whether a field of the request is not to be believed of who
// sent it. The gateway drops it, but later.
func (x *Exchange) hidden(id httpmsg.ID, name []byte) bool {
	return x.r == nil && Hidden(id, name, x.Trusted) // else it was dropped by now
}

// Hidden reports whether a field of a request is not looked at: one by which
// proxies vouch for a request, from somebody who is not trusted to, and one
// that is the gateway's own.
func Hidden(id httpmsg.ID, name []byte, trusted bool) bool {
	switch id {
	case httpmsg.XOriginalHost, httpmsg.XOriginalURL, httpmsg.XAppGWTraceID:
		return true
	case httpmsg.XForwardedFor, httpmsg.XForwardedHost, httpmsg.XForwardedPort, httpmsg.XForwardedProto, httpmsg.XRealIP, httpmsg.Forwarded:
		return !trusted
	case httpmsg.Other:
		return !trusted && httpmsg.Vouches(name)
	}
	return false
}

// appendForwardedFor appends the addresses that a request came by.
func (x *Exchange) appendForwardedFor(dst []byte) []byte {
	from := len(dst)
	if x.r != nil {
		return append(dst, x.q.Bytes(x.by)...) // the field has been written by now
	}
	dst = appendLines(dst, &x.q.Fields, "x-forwarded-for", x.hidden)
	return appendAddr(separate(dst, from, ""), x.Peer.Addr())
}

func appendAddr(dst []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return append(dst, "unknown"...)
	}
	return a.WithZone("").AppendTo(dst)
}

// appendUser appends the user of basic authentication (RFC 7617), which nobody
// has verified. One that no field could have is none.
func (x *Exchange) appendUser(dst []byte) []byte {
	value, _ := x.q.Get(httpmsg.Authorization)
	scheme, rest, ok := bytes.Cut(value, []byte{' '})
	rest = httpmsg.TrimSpace(rest)
	if !ok || !httpmsg.EqualFold(scheme, "basic") || len(rest) > 4<<10 {
		return dst
	}
	from := len(dst)
	out, err := base64.StdEncoding.AppendDecode(dst, rest)
	if err != nil {
		return dst
	}
	user, _, ok := bytes.Cut(out[from:], []byte{':'})
	for _, c := range user {
		ok = ok && c >= ' ' && c != 0x7f
	}
	if !ok {
		return dst
	}
	return out[:from+len(user)]
}

// setCookies reports whether the variable is looked at line by line.
func (x *Exchange) setCookies(v config.RewriteVariable) bool {
	return v.Source == config.SourceResponseField && httpmsg.EqualFold([]byte("set-cookie"), v.Name)
}

// holdsInLine looks for the pattern in each line of Set-Cookie.
func (x *Exchange) holdsInLine(c *condition, base int) bool {
	for i := range x.r.Len() {
		if id, live := x.r.IDAt(i); live && id == httpmsg.SetCookie && x.match(c, x.r.ValueSpanAt(i), base) {
			return !c.negate
		}
	}
	return c.negate
}
