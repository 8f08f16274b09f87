package testkit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CA is a certificate authority that lives for one test.
type CA struct {
	Cert *x509.Certificate
	PEM  []byte // the certificate
	File string // PEM in a file, for caFile settings

	t   testing.TB
	key crypto.Signer
}

// Leaf says what certificate to issue. The zero value is a P-256 server certificate without names, valid for a day.
type Leaf struct {
	Names     []string // DNS names and IP addresses; the first is also the common name
	RSA       bool     // an RSA 2048 key instead of P-256
	Client    bool     // for client authentication instead of servers
	NoUsage   bool     // without a word of what it is for
	NotBefore time.Time
	NotAfter  time.Time
	Serial    int64 // if zero, random

	Responder  string // OCSP URL in it; empty: none
	MustStaple bool   // it says that it wants a staple
	SignsOCSP  bool   // it may sign answers for its issuer
}

// Cert is an issued certificate with its key, in memory and in files.
type Cert struct {
	TLS      tls.Certificate // Leaf is set
	CertPEM  []byte          // the leaf, then its authority
	KeyPEM   []byte
	CertFile string
	KeyFile  string
}

// NewCA makes an authority with a P-256 key; its files go when the test ends.
func NewCA(t testing.TB) *CA {
	t.Helper()
	key := newKey(t, false)
	template := &x509.Certificate{
		SerialNumber: serial(t, 0), Subject: pkix.Name{CommonName: "Gatehouse test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	ca := &CA{t: t, key: key}
	ca.Cert = sign(t, template, template, key.Public(), key)
	ca.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Cert.Raw})
	ca.File = write(t, t.TempDir(), "ca.pem", ca.PEM)
	return ca
}

// CAOf is an authority that exists already; it has no file.
func CAOf(t testing.TB, cert *x509.Certificate, key crypto.Signer) *CA {
	return &CA{Cert: cert, PEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), t: t, key: key}
}

// Intermediate makes an authority below this one.
func (ca *CA) Intermediate() *CA {
	ca.t.Helper()
	return ca.IntermediateWith("")
}

// IntermediateWith makes an authority below this one that can be asked about at an OCSP responder; empty: none.
func (ca *CA) IntermediateWith(responder string) *CA {
	ca.t.Helper()
	key := newKey(ca.t, false)
	template := &x509.Certificate{
		SerialNumber: serial(ca.t, 0), Subject: pkix.Name{CommonName: "Gatehouse intermediate test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if responder != "" {
		template.OCSPServer = []string{responder}
	}
	below := &CA{t: ca.t, key: key}
	below.Cert = sign(ca.t, template, ca.Cert, key.Public(), ca.key)
	below.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: below.Cert.Raw})
	below.File = write(ca.t, ca.t.TempDir(), "ca.pem", below.PEM)
	return below
}

// CRL is a revocation list in PEM with these certificates on it, in force from an hour ago until next.
func (ca *CA) CRL(next time.Time, revoked ...*x509.Certificate) []byte {
	ca.t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: next}
	for _, c := range revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now().Add(-time.Minute)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, ca.Cert, ca.key)
	if err != nil {
		ca.t.Fatalf("testkit: revocation list: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// Pool is a pool with this authority alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	return pool
}

// ClientConfig is what a TLS client needs to trust this authority's certificate for serverName.
func (ca *CA) ClientConfig(serverName string) *tls.Config {
	return &tls.Config{RootCAs: ca.Pool(), ServerName: serverName, MinVersion: tls.VersionTLS12}
}

// Server issues a P-256 server certificate for these names.
func (ca *CA) Server(names ...string) *Cert {
	ca.t.Helper()
	return ca.Issue(Leaf{Names: names})
}

// Issue makes a certificate and writes it and its key to files that go when the test ends.
func (ca *CA) Issue(leaf Leaf) *Cert {
	ca.t.Helper()
	t := ca.t
	key := newKey(t, leaf.RSA)
	template := leaf.template(t)
	cert := sign(t, template, ca.Cert, key.Public(), ca.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatalf("testkit: key: %v", err)
	}
	c := &Cert{
		TLS:     tls.Certificate{Certificate: [][]byte{cert.Raw, ca.Cert.Raw}, PrivateKey: key, Leaf: cert},
		CertPEM: append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), ca.PEM...),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	}
	dir := t.TempDir()
	c.CertFile, c.KeyFile = write(t, dir, "tls.crt", c.CertPEM), write(t, dir, "tls.key", c.KeyPEM)
	return c
}

func (l Leaf) template(t testing.TB) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: serial(t, l.Serial), NotBefore: l.NotBefore, NotAfter: l.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if l.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if l.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(24 * time.Hour)
	}
	if l.Client {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	if l.NoUsage {
		template.ExtKeyUsage = nil
	}
	if l.SignsOCSP {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	}
	if l.Responder != "" {
		template.OCSPServer = []string{l.Responder}
	}
	if l.MustStaple {
		template.ExtraExtensions = append(template.ExtraExtensions, mustStapleExtension())
	}
	for _, name := range l.Names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	template.Subject.CommonName = first(l.Names)
	return template
}

// Replace writes another certificate over the files of this one, each by rename, key first, as a renewal would.
func (c *Cert) Replace(t testing.TB, by *Cert) {
	t.Helper()
	Replace(t, c.KeyFile, string(by.KeyPEM))
	Replace(t, c.CertFile, string(by.CertPEM))
}

func newKey(t testing.TB, useRSA bool) crypto.Signer {
	t.Helper()
	if useRSA {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatalf("testkit: key: %v", err)
		}
		return key
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("testkit: key: %v", err)
	}
	return key
}

func serial(t testing.TB, n int64) *big.Int {
	t.Helper()
	if n != 0 {
		return big.NewInt(n)
	}
	random, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatalf("testkit: serial: %v", err)
	}
	return random
}

func sign(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatalf("testkit: certificate: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("testkit: certificate: %v", err)
	}
	return cert
}

func write(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatalf("testkit: %v", err)
	}
	return path
}

// Config writes the text of a configuration to appgw.yaml in a directory of its own and returns the path.
func Config(t testing.TB, text string) string {
	t.Helper()
	return write(t, t.TempDir(), "appgw.yaml", []byte(text))
}

// Replace gives a file new content by writing beside it and renaming, as editors and deployments do.
func Replace(t testing.TB, path, text string) {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatalf("testkit: %v", err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatalf("testkit: %v", err)
	}
}
