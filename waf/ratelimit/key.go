package ratelimit

import (
	"crypto/sha256"
	"net/netip"
)

// Key is a group of requests that are counted together. Keys of one kind
// belong in one limiter: an address and a text may have the same key. The zero
// Key is a group like any other, for a limit on all requests together.
type Key [16]byte

// Address is the key of a client's address. The address of an IPv6 client
// changes within its network, at will if it likes: bits is how many leading
// bits count, 64 being what one client has as a rule and 128 the whole
// address. IPv4 addresses count whole, mapped into IPv6 or not.
func Address(addr netip.Addr, bits int) Key {
	if addr.Is4() || addr.Is4In6() {
		return addr.As16()
	}
	prefix, err := addr.WithZone("").Prefix(min(max(bits, 0), 128))
	if err != nil {
		return Key{} // no address
	}
	return prefix.Addr().As16()
}

// Text is the key of a text, such as a country. One of up to 15 bytes is its
// own key; of longer ones it is a part of their SHA-256.
func Text(text string) (k Key) {
	end := len(k) - 1
	if len(text) > end {
		sum := sha256.Sum256([]byte(text))
		copy(k[:], sum[:])
		k[end] |= 0x80 // no length of a short text
		return k
	}
	copy(k[:], text)
	k[end] = byte(len(text)) // "" and "\x00" differ
	return k
}
