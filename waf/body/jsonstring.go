package body

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// escaped reads the string with escapes that begins at start, after its
// quote. Half of a surrogate pair becomes U+FFFD.
func (r *jsonReader) escaped(start int) (string, bool) {
	end := stringEnd(r.text, start)
	if end < 0 {
		return "", r.syntax()
	}
	raw := r.text[start:end]
	r.pos = end + 1
	from := r.flat.room(len(raw))
	for i := 0; i < len(raw); {
		n := strings.IndexByte(raw[i:], '\\')
		if n < 0 {
			n = len(raw) - i
		}
		if !r.plain(raw[i : i+n]) {
			return "", false
		}
		if i += n; i == len(raw) {
			break
		}
		n = r.escape(raw[i:])
		if n == 0 {
			return "", r.syntax()
		}
		i += n
	}
	return r.flat.since(from), true
}

// stringEnd finds the quote that ends a string, from within it.
func stringEnd(text string, i int) int {
	for ; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// plain writes a stretch without escapes.
func (r *jsonReader) plain(s string) bool {
	wide := false
	for i := range len(s) {
		if s[i] < ' ' {
			return r.syntax()
		}
		wide = wide || s[i] >= utf8.RuneSelf
	}
	if wide && !utf8.ValidString(s) {
		r.odd(reasonJSONUnicode)
	}
	r.flat.b.WriteString(s)
	return true
}

// escape writes what the escape means that s begins with, and returns its
// length, or 0 if it is none.
func (r *jsonReader) escape(s string) int {
	if s[1] == 'u' { // stringEnd has seen to it that something follows
		return r.unicode(s)
	}
	i := strings.IndexByte(`"\/bfnrt`, s[1])
	if i < 0 {
		return 0
	}
	r.flat.b.WriteByte("\"\\/\b\f\n\r\t"[i])
	return 2
}

// unicode is escape for \uXXXX, and for two of them that make a pair.
func (r *jsonReader) unicode(s string) int {
	first, ok := codeUnit(s)
	if !ok {
		return 0
	}
	if !utf16.IsSurrogate(first) {
		r.flat.b.WriteRune(first)
		return 6
	}
	if second, ok := codeUnit(s[6:]); ok {
		if whole := utf16.DecodeRune(first, second); whole != utf8.RuneError {
			r.flat.b.WriteRune(whole)
			return 12
		}
	}
	r.odd(reasonJSONUnicode)
	r.flat.b.WriteRune(utf8.RuneError)
	return 6
}

// codeUnit is the value of the \uXXXX that s begins with.
func codeUnit(s string) (unit rune, ok bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	for i := 2; i < 6; i++ {
		if !isHex(s[i]) {
			return 0, false
		}
		unit = unit<<4 | rune(unhex(s[i]))
	}
	return unit, true
}
