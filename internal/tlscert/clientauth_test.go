package tlscert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

// clients is an authentication whose files a test may change before it is read.
type clients struct {
	conf config.ClientAuth
}

func newClients(t *testing.T, mode config.ClientAuthMode, cas ...*testkit.CA) *clients {
	t.Helper()
	var all []byte
	for _, ca := range cas {
		all = append(all, ca.PEM...)
	}
	return &clients{config.ClientAuth{Mode: mode, CAFile: file(t, "ca.pem", all)}}
}

func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (c *clients) load(t *testing.T) *ClientAuth {
	t.Helper()
	a, _, err := LoadClientAuth(c.conf, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// faultOf is what is wrong by a verification; ok: nothing.
func faultOf(t *testing.T, err error) (why ClientFault, ok bool) {
	t.Helper()
	var e *ClientError
	if err == nil {
		return 0, true
	}
	if !errors.As(err, &e) {
		t.Fatalf("%v is no ClientError", err)
	}
	return e.Why, false
}

func TestClientCertificatesAreVerified(t *testing.T) {
	root, other := testkit.NewCA(t), testkit.NewCA(t)
	below := root.Intermediate()
	hour := time.Hour
	client := func(ca *testkit.CA, l testkit.Leaf) *x509.Certificate {
		l.Names, l.Client = []string{"client.test"}, true
		return ca.Issue(l).TLS.Leaf
	}
	good := client(root, testkit.Leaf{})
	revoked, belowRevoked := client(root, testkit.Leaf{}), client(below, testkit.Leaf{})
	lists := append(root.CRL(time.Now().Add(hour), revoked), below.CRL(time.Now().Add(hour), belowRevoked)...)
	revokedCA := append(root.CRL(time.Now().Add(hour), below.Cert), below.CRL(time.Now().Add(hour))...)
	old := root.CRL(time.Now().Add(-time.Minute))
	both, alone := []*testkit.CA{root, below}, []*testkit.CA{root}
	for _, c := range []struct {
		name  string
		cas   []*testkit.CA
		crl   []byte
		dn    bool
		shown []*x509.Certificate
		want  ClientFault
		ok    bool
	}{
		{name: "good", cas: alone, shown: []*x509.Certificate{good}, ok: true},
		{name: "none", cas: alone, want: ClientCertMissing},
		{name: "expired", cas: alone, shown: []*x509.Certificate{client(root, testkit.Leaf{NotAfter: time.Now().Add(-time.Minute)})}, want: ClientCertExpired},
		{name: "not yet valid", cas: alone, shown: []*x509.Certificate{client(root, testkit.Leaf{NotBefore: time.Now().Add(hour)})}, want: ClientCertExpired},
		{name: "another CA", cas: alone, shown: []*x509.Certificate{client(other, testkit.Leaf{}), other.Cert}, want: ClientCertUnknownCA},
		{name: "of a server", cas: alone, shown: []*x509.Certificate{root.Server("client.test").TLS.Leaf}, want: ClientCertUsage},
		{name: "for nothing", cas: alone, shown: []*x509.Certificate{client(root, testkit.Leaf{NoUsage: true})}, want: ClientCertUsage},
		{name: "the CA itself", cas: alone, shown: []*x509.Certificate{root.Cert}, want: ClientCertUsage},
		{name: "intermediate sent", cas: alone, shown: []*x509.Certificate{client(below, testkit.Leaf{}), below.Cert}, ok: true},
		{name: "intermediate configured", cas: both, shown: []*x509.Certificate{client(below, testkit.Leaf{})}, ok: true},
		{name: "intermediate missing", cas: alone, shown: []*x509.Certificate{client(below, testkit.Leaf{})}, want: ClientCertUnknownCA},
		{name: "issued by a client", cas: alone, shown: []*x509.Certificate{client(other, testkit.Leaf{}), good}, want: ClientCertUnknownCA},
		{name: "DN of the lowest", cas: both, dn: true, shown: []*x509.Certificate{client(below, testkit.Leaf{})}, ok: true},
		{name: "DN of the root", cas: both, dn: true, shown: []*x509.Certificate{good}, want: ClientCertIssuer},
		{name: "DN, a root alone", cas: alone, dn: true, shown: []*x509.Certificate{good}, ok: true},
		{name: "on no list", cas: both, crl: lists, shown: []*x509.Certificate{good}, ok: true},
		{name: "on a list", cas: both, crl: lists, shown: []*x509.Certificate{revoked}, want: ClientCertRevoked},
		{name: "on the intermediate's list", cas: both, crl: lists, shown: []*x509.Certificate{belowRevoked}, want: ClientCertRevoked},
		{name: "CA on a list", cas: both, crl: revokedCA, shown: []*x509.Certificate{client(below, testkit.Leaf{})}, want: ClientCertRevoked},
		{name: "list is old", cas: alone, crl: old, shown: []*x509.Certificate{good}, want: ClientCertCRL},
		{name: "old list beside the new", cas: both, crl: append(lists, old...), shown: []*x509.Certificate{revoked}, want: ClientCertRevoked},
		{name: "no list of the intermediate", cas: both, crl: root.CRL(time.Now().Add(hour)), shown: []*x509.Certificate{client(below, testkit.Leaf{})}, want: ClientCertCRL},
		{name: "no list of an intermediate that was sent", cas: alone, crl: root.CRL(time.Now().Add(hour)), shown: []*x509.Certificate{client(below, testkit.Leaf{}), below.Cert}, want: ClientCertCRL},
	} {
		t.Run(c.name, func(t *testing.T) {
			strict := newClients(t, config.ClientAuthStrict, c.cas...)
			strict.conf.VerifyIssuerDN = c.dn
			if c.crl != nil {
				strict.conf.CRLFile = file(t, "crl.pem", c.crl)
			}
			a := strict.load(t)
			why, ok := faultOf(t, a.Verify(c.shown, time.Now()))
			if ok != c.ok || why != c.want {
				t.Errorf("%v %v, want %v %v", why, ok, c.want, c.ok)
			}
			strict.conf.Mode = config.ClientAuthPassthrough
			cert, err := strict.load(t).Client(c.shown, time.Now())
			if err != nil || cert.Verified() != c.ok {
				t.Errorf("passthrough: %+v, %v", cert, err)
			}
		})
	}
}

func TestClientAuthFilesThatAreRefused(t *testing.T) {
	root, other := testkit.NewCA(t), testkit.NewCA(t)
	block, _ := pem.Decode(root.CRL(time.Now().Add(time.Hour)))
	forged := append([]byte(nil), block.Bytes...)
	forged[len(forged)-1] ^= 1
	leaf := root.Issue(testkit.Leaf{Client: true})
	for _, c := range []struct {
		name    string
		ca, crl []byte
		want    string
	}{
		{name: "no CA", ca: []byte("hello"), want: "has no PEM certificate"},
		{name: "no root", ca: root.Intermediate().PEM, want: "has no root"},
		{name: "not a CA", ca: leaf.CertPEM, want: "is not that of a CA"},
		{name: "broken", ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), want: "certificate 1"},
		{name: "no list", ca: root.PEM, crl: root.PEM, want: "has no revocation list"},
		{name: "empty list file", ca: root.PEM, crl: []byte{}, want: "has no revocation list"},
		{name: "list of another CA of the same name", ca: root.PEM, crl: other.CRL(time.Now().Add(time.Hour)), want: "is not signed by a CA of caFile"},
		{name: "forged list", ca: root.PEM, crl: forged, want: "is not signed by a CA of caFile"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := config.ClientAuth{Mode: config.ClientAuthStrict, CAFile: file(t, "ca.pem", c.ca)}
			if c.crl != nil {
				conf.CRLFile = file(t, "crl", c.crl)
			}
			if _, _, err := LoadClientAuth(conf, time.Now()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	t.Run("files that are not there", func(t *testing.T) {
		for _, conf := range []config.ClientAuth{
			{Mode: config.ClientAuthStrict, CAFile: root.File + ".gone"},
			{Mode: config.ClientAuthPassthrough, CAFile: root.File, CRLFile: root.File + ".gone"},
		} {
			if a, _, err := LoadClientAuth(conf, time.Now()); a != nil || !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%+v: %v, %v", conf, a, err)
			}
		}
	})
	t.Run("DER is read", func(t *testing.T) {
		conf := config.ClientAuth{Mode: config.ClientAuthStrict, CAFile: root.File, CRLFile: file(t, "crl", block.Bytes)}
		if _, warnings, err := LoadClientAuth(conf, time.Now()); err != nil || len(warnings) > 0 {
			t.Error(warnings, err)
		}
		if _, warnings, err := LoadClientAuth(conf, time.Now().Add(2*time.Hour)); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "only; certificates that it issued are refused") {
			t.Errorf("of a list that is old: %q, %v", warnings, err)
		}
	})
}

// A list that says only a part, or an entry that means another CA's
// certificate, must not be taken for the whole.
func TestPartialRevocationListsAreRefused(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	critical := []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
	for name, list := range map[string]*x509.RevocationList{
		"delta": {ExtraExtensions: critical},
		"entry": {RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(2), RevocationTime: time.Now(), ExtraExtensions: critical}}},
	} {
		list.Number, list.ThisUpdate, list.NextUpdate = big.NewInt(1), time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
		der, err := x509.CreateRevocationList(rand.Reader, list, ca, key)
		if err != nil {
			t.Fatal(err)
		}
		a := &ClientAuth{cas: []*x509.Certificate{ca}}
		if _, err := a.addLists(der, time.Now()); err == nil || !strings.Contains(err.Error(), "critical extension") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A server that asks for certificates, and clients that resume.
func TestResumptionStaysWithTheCAs(t *testing.T) {
	forEachVersion(t, func(t *testing.T, version uint16) {
		dir := t.TempDir()
		tickets := NewTickets(0)
		s := mustLoad(t, Options{}, issue{names: []string{"a.example"}}.source(t, dir, "web", "a"))
		root, other := testkit.NewCA(t), testkit.NewCA(t)
		leaf := root.Issue(testkit.Leaf{Client: true})
		client := clientFor("a.example", version)
		client.Certificates = []tls.Certificate{leaf.TLS}
		strict := newClients(t, config.ClientAuthStrict, root)
		server := func(a *ClientAuth) *tls.Config { return ServerConfig(s.Set("web"), modern(), a, tickets) }
		for _, resumed := range []bool{false, true} {
			state, err := handshake(t, server(strict.load(t)), client)
			if err != nil || state.DidResume != resumed {
				t.Fatalf("resumed %v, %v; want %v", state.DidResume, err, resumed)
			}
		}
		t.Run("revoked", func(t *testing.T) {
			listed := *strict
			listed.conf.CRLFile = file(t, "crl.pem", root.CRL(time.Now().Add(time.Hour), leaf.TLS.Leaf))
			if state, err := handshake(t, server(listed.load(t)), client); err == nil {
				t.Errorf("admitted, resumed: %v", state.DidResume)
			}
		})
		t.Run("other CA", func(t *testing.T) {
			if _, err := handshake(t, server(newClients(t, config.ClientAuthStrict, other).load(t)), client); err == nil {
				t.Error("admitted")
			}
		})
		t.Run("other CA, and a certificate of it beside the old ticket", func(t *testing.T) {
			renewed := client.Clone() // with the same tickets
			renewed.Certificates = []tls.Certificate{other.Issue(testkit.Leaf{Client: true}).TLS}
			if state, err := handshake(t, server(newClients(t, config.ClientAuthStrict, other).load(t)), renewed); err != nil || state.DidResume {
				t.Errorf("resumed %v, %v; want a full handshake", state.DidResume, err)
			}
		})
		t.Run("not asked before", func(t *testing.T) {
			// The ticket of a listener that asks nobody, offered where it counts.
			careless := clientFor("a.example", version)
			for range 2 {
				if _, err := handshake(t, server(nil), careless); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := handshake(t, server(strict.load(t)), careless); err == nil {
				t.Error("admitted")
			}
		})
		t.Run("other CA under the same keys", func(t *testing.T) {
			a := strict.load(t)
			config := server(a)
			if _, err := handshake(t, config, client); err != nil {
				t.Fatal(err)
			}
			a.roots = other.Pool() // as no reload would: the same keys, other CAs
			if state, err := handshake(t, config, client); err == nil {
				t.Errorf("admitted, resumed: %v", state.DidResume)
			}
		})
	})
}

func TestLargeCertificatesOfClientsAreRefused(t *testing.T) {
	small, root := &x509.Certificate{Raw: make([]byte, maxClientCert)}, testkit.NewCA(t)
	for _, c := range []struct {
		shown []*x509.Certificate
		want  bool
	}{
		{nil, false}, {[]*x509.Certificate{small}, false}, {[]*x509.Certificate{{Raw: make([]byte, maxClientCert+1)}}, true},
		{[]*x509.Certificate{small, small, small, small}, false}, {[]*x509.Certificate{small, small, small, small, {Raw: []byte{0}}}, true},
	} {
		pass := &tls.Config{}
		newClients(t, config.ClientAuthPassthrough, root).load(t).configure(pass)
		if err := pass.VerifyConnection(tls.ConnectionState{PeerCertificates: c.shown}); (err != nil) != c.want {
			t.Errorf("%d certificates: %v, want refused: %v", len(c.shown), err, c.want)
		}
	}
}

// FuzzName: whoever makes a certificate chooses its names, and they stand in
// header fields.
func FuzzName(f *testing.F) {
	for _, cn := range []string{"client", "a\r\nX-Evil: 1", "ü,\"\\", " ", "", "\x00\x7f\xff"} {
		der, err := asn1.Marshal(pkix.Name{CommonName: cn}.ToRDNSequence())
		if err == nil {
			f.Add(der)
		}
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		name := Name(der)
		for _, b := range []byte(name) {
			if b < ' ' || b > '~' {
				t.Fatalf("%q has byte %#x", name, b)
			}
		}
		if len(name) > 8*len(der)+64 {
			t.Fatalf("%d bytes of %d", len(name), len(der))
		}
	})
}

func TestNamesAreRFC2253(t *testing.T) {
	der, err := asn1.Marshal(pkix.Name{CommonName: "a\r\nb, c", Organization: []string{"Größe"}}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := Name(der), `CN=a\0D\0Ab\, c,O=Gr\C3\B6\C3\9Fe`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestPEMInAField(t *testing.T) {
	leaf := testkit.NewCA(t).Issue(testkit.Leaf{Client: true})
	text := (&ClientCert{Shown: []*x509.Certificate{leaf.TLS.Leaf}}).AppendPEM(nil)
	if bytes.ContainsAny(text, " \n+/=") || !bytes.HasPrefix(text, []byte("-----BEGIN%20CERTIFICATE-----%0A")) {
		t.Errorf("%s", text)
	}
}
