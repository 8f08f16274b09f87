package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/responder"
	"gatehouse/internal/testkit"
	"gatehouse/internal/testkit/acmeca"
	"gatehouse/internal/tlscert"
)

// soon is how long anything may take that should happen at once.
const soon = 30 * time.Second

func manager(t *testing.T) *Manager {
	m := NewManager(Options{Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(m.Close)
	return m
}

// account is one at an authority, with a storage of its own.
func account(t *testing.T, ca *acmeca.CA, challenges config.ACMEChallenges) Account {
	return Account{Directory: ca.Directory, Roots: string(ca.Roots), Email: "ops@shop.test", Storage: filepath.Join(t.TempDir(), "acme"), Challenges: challenges,
		DNS: DNS{Server: ca.DNS.Addr, KeyName: acmeca.KeyName, Algorithm: "hmac-sha256", Secret: acmeca.Secret}}
}

func prepare(t *testing.T, m *Manager, a Account, names ...string) *Site {
	t.Helper()
	s, err := m.Prepare("web", a, names)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// doors answer challenges as listeners do: http-01 at one address, tls-alpn-01
// at the other.
type doors struct{ http, tls string }

func open(t *testing.T, d doors, m *Manager) {
	t.Helper()
	web := &http.Server{Addr: d.http, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.Host)
		text, ok := m.KeyAuthorization(host, strings.TrimPrefix(r.URL.Path, "/.well-known/acme-challenge/"))
		if !ok {
			w.WriteHeader(404)
		}
		io.WriteString(w, text)
	})}
	ln, err := net.Listen("tcp", d.http)
	if err != nil {
		t.Fatal(err)
	}
	go web.Serve(ln)
	t.Cleanup(func() { web.Close() })
	secure, err := tls.Listen("tcp", d.tls, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if c := m.ChallengeConfig(h); c != nil {
			return c, nil
		}
		return nil, errors.New("no challenge")
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { secure.Close() })
	go func() {
		for conn, err := secure.Accept(); err == nil; conn, err = secure.Accept() {
			conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
}

func newDoors(t *testing.T) doors { return doors{testkit.FreeAddr(t), testkit.FreeAddr(t)} }

// obtained waits for a certificate and verifies it.
func obtained(t *testing.T, s *Site, ca *acmeca.CA, name string) *x509.Certificate {
	t.Helper()
	var cert *tls.Certificate
	testkit.Eventually(t, soon, "a certificate for "+name, func() (ok bool) {
		var err error
		cert, err = s.Certificate(&tls.ClientHelloInfo{ServerName: name}, nil)
		return err == nil
	})
	between := x509.NewCertPool()
	for _, der := range cert.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		between.AddCert(c)
	}
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: ca.Pool(), Intermediates: between}); err != nil {
		t.Error(err)
	}
	return cert.Leaf
}

// counted waits for a first attempt of a kind.
func counted(t *testing.T, m *Manager, r Result) {
	t.Helper()
	testkit.Eventually(t, soon, "an attempt to be counted", func() bool { return m.Attempts(r) > 0 })
}

// failed waits until the status of the first name tells of an error.
func failed(t *testing.T, m *Manager) {
	t.Helper()
	testkit.Eventually(t, soon, "a failure", func() bool { return m.Status()[0].Error != "" })
}

