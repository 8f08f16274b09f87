package config

import (
	"fmt"
	"slices"
)

// maxRecovery is how long a burst may take to be allowed once more.
const maxRecovery = 30 * day

func (c *checker) checkRateLimits() {
	for i, l := range c.g.RateLimits {
		path := fmt.Sprintf("rateLimits[%d]", i)
		if l.Requests == 0 || l.Per == 0 {
			continue // refused
		}
		if took := float64(l.Burst) * float64(l.Per) / float64(l.Requests); took > float64(maxRecovery) {
			c.errorf(path+".burst", "a burst of %d takes more than %d days to be allowed again; make it smaller", l.Burst, maxRecovery/day)
		}
		if l.IPv6Bits != 64 && l.Key.On != LimitByClientAddr && l.Key.On != LimitByHeader && l.Key.On != LimitByCookie && c.has(path+".ipv6Bits") {
			c.warnf(path+".ipv6Bits", "has no effect with key: %s", l.Key)
		}
	}
}

// referRateLimits looks up the limits of a listener or an action; pathMap is
// where the action leads instead.
func (c *checker) referRateLimits(path string, names []string, pathMap string) {
	if pathMap != "" && len(names) > 0 {
		c.errorf(path+".rateLimits", "belongs to the path rules and the default of the path map, or to the listener; set it there")
	}
	for i, name := range names {
		at := fmt.Sprintf("%s.rateLimits[%d]", path, i)
		c.refer(&c.rateLimits, at, name)
		if name != "" && slices.Contains(names[:i], name) {
			c.errorf(at, "%s is there twice; remove one", quote(name))
		}
	}
}
