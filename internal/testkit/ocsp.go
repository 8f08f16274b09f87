package testkit

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// OCSP is a responder for one authority. What it does can be changed while it runs.
type OCSP struct {
	URL   string
	Asked atomic.Int64

	ca *CA
	mu sync.Mutex // guards what follows
	by answers
}

// answers say how a responder answers. The zero value: good, for an hour from a minute ago.
type answers struct {
	revoked map[string]bool // serial numbers
	unknown bool
	lasts   time.Duration // from now on; zero: an hour
	signer  *Cert         // nil: the authority
	down    bool
	slow    chan struct{}
}

// NewOCSP starts a responder for an authority.
func NewOCSP(t testing.TB, ca *CA) *OCSP {
	t.Helper()
	o := &OCSP{ca: ca, by: answers{revoked: map[string]bool{}}}
	s := httptest.NewServer(http.HandlerFunc(o.serve))
	t.Cleanup(s.Close)
	o.URL = s.URL + "/ocsp"
	return o
}

// NewOCSPLater starts a responder whose authority comes with SetCA.
func NewOCSPLater(t testing.TB) *OCSP { return NewOCSP(t, nil) }

// SetCA sets the authority it answers for.
func (o *OCSP) SetCA(ca *CA) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ca = ca
}

// Revoke lets certificates be revoked from now on.
func (o *OCSP) Revoke(certs ...*x509.Certificate) {
	o.change(func(a *answers) {
		for _, c := range certs {
			a.revoked[c.SerialNumber.String()] = true
		}
	})
}

// Down makes the responder answer 503, or no longer.
func (o *OCSP) Down(down bool) { o.change(func(a *answers) { a.down = down }) }

// Unknown makes it know no certificate, or all again.
func (o *OCSP) Unknown(unknown bool) { o.change(func(a *answers) { a.unknown = unknown }) }

// For is how long its answers are in force, from their beginning; less than nothing: they have ended.
func (o *OCSP) For(d time.Duration) { o.change(func(a *answers) { a.lasts = d }) }

// SignWith makes another sign its answers, whose certificate comes with them; nil: the authority.
func (o *OCSP) SignWith(c *Cert) { o.change(func(a *answers) { a.signer = c }) }

// Hold makes it wait with its answers until the channel is closed.
func (o *OCSP) Hold(until chan struct{}) { o.change(func(a *answers) { a.slow = until }) }

func (o *OCSP) change(f func(*answers)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(&o.by)
}

func (o *OCSP) serve(w http.ResponseWriter, r *http.Request) {
	o.Asked.Add(1)
	body, _ := io.ReadAll(r.Body)
	o.mu.Lock()
	slow := o.by.slow
	o.mu.Unlock()
	if slow != nil {
		select {
		case <-slow:
		case <-r.Context().Done():
		}
	}
	raw, err := o.Answer(body)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil || o.by.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.Write(raw)
}

// Answer is what the responder says to a request in DER.
func (o *OCSP) Answer(request []byte) ([]byte, error) {
	q, err := ocsp.ParseRequest(request)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	a := ocsp.Response{Status: ocsp.Good, SerialNumber: q.SerialNumber, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	if o.by.lasts != 0 {
		a.ThisUpdate, a.NextUpdate = time.Now(), time.Now().Add(o.by.lasts)
	}
	switch {
	case o.by.unknown:
		a.Status = ocsp.Unknown
	case o.by.revoked[q.SerialNumber.String()]:
		a.Status, a.RevokedAt = ocsp.Revoked, time.Now().Add(-time.Minute)
	}
	key, by := o.ca.key, o.ca.Cert
	if o.by.signer != nil {
		key, by = o.by.signer.TLS.PrivateKey.(crypto.Signer), o.by.signer.TLS.Leaf
		a.Certificate = by
	}
	return ocsp.CreateResponse(o.ca.Cert, by, a, key)
}

// mustStapleExtension is TLS feature status_request (RFC 7633).
func mustStapleExtension() pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 0x03, 0x02, 0x01, 0x05}}
}
