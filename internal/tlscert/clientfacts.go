package tlscert

// certTime is how OpenSSL and nginx write the time of a certificate.
const certTime = "Jan _2 15:04:05 2006 GMT"

// Serial is the certificate's number in hexadecimal (Azure:
// client_certificate_serial); empty if none was shown.
func (c *ClientCert) Serial() string {
	if c == nil || len(c.Shown) == 0 {
		return ""
	}
	return c.Shown[0].SerialNumber.Text(16)
}

// Begins is from when on the certificate is good (Azure:
// client_certificate_start_date); empty if none was shown.
func (c *ClientCert) Begins() string {
	if c == nil || len(c.Shown) == 0 {
		return ""
	}
	return c.Shown[0].NotBefore.UTC().Format(certTime)
}

// Ends is until when it is good (Azure: client_certificate_end_date); empty if
// none was shown.
func (c *ClientCert) Ends() string {
	if c == nil || len(c.Shown) == 0 {
		return ""
	}
	return c.Shown[0].NotAfter.UTC().Format(certTime)
}
