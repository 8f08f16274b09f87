package rewrite

import (
	"bytes"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
)

// value puts the value of a field together. It is valid until the next one.
func (x *Exchange) value(t text, base int) ([]byte, error) {
	x.out = x.out[:0]
	for i := range t {
		x.out = x.appendPart(x.out, &t[i], base)
		if x.made+len(x.out) > x.limits.Fields {
			return nil, x.tooLarge()
		}
	}
	x.made += len(x.out)
	for _, c := range x.out {
		if c < ' ' && c != '\t' || c == 0x7f {
			return nil, x.control()
		}
	}
	return httpmsg.TrimSpace(x.out), nil
}

func (x *Exchange) tooLarge() error {
	if x.r != nil {
		return errResponseTooLarge
	}
	return errTooLarge
}

func (x *Exchange) control() error {
	if x.r != nil {
		return errResponseControl
	}
	return errControl
}

// urlText puts a path or a query together: encode appends what a client or a
// backend has a hand in; data says that it is not from a URL.
func (x *Exchange) urlText(t text, base int, encode func(dst, b []byte, data bool) []byte) ([]byte, error) {
	x.out = x.out[:0]
	for i := range t {
		if t[i].Variable.Source == config.SourceNone {
			x.out = append(x.out, t[i].Text...)
		} else {
			from := len(x.out)
			x.out = x.appendPart(x.out, &t[i], base)
			x.out = encodeFrom(x.out, from, !ofURL(t[i].Variable.Source), encode)
		}
		if len(x.out) > x.limits.URL {
			return nil, errURLTooLarge
		}
	}
	for _, c := range x.out {
		if c <= ' ' || c >= 0x7f {
			return nil, errControl
		}
	}
	return x.out, nil
}

// ofURL reports whether a variable is percent-encoded already.
func ofURL(s config.RewriteSource) bool {
	switch s {
	case config.SourceURIPath, config.SourceRequestURI, config.SourceQueryString, config.SourceRequestQuery:
		return true
	}
	return false
}

// encodeFrom encodes what was appended at from.
func encodeFrom(b []byte, from int, data bool, encode func(dst, b []byte, data bool) []byte) []byte {
	end := len(b)
	b = encode(b, b[from:end], data)
	n := copy(b[from:], b[end:])
	return b[:from+n]
}

// appendToPath appends text as a part of a path. Slashes stay; whether dots
// make a segment is seen when the path is whole.
func appendToPath(dst, b []byte, data bool) []byte {
	for i, c := range b {
		switch {
		case c == '%' && !data && isEscape(b[i:]), c == '/', inPath(c), !data && c > ' ' && c < 0x7f && bytes.IndexByte([]byte(`%?#\`), c) < 0:
			dst = append(dst, c)
		default:
			dst = escape(dst, c)
		}
	}
	return dst
}

// appendToQuery appends text as a part of a query.
func appendToQuery(dst, b []byte, data bool) []byte {
	for _, c := range b {
		if inData(c) || !data && c > ' ' && c < 0x7f && c != '#' {
			dst = append(dst, c)
		} else {
			dst = escape(dst, c)
		}
	}
	return dst
}

// escape appends a percent-encoded byte. A control character stays as it is,
// for it to be refused.
func escape(dst []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	if c < ' ' || c == 0x7f {
		return append(dst, c)
	}
	return append(dst, '%', hex[c>>4], hex[c&15])
}

func isEscape(b []byte) bool { return len(b) >= 3 && isHex(b[1]) && isHex(b[2]) }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// inPath are the characters of a path segment (RFC 3986 3.3: pchar).
func inPath(c byte) bool { return isAlnum(c) || bytes.IndexByte([]byte("-._~!$&'()*+,;=:@"), c) >= 0 }

// inData are characters of a query that no reader takes for an end of a name
// or value.
func inData(c byte) bool { return isAlnum(c) || bytes.IndexByte([]byte("-._~!$'()*,/:@"), c) >= 0 }

// DotSegments reports whether a path has a segment that means another place:
// "." or "..", encoded or not.
func DotSegments(path []byte) bool {
	for more := true; more; {
		var segment []byte
		segment, path, more = bytes.Cut(path, []byte{'/'})
		dots := 0
		for len(segment) > 0 && dots < 3 {
			switch {
			case segment[0] == '.':
				segment = segment[1:]
			case len(segment) >= 3 && segment[0] == '%' && segment[1] == '2' && segment[2]|0x20 == 'e':
				segment = segment[3:]
			default:
				dots = 3 // and something else
				continue
			}
			dots++
		}
		if dots == 1 || dots == 2 {
			return true
		}
	}
	return false
}

// isHost reports whether a Host field may be that: a name or an address, with
// or without a port.
func isHost(b []byte) bool {
	host, port := b, []byte(nil)
	if at := bytes.LastIndexByte(b, ':'); at >= 0 && bytes.IndexByte(b[at:], ']') < 0 {
		if host, port = b[:at], b[at+1:]; !isPort(port) {
			return false
		}
	}
	if len(host) == 0 || len(host) > 255 {
		return false
	}
	others := "-._"
	if host[0] == '[' {
		if len(host) < 4 || host[len(host)-1] != ']' {
			return false
		}
		host, others = host[1:len(host)-1], ":."
	}
	for _, c := range host {
		if !isAlnum(c) && bytes.IndexByte([]byte(others), c) < 0 {
			return false
		}
	}
	return true
}

func isPort(b []byte) bool {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' || n > 65535 {
			return false
		}
		n = 10*n + int(c-'0')
	}
	return n > 0 && n <= 65535
}
