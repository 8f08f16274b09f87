package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v4"
)

// The keys of authentications and CORS policies.

func authenticationObject() object[Authentication] {
	return object[Authentication]{at: func(a *Authentication, p Pos) { a.Pos = p }, fields: []field[Authentication]{
		key("name", func(a *Authentication) *string { return &a.Name }, name(), "What listeners and path rules call it; not off.").required(),
		ofKind(AuthBasic, key("basic", func(a *Authentication) *BasicAuth { return &a.Basic }, basicAuthObject().value(), "User and password (RFC 7617).")),
		ofKind(AuthJWT, key("jwt", func(a *Authentication) *JWTAuth { return &a.JWT }, jwtAuthObject().value(), "A JSON Web Token (RFC 7519).")),
		ofKind(AuthExternal, key("external", func(a *Authentication) *ExternalAuth { return &a.External }, externalAuthObject().value(), "A service that is asked about each request.")),
	}}
}

// ofKind notes which of the kinds is written.
func ofKind(k AuthenticationKind, f field[Authentication]) field[Authentication] {
	read := f.read
	f.read = func(c cursor, into *Authentication) {
		read(c, into)
		into.Kind = k
	}
	return f
}

func basicAuthObject() object[BasicAuth] {
	return object[BasicAuth]{fields: []field[BasicAuth]{
		key("realm", func(b *BasicAuth) *string { return &b.Realm }, realm(), "What browsers show beside the question.").or("restricted"),
		key("usersFile", func(b *BasicAuth) *string { return &b.UsersFile }, needed(file()), "Users and bcrypt hashes, as htpasswd -B writes them; watched and reloaded.").required(),
		key("userHeader", func(b *BasicAuth) *string { return &b.UserHeader }, emptyOr(identityField()), "The field that tells the backend the user's name; empty: none."),
		key("forward", func(b *BasicAuth) *bool { return &b.Forward }, boolean(), "Whether the backend gets the Authorization field, password included.").or("false"),
	}}
}

func jwtAuthObject() object[JWTAuth] {
	claim := boundedText(256)
	return object[JWTAuth]{fields: []field[JWTAuth]{
		key("realm", func(j *JWTAuth) *string { return &j.Realm }, realm(), "Names what is protected, in the answer to a client without a good token.").or("restricted"),
		key("issuer", func(j *JWTAuth) *string { return &j.Issuer }, needed(claim), "What the token's iss must be.").required(),
		key("audiences", func(j *JWTAuth) *[]string { return &j.Audiences }, upTo(100, listOf(claim, 1)), "One of them must be in the token's aud; none: it is not looked at."),
		key("keys", func(j *JWTAuth) *JWTKeys { return &j.Keys }, jwtKeysObject().value(), "The issuer's public keys.").required(),
		key("algorithms", func(j *JWTAuth) *[]string { return &j.Algorithms }, listOf(jwtAlgorithm(), 1), "What tokens may be signed with.").or("[RS256, ES256]"),
		key("clockSkew", func(j *JWTAuth) *time.Duration { return &j.ClockSkew }, duration(0, 10*time.Minute), "How far the issuer's clock may differ, for exp, nbf and iat.").or("60s"),
		key("maxBytes", func(j *JWTAuth) *int { return &j.MaxBytes }, size(256, 16<<10), "Size of a token; over: 401.").or("8KiB"),
		key("token", func(j *JWTAuth) *TokenSource { return &j.Token }, tokenSourceObject().value(), "Where the token stands.").or("{}"),
		key("claims", func(j *JWTAuth) *[]ClaimMatch { return &j.Claims }, upTo(100, listOf(claimMatchObject().value(), 0)), "What the token must say besides: all of it; if not: 403."),
		key("forwardClaims", func(j *JWTAuth) *[]ClaimField { return &j.ForwardClaims }, claimFields(), "Claims that the backend is told, each with the field for it."),
		key("forward", func(j *JWTAuth) *bool { return &j.Forward }, boolean(), "Whether the backend gets the token.").or("false"),
	}}
}

func jwtKeysObject() object[JWTKeys] {
	return object[JWTKeys]{fields: []field[JWTKeys]{
		key("file", func(k *JWTKeys) *string { return &k.File }, file(), "A JSON Web Key Set; watched and reloaded. With url: used until that has answered."),
		key("url", func(k *JWTKeys) *string { return &k.URL }, emptyOr(keysURL()), "Where the issuer has its key set; https, or http to a loopback address."),
		key("caFile", func(k *JWTKeys) *string { return &k.CAFile }, file(), "PEM file of CAs for the URL's certificate; watched; none: the system's roots."),
		key("refresh", func(k *JWTKeys) *time.Duration { return &k.Refresh }, duration(10*time.Second, day), "How often the URL is asked again.").or("10m"),
	}}
}

