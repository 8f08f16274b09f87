package dnssec

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// parentTTL is the TTL in seconds of DS records for the parent, which decides
// itself; it is what they are printed with.
const parentTTL = 3600

// csk are the flags of a key that signs everything and that the parent refers
// to: Zone Key and Secure Entry Point (RFC 4034 2.1.1).
const csk = dns.ZONE | dns.SEP

// Key is the combined signing key of a zone. It does not change.
type Key struct {
	zone    string // lower case, with the final dot
	private *ecdsa.PrivateKey
	public  string // as in a DNSKEY
	tag     uint16
}

// newKey completes a key for a zone whose name is in canonical form.
func newKey(zone string, private *ecdsa.PrivateKey) (*Key, error) {
	point, err := private.PublicKey.Bytes() // 4, X, Y
	if err != nil {
		return nil, err
	}
	k := &Key{zone: zone, private: private, public: base64.StdEncoding.EncodeToString(point[1:])}
	k.tag = k.DNSKEY(0).KeyTag()
	if k.tag == 0 {
		return nil, errors.New("the key has tag 0, which some software takes for none")
	}
	return k, nil
}

// generate makes a key for a zone whose name is in canonical form.
func generate(zone string) (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return newKey(zone, private)
}

// zoneName brings the name of a zone, with or without its final dot, into the
// canonical form.
func zoneName(zone string) (string, error) {
	if _, ok := dns.IsDomainName(zone); !ok || zone == "" || strings.HasPrefix(zone, "*.") {
		return "", fmt.Errorf("%q is not the name of a zone", zone)
	}
	return dns.CanonicalName(zone), nil
}

// Zone returns the name of the zone in lower case, with the final dot.
func (k *Key) Zone() string { return k.zone }

// Tag returns the key tag (RFC 4034 appendix B), by which signatures refer to
// the key.
func (k *Key) Tag() uint16 { return k.tag }

// DNSKEY returns the public key as the zone's apex has it, with a TTL in
// seconds.
func (k *Key) DNSKEY(ttl uint32) *dns.DNSKEY {
	return &dns.DNSKEY{
		Hdr:       dns.RR_Header{Name: k.zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: ttl},
		Flags:     csk,
		Protocol:  3,
		Algorithm: dns.ECDSAP256SHA256,
		PublicKey: k.public,
	}
}

// DS returns the record for the parent zone, with a digest of SHA-256.
func (k *Key) DS() *dns.DS {
	ds := k.DNSKEY(parentTTL).ToDS(dns.SHA256)
	ds.Digest = strings.ToUpper(ds.Digest)
	return ds
}

// CDS returns what tells the parent, at the zone's apex, which DS the zone
// wants (RFC 7344), with a TTL in seconds.
func (k *Key) CDS(ttl uint32) *dns.CDS {
	cds := k.DS().ToCDS()
	cds.Hdr.Ttl = ttl
	return cds
}

// CDNSKEY is [Key.CDS] for parents that make the digest themselves.
func (k *Key) CDNSKEY(ttl uint32) *dns.CDNSKEY { return k.DNSKEY(ttl).ToCDNSKEY() }
