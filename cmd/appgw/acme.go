package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/config"
	"gatehouse/internal/acme"
	"gatehouse/internal/smallfile"
	"gatehouse/internal/telemetry"
	"gatehouse/internal/tlscert"
	"gatehouse/proxy/l7"
)

// loadACME makes the managed certificates of every listener ready, of those
// that are at work already, or in the storage. Nobody is asked for one yet.
func (b *build) loadACME() {
	for i := range b.conf.Listeners {
		l := &b.conf.Listeners[i]
		if l.TLS.ACME == nil || len(l.HostNames) == 0 {
			continue
		}
		path := fmt.Sprintf("listeners[%d].tls.acme", i)
		account, good := b.account(path, l.TLS.ACME)
		account.Staple = l.TLS.Staple
		if b.dry || !good {
			if err := acme.CheckStorage(account.Storage); err != nil {
				b.fail(path+".storage", "%w", err)
			}
			continue
		}
		site, err := b.app.acme.Prepare(l.Name, account, l.HostNames)
		if err != nil {
			b.fail(path+".storage", "%w", err)
			continue
		}
		b.next.sites = append(b.next.sites, site)
		b.sites[l.Name] = site
	}
}

// account is a listener's account, with what stands in its files.
func (b *build) account(path string, c *config.ACME) (a acme.Account, good bool) {
	a = acme.Account{Directory: c.Directory, Email: c.Email, Storage: c.Storage, KeyType: c.KeyType, Challenges: c.Challenges, KeyID: c.EAB.KeyID,
		DNS: acme.DNS{Server: c.DNS.Server, Zone: c.DNS.Zone, KeyName: c.DNS.KeyName, Algorithm: c.DNS.Algorithm, Propagation: c.DNS.Propagation}}
	a.Challenges.HTTP01 = a.Challenges.HTTP01 && b.hasHTTP()
	n := len(b.errs)
	a.Roots = b.text(path+".caFile", c.CAFile, func(s string) error {
		if !x509.NewCertPool().AppendCertsFromPEM([]byte(s)) {
			return errors.New("has no PEM certificate")
		}
		return nil
	})
	a.MAC = strings.TrimRight(b.text(path+".eab.keyFile", c.EAB.KeyFile, func(s string) error {
		_, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
		return wrong(err, "is not base64url")
	}), "=")
	a.DNS.Secret = b.text(path+".dns.keyFile", c.DNS.KeyFile, func(s string) error {
		_, err := base64.StdEncoding.DecodeString(s)
		return wrong(err, "is not base64")
	})
	return a, len(b.errs) == n
}

// wrong has the words for an error; the content of a file with a secret is not
// for logs.
func wrong(err error, text string) error {
	if err != nil {
		return errors.New(text)
	}
	return nil
}

// hasHTTP says whether there is a listener that can answer http-01.
func (b *build) hasHTTP() bool {
	for i := range b.conf.Listeners {
		if b.conf.Listeners[i].Protocol == config.ListenerHTTP {
			return true
		}
	}
	return false
}

// text is the content of a small file; empty for none.
func (b *build) text(path, file string, check func(string) error) string {
	if file == "" {
		return ""
	}
	b.depend(file)
	data, err := smallfile.Read(file, 1<<20)
	if err != nil {
		b.fail(path, "%w", err)
		return ""
	}
	s := strings.TrimSpace(string(data))
	if err := check(s); err != nil {
		b.fail(path, "%s %w", file, err)
		return ""
	}
	return s
}

// certificates is the set of a listener's files, which may be empty.
func (b *build) certificates(listener string) *tlscert.Set {
	if set := b.next.certs.Set(listener); set != nil {
		return set
	}
	return tlscert.EmptySet(listener)
}

// serveManaged lets managed certificates be served before those of files.
func (b *build) serveManaged(l *l7.Listener, c *config.Listener) {
	site := b.sites[c.Name]
	if site == nil {
		return
	}
	var others func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	if len(c.TLS.Certificates) > 0 {
		others = l.TLS.GetCertificate
	}
	l.TLS.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return site.Certificate(h, others) }
}

// acmeCollector counts attempts to get certificates.
type acmeCollector struct{ a *app }

var acmeAttempts = prometheus.NewDesc("gatehouse_acme_attempts_total",
	"Attempts to obtain or renew a certificate from an ACME authority, by result: obtained, refused (by the authority), unreachable (or any other failure).", []string{"result"}, nil)

func (c acmeCollector) Describe(ch chan<- *prometheus.Desc) { ch <- acmeAttempts }

func (c acmeCollector) Collect(ch chan<- prometheus.Metric) {
	for _, r := range []acme.Result{acme.Obtained, acme.Refused, acme.Unreachable} {
		ch <- prometheus.MustNewConstMetric(acmeAttempts, prometheus.CounterValue, float64(c.a.acme.Attempts(r)), r.String())
	}
}

// managedCertificates are those that authorities gave, for metrics.
func (a *app) managedCertificates() (all []telemetry.CertificateExpiry) {
	for _, s := range a.acme.Status() {
		if !s.NotAfter.IsZero() {
			all = append(all, telemetry.CertificateExpiry{Listener: s.Listener, Name: "acme:" + s.Name, NotAfter: s.NotAfter})
		}
	}
	return all
}
