package transform

// Eight bytes of a text are looked at in one step, as the lanes of a word
// (Henry S. Warren, Hacker's Delight, 6-1).
const (
	lanes    = 0x0101010101010101
	highBits = 0x80 * lanes
)

// word is the eight bytes of a text from offset i, the first one lowest. The
// compiler makes one load of it.
func word(text string, i int) uint64 {
	s := text[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// atLeast has the high bit set in each lane whose seven low bits are not less
// than n.
func atLeast(w uint64, n byte) uint64 {
	return ((w &^ highBits) + uint64(0x80-n)*lanes) & highBits
}

// ascii tells whether a text has no byte over 127.
func ascii(text string) bool {
	i := 0
	for ; i+8 <= len(text); i += 8 {
		if word(text, i)&highBits != 0 {
			return false
		}
	}
	for ; i < len(text); i++ {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}
