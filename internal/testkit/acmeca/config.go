package acmeca

import (
	"crypto/tls"

	"gatehouse/internal/testkit"
)

// testkitConfig is that of a server at 127.0.0.1.
func testkitConfig(ca *testkit.CA) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{ca.Server("127.0.0.1").TLS}}
}
