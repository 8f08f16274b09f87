package httpmsg

import "bytes"

// NextElement takes the first element off a comma-separated list (RFC 9110
// 5.6.1): without the white space around it, and passing over empty elements.
// ok is false when the list has no more. Both results are pieces of list up
// to its capacity. Commas in quoted strings are not understood: use it for
// lists of tokens.
func NextElement(list []byte) (elem, rest []byte, ok bool) {
	for len(list) > 0 {
		if comma := bytes.IndexByte(list, ','); comma >= 0 {
			elem, list = list[:comma], list[comma+1:]
		} else {
			elem, list = list, list[len(list):]
		}
		if elem = TrimSpace(elem); len(elem) > 0 {
			return elem, list, true
		}
	}
	return nil, nil, false
}

// TrimSpace removes the optional white space of RFC 9110 5.6.3, SP and HTAB,
// around b. (bytes.TrimSpace removes more.)
func TrimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// HasToken reports whether a comma-separated list has a token, in any case.
func HasToken(list []byte, token string) bool {
	for elem, rest, ok := NextElement(list); ok; elem, rest, ok = NextElement(rest) {
		if EqualFold(elem, token) {
			return true
		}
	}
	return false
}

// HasToken reports whether any line of a known field, taken as a
// comma-separated list, has a token in any case.
func (f *Fields) HasToken(id ID, token string) bool {
	for i := range f.list {
		p := &f.list[i]
		if p.id == id && !p.dead && HasToken(f.Bytes(p.value), token) {
			return true
		}
	}
	return false
}
