package tlscert

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"gatehouse/config"
	"gatehouse/internal/smallfile"
)

// ClientAuth judges the certificates of a listener's clients: immutable but for
// what responders say. A nil one stands for mode off.
type ClientAuth struct {
	mode   config.ClientAuthMode
	digest string
	cas    []*x509.Certificate // of the CA file; none: nobody can be verified

	roots         *x509.CertPool
	intermediates []*x509.Certificate
	lowest        map[string]bool         // subjects (DER); nil: any issuer will do
	lists         map[issuer]*revocations // nil: no lists are asked for

	ocsp    config.ClientOCSP
	ocspURL string // empty: that of the certificate
	asker   *Asker // nil: nobody can be asked
}

// Describe is what clients are asked for, for people.
func (a *ClientAuth) Describe() string {
	if a.mode == config.ClientAuthStrict {
		return "a good certificate, or there is no connection (strict)"
	}
	return "a certificate, if the client has one (passthrough)"
}

// maxCAFile bounds a CA file in bytes (Azure: 25 KB).
const maxCAFile = 1 << 20

// LoadClientAuth reads the files of a listener's client authentication; nil
// for mode off. An error names the file. What will refuse clients, now or
// soon, but is not wrong in itself is a warning.
func LoadClientAuth(c config.ClientAuth, now time.Time) (a *ClientAuth, warnings []string, err error) {
	if c.Mode == config.ClientAuthOff {
		return nil, nil, nil
	}
	a = &ClientAuth{mode: c.Mode, ocsp: c.OCSP, ocspURL: c.OCSPURL}
	sum := sha256.New()
	fmt.Fprintf(sum, "%d %t %t %d %q\n", c.Mode, c.VerifyIssuerDN, c.CRLFile != "", c.OCSP, c.OCSPURL)
	if c.CAFile != "" {
		data, err := smallfile.Read(c.CAFile, maxCAFile)
		if err != nil {
			return nil, nil, err
		}
		fmt.Fprintf(sum, "%d\n", len(data)) // where one ends and the other begins
		sum.Write(data)
		if warnings, err = a.addCAs(data, now); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", c.CAFile, err)
		}
	}
	if c.VerifyIssuerDN {
		a.lowest = lowestCAs(a.cas)
	}
	if c.CRLFile != "" {
		data, err := smallfile.Read(c.CRLFile, maxCRLFile)
		if err != nil {
			return nil, nil, err
		}
		sum.Write(data)
		late, err := a.addLists(data, now)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", c.CRLFile, err)
		}
		warnings = append(warnings, late...)
	}
	a.digest = hex.EncodeToString(sum.Sum(nil))
	return a, warnings, nil
}

// addCAs takes the CAs of a PEM file: those that are signed by themselves are
// trusted, the others help to find the way to them.
func (a *ClientAuth) addCAs(data []byte, now time.Time) (warnings []string, err error) {
	a.roots = x509.NewCertPool()
	rooted := false
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(a.cas)+1, err)
		}
		if !ca.IsCA || !ca.BasicConstraintsValid {
			return nil, fmt.Errorf("certificate %d (%s) is not that of a CA", len(a.cas)+1, Name(ca.RawSubject))
		}
		if now.After(ca.NotAfter) || now.Before(ca.NotBefore) {
			warnings = append(warnings, fmt.Sprintf("the CA %s is valid from %s to %s only; its clients are refused",
				Name(ca.RawSubject), ca.NotBefore.UTC().Format(time.RFC3339), ca.NotAfter.UTC().Format(time.RFC3339)))
		}
		a.cas = append(a.cas, ca)
		if selfSigned(ca) {
			rooted = true
			a.roots.AddCert(ca)
		} else {
			a.intermediates = append(a.intermediates, ca)
		}
	}
	switch {
	case len(a.cas) == 0:
		return nil, errors.New("has no PEM certificate")
	case !rooted:
		return nil, errors.New("has no root, a CA that is signed by itself; add it")
	}
	return warnings, nil
}

func selfSigned(c *x509.Certificate) bool {
	return string(c.RawSubject) == string(c.RawIssuer) && c.CheckSignatureFrom(c) == nil
}

// lowestCAs are the subjects of the CAs at the end of the longest chain of a
// file, and of those as long.
func lowestCAs(cas []*x509.Certificate) map[string]bool {
	var lowest map[string]bool
	longest := 0
	for _, ca := range cas {
		n := chainLength(ca, cas)
		if n > longest {
			longest, lowest = n, map[string]bool{}
		}
		if n == longest {
			lowest[string(ca.RawSubject)] = true
		}
	}
	return lowest
}

