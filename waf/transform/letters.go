package transform

import (
	"encoding/binary"
	"strings"
)

// lowercase makes the letters of every script small. As strings.ToLower does,
// it puts U+FFFD in the place of bytes that are no UTF-8.
func lowercase(text string) string {
	i, capital := 0, false
	for ; i+8 <= len(text); i += 8 {
		w := word(text, i)
		if w&highBits != 0 {
			return strings.ToLower(text)
		}
		capital = capital || capitals(w) != 0
	}
	for ; i < len(text); i++ {
		if text[i] >= 0x80 {
			return strings.ToLower(text)
		}
		capital = capital || 'A' <= text[i] && text[i] <= 'Z'
	}
	if !capital {
		return text
	}
	return lowerASCII(text)
}

// capitals has the high bit set in each lane with a letter from A to Z.
func capitals(w uint64) uint64 { return atLeast(w, 'A') &^ (atLeast(w, 'Z'+1) | w) }

func lowerASCII(text string) string {
	out := make([]byte, len(text))
	i := 0
	for ; i+8 <= len(text); i += 8 {
		w := word(text, i)
		binary.LittleEndian.PutUint64(out[i:], w|capitals(w)>>2) // 0x20 tells a from A
	}
	for ; i < len(text); i++ {
		out[i] = lowerByte(text[i])
	}
	return asString(out)
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// uppercase makes the letters of every script capitals, with the same answer
// as lowercase to bytes that are no UTF-8.
func uppercase(text string) string { return strings.ToUpper(text) }
