package transform

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// urlDecode decodes %XX and the plus sign; what is no escape stays.
func urlDecode(text string) string { return decodePercent(text, percentEscape) }

// urlDecodeUni decodes what urlDecode does and %uXXXX of IIS.
func urlDecodeUni(text string) string { return decodePercent(text, percentEscapeUni) }

// escape reads the escape at an offset of a text: the byte that it stands for,
// and its length. 0: there is none.
type escape func(text string, i int) (b byte, size int)

func decodePercent(text string, read escape) string {
	i := firstPercent(text)
	if i < 0 {
		return text
	}
	e := edit{text: text}
	for i < len(text) {
		if text[i] != '%' && text[i] != '+' {
			i++
			continue
		}
		b, size := read(text, i)
		if size == 0 {
			i++
			continue
		}
		e.cut(i, i+size)
		e.put(b)
		i += size
	}
	return e.String()
}

// firstPercent is the offset of the first percent or plus sign; -1: none.
func firstPercent(text string) int {
	i := strings.IndexByte(text, '%')
	if i < 0 {
		return strings.IndexByte(text, '+')
	}
	if j := strings.IndexByte(text[:i], '+'); j >= 0 {
		return j
	}
	return i
}

func percentEscape(text string, i int) (b byte, size int) {
	if text[i] == '+' {
		return ' ', 1
	}
	if b, ok := hexPair(text, i+1); ok {
		return b, 3
	}
	return 0, 0
}

func percentEscapeUni(text string, i int) (b byte, size int) {
	if text[i] == '%' && i+1 < len(text) && text[i+1]|0x20 == 'u' {
		high, ok := hexPair(text, i+2)
		low, fine := hexPair(text, i+4)
		if ok && fine {
			return narrow(high, low), 6
		}
		return 0, 0
	}
	return percentEscape(text, i)
}

// narrow is the byte that %uXXXX stands for: the letter of ASCII that fits
// best, or else the low byte.
func narrow(high, low byte) byte {
	if b := bestFit(rune(high)<<8 | rune(low)); b != 0 {
		return b
	}
	return foldWide(high, low)
}

// foldWide is the low byte of a code point of 16 bits; for the full width forms
// of ASCII (U+FF01 to U+FF5E) it is the letter of ASCII.
func foldWide(high, low byte) byte {
	if high == 0xff && 0x01 <= low && low <= 0x5e {
		return low + 0x20
	}
	return low
}

// urlPlain is the bytes that urlEncode leaves as they are: fewer than
// RFC 3986 does.
var urlPlain = between('a', 'z').Union(between('A', 'Z')).Union(between('0', '9')).Union(ClassOf("*"))

var urlPlainTable = urlPlain.table()

// urlEncode writes a space as a plus sign and all but letters, digits and the
// asterisk as %xx.
func urlEncode(text string) string {
	const digits = "0123456789abcdef"
	e := edit{text: text}
	for i := range len(text) {
		c := text[i]
		if urlPlainTable[c] {
			continue
		}
		e.cut(i, i+1)
		if c == ' ' {
			e.put('+')
		} else {
			e.out = append(e.out, '%', digits[c>>4], digits[c&15])
		}
	}
	return e.String()
}

// utf8ToUnicode writes each rune that is not of ASCII as %uxxxx, with more
// digits when it needs more. Bytes that are no UTF-8 are U+FFFD.
func utf8ToUnicode(text string) string {
	if ascii(text) {
		return text
	}
	e := edit{text: text}
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		e.cut(i, i+size)
		e.out = append(e.out, "%u"...)
		for limit := rune(0x1000); r < limit; limit >>= 4 {
			e.put('0')
		}
		e.out = strconv.AppendUint(e.out, uint64(r), 16)
		i += size
	}
	return e.String()
}
