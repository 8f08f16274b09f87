package l7

import (
	"slices"
	"strings"
	"sync/atomic"

	"gatehouse/internal/httpmsg"
	"gatehouse/internal/telemetry"
	"gatehouse/proxy/l7/auth"
)

// Authentication is what a client must show for some requests: exactly one of
// Basic, JWT and External is set.
type Authentication struct {
	Name     string
	Basic    *auth.Basic
	JWT      *auth.JWT
	External *External

	// Header and Cookie are where a token stands, in lower case and as it is.
	Header string
	Cookie string // empty: in no cookie
	// Forward lets the backend have the credentials.
	Forward bool
	Counts  *AuthCounts
}

// AuthCounts are the decisions of an authentication; they go on over reloads.
type AuthCounts struct{ Allowed, Denied, Failed atomic.Uint64 }

// maxAsked is how many authentications one request can meet: the path rule's,
// that of one a rewrite leads to, and that of one whose path it only takes.
const maxAsked = 3

// identity is what the authentications have found out about a request.
type identity struct {
	asked      [maxAsked]*Authentication
	n          int
	told       []auth.Field // what the backend is told
	authorized bool         // an authentication gave the backend an Authorization field
}

// reset makes room for the next request.
func (i *identity) reset() {
	clear(i.asked[:])
	clear(i.told)
	i.n, i.told, i.authorized = 0, i.told[:0], false
}

func (i *identity) has(a *Authentication) bool {
	for _, b := range i.asked[:i.n] {
		if a == b {
			return true
		}
	}
	return false
}

// tell adds what the backend is told, in the place of what it was to be told
// by those names before.
func (i *identity) tell(fields []auth.Field) {
	i.told = slices.DeleteFunc(i.told, func(old auth.Field) bool {
		return slices.ContainsFunc(fields, func(f auth.Field) bool { return strings.EqualFold(f.Name, old.Name) })
	})
	i.told = append(i.told, fields...)
}

// authenticateRewritten asks for what the rules want that a rewrite leads to;
// no rewrite leads around an authentication.
func (f *flow) authenticateRewritten() bool {
	for _, t := range [...]*Target{f.target, f.also} {
		if t != nil && t.Auth != nil && !f.authenticate(t.Auth) {
			return false
		}
	}
	return true
}

// authenticate finds out who asks; false when the request was answered.
func (f *flow) authenticate(a *Authentication) bool {
	if f.who.has(a) {
		return true
	}
	f.who.asked[f.who.n] = a
	f.who.n++
	id, why := f.identify(a)
	switch {
	case why == nil && id != nil:
		a.Counts.Allowed.Add(1)
		if id.User != "" {
			f.rec.User = id.User
		}
		f.who.tell(id.Fields)
		return true
	case why == nil:
		return false // the service, or the client's leaving, has settled it
	case why.Status == 503:
		a.Counts.Failed.Add(1)
	default:
		a.Counts.Denied.Add(1)
	}
	f.challenge(a, why)
	return false
}

// identify asks an authentication. Without an identity and a refusal the
// request was answered.
func (f *flow) identify(a *Authentication) (*auth.Identity, *auth.Refusal) {
	if a.External != nil {
		return f.askExternal(a)
	}
	if f.req.Count(httpmsg.Authorization) > 1 {
		return nil, &auth.Refusal{Status: 400, Reason: "more than one Authorization field"}
	}
	if a.Basic != nil {
		value, _ := f.req.Get(httpmsg.Authorization)
		return a.Basic.Verify(value)
	}
	return f.verifyToken(a)
}

// verifyToken looks for a token where it may stand.
func (f *flow) verifyToken(a *Authentication) (*auth.Identity, *auth.Refusal) {
	value, there, twice := onlyField(&f.req.Fields, a.Header)
	switch {
	case twice:
		return nil, &auth.Refusal{Status: 400, Reason: "more than one " + a.Header + " field"}
	case there && a.Header == "authorization":
		return a.JWT.VerifyAuthorization(value)
	case there:
		return a.JWT.Verify(value)
	}
	if a.Cookie != "" {
		if token, ok := httpmsg.CookieValue(&f.req.Fields, a.Cookie); ok {
			return a.JWT.Verify(token)
		}
	}
	return nil, a.JWT.NoToken()
}

// onlyField is the value of a field that may be there once.
func onlyField(q *httpmsg.Fields, name string) (value []byte, there, twice bool) {
	for i := range q.Len() {
		if _, n, v, live := q.At(i); live && httpmsg.EqualFold(n, name) {
			if there {
				return nil, true, true
			}
			value, there = v, true
		}
	}
	return value, there, false
}

// challenge answers a request that may not pass.
func (f *flow) challenge(a *Authentication, why *auth.Refusal) {
	f.rec.Termination = telemetry.Termination{'P', 'R'}
	f.rec.Reason, f.rec.Status = "authentication "+a.Name+": "+why.Reason, why.Status
	page := f.errorPage(why.Status)
	r := f.startResponse(why.Status)
	if why.Challenge != "" {
		r.AddString("WWW-Authenticate", why.Challenge)
	}
	r.AddString("Content-Type", page.ContentType)
	r.AddString("Cache-Control", "no-store")
	f.answer(r, page.Body)
}

// dropIdentity deletes the fields that authentications tell backends: from a
// client, they would be a lie.
func (f *flow) dropIdentity(q *httpmsg.Fields) {
	for i := range q.Len() {
		_, name, _, live := q.At(i)
		if !live {
			continue
		}
		for _, of := range f.snap.Identity {
			if sameInCGI(name, of) {
				q.DeleteAt(i)
			}
		}
	}
}

// sameInCGI reports whether a name becomes the same variable as another, which
// is in lower case: to some servers, every character that is no letter and no
// digit is the same (hostile-input row 44).
func sameInCGI(name []byte, other string) bool {
	if len(name) != len(other) {
		return false
	}
	for i := range len(other) {
		a, b := name[i], other[i]
		if 'A' <= a && a <= 'Z' {
			a |= 0x20
		}
		if a != b && (isAlnum(a) || isAlnum(b)) {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// tellIdentity takes the credentials out of the request and puts in who it is
// that asks.
func (f *flow) tellIdentity() {
	q := f.req
	for _, a := range f.who.asked[:f.who.n] {
		switch {
		case a.Forward || a.External != nil:
		case a.Basic != nil:
			q.Delete(httpmsg.Authorization)
		default:
			q.DeleteName([]byte(a.Header))
			if a.Cookie != "" {
				dropCookie(&q.Fields, a.Cookie)
			}
		}
	}
	for _, field := range f.who.told {
		id := httpmsg.IDOf(strings.ToLower(field.Name))
		if id == httpmsg.Authorization && !f.who.authorized {
			q.Delete(id) // the client's
			f.who.authorized = true
		}
		q.Add(id, q.KeepString(field.Name), q.KeepString(field.Value))
	}
}

// dropCookie takes one cookie out of Cookie fields.
func dropCookie(q *httpmsg.Fields, name string) {
	for i := range q.Len() {
		if id, live := q.IDAt(i); id != httpmsg.Cookie || !live {
			continue
		}
		value := string(q.ValueAt(i))
		var kept []string
		for pair := range strings.SplitSeq(value, ";") {
			pair = strings.Trim(pair, " \t")
			if n, _, _ := strings.Cut(pair, "="); strings.TrimRight(n, " \t") != name && pair != "" {
				kept = append(kept, pair)
			}
		}
		switch text := strings.Join(kept, "; "); {
		case text == "":
			q.DeleteAt(i)
		case text != value:
			q.SetValueAt(i, q.KeepString(text))
		}
	}
}
