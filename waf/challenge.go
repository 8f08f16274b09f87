package waf

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"gatehouse/config"
	"gatehouse/internal/smallfile"
	"gatehouse/waf/challenge"
)

// newChallenger makes the challenger of a policy, nil when no rule challenges.
func newChallenger(c *config.WAFPolicy, secret []byte) (*challenge.Challenger, error) {
	if !challenges(c) {
		return nil, nil
	}
	if name := c.JSChallenge.SecretFile; name != "" {
		data, err := smallfile.Read(name, 4<<10)
		if err != nil {
			return nil, fmt.Errorf("jsChallenge.secretFile: %w", err)
		}
		secret = data
	}
	if len(secret) < 16 {
		return nil, fmt.Errorf("jsChallenge.secretFile: %d bytes are too few for a secret; at least 16 are needed", len(secret))
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "gatehouse waf challenge", 32)
	if err != nil {
		return nil, err
	}
	return challenge.New(challenge.Options{Policy: c.Name, Secrets: [][]byte{key}, Lifetime: c.JSChallenge.CookieLifetime, Difficulty: c.JSChallenge.Difficulty})
}

// challenges reports whether a rule of the policy challenges.
func challenges(c *config.WAFPolicy) bool {
	for i := range c.CustomRules {
		if c.CustomRules[i].Action == config.CustomJSChallenge {
			return true
		}
	}
	b := &c.BotRules
	return b.Enabled && (b.Bad == config.BotJSChallenge || b.Good == config.BotJSChallenge || b.Unknown == config.BotJSChallenge)
}

// challenge has a client solve the JavaScript challenge, unless it has. What
// cannot solve it, a script's request or a program, is blocked.
func (t *Transaction) challenge(rule string) (d Decision, final bool) {
	result := t.p.challenger.Check(&t.req, t.p.now())
	if result.Outcome == challenge.Passed {
		return Decision{}, false
	}
	t.event.Custom = rule
	d = t.block(t.p.blocked, Challenged, "JavaScript challenge of "+rule+": "+result.Reason)
	if d.Action != Block {
		return d, false
	}
	a := t.p.challenger.Refusal(&t.req, result)
	if result.Outcome == challenge.Paged {
		a = t.p.challenger.Page(&t.req, t.p.now())
	}
	d.Status, d.Page = a.Status, &Page{ContentType: a.ContentType, Fields: a.Fields, Body: a.Body}
	return d, true
}
