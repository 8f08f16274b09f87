package tlscert

import (
	"crypto/tls"
	"slices"
)

// For is the configuration for a client: without HTTP/2 for one that could have
// it only with a cipher suite that RFC 9113 forbids (9.2.2, Appendix A).
// Browsers close such connections, and do not come back with HTTP/1.1.
func For(c *tls.Config, h *tls.ClientHelloInfo) *tls.Config {
	if !slices.Contains(c.NextProtos, "h2") || fitForHTTP2(c, h) {
		return c
	}
	c = c.Clone()
	c.NextProtos = []string{"http/1.1"}
	return c
}

// fitForHTTP2 reports whether the handshake will choose what HTTP/2 may use:
// crypto/tls prefers it where both sides have it.
func fitForHTTP2(c *tls.Config, h *tls.ClientHelloInfo) bool {
	most := c.MaxVersion
	if most == 0 {
		most = tls.VersionTLS13
	}
	offers := func(version uint16) bool {
		return version <= most && version >= c.MinVersion && slices.Contains(h.SupportedVersions, version)
	}
	if offers(tls.VersionTLS13) {
		return true
	}
	return offers(tls.VersionTLS12) && slices.ContainsFunc(h.CipherSuites, func(s uint16) bool {
		return allowed[s] && (c.CipherSuites == nil || slices.Contains(c.CipherSuites, s))
	})
}

// allowed are the suites of TLS 1.2 that HTTP/2 may use, of those that
// crypto/tls has.
var allowed = map[uint16]bool{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       true,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       true,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: true,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:         true,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:         true,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:   true,
}
