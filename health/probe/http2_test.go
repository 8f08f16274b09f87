package probe

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"gatehouse/config"
)

// versions is a server that speaks some versions of HTTP, and says in each
// answer which one.
func versions(t *testing.T, cert *tls.Certificate, set func(*http.Protocols)) netip.AddrPort {
	t.Helper()
	server := &http.Server{Protocols: new(http.Protocols), ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ill" {
			w.WriteHeader(503)
		}
		fmt.Fprintf(w, "%s to %s by %s", r.Proto, r.Host, r.UserAgent())
	})}
	set(server.Protocols)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if cert != nil {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*cert}}
		go server.ServeTLS(ln, "", "")
	} else {
		go server.Serve(ln)
	}
	return netip.MustParseAddrPort(ln.Addr().String())
}

func TestProbesSpeakTheVersionOfRequests(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.issue(t, "app.example", time.Now().Add(time.Hour))
	one := func(p *http.Protocols) { p.SetHTTP1(true) }
	two := func(p *http.Protocols) { p.SetHTTP2(true); p.SetUnencryptedHTTP2(true) }
	expects := func(version string) config.ProbeMatch {
		return config.ProbeMatch{Body: version + " to app.example by gatehouse-probe"}
	}
	for _, tt := range []struct {
		name   string
		secure bool
		server func(*http.Protocols)
		http2  bool
		probe  config.Probe
		want   string
	}{
		{"HTTP/2 at once", false, two, true, config.Probe{Match: expects("HTTP/2.0")}, ""},
		{"HTTP/2 by ALPN", true, two, true, config.Probe{Match: expects("HTTP/2.0")}, ""},
		{"HTTP/1.1 by ALPN", true, one, true, config.Probe{Match: expects("HTTP/1.1")}, ""},
		{"HTTP/1.1 without http2", true, one, false, config.Probe{Match: expects("HTTP/1.1")}, ""},
		{"a status", false, two, true, config.Probe{Path: "/ill", Match: status(200, 299)}, "status 503 not in 200-299"},
		{"a body", true, two, true, config.Probe{Match: config.ProbeMatch{Body: "well"}}, `body does not contain "well"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := config.BackendSettings{HTTP2: tt.http2, HostName: "app.example"}
			tt.probe.Protocol = config.ProbeHTTP
			own := &cert
			if tt.secure {
				s.Protocol, tt.probe.Protocol = config.BackendHTTPS, config.ProbeHTTPS
			} else {
				own = nil
			}
			addr := versions(t, own, tt.server)
			if got := check(t, &tt.probe, s, &tls.Config{RootCAs: ca.pool()}, Subject{Addr: addr}); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// What does not understand HTTP/2 would answer no request either; a port of
// the probe's own may be another server's.
func TestAProbeOfHTTP2IsAnsweredInIt(t *testing.T) {
	addr := versions(t, nil, func(p *http.Protocols) { p.SetHTTP1(true) })
	s := config.BackendSettings{HTTP2: true}
	if got := check(t, &config.Probe{}, s, nil, Subject{Addr: addr}); got == "" {
		t.Error("healthy over HTTP/1.1")
	}
	if got := check(t, &config.Probe{Port: int(addr.Port())}, s, nil, Subject{Addr: netip.AddrPortFrom(addr.Addr(), 1)}); got != "" {
		t.Error(got)
	}
}
