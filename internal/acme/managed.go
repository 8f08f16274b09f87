package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// managed is one certificate and the work on it.
type managed struct {
	identity
	m      *Manager
	issuer *issuer
	magic  *certmagic.Config
	cancel context.CancelFunc // guarded by the Manager's mutex; nil: it is not at work yet

	cert   atomic.Pointer[tls.Certificate] // nil: there is none
	failed atomic.Pointer[failure]         // nil: the last attempt succeeded, or there was none

	stapling stapling // of run's alone
}

type failure struct {
	err error
	at  time.Time
}

// glance is how often the storage is looked at for what other instances did.
const glance = time.Hour

// run keeps the certificate from its first attempt on until ctx is done.
func (c *managed) run(ctx context.Context) {
	late, failures, again := jitter(), 0, time.Time{}
	for ctx.Err() == nil {
		c.load()
		wait := c.due(time.Now(), late)
		if wait <= 0 && time.Now().After(again) {
			late = jitter()
			if err := c.attempt(ctx); err != nil {
				failures++
				again = time.Now().Add(c.fail(ctx, err, failures))
			} else {
				failures = 0
				c.succeed()
				again = time.Now().Add(time.Second) // should the certificate be due at once
			}
		}
		if wait <= 0 {
			wait = time.Until(again)
		}
		sleep(ctx, min(wait, glance, c.staple(ctx)))
	}
}

// jitter is how much of a certificate's time instances let pass beyond the
// moment when it is due, so that they do not all ask at once: up to a
// twentieth.
func jitter() float64 { return rand.Float64() / 20 }

// due is how long the certificate is good enough: for two thirds of its time,
// and a little more. certmagic renews by the same measure.
func (c *managed) due(now time.Time, late float64) time.Duration {
	cert := c.cert.Load()
	if cert == nil {
		return 0
	}
	all := cert.Leaf.NotAfter.Sub(cert.Leaf.NotBefore)
	share := 1 - certmagic.DefaultRenewalWindowRatio + late
	return cert.Leaf.NotBefore.Add(time.Duration(share * float64(all))).Sub(now)
}

// attemptTime bounds one attempt, waiting for another instance's included.
const attemptTime = 10 * time.Minute

// attempt obtains the certificate, or renews it, unless another instance has.
func (c *managed) attempt(ctx context.Context) error {
	select {
	case c.m.slots <- struct{}{}:
		defer func() { <-c.m.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	return c.magic.RenewCertSync(ctx, c.name, false)
}

// succeed puts the certificate to use.
func (c *managed) succeed() {
	if err := c.load(); err != nil {
		c.m.log.Error("certificate obtained, but not readable", "name", c.name, "error", err)
		return
	}
	c.failed.Store(nil)
	c.m.counts[Obtained].Add(1)
	c.m.log.Info("certificate obtained", "name", c.name, "ca", c.Directory, "expires", c.cert.Load().Leaf.NotAfter)
}

// fail notes a failure and says how long to wait: authorities count refusals,
// and nobody waits for one that is back again.
func (c *managed) fail(ctx context.Context, err error, failures int) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	var problem acme.Problem
	result, first, most := Unreachable, time.Second, 10*time.Minute
	if errors.As(err, &problem) {
		result, first, most = Refused, 2*time.Minute, 6*time.Hour
	}
	c.m.counts[result].Add(1)
	wait := most
	if n := failures - 1; n < 16 {
		wait = min(first<<n, most)
	}
	wait += time.Duration(rand.Int64N(int64(wait)/4 + 1))
	c.failed.Store(&failure{err, time.Now()})
	c.m.log.Error("certificate not obtained", "name", c.name, "ca", c.Directory, "result", result.String(), "again", wait.Round(time.Second), "error", err)
	return wait
}

// load reads the certificate from the storage, if it is another than the one
// in use.
func (c *managed) load() error {
	ctx, keys, by := context.Background(), certmagic.StorageKeys, c.issuer.IssuerKey()
	chain, err := c.issuer.storage.Load(ctx, keys.SiteCert(by, c.name))
	if err != nil {
		return err
	}
	key, err := c.issuer.storage.Load(ctx, keys.SitePrivateKey(by, c.name))
	if err != nil {
		return err
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return err // another instance is writing
	}
	if now := c.cert.Load(); now == nil || !now.Leaf.Equal(cert.Leaf) {
		c.cert.Store(&cert)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
