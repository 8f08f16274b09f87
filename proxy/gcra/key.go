package gcra

import (
	"hash/maphash"
	"net/netip"
)

// Key is a group of requests that are counted together: 128 bits of a hash
// whose seed nobody outside knows, so that nobody can choose texts that fall
// together.
type Key struct{ high, low uint64 }

// seeds are those of the two halves of a key.
type seeds struct{ high, low maphash.Seed }

func newSeeds() seeds { return seeds{maphash.MakeSeed(), maphash.MakeSeed()} }

// Text is the key of a text.
func (l *Limiter) Text(text []byte) Key {
	s := &l.table.seeds
	return Key{maphash.Bytes(s.high, text), maphash.Bytes(s.low, text)}
}

// Name is Text of a string.
func (l *Limiter) Name(text string) Key {
	s := &l.table.seeds
	return Key{maphash.String(s.high, text), maphash.String(s.low, text)}
}

// Address is the key of a client's address, of which bits count if it is an
// IPv6 one: who has one such address has many. No text has the same key.
func (l *Limiter) Address(addr netip.Addr, bits int) Key {
	b := addr.Unmap().As16()
	if !addr.Unmap().Is4() {
		if p, err := addr.WithZone("").Prefix(bits); err == nil {
			b = p.Addr().As16()
		}
	}
	k := l.Text(b[:])
	k.high ^= 1
	return k
}
