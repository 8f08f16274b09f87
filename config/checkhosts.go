package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// checkHosts warns of listeners that no request can reach, because one that
// is looked at earlier matches every host they do. Without priorities this
// cannot happen: the most specific host wins.
func (c *checker) checkHosts() {
	for _, b := range c.addresses() {
		order := slices.DeleteFunc(slices.Clone(b.listeners), func(i int) bool { return c.priority(i) == 0 })
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(c.priority(a), c.priority(b)) })
		var seen hostCover
		for _, i := range order {
			c.checkReach(i, &seen)
		}
		// What has no priority comes after everything that has one.
		for _, i := range b.listeners {
			if c.rule[i] >= 0 && c.priority(i) == 0 {
				c.checkCovered(i, &seen)
			}
		}
	}
}

// priority is that of a listener's rule; 0: no rule or no priority.
func (c *checker) priority(listener int) int {
	if r := c.rule[listener]; r >= 0 {
		return c.g.Rules[r].Priority
	}
	return 0
}

// checkReach looks at a listener and adds its hosts to what is covered.
func (c *checker) checkReach(i int, seen *hostCover) {
	c.checkCovered(i, seen)
	seen.add(i, c.g.Listeners[i].HostNames)
}

func (c *checker) checkCovered(i int, seen *hostCover) {
	path := fmt.Sprintf("rules[%d]", c.rule[i])
	rule := &c.g.Rules[c.rule[i]]
	hosts := c.g.Listeners[i].HostNames
	if len(hosts) == 0 {
		hosts = []string{"*"} // any host is what this pattern matches
	}
	by := -1
	for _, h := range hosts {
		if by = seen.by(h); by < 0 {
			return // this one is reached
		}
	}
	shadow := &c.g.Rules[c.rule[by]]
	c.warnf(path, "can never match: rule %s (priority %d) takes all hosts of listener %s first; give it a larger number",
		quote(shadow.Name), shadow.Priority, quote(rule.Listener))
}

// hostCover knows which listener covers a host, in time that does not grow
// with the number of plain *.suffix patterns.
type hostCover struct {
	any     int // listener + 1 of one that takes any host
	exact   map[string]int
	suffix  map[string]int // of patterns *.suffix, with the dot
	unusual []struct {
		pattern string
		i       int
	}
}

// maxUnusual bounds the patterns that are compared one by one; beyond it a
// warning may be missing.
const maxUnusual = 200

func (s *hostCover) add(i int, hosts []string) {
	if s.exact == nil {
		s.exact, s.suffix = map[string]int{}, map[string]int{}
	}
	if len(hosts) == 0 && s.any == 0 {
		s.any = i + 1
	}
	for _, h := range hosts {
		rest, star := strings.CutPrefix(h, "*")
		switch {
		case h == "*" && s.any == 0:
			s.any = i + 1
		case !isPattern(h):
			s.exact[h] = i
		case star && strings.HasPrefix(rest, ".") && !isPattern(rest):
			s.suffix[rest] = i
		case len(s.unusual) < maxUnusual:
			s.unusual = append(s.unusual, struct {
				pattern string
				i       int
			}{h, i})
		}
	}
}

// by is the listener that covers a host or pattern, -1 if none does.
func (s *hostCover) by(host string) int {
	if s.any > 0 {
		return s.any - 1
	}
	if i, ok := s.exact[host]; ok {
		return i
	}
	for at, r := range host {
		if i, ok := s.suffix[host[at:]]; r == '.' && at > 0 && ok {
			return i
		}
	}
	for _, u := range s.unusual {
		if covers(u.pattern, host) {
			return u.i
		}
	}
	return -1
}
