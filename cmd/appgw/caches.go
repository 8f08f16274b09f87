package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gatehouse/config"
	"gatehouse/internal/admin"
	"gatehouse/internal/httpmsg"
	"gatehouse/proxy/cache"
	"gatehouse/proxy/l7"
)

// caching is the cache of an action, as one listener uses it; nil for none.
func (b *build) caching(c *config.Listener, rule *config.Rule, a config.Action, w config.WeightedPool) *l7.Caching {
	i := slices.IndexFunc(b.conf.Caches, func(x config.Cache) bool { return x.Name == a.Cache })
	if i < 0 {
		return nil
	}
	s := &b.conf.Caches[i]
	return &l7.Caching{Cache: b.cache(s), MaxObject: s.MaxObjectBytes,
		Policy: cache.Policy{DefaultTTL: s.DefaultTTL, StaleWhileRevalidate: s.StaleWhileRevalidate, StaleIfError: s.StaleIfError,
			IgnoreClientNoCache: s.IgnoreClientNoCache},
		ID: strings.Join([]string{c.Name, rule.Name, w.Pool, w.Settings, a.RewriteSet}, "\n")}
}

// cache is the cache that runs under a name, if it makes keys as it is to; or
// else an empty one.
func (b *build) cache(s *config.Cache) *cache.Cache {
	if c := b.next.caches[s.Name]; c != nil {
		return c
	}
	rule := cache.KeyRule{NoQuery: s.Key.Query.None, Query: s.Key.Query.Names, Headers: s.Key.Headers}
	c := b.prev.caches[s.Name]
	if c == nil || !c.Rule().Equal(&rule) {
		c = cache.New(s.Name, int64(s.MaxBytes), rule)
	}
	b.next.caches[s.Name] = c
	return c
}

// commitCaches gives the caches the sizes of the configuration.
func (r *running) commitCaches() {
	for _, s := range r.conf.Caches {
		if c := r.caches[s.Name]; c != nil {
			c.SetMaxBytes(int64(s.MaxBytes))
		}
	}
}

// cacheStats are the caches in use, in the order of the configuration.
func (r *running) cacheStats() []cache.Stats {
	all := []cache.Stats{}
	for _, s := range r.conf.Caches {
		if c := r.caches[s.Name]; c != nil {
			all = append(all, c.Stats())
		}
	}
	return all
}

// addCacheEndpoints adds what the operator can do with caches.
func (a *app) addCacheEndpoints(s *admin.Server) {
	s.Get("/cache", "what the caches hold and did", func(*http.Request) (any, error) { return a.running().cacheStats(), nil })
	s.Post("/cache/purge", "remove responses: url=URL, prefix=URL, host=HOST or all=true; cache=NAME: of one cache only", func(r *http.Request) (any, error) {
		p, err := purgeOf(r.FormValue)
		if err != nil {
			return nil, &admin.Error{Status: 400, Err: err}
		}
		if a.upgrader.Handing() {
			return nil, errHanding
		}
		n, err := a.running().purge(p, r.FormValue("cache"))
		if err != nil {
			return nil, &admin.Error{Status: 404, Err: err}
		}
		return purged{n}, nil
	})
}

// purged is how many responses were removed.
type purged struct {
	Responses int `json:"responses"`
}

// purge removes responses from a cache, and returns how many.
type purge func(*cache.Cache) int

// purge does it to one cache, or all.
func (r *running) purge(p purge, name string) (n int, err error) {
	if name != "" {
		c := r.caches[name]
		if c == nil {
			return 0, fmt.Errorf("no rule uses a cache called %q; `appgw cache stats` lists them", name)
		}
		return p(c), nil
	}
	for _, c := range r.caches {
		n += p(c)
	}
	return n, nil
}

// purgeOf reads what is to be removed.
func purgeOf(value func(string) string) (purge, error) {
	var p purge
	given := 0
	if s := value("url"); s != "" {
		u, err := cachedURL(s)
		if err != nil {
			return nil, err
		}
		p = func(c *cache.Cache) int {
			return c.Invalidate(c.Rule().AppendQuery([]byte(u.start), []byte(u.query), u.hasQuery))
		}
		given++
	}
	if s := value("prefix"); s != "" {
		u, err := cachedURL(s)
		if err != nil {
			return nil, err
		}
		if u.hasQuery {
			return nil, errors.New("prefix: it ends before the query; remove the question mark and what follows")
		}
		p = func(c *cache.Cache) int { return c.PurgePrefix(u.start) }
		given++
	}
	if s := value("host"); s != "" {
		host := strings.ToLower(strings.TrimSuffix(s, "."))
		p = func(c *cache.Cache) int { return c.PurgeHost(host) }
		given++
	}
	if s := value("all"); s != "" {
		all, err := strconv.ParseBool(s)
		if err != nil || !all {
			return nil, errors.New("all: must be true")
		}
		p = (*cache.Cache).PurgeAll
		given++
	}
	if given != 1 {
		return nil, errors.New("say what to remove with exactly one of url, prefix, host and all=true")
	}
	return p, nil
}

// cached is a URL as the keys of caches have it.
type cached struct {
	start    string // scheme, host, port and path
	query    string
	hasQuery bool
}

func cachedURL(text string) (cached, error) {
	u, err := url.Parse(text)
	if err != nil {
		return cached{}, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return cached{}, fmt.Errorf("%q is no URL of a site; write it whole, as in https://shop.example/page", text)
	}
	port := uint64(0)
	if u.Port() != "" {
		if port, err = strconv.ParseUint(u.Port(), 10, 16); err != nil {
			return cached{}, err
		}
	}
	raw := u.EscapedPath()
	if raw == "" {
		raw = "/"
	}
	path, _, err := httpmsg.CanonicalPath(nil, []byte(raw), httpmsg.PathOptions{KeepEncodedSlash: true, KeepDuplicateSlashes: true})
	if err != nil {
		return cached{}, fmt.Errorf("%q: %w", text, err)
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	start := cache.AppendURI(nil, u.Scheme == "https", []byte(host), uint16(port), path)
	return cached{string(start), u.RawQuery, u.RawQuery != "" || u.ForceQuery}, nil
}
