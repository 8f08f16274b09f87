package mtls

import (
	"crypto/tls"
	"testing"

	"gatehouse/internal/testkit"
)

// TestRewritesKnowTheCertificate compares the variables with the fields that say the same, on the listener that has these, and wants them empty
// where no certificate is asked for.
func TestRewritesKnowTheCertificate(t *testing.T) {
	t.Parallel()
	g := start(t, "", testkit.NewBackend(t, testkit.Respond(200, "ok")))
	cert := client(g.root)
	names := map[string]string{"": "X-Seen", "_subject": "X-Seen-Subject", "_issuer": "X-Seen-Issuer", "_serial": "X-Seen-Serial", "_fingerprint": "X-Seen-Fingerprint",
		"_start_date": "X-Seen-Start-Date", "_end_date": "X-Seen-End-Date", "_verification": "X-Seen-Verification"}
	for _, c := range []struct {
		host string
		cert *tls.Certificate
	}{{"pass", &cert.TLS}, {"pass", nil}, {"open", &cert.TLS}} {
		if status, _, err := g.try(g.tls(c.host+".test", c.cert), c.host+".test", "X-Seen-Verification: SUCCESS"); err != nil || status != 200 {
			t.Fatalf("%s: %d, %v", c.host, status, err)
		}
		r := g.backend.Last()
		for _, seen := range names {
			told := "X-Client-Cert" + seen[len("X-Seen"):]
			if r.Get(seen) != r.Get(told) || len(r.Values(seen)) > 1 {
				t.Errorf("%s: %s is %q, %s is %q", c.host, seen, r.Values(seen), told, r.Get(told))
			}
		}
		if got := r.Get("X-Seen-Verification"); (got == "") != (c.host == "open") {
			t.Errorf("%s: verification %q", c.host, got)
		}
		if got := r.Get("X-Seen"); (got != "") != (c.host == "pass" && c.cert != nil) {
			t.Errorf("%s: certificate %q", c.host, got)
		}
	}
}
