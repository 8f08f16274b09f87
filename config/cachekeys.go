package config

import (
	"fmt"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v4"
)

// The keys of caches.

const maxCacheNames = 32

func cacheObject() object[Cache] {
	return object[Cache]{at: func(c *Cache, p Pos) { c.Pos = p }, fields: []field[Cache]{
		key("name", func(c *Cache) *string { return &c.Name }, name(), "What rules and path maps call it.").required(),
		key("maxBytes", func(c *Cache) *int { return &c.MaxBytes }, size(64<<10, 1<<36), "Memory for responses, heads and bookkeeping included, also for those that are being fetched or sent.").or("64MiB"),
		key("maxObjectBytes", func(c *Cache) *int { return &c.MaxObjectBytes }, size(1, 1<<30), "The longest body that is stored; larger ones only pass.").or("1MiB"),
		key("key", func(c *Cache) *CacheKey { return &c.Key }, cacheKeyObject().value(), "What tells responses apart beside listener, scheme, host, path and Vary.").or("{}"),
		key("defaultTTL", func(c *Cache) *time.Duration { return &c.DefaultTTL }, duration(0, 365*day), "How long a response is fresh that does not say so and has status 200, 203, 204, 300, 301 or 308; not for requests with cookies; 0s: it is not stored.").or("0s"),
		key("staleWhileRevalidate", func(c *Cache) *time.Duration { return &c.StaleWhileRevalidate }, duration(0, 365*day), "How long after that a stale response is sent while the backend is asked, where the response does not say (RFC 5861).").or("0s"),
		key("staleIfError", func(c *Cache) *time.Duration { return &c.StaleIfError }, duration(0, 365*day), "How long after that a stale response is sent instead of an error of the backend, where the response does not say (RFC 5861).").or("0s"),
		key("ignoreClientNoCache", func(c *Cache) *bool { return &c.IgnoreClientNoCache }, boolean(), "Take no notice of no-cache, max-age and min-fresh in requests, by which any client can have the backend asked.").or("false"),
	}}
}

func cacheKeyObject() object[CacheKey] {
	return object[CacheKey]{fields: []field[CacheKey]{
		key("query", func(k *CacheKey) *CacheQuery { return &k.Query }, cacheQuery(), "all, none, or the names of the parameters that matter.").or("all"),
		key("headers", func(k *CacheKey) *[]string { return &k.Headers }, upTo(maxCacheNames, listOf(cacheHeader(), 0)), "Fields of requests that responses depend on without saying so in Vary."),
	}}
}

// cacheQuery is a word or a list of names.
func cacheQuery() value[CacheQuery] {
	names := upTo(maxCacheNames, listOf(boundedText(maxMatchName), 1))
	s := schema{"oneOf": []any{schema{"enum": []string{"all", "none"}}, names.schema}}
	return value[CacheQuery]{schema: s, read: func(c cursor) (CacheQuery, bool) {
		if c.node.Kind == yaml.SequenceNode {
			list, ok := names.read(c)
			return CacheQuery{Names: list}, ok
		}
		word, ok := c.scalar("all, none or a list of names")
		switch {
		case !ok:
			return CacheQuery{}, false
		case word == "none":
			return CacheQuery{None: true}, true
		case word == "all":
			return CacheQuery{}, true
		}
		c.errorf("must be all, none or a list of names, not %s", quote(word))
		return CacheQuery{}, false
	}}
}

// cacheHeader is a field that a client can be told apart by, and that reaches
// the backend.
func cacheHeader() value[string] {
	return textThat(schema{"pattern": "^[A-Za-z0-9-]{1,128}$"}, func(s string) (string, error) {
		if len(s) > 128 || !isSafeName(s) {
			return s, fmt.Errorf("%s names no field of a request: names have letters, digits and -", quote(s))
		}
		return strings.ToLower(s), nil
	})
}
