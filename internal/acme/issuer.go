package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"gatehouse/config"
)

// issuer asks an authority as one account. It is certmagic's Issuer with
// solvers that open no ports.
type issuer struct {
	Account
	key     string
	storage *certmagic.FileStorage
	client  *acmez.Client
}

func newIssuer(a Account, open *challenges) *issuer {
	i := &issuer{Account: a, key: issuerKey(a.Directory), storage: &certmagic.FileStorage{Path: a.Storage}}
	solvers := map[string]acmez.Solver{}
	if a.Challenges.HTTP01 {
		solvers[acme.ChallengeTypeHTTP01] = &solver{open: open, storage: i.storage}
	}
	if a.Challenges.TLSALPN01 {
		solvers[acme.ChallengeTypeTLSALPN01] = &solver{open: open, storage: i.storage}
	}
	if a.Challenges.DNS01 {
		solvers[acme.ChallengeTypeDNS01] = &updater{a.DNS}
	}
	i.client = &acmez.Client{ChallengeSolvers: solvers, Client: &acme.Client{
		Directory: a.Directory, UserAgent: "Gatehouse", HTTPClient: httpClient(a.Roots),
		PollTimeout: 2 * time.Minute, Logger: slog.New(slog.DiscardHandler),
	}}
	return i
}

// httpClient asks directories: over HTTPS, of which config has made sure.
func httpClient(roots string) *http.Client {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if roots != "" {
		t.RootCAs = x509.NewCertPool()
		t.RootCAs.AppendCertsFromPEM([]byte(roots))
	}
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		Proxy:       http.ProxyFromEnvironment, TLSClientConfig: t, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: time.Minute,
	}}
}

// issuerKey names an authority in the storage.
func issuerKey(directory string) string {
	host := "ca"
	if u, err := url.Parse(directory); err == nil {
		host = u.Hostname()
	}
	sum := sha256.Sum256([]byte(directory))
	return fmt.Sprintf("%s-%x", host, sum[:4])
}

// IssuerKey implements certmagic.Issuer.
func (i *issuer) IssuerKey() string { return i.key }

// Issue implements certmagic.Issuer.
func (i *issuer) Issue(ctx context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	chain, err := i.order(ctx, csr)
	var problem acme.Problem
	if errors.As(err, &problem) && problem.Type == acme.ProblemTypeAccountDoesNotExist {
		if err := i.forgetAccount(ctx); err != nil { // the authority was set up anew
			return nil, err
		}
		chain, err = i.order(ctx, csr)
	}
	if err != nil {
		return nil, err
	}
	return &certmagic.IssuedCertificate{Certificate: chain.ChainPEM, Metadata: chain}, nil
}

func (i *issuer) order(ctx context.Context, csr *x509.CertificateRequest) (acme.Certificate, error) {
	account, err := i.account(ctx)
	if err != nil {
		return acme.Certificate{}, fmt.Errorf("account: %w", err)
	}
	params, err := acmez.OrderParametersFromCSR(account, csr)
	if err != nil {
		return acme.Certificate{}, err
	}
	chains, err := i.client.ObtainCertificate(ctx, params)
	if err == nil && len(chains) == 0 {
		err = errors.New("the authority sent no certificate")
	}
	if err != nil {
		return acme.Certificate{}, err
	}
	return chains[0], nil
}

// keySource makes the keys of certificates.
type keySource config.ACMEKeyType

// GenerateKey implements certmagic.KeyGenerator.
func (k keySource) GenerateKey() (crypto.PrivateKey, error) {
	switch config.ACMEKeyType(k) {
	case config.ACMEKeyP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case config.ACMEKeyRSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case config.ACMEKeyRSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case config.ACMEKeyRSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// makeStorage makes the directory, which nobody else may read.
func makeStorage(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return CheckStorage(dir)
}

// CheckStorage refuses a directory that is none, or whose keys others may
// read; one that is not there yet is good.
func CheckStorage(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s has mode %04o: others may look into it; chmod it to 0700", dir, info.Mode().Perm())
	}
	return nil
}