func TestEachChallengeObtainsACertificate(t *testing.T) {
	tests := []struct {
		name       string
		challenges config.ACMEChallenges
		host, ask  string
	}{
		{"http-01", config.ACMEChallenges{HTTP01: true}, "a.test", "A.test."},
		{"tls-alpn-01", config.ACMEChallenges{TLSALPN01: true}, "b.test", "b.test"},
		{"dns-01", config.ACMEChallenges{DNS01: true}, "c.test", "c.test"},
		{"dns-01 of a wildcard", config.ACMEChallenges{DNS01: true}, "*.d.test", "any.d.test"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDoors(t)
			ca := acmeca.New(t, acmeca.Options{HTTP: d.http, TLS: d.tls})
			m := manager(t)
			open(t, d, m)
			s := prepare(t, m, account(t, ca, tt.challenges), tt.host)
			var missing *tlscert.MissingError
			if _, err := s.Certificate(&tls.ClientHelloInfo{ServerName: tt.ask}, nil); !errors.As(err, &missing) {
				t.Fatalf("before: %v", err)
			}
			m.Use([]*Site{s})
			obtained(t, s, ca, tt.ask)
			counted(t, m, Obtained) // once it is in use
			if st := m.Status(); len(st) != 1 || st[0].NotAfter.IsZero() || st[0].Error != "" || m.Attempts(Obtained) != 1 {
				t.Errorf("status %+v, %d obtained", st, m.Attempts(Obtained))
			}
			if tt.challenges.DNS01 && (len(ca.DNS.Updated()) == 0 || len(ca.DNS.TXT(ca.DNS.Updated()[0])) != 0) {
				t.Errorf("records: %v were set, there still are %v", ca.DNS.Updated(), ca.DNS.TXT(ca.DNS.Updated()[0]))
			}
			if m.challenge(tt.host) != nil {
				t.Error("the challenge is still answered")
			}
		})
	}
}

// A restart, and another instance with the same storage, ask for nothing.
func TestStoredCertificatesAreUsed(t *testing.T) {
	d := newDoors(t)
	ca := acmeca.New(t, acmeca.Options{HTTP: d.http, TLS: d.tls})
	a := account(t, ca, config.ACMEChallenges{HTTP01: true})
	m := manager(t)
	open(t, d, m)
	s := prepare(t, m, a, "a.test")
	m.Use([]*Site{s})
	first := obtained(t, s, ca, "a.test")
	orders, accounts := ca.Orders.Load(), ca.Accounts.Load()

	m.Use([]*Site{prepare(t, m, a, "a.test", "b.test")}) // a reload that adds a name
	testkit.Eventually(t, soon, "the second certificate", func() bool { return m.Attempts(Obtained) == 2 })
	if ca.Orders.Load() != orders+1 || ca.Accounts.Load() != accounts {
		t.Errorf("%d orders and %d accounts, want %d and %d", ca.Orders.Load(), ca.Accounts.Load(), orders+1, accounts)
	}

	again := manager(t)
	if got := prepare(t, again, a, "a.test"); !obtained(t, got, ca, "a.test").Equal(first) {
		t.Error("another certificate than the stored one")
	} else {
		again.Use([]*Site{got})
	}
	if ca.Orders.Load() != orders+1 {
		t.Errorf("%d orders", ca.Orders.Load())
	}
	if info, err := os.Stat(a.Storage); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("storage: %v, %v", info.Mode(), err)
	}
}

// Two instances with one storage obtain one certificate, and each answers for
// the other: the authority asks the one that did not order.
func TestInstancesAnswerForEachOther(t *testing.T) {
	for _, challenges := range []config.ACMEChallenges{{HTTP01: true}, {TLSALPN01: true}} {
		d := newDoors(t)
		ca := acmeca.New(t, acmeca.Options{HTTP: d.http, TLS: d.tls})
		a := account(t, ca, challenges)
		one, two := manager(t), manager(t)
		open(t, d, two)
		two.names.Store(&map[string]*managed{"a.test": prepare(t, two, a, "a.test").all[0]}) // it would have the name, but does not order
		s := prepare(t, one, a, "a.test")
		one.Use([]*Site{s})
		obtained(t, s, ca, "a.test")
	}
}

