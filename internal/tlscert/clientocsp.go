package tlscert

import (
	"crypto/x509"
	"time"

	"gatehouse/config"
)

// AskWith sets who asks OCSP responders: before a is used, and only of an a
// that LoadClientAuth has just returned. Without it nobody can be asked about.
func (a *ClientAuth) AskWith(k *Asker) {
	if a != nil {
		a.asker = k
	}
}

// responderFor is where to ask about a client's certificate.
func (a *ClientAuth) responderFor(leaf *x509.Certificate) string {
	if a.ocspURL != "" {
		return a.ocspURL
	}
	return responderOf(leaf)
}

// askAbout asks about a client's certificate and about the CAs above it that
// name a responder. The chain has been verified: that somebody else chose where
// we connect to is then the will of a CA that is trusted.
func (a *ClientAuth) askAbout(leaf *x509.Certificate, chain []*x509.Certificate, now time.Time) error {
	if a.ocsp == config.ClientOCSPOff {
		return nil
	}
	for i, c := range chain[:len(chain)-1] {
		url := responderOf(c)
		if i == 0 {
			url = a.responderFor(c)
		}
		if url == "" && i > 0 {
			continue // its revocation is the affair of lists
		}
		if url == "" || a.asker == nil {
			if a.ocsp == config.ClientOCSPOn {
				return a.fault(leaf, ClientCertOCSP, "certificate names no OCSP responder")
			}
			continue
		}
		v := a.asker.ask(url, c, chain[i+1], now)
		switch {
		case v.revoked && i > 0:
			return a.fault(leaf, ClientCertRevoked, "a CA of the chain is revoked")
		case v.revoked:
			return a.fault(leaf, ClientCertRevoked, "certificate is revoked")
		case v.err != nil && a.ocsp == config.ClientOCSPOn:
			return a.fault(leaf, ClientCertOCSP, "no OCSP responder can be asked about it")
		}
	}
	return nil
}
