package authority

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"

	"github.com/dchest/siphash"

	"gatehouse/dnslb/server"
)

// Cookies makes and checks the server's part of DNS cookies: version 1 of RFC
// 9018, which servers that share the secret make alike.
type Cookies struct{ k0, k1 uint64 }

// CookieSecret is how long the secret is.
const CookieSecret = 16

// NewCookies uses a secret of 16 octets, or one made now if it is nil.
func NewCookies(secret []byte) *Cookies {
	if secret == nil {
		secret = make([]byte, CookieSecret)
		rand.Read(secret)
	}
	return &Cookies{binary.LittleEndian.Uint64(secret), binary.LittleEndian.Uint64(secret[8:])}
}

// How old a cookie may be, and how far ahead of our clock (RFC 9018 4.3).
const (
	cookieAge   = 3600
	cookieAhead = 300
)

// answer appends the cookie for a query that has one.
func (c *Cookies) answer(b, asked []byte, from *server.Peer) []byte {
	now := uint32(from.Now.Unix())
	b = append(b, asked[:8]...)
	b = append(b, 1, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, now)
	return binary.LittleEndian.AppendUint64(b, c.hash(b[:16], from.Addr.Addr()))
}

// valid tells whether a cookie is one that we gave to the address it comes
// from, and not long ago.
func (c *Cookies) valid(asked []byte, from *server.Peer) bool {
	if len(asked) != 24 || asked[8] != 1 {
		return false
	}
	age := int32(uint32(from.Now.Unix()) - binary.BigEndian.Uint32(asked[12:]))
	if age > cookieAge || age < -cookieAhead {
		return false
	}
	return binary.LittleEndian.Uint64(asked[16:]) == c.hash(asked[:16], from.Addr.Addr())
}

// hash is over the client's cookie, version, reserved octets, time and the
// client's address (RFC 9018 4.4).
func (c *Cookies) hash(head []byte, client netip.Addr) uint64 {
	var b [32]byte
	n := copy(b[:], head)
	if client.Is4() {
		a := client.As4()
		n += copy(b[n:], a[:])
	} else {
		a := client.As16()
		n += copy(b[n:], a[:])
	}
	return siphash.Hash(c.k0, c.k1, b[:n])
}
