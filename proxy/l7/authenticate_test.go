package l7

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"golang.org/x/crypto/bcrypt"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/proxy/l7/auth"
)

// basicAuth is an authentication of one user.
func basicAuth(t testing.TB, name, user, password, field string) *Authentication {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users, err := auth.ParseUsers([]byte(user + ":" + string(hash)))
	if err != nil {
		t.Fatal(err)
	}
	return &Authentication{Name: name, Counts: &AuthCounts{},
		Basic: auth.NewBasic(auth.BasicOptions{Realm: name, Users: users, Field: field, Crowd: auth.NewCrowd(1)})}
}

// as is the field of basic authentication.
func as(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// tokenAuth is an authentication by tokens, and what makes them for a subject.
func tokenAuth(t testing.TB, change func(*config.JWTAuth)) (*Authentication, func(sub string) string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := auth.ParseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &config.JWTAuth{Realm: "api", Issuer: "https://id.test", Algorithms: []string{"ES256"}, MaxBytes: 8 << 10,
		ForwardClaims: []config.ClaimField{{Claim: "sub", Field: "X-User"}}, Token: config.TokenSource{Header: "authorization"}}
	if change != nil {
		change(c)
	}
	a := &Authentication{Name: "api", JWT: auth.NewJWT(c, keys), Counts: &AuthCounts{}, Header: c.Token.Header, Cookie: c.Token.Cookie, Forward: c.Forward}
	return a, func(sub string) string {
		s, err := signer.Sign(fmt.Appendf(nil, `{"iss":"https://id.test","sub":%q,"exp":%d}`, sub, time.Now().Add(time.Hour).Unix()))
		if err != nil {
			t.Fatal(err)
		}
		token, err := s.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
}

// guarded runs a gateway whose one rule wants an authentication.
func guarded(t testing.TB, a *Authentication, more ...func(*setup)) (*gateway, *testkit.Backend) {
	t.Helper()
	b := testkit.NewBackend(t, nil)
	s := setup{backends: []*testkit.Backend{b}, target: func(t *Target) { t.Auth = a }, snapshot: func(s *Snapshot) { s.Identity = []string{"x-user"} }}
	for _, m := range more {
		m(&s)
	}
	return start(t, s), b
}

func TestBasicAuthentication(t *testing.T) {
	a := basicAuth(t, "staff", "ann", "secret", "X-User")
	g, b := guarded(t, a)
	c := testkit.Dial(t, g.addr)
	r := ask(t, c, get("/"), 401)
	if got := r.Get("WWW-Authenticate"); got != `Basic realm="staff", charset="UTF-8"` || r.Get("Cache-Control") != "no-store" {
		t.Errorf("WWW-Authenticate: %s", got)
	}
	ask(t, c, get("/", as("ann", "wrong")), 401)
	ask(t, c, get("/", as("ann", "secret"), as("ann", "secret")), 400)
	if n := b.RequestCount(); n != 0 {
		t.Fatalf("%d requests came through", n)
	}
	e := testkit.DecodeEcho(t, ask(t, c, get("/", as("ann", "secret")), 200).Content)
	if e.Get("Authorization") != "" || e.Get("X-User") != "ann" {
		t.Errorf("the backend got %v", e.Fields)
	}
	lines := g.lines(t, 4)
	if lines[0].text("reason") != "authentication staff: no credentials" || lines[3].text("clientUser") != "ann" || lines[1].text("clientUser") != "" {
		t.Errorf("log: %v", lines)
	}
	if a.Counts.Allowed.Load() != 1 || a.Counts.Denied.Load() != 3 {
		t.Errorf("counted %d and %d", a.Counts.Allowed.Load(), a.Counts.Denied.Load())
	}
	a.Forward = true
	if e := testkit.DecodeEcho(t, ask(t, c, get("/", as("ann", "secret")), 200).Content); e.Get("Authorization") == "" {
		t.Error("forward: the field is gone")
	}
}

func TestNobodyElseSaysWhoAsks(t *testing.T) {
	lies := []string{"X-User: root", "x-uSER: root", "X_User: root", "X.User: root", "Connection: X-User", "X-User:", "X-User: root2"}
	a := basicAuth(t, "staff", "ann", "secret", "X-User")
	for _, w := range []struct {
		name string
		auth *Authentication
		want string
	}{{"with authentication", a, "ann"}, {"without", nil, ""}} {
		t.Run(w.name, func(t *testing.T) {
			g, b := guarded(t, w.auth, func(s *setup) {
				s.snapshot = func(s *Snapshot) {
					s.Identity = []string{"x-user"}
					s.Trusted.Insert(netip.MustParsePrefix("127.0.0.0/8"), struct{}{})
				}
			})
			c := testkit.Dial(t, g.addr)
			for i := range lies {
				for _, some := range [][]string{lies[:i+1], lies[i : i+1]} {
					ask(t, c, get("/", append(slices.Clone(some), as("ann", "secret"))...), 200)
					if got := told(b.Last()); got != w.want {
						t.Errorf("%q: the backend was told %q, want %q", some, got, w.want)
					}
				}
			}
			c.Send("POST / HTTP/1.1\r\nHost: a\r\n" + as("ann", "secret") + "\r\nTE: trailers\r\nTrailer: X-User, X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-User: root\r\nx_user: root\r\nX-Sum: 1\r\n\r\n")
			c.ReadResponse("POST")
			raw := strings.ToLower(string(b.Received()))
			if raw = raw[strings.LastIndex(raw, "post /"):]; strings.Contains(raw, "root") || !strings.Contains(raw, "x-sum: 1") {
				t.Errorf("trailers: %q", raw)
			}
		})
	}
}

// told is what a backend takes for X-User.
func told(r *testkit.Request) string {
	var all []string
	seen := map[string]bool{}
	for _, name := range r.Names() {
		if sameInCGI([]byte(strings.ToLower(name)), "x-user") && !seen[strings.ToLower(name)] {
			seen[strings.ToLower(name)] = true
			all = append(all, r.Values(name)...)
		}
	}
	return strings.Join(all, "|")
}

func TestTokensOfRequests(t *testing.T) {
	a, token := tokenAuth(t, nil)
	g, b := guarded(t, a)
	c := testkit.Dial(t, g.addr)
	if got := ask(t, c, get("/"), 401).Get("WWW-Authenticate"); got != `Bearer realm="api"` {
		t.Errorf("without a token: %s", got)
	}
	if got := ask(t, c, get("/", "Authorization: Bearer x.y.z"), 401).Get("WWW-Authenticate"); got != `Bearer realm="api", error="invalid_token"` {
		t.Errorf("with a bad one: %s", got)
	}
	ask(t, c, get("/", "Authorization: Bearer "+token("ann"), "Authorization: Bearer "+token("bob")), 400)
	ask(t, c, get("/?access_token="+token("ann")), 401)
	if b.RequestCount() != 0 {
		t.Fatal("a request came through")
	}
	e := testkit.DecodeEcho(t, ask(t, c, get("/", "Authorization: bearer "+token("ann"), "X-User: root"), 200).Content)
	if e.Get("X-User") != "ann" || e.Get("Authorization") != "" {
		t.Errorf("the backend got %v", e.Fields)
	}
}

func TestTokensInOtherPlaces(t *testing.T) {
	a, token := tokenAuth(t, func(c *config.JWTAuth) { c.Token = config.TokenSource{Header: "x-token", Cookie: "session"} })
	g, _ := guarded(t, a)
	c := testkit.Dial(t, g.addr)
	ask(t, c, get("/", "Authorization: Bearer "+token("ann")), 401)
	ask(t, c, get("/", "X-Token: "+token("ann"), "x-token: "+token("bob")), 400)
	ask(t, c, get("/", "X-Token: x", "Cookie: session="+token("ann")), 401)
	e := testkit.DecodeEcho(t, ask(t, c, get("/", "X-Token: "+token("ann"), "Authorization: mine"), 200).Content)
	if e.Get("X-User") != "ann" || e.Get("X-Token") != "" || e.Get("Authorization") != "mine" {
		t.Errorf("the backend got %v", e.Fields)
	}
	e = testkit.DecodeEcho(t, ask(t, c, get("/", "Cookie: a=b; session="+token("bob")+"; c=d", "Cookie: session=x"), 200).Content)
	if e.Get("X-User") != "bob" || e.Get("Cookie") != "a=b; c=d" {
		t.Errorf("the backend got %v", e.Fields)
	}
}

// No rewrite leads around an authentication: that of the rule the client asks
// for counts, and that of where the path leads.
func TestRewritesDoNotLeadAroundAnAuthentication(t *testing.T) {
	front, back := basicAuth(t, "front", "ann", "secret", ""), basicAuth(t, "back", "bob", "secret", "")
	to := func(path, reevaluate string) string {
		return `actions: {url: {path: "` + path + `", reevaluatePathMap: ` + reevaluate + `}}`
	}
	var g *gateway
	g, _ = rewriting(t, nil, withPaths(entry{},
		entry{pattern: "/front", host: "front", set: setOf(t, `conditions: [{variable: var_uri_path, pattern: "^/front$"}], `+to("/open", "true"))},
		entry{pattern: "/moved", host: "moved", set: setOf(t, `conditions: [{variable: var_uri_path, pattern: "^/moved$"}], `+to("/back", "true"))},
		entry{pattern: "/kept", host: "kept", set: setOf(t, `conditions: [{variable: var_uri_path, pattern: "^/kept$"}], `+to("/back", "false"))},
		entry{pattern: "/open", host: "open"},
		entry{pattern: "/back", host: "back"},
		entry{pattern: "/away", host: "away", away: &Redirect{Status: 302, Scheme: "http", Host: "a.test"}}), func(s *setup) {
		paths := s.listener
		s.listener = func(l *Listener) {
			paths(l)
			for i := range l.Paths.entries {
				switch r := l.Paths.entries[i].target; r.PathRule {
				case "/front", "/away":
					r.Auth = front
				case "/back":
					r.Auth = back
				}
			}
		}
	})
	c := testkit.Dial(t, g.addr)
	for _, w := range []struct {
		path, user string
		want       int
	}{
		{"/open", "", 200}, {"/front", "", 401}, {"/front", "bob", 401}, {"/front", "ann", 200}, {"/back", "ann", 401}, {"/back", "bob", 200},
		{"/moved", "", 401}, {"/moved", "ann", 401}, {"/moved", "bob", 200}, {"/kept", "", 401}, {"/kept", "bob", 200}, {"/BACK", "", 401}, {"/x/../back", "", 401},
		{"/away", "", 401}, {"/away", "ann", 302},
	} {
		var lines []string
		if w.user != "" {
			lines = []string{as(w.user, "secret")}
		}
		if r := ask(t, c, get(w.path, lines...), w.want); r.StatusCode != w.want {
			t.Errorf("%s as %q: %d", w.path, w.user, r.StatusCode)
		}
	}
}
