package tlscert

import (
	"crypto/tls"
	"slices"
	"testing"
)

// HTTP/2 is offered to those with whom it may be spoken (RFC 9113 9.2).
func TestHTTP2NeedsItsSuites(t *testing.T) {
	const cbc, gcm = tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
	old := []uint16{tls.VersionTLS12, tls.VersionTLS11}
	tests := []struct {
		name     string
		max      uint16
		ours     []uint16
		versions []uint16
		theirs   []uint16
		want     bool
	}{
		{"TLS 1.3", 0, []uint16{cbc}, []uint16{tls.VersionTLS13, tls.VersionTLS12}, []uint16{cbc}, true},
		{"TLS 1.3 of theirs only", tls.VersionTLS12, []uint16{cbc}, []uint16{tls.VersionTLS13, tls.VersionTLS12}, []uint16{cbc, gcm}, false},
		{"GCM", 0, []uint16{cbc, gcm}, old, []uint16{cbc, gcm}, true},
		{"GCM by default", 0, nil, old, []uint16{gcm}, true},
		{"CBC of theirs", 0, []uint16{cbc, gcm}, old, []uint16{cbc}, false},
		{"CBC of ours", 0, []uint16{cbc}, old, []uint16{cbc, gcm}, false},
		{"TLS 1.1", 0, []uint16{cbc, gcm}, old[1:], []uint16{cbc, gcm}, false},
	}
	for _, tt := range tests {
		c := &tls.Config{MinVersion: tls.VersionTLS11, MaxVersion: tt.max, CipherSuites: tt.ours, NextProtos: []string{"h2", "http/1.1"}}
		got := For(c, &tls.ClientHelloInfo{SupportedVersions: tt.versions, CipherSuites: tt.theirs}).NextProtos
		if slices.Contains(got, "h2") != tt.want || !slices.Contains(got, "http/1.1") {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
