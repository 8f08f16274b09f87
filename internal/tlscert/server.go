package tlscert

import (
	"crypto/tls"

	"gatehouse/config"
)

// ServerConfig returns the TLS side of a listener: its certificates as they
// are at each handshake, its policy, what it asks of clients (nil: nothing),
// and tickets of its own, or of keys that instances share. Where several
// listeners share an address, each has such a Config and the caller chooses
// among them in GetConfigForClient.
//
// Curves are crypto/tls's own choice, which includes the hybrid
// post-quantum ones. If nextProtos is empty, http/1.1 is offered.
func ServerConfig(set *Set, policy config.TLSPolicy, clients *ClientAuth, tickets TicketSource, nextProtos ...string) *tls.Config {
	if len(nextProtos) == 0 {
		nextProtos = []string{"http/1.1"}
	}
	ring := tickets.ring(set.listener, policy, clients.Digest())
	t := &tls.Config{
		GetCertificate: set.Certificate,
		MinVersion:     policy.MinVersion,
		MaxVersion:     policy.MaxVersion,
		CipherSuites:   policy.CipherSuites,
		NextProtos:     nextProtos,
		WrapSession:    ring.wrap,
		UnwrapSession:  ring.unwrap,
	}
	clients.configure(t)
	return t
}
