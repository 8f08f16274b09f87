// Package challenge tells browsers from programs: whoever asks for a page is
// first sent one of ours, whose script has to find a number (Azure:
// JSChallenge).
//
// The page carries a token, signed for the client's address and user agent.
// Its script looks for a nonce such that the SHA-256 of "token.nonce" begins
// with so many zero bits, keeps that text as the cookie CookieName, and loads
// the same address again. Check verifies such a cookie with one HMAC and one
// SHA-256. Nothing is remembered of anybody, so every instance with the same
// secret accepts what another has issued.
//
// A cookie is good for Options.Lifetime from when its token was issued, not
// from when it was solved: to hold a token back gains nothing. The page
// itself gives up after SolveTime.
//
// The page is for those who can do something with it: a GET or HEAD that
// looks at a page. Other requests without the cookie (scripts of a page,
// programs that use an API, uploads) are refused with an explanation, as they
// could do nothing but fail on a page.
//
// There is one cookie per host. Policies of two paths of one host that both
// challenge do so again whenever a visitor changes from one to the other.
package challenge

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"gatehouse/waf/variables"
)

// CookieName is the cookie with the solution, the name that Azure gives it.
const CookieName = "appgw_azwaf_jsclearance"

// SolveTime is how long the page's script tries before it gives up and offers
// to begin again.
const SolveTime = 2 * time.Minute

const (
	defaultLifetime   = 30 * time.Minute
	minLifetime       = 5 * time.Minute
	maxLifetime       = 24 * time.Hour
	defaultDifficulty = 15
	minDifficulty     = 8
	maxDifficulty     = 24
)

// Options configure a Challenger.
type Options struct {
	Policy string // its name: a solution for one policy is none for another
	// Secrets sign tokens: the first those that are issued, and all of them
	// are accepted, so that a new one can be put in front of the old. 1 to 8,
	// each of at least 16 bytes that nobody can guess.
	Secrets    [][]byte
	Lifetime   time.Duration // of a solution, 5m to 24h. If zero, 30m.
	Difficulty int           // zero bits to be found, 8 to 24; one more takes twice as long. If zero, 15.
}

// Challenger challenges the clients of one policy. Its methods may be called
// by many goroutines.
type Challenger struct {
	keys       []*key
	lifetime   time.Duration
	difficulty int
	page       page
}

// New makes a Challenger. The error says which option is out of range.
func New(o Options) (*Challenger, error) {
	c := &Challenger{lifetime: o.Lifetime, difficulty: o.Difficulty}
	if c.lifetime == 0 {
		c.lifetime = defaultLifetime
	}
	if c.difficulty == 0 {
		c.difficulty = defaultDifficulty
	}
	switch {
	case c.lifetime < minLifetime || c.lifetime > maxLifetime:
		return nil, fmt.Errorf("challenge: lifetime of %v, want %v to %v", c.lifetime, minLifetime, maxLifetime)
	case c.difficulty < minDifficulty || c.difficulty > maxDifficulty:
		return nil, fmt.Errorf("challenge: difficulty of %d, want %d to %d", c.difficulty, minDifficulty, maxDifficulty)
	case len(o.Secrets) == 0:
		return nil, errors.New("challenge: no secret")
	case len(o.Secrets) > 8:
		return nil, fmt.Errorf("challenge: %d secrets, want at most 8", len(o.Secrets))
	}
	for i, secret := range o.Secrets {
		k, err := newKey(secret, o.Policy)
		if err != nil {
			return nil, fmt.Errorf("challenge: secret %d: %w", i+1, err)
		}
		c.keys = append(c.keys, k)
	}
	c.page = newPage(c.lifetime, c.difficulty)
	return c, nil
}

// Outcome is what becomes of a request.
type Outcome uint8

const (
	Passed  Outcome = iota // it has the cookie: let it go on
	Paged                  // answer with Challenger.Page
	Refused                // answer with Challenger.Refusal: it has no cookie and no use for a page
)

// String is the outcome in logs.
func (o Outcome) String() string {
	return [...]string{"passed", "challenged", "refused"}[o]
}

// Result is what Check says of a request.
type Result struct {
	Outcome Outcome
	Reason  string // for people: what is wrong with the cookie, or with the request; empty when Passed
}

// maxCookies is how many cookies of our name are looked at. Browsers send one;
// a second may be left by another application on the same host.
const maxCookies = 3

// Check says whether a request may go on. It looks at the client's address,
// at the method, at fields and at cookies.
func (c *Challenger) Check(r *variables.Request, now time.Time) Result {
	reason := c.clearance(r, now)
	if reason == "" {
		return Result{}
	}
	if why := unfit(r); why != "" {
		return Result{Refused, why}
	}
	return Result{Paged, reason}
}

// clearance looks for a good cookie; empty: there is one. Otherwise it says
// what is wrong with the last one.
func (c *Challenger) clearance(r *variables.Request, now time.Time) (problem string) {
	problem = "no cookie " + CookieName
	seen := 0
	for i := range r.Cookies {
		if r.Cookies[i].Name != CookieName {
			continue
		}
		if problem = c.verify(r, r.Cookies[i].Value, now); problem == "" {
			return ""
		}
		if seen++; seen == maxCookies {
			break
		}
	}
	return problem
}

// maxSkew is how far the clock of the instance that issued a token may be
// ahead of ours.
const maxSkew = 5 * time.Minute

// verify says what is wrong with a cookie; empty: nothing.
func (c *Challenger) verify(r *variables.Request, cookie string, now time.Time) (problem string) {
	s, ok := parseSolution(cookie)
	if !ok {
		return "the cookie is malformed"
	}
	if !c.signed(&s.token, r) {
		return "the cookie was issued to another address or user agent, by another policy, or not by us"
	}
	age := now.Sub(s.token.issued())
	switch {
	case age < -maxSkew:
		return "the cookie is from the future"
	case age >= min(s.token.life(), c.lifetime):
		return "the cookie has expired"
	case s.token.difficulty() < c.difficulty:
		return "the cookie is from a time of less difficulty"
	case !solves(cookie, s.token.difficulty()):
		return "the cookie is no solution"
	}
	return ""
}

// signed reports whether one of our keys signed the token for this client.
func (c *Challenger) signed(t *token, r *variables.Request) bool {
	for _, k := range c.keys {
		if k.id == t.keyID() && k.verify(t, r) {
			return true
		}
	}
	return false
}

// issue makes a token for a client.
func (c *Challenger) issue(r *variables.Request, now time.Time) token {
	var t token
	t.set(c.keys[0].id, c.difficulty, now, c.lifetime)
	_, _ = rand.Read(t.salt()) // never fails
	c.keys[0].sign(&t, r)
	return t
}
