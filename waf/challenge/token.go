package challenge

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"math/bits"
	"strings"
	"time"
)

// token is what a page carries: when it was issued, for how long a solution
// is good, what has to be found, and a signature over these and the client.
//
//	byte  0      format, 1
//	      1      which key signed it
//	      2      difficulty: zero bits
//	      3-10   when it was issued, in seconds since 1970
//	     11-14   life of a solution in seconds
//	     15-24   random, so that no two are equal
//	     25-56   HMAC-SHA256
type token [57]byte

const (
	tokenFormat = 1
	tokenSigned = 25 // what comes before the signature
	tokenText   = 76 // characters of it in base64: 57 bytes leave no spare bits, so there is one way to write it
)

func (t *token) set(keyID byte, difficulty int, issued time.Time, life time.Duration) {
	t[0], t[1], t[2] = tokenFormat, keyID, byte(difficulty)
	binary.BigEndian.PutUint64(t[3:], uint64(issued.Unix()))
	binary.BigEndian.PutUint32(t[11:], uint32(life/time.Second))
}

func (t *token) keyID() byte       { return t[1] }
func (t *token) difficulty() int   { return int(t[2]) }
func (t *token) issued() time.Time { return time.Unix(int64(binary.BigEndian.Uint64(t[3:])), 0) }
func (t *token) life() time.Duration {
	return time.Duration(binary.BigEndian.Uint32(t[11:])) * time.Second
}
func (t *token) salt() []byte      { return t[15:tokenSigned] }
func (t *token) signature() []byte { return t[tokenSigned:] }

// text is the token as the page and the cookie have it.
func (t *token) text() string { return base64.RawURLEncoding.EncodeToString(t[:]) }

// solution is the content of a cookie: "token.nonce".
type solution struct {
	token token
	nonce string // 8 digits of 0-9a-f
}

const (
	nonceText    = 8
	solutionText = tokenText + 1 + nonceText
)

// parseSolution reads a cookie. It accepts one way of writing each solution.
func parseSolution(cookie string) (s solution, ok bool) {
	if len(cookie) != solutionText || cookie[tokenText] != '.' {
		return s, false
	}
	var text [tokenText]byte
	copy(text[:], cookie)
	if n, err := base64.RawURLEncoding.Decode(s.token[:], text[:]); err != nil || n != len(s.token) {
		return s, false
	}
	s.nonce = cookie[tokenText+1:]
	for i := range len(s.nonce) {
		if strings.IndexByte("0123456789abcdef", s.nonce[i]) < 0 {
			return s, false
		}
	}
	return s, s.token[0] == tokenFormat
}

// solves reports whether the hash of a cookie begins with so many zero bits,
// at most 32. The cookie is one that was parsed.
func solves(cookie string, difficulty int) bool {
	var text [solutionText]byte
	copy(text[:], cookie)
	sum := sha256.Sum256(text[:])
	return bits.LeadingZeros32(binary.BigEndian.Uint32(sum[:])) >= difficulty
}
