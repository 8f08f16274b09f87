package tlscert

// MissingError is why a handshake fails for want of a certificate that is
// still to come.
type MissingError struct {
	Name string // that the certificate is for
	Why  string
}

func (e *MissingError) Error() string { return "no certificate for " + e.Name + " yet: " + e.Why }
