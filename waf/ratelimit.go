package waf

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"gatehouse/config"
	"gatehouse/waf/custom"
)

// limiter counts the requests of each key in a sliding window.
type limiter interface {
	// Allow counts a request and reports whether it is within the limit; if
	// not, when the next one will be.
	Allow(key string, now time.Time) (ok bool, retryAfter time.Duration)
}

// rateLimit counts a request that a rate limit rule matches, and acts when it
// is over the limit.
func (t *Transaction) rateLimit(m *custom.Match) (d Decision, final bool) {
	conf := &t.p.conf.CustomRules[m.Index]
	ok, retry := t.p.limiters[m.Rule.Name].Allow(t.rateKey(conf.Rate.GroupBy), t.p.now())
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

// rateKey is whose requests are counted together.
func (t *Transaction) rateKey(by config.RateGroup) string {
	switch by {
	case config.RateByClient:
		return clientKey(t.client.Addr.Addr())
	case config.RateByClientXFF:
		return clientKey(t.forwardedFor())
	case config.RateByCountry:
		return t.p.countryOf(t.client.Addr.Addr())
	case config.RateByCountryXFF:
		return t.p.countryOf(t.forwardedFor())
	}
	return ""
}

// clientKey is an address, of IPv6 the first 64 bits: what one client has.
func clientKey(a netip.Addr) string {
	a = a.Unmap()
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			a = p.Addr()
		}
	}
	b := a.As16()
	return string(b[:])
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
