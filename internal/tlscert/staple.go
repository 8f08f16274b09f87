package tlscert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"

	"gatehouse/internal/smallfile"
)

// staple is an OCSP answer that is sent with a certificate, or why there is
// none. The store's mutex guards it.
type staple struct {
	raw      []byte // nil: none
	until    time.Time
	next     time.Time // when the responder is asked again
	failures int
	err      error
	asking   bool
}

// maxStaple bounds an ocspFile in bytes.
const maxStaple = 64 << 10

// stapleFile reads the answer that is configured for a certificate.
func stapleFile(file string, chain []*x509.Certificate, now time.Time) (*staple, error) {
	raw, err := smallfile.Read(file, maxStaple)
	if err != nil {
		return nil, err
	}
	return newStaple(raw, chain, now)
}

// newStaple checks an answer: only a good one is worth sending.
func newStaple(raw []byte, chain []*x509.Certificate, now time.Time) (*staple, error) {
	issuer := issuerIn(chain)
	if issuer == nil {
		return nil, errors.New("the certificate's issuer does not follow it in certFile, so that no answer can be verified")
	}
	resp, err := checkOCSP(raw, chain[0], issuer, now)
	switch {
	case err != nil:
		return nil, err
	case resp.Status == ocsp.Revoked:
		return nil, fmt.Errorf("the certificate was revoked on %s", resp.RevokedAt.UTC().Format(time.RFC3339))
	case resp.Status != ocsp.Good:
		return nil, errors.New("the responder does not know the certificate")
	}
	half := resp.NextUpdate.Sub(resp.ThisUpdate) / 2
	return &staple{raw: raw, until: resp.NextUpdate, next: later(resp.ThisUpdate.Add(half), now.Add(time.Minute))}, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// addStaple gives a certificate the answer that is configured for it, or says
// that it can have none though it must.
func (c *certificate) addStaple(f files, now time.Time) {
	c.url = ""
	if f.ask && f.ocsp == "" && issuerIn(c.chain) != nil {
		c.url = responderOf(c.chain[0])
	}
	if f.ocsp != "" {
		var err error
		if c.fixed, err = stapleFile(f.ocsp, c.chain, now); err != nil {
			c.warnings = append(c.warnings, fmt.Sprintf("%s is not sent with it: %v", f.ocsp, err))
		}
	}
	if c.fixed == nil && c.url == "" && mustStaple(c.chain[0]) {
		c.warnings = append(c.warnings, "wants an OCSP answer to be sent with it (must-staple), and there is none; clients may refuse it")
	}
}

// served is the certificate as a handshake sends it.
func (p *pair) served(now time.Time) *tls.Certificate {
	c := p.good.tls
	if s := p.staple; s != nil && s.raw != nil && s.fresh(now) {
		c.OCSPStaple = s.raw
	}
	return &c
}

// fresh says that the answer will be in force until somebody looks again.
func (s *staple) fresh(now time.Time) bool { return s.until.Sub(now) > lookInterval }

// lookInterval is how often answers are looked at: none is sent in its last
// seconds.
const lookInterval = time.Second

// follow keeps the answers of responders fresh until ctx is done.
func (s *Store) follow(ctx context.Context) {
	if s.opts.Responder == nil {
		return
	}
	tick := time.NewTicker(min(lookInterval, s.opts.Interval))
	defer tick.Stop()
	var asking sync.WaitGroup
	defer asking.Wait()
	slots := make(chan struct{}, 4)
	for {
		for _, p := range s.due(time.Now()) {
			asking.Go(func() {
				slots <- struct{}{}
				s.refresh(ctx, p)
				<-slots
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// due are the pairs whose responder is to be asked now. Answers that end are
// taken from the certificates.
func (s *Store) due(now time.Time) (all []*pair) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pairs {
		if st := p.staple; st != nil && st.raw != nil && !st.fresh(now) {
			st.raw = nil
			s.opts.Logger.Warn("OCSP answer has ended, and is no longer sent", "file", p.cert)
			p.rebuild()
		}
		if p.good.url == "" || p.staple != nil && (p.staple.asking || now.Before(p.staple.next)) {
			continue
		}
		if p.staple == nil {
			p.staple = &staple{}
		}
		p.staple.asking = true
		all = append(all, p)
	}
	return all
}

// refresh asks a pair's responder.
func (s *Store) refresh(ctx context.Context, p *pair) {
	s.mu.Lock()
	c := p.good
	s.mu.Unlock()
	raw, _, err := askOCSP(ctx, s.opts.Responder, c.url, c.chain[0], c.chain[1])
	var fresh *staple
	if err == nil {
		fresh, err = newStaple(raw, c.chain, time.Now())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case p.good != c:
		if p.staple != nil { // another certificate by now
			p.staple.asking, p.staple.next = false, time.Time{}
		}
	case err != nil:
		if ctx.Err() == nil {
			p.staple.fail(err)
			s.opts.Logger.Warn("OCSP answer not obtained", "file", p.cert, "responder", c.url, "error", err)
		}
		p.staple.asking = false
	default:
		p.staple = fresh
		p.rebuild()
	}
}

// fail notes why there is no new answer, and when to ask again: within a
// minute, then less and less often.
func (s *staple) fail(err error) {
	s.err, s.next = err, time.Now().Add(StapleRetry(s.failures))
	s.failures++
}

// StapleRetry is when a responder is asked again that failed: soon, then less
// and less often.
func StapleRetry(failures int) time.Duration {
	if failures < 8 {
		return min(15*time.Second<<failures, time.Hour)
	}
	return time.Hour
}

// Answer is what is sent with a certificate: good as long as it is sent.
type Answer struct {
	Raw  []byte
	End  time.Time // from then on it must not be sent
	Next time.Time // when to ask for another
}

// FetchStaple asks the responder that a certificate names; nil: it names none,
// or its issuer does not follow it.
func FetchStaple(ctx context.Context, r Responder, cert *tls.Certificate) (*Answer, error) {
	chain, err := parseChain(cert.Certificate)
	if err != nil {
		return nil, err
	}
	issuer, url := issuerIn(chain), responderOf(chain[0])
	if issuer == nil || url == "" {
		return nil, nil
	}
	raw, _, err := askOCSP(ctx, r, url, chain[0], issuer)
	if err != nil {
		return nil, err
	}
	s, err := newStaple(raw, chain, time.Now())
	if err != nil {
		return nil, err
	}
	return &Answer{Raw: s.raw, End: s.until.Add(-lookInterval), Next: s.next}, nil
}

// rebuild puts what changed of a pair into the sets of those that use it.
func (p *pair) rebuild() {
	for _, set := range p.users {
		set.rebuild()
	}
}