func TestCertificatesAreRenewed(t *testing.T) {
	d := newDoors(t)
	ca := acmeca.New(t, acmeca.Options{HTTP: d.http, TLS: d.tls, Validity: 6})
	m := manager(t)
	open(t, d, m)
	s := prepare(t, m, account(t, ca, config.ACMEChallenges{TLSALPN01: true}), "a.test")
	m.Use([]*Site{s})
	first := obtained(t, s, ca, "a.test")
	testkit.Eventually(t, soon, "another certificate", func() bool {
		c, err := s.Certificate(&tls.ClientHelloInfo{ServerName: "a.test"}, nil)
		return err == nil && !c.Leaf.Equal(first)
	})
	testkit.Eventually(t, soon, "both to be counted", func() bool { return m.Attempts(Obtained) >= 2 })
	if m.Attempts(Refused)+m.Attempts(Unreachable) > 0 {
		t.Errorf("%d obtained, %d refused, %d unreachable", m.Attempts(Obtained), m.Attempts(Refused), m.Attempts(Unreachable))
	}
}

func TestManagedCertificatesAreStapled(t *testing.T) {
	d, o, r := newDoors(t), testkit.NewOCSPLater(t), responder.New()
	t.Cleanup(r.Close)
	ca := acmeca.New(t, acmeca.Options{HTTP: d.http, TLS: d.tls, OCSP: o})
	m := NewManager(Options{Logger: slog.New(slog.DiscardHandler), Responder: r})
	t.Cleanup(m.Close)
	open(t, d, m)
	o.For(5 * time.Second)
	a := account(t, ca, config.ACMEChallenges{HTTP01: true})
	a.Staple = true
	s := prepare(t, m, a, "a.test")
	m.Use([]*Site{s})
	staple := func() []byte {
		c, err := s.Certificate(&tls.ClientHelloInfo{ServerName: "a.test"}, nil)
		if err != nil {
			return nil
		}
		return c.OCSPStaple
	}
	testkit.Eventually(t, soon, "a staple", func() bool { return staple() != nil })
	o.Down(true)
	testkit.Eventually(t, soon, "no staple, when the answer has ended", func() bool { return staple() == nil })
	if m.Attempts(Obtained) != 1 {
		t.Errorf("%d obtained", m.Attempts(Obtained))
	}
}

func TestAnAuthorityThatIsDownIsAskedAgain(t *testing.T) {
	d, addr := newDoors(t), testkit.FreeAddr(t)
	m := manager(t)
	open(t, d, m)
	a := Account{Directory: "https://" + addr + "/dir", Storage: filepath.Join(t.TempDir(), "acme"), Challenges: config.ACMEChallenges{HTTP01: true}}
	s := prepare(t, m, a, "a.test")
	m.Use([]*Site{s})
	counted(t, m, Unreachable)
	failed(t, m)
	if st := m.Status()[0]; !strings.Contains(st.Error, "refused") || st.Tried.IsZero() || !st.NotAfter.IsZero() {
		t.Errorf("status %+v", st)
	}
	_, err := s.Certificate(&tls.ClientHelloInfo{}, nil)
	if err == nil || !strings.Contains(err.Error(), "no certificate for a.test yet: ") {
		t.Errorf("got %v", err)
	}
	testkit.Eventually(t, soon, "more attempts", func() bool { return m.Attempts(Unreachable) > 1 })
}

func TestAChallengeThatIsNotMetIsARefusal(t *testing.T) {
	d := newDoors(t)
	ca := acmeca.New(t, acmeca.Options{HTTP: d.http, TLS: d.tls})
	m := manager(t)
	open(t, d, manager(t)) // which knows of nothing
	s := prepare(t, m, account(t, ca, config.ACMEChallenges{HTTP01: true}), "a.test")
	m.Use([]*Site{s})
	counted(t, m, Refused)
	failed(t, m)
	if m.Attempts(Obtained) > 0 {
		t.Errorf("status %+v", m.Status()[0])
	}
}

