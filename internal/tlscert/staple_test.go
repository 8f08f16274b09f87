package tlscert

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"gatehouse/internal/responder"
	"gatehouse/internal/testkit"
)

const stapleSoon = 20 * time.Second

// stapled is a store at work, of one certificate of ca.
func stapled(t *testing.T, cert *testkit.Cert, ocspFile string, previous *Store) *Store {
	t.Helper()
	s := mustLoad(t, Options{Logger: slog.New(slog.DiscardHandler), Interval: 20 * time.Millisecond, Responder: responder.New(), Previous: previous},
		Source{Listener: "web", CertFile: cert.CertFile, KeyFile: cert.KeyFile, OCSPFile: ocspFile, Staple: true})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return s
}

func sent(t *testing.T, s *Store) []byte {
	t.Helper()
	state, err := handshake(t, ServerConfig(s.Set("web"), modern(), nil, NewTickets(0)), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	return state.OCSPResponse
}

func TestAnswersAreStapled(t *testing.T) {
	ca := testkit.NewCA(t)
	o := testkit.NewOCSP(t, ca)
	cert := ca.Issue(testkit.Leaf{Names: []string{"a.test"}, Responder: o.URL, MustStaple: true})
	o.Down(true)
	s := stapled(t, cert, "", nil)
	testkit.Eventually(t, stapleSoon, "a failure", func() bool { return s.Status()[0].OCSPError != "" })
	if st := s.Status()[0]; sent(t, s) != nil || !strings.Contains(st.OCSPError, "503") || len(st.Warnings) > 0 {
		t.Errorf("while the responder is down: %+v", st)
	}
	o.Down(false)
	s = stapled(t, cert, "", nil) // which has not failed yet
	testkit.Eventually(t, stapleSoon, "a staple", func() bool { return sent(t, s) != nil })
	if resp, err := ocsp.ParseResponseForCert(sent(t, s), cert.TLS.Leaf, ca.Cert); err != nil || resp.Status != ocsp.Good {
		t.Errorf("%+v, %v", resp, err)
	}
	asked := o.Asked.Load()
	if next := stapled(t, cert, "", s); sent(t, next) == nil { // a reload
		t.Error("a reload has lost the staple")
	}
	time.Sleep(100 * time.Millisecond) // some looks
	if o.Asked.Load() != asked {
		t.Errorf("asked %d times more for what it has", o.Asked.Load()-asked)
	}
}

// What is wrong with an answer keeps it from being sent.
func TestBadAnswersAreNotStapled(t *testing.T) {
	tests := []struct {
		name string
		make func(o *testkit.OCSP, ca *testkit.CA, cert *testkit.Cert)
		want string
	}{
		{"revoked", func(o *testkit.OCSP, _ *testkit.CA, cert *testkit.Cert) { o.Revoke(cert.TLS.Leaf) }, "was revoked on"},
		{"unknown", func(o *testkit.OCSP, _ *testkit.CA, _ *testkit.Cert) { o.Unknown(true) }, "does not know"},
		{"ended", func(o *testkit.OCSP, _ *testkit.CA, _ *testkit.Cert) { o.For(-time.Second) }, "has ended on"},
		{"signed by another certificate of the CA", func(o *testkit.OCSP, ca *testkit.CA, _ *testkit.Cert) {
			o.SignWith(ca.Issue(testkit.Leaf{Names: []string{"evil.test"}}))
		}, "not entitled"},
		{"signed by another CA's", func(o *testkit.OCSP, ca *testkit.CA, _ *testkit.Cert) {
			o.SignWith(testkit.NewCA(t).Issue(testkit.Leaf{SignsOCSP: true}))
		}, "bad"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ca := testkit.NewCA(t)
			o := testkit.NewOCSP(t, ca)
			cert := ca.Issue(testkit.Leaf{Names: []string{"a.test"}, Responder: o.URL})
			tt.make(o, ca, cert)
			s := stapled(t, cert, "", nil)
			testkit.Eventually(t, stapleSoon, "a failure", func() bool { return s.Status()[0].OCSPError != "" })
			if st := s.Status()[0]; !strings.Contains(st.OCSPError, tt.want) || sent(t, s) != nil {
				t.Errorf("%q, sent %x", st.OCSPError, sent(t, s))
			}
		})
	}
}

func TestEntitledSignersAreBelieved(t *testing.T) {
	ca := testkit.NewCA(t)
	o := testkit.NewOCSP(t, ca)
	o.SignWith(ca.Issue(testkit.Leaf{SignsOCSP: true}))
	s := stapled(t, ca.Issue(testkit.Leaf{Names: []string{"a.test"}, Responder: o.URL}), "", nil)
	testkit.Eventually(t, stapleSoon, "a staple", func() bool { return sent(t, s) != nil })
}

func TestAnswersThatEndAreTakenBack(t *testing.T) {
	ca := testkit.NewCA(t)
	o := testkit.NewOCSP(t, ca)
	o.For(4 * time.Second) // OCSP counts seconds
	s := stapled(t, ca.Issue(testkit.Leaf{Names: []string{"a.test"}, Responder: o.URL}), "", nil)
	testkit.Eventually(t, stapleSoon, "a staple", func() bool { return sent(t, s) != nil })
	o.Down(true)
	testkit.Eventually(t, stapleSoon, "no staple", func() bool { return sent(t, s) == nil })
	if st := s.Status()[0]; !st.Staple.IsZero() {
		t.Errorf("status %+v", st)
	}
}

func TestConfiguredAnswers(t *testing.T) {
	ca := testkit.NewCA(t)
	o := testkit.NewOCSP(t, ca)
	cert := ca.Issue(testkit.Leaf{Names: []string{"a.test"}, Responder: o.URL, MustStaple: true})
	request, err := ocsp.CreateRequest(cert.TLS.Leaf, ca.Cert, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer := func() string {
		raw, err := o.Answer(request)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	file := filepath.Join(t.TempDir(), "staple.der")
	if err := os.WriteFile(file, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := stapled(t, cert, file, nil)
	if w := strings.Join(s.Status()[0].Warnings, "; "); sent(t, s) != nil || !strings.Contains(w, file+" is not sent with it: ") || !strings.Contains(w, "must-staple") {
		t.Errorf("with garbage: %q", w)
	}
	testkit.Replace(t, file, answer())
	testkit.Eventually(t, stapleSoon, "the file's answer", func() bool { return sent(t, s) != nil })
	first := string(sent(t, s))
	o.For(2 * time.Hour)
	testkit.Replace(t, file, answer())
	testkit.Eventually(t, stapleSoon, "the newer answer", func() bool { got := sent(t, s); return got != nil && string(got) != first })
	if o.Asked.Load() > 0 {
		t.Errorf("the responder was asked %d times", o.Asked.Load())
	}
}

func TestMustStapleWithoutAResponderIsWarnedOf(t *testing.T) {
	ca := testkit.NewCA(t)
	s := stapled(t, ca.Issue(testkit.Leaf{Names: []string{"a.test"}, MustStaple: true}), "", nil)
	if w := s.Status()[0].Warnings; len(w) != 1 || !strings.Contains(w[0], "must-staple") {
		t.Errorf("warnings %q", w)
	}
}
