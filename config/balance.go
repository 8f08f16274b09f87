package config

import (
	"errors"
	"fmt"
	"strings"
)

// Balance is the way a member is picked.
type Balance uint8

const (
	RoundRobin    Balance = iota // weighted and smooth
	LeastRequests                // fewest requests in flight for its weight
	P2C                          // of two by chance, the one with fewer in flight for its weight
	EWMA                         // of two by chance, the one that will be done first (peak EWMA)
	Hash                         // the same member for the same key
)

var balanceWords = [...]string{"roundRobin", "leastRequests", "p2c", "ewma", "hash"}

// String is the word of the configuration; what is none is "invalid".
func (b Balance) String() string {
	if int(b) < len(balanceWords) {
		return balanceWords[b]
	}
	return "invalid"
}

// HashKey is what members are picked by with [Hash].
type HashKey struct {
	On   HashOn
	Name string // of the header field or cookie
	// BalanceFactor bounds what a member may have in flight, in percent of
	// the average: 101..10000. 0 (default): no bound.
	BalanceFactor int
}

// HashOn is the part of a request that is its key.
type HashOn uint8

const (
	HashClientAddr HashOn = iota // the client's address, without its port
	HashHeader                   // a header field; without it, the client's address
	HashCookie                   // a cookie; without it, the client's address
	HashURI                      // path and query as they are sent to the member
)

// String is the key as the configuration has it.
func (k HashKey) String() string {
	switch k.On {
	case HashHeader:
		return "header:" + k.Name
	case HashCookie:
		return "cookie:" + k.Name
	case HashURI:
		return "uri"
	}
	return "clientAddr"
}

func balanceValue() value[Balance] {
	var choices []choice[Balance]
	for b, word := range balanceWords {
		choices = append(choices, choice[Balance]{word: word, v: Balance(b)})
	}
	return oneOf(choices...)
}

func hashObject() object[HashKey] {
	return object[HashKey]{fields: []field[HashKey]{
		hashOnField(),
		key("balanceFactor", func(k *HashKey) *int { return &k.BalanceFactor }, balanceFactor(), "Bounded loads: how much a member may have in flight, in percent of the average for its weight; a request above it goes to the key's next member. 0: no bound.").or("0"),
	}}
}

// hashOnField reads on into what is hashed and its name, and leaves the rest.
func hashOnField() field[HashKey] {
	s := schema{"type": "string", "pattern": "^(clientAddr|uri|header:.+|cookie:.+)$"}
	v := parsed("clientAddr, header:NAME, cookie:NAME or uri", s, parseHashOn)
	return field[HashKey]{
		name:   "on",
		doc:    "The key: clientAddr (without the port, after trusted proxies were asked), header:NAME, cookie:NAME (without it or empty: the client's address), or uri (path and query as the member gets them).",
		schema: s,
		def:    "clientAddr",
		read: func(c cursor, into *HashKey) {
			if got, ok := v.read(c); ok {
				into.On, into.Name = got.On, got.Name
			}
		},
	}
}

func parseHashOn(text string) (HashKey, error) {
	word, name, named := strings.Cut(text, ":")
	switch {
	case text == "clientAddr":
		return HashKey{On: HashClientAddr}, nil
	case text == "uri":
		return HashKey{On: HashURI}, nil
	case word == "header" && named:
		return HashKey{On: HashHeader, Name: name}, checkToken("a header field's name", name)
	case word == "cookie" && named:
		return HashKey{On: HashCookie, Name: name}, checkToken("a cookie's name", name)
	}
	return HashKey{}, fmt.Errorf("must be clientAddr, header:NAME, cookie:NAME or uri, not %s", quote(text))
}

// balanceFactor is 0 or more than 100: with less, not all requests would find
// a member.
func balanceFactor() value[int] {
	v := integer(0, 10_000)
	s := schema{"type": "integer", "oneOf": []schema{{"const": 0}, {"minimum": 101, "maximum": 10_000}}}
	return value[int]{schema: s, read: func(c cursor) (int, bool) {
		n, ok := v.read(c)
		if ok && n > 0 && n <= 100 {
			c.errorf("must be 0 (no bound) or 101 to 10000, not %d: it is in percent of the average", n)
			return 0, false
		}
		return n, ok
	}}
}

// checkToken checks the name of a cookie (RFC 6265 4.1.1) or a header field
// (RFC 9110 5.1).
func checkToken(what, s string) error {
	const extra = "!#$%&'*+-.^_`|~"
	for _, r := range s {
		if !isAlnum(r) && !strings.ContainsRune(extra, r) {
			return fmt.Errorf("%s has letters, digits and %s, not %q", what, extra, r)
		}
	}
	if s == "" || len(s) > 64 {
		return errors.New(what + " has 1 to 64 characters")
	}
	return nil
}

// checkBalance refuses keys of a pool that its balance makes no use of.
func (c *checker) checkBalance(path string, b *BackendPool) {
	if b.Balance != Hash && c.has(path+".hash") && !c.failed(path+".balance") {
		c.errorf(path+".hash", "is for balance: hash only, not %s", b.Balance)
	}
	priorities := map[int]bool{}
	for _, t := range b.Targets {
		priorities[t.Priority] = true
	}
	if b.MinHealthy > 0 && len(priorities) == 1 {
		c.warnf(path+".minHealthy", "has no effect: all targets have the same priority")
	}
}
