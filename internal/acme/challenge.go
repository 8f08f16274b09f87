package acme

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// challenges are those that this instance is meeting now, by name: one for
// each, as there is one certificate for each.
type challenges struct {
	mu   sync.RWMutex
	open map[string]*challenge
}

// challenge is what an authority will look for. It is stored, so that each
// instance can show it: the authority does not choose which one it meets.
type challenge struct {
	acme.Challenge
	Until time.Time `json:"until"` // what an instance that died left behind ends

	cert *tls.Certificate // of tls-alpn-01
}

// challengeTime is how long a challenge may take.
const challengeTime = 30 * time.Minute

func (c *challenges) put(name string, ch *challenge) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[string]*challenge{}
	}
	c.open[name] = ch
}

func (c *challenges) remove(name, token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch := c.open[name]; ch != nil && ch.Token == token {
		delete(c.open, name)
	}
}

func (c *challenges) get(name string) *challenge {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.open[name]
}

// solver meets challenges that the listeners answer. It implements
// acmez.Solver.
type solver struct {
	open    *challenges
	storage *certmagic.FileStorage
}

func challengeFile(name string) string {
	return "challenges/" + certmagic.StorageKeys.Safe(name) + ".json"
}

// Present implements acmez.Solver.
func (s *solver) Present(ctx context.Context, ac acme.Challenge) error {
	ch := &challenge{Challenge: ac, Until: time.Now().Add(challengeTime)}
	if err := ch.certify(); err != nil {
		return err
	}
	data, err := json.Marshal(ch)
	if err != nil {
		return err
	}
	name := canonical(ac.Identifier.Value)
	s.open.put(name, ch)
	return s.storage.Store(ctx, challengeFile(name), data)
}

// CleanUp implements acmez.Solver.
func (s *solver) CleanUp(ctx context.Context, ac acme.Challenge) error {
	name := canonical(ac.Identifier.Value)
	s.open.remove(name, ac.Token)
	return s.storage.Delete(context.WithoutCancel(ctx), challengeFile(name))
}

// certify makes the certificate that tls-alpn-01 is about (RFC 8737 3).
func (c *challenge) certify() (err error) {
	if c.Type == acme.ChallengeTypeTLSALPN01 {
		c.cert, err = acmez.TLSALPN01ChallengeCert(c.Challenge)
	}
	return err
}

// challenge is what is open for a name, here or in another instance.
func (m *Manager) challenge(name string) *challenge {
	name = canonical(name)
	if ch := m.open.get(name); ch != nil {
		return ch
	}
	names := m.names.Load()
	if names == nil || (*names)[name] == nil {
		return nil
	}
	select {
	case m.looks <- struct{}{}:
		defer func() { <-m.looks }()
	default:
		return nil // somebody asks for the sake of asking
	}
	data, err := (*names)[name].issuer.storage.Load(context.Background(), challengeFile(name))
	if err != nil {
		return nil
	}
	ch := &challenge{}
	if json.Unmarshal(data, ch) != nil || time.Now().After(ch.Until) || canonical(ch.Identifier.Value) != name || ch.certify() != nil {
		return nil
	}
	return ch
}

// maxToken bounds a token: RFC 8555 8.1 asks for 22 characters at least.
const maxToken = 256

// KeyAuthorization is what http-01 wants to see of a name under
// /.well-known/acme-challenge/ and a token (RFC 8555 8.3); false: no such
// challenge is open.
func (m *Manager) KeyAuthorization(name, token string) (string, bool) {
	if token == "" || len(token) > maxToken {
		return "", false
	}
	ch := m.challenge(name)
	if ch == nil || ch.Type != acme.ChallengeTypeHTTP01 || subtle.ConstantTimeCompare([]byte(ch.Token), []byte(token)) != 1 {
		return "", false
	}
	return ch.KeyAuthorization, true
}

// ChallengeConfig is what a handshake that is a tls-alpn-01 challenge gets (RFC
// 8737 3): no client certificate is asked for, and no request will follow. nil:
// it is none, or none that is open.
func (m *Manager) ChallengeConfig(h *tls.ClientHelloInfo) *tls.Config {
	if !slices.Equal(h.SupportedProtos, []string{acmez.ACMETLS1Protocol}) {
		return nil
	}
	ch := m.challenge(h.ServerName)
	if ch == nil || ch.cert == nil {
		return nil
	}
	return &tls.Config{Certificates: []tls.Certificate{*ch.cert}, MinVersion: tls.VersionTLS12,
		NextProtos: []string{acmez.ACMETLS1Protocol}, SessionTicketsDisabled: true}
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
