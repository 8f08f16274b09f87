package tlscert

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Responder carries a question in DER to the OCSP responder at a URL, and its
// answer back, within bounds of time and size. Nothing is checked by it.
type Responder interface {
	Ask(ctx context.Context, url string, request []byte) ([]byte, error)
}

// responderOf is where a certificate says that it can be asked about; empty:
// nowhere.
func responderOf(c *x509.Certificate) string {
	for _, url := range c.OCSPServer {
		if strings.HasPrefix(url, "http://") || strings.HasPrefix(url, "https://") {
			return url
		}
	}
	return ""
}

// askOCSP asks about a certificate and checks the answer.
func askOCSP(ctx context.Context, r Responder, url string, cert, issuer *x509.Certificate) (raw []byte, resp *ocsp.Response, err error) {
	request, err := ocsp.CreateRequest(cert, issuer, nil)
	if err != nil {
		return nil, nil, err
	}
	if raw, err = r.Ask(ctx, url, request); err != nil {
		return nil, nil, err
	}
	resp, err = checkOCSP(raw, cert, issuer, time.Now())
	return raw, resp, err
}

// clockSkew is how much a responder's clock may be ahead of ours.
const clockSkew = 5 * time.Minute

// checkOCSP reads an answer about a certificate: signed by its issuer or by
// whom the issuer entitled to (RFC 6960 4.2.2.2), and in force.
func checkOCSP(raw []byte, cert, issuer *x509.Certificate, now time.Time) (*ocsp.Response, error) {
	resp, err := ocsp.ParseResponseForCert(raw, cert, issuer)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "ocsp: "))
	}
	by := resp.Certificate
	switch {
	case by != nil && !by.Equal(issuer) && !slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return nil, errors.New("the answer's signer is not entitled to by the issuer")
	case by != nil && (now.Before(by.NotBefore) || now.After(by.NotAfter)):
		return nil, errors.New("the certificate of the answer's signer has ended")
	case resp.NextUpdate.IsZero():
		return nil, errors.New("the answer does not say until when it is in force")
	case now.After(resp.NextUpdate):
		return nil, fmt.Errorf("the answer has ended on %s", resp.NextUpdate.UTC().Format(time.RFC3339))
	case now.Add(clockSkew).Before(resp.ThisUpdate):
		return nil, fmt.Errorf("the answer is in force from %s only", resp.ThisUpdate.UTC().Format(time.RFC3339))
	}
	return resp, nil
}

var (
	tlsFeature    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24} // RFC 7633
	statusRequest = 5
)

// mustStaple reports whether clients may refuse a certificate without a staple.
func mustStaple(leaf *x509.Certificate) bool {
	for _, x := range leaf.Extensions {
		var features []int
		if !x.Id.Equal(tlsFeature) {
			continue
		}
		if rest, err := asn1.Unmarshal(x.Value, &features); err == nil && len(rest) == 0 && slices.Contains(features, statusRequest) {
			return true
		}
	}
	return false
}

// issuerIn is the issuer of a chain's first certificate, if it follows it.
func issuerIn(chain []*x509.Certificate) *x509.Certificate {
	if len(chain) < 2 || !bytes.Equal(chain[0].RawIssuer, chain[1].RawSubject) || chain[0].CheckSignatureFrom(chain[1]) != nil {
		return nil
	}
	return chain[1]
}
