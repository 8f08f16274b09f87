package config

import "time"

// Authentication says who may send requests: what a client must show, and how
// a backend is told who it is. It is named by listeners and by path rules; see
// [Gateway.AuthenticationOf].
type Authentication struct {
	Name string
	Kind AuthenticationKind

	Basic    BasicAuth    // Valid iff Kind is AuthBasic
	JWT      JWTAuth      // Valid iff Kind is AuthJWT
	External ExternalAuth // Valid iff Kind is AuthExternal
	Pos      Pos
}

// AuthenticationKind is how a client proves who it is.
type AuthenticationKind uint8

const (
	AuthUnknown  AuthenticationKind = iota
	AuthBasic                       // user and password (RFC 7617)
	AuthJWT                         // a signed token (RFC 7519)
	AuthExternal                    // a service of the configuration decides
)

// Off is what a path rule writes to be without the authentication, or the CORS
// policy, of its listener.
const Off = "off"

// BasicAuth is HTTP's basic authentication (RFC 7617).
type BasicAuth struct {
	Realm      string // what browsers show beside the question
	UsersFile  string // htpasswd with bcrypt; watched
	UserHeader string // field that tells the backend the user; empty: none
	Forward    bool   // the backend gets the Authorization field
}

// JWTAuth wants a JSON Web Token, signed by an issuer's key.
type JWTAuth struct {
	Realm     string
	Issuer    string
	Audiences []string // one of them must be the token's; empty: not looked at
	Keys      JWTKeys
	// Algorithms are those a token may be signed with (RFC 8725 3.1); never
	// none, and none with a shared secret.
	Algorithms []string
	ClockSkew  time.Duration
	MaxBytes   int
	Token      TokenSource
	Claims     []ClaimMatch
	// ForwardClaims are told the backend; one that a token lacks is not.
	ForwardClaims []ClaimField
	Forward       bool // the backend gets the token
}

// JWTKeys is where the issuer's keys are: a JSON Web Key Set (RFC 7517).
type JWTKeys struct {
	File    string        // watched; with a URL, what is used until that has answered
	URL     string        // https, or http to a loopback address
	CAFile  string        // PEM, who may have signed the URL's certificate; empty: the system's roots
	Refresh time.Duration // how often the URL is asked
}

// TokenSource is where in a request a token stands.
type TokenSource struct {
	Header string // Authorization: after Bearer; another field: alone
	Cookie string // looked at when the field is not there; empty: no cookie
}

// ClaimMatch wants a claim of a token to have a value. A name with dots that
// no claim has leads into objects: realm_access.roles.
type ClaimMatch struct {
	Name     string
	Equals   string // the claim is this text, number or truth value
	Contains string // or a list with it, or words of which it is one; exclusive with Equals
}

// ClaimField is a claim that backends are told, and the field for it.
type ClaimField struct{ Claim, Field string }

// ExternalAuth asks a service of the same configuration about each request.
type ExternalAuth struct {
	BackendPool     string
	BackendSettings string
	Path            string   // begins with /
	RequestHeaders  []string // of the client's request, told the service
	ResponseHeaders []string // of its consent, told the backend
}

// AuthenticationOf names what a client must show for requests of a listener
// that take an action: the action's own (a path rule's or a path map's
// default), or the listener's. Empty: nothing.
func (g *Gateway) AuthenticationOf(l *Listener, a Action) string {
	return unlessOff(a.Authentication, l.Authentication)
}

// CORSPolicyOf names the CORS policy for requests of a listener that take an
// action, as AuthenticationOf does.
func (g *Gateway) CORSPolicyOf(l *Listener, a Action) string {
	return unlessOff(a.CORSPolicy, l.CORSPolicy)
}

func unlessOff(name, otherwise string) string {
	switch name {
	case Off:
		return ""
	case "":
		return otherwise
	}
	return name
}

// CORSPolicy says which pages of other origins may use a site (Fetch standard,
// CORS protocol).
type CORSPolicy struct {
	Name             string
	AllowOrigins     []string // serialized; * for one label of the host; * alone; null
	AllowMethods     []string
	AllowHeaders     []string
	ExposeHeaders    []string
	AllowCredentials bool
	MaxAge           time.Duration // of an answer to a preflight, in whole seconds
	Pos              Pos
}
