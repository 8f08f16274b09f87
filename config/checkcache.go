package config

import (
	"fmt"
	"slices"
)

// checkCaches checks what the keys of a cache say together.
func (c *checker) checkCaches() {
	for i := range c.g.Caches {
		cache, path := &c.g.Caches[i], fmt.Sprintf("caches[%d]", i)
		if cache.MaxObjectBytes > cache.MaxBytes && cache.MaxBytes > 0 {
			at := path + ".maxObjectBytes"
			if !c.has(at) {
				at = path + ".maxBytes"
			}
			c.errorf(at, "maxObjectBytes is %s, more than maxBytes, %s; make it smaller", sizeText(cache.MaxObjectBytes), sizeText(cache.MaxBytes))
		}
		for j, name := range cache.Key.Headers {
			if name != "" && slices.Contains(cache.Key.Headers[:j], name) {
				c.errorf(fmt.Sprintf("%s.key.headers[%d]", path, j), "is there already; remove one")
			}
		}
		for j, name := range cache.Key.Query.Names {
			if name != "" && slices.Contains(cache.Key.Query.Names[:j], name) {
				c.errorf(fmt.Sprintf("%s.key.query[%d]", path, j), "is there already; remove one")
			}
		}
	}
}

// checkCacheOf checks the cache of a rule, a path rule or a default.
func (c *checker) checkCacheOf(path string, a Action, other string) {
	at := path + ".cache"
	c.refer(&c.caches, at, a.Cache)
	switch {
	case a.Cache == "":
	case a.Redirect != "":
		c.errorf(at, "a redirect is not cached; remove it")
	case other != "":
		c.errorf(at, "belongs to the path rules and the default of the path map; set it there")
	}
}