func tokenSourceObject() object[TokenSource] {
	return object[TokenSource]{fields: []field[TokenSource]{
		key("header", func(s *TokenSource) *string { return &s.Header }, fieldName(), "The field with the token: after Bearer in Authorization, alone in any other.").or("authorization"),
		key("cookie", func(s *TokenSource) *string { return &s.Cookie }, emptyOr(cookieName()), "A cookie with the token, where the field is not there; empty: none."),
	}}
}

func claimMatchObject() object[ClaimMatch] {
	return object[ClaimMatch]{fields: []field[ClaimMatch]{
		key("name", func(m *ClaimMatch) *string { return &m.Name }, needed(boundedText(256)), "The claim; dots lead into objects: realm_access.roles.").required(),
		key("equals", func(m *ClaimMatch) *string { return &m.Equals }, boundedText(256), "What it must be."),
		key("contains", func(m *ClaimMatch) *string { return &m.Contains }, boundedText(256), "What must be among its elements, or its words; or equals."),
	}}
}

func externalAuthObject() object[ExternalAuth] {
	return object[ExternalAuth]{fields: []field[ExternalAuth]{
		key("backendPool", func(e *ExternalAuth) *string { return &e.BackendPool }, reference(), "The pool of the service.").required(),
		key("backendSettings", func(e *ExternalAuth) *string { return &e.BackendSettings }, reference(), "The settings it is asked with, requestTimeout among them.").required(),
		key("path", func(e *ExternalAuth) *string { return &e.Path }, absolutePath(), "What it is asked for, with GET.").or("/"),
		key("requestHeaders", func(e *ExternalAuth) *[]string { return &e.RequestHeaders }, upTo(100, listOf(askedField(), 0)), "Fields of the client's request that it is told.").or("[Authorization, Cookie]"),
		key("responseHeaders", func(e *ExternalAuth) *[]string { return &e.ResponseHeaders }, upTo(100, listOf(identityField(), 0)), "Fields of its consent that the backend is told."),
	}}
}

func corsPolicyObject() object[CORSPolicy] {
	return object[CORSPolicy]{at: func(p *CORSPolicy, at Pos) { p.Pos = at }, fields: []field[CORSPolicy]{
		key("name", func(p *CORSPolicy) *string { return &p.Name }, name(), "What listeners and path rules call it; not off.").required(),
		key("allowOrigins", func(p *CORSPolicy) *[]string { return &p.AllowOrigins }, upTo(1000, listOf(corsOrigin(), 1)), "Origins whose pages may read responses: https://app.example, https://*.app.example for any one label, null, or * for all.").required(),
		key("allowMethods", func(p *CORSPolicy) *[]string { return &p.AllowMethods }, upTo(100, listOf(methodName(), 1)), "Methods they may use.").or("[GET, HEAD, POST]"),
		key("allowHeaders", func(p *CORSPolicy) *[]string { return &p.AllowHeaders }, upTo(100, listOf(fieldName(), 0)), "Request fields they may set beside those that browsers let pass anyhow."),
		key("exposeHeaders", func(p *CORSPolicy) *[]string { return &p.ExposeHeaders }, upTo(100, listOf(fieldName(), 0)), "Response fields they may read beside those."),
		key("allowCredentials", func(p *CORSPolicy) *bool { return &p.AllowCredentials }, boolean(), "Whether cookies and passwords are sent along; not with the origin *.").or("false"),
		key("maxAge", func(p *CORSPolicy) *time.Duration { return &p.MaxAge }, duration(0, day), "How long browsers may keep the answer to a preflight; 0s: they need not ask for that.").or("10m"),
	}}
}

// realm is text within quotes of a field (RFC 9110 11.5).
func realm() value[string] {
	return textThat(schema{"pattern": `^[ !#-\[\]-~]{1,128}$`}, func(s string) (string, error) {
		bad := func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }
		if s == "" || len(s) > 128 || strings.ContainsFunc(s, bad) {
			return "", fmt.Errorf("must be 1 to 128 printable ASCII characters other than \" and \\, not %s", quote(s))
		}
		return s, nil
	})
}

// jwtAlgorithms are the signatures with a public key (RFC 7518 3.1, RFC 8037).
// With a shared secret, whoever can verify can also sign.
var jwtAlgorithms = [...]string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

func jwtAlgorithm() value[string] {
	s := schema{"enum": jwtAlgorithms}
	return textThat(s, func(text string) (string, error) {
		switch {
		case slices.Contains(jwtAlgorithms[:], text):
			return text, nil
		case strings.EqualFold(text, "none") || strings.HasPrefix(text, "HS"):
			return "", fmt.Errorf("%s is not accepted: a token must be signed with the issuer's private key", text)
		}
		return "", fmt.Errorf("must be one of %s, not %s", strings.Join(jwtAlgorithms[:], ", "), quote(text))
	})
}

