package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// maxKeys is how many keys of a set are looked at.
const maxKeys = 100

// KeySet is an issuer's public keys (RFC 7517).
type KeySet struct {
	keys []key
	// Skipped is how many keys of the set are of no use here.
	Skipped int
}

type key struct {
	id         string
	public     any
	algorithms []string
}

// ParseKeys reads a JSON Web Key Set. Keys of kinds that are not known, for
// encryption, with a private part, shared secrets, and weak ones are left out;
// a set without any other is an error.
func ParseKeys(text []byte) (*KeySet, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("not a JSON Web Key Set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("more than %d keys", maxKeys)
	}
	s := &KeySet{}
	for _, raw := range set.Keys {
		k, err := parseKey(raw)
		if err != nil {
			s.Skipped++
			continue
		}
		s.keys = append(s.keys, k)
	}
	if len(s.keys) == 0 {
		return nil, errors.New("has no public key for signatures")
	}
	return s, nil
}

// Len is the number of keys.
func (s *KeySet) Len() int { return len(s.keys) }

func parseKey(raw []byte) (key, error) {
	var k jose.JSONWebKey
	if err := json.Unmarshal(raw, &k); err != nil {
		return key{}, err
	}
	if !k.IsPublic() || !k.Valid() || k.Use != "" && k.Use != "sig" {
		return key{}, errors.New("not a public key for signatures")
	}
	algorithms := algorithmsOf(k.Key)
	if k.Algorithm != "" {
		algorithms = only(algorithms, k.Algorithm)
	}
	if len(algorithms) == 0 {
		return key{}, errors.New("no algorithm for the key")
	}
	return key{k.KeyID, k.Key, algorithms}, nil
}

// algorithmsOf is what a key can verify (RFC 7518 3.1; RFC 8725 3.2: a curve
// has one algorithm).
func algorithmsOf(public any) []string {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 || k.N.BitLen() > 8192 || k.E < 3 {
			return nil
		}
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		switch k.Curve.Params().BitSize {
		case 256:
			return []string{"ES256"}
		case 384:
			return []string{"ES384"}
		case 521:
			return []string{"ES512"}
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}
	}
	return nil
}

func only(all []string, one string) []string {
	for _, a := range all {
		if a == one {
			return []string{one}
		}
	}
	return nil
}

// maxTried is how many keys a token without kid is tried with.
const maxTried = 4

// find returns the keys that may have signed a token.
func (s *KeySet) find(id string, named bool, algorithm string) (found []key) {
	for _, k := range s.keys {
		if (!named || k.id == id) && len(only(k.algorithms, algorithm)) > 0 {
			if found = append(found, k); len(found) == maxTried {
				break
			}
		}
	}
	return found
}

// KeySource is where the keys come from.
type KeySource interface {
	// Keys is the set in use; nil: there is none yet.
	Keys() *KeySet
	// Renewed is called when no key fits a token: it may wait a little for a
	// newer set, and returns the one in use then.
	Renewed() *KeySet
}

// Keys implements KeySource: the set is all there is.
func (s *KeySet) Keys() *KeySet { return s }

// Renewed implements KeySource.
func (s *KeySet) Renewed() *KeySet { return s }
