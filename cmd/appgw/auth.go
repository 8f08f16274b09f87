package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"gatehouse/config"
	"gatehouse/internal/jwks"
	"gatehouse/internal/smallfile"
	"gatehouse/proxy/l7"
	"gatehouse/proxy/l7/auth"
)

// What the files of authentications may have.
const (
	maxUsersFile = 16 << 20
	maxKeysFile  = 1 << 20
)

// authentication is one that a configuration has, with what lives on when a
// reload leaves it as it is.
type authentication struct {
	conf   config.Authentication
	digest [sha256.Size]byte // of its files
	basic  *auth.Basic
	jwt    *auth.JWT
	keys   *issuerKeys
	counts *l7.AuthCounts
	mixed  bool
}

// loadAuthentications reads the files of all authentications.
func (b *build) loadAuthentications() {
	b.next.auths = map[string]*authentication{}
	for i := range b.conf.Authentications {
		c := &b.conf.Authentications[i]
		path := fmt.Sprintf("authentications[%d]", i)
		prev := b.prev.auths[c.Name]
		a := &authentication{conf: *c, counts: &l7.AuthCounts{}}
		a.conf.Pos = config.Pos{}
		if prev != nil {
			a.counts = prev.counts
		}
		switch c.Kind {
		case config.AuthBasic:
			b.loadBasic(path+".basic", a, prev)
		case config.AuthJWT:
			b.loadJWT(path+".jwt", a, prev)
		}
		b.next.auths[c.Name] = a
	}
}

// same reports whether an authentication is the one before, files included.
func (a *authentication) same(prev *authentication) bool {
	return prev != nil && prev.digest == a.digest && reflect.DeepEqual(prev.conf, a.conf)
}

// readAuthFile reads a file of an authentication; nil if there is none, or it
// was refused.
func (b *build) readAuthFile(path, file string, most int64, a *authentication) []byte {
	if file == "" {
		return nil
	}
	b.depend(file)
	text, err := smallfile.Read(file, most)
	if err != nil {
		b.fail(path, "%w", err)
		return nil
	}
	a.digest = sha256.Sum256(append(a.digest[:], text...))
	return text
}

func (b *build) loadBasic(path string, a, prev *authentication) {
	c := &a.conf.Basic
	text := b.readAuthFile(path+".usersFile", c.UsersFile, maxUsersFile, a)
	if text == nil && c.UsersFile != "" {
		text = []byte{} // empty, or refused: nobody may
	}
	if a.same(prev) {
		a.basic, a.mixed = prev.basic, prev.mixed
	} else {
		users, err := auth.ParseUsers(text)
		if err != nil {
			b.fail(path+".usersFile", "%s: %w", c.UsersFile, err)
			return
		}
		a.mixed = users.Mixed()
		a.basic = auth.NewBasic(auth.BasicOptions{Realm: c.Realm, Users: users, Field: c.UserHeader, Crowd: b.app.crowd})
	}
	if a.mixed {
		b.warnf(path+".usersFile", "%s: the hashes have different costs: by the time an answer takes, one can tell who is a user; make them anew with one cost", c.UsersFile)
	}
}

func (b *build) loadJWT(path string, a, prev *authentication) {
	c := &a.conf.JWT
	text := b.readAuthFile(path+".keys.file", c.Keys.File, maxKeysFile, a)
	ca := b.readAuthFile(path+".keys.caFile", c.Keys.CAFile, maxKeysFile, a)
	if a.same(prev) {
		a.jwt, a.keys = prev.jwt, prev.keys
		return
	}
	k := &issuerKeys{}
	if text != nil {
		set, err := auth.ParseKeys(text)
		if err != nil {
			b.fail(path+".keys.file", "%s: %w", c.Keys.File, err)
			return
		}
		k.set.Store(set)
	}
	if c.Keys.URL != "" {
		roots, err := rootsOf(ca)
		if err != nil {
			b.fail(path+".keys.caFile", "%s: %w", c.Keys.CAFile, err)
			return
		}
		k.source = jwks.New(jwks.Options{URL: c.Keys.URL, Roots: roots, Refresh: c.Keys.Refresh, Accept: k.accept, Logger: b.app.log})
	}
	a.keys, a.jwt = k, auth.NewJWT(c, k)
}

// rootsOf are the CAs of a PEM file; nil for none.
func rootsOf(pem []byte) (*x509.CertPool, error) {
	if pem == nil {
		return nil, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("has no PEM certificate")
	}
	return roots, nil
}

