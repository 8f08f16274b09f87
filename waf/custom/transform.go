package custom

import (
	"html"
	"strings"
	"unicode/utf8"
)

// Transform changes a request's value before it is compared.
type Transform uint8

const (
	Lowercase        Transform = iota // ASCII letters only: other bytes stay as they are
	Uppercase                         // likewise
	Trim                              // without blanks, tabs and line ends at both ends
	URLDecode                         // %41, %u0041 (wide forms of ASCII become ASCII) and + for a blank, once; what is no code stays
	URLEncode                         // all but RFC 3986's unreserved characters as %41, hexadecimal in upper case
	RemoveNulls                       // without zero bytes
	HTMLEntityDecode                  // &lt; &#60; &#x3c; as HTML 5 reads them
)

// String is the transform's name in configurations.
func (t Transform) String() string {
	return name(t, "lowercase", "uppercase", "trim", "urlDecode", "urlEncode", "removeNulls", "htmlEntityDecode")
}

// apply appends what becomes of s to dst. If nothing changes it appends
// nothing and says so, which is the usual case and costs no copy.
func (t Transform) apply(dst []byte, s string) (out []byte, changed bool) {
	switch t {
	case Lowercase:
		return flipCase(dst, s, 'A')
	case Uppercase:
		return flipCase(dst, s, 'a')
	case Trim:
		trimmed := strings.Trim(s, " \t\r\n\v\f")
		return replaced(dst, trimmed, len(trimmed) != len(s))
	case URLDecode:
		return urlDecode(dst, s)
	case URLEncode:
		return urlEncode(dst, s)
	case RemoveNulls:
		return removeNulls(dst, s)
	case HTMLEntityDecode:
		if strings.IndexByte(s, '&') < 0 {
			return dst, false
		}
		return replaced(dst, html.UnescapeString(s), true)
	}
	return dst, false
}

func replaced(dst []byte, s string, changed bool) ([]byte, bool) {
	if !changed {
		return dst, false
	}
	return append(dst, s...), true
}

// flipCase changes the case of the 26 letters that begin at first.
func flipCase(dst []byte, s string, first byte) ([]byte, bool) {
	at := 0
	for at < len(s) && s[at]-first >= 26 {
		at++
	}
	if at == len(s) {
		return dst, false
	}
	begin := len(dst)
	dst = append(dst, s...)
	for i, c := range dst[begin+at:] {
		if c-first < 26 {
			dst[begin+at+i] = c ^ 0x20
		}
	}
	return dst, true
}

func removeNulls(dst []byte, s string) ([]byte, bool) {
	if strings.IndexByte(s, 0) < 0 {
		return dst, false
	}
	for i := range len(s) {
		if s[i] != 0 {
			dst = append(dst, s[i])
		}
	}
	return dst, true
}

func urlDecode(dst []byte, s string) ([]byte, bool) {
	at := strings.IndexAny(s, "%+")
	if at < 0 {
		return dst, false
	}
	dst = append(dst, s[:at]...)
	for at < len(s) {
		switch c := s[at]; {
		case c == '+':
			dst = append(dst, ' ')
			at++
		case c != '%':
			dst = append(dst, c)
			at++
		default:
			var n int
			dst, n = decodeCode(dst, s[at:])
			at += n
		}
	}
	return dst, true
}

// decodeCode appends what the percent sign at the beginning of s stands for,
// and how many bytes of s that took.
func decodeCode(dst []byte, s string) (out []byte, n int) {
	if len(s) >= 3 {
		if v, ok := hex(s[1:3]); ok {
			return append(dst, byte(v)), 3
		}
	}
	if len(s) >= 6 && s[1]|0x20 == 'u' {
		if v, ok := hex(s[2:6]); ok {
			return appendWide(dst, v), 6
		}
	}
	return append(dst, '%'), 1
}

// appendWide appends a UTF-16 unit. Units below 256 are bytes, and the
// full-width forms of ASCII are ASCII: servers that know %u read them so.
func appendWide(dst []byte, unit int) []byte {
	switch {
	case unit < 0x100:
		return append(dst, byte(unit))
	case unit >= 0xff01 && unit <= 0xff5e:
		return append(dst, byte(unit-0xff01+'!'))
	}
	return utf8.AppendRune(dst, rune(unit))
}

func hex(digits string) (v int, ok bool) {
	for i := range len(digits) {
		c := digits[i]
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | int(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			v = v<<4 | int(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}

func urlEncode(dst []byte, s string) ([]byte, bool) {
	at := 0
	for at < len(s) && unreserved(s[at]) {
		at++
	}
	if at == len(s) {
		return dst, false
	}
	const upper = "0123456789ABCDEF"
	dst = append(dst, s[:at]...)
	for ; at < len(s); at++ {
		if c := s[at]; unreserved(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upper[c>>4], upper[c&15])
		}
	}
	return dst, true
}

// unreserved is RFC 3986, section 2.3.
func unreserved(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
