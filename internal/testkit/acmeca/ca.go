// Package acmeca is an ACME authority for tests, Let's Encrypt's own test
// server, with a name server whose names all lead to loopback and which takes
// dynamic updates.
package acmeca

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"

	"gatehouse/internal/testkit"
)

// Options say what authority to make. The zero value works.
type Options struct {
	HTTP string // address that http-01 is asked at, in place of port 80
	TLS  string // address that tls-alpn-01 is asked at, in place of port 443

	Addr     string            // of the directory; if empty, any
	Validity uint64            // of certificates in seconds; if zero, years
	OCSP     *testkit.OCSP     // answers about its certificates; nil: nobody
	EAB      map[string]string // MAC keys in base64url by identifier; if not empty, accounts need one of them
}

// CA is an authority that lives for one test.
type CA struct {
	Directory string // URL
	Roots     []byte // PEM: what to trust when it is asked
	File      string // Roots in a file
	Orders    atomic.Int64
	Accounts  atomic.Int64
	DNS       *NameServer

	ca *ca.CAImpl
	t  testing.TB
}

// New starts an authority.
func New(t *testing.T, o Options) *CA {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_AUTHZREUSE", "0") // each order is to be validated
	quiet, store := log.New(io.Discard, "", 0), db.NewMemoryStore()
	c := &CA{t: t, DNS: NewNameServer(t)}
	for id, key := range o.EAB {
		if err := store.AddExternalAccountKeyByID(id, key); err != nil {
			t.Fatal(err)
		}
	}
	c.ca = ca.New(quiet, store, responderURL(o.OCSP), "rsa", 0, 1, map[string]ca.Profile{"default": {Description: "default", ValidityPeriod: o.Validity}})
	if o.OCSP != nil {
		block, _ := pem.Decode(c.ca.GetIntermediateCert(0).PEM())
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		o.OCSP.SetCA(testkit.CAOf(t, cert, c.ca.GetIntermediateKey(0)))
	}
	validator := va.New(quiet, port(o.HTTP), port(o.TLS), false, c.DNS.Addr, store)
	front := wfe.New(quiet, store, validator, c.ca, []string{"pebble.test"}, false, len(o.EAB) > 0, 1, 1)
	c.serve(front.Handler(), o.Addr)
	return c
}

func (c *CA) serve(h http.Handler, addr string) {
	if addr == "" {
		addr = testkit.FreeAddr(c.t)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		c.t.Fatal(err)
	}
	front := testkit.NewCA(c.t)
	s := httptest.NewUnstartedServer(c.count(h))
	s.Listener.Close()
	s.Listener, s.TLS = ln, testkitConfig(front)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	c.t.Cleanup(s.Close)
	c.Directory, c.Roots, c.File = "https://"+addr+wfe.DirectoryPath, front.PEM, front.File
}

// count counts what was created. Pebble refuses a part of all nonces, so that
// clients ask again.
func (c *CA) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &statusSeen{ResponseWriter: w}
		h.ServeHTTP(seen, r)
		switch {
		case seen.status != http.StatusCreated:
		case r.URL.Path == "/order-plz":
			c.Orders.Add(1)
		case r.URL.Path == "/sign-me-up":
			c.Accounts.Add(1)
		}
	})
}

// statusSeen remembers the status of an answer.
type statusSeen struct {
	http.ResponseWriter
	status int
}

func (s *statusSeen) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Pool are the roots that certificates of the authority chain to.
func (c *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.ca.GetRootCert(0).PEM())
	return pool
}

func responderURL(o *testkit.OCSP) string {
	if o == nil {
		return ""
	}
	return o.URL
}

func port(addr string) int {
	_, text, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(text)
	return n
}
