package transform

import (
	"strings"
	"unicode/utf8"
)

// escapeSeqDecode decodes the escapes of ANSI C. Of one that it does not know
// only the backslash goes.
func escapeSeqDecode(text string) string { return decodeBackslash(text, escapeANSI) }

// jsDecode decodes the escapes of JavaScript, likewise.
func jsDecode(text string) string { return decodeBackslash(text, escapeJS) }

// decodeBackslash decodes what read finds at each backslash. One at the very
// end stays.
func decodeBackslash(text string, read escape) string {
	e := edit{text: text}
	for i := 0; ; {
		n := strings.IndexByte(text[i:], '\\')
		if n < 0 || i+n+1 == len(text) {
			return e.String()
		}
		i += n
		b, size := read(text, i)
		e.cut(i, i+size)
		e.put(b)
		i += size
	}
}

// escapeANSI reads an escape that has at least one byte after its backslash.
func escapeANSI(text string, i int) (b byte, size int) {
	c := text[i+1]
	if c|0x20 == 'x' {
		if b, ok := hexPair(text, i+2); ok {
			return b, 4
		}
	}
	if value, n := octal(text[i+1:]); n > 0 {
		return byte(value), 1 + n // \400 and more: the low byte
	}
	return control(c), 2
}

// escapeJS reads an escape that has at least one byte after its backslash.
func escapeJS(text string, i int) (b byte, size int) {
	switch c := text[i+1]; c {
	case 'u':
		if b, size = escapeJSUnicode(text, i); size > 0 {
			return b, size
		}
	case 'x':
		if b, ok := hexPair(text, i+2); ok {
			return b, 4
		}
	}
	value, n := octal(text[i+1:])
	if value > 0xff { // only two of the digits are meant
		value, n = value>>3, 2
	}
	if n > 0 {
		return byte(value), 1 + n
	}
	return control(text[i+1]), 2
}

// escapeJSUnicode reads \uXXXX and \u{X} to \u{XXXXXX}. Both give the low byte
// of the code point. 0: it is neither.
func escapeJSUnicode(text string, i int) (b byte, size int) {
	if code, n := hexRun(text[min(i+3, len(text)):]); n > 0 && text[i+2] == '{' {
		if end := i + 3 + n; end < len(text) && text[end] == '}' {
			if code > 0xffff {
				return byte(code), n + 4
			}
			return foldWide(byte(code>>8), byte(code)), n + 4
		}
	}
	high, ok := hexPair(text, i+2)
	low, fine := hexPair(text, i+4)
	if ok && fine {
		return foldWide(high, low), 6
	}
	return 0, 0
}

// hexRun reads up to six hexadecimal digits.
func hexRun(text string) (code rune, n int) {
	for n < 6 && n < len(text) && hexDigit[text[n]] >= 0 {
		code = code<<4 | rune(hexDigit[text[n]])
		n++
	}
	return code, n
}

// octal reads up to three octal digits.
func octal(text string) (value, n int) {
	for n < 3 && n < len(text) && '0' <= text[n] && text[n] <= '7' {
		value = value<<3 | int(text[n]-'0')
		n++
	}
	return value, n
}

// control is what a letter after a backslash stands for: a control character,
// or itself.
func control(c byte) byte {
	switch c {
	case 'a':
		return '\a'
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'v':
		return '\v'
	}
	return c
}

// cssDecode decodes the escapes of CSS (Syntax Module Level 3, section 4.3.7).
// Full width forms of ASCII become ASCII, as in ModSecurity; a backslash at the
// end goes.
func cssDecode(text string) string {
	e := edit{text: text}
	for i := 0; ; {
		n := strings.IndexByte(text[i:], '\\')
		if n < 0 {
			return e.String()
		}
		i += n
		code, digits := hexRun(text[i+1:])
		end := i + 1 + digits
		switch {
		case digits > 0:
			if end < len(text) && isSpace(text[end]) {
				end++ // one white space closes the escape
			}
			e.cut(i, end)
			e.out = utf8.AppendRune(e.out, cssRune(code))
		case end < len(text) && text[end] == '\n':
			end++ // a line that goes on
			e.cut(i, end)
		case end < len(text):
			end++ // the byte after it stays, a backslash too
			e.cut(i, end)
			e.put(text[end-1])
		default:
			e.cut(i, end)
		}
		i = end
	}
}

// cssRune is the rune of a code point; AppendRune sees to surrogates and to
// what is too high.
func cssRune(code rune) rune {
	switch {
	case code == 0:
		return utf8.RuneError
	case 0xff01 <= code && code <= 0xff5e:
		return code - 0xfee0
	}
	return code
}
