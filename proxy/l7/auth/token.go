package auth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"gatehouse/config"
)

// JWT verifies tokens. It is safe for concurrent use.
type JWT struct {
	conf       *config.JWTAuth
	keys       KeySource
	algorithms []jose.SignatureAlgorithm
	verified   *cache[verified]
}

// verified is what is known of a token, as long as the keys are the same.
type verified struct {
	by      *KeySet
	id      *Identity
	refusal *Refusal // of claims
}

// NewJWT makes a JWT; c must not change.
func NewJWT(c *config.JWTAuth, keys KeySource) *JWT {
	j := &JWT{conf: c, keys: keys, verified: newCache[verified]()}
	for _, a := range c.Algorithms {
		j.algorithms = append(j.algorithms, jose.SignatureAlgorithm(a))
	}
	return j
}

// What may be wrong with a token.
var (
	errTokenForm      = errors.New("not a token")
	errTokenLong      = errors.New("too long")
	errTokenHeader    = errors.New("header is malformed")
	errTokenCritical  = errors.New("header has crit, zip or a nested token")
	errTokenAlgorithm = errors.New("algorithm is not allowed")
	errTokenKey       = errors.New("no key fits")
	errTokenSignature = errors.New("signature is wrong")
)

// NoToken is the answer to a request without one (RFC 6750 3: without an error
// code).
func (j *JWT) NoToken() *Refusal {
	return &Refusal{Status: 401, Reason: "no token", Challenge: fmt.Sprintf("Bearer realm=%q", j.conf.Realm)}
}

// VerifyAuthorization judges the value of an Authorization field.
func (j *JWT) VerifyAuthorization(value []byte) (*Identity, *Refusal) {
	token, ok := afterScheme(value, "bearer")
	if !ok {
		return nil, j.NoToken()
	}
	return j.Verify(token)
}

// Verify judges a token.
func (j *JWT) Verify(token []byte) (*Identity, *Refusal) {
	keys := j.keys.Keys()
	if keys == nil {
		if keys = j.keys.Renewed(); keys == nil {
			return nil, &Refusal{Status: 503, Reason: "no keys of the issuer yet"}
		}
	}
	if len(token) > j.conf.MaxBytes {
		return nil, j.invalid(errTokenLong)
	}
	d, now := j.verified.digest(token), time.Now()
	if v, ok := j.verified.get(d, now); ok && v.by == keys {
		return v.id, v.refusal
	}
	payload, by, err := j.open(token, keys)
	if err != nil {
		return nil, j.invalid(err)
	}
	c, err := parseClaims(payload)
	if err != nil {
		return nil, j.invalid(err)
	}
	until, err := c.check(j.conf, now)
	if err != nil {
		return nil, j.invalid(err)
	}
	v := verified{by: by}
	v.id, v.refusal = j.judge(c)
	if soon := now.Add(cacheTime); soon.Before(until) {
		until = soon
	}
	j.verified.put(d, v, until)
	return v.id, v.refusal
}

// judge looks at the claims of a good token.
func (j *JWT) judge(c claims) (*Identity, *Refusal) {
	for i := range j.conf.Claims {
		if m := &j.conf.Claims[i]; !c.has(m) {
			return nil, &Refusal{Status: 403, Reason: "token: claim " + m.Name + " is not as it must be",
				Challenge: fmt.Sprintf("Bearer realm=%q, error=\"insufficient_scope\"", j.conf.Realm)}
		}
	}
	id, err := c.identity(j.conf.ForwardClaims)
	if err != nil {
		return nil, j.invalid(err)
	}
	return id, nil
}

func (j *JWT) invalid(err error) *Refusal {
	return &Refusal{Status: 401, Reason: "token: " + err.Error(), Challenge: fmt.Sprintf("Bearer realm=%q, error=\"invalid_token\"", j.conf.Realm)}
}

// tokenHeader is what of a header is looked at; the rest means nothing here,
// keys and addresses of keys above all (RFC 8725 3.10).
type tokenHeader struct {
	algorithm string
	id        string
	named     bool
}

// open verifies the signature and returns the payload, and the keys that did.
func (j *JWT) open(token []byte, keys *KeySet) (payload []byte, by *KeySet, err error) {
	h, err := parseHeader(token)
	if err != nil {
		return nil, nil, err
	}
	if !slices.Contains(j.conf.Algorithms, h.algorithm) {
		return nil, nil, errTokenAlgorithm
	}
	signed, err := jose.ParseSignedCompact(string(token), j.algorithms)
	if err != nil || len(signed.Signatures) != 1 {
		return nil, nil, errTokenForm
	}
	fit := keys.find(h.id, h.named, h.algorithm)
	if len(fit) == 0 {
		keys = j.keys.Renewed()
		fit = keys.find(h.id, h.named, h.algorithm)
	}
	if len(fit) == 0 {
		return nil, nil, errTokenKey
	}
	for _, k := range fit {
		if payload, err = signed.Verify(k.public); err == nil {
			return payload, keys, nil
		}
	}
	return nil, nil, errTokenSignature
}

// parseHeader reads the header of a token in compact form (RFC 7515 7.1), which
// nobody has verified.
func parseHeader(token []byte) (h tokenHeader, err error) {
	first, _, _ := bytes.Cut(token, []byte{'.'})
	if bytes.Count(token, []byte{'.'}) != 2 || !isTokenText(token) {
		return h, errTokenForm
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(string(first))
	if err != nil {
		return h, errTokenForm
	}
	var all map[string]any
	if json.Unmarshal(text, &all) != nil {
		return h, errTokenHeader
	}
	for _, never := range []string{"crit", "b64", "zip", "enc"} {
		if _, there := all[never]; there {
			return h, errTokenCritical
		}
	}
	if nested, there := all["cty"]; there {
		if s, ok := nested.(string); !ok || strings.EqualFold(s, "jwt") {
			return h, errTokenCritical
		}
	}
	h.algorithm, _ = all["alg"].(string)
	id, named := all["kid"]
	if h.id, h.named = "", named; named {
		var isText bool
		if h.id, isText = id.(string); !isText {
			return h, errTokenHeader
		}
	}
	return h, nil
}

// isTokenText reports whether all is base64url and dots: decoders let line
// breaks pass.
func isTokenText(token []byte) bool {
	for _, c := range token {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}