// chainLength is how many CAs of a file there are from ca to its root, both
// included; circles end at once.
func chainLength(ca *x509.Certificate, cas []*x509.Certificate) int {
	n := 1
	for range cas {
		above := issuerAmong(ca, cas)
		if above == nil || above == ca {
			break
		}
		ca = above
		n++
	}
	return n
}

func issuerAmong(c *x509.Certificate, cas []*x509.Certificate) *x509.Certificate {
	if selfSigned(c) {
		return nil
	}
	for _, ca := range cas {
		if string(ca.RawSubject) == string(c.RawIssuer) && c.CheckSignatureFrom(ca) == nil {
			return ca
		}
	}
	return nil
}

// Digest tells what is asked of clients from what another listener, or the
// one before a reload, asks; empty for nil.
func (a *ClientAuth) Digest() string {
	if a == nil {
		return ""
	}
	return a.digest
}

// Strict reports whether clients must have a good certificate.
func (a *ClientAuth) Strict() bool { return a != nil && a.mode == config.ClientAuthStrict }

// maxClientCert bounds a client's certificate in bytes: it is sent to backends
// with each request, and who made it up may be the client. maxClientChain
// bounds all that it sends, which is kept as long as the connection.
const (
	maxClientCert  = 8 << 10
	maxClientChain = 32 << 10
)

func tooLarge(shown []*x509.Certificate) bool {
	all := 0
	for _, c := range shown {
		all += len(c.Raw)
	}
	return all > maxClientChain || len(shown) > 0 && len(shown[0].Raw) > maxClientCert
}

const tooLargeDetail = "certificate is larger than 8 KiB, or its chain than 32 KiB"

// configure has crypto/tls ask for certificates. Its own verification is not
// used: it knows neither revocation nor the intermediate CAs that are
// configured here. A client that resumes is verified again: VerifyConnection
// is called then too.
func (a *ClientAuth) configure(t *tls.Config) {
	if a == nil {
		return
	}
	t.ClientCAs = a.roots // for the list of names in the request
	t.ClientAuth = tls.RequestClientCert
	if a.Strict() {
		t.ClientAuth = tls.RequireAnyClientCert
	}
	t.VerifyConnection = func(s tls.ConnectionState) error {
		if tooLarge(s.PeerCertificates) {
			return &ClientError{Why: ClientCertInvalid, Detail: tooLargeDetail}
		}
		if a.Strict() {
			return a.Verify(s.PeerCertificates, time.Now())
		}
		return nil
	}
}

// Verify judges what a client showed: its certificate, then what it sent of
// the chain. The error is a [ClientError].
func (a *ClientAuth) Verify(shown []*x509.Certificate, now time.Time) error {
	switch {
	case len(shown) == 0:
		return &ClientError{Why: ClientCertMissing}
	case len(a.cas) == 0:
		return a.fault(shown[0], ClientCertUnknownCA, "no CA is configured")
	}
	leaf := shown[0]
	// A certificate that says nothing of what it is for was not made for this.
	if !hasUsage(leaf, x509.ExtKeyUsageClientAuth) {
		return a.fault(leaf, ClientCertUsage, "certificate is not for client authentication")
	}
	between := x509.NewCertPool()
	for _, c := range a.intermediates {
		between.AddCert(c)
	}
	for _, c := range shown[1:] {
		between.AddCert(c)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: a.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return a.chainFault(leaf, err, now)
	}
	if a.lowest != nil && !a.lowest[string(leaf.RawIssuer)] {
		return a.fault(leaf, ClientCertIssuer, "issuer is not the lowest CA that is configured")
	}
	return a.checkRevoked(leaf, chains, now)
}

// hasUsage reports whether a certificate says that it is for this use.
func hasUsage(leaf *x509.Certificate, want x509.ExtKeyUsage) bool {
	return slices.Contains(leaf.ExtKeyUsage, want) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// chainFault says what crypto/x509 has found.
func (a *ClientAuth) chainFault(leaf *x509.Certificate, err error, now time.Time) error {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case now.After(leaf.NotAfter):
		return a.fault(leaf, ClientCertExpired, "certificate has expired")
	case now.Before(leaf.NotBefore):
		return a.fault(leaf, ClientCertExpired, "certificate is not yet valid")
	case errors.As(err, &unknown):
		return a.fault(leaf, ClientCertUnknownCA, "certificate is not of a CA that is configured")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return a.fault(leaf, ClientCertExpired, "a CA of the chain has expired or is not yet valid")
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return a.fault(leaf, ClientCertUsage, "a CA of the chain is not for client authentication")
	}
	return a.fault(leaf, ClientCertInvalid, "certificate or chain is invalid")
}

func (a *ClientAuth) fault(leaf *x509.Certificate, why ClientFault, detail string) error {
	return &ClientError{Why: why, Detail: detail, Subject: Name(leaf.RawSubject)}
}