// keysURL is where keys are fetched from: nobody on the way may change them.
func keysURL() value[string] {
	return textThat(schema{"pattern": "^https?://", "maxLength": 2048}, func(s string) (string, error) {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || len(s) > 2048 {
			return "", fmt.Errorf("must be a URL such as https://id.example/jwks, not %s", quote(s))
		}
		if u.User != nil || u.Fragment != "" {
			return "", errors.New("must not have a user or a fragment")
		}
		if ip, err := netip.ParseAddr(u.Hostname()); u.Scheme == "http" && (err != nil || !ip.IsLoopback()) {
			return "", errors.New("must be https: whoever can change the keys can make tokens; http is for loopback addresses")
		}
		return s, checkURLHost(u)
	})
}

// Fields that tell a backend who asks must not mean something else already.
var (
	reservedIdentity = []string{"host", "cookie", "set-cookie", "content-type", "content-encoding", "date", "origin", "max-forwards", "proxy",
		"x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "forwarded", "x-real-ip", "x-original-url", "client-cert", "client-cert-chain"}
	reservedPrefixes = []string{"x-appgw-", "x-accel-", "x-envoy-", "x-sendfile", "x-client-cert", "access-control-"}
)

// askedField is a field of a client's request that a service is told. Those by
// which a message is framed are not of the request to the service, and those
// that the gateway vouches for are its own.
func askedField() value[string] {
	v := fieldName()
	return textThat(v.schema, func(s string) (string, error) {
		lower := strings.ToLower(s)
		if slices.Contains(framingFields, lower) || slices.Contains(ownFields, lower) || lower == "host" || strings.HasPrefix(lower, "x-forwarded-") {
			return "", fmt.Errorf("%s is the gateway's own in what it asks; remove it", s)
		}
		if s == "" || len(s) > 128 || !isSafeName(s) {
			return "", fmt.Errorf("must be a field's name of letters, digits and -, not %s", quote(s))
		}
		return lower, nil
	})
}

// identityField is a field that tells a backend who asks.
func identityField() value[string] {
	return textThat(schema{"pattern": "^[A-Za-z0-9-]{1,128}$"}, func(s string) (string, error) {
		lower := strings.ToLower(s)
		reserved := func(prefix string) bool { return strings.HasPrefix(lower, prefix) }
		switch {
		case !isSafeName(s) || len(s) > 128:
			return "", fmt.Errorf("must be a field's name of letters, digits and -, such as X-User, not %s", quote(s))
		case slices.Contains(framingFields, lower) || slices.Contains(ownFields, lower) || slices.Contains(reservedIdentity, lower) || slices.ContainsFunc(reservedPrefixes, reserved):
			return "", fmt.Errorf("%s means something else; use a name such as X-User", s)
		}
		return s, nil
	})
}

// claimFields is a mapping of claims to fields, in the order of the file.
func claimFields() value[[]ClaimField] {
	const most = 32
	one := identityField()
	s := schema{"type": "object", "additionalProperties": one.schema, "maxProperties": most}
	return value[[]ClaimField]{schema: s, read: func(c cursor) ([]ClaimField, bool) {
		entries, ok := c.mapping()
		if ok && len(entries) > most {
			c.errorf("must have at most %d entries, not %d", most, len(entries))
			return nil, false
		}
		var list []ClaimField
		for i := 0; ok && i+1 < len(c.node.Content); i += 2 {
			k, v := c.node.Content[i], c.node.Content[i+1]
			if k.Kind != yaml.ScalarNode || entries[k.Value].value != v {
				continue // reported by mapping
			}
			at := c.key(printable(k.Value), entry{k, v})
			field, good := one.read(at)
			for _, other := range list {
				if strings.EqualFold(other.Field, field) {
					at.errorf("%s is already the field of %s; each claim needs its own", field, quote(other.Claim))
				}
			}
			if good {
				list = append(list, ClaimField{k.Value, field})
			}
		}
		return list, ok
	}}
}

// corsOrigin is a serialized origin, as browsers send it, or a pattern of some.
func corsOrigin() value[string] {
	return textThat(schema{"maxLength": 300}, func(s string) (string, error) {
		if s == "*" || s == "null" {
			return s, nil
		}
		scheme, rest, ok := strings.Cut(s, "://")
		host := strings.TrimPrefix(rest, "*.")
		u, err := url.Parse(scheme + "://" + host)
		if !ok || err != nil || u.Host != host || u.Host == "" || len(s) > 300 || !isScheme(scheme) {
			return "", fmt.Errorf("must be an origin such as https://app.example, without a path, not %s", quote(s))
		}
		if strings.Contains(host, "*") {
			return "", errors.New("may have * only for the first label of the host: https://*.app.example")
		}
		if p := u.Port(); p == "443" && scheme == "https" || p == "80" && scheme == "http" {
			return "", fmt.Errorf("browsers leave out the port of the scheme; write %s", quote(strings.TrimSuffix(s, ":"+p)))
		}
		return strings.ToLower(s), checkURLHost(u)
	})
}

// isScheme reports whether a scheme can be one (RFC 3986 3.1).
func isScheme(s string) bool {
	return s != "" && onlyOf(strings.ToLower(s), lowerCase+digits+"+-.") && s[0] > '9'
}
