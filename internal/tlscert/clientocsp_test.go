package tlscert

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math"
	"sync"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/responder"
	"gatehouse/internal/testkit"
)

func askerFor(t *testing.T) *Asker {
	r := responder.New()
	t.Cleanup(r.Close)
	return NewAsker(r, slog.New(slog.DiscardHandler))
}

// asking is a strict listener's judge that asks responders.
func asking(t *testing.T, ca *testkit.CA, mode config.ClientOCSP, url string, k *Asker) *ClientAuth {
	t.Helper()
	a, warnings, err := LoadClientAuth(config.ClientAuth{Mode: config.ClientAuthStrict, CAFile: ca.File, OCSP: mode, OCSPURL: url}, time.Now())
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	a.AskWith(k)
	return a
}

func TestRespondersAreAskedAboutClients(t *testing.T) {
	nothing := func(*testkit.OCSP, *testkit.CA, *x509.Certificate) {}
	tests := []struct {
		name     string
		make     func(o *testkit.OCSP, ca *testkit.CA, leaf *x509.Certificate)
		none     bool // the certificate names no responder
		on, soft string
	}{
		{"good", nothing, false, "", ""},
		{"revoked", func(o *testkit.OCSP, _ *testkit.CA, leaf *x509.Certificate) { o.Revoke(leaf) }, false, "revoked", "revoked"},
		{"unknown", func(o *testkit.OCSP, _ *testkit.CA, _ *x509.Certificate) { o.Unknown(true) }, false, "ocsp", ""},
		{"down", func(o *testkit.OCSP, _ *testkit.CA, _ *x509.Certificate) { o.Down(true) }, false, "ocsp", ""},
		{"an answer that has ended", func(o *testkit.OCSP, _ *testkit.CA, _ *x509.Certificate) { o.For(-time.Second) }, false, "ocsp", ""},
		{"signed by a client", func(o *testkit.OCSP, ca *testkit.CA, _ *x509.Certificate) {
			o.SignWith(ca.Issue(testkit.Leaf{Names: []string{"evil.test"}, Client: true}))
		}, false, "ocsp", ""},
		{"no responder", nothing, true, "ocsp", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ca := testkit.NewCA(t)
			o := testkit.NewOCSP(t, ca)
			leaf := testkit.Leaf{Names: []string{"client.test"}, Client: true, Responder: o.URL}
			if tt.none {
				leaf.Responder = ""
			}
			cert := ca.Issue(leaf).TLS.Leaf
			tt.make(o, ca, cert)
			for mode, want := range map[config.ClientOCSP]string{config.ClientOCSPOn: tt.on, config.ClientOCSPSoft: tt.soft, config.ClientOCSPOff: ""} {
				err := asking(t, ca, mode, "", askerFor(t)).Verify([]*x509.Certificate{cert}, time.Now())
				if got := whyOf(err); got != want {
					t.Errorf("mode %d: %q (%v), want %q", mode, got, err, want)
				}
			}
		})
	}
}

// whyOf is the kind of refusal that these tests are about.
func whyOf(err error) string {
	var e *ClientError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &e):
		return err.Error()
	case e.Why == ClientCertRevoked:
		return "revoked"
	case e.Why == ClientCertOCSP:
		return "ocsp"
	}
	return e.Detail
}

// Nobody is asked at the word of a certificate of nobody's.
func TestRespondersOfStrangersAreNotAsked(t *testing.T) {
	ca, stranger := testkit.NewCA(t), testkit.NewCA(t)
	o := testkit.NewOCSP(t, stranger)
	cert := stranger.Issue(testkit.Leaf{Names: []string{"client.test"}, Client: true, Responder: o.URL}).TLS.Leaf
	if err := asking(t, ca, config.ClientOCSPOn, "", askerFor(t)).Verify([]*x509.Certificate{cert}, time.Now()); err == nil || o.Asked.Load() > 0 {
		t.Errorf("%v, asked %d times", err, o.Asked.Load())
	}
}

func TestConfiguredResponderIsAskedInstead(t *testing.T) {
	ca := testkit.NewCA(t)
	named, ours := testkit.NewOCSP(t, ca), testkit.NewOCSP(t, ca)
	cert := ca.Issue(testkit.Leaf{Names: []string{"client.test"}, Client: true, Responder: named.URL}).TLS.Leaf
	ours.Revoke(cert)
	err := asking(t, ca, config.ClientOCSPOn, ours.URL, askerFor(t)).Verify([]*x509.Certificate{cert}, time.Now())
	if whyOf(err) != "revoked" || named.Asked.Load() > 0 || ours.Asked.Load() != 1 {
		t.Errorf("%v, asked %d and %d times", err, named.Asked.Load(), ours.Asked.Load())
	}
}

