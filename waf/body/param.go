package body

import "strings"

// param is one parameter of a Content-Type or Content-Disposition value.
type param struct {
	name   string // as received
	value  string // without its quotes, escapes as received
	quoted bool
}

// escaped reports backslashes that parsers take differently: before one of
// RFC 2045's special characters some drop them and some do not. Before
// others, as in an old browser's C:\path, they are kept by all.
func (p param) escaped() bool {
	if !p.quoted {
		return false
	}
	for i := strings.IndexByte(p.value, '\\'); i >= 0 && i < len(p.value); i++ {
		if p.value[i] == '\\' && i+1 < len(p.value) && isSpecial(p.value[i+1]) {
			return true
		}
	}
	return false
}

// cutParam takes the parameter off the beginning of s, which has what follows
// a semicolon: token "=" ( token | quoted-string ), blanks around allowed. rest
// is empty or begins with the next semicolon. ok is false for all else.
func cutParam(s string) (p param, rest string, ok bool) {
	s = trimBlanks(s)
	n := tokenLength(s)
	if n == 0 || n == len(s) || s[n] != '=' {
		return p, s, false
	}
	p.name, s = s[:n], s[n+1:]
	if strings.HasPrefix(s, `"`) {
		end := quoteEnd(s)
		if end < 0 {
			return p, s, false
		}
		p.value, p.quoted, s = s[1:end], true, s[end+1:]
	} else {
		n = tokenLength(s)
		if n == 0 {
			return p, s, false
		}
		p.value, s = s[:n], s[n:]
	}
	s = trimBlanks(s)
	return p, s, s == "" || s[0] == ';'
}

// looseParam makes out what it can of a parameter that cutParam does not
// accept: everything up to the next semicolon.
func looseParam(s string) (p param, rest string) {
	if i := strings.IndexByte(s, ';'); i >= 0 {
		s, rest = s[:i], s[i:]
	}
	name, value, _ := strings.Cut(s, "=")
	return param{name: trimBlanks(name), value: trimBlanks(value)}, rest
}

// quoteEnd finds the quote that ends the quoted string s begins with.
func quoteEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// trimBlanks removes spaces and tabs from both ends.
func trimBlanks(s string) string { return strings.Trim(s, " \t") }

func tokenLength(s string) int {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return i
		}
	}
	return len(s)
}

// isTokenByte tells the characters of a token (RFC 9110 5.6.2).
func isTokenByte(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// isSpecial tells RFC 2045's tspecials.
func isSpecial(c byte) bool { return strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 }
