package config

import (
	"fmt"
	"strings"
	"time"
)

// maxRateLimits is how many limits one listener or action may name: each is
// asked for every request.
const maxRateLimits = 8

func clientRateLimitObject() object[ClientRateLimit] {
	type limit = ClientRateLimit
	return object[limit]{at: func(l *limit, p Pos) { l.Pos = p }, fields: []field[limit]{
		key("name", func(l *limit) *string { return &l.Name }, name(), "What listeners and rules call it, and clients see in RateLimit.").required(),
		key("requests", func(l *limit) *int { return &l.Requests }, integer(1, 1_000_000), "How many pass within per; over: 429.").required(),
		key("per", func(l *limit) *time.Duration { return &l.Per }, duration(time.Second, day), "The time that requests is for.").or("1m"),
		key("burst", func(l *limit) *int { return &l.Burst }, integer(1, 1_000_000), "How many pass at once after a pause; default: requests."),
		key("key", func(l *limit) *LimitKey { return &l.Key }, limitKey(), "Whose requests count together: clientAddr (after trusted proxies were asked), header:NAME, cookie:NAME (without it or empty: the client's address), path, or listener (all of one).").or("clientAddr"),
		key("ipv6Bits", func(l *limit) *int { return &l.IPv6Bits }, integer(1, 128), "How many leading bits of an IPv6 address are one client.").or("64"),
		key("keys", func(l *limit) *int { return &l.Keys }, integer(64, 10_000_000), "How many keys are told apart at a time, some 50 to 100 bytes each.").or("100000"),
		key("headers", func(l *limit) *bool { return &l.Headers }, boolean(), "RateLimit and RateLimit-Policy on every response, and not only with 429.").or("false"),
		key("dryRun", func(l *limit) *bool { return &l.DryRun }, boolean(), "Refuse nothing: count and log only.").or("false"),
	}}
}

func limitKey() value[LimitKey] {
	s := schema{"type": "string", "pattern": "^(clientAddr|path|listener|header:.+|cookie:.+)$"}
	return parsed("clientAddr, header:NAME, cookie:NAME, path or listener", s, parseLimitKey)
}

func parseLimitKey(text string) (LimitKey, error) {
	word, name, named := strings.Cut(text, ":")
	switch {
	case text == "clientAddr":
		return LimitKey{On: LimitByClientAddr}, nil
	case text == "path":
		return LimitKey{On: LimitByPath}, nil
	case text == "listener":
		return LimitKey{On: LimitByListener}, nil
	case word == "header" && named:
		return LimitKey{On: LimitByHeader, Name: name}, checkToken("a header field's name", name)
	case word == "cookie" && named:
		return LimitKey{On: LimitByCookie, Name: name}, checkToken("a cookie's name", name)
	}
	return LimitKey{}, fmt.Errorf("must be clientAddr, header:NAME, cookie:NAME, path or listener, not %s", quote(text))
}

// rateLimitNames are the limits of a listener or an action.
func rateLimitNames() value[[]string] { return upTo(maxRateLimits, listOf(nameOf("rate limit"), 0)) }

// finishRateLimit fills in what depends on another key.
func finishRateLimit(l *ClientRateLimit) {
	if l.Burst == 0 {
		l.Burst = l.Requests
	}
}
