package transform

import (
	"encoding/base64"
	"encoding/hex"
)

// hexDigit is the value of a hexadecimal digit; -1: it is none.
var hexDigit = func() (t [256]int8) {
	for c := range t {
		t[c] = -1
	}
	for i := range int8(10) {
		t['0'+i] = i
	}
	for i := range int8(6) {
		t['a'+i], t['A'+i] = 10+i, 10+i
	}
	return t
}()

// hexPair is the byte that two hexadecimal digits at offset i give.
func hexPair(text string, i int) (b byte, ok bool) {
	if i+2 > len(text) {
		return 0, false
	}
	high, low := hexDigit[text[i]], hexDigit[text[i+1]]
	return byte(high)<<4 | byte(low), high >= 0 && low >= 0
}

func hexEncode(text string) string {
	if text == "" {
		return text
	}
	return asString(hex.AppendEncode(make([]byte, 0, 2*len(text)), []byte(text)))
}

// hexDecode leaves a text alone that is not all pairs of digits.
func hexDecode(text string) string {
	if len(text)%2 != 0 || text == "" {
		return text
	}
	for i := range len(text) {
		if hexDigit[text[i]] < 0 {
			return text
		}
	}
	out := make([]byte, len(text)/2)
	for i := range out {
		out[i], _ = hexPair(text, 2*i)
	}
	return asString(out)
}

func base64Encode(text string) string {
	if text == "" {
		return text
	}
	return base64.StdEncoding.EncodeToString([]byte(text))
}

// What a byte that is no digit is to a decoder of base64.
const (
	base64Stop = -1 - iota // what precedes it is the result
	base64Skip             // as if it were not there
)

// base64Digit is the value of a digit. Line ends do not count, anything else
// ends the text.
var base64Digit = base64Table(base64Stop, "+/", "\r\n", "")

// base64DigitExt forgives: it reads the alphabet of URLs too (RFC 4648,
// section 5), and does not count what is no digit, except padding, the end.
var base64DigitExt = base64Table(base64Skip, "-_", "", "=")

// base64Table makes a table of the digits of RFC 4648, of two more for 62 and
// 63, of the bytes to skip and those to stop at; others are what other says.
func base64Table(other int8, last, skip, stop string) (t [256]int8) {
	for c := range t {
		t[c] = other
	}
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range int8(64) {
		t[digits[i]] = i
	}
	t[last[0]], t[last[1]] = 62, 63
	for i := range len(skip) {
		t[skip[i]] = base64Skip
	}
	for i := range len(stop) {
		t[stop[i]] = base64Stop
	}
	return t
}

func base64Decode(text string) string    { return decode64(text, &base64Digit) }
func base64DecodeExt(text string) string { return decode64(text, &base64DigitExt) }

// decode64 decodes up to the first byte that ends the text. Of an incomplete
// group it gives the whole bytes.
func decode64(text string, digit *[256]int8) string {
	if text == "" {
		return text
	}
	out := make([]byte, 0, len(text)/4*3+3)
	group, n := uint32(0), 0
	for i := range len(text) {
		d := digit[text[i]]
		if d == base64Skip {
			continue
		}
		if d == base64Stop {
			break
		}
		group = group<<6 | uint32(d)
		if n++; n == 4 {
			out = append(out, byte(group>>16), byte(group>>8), byte(group))
			group, n = 0, 0
		}
	}
	switch n {
	case 2:
		out = append(out, byte(group>>4))
	case 3:
		out = append(out, byte(group>>10), byte(group>>2))
	}
	return asString(out)
}
