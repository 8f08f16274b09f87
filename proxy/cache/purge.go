package cache

import (
	"bytes"
	"strings"
)

// Invalidate removes every response for a URI: of a request that may have
// changed it (RFC 9111 4.4). A response that is on its way is not stored. It
// returns how many there were.
func (c *Cache) Invalidate(key []byte) int {
	n := c.drop(key)
	if other, ok := otherSpelling(string(key)); ok {
		n += c.drop([]byte(other))
	}
	return n
}

// drop removes the variants of a key.
func (c *Cache) drop(key []byte) int {
	hash := c.hash(key)
	s := c.shard(hash)
	s.mu.Lock()
	c.epoch(hash).Add(1)
	list := s.uris[string(key)]
	delete(s.uris, string(key))
	for _, e := range list {
		s.evict.drop(e)
	}
	s.mu.Unlock()
	for _, e := range list {
		e.Release()
	}
	return len(list)
}

// otherSpelling is the URI with the port of its scheme, or without it.
func otherSpelling(uri string) (string, bool) {
	port := ":80"
	scheme, rest, _ := strings.Cut(uri, "://")
	if scheme == "https" {
		port = ":443"
	}
	host, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	if bare, ok := strings.CutSuffix(host, port); ok {
		return scheme + "://" + bare + path, true
	}
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return "", false // another port
	}
	return scheme + "://" + host + port + path, true
}

// PurgePrefix removes what begins with a URI, PurgeHost what is of a host,
// without port, in lower case, PurgeAll everything. They return how many
// responses there were.
func (c *Cache) PurgePrefix(uri string) int {
	other, has := otherSpelling(uri)
	return c.purge(func(key string) bool {
		return strings.HasPrefix(key, uri) || has && strings.HasPrefix(key, other)
	})
}

// PurgeHost is for all schemes and ports.
func (c *Cache) PurgeHost(host string) int {
	return c.purge(func(key string) bool { return hostOf(key) == host })
}

// PurgeAll leaves nothing.
func (c *Cache) PurgeAll() int { return c.purge(func(string) bool { return true }) }

// hostOf is the host of a key.
func hostOf(key string) string {
	_, rest, _ := strings.Cut(key, "://")
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		rest = rest[:i]
	}
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, ']') {
		rest = rest[:i]
	}
	return rest
}

func (c *Cache) purge(takes func(key string) bool) (n int) {
	for i := range c.epochs {
		c.epochs[i].Add(1)
	}
	for i := range c.shards {
		s := &c.shards[i]
		var gone []*Entry
		s.mu.Lock()
		for key, list := range s.uris {
			if takes(key) {
				gone = append(gone, list...)
				delete(s.uris, key)
			}
		}
		for _, e := range gone {
			s.evict.drop(e)
		}
		s.mu.Unlock()
		for _, e := range gone {
			e.Release()
		}
		n += len(gone)
	}
	return n
}

// SameOrigin makes the key of a URI that a response names in Location or
// Content-Location: nil unless it is of the same origin as the key of its
// request (RFC 9111 4.4).
func (c *Cache) SameOrigin(key, reference []byte) []byte {
	from := bytes.Index(key, []byte("://")) + 3
	slash := bytes.IndexByte(key[from:], '/')
	if slash < 0 {
		return nil
	}
	origin := key[:from+slash]
	if i := bytes.IndexByte(reference, '#'); i >= 0 {
		reference = reference[:i]
	}
	rest, absolute := bytes.CutPrefix(reference, origin)
	switch {
	case absolute && (len(rest) == 0 || rest[0] != '/'):
		return nil
	case !absolute && (len(reference) == 0 || reference[0] != '/' || bytes.HasPrefix(reference, []byte("//"))):
		return nil
	}
	path, query, has := bytes.Cut(rest, []byte{'?'})
	return c.rule.AppendQuery(append(append([]byte(nil), origin...), path...), query, has)
}
