package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"gatehouse/config"
)

// issuer signs tokens by hand, so that they can be as wrong as needed.
type issuer struct {
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{r, e}
}

// set is the issuer's key set, with keys that are of no use among them.
func (i *issuer) set(t testing.TB) *KeySet {
	t.Helper()
	s, err := ParseKeys(i.text(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (i *issuer) text(t testing.TB) []byte {
	t.Helper()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	keys := []any{
		jose.JSONWebKey{Key: &i.rsa.PublicKey, KeyID: "r", Use: "sig"},
		jose.JSONWebKey{Key: &i.ec.PublicKey, KeyID: "e", Algorithm: "ES256"},
		jose.JSONWebKey{Key: []byte("a shared secret of some length..."), KeyID: "hs"},
		jose.JSONWebKey{Key: i.ec, KeyID: "private"},
		jose.JSONWebKey{Key: &i.rsa.PublicKey, KeyID: "enc", Use: "enc"},
		jose.JSONWebKey{Key: &small.PublicKey, KeyID: "small"},
		map[string]string{"kty": "unheard-of", "kid": "u"},
	}
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// sign makes a token of a header and a payload as they are.
func (i *issuer) sign(t testing.TB, header, payload string) string {
	t.Helper()
	text := b64([]byte(header)) + "." + b64([]byte(payload))
	sum := sha256.Sum256([]byte(text))
	if strings.Contains(header, "ES256") {
		r, s, err := ecdsa.Sign(rand.Reader, i.ec, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		var sig [64]byte
		r.FillBytes(sig[:32])
		s.FillBytes(sig[32:])
		return text + "." + b64(sig[:])
	}
	sig, err := rsa.SignPKCS1v15(rand.Reader, i.rsa, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64(sig)
}

// mac makes a token with a shared secret.
func mac(header, payload string, secret []byte) string {
	text := b64([]byte(header)) + "." + b64([]byte(payload))
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(text))
	return text + "." + b64(h.Sum(nil))
}

func apiConfig() *config.JWTAuth {
	return &config.JWTAuth{Realm: "api", Issuer: "https://id.test", Audiences: []string{"shop", "till"}, Algorithms: []string{"RS256", "ES256"},
		ClockSkew: time.Minute, MaxBytes: 4 << 10, Claims: []config.ClaimMatch{{Name: "scope", Contains: "read"}},
		ForwardClaims: []config.ClaimField{{Claim: "sub", Field: "X-User"}, {Claim: "realm_access.roles", Field: "X-Roles"}, {Claim: "n", Field: "X-N"}, {Claim: "gone", Field: "X-Gone"}}}
}

// payload is a good one with some of it replaced: name=JSON, or name= for none.
func payload(now time.Time, changes ...string) string {
	claims := []string{`iss="https://id.test"`, `aud="shop"`, `sub="ann"`, `scope="write read"`, fmt.Sprint("exp=", now.Add(time.Hour).Unix()), fmt.Sprint("iat=", now.Unix())}
	for _, c := range changes {
		name, _, _ := strings.Cut(c, "=")
		for i, old := range claims {
			if strings.HasPrefix(old, name+"=") {
				claims[i] = ""
			}
		}
		claims = append(claims, c)
	}
	var parts []string
	for _, c := range claims {
		if name, value, _ := strings.Cut(c, "="); value != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", name, value))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func TestTokens(t *testing.T) {
	i, other := newIssuer(t), newIssuer(t)
	now := time.Now()
	good := payload(now)
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(&i.rsa.PublicKey))})
	publicJWK := must(json.Marshal(jose.JSONWebKey{Key: &other.rsa.PublicKey, KeyID: "r"}))
	signed := func(header string, changes ...string) string { return i.sign(t, header, payload(now, changes...)) }
	rs, es := `{"alg":"RS256","kid":"r"}`, `{"alg":"ES256","kid":"e","typ":"JWT"}`
	parts := strings.Split(i.sign(t, rs, good), ".")
	ago := func(d time.Duration) string { return fmt.Sprint(now.Add(-d).Unix()) }
	for _, w := range []struct {
		name, token string
		status      int // 0: good
		reason      string
	}{
		{"RS256", i.sign(t, rs, good), 0, ""},
		{"ES256", i.sign(t, es, good), 0, ""},
		{"no kid", i.sign(t, `{"alg":"RS256"}`, good), 0, ""},
		{"audience in a list", signed(rs, `aud=["x","till"]`), 0, ""},
		{"expired within the skew", signed(rs, "exp="+ago(30*time.Second)), 0, ""},
		{"scope is a list", signed(rs, `scope=["read","x"]`), 0, ""},

		{"alg none", b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(good)) + ".", 401, "algorithm"},
		{"alg None with a kid", b64([]byte(`{"alg":"None","kid":"r"}`)) + "." + b64([]byte(good)) + ".", 401, "algorithm"},
		{"alg none, signature of another", b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(good)) + "." + parts[2], 401, "algorithm"},
		{"no alg", b64([]byte(`{}`)) + "." + b64([]byte(good)) + "." + parts[2], 401, "algorithm"},
		{"alg is a list", i.sign(t, `{"alg":["RS256"],"kid":"r"}`, good), 401, "algorithm"},
		{"HS256 with the public key in PEM", mac(`{"alg":"HS256","kid":"r"}`, good, publicPEM), 401, "algorithm"},
		{"HS256 with the modulus", mac(`{"alg":"HS256","kid":"r"}`, good, i.rsa.N.Bytes()), 401, "algorithm"},
		{"HS256 with the shared secret of the set", mac(`{"alg":"HS256","kid":"hs"}`, good, []byte("a shared secret of some length...")), 401, "algorithm"},
		{"RS256 that is HS256", mac(`{"alg":"RS256","kid":"r"}`, good, publicPEM), 401, "signature"},
		{"RS512 is not allowed", i.sign(t, `{"alg":"RS512","kid":"r"}`, good), 401, "algorithm"},
		{"PS256 header on an RS256 signature", i.sign(t, `{"alg":"PS256","kid":"r"}`, good), 401, "algorithm"},
		{"ES256 with the RSA key's kid", i.sign(t, `{"alg":"ES256","kid":"r"}`, good), 401, "no key"},
		{"unknown kid", i.sign(t, `{"alg":"RS256","kid":"x"}`, good), 401, "no key"},
		{"kid of a path", i.sign(t, `{"alg":"RS256","kid":"../../../dev/null"}`, good), 401, "no key"},
		{"kid is empty", i.sign(t, `{"alg":"RS256","kid":""}`, good), 401, "no key"},
		{"kid is a number", i.sign(t, `{"alg":"RS256","kid":1}`, good), 401, "header"},
		{"kid twice", i.sign(t, `{"alg":"RS256","kid":"x","kid":"r"}`, good), 401, "header"},
		{"alg twice", i.sign(t, `{"alg":"none","alg":"RS256","kid":"r"}`, good), 401, "header"},
		{"key of encryption", i.sign(t, `{"alg":"RS256","kid":"enc"}`, good), 401, "no key"},
		{"signed by another", other.sign(t, rs, good), 401, "signature"},
		{"signed by another, no kid", other.sign(t, `{"alg":"RS256"}`, good), 401, "signature"},
		{"own key in the header", other.sign(t, `{"alg":"RS256","jwk":`+string(publicJWK)+`}`, good), 401, "signature"},
		{"own key's address", other.sign(t, `{"alg":"RS256","jku":"https://evil.test/jwks","kid":"r"}`, good), 401, "signature"},
		{"zero signature", b64([]byte(es)) + "." + b64([]byte(good)) + "." + b64(make([]byte, 64)), 401, "signature"},
		{"no signature", parts[0] + "." + parts[1] + ".", 401, "signature"},
		{"cut signature", parts[0] + "." + parts[1] + "." + parts[2][:100], 401, "signature"},
		{"another payload", parts[0] + "." + b64([]byte(payload(now, `sub="root"`))) + "." + parts[2], 401, "signature"},
		{"crit", i.sign(t, `{"alg":"RS256","kid":"r","crit":["exp"],"exp":1}`, good), 401, "crit"},
		{"crit b64", i.sign(t, `{"alg":"RS256","kid":"r","crit":["b64"],"b64":false}`, good), 401, "crit"},
		{"b64", i.sign(t, `{"alg":"RS256","kid":"r","b64":false}`, good), 401, "crit"},
		{"zip", i.sign(t, `{"alg":"RS256","kid":"r","zip":"DEF"}`, good), 401, "crit"},
		{"nested", i.sign(t, `{"alg":"RS256","kid":"r","cty":"JWT"}`, i.sign(t, rs, good)), 401, "nested"},
		{"payload is a token", i.sign(t, rs, i.sign(t, rs, good)), 401, "malformed"},
		{"payload is a list", i.sign(t, rs, "["+good+"]"), 401, "malformed"},
		{"payload is null", i.sign(t, rs, "null"), 401, "malformed"},
		{"payload and more", i.sign(t, rs, good+good), 401, "follows"},
		{"claim twice", i.sign(t, rs, good[:len(good)-1]+`,"sub":"root"}`), 401, "malformed"},
		{"JSON serialization", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, 401, "not a token"},
		{"five parts", strings.Join(parts, ".") + ".x.y", 401, "not a token"},
		{"two parts", parts[0] + "." + parts[1], 401, "not a token"},
		{"padding", parts[0] + "=." + parts[1] + "." + parts[2], 401, "not a token"},
		{"standard base64", strings.Join(parts, ".") + "+", 401, "not a token"},
		{"line break", parts[0] + ".\n" + parts[1] + "." + parts[2], 401, "not a token"},
		{"dots", "..", 401, "header"},
		{"empty", "", 401, "not a token"},
		{"deep", i.sign(t, strings.Repeat("[", 2000)+strings.Repeat("]", 2000), "{}"), 401, ""},
		{"huge", signed(rs, `x="`+strings.Repeat("x", 5000)+`"`), 401, "too long"},

		{"expired", signed(rs, "exp="+ago(61*time.Second)), 401, "expired"},
		{"no exp", signed(rs, "exp="), 401, "exp is missing"},
		{"exp is text", signed(rs, `exp="9999999999"`), 401, "exp is no number"},
		{"exp is far", signed(rs, `exp=1e300`), 401, "exp is no time"},
		{"exp is null", signed(rs, `exp=null`), 401, "exp is no number"},
		{"nbf", signed(rs, fmt.Sprint("nbf=", now.Add(2*time.Minute).Unix())), 401, "nbf"},
		{"iat", signed(rs, fmt.Sprint("iat=", now.Add(2*time.Minute).Unix())), 401, "iat"},
		{"issuer", signed(rs, `iss="https://id.test/"`), 401, "issuer"},
		{"issuers", signed(rs, `iss=["https://id.test"]`), 401, "issuer"},
		{"no issuer", signed(rs, `iss=`), 401, "issuer"},
		{"audience", signed(rs, `aud="shop2"`), 401, "audience"},
		{"no audience", signed(rs, `aud=`), 401, "audience"},
		{"audience is an object", signed(rs, `aud={"shop":1}`), 401, "audience"},
		{"claim", signed(rs, `scope="reader"`), 403, "scope"},
		{"no claim", signed(rs, `scope=`), 403, "scope"},
		{"claim is an object", signed(rs, `scope={"read":true}`), 403, "scope"},
	} {
		t.Run(w.name, func(t *testing.T) {
			j := NewJWT(apiConfig(), i.set(t))
			for range 2 { // the second time it may be known
				id, why := j.Verify([]byte(w.token))
				switch {
				case w.status == 0 && (why != nil || id.User != "ann"):
					t.Errorf("refused: %+v", why)
				case w.status != 0 && (why == nil || id != nil || why.Status != w.status || !strings.Contains(why.Reason, w.reason)):
					t.Errorf("got %+v, %+v; want %d, %s", id, why, w.status, w.reason)
				case w.status == 401 && why.Challenge != `Bearer realm="api", error="invalid_token"`, w.status == 403 && why.Challenge != `Bearer realm="api", error="insufficient_scope"`:
					t.Errorf("challenge %q", why.Challenge)
				}
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestClaimsBecomeFields(t *testing.T) {
	i := newIssuer(t)
	j := NewJWT(apiConfig(), i.set(t))
	token := i.sign(t, `{"alg":"RS256"}`, payload(time.Now(), `sub="jörg\r\nX-Admin: 1"`, `realm_access={"roles":["a,b","c d"," e",7,true]}`, `n=12.50`, `gone={"x":1}`))
	id, why := j.Verify([]byte(token))
	if why != nil {
		t.Fatal(why)
	}
	want := []Field{{"X-User", "j%C3%B6rg%0D%0AX-Admin: 1"}, {"X-Roles", "a%2Cb,c d,%20e,7,true"}, {"X-N", "12.50"}}
	if fmt.Sprint(id.Fields) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", id.Fields, want)
	}
	c := apiConfig()
	c.MaxBytes = 16 << 10
	if _, why := NewJWT(c, i.set(t)).Verify([]byte(i.sign(t, `{"alg":"RS256"}`, payload(time.Now(), `sub="`+strings.Repeat("é", 1000)+`"`)))); why == nil || why.Status != 401 {
		t.Errorf("long claims: %+v", why)
	}
}

func TestATokenEndsWhenItSays(t *testing.T) {
	i := newIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		j := NewJWT(apiConfig(), i.set(t))
		token := []byte(i.sign(t, `{"alg":"RS256","kid":"r"}`, payload(time.Now(), fmt.Sprint("exp=", time.Now().Add(10*time.Second).Unix()))))
		time.Sleep(70*time.Second - time.Nanosecond)
		if _, why := j.Verify(token); why != nil {
			t.Errorf("within the skew: %s", why)
		}
		time.Sleep(time.Nanosecond)
		if _, why := j.Verify(token); why == nil {
			t.Error("it has ended, and is remembered")
		}
	})
}

// changing is a KeySource whose keys change.
type changing struct {
	now, next atomic.Pointer[KeySet]
	asked     atomic.Int64
}

func (c *changing) Keys() *KeySet { return c.now.Load() }

func (c *changing) Renewed() *KeySet {
	c.asked.Add(1)
	if n := c.next.Load(); n != nil {
		c.now.Store(n)
	}
	return c.now.Load()
}

func TestKeysChange(t *testing.T) {
	old, young := newIssuer(t), newIssuer(t)
	var keys changing
	j := NewJWT(apiConfig(), &keys)
	token := []byte(old.sign(t, `{"alg":"RS256","kid":"r"}`, payload(time.Now())))
	if _, why := j.Verify(token); why == nil || why.Status != 503 || why.Challenge != "" {
		t.Fatalf("without keys: %+v", why)
	}
	keys.next.Store(old.set(t))
	if _, why := j.Verify(token); why != nil {
		t.Fatal(why)
	}
	asked := keys.asked.Load()
	j.Verify(token)
	j.Verify([]byte(young.sign(t, `{"alg":"RS256","kid":"r"}`, payload(time.Now()))))
	if keys.asked.Load() != asked {
		t.Error("a key that fits was asked for anew")
	}
	if j.Verify([]byte(young.sign(t, `{"alg":"RS256","kid":"new"}`, payload(time.Now())))); keys.asked.Load() != asked+1 {
		t.Error("a key that is not known was not asked for")
	}
	keys.now.Store(young.set(t))
	if _, why := j.Verify(token); why == nil {
		t.Error("a token of a key that is gone is remembered")
	}
}

func TestKeySetsWithoutUseAreRefused(t *testing.T) {
	i := newIssuer(t)
	if s := i.set(t); s.Len() != 2 || s.Skipped != 5 {
		t.Errorf("%d keys, %d left out", s.Len(), s.Skipped)
	}
	for _, text := range []string{"", "{}", "[]", `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"YWJj"}]}`, `{"keys":1}`, `{"keys":[` + strings.Repeat("{},", 100) + `{}]}`} {
		if _, err := ParseKeys([]byte(text)); err == nil {
			t.Errorf("%.40q is accepted", text)
		}
	}
}

// Nobody but who has the private key makes a token that passes, whatever the
// bytes are.
func FuzzToken(f *testing.F) {
	i := newIssuer(f)
	j := NewJWT(apiConfig(), i.set(f))
	good := i.sign(f, `{"alg":"ES256","kid":"e"}`, payload(time.Now()))
	signed := good[:strings.LastIndexByte(good, '.')]
	f.Add([]byte(good))
	f.Add([]byte(b64([]byte(`{"alg":"none"}`)) + ".e30."))
	f.Add([]byte("a.b.c"))
	f.Fuzz(func(t *testing.T, token []byte) {
		id, why := j.Verify(token)
		if (id == nil) == (why == nil) {
			t.Fatalf("%v, %v", id, why)
		}
		if id != nil && !strings.HasPrefix(string(token), signed+".") {
			t.Errorf("%q passes", token)
		}
	})
}