// ClientFault is what is wrong with a client's certificate.
type ClientFault uint8

const (
	ClientCertMissing   ClientFault = iota // there is none
	ClientCertInvalid                      // name constraints, size, signatures
	ClientCertExpired                      // or not yet valid, or a CA above it is
	ClientCertUnknownCA                    // no chain to a CA that is configured
	ClientCertUsage                        // not for client authentication
	ClientCertIssuer                       // verifyIssuerDN
	ClientCertRevoked
	ClientCertCRL  // no revocation list of its CA is in force
	ClientCertOCSP // no responder can be asked about it
)

// ClientError is why a client's certificate is not accepted.
type ClientError struct {
	Why     ClientFault
	Detail  string // for people and backends, without anything of the client's
	Subject string // as Name returns it; empty: there is no certificate
}

func (e *ClientError) Error() string {
	switch {
	case e.Why == ClientCertMissing:
		return "no client certificate"
	case e.Subject == "":
		return "client " + e.Detail
	}
	return "client certificate of " + e.Subject + ": " + e.Detail
}

// ClientCert is what a client showed in its handshake and what it is worth:
// immutable.
type ClientCert struct {
	Shown []*x509.Certificate // the certificate, then what it sent of the chain; empty: none
	// Verdict is SUCCESS, NONE, or FAILED: and the reason (Azure:
	// client_certificate_verification).
	Verdict     string
	Fingerprint string // SHA-1, hexadecimal
	Subject     string // as Name returns it
	Issuer      string

	until int64 // when the verdict is to be found anew, in nanoseconds since 1970
}

// Stale reports whether time has gone over the verdict: the certificate or a
// revocation list has ended since. now is in nanoseconds since 1970.
func (c *ClientCert) Stale(now int64) bool { return c != nil && now > c.until }

// The verdicts without a reason.
const (
	ClientVerified = "SUCCESS"
	ClientNone     = "NONE"
)

// Client judges and describes what a client showed; nil for a nil a. err is
// why a strict listener must not serve it.
func (a *ClientAuth) Client(shown []*x509.Certificate, now time.Time) (c *ClientCert, err error) {
	if a == nil {
		return nil, nil
	}
	return a.describe(shown, a.Verify(shown, now), now)
}

// Admitted is Client after a handshake that a configured: a strict one has
// verified already.
func (a *ClientAuth) Admitted(shown []*x509.Certificate, now time.Time) *ClientCert {
	if !a.Strict() {
		c, _ := a.Client(shown, now)
		return c
	}
	c, _ := a.describe(shown, nil, now)
	return c
}

func (a *ClientAuth) describe(shown []*x509.Certificate, fault error, now time.Time) (*ClientCert, error) {
	c := &ClientCert{Shown: shown, Verdict: ClientVerified, until: math.MaxInt64}
	var why *ClientError
	switch {
	case len(shown) == 0:
		c.Verdict = ClientNone
	case errors.As(fault, &why):
		c.Verdict = "FAILED:" + why.Detail
	}
	if len(shown) > 0 {
		c.until = a.lasts(shown[0], fault, now)
		c.Fingerprint = fingerprint(shown[0].Raw)
		c.Subject, c.Issuer = Name(shown[0].RawSubject), Name(shown[0].RawIssuer)
	}
	if !a.Strict() {
		fault = nil
	}
	return c, fault
}

// lasts is until when a verdict of now can be told again: one of failure for
// ever.
func (a *ClientAuth) lasts(leaf *x509.Certificate, fault error, now time.Time) int64 {
	if fault != nil {
		return math.MaxInt64
	}
	end := leaf.NotAfter
	for _, list := range a.lists {
		if list.inForce(now) && list.to.Before(end) {
			end = list.to
		}
	}
	if a.ocsp != config.ClientOCSPOff {
		if t := a.asker.end(a.responderFor(leaf), leaf); !t.IsZero() && t.Before(end) {
			end = t
		}
	}
	if end.Year() > 2261 { // more nanoseconds than there is room for
		return math.MaxInt64
	}
	return end.UnixNano()
}

// Verified reports whether there is a certificate and it is good.
func (c *ClientCert) Verified() bool { return c != nil && c.Verdict == ClientVerified }

// escapedPEM is how PEM text looks in a header field: percent-encoded as
// nginx's $ssl_client_escaped_cert is.
var escapedPEM = strings.NewReplacer("\n", "%0A", " ", "%20", "+", "%2B", "/", "%2F", "=", "%3D")

// AppendPEM appends the certificate in PEM, percent-encoded.
func (c *ClientCert) AppendPEM(dst []byte) []byte {
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Shown[0].Raw})
	return append(dst, escapedPEM.Replace(string(text))...)
}
