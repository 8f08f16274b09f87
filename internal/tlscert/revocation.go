package tlscert

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// maxCRLFile bounds a file of revocation lists in bytes: about a million
// entries.
const maxCRLFile = 64 << 20

// issuer is a CA as the signer of certificates and lists: its name and key. A
// CA that was renewed with the same key is the same issuer.
type issuer struct {
	name, key string // DER
}

func issuerOf(ca *x509.Certificate) issuer {
	return issuer{string(ca.RawSubject), string(ca.RawSubjectPublicKeyInfo)}
}

// revocations is one CA's list.
type revocations struct {
	serials  map[string]struct{} // big-endian bytes
	from, to time.Time           // when it is in force
}

func (r *revocations) inForce(now time.Time) bool {
	return r != nil && !now.Before(r.from) && !now.After(r.to)
}

// ListExpiry is when the newest revocation list of a CA ends.
type ListExpiry struct {
	CA         string // as Name returns it
	NextUpdate time.Time
}

// Lists are the revocation lists in use, by their CAs in the order of the CA
// file; none for a nil a.
func (a *ClientAuth) Lists() []ListExpiry {
	if a == nil {
		return nil
	}
	var all []ListExpiry
	seen := map[*revocations]bool{nil: true}
	for _, ca := range a.cas {
		if list := a.lists[issuerOf(ca)]; !seen[list] {
			seen[list] = true
			all = append(all, ListExpiry{Name(ca.RawSubject), list.to})
		}
	}
	return all
}

// addLists takes revocation lists in PEM, or one in DER. Of several by one CA
// the newest counts.
func (a *ClientAuth) addLists(data []byte, now time.Time) (warnings []string, err error) {
	a.lists = map[issuer]*revocations{}
	n := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		n++
		if err := a.addList(block.Bytes); err != nil {
			return nil, fmt.Errorf("list %d: %w", n, err)
		}
	}
	if n == 0 {
		if bytes.Contains(data, []byte("-----BEGIN")) || len(data) == 0 {
			return nil, errors.New("has no revocation list (BEGIN X509 CRL)")
		}
		if err := a.addList(data); err != nil {
			return nil, err
		}
	}
	for _, ca := range a.cas {
		switch list := a.lists[issuerOf(ca)]; {
		case list == nil:
			warnings = append(warnings, fmt.Sprintf("there is no revocation list of the CA %s; certificates that it issued are refused", Name(ca.RawSubject)))
		case !list.inForce(now):
			warnings = append(warnings, fmt.Sprintf("the revocation list of the CA %s is in force from %s to %s only; certificates that it issued are refused",
				Name(ca.RawSubject), list.from.UTC().Format(time.RFC3339), list.to.UTC().Format(time.RFC3339)))
		}
	}
	return warnings, nil
}

// addList takes a list whose signature is right and that is the whole of its
// CA's list: with extensions that must be understood (RFC 5280 5.2), a list or
// an entry means something else than it says.
func (a *ClientAuth) addList(der []byte) error {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return err
	}
	by := a.signerOf(list)
	if by == nil {
		return fmt.Errorf("the list of %s is not signed by a CA of caFile", Name(list.RawIssuer))
	}
	if list.NextUpdate.IsZero() {
		return fmt.Errorf("the list of %s does not say when the next one comes (nextUpdate)", Name(list.RawIssuer))
	}
	for _, x := range list.Extensions {
		if x.Critical {
			return fmt.Errorf("the list of %s is not a plain and whole one: critical extension %s", Name(list.RawIssuer), x.Id)
		}
	}
	r := &revocations{serials: make(map[string]struct{}, len(list.RevokedCertificateEntries)), from: list.ThisUpdate, to: list.NextUpdate}
	for _, e := range list.RevokedCertificateEntries {
		for _, x := range e.Extensions {
			if x.Critical {
				return fmt.Errorf("the list of %s has an entry with critical extension %s", Name(list.RawIssuer), x.Id)
			}
		}
		r.serials[string(e.SerialNumber.Bytes())] = struct{}{}
	}
	if have := a.lists[issuerOf(by)]; have == nil || have.from.Before(r.from) {
		a.lists[issuerOf(by)] = r
	}
	return nil
}

// signerOf returns the CA that signed a list; nil if none of ours did.
func (a *ClientAuth) signerOf(list *x509.RevocationList) *x509.Certificate {
	for _, ca := range a.cas {
		if bytes.Equal(ca.RawSubject, list.RawIssuer) && list.CheckSignatureFrom(ca) == nil {
			return ca
		}
	}
	return nil
}

// checkRevoked wants a chain of which nothing is revoked, as far as can be
// known: what no list in force speaks of is refused.
func (a *ClientAuth) checkRevoked(leaf *x509.Certificate, chains [][]*x509.Certificate, now time.Time) error {
	var fault error
	for _, chain := range chains {
		if fault = a.revokedIn(leaf, chain, now); fault == nil {
			fault = a.askAbout(leaf, chain, now)
		}
		if fault == nil {
			return nil
		}
	}
	return fault
}

// revokedIn asks the lists.
func (a *ClientAuth) revokedIn(leaf *x509.Certificate, chain []*x509.Certificate, now time.Time) error {
	if a.lists == nil {
		return nil
	}
	for i, c := range chain[:len(chain)-1] { // the root is trusted by configuration
		list := a.lists[issuerOf(chain[i+1])]
		if !list.inForce(now) {
			return a.fault(leaf, ClientCertCRL, "no revocation list of its CA is in force")
		}
		if _, revoked := list.serials[string(c.SerialNumber.Bytes())]; revoked {
			if i > 0 {
				return a.fault(leaf, ClientCertRevoked, "a CA of the chain is revoked")
			}
			return a.fault(leaf, ClientCertRevoked, "certificate is revoked")
		}
	}
	return nil
}
