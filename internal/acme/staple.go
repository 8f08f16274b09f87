package acme

import (
	"context"
	"crypto/x509"
	"time"

	"gatehouse/internal/tlscert"
)

// stapling is how far a certificate's OCSP answer has come.
type stapling struct {
	leaf     *x509.Certificate // that the rest is about
	until    time.Time         // zero: no answer is sent
	next     time.Time         // when to ask
	failures int
}

// staple keeps the answer fresh that is sent with the certificate, and says
// when to look again.
func (c *managed) staple(ctx context.Context) time.Duration {
	cert, now := c.cert.Load(), time.Now()
	if cert == nil || c.m.responder == nil || !c.Staple {
		return glance
	}
	s := &c.stapling
	if s.leaf == nil || !s.leaf.Equal(cert.Leaf) {
		*s = stapling{leaf: cert.Leaf}
	}
	if !s.until.IsZero() && !now.Before(s.until) {
		c.sendStaple(nil)
		s.until = time.Time{}
	}
	if !now.Before(s.next) {
		c.fetchStaple(ctx, s)
	}
	wait := time.Until(s.next)
	if !s.until.IsZero() {
		wait = min(wait, time.Until(s.until))
	}
	return max(wait, 0)
}

func (c *managed) fetchStaple(ctx context.Context, s *stapling) {
	a, err := tlscert.FetchStaple(ctx, c.m.responder, c.cert.Load())
	switch {
	case err != nil:
		s.next = time.Now().Add(tlscert.StapleRetry(s.failures))
		s.failures++
		c.m.log.Warn("OCSP answer not obtained", "name", c.name, "error", err)
	case a == nil: // there is nobody to ask
		s.next = time.Now().Add(glance)
	default:
		s.next, s.failures, s.until = a.Next, 0, a.End
		c.sendStaple(a.Raw)
	}
}

// sendStaple puts an answer to use with the certificate; nil: none any more.
func (c *managed) sendStaple(raw []byte) {
	with := *c.cert.Load() // run alone stores
	with.OCSPStaple = raw
	c.cert.Store(&with)
}
