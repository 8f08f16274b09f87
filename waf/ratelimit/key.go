package ratelimit

import (
	"hash/maphash"
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
// own key; longer ones are hashed, with a seed of this process.
func Text(text string) (k Key) {
	if len(text) < len(k) {
		copy(k[:], text)
		k[len(k)-1] = byte(len(text)) // "" and "\x00" differ
		return k
	}
	for i := range 2 {
		var h maphash.Hash
		h.SetSeed(seed)
		h.WriteByte(byte(i))
		h.WriteString(text)
		putUint64(k[8*i:], h.Sum64())
	}
	k[len(k)-1] |= 0x80 // no length of a short text
	return k
}