// identityFields are the fields that no client may send, in lower case.
// Authorization is another matter: clients prove with it who they are.
func (b *build) identityFields() (names []string) {
	seen := map[string]bool{"": true, "authorization": true}
	add := func(name string) {
		if name = strings.ToLower(name); !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for i := range b.conf.Authentications {
		c := &b.conf.Authentications[i]
		add(c.Basic.UserHeader)
		for _, f := range c.JWT.ForwardClaims {
			add(f.Field)
		}
		for _, name := range c.External.ResponseHeaders {
			add(name)
		}
	}
	return names
}

// addGuards gives a target what the action, or else the listener, asks for.
func (b *build) addGuards(t *l7.Target, l *config.Listener, a config.Action) *l7.Target {
	t.Auth = b.authentication(b.conf.AuthenticationOf(l, a))
	t.CORS = b.corsPolicy(b.conf.CORSPolicyOf(l, a))
	return t
}

// authentication compiles an authentication once; nil for none.
func (b *build) authentication(name string) *l7.Authentication {
	if name == "" || b.guards[name] != nil {
		return b.guards[name]
	}
	a := b.next.auths[name]
	g := &l7.Authentication{Name: name, Basic: a.basic, JWT: a.jwt, Counts: a.counts}
	switch c := &a.conf; c.Kind {
	case config.AuthBasic:
		g.Forward = c.Basic.Forward
	case config.AuthJWT:
		g.Forward, g.Header, g.Cookie = c.JWT.Forward, c.JWT.Token.Header, c.JWT.Token.Cookie
	case config.AuthExternal:
		key := poolKey{c.External.BackendPool, c.External.BackendSettings}
		g.External = &l7.External{Target: &l7.Target{Pool: b.pool(key), Settings: b.compiled[key]},
			Path: c.External.Path, Send: c.External.RequestHeaders, Take: c.External.ResponseHeaders}
	}
	b.guards[name] = g
	return g
}

// corsPolicy compiles a CORS policy once; nil for none.
func (b *build) corsPolicy(name string) *l7.CORS {
	if name == "" || b.cors[name] != nil {
		return b.cors[name]
	}
	for i := range b.conf.CORSPolicies {
		if c := &b.conf.CORSPolicies[i]; c.Name == name {
			b.cors[name] = l7.NewCORS(c)
		}
	}
	return b.cors[name]
}

// issuerKeys are the keys of an issuer, from a file, a URL, or both.
type issuerKeys struct {
	set     atomic.Pointer[auth.KeySet]
	source  *jwks.Source // nil: no URL
	fetched atomic.Int64 // when, in seconds since 1970; 0: not yet
	stop    context.CancelFunc
}

// Keys implements auth.KeySource.
func (k *issuerKeys) Keys() *auth.KeySet { return k.set.Load() }

// Renewed implements auth.KeySource.
func (k *issuerKeys) Renewed() *auth.KeySet {
	if k.source != nil {
		k.source.Ask()
	}
	return k.set.Load()
}

// accept takes a set that was fetched. One that says the same is not new: what
// was verified by it stays known.
func (k *issuerKeys) accept(text []byte) error {
	set, err := auth.ParseKeys(text)
	if err != nil {
		return err
	}
	k.fetched.Store(time.Now().Unix())
	if old := k.set.Load(); old == nil || !reflect.DeepEqual(old, set) {
		k.set.Store(set)
	}
	return nil
}

// startKeys begins to fetch the keys of issuers that are new, and stopKeys
// ends it for those that next has not.
func (a *app) startKeys(next *running) {
	for _, au := range next.auths {
		k := au.keys
		if k == nil || k.source == nil || k.stop != nil {
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		k.stop = cancel
		a.leaving.Add(1)
		go func() {
			defer a.leaving.Done()
			k.source.Run(ctx)
		}()
	}
}

func (r *running) stopKeys(next *running) {
	for name, au := range r.auths {
		k := au.keys
		if k == nil || k.stop == nil || next != nil && next.auths[name] != nil && next.auths[name].keys == k {
			continue
		}
		k.stop()
	}
}

// passwordCrowd is how many passwords are compared at a time: the other cores
// serve requests.
func passwordCrowd() *auth.Crowd { return auth.NewCrowd(runtime.GOMAXPROCS(0) / 2) }
