package rewrite

import (
	"gatehouse/config"
)

// appendCertificate appends what a variable says of the client's certificate:
// nothing where the listener asks for none.
func (x *Exchange) appendCertificate(dst []byte, s config.RewriteSource) []byte {
	c := x.Cert
	if c == nil {
		return dst
	}
	switch s {
	case config.SourceClientCertificate:
		if len(c.Shown) > 0 {
			dst = c.AppendPEM(dst)
		}
	case config.SourceClientCertificateEndDate:
		dst = append(dst, c.Ends()...)
	case config.SourceClientCertificateFingerprint:
		dst = append(dst, c.Fingerprint...)
	case config.SourceClientCertificateIssuer:
		dst = append(dst, c.Issuer...)
	case config.SourceClientCertificateSerial:
		dst = append(dst, c.Serial()...)
	case config.SourceClientCertificateStartDate:
		dst = append(dst, c.Begins()...)
	case config.SourceClientCertificateSubject:
		dst = append(dst, c.Subject...)
	case config.SourceClientCertificateVerification:
		dst = append(dst, c.Verdict...)
	}
	return dst
}
