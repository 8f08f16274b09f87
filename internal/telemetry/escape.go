package telemetry

import (
	"encoding/binary"
	"unicode"
	"unicode/utf8"
)

// truncated marks a value of which the end is missing.
const truncated = "..."

const hexDigits = "0123456789abcdef"

// plain says that every byte of s is printable ASCII other than the double
// quote and the backslash: nothing to escape in either format.
//
// It looks at eight bytes at a time. For a byte x below 0x80, x-0x20 sets the
// high bit exactly when x is a control character, and (x^c)-1 exactly when x
// is c; a borrow reaches the next byte only from one that is flagged already,
// so nothing is missed.
func plain(s []byte) bool {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	if len(s) < 8 {
		for _, c := range s {
			if c < 0x20 || c >= 0x7F || c == '"' || c == '\\' {
				return false
			}
		}
		return true
	}
	var flags uint64
	last := s[len(s)-8:]
	for ; len(s) >= 8; s = s[8:] {
		w := binary.LittleEndian.Uint64(s)
		flags |= w | (w - 0x20*ones) | (w ^ '"'*ones - ones) | (w ^ '\\'*ones - ones) | (w ^ 0x7F*ones - ones)
	}
	w := binary.LittleEndian.Uint64(last) // overlaps what was seen, which does no harm
	flags |= w | (w - 0x20*ones) | (w ^ '"'*ones - ones) | (w ^ '\\'*ones - ones) | (w ^ 0x7F*ones - ones)
	return flags&highs == 0
}

// appendJSON appends s as the inside of a JSON string, at most limit bytes of
// it. Invalid UTF-8 becomes U+FFFD (JSON knows no bytes); what does not print
// (controls, line separators, bidirectional overrides) is escaped, since logs
// are read on terminals.
func appendJSON(dst, s []byte, limit int) []byte {
	if len(s) <= limit && plain(s) {
		return append(dst, s...)
	}
	return appendJSONSlow(dst, s, limit)
}

// longestJSON is the most bytes that one rune becomes: two \uXXXX.
const longestJSON = 12

func appendJSONSlow(dst, s []byte, limit int) []byte {
	end := len(dst) + limit - longestJSON - len(truncated)
	for len(s) > 0 {
		if len(dst) > end {
			return append(dst, truncated...)
		}
		r, size := rune(s[0]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(s)
		}
		dst = appendJSONRune(dst, r, size)
		s = s[size:]
	}
	return dst
}

func appendJSONRune(dst []byte, r rune, size int) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(dst, '\\', byte(r))
	case r == '\n':
		return append(dst, '\\', 'n')
	case r == '\r':
		return append(dst, '\\', 'r')
	case r == '\t':
		return append(dst, '\\', 't')
	case r == utf8.RuneError && size == 1:
		return appendUnicode(dst, utf8.RuneError)
	case r < utf8.RuneSelf && r >= 0x20 && r != 0x7F:
		return append(dst, byte(r))
	case r < utf8.RuneSelf || !unicode.IsPrint(r):
		return appendUnicode(dst, r)
	}
	return utf8.AppendRune(dst, r)
}

// appendUnicode appends \uXXXX, as a surrogate pair beyond the basic plane
// (RFC 8259 section 7).
func appendUnicode(dst []byte, r rune) []byte {
	if r > 0xFFFF {
		r -= 0x10000
		dst = appendUnicode(dst, 0xD800+r>>10)
		r = 0xDC00 + r&0x3FF
	}
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// appendQuoted appends s as Apache does inside the quotes of its log: \" and
// \\, C escapes, and \xhh for every other byte that is not printable ASCII.
// An empty value is "-".
func appendQuoted(dst, s []byte, limit int) []byte {
	if len(s) == 0 {
		return append(dst, '-')
	}
	if len(s) <= limit && plain(s) {
		return append(dst, s...)
	}
	end := len(dst) + limit - 4 - len(truncated)
	for _, c := range s {
		if len(dst) > end {
			return append(dst, truncated...)
		}
		dst = appendQuotedByte(dst, c)
	}
	return dst
}

func appendQuotedByte(dst []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(dst, '\\', c)
	case c >= 0x20 && c < 0x7F:
		return append(dst, c)
	case c == '\n':
		return append(dst, '\\', 'n')
	case c == '\r':
		return append(dst, '\\', 'r')
	case c == '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
}
