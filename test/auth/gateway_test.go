package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"golang.org/x/crypto/bcrypt"

	"gatehouse/internal/testkit"
)

// soon is how long anything may take that should happen at once.
const soon = 20 * time.Second

// gateway is a running appgw with one listener, whose paths ask for different things.
type gateway struct {
	t       *testing.T
	dir     string
	proc    *testkit.Process
	app     *testkit.Backend
	service *testkit.Backend
	addr    string
	admin   string
	keys    atomic.Pointer[string] // what the issuer has at its URL; nil: an error
	asked   atomic.Int64           // how often it was asked
}

// key is an issuer's key.
type key struct {
	id string
	*ecdsa.PrivateKey
}

func newKey(t testing.TB, id string) key {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key{id, k}
}

// set is a key set of these.
func set(t testing.TB, keys ...key) string {
	t.Helper()
	var s jose.JSONWebKeySet
	for _, k := range keys {
		s.Keys = append(s.Keys, jose.JSONWebKey{Key: &k.PublicKey, KeyID: k.id})
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// bearer is a field with a token.
func (k key) bearer(t testing.TB, issuer, sub string) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: k.PrivateKey, KeyID: k.id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(fmt.Appendf(nil, `{"iss":%q,"sub":%q,"scope":"read","exp":%d}`, issuer, sub, time.Now().Add(time.Hour).Unix()))
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return "Authorization: Bearer " + token
}

func password(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// users writes the users file.
func (g *gateway) users(t testing.TB, pairs ...string) {
	t.Helper()
	var text strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		h, err := bcrypt.GenerateFromPassword([]byte(pairs[i+1]), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s:%s\n", pairs[i], h)
	}
	testkit.Replace(t, filepath.Join(g.dir, "users"), text.String())
}

func start(t *testing.T, file key) *gateway {
	t.Helper()
	g := &gateway{t: t, dir: t.TempDir(), app: testkit.NewBackend(t, nil), service: testkit.NewBackend(t, testkit.Respond(200, "", "X-User: service")),
		addr: testkit.FreeAddr(t), admin: testkit.FreeAddr(t)}
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		g.asked.Add(1)
		if keys := g.keys.Load(); keys != nil {
			io.WriteString(w, *keys)
			return
		}
		w.WriteHeader(500)
	}))
	t.Cleanup(issuer.Close)
	g.users(t, "ann", "secret")
	testkit.Replace(t, filepath.Join(g.dir, "keys.json"), set(t, file))
	testkit.Replace(t, filepath.Join(g.dir, "appgw.yaml"), fmt.Sprintf(`
admin: {address: %s}
logs: {access: {output: access.log, format: combined}}
listeners: [{name: web, address: %q, http2: true, authentication: staff, corsPolicy: pages}]
backendPools: [{name: app, targets: [%q]}, {name: sso, targets: [%q]}]
backendSettings: [{name: plain, probe: "off", requestTimeout: 5s}]
rules: [{name: web, listener: web, pathMap: web}]
redirects: [{name: away, target: {url: "https://away.test/"}}]
pathMaps:
  - name: web
    default: {backendPool: app, backendSettings: plain}
    paths:
      - {paths: [/open/*], backendPool: app, backendSettings: plain, authentication: "off", corsPolicy: "off"}
      - {paths: [/file/*], backendPool: app, backendSettings: plain, authentication: file}
      - {paths: [/url/*], backendPool: app, backendSettings: plain, authentication: url}
      - {paths: [/sso/*], backendPool: app, backendSettings: plain, authentication: sso}
      - {paths: [/away], redirect: away}
authentications:
  - {name: staff, basic: {realm: Staff, usersFile: users, userHeader: X-User}}
  - {name: file, jwt: {issuer: "https://file.test", keys: {file: keys.json}, claims: [{name: scope, contains: read}], forwardClaims: {sub: X-User}}}
  - {name: url, jwt: {issuer: "https://url.test", keys: {url: %q}, forwardClaims: {sub: X-User}}}
  - {name: sso, external: {backendPool: sso, backendSettings: plain, responseHeaders: [X-User]}}
corsPolicies:
  - {name: pages, allowOrigins: ["https://page.test"], allowCredentials: true}
`, g.admin, g.addr, g.app.Addr, g.service.Addr, issuer.URL))
	cmd := exec.Command(testkit.Build(t, "./cmd/appgw"), "run")
	cmd.Dir = g.dir
	g.proc = testkit.Start(t, cmd)
	t.Cleanup(g.inspect)
	g.proc.WaitReady("http://"+g.admin+"/readyz", soon)
	return g
}

// inspect stops the gateway, which must not have panicked.
func (g *gateway) inspect() {
	if g.proc.Running() {
		g.proc.Stop(soon)
	}
	if out := g.proc.Output(); strings.Contains(out, "panic") || g.t.Failed() {
		g.t.Errorf("output:\n%s", out)
	}
}

// status asks for a path.
func (g *gateway) status(t testing.TB, path string, lines ...string) int {
	t.Helper()
	return testkit.Get(t, g.addr, "web.test", path, lines...).StatusCode
}

// becomes waits for a status.
func (g *gateway) becomes(t testing.TB, want int, path string, lines ...string) {
	t.Helper()
	testkit.Eventually(t, soon, fmt.Sprintf("%d for %s", want, path), func() bool { return g.status(t, path, lines...) == want })
}

func (g *gateway) metrics(t testing.TB) string {
	t.Helper()
	r, err := http.Get("http://" + g.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// logged waits for a line of the access log that has a text.
func (g *gateway) logged(t testing.TB, text string) {
	t.Helper()
	testkit.Eventually(t, soon, "a log line with "+text, func() bool {
		data, _ := os.ReadFile(filepath.Join(g.dir, "access.log"))
		return bytes.Contains(data, []byte(text))
	})
}
