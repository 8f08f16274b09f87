package challenge

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
	"net/netip"
	"sync"

	"gatehouse/waf/variables"
)

// minSecret is the shortest secret that is accepted, in bytes.
const minSecret = 16

// maxAgent is how much of a user agent a token is bound to, in bytes.
const maxAgent = 512

// key signs tokens of one policy with one secret.
type key struct {
	id   byte      // tells keys apart without trying them all; nothing can be learned from it
	macs sync.Pool // of *mac
}

// mac is an HMAC with the memory to use it without allocating.
type mac struct {
	hash hash.Hash
	text [tokenSigned + 16 + maxAgent]byte
	sum  [sha256.Size]byte
}

// newKey derives a key, so that neither another policy with the same secret
// nor another use of it has the same one.
func newKey(secret []byte, policy string) (*key, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("%d bytes, want at least %d", len(secret), minSecret)
	}
	derived, err := hkdf.Key(sha256.New, secret, nil, CookieName+" 1 "+policy, 33)
	if err != nil {
		return nil, err
	}
	k := &key{id: derived[32]}
	k.macs.New = func() any { return &mac{hash: hmac.New(sha256.New, derived[:32])} }
	return k, nil
}

// sign signs a token for the client of a request.
func (k *key) sign(t *token, r *variables.Request) {
	m := k.macs.Get().(*mac)
	defer k.macs.Put(m)
	copy(t.signature(), m.of(t, r))
}

// verify reports whether the key signed the token for this client.
func (k *key) verify(t *token, r *variables.Request) bool {
	m := k.macs.Get().(*mac)
	defer k.macs.Put(m)
	return hmac.Equal(t.signature(), m.of(t, r))
}

// of is the signature of a token for a client. All that is signed has a fixed
// length but for the user agent, which is last.
func (m *mac) of(t *token, r *variables.Request) []byte {
	text := append(m.text[:0], t[:tokenSigned]...)
	network := clientNetwork(r.Client.Addr())
	text = append(text, network[:]...)
	agent, _ := r.Header("user-agent")
	text = append(text, agent[:min(len(agent), maxAgent)]...)
	m.hash.Reset()
	m.hash.Write(text)
	return m.hash.Sum(m.sum[:0])
}

// clientNetwork is what of an address stays the same for one client: all of
// IPv4, and the network of IPv6, as hosts change the rest by themselves (RFC
// 8981).
func clientNetwork(a netip.Addr) (n [16]byte) {
	n = a.As16()
	if a.Is6() && !a.Is4In6() {
		clear(n[8:])
	}
	return n
}
