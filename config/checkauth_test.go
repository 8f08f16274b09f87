package config

import (
	"slices"
	"strings"
	"testing"
)

// guardedBy is a gateway whose listener has an authentication and a CORS policy,
// x, which follow.
var guardedBy = strings.Replace(web, "{name: web, address: 8080}", "{name: web, address: 8080, authentication: x, corsPolicy: x}", 1)

func TestAuthenticationsAreChecked(t *testing.T) {
	const jwt = "authentications: [{name: x, jwt: {issuer: i, "
	const cors = "corsPolicies: [{name: x, allowOrigins: "
	const goodCORS = cors + "[https://a.test]}]\n"
	const goodBasic = "authentications: [{name: x, basic: {usersFile: u}}]\n"
	for _, w := range []struct{ name, text, want string }{
		{"none", goodCORS + "authentications: [{name: x}]", "asks for nothing; add one of basic, jwt, external"},
		{"two", goodCORS + "authentications: [{name: x, basic: {usersFile: u}, jwt: {issuer: i, keys: {file: k}}}]", "has basic and jwt; keep one"},
		{"off", goodCORS + goodBasic + "pathMaps: [{name: m, default: {backendPool: app, backendSettings: plain, authentication: y}}]", `there is no authentication "y"`},
		{"called off", goodCORS + "authentications: [{name: x, basic: {usersFile: u}}, {name: \"off\", basic: {usersFile: u}}]", "off is what path rules write for none"},
		{"empty file", goodCORS + "authentications: [{name: x, basic: {usersFile: \"\"}}]", "must not be empty"},
		{"realm", goodCORS + "authentications: [{name: x, basic: {usersFile: u, realm: 'a\"b'}}]", "printable ASCII"},
		{"reserved field", goodCORS + "authentications: [{name: x, basic: {usersFile: u, userHeader: X-Forwarded-For}}]", "means something else"},
		{"framing field", goodCORS + "authentications: [{name: x, external: {backendPool: app, backendSettings: plain, responseHeaders: [Content-Length]}}]", "means something else"},
		{"underscore", goodCORS + "authentications: [{name: x, external: {backendPool: app, backendSettings: plain, responseHeaders: [X_User]}}]", "letters, digits and -"},
		{"asked with a host", goodCORS + "authentications: [{name: x, external: {backendPool: app, backendSettings: plain, requestHeaders: [Host]}}]", "is the gateway's own"},
		{"no pool", goodCORS + "authentications: [{name: x, external: {backendPool: nope, backendSettings: plain}}]", `there is no backend pool "nope"`},
		{"no keys", goodCORS + jwt + "keys: {}}}]", "add file or url"},
		{"keys over http", goodCORS + jwt + `keys: {url: "http://id.test/jwks"}}}]`, "must be https"},
		{"CA without a URL", goodCORS + jwt + `keys: {file: k, caFile: c}}}]`, "belong to url"},
		{"none as an algorithm", goodCORS + jwt + "keys: {file: k}, algorithms: [none]}}]", "none is not accepted"},
		{"a shared secret", goodCORS + jwt + "keys: {file: k}, algorithms: [RS256, HS256]}}]", "HS256 is not accepted"},
		{"unheard of", goodCORS + jwt + "keys: {file: k}, algorithms: [RS1]}}]", "must be one of"},
		{"claim wants nothing", goodCORS + jwt + "keys: {file: k}, claims: [{name: a}]}}]", "wants nothing"},
		{"claim wants two things", goodCORS + jwt + "keys: {file: k}, claims: [{name: a, equals: b, contains: c}]}}]", "equals and contains"},
		{"two claims, one field", goodCORS + jwt + "keys: {file: k}, forwardClaims: {a: X-User, b: x-user}}}]", "each claim needs its own"},
		{"claim as credentials", goodCORS + jwt + "keys: {file: k}, forwardClaims: {a: Authorization}}}]", "is for credentials"},
		{"everybody, with cookies", goodBasic + cors + `["*"], allowCredentials: true}]`, "every page of the world could act as the user"},
		{"a path", goodBasic + cors + `["https://a.test/"]}]`, "must be an origin"},
		{"a port that browsers leave out", goodBasic + cors + `["https://a.test:443"]}]`, `write "https://a.test"`},
		{"a star within", goodBasic + cors + `["https://a.*.test"]}]`, "only for the first label"},
		{"two stars", goodBasic + cors + `["https://*.*.test"]}]`, "only for the first label"},
		{"a star and a dot less", goodBasic + cors + `["https://*a.test"]}]`, "only for the first label"},
		{"no scheme", goodBasic + cors + `["*.a.test"]}]`, "must be an origin"},
	} {
		t.Run(w.name, func(t *testing.T) {
			_, _, err := ParseGateway("appgw.yaml", []byte(guardedBy+w.text+"\n"))
			if err == nil || !strings.Contains(err.Error(), w.want) {
				t.Errorf("got %v, want %s", err, w.want)
			}
		})
	}
	g, warnings := mustParse(t, guardedBy+cors+"[\"*\", \"null\"]}]\nauthentications: [{name: x, jwt: {issuer: i, keys: {url: \"http://127.0.0.1/jwks\"}}}, {name: spare, basic: {usersFile: u}}]\n")
	if a := g.Authentications[0]; a.Kind != AuthJWT || a.JWT.ClockSkew == 0 || a.JWT.MaxBytes != 8<<10 || !slices.Equal(a.JWT.Algorithms, []string{"RS256", "ES256"}) || a.JWT.Token.Header != "authorization" {
		t.Errorf("%+v", a)
	}
	for _, want := range []string{"requests are answered 503", "others have no effect", `authentication "spare" is not used`} {
		if !slices.ContainsFunc(warnings, func(w Warning) bool { return strings.Contains(w.String(), want) }) {
			t.Errorf("no warning %s in %v", want, warnings)
		}
	}
}

func TestPathRulesHaveTheirOwnAuthentication(t *testing.T) {
	g := &Gateway{}
	for _, w := range []struct{ listener, action, want string }{{"", "", ""}, {"l", "", "l"}, {"l", "a", "a"}, {"", "a", "a"}, {"l", Off, ""}} {
		l, a := &Listener{Authentication: w.listener, CORSPolicy: w.listener}, Action{Authentication: w.action, CORSPolicy: w.action}
		if got := g.AuthenticationOf(l, a); got != w.want || g.CORSPolicyOf(l, a) != w.want {
			t.Errorf("%+v: %q", w, got)
		}
	}
}
