package transform

import (
	"unicode"
	"unicode/utf8"
)

// asciiSpace is the white space of ASCII.
const asciiSpace = " \t\n\v\f\r"

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// trim removes white space of ASCII from both ends.
func trim(text string) string { return trimLeft(trimRight(text)) }

func trimLeft(text string) string {
	for text != "" && isSpace(text[0]) {
		text = text[1:]
	}
	return text
}

func trimRight(text string) string {
	for text != "" && isSpace(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	return text
}

// compressWhitespace makes one space of each run of white space.
func compressWhitespace(text string) string {
	e := edit{text: text}
	inside := false // text[i-1] is white space
	for i := 0; i < len(text); {
		if next := skipGraphic(text, i); next > i {
			inside = false
			i = next
			continue
		}
		size, white := latinSpace(text, i)
		if white && (inside || text[i] != ' ') {
			e.cut(i, i+size)
			if !inside {
				e.put(' ')
			}
		}
		inside = white
		i += size
	}
	return e.String()
}

// latinSpace tells whether the rune at offset i is white space of Latin 1: of
// ASCII, U+0085 or U+00A0. The byte A0 counts as well where no UTF-8 can be
// read (a space that does not break in ISO 8859-1), the byte 85 does not.
func latinSpace(text string, i int) (size int, white bool) {
	if c := text[i]; c < utf8.RuneSelf {
		return 1, isSpace(c)
	}
	r, size := utf8.DecodeRuneInString(text[i:])
	return size, r == 0x85 || r == 0xa0 || text[i] == 0xa0
}

// removeWhitespace removes the white space of every script. It puts U+FFFD in
// the place of bytes that are no UTF-8.
func removeWhitespace(text string) string {
	e := edit{text: text}
	for i := skipGraphic(text, 0); i < len(text); i = skipGraphic(text, i) {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case unicode.IsSpace(r):
			e.cut(i, i+size)
		case r == utf8.RuneError && size == 1:
			e.cut(i, i+1)
			e.out = utf8.AppendRune(e.out, utf8.RuneError)
		}
		i += size
	}
	return e.String()
}

// skipGraphic gives the offset of the first byte at or after i that is a
// space, a control character or not of ASCII.
func skipGraphic(text string, i int) int {
	for ; i+8 <= len(text); i += 8 {
		if w := word(text, i); (w|^atLeast(w, ' '+1))&highBits != 0 {
			break
		}
	}
	for i < len(text) && ' ' < text[i] && text[i] < utf8.RuneSelf {
		i++
	}
	return i
}