// An intermediate CA that is revoked takes its clients along.
func TestCAsOfTheChainAreAskedAbout(t *testing.T) {
	root := testkit.NewCA(t)
	o := testkit.NewOCSP(t, root)
	below := root.IntermediateWith(o.URL)
	leafs := testkit.NewOCSP(t, below)
	cert := below.Issue(testkit.Leaf{Names: []string{"client.test"}, Client: true, Responder: leafs.URL}).TLS.Leaf
	shown := []*x509.Certificate{cert, below.Cert}
	if err := asking(t, root, config.ClientOCSPOn, "", askerFor(t)).Verify(shown, time.Now()); err != nil {
		t.Error(err)
	}
	o.Revoke(below.Cert)
	if err := asking(t, root, config.ClientOCSPOn, "", askerFor(t)).Verify(shown, time.Now()); whyOf(err) != "revoked" {
		t.Error(err)
	}
}

// One question serves all that come at once, and all that come later, while
// its answer is in force.
func TestAnswersAboutClientsAreKept(t *testing.T) {
	ca := testkit.NewCA(t)
	o := testkit.NewOCSP(t, ca)
	hold := make(chan struct{})
	o.Hold(hold)
	cert := ca.Issue(testkit.Leaf{Names: []string{"client.test"}, Client: true, Responder: o.URL}).TLS.Leaf
	k := askerFor(t)
	a := asking(t, ca, config.ClientOCSPOn, "", k)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := a.Verify([]*x509.Certificate{cert}, time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	testkit.Eventually(t, stapleSoon, "a question", func() bool { return o.Asked.Load() > 0 })
	close(hold)
	all.Wait()
	later := asking(t, ca, config.ClientOCSPOn, "", k) // of the configuration after
	c, err := later.Client([]*x509.Certificate{cert}, time.Now())
	if err != nil || o.Asked.Load() != 1 {
		t.Errorf("%v, asked %d times", err, o.Asked.Load())
	}
	if c.Stale(time.Now().UnixNano()) || !c.Stale(time.Now().Add(2*time.Hour).UnixNano()) || c.until == math.MaxInt64 {
		t.Error("the verdict does not last as long as the answer")
	}
	o.Revoke(cert)
	if err := later.Verify([]*x509.Certificate{cert}, time.Now().Add(2*time.Hour)); whyOf(err) != "revoked" {
		t.Errorf("when the answer has ended: %v", err)
	}
}

func TestVerdictsAreBounded(t *testing.T) {
	k := askerFor(t)
	now := time.Now()
	closed := make(chan struct{})
	close(closed)
	for i := range maxVerdicts {
		k.known[question{cert: [32]byte{byte(i), byte(i >> 8)}}] = &verdict{done: closed, until: now.Add(time.Hour)}
	}
	k.makeRoom(now)
	if len(k.known) != maxVerdicts-1 {
		t.Errorf("%d are known", len(k.known))
	}
	for _, v := range k.known {
		v.until = now.Add(-time.Second)
	}
	k.known[question{url: "x"}] = &verdict{done: closed, until: now.Add(time.Hour)}
	if k.makeRoom(now); len(k.known) != 1 {
		t.Errorf("%d are known, want what is in force", len(k.known))
	}
}

// The handshake itself fails, as with a list.
func TestHandshakesOfRevokedClientsFail(t *testing.T) {
	ca := testkit.NewCA(t)
	o := testkit.NewOCSP(t, ca)
	cert := ca.Issue(testkit.Leaf{Names: []string{"client.test"}, Client: true, Responder: o.URL})
	src, _ := sourceOf(t, "web", "shop.test")
	server := ServerConfig(mustLoad(t, Options{}, src).Set("web"), modern(), asking(t, ca, config.ClientOCSPOn, "", askerFor(t)), NewTickets(0))
	client := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert.TLS}}
	if _, err := handshake(t, server, client); err != nil {
		t.Error(err)
	}
	o.Revoke(cert.TLS.Leaf)
	server = ServerConfig(mustLoad(t, Options{}, src).Set("web"), modern(), asking(t, ca, config.ClientOCSPOn, "", askerFor(t)), NewTickets(0))
	if _, err := handshake(t, server, client); err == nil {
		t.Error("a revoked client was admitted")
	}
}
