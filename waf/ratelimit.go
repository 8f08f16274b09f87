package waf

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"gatehouse/config"
	"gatehouse/waf/custom"
	"gatehouse/waf/ratelimit"
)

// limitersOf makes the limiters of a policy's rate limit rules. They go on
// counting where those of the policy before it are.
func limitersOf(c *config.WAFPolicy, previous *Policy) map[string]*ratelimit.Limiter {
	limiters := map[string]*ratelimit.Limiter{}
	for i := range c.CustomRules {
		r := &c.CustomRules[i]
		if r.Type != config.RateLimitRule {
			continue
		}
		var old *ratelimit.Limiter
		if previous != nil {
			old = previous.limiters[r.Name]
		}
		limiters[r.Name] = ratelimit.Keep(old, ratelimit.Settings{Requests: r.Rate.Requests, Window: r.Rate.Per})
	}
	return limiters
}

// rateLimit counts a request that a rate limit rule matches, and acts when it
// is over the limit.
func (t *Transaction) rateLimit(m *custom.Match) (d Decision, final bool) {
	conf := &t.p.conf.CustomRules[m.Index]
	ok, retry, _ := t.p.limiters[m.Rule.Name].Allow(t.rateKey(conf.Rate.GroupBy), t.p.now())
	if ok {
		return Decision{}, false
	}
	t.note(m)
	t.event.Custom = m.Rule.Name
	switch m.Rule.Action {
	case custom.Block:
		d = t.block(429, RateLimited, "rate limit "+m.Rule.Name)
		if d.Action == Block {
			d.Page = limitPage(retry)
		}
		return d, d.Action != Pass
	case custom.Allow:
		t.passed, t.decided = true, true
		t.report(Allowed, "over rate limit "+m.Rule.Name+", which allows")
		return Decision{}, true
	}
	return Decision{}, false
}

// limitPage says when to come back.
func limitPage(retry time.Duration) *Page {
	seconds := int((retry + time.Second - 1) / time.Second)
	return &Page{ContentType: "text/plain; charset=utf-8", Fields: [][2]string{{"Retry-After", strconv.Itoa(max(seconds, 1))}},
		Body: []byte("Too many requests. Try again in " + strconv.Itoa(max(seconds, 1)) + " s.\n")}
}

// clientBits is how much of an IPv6 address is one client's.
const clientBits = 64

// rateKey is whose requests are counted together.
func (t *Transaction) rateKey(by config.RateGroup) ratelimit.Key {
	switch by {
	case config.RateByClient:
		return ratelimit.Address(t.client.Addr.Addr(), clientBits)
	case config.RateByClientXFF:
		return ratelimit.Address(t.forwardedFor(), clientBits)
	case config.RateByCountry:
		return ratelimit.Text(t.p.countryOf(t.client.Addr.Addr()))
	case config.RateByCountryXFF:
		return ratelimit.Text(t.p.countryOf(t.forwardedFor()))
	}
	return ratelimit.Key{}
}

// forwardedFor is the first address of X-Forwarded-For, whoever sent it, or
// the client's where there is none.
func (t *Transaction) forwardedFor() netip.Addr {
	value, _ := t.req.Header("x-forwarded-for")
	first, _, _ := strings.Cut(value, ",")
	first = strings.TrimSpace(first)
	if a, err := netip.ParseAddr(strings.Trim(first, "[]")); err == nil {
		return a
	}
	if ap, err := netip.ParseAddrPort(first); err == nil {
		return ap.Addr()
	}
	return t.client.Addr.Addr()
}

// countryOf is the country of an address, ZZ where it is not known.
func (p *Policy) countryOf(a netip.Addr) string {
	if p.country != nil {
		if c := p.country(a); c != "" {
			return c
		}
	}
	return "ZZ"
}
