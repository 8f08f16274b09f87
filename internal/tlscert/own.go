package tlscert

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"gatehouse/config"
)

// LoadClientCertificate reads a certificate that we show as a client. digest
// tells its files' contents from others. What a backend may refuse is a
// warning.
func LoadClientCertificate(c config.Certificate, now time.Time) (cert tls.Certificate, digest string, warnings []string, err error) {
	pair, err := load(files{cert: c.CertFile, key: c.KeyFile}, now)
	if err != nil {
		return cert, "", nil, fmt.Errorf("certificate %s: %w", c.CertFile, err)
	}
	for _, w := range pair.warnings {
		if w != noNames { // of no use to a client
			warnings = append(warnings, w)
		}
	}
	if leaf := pair.tls.Leaf; len(leaf.ExtKeyUsage) > 0 && !hasUsage(leaf, x509.ExtKeyUsageClientAuth) {
		warnings = append(warnings, "is not for client authentication; backends will refuse it")
	}
	return pair.tls, hex.EncodeToString(pair.sum[:]), warnings, nil
}
