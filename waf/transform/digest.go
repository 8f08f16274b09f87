package transform

import (
	"crypto/fips140"
	"crypto/md5"
	"crypto/sha1"
	"strconv"
)

// length is the number of bytes, in decimal.
func length(text string) string {
	n := strconv.Itoa(len(text))
	if n == text {
		return text
	}
	return n
}

// md5Digest is the 16 bytes of the digest. Where FIPS 140 is in force it does
// nothing, as in Coraza.
func md5Digest(text string) string {
	if fips140.Enabled() {
		return text
	}
	sum := md5.Sum([]byte(text))
	return string(sum[:])
}

// sha1Digest is the 20 bytes of the digest; for FIPS 140 see md5Digest.
func sha1Digest(text string) string {
	if fips140.Enabled() {
		return text
	}
	sum := sha1.Sum([]byte(text))
	return string(sum[:])
}
