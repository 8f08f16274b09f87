package auth

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"time"
)

// maxCredentials bounds user and password in base64.
const maxCredentials = 1024

// maxPassword is what bcrypt looks at; what follows would not count.
const maxPassword = 72

// Basic verifies basic authentication. It is safe for concurrent use.
type Basic struct {
	users      *Users
	field      string
	challenge  string
	crowd      *Crowd
	identities *cache[*Identity]
}

// BasicOptions configure a Basic.
type BasicOptions struct {
	Realm string // without quotes
	Users *Users
	Field string // tells the backend the user; empty: none
	Crowd *Crowd // bounds comparisons of all together
}

// NewBasic makes a Basic.
func NewBasic(o BasicOptions) *Basic {
	return &Basic{users: o.Users, field: o.Field, crowd: o.Crowd, identities: newCache[*Identity](),
		challenge: fmt.Sprintf("Basic realm=%q, charset=\"UTF-8\"", o.Realm)}
}

// Verify judges the value of an Authorization field; nil: there was none. Its
// error is a *Refusal.
func (b *Basic) Verify(authorization []byte) (*Identity, *Refusal) {
	if authorization == nil {
		return nil, b.refuse("no credentials")
	}
	var buf [maxCredentials]byte
	user, password, ok := credentials(buf[:0], authorization)
	if !ok {
		return nil, b.refuse("credentials that are none of basic authentication")
	}
	d := b.identities.digest(authorization)
	if id, ok := b.identities.get(d, time.Now()); ok {
		return id, nil
	}
	if len(password) > maxPassword {
		return nil, b.refuse("password too long")
	}
	if !b.crowd.enter() {
		return nil, &Refusal{Status: 503, Reason: "too many passwords to compare"}
	}
	good := b.users.has(string(user), password)
	b.crowd.leave()
	if !good {
		return nil, b.refuse("wrong user or password")
	}
	id := b.identity(string(user))
	b.identities.put(d, id, time.Now().Add(cacheTime))
	return id, nil
}

func (b *Basic) refuse(reason string) *Refusal {
	return &Refusal{Status: 401, Reason: reason, Challenge: b.challenge}
}

func (b *Basic) identity(user string) *Identity {
	id := &Identity{User: user}
	if b.field != "" {
		id.Fields = []Field{{b.field, string(appendText(nil, user, ""))}}
	}
	return id
}

// credentials takes apart Basic and base64 of user:password.
func credentials(dst, authorization []byte) (user, password []byte, ok bool) {
	text, ok := afterScheme(authorization, "basic")
	if !ok || len(text) > maxCredentials {
		return nil, nil, false
	}
	dst, err := base64.StdEncoding.Strict().AppendDecode(dst, text)
	if err != nil || hasControl(dst) {
		return nil, nil, false
	}
	user, password, ok = bytes.Cut(dst, []byte{':'})
	return user, password, ok && len(user) > 0 && len(user) <= maxUser
}

// afterScheme is what follows a scheme and its spaces (RFC 9110 11.4).
func afterScheme(authorization []byte, scheme string) (rest []byte, ok bool) {
	n := len(scheme)
	if len(authorization) <= n || authorization[n] != ' ' || !bytes.EqualFold(authorization[:n], []byte(scheme)) {
		return nil, false
	}
	rest = bytes.TrimLeft(authorization[n:], " ")
	return rest, len(rest) > 0 && bytes.IndexByte(rest, ' ') < 0
}
