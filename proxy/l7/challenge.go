package l7

import (
	"bytes"
	"crypto/tls"

	"gatehouse/internal/stream"
	"gatehouse/internal/telemetry"
)

// Challenges shows a certificate authority that names are ours (RFC 8555 8).
// It answers for the challenges that are open, for no others, and at once.
type Challenges interface {
	// KeyAuthorization is what http-01 wants to see of a host under a token.
	KeyAuthorization(host, token string) (string, bool)
	// ChallengeConfig is what a handshake gets that is tls-alpn-01's (RFC 8737);
	// nil: it is an ordinary one.
	ChallengeConfig(h *tls.ClientHelloInfo) *tls.Config
}

const challengePath = "/.well-known/acme-challenge/"

// meetChallenge answers a request that is an open http-01 challenge. It comes
// before all rules: the authority must not be denied, sent elsewhere or judged.
func (f *flow) meetChallenge() bool {
	token, ok := bytes.CutPrefix(f.req.Bytes(f.req.RawPath), []byte(challengePath))
	if !ok {
		return false
	}
	text, ok := f.snap.Challenges.KeyAuthorization(string(f.req.Bytes(f.req.HostName)), string(token))
	if !ok {
		return false
	}
	f.rec.Reason, f.rec.Status, f.rec.Termination = "ACME challenge", 200, telemetry.Termination{'P', 'R'}
	r := f.startResponse(200)
	r.AddString("Content-Type", "text/plain")
	r.AddString("Cache-Control", "no-store")
	f.answer(r, []byte(text))
	return true
}

// challenged is the configuration of a handshake that is a challenge.
func (fe *Frontend) challenged(h *tls.ClientHelloInfo) *tls.Config {
	if c := fe.gw.current.Load().Challenges; c != nil {
		return c.ChallengeConfig(h)
	}
	return nil
}

// challengeMet ends a connection whose handshake was all that was wanted.
func (fe *Frontend) challengeMet(c *conn) {
	fe.gw.log.Info("ACME challenge met", "client", c.Peer.Addr().String(), "took", stream.Now()-c.Opened)
	c.Stream.Close()
}
