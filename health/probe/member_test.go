package probe

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/health"
)

// memberProbe is a probe as the configuration makes it.
func memberProbe(t *testing.T, text string) *config.L4Probe {
	t.Helper()
	b, _, err := config.ParseLoadBalancer("l.yaml", []byte("probes: [{name: p, "+text+"}]"))
	if err != nil {
		t.Fatal(err)
	}
	return &b.Probes[0]
}

// web answers with its name, or what a path wants.
func web(t *testing.T, start func(http.Handler) *httptest.Server) (netip.AddrPort, *http.Request) {
	t.Helper()
	last := new(http.Request)
	s := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*last = *r.Clone(context.Background())
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/slow":
			<-r.Context().Done() // until nobody waits any more
		}
	}))
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String()), last
}

func TestMembersAreAsked(t *testing.T) {
	plain, _ := web(t, httptest.NewServer)
	secure, _ := web(t, httptest.NewTLSServer)
	closed := refused(t)
	for _, tt := range []struct {
		probe   string
		target  netip.AddrPort
		want    string
		refused bool
	}{
		{"protocol: tcp", plain, "", false},
		{"protocol: tcp", closed, "connect refused", true},
		{"protocol: http", plain, "", false},
		{"protocol: http, path: /moved", plain, "status 302 not in 200", true},
		{"protocol: http, path: /moved, expectedStatus: [200-399]", plain, "", false},
		{"protocol: http", closed, "connect refused", true},
		{"protocol: http, path: /slow", plain, "timeout", false},
		{"protocol: https", secure, "", false},
		{"protocol: https", plain, "not a TLS server", false},
	} {
		c, err := MemberChecker(memberProbe(t, tt.probe), tt.target)
		if err != nil {
			t.Fatal(err)
		}
		timeout := 10 * time.Second
		if tt.want == "timeout" {
			timeout = 200 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		err = c.Check(ctx)
		cancel()
		got := ""
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" || errors.As(err, new(health.Refused)) != tt.refused {
			t.Errorf("%s: %q, refused %v; want %q, %v", tt.probe, got, errors.As(err, new(health.Refused)), tt.want, tt.refused)
		}
	}
}

func TestWhatAMemberIsAsked(t *testing.T) {
	plain, last := web(t, httptest.NewServer)
	c, err := MemberChecker(memberProbe(t, `protocol: http, host: "app.example:8080", path: "/h?x=1", headers: {X-Probe: "yes"}, source: 127.0.0.9`), plain)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if from, _, _ := net.SplitHostPort(last.RemoteAddr); last.Host != "app.example:8080" || last.RequestURI != "/h?x=1" || last.Header.Get("X-Probe") != "yes" || from != "127.0.0.9" {
		t.Errorf("asked %s%s with %v from %s", last.Host, last.RequestURI, last.Header, last.RemoteAddr)
	}
}

func TestTheSubjectOfAMember(t *testing.T) {
	target := netip.MustParseAddrPort("10.0.0.1:80")
	one := MemberSubject(memberProbe(t, "protocol: http"), target)
	for text, same := range map[string]bool{"protocol: http, interval: 1m, threshold: 9": true, "protocol: http, path: /other": false, "protocol: tcp": false} {
		if got := MemberSubject(memberProbe(t, text), target); (got.Key == one.Key) != same {
			t.Errorf("%s: %v and %v", text, got, one)
		}
	}
	policy := MemberPolicy(memberProbe(t, "interval: 10s, threshold: 3, damping: false"))
	if want := (health.Policy{Interval: 10 * time.Second, Timeout: 10 * time.Second, UnhealthyThreshold: 3, HealthyThreshold: 3, RefusedAtOnce: true}); policy != want {
		t.Errorf("%+v", policy)
	}
}