func TestExternalAccountBinding(t *testing.T) {
	const mac = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	d := newDoors(t)
	ca := acmeca.New(t, acmeca.Options{HTTP: d.http, TLS: d.tls, EAB: map[string]string{"kid-1": mac}})
	m := manager(t)
	open(t, d, m)
	a := account(t, ca, config.ACMEChallenges{HTTP01: true})
	without := prepare(t, m, a, "a.test")
	a.KeyID, a.MAC, a.KeyType = "kid-1", mac, config.ACMEKeyRSA2048
	with := prepare(t, m, a, "b.test")
	m.Use([]*Site{without, with})
	if leaf := obtained(t, with, ca, "b.test"); leaf.PublicKeyAlgorithm != x509.RSA {
		t.Errorf("the key is %s", leaf.PublicKeyAlgorithm)
	}
	testkit.Eventually(t, soon, "a refusal", func() bool { return m.Attempts(Refused) > 0 })
}

// What nobody asked for is not answered.
func TestOnlyOpenChallengesAreAnswered(t *testing.T) {
	m := manager(t)
	a := Account{Directory: "https://127.0.0.1:1/", Storage: filepath.Join(t.TempDir(), "acme")}
	s := prepare(t, m, a, "a.test")
	m.names.Store(&map[string]*managed{"a.test": s.all[0]})
	for _, token := range []string{"", "x", "../../../etc/passwd", strings.Repeat("x", 1<<20)} {
		if text, ok := m.KeyAuthorization("a.test", token); ok {
			t.Errorf("token %.20q is answered %q", token, text)
		}
	}
	for _, name := range []string{"", "a.test", "../a.test", strings.Repeat("x", 1<<20)} {
		if c := m.ChallengeConfig(&tls.ClientHelloInfo{ServerName: name, SupportedProtos: []string{"acme-tls/1"}}); c != nil {
			t.Errorf("name %.20q has a certificate", name)
		}
	}
	data := `{"type":"http-01","token":"tok","keyAuthorization":"tok.key","identifier":{"type":"dns","value":"a.test"},"until":"`
	store := func(until time.Time) {
		s.all[0].issuer.storage.Store(context.Background(), challengeFile("a.test"), []byte(data+until.Format(time.RFC3339)+`"}`))
	}
	store(time.Now().Add(time.Hour))
	if text, ok := m.KeyAuthorization("a.test", "tok"); !ok || text != "tok.key" {
		t.Errorf("a stored challenge is answered %q, %v", text, ok)
	}
	if _, ok := m.KeyAuthorization("a.test", "tok2"); ok {
		t.Error("another token is answered")
	}
	store(time.Now().Add(-time.Hour))
	if _, ok := m.KeyAuthorization("a.test", "tok"); ok {
		t.Error("a challenge that has ended is answered")
	}
}

func TestUpdatesNeedTheirKey(t *testing.T) {
	d := newDoors(t)
	ca := acmeca.New(t, acmeca.Options{HTTP: d.http, TLS: d.tls})
	a := account(t, ca, config.ACMEChallenges{DNS01: true})
	a.DNS.KeyName = ""
	m := manager(t)
	m.Use([]*Site{prepare(t, m, a, "a.test")})
	failed(t, m)
	if st := m.Status()[0]; !strings.Contains(st.Error, "answered REFUSED") {
		t.Errorf("status %+v", st)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	silent := testkit.SilentAddr(t)
	before := testkit.Count(t)
	m := NewManager(Options{Logger: slog.New(slog.DiscardHandler)})
	a := Account{Directory: "https://" + silent + "/dir", Storage: filepath.Join(t.TempDir(), "acme")}
	m.Use([]*Site{prepare(t, m, a, "a.test", "b.test")})
	time.Sleep(50 * time.Millisecond) // some are at it, perhaps
	m.Close()
	before.Settle(t, soon)
}

func TestStorageThatOthersReadIsRefused(t *testing.T) {
	dir := t.TempDir()
	os.Chmod(dir, 0o755)
	if _, err := manager(t).Prepare("web", Account{Storage: dir}, []string{"a.test"}); err == nil || !strings.Contains(err.Error(), "chmod it to 0700") {
		t.Errorf("got %v", err)
	}
}
