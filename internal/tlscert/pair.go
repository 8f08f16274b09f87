package tlscert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// maxPEM bounds a certificate or key file in bytes.
const maxPEM = 1 << 20

// files are where a certificate chain and its key are, and what is sent with
// them.
type files struct {
	cert, key string
	ocsp      string // an OCSP answer; empty: none is configured
	ask       bool   // the responder may be asked
}

// certificate is one good pair as it was read: immutable.
type certificate struct {
	tls      tls.Certificate
	sum      [sha256.Size]byte // of both files' contents
	loaded   time.Time
	warnings []string

	chain []*x509.Certificate
	fixed *staple // of ocspFile; nil: none that is good
	url   string  // of the responder to ask; empty: none
}

// load reads and checks a pair. What only deserves a warning (expired, key
// readable by everybody) is not an error: a gateway that serves an expired
// certificate is of more use than one that does not start.
func load(f files, now time.Time) (*certificate, error) {
	chain, _, err := readPEM(f.cert)
	if err != nil {
		return nil, err
	}
	key, mode, err := readPEM(f.key)
	if err != nil {
		return nil, err
	}
	if err := checkKeyPEM(key); err != nil {
		return nil, fmt.Errorf("%s: %w", f.key, err)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "tls: "))
	}
	certs, err := parseChain(pair.Certificate)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.cert, err)
	}
	c := &certificate{tls: pair, sum: sumOf(chain, key), loaded: now, warnings: chainWarnings(certs, now), chain: certs}
	c.addStaple(f, now)
	if mode.Perm()&0o007 != 0 {
		c.warnings = append(c.warnings, fmt.Sprintf("%s: every user may read this key (mode %04o)", f.key, mode.Perm()))
	}
	return c, nil
}

// readPEM reads a file that is not larger than any PEM file has reason to be.
// Opening does not block on a FIFO.
func readPEM(name string) ([]byte, os.FileMode, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s: not a regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err != nil {
		return nil, 0, err
	}
	if len(data) > maxPEM {
		return nil, 0, fmt.Errorf("%s: larger than 1 MiB", name)
	}
	return data, info.Mode(), nil
}

// checkKeyPEM explains the one mistake for which crypto/tls has no words.
func checkKeyPEM(key []byte) error {
	for block, rest := pem.Decode(key); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return errors.New("the key is encrypted; it must be stored without a passphrase")
		}
	}
	return nil
}

func parseChain(der [][]byte) ([]*x509.Certificate, error) {
	certs := make([]*x509.Certificate, len(der))
	for i, d := range der {
		c, err := x509.ParseCertificate(d)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the chain: %w", i+1, err)
		}
		certs[i] = c
	}
	return certs, nil
}

const noNames = "has no subject alternative names; clients will refuse it"

func chainWarnings(certs []*x509.Certificate, now time.Time) (warnings []string) {
	leaf := certs[0]
	switch {
	case now.After(leaf.NotAfter):
		warnings = append(warnings, "expired on "+leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		warnings = append(warnings, "not valid before "+leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	if len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0 {
		warnings = append(warnings, noNames)
	}
	for i := 0; i+1 < len(certs); i++ {
		// RFC 8446 4.4.2: each certificate should certify the one before.
		if !bytes.Equal(certs[i].RawIssuer, certs[i+1].RawSubject) || certs[i].CheckSignatureFrom(certs[i+1]) != nil {
			warnings = append(warnings, fmt.Sprintf("certificate %d of the chain was not issued by the one after it", i+1))
		}
	}
	return warnings
}

func sumOf(chain, key []byte) [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%d\n", len(chain)) // where one ends and the other begins
	h.Write(chain)
	h.Write(key)
	return [sha256.Size]byte(h.Sum(nil))
}

// keyType names the algorithm for people.
func keyType(leaf *x509.Certificate) string {
	switch k := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return leaf.PublicKeyAlgorithm.String()
}

// stamp is what tells a changed file without reading it.
type stamp struct {
	device, inode uint64
	size          int64
	modified      time.Time
	changed       time.Time // ctime, which nobody can set back
	fail          string    // why it cannot be looked at
}

func stampOf(name string) stamp {
	var st syscall.Stat_t
	if err := syscall.Stat(name, &st); err != nil {
		return stamp{fail: err.Error()}
	}
	return stamp{
		device: st.Dev, inode: st.Ino, size: st.Size,
		modified: time.Unix(st.Mtim.Unix()), changed: time.Unix(st.Ctim.Unix()),
	}
}

// settleTime is how old a change must be before a file's stamp identifies its
// content: two writes within one tick of the file system's clock look alike.
const settleTime = 2 * time.Second

// pairStamp is the stamp of all files.
type pairStamp struct {
	cert, key, ocsp stamp
}

func stampFiles(f files) pairStamp {
	p := pairStamp{cert: stampOf(f.cert), key: stampOf(f.key)}
	if f.ocsp != "" {
		p.ocsp = stampOf(f.ocsp)
	}
	return p
}

// settled says that a change after now would show in the stamp.
func (p pairStamp) settled(now time.Time) bool {
	return now.Sub(p.cert.changed) > settleTime && now.Sub(p.key.changed) > settleTime && now.Sub(p.ocsp.changed) > settleTime
}
