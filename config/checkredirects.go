package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

func (c *checker) checkRedirects() {
	for i, r := range c.g.Redirects {
		path := fmt.Sprintf("redirects[%d].target", i)
		if !c.has(path) {
			continue
		}
		c.refer(&c.listeners, path+".listener", r.TargetListener)
		url := c.given(path+".url", r.TargetURL)
		listener := c.given(path+".listener", r.TargetListener)
		switch {
		case url && listener:
			c.errorf(path, "has a url and a listener; keep one")
		case !url && !listener:
			c.errorf(path, "goes nowhere; add url or listener")
		}
	}
}

// checkTargets warns of a redirect to a listener whose address does not serve
// a host of the listener it comes from: the client is sent to another host.
// (Azure wants the target to have all host names of the source.)
func (c *checker) checkTargets() {
	served := map[netip.AddrPort]*hostCover{}
	for i, l := range c.g.Listeners {
		if served[l.Address] == nil {
			served[l.Address] = &hostCover{}
		}
		served[l.Address].add(i, l.HostNames)
	}
	for i, r := range c.g.Rules {
		to, ok := c.redirects.at[r.Redirect]
		from, isListener := c.listeners.at[r.Listener]
		if !ok || !isListener {
			continue
		}
		target, ok := c.listeners.at[c.g.Redirects[to].TargetListener]
		if !ok {
			continue
		}
		for _, h := range c.g.Listeners[from].HostNames {
			if h != "" && served[c.g.Listeners[target].Address].by(h) < 0 {
				c.warnf(fmt.Sprintf("rules[%d].redirect", i), "no listener on the address of listener %s serves %s; clients %s",
					quote(c.g.Listeners[target].Name), quote(h), insteadOf(c.g.Listeners[target].HostNames))
			}
		}
	}
}

// insteadOf is what becomes of a client whose host a redirect's listener, which
// has these host names, does not take.
func insteadOf(hostNames []string) string {
	for _, h := range hostNames {
		if !isPattern(h) {
			return "are sent to " + quote(h)
		}
	}
	return "get 400"
}

// maxHops bounds how far a chain of redirects is followed; browsers give up
// at about as many.
const maxHops = 20

// maxLooked bounds the path rules that are looked at to find loops, some
// seconds' worth; a configuration so large is served with less advice.
const maxLooked = 1 << 24

// checkLoops refuses redirects that lead a client back to where it was: the
// same listener and path again, hence for ever.
func (c *checker) checkLoops() {
	for i, r := range c.g.Rules {
		l, ok := c.listeners.at[r.Listener]
		if !ok || c.rule[l] != i {
			continue
		}
		path := fmt.Sprintf("rules[%d]", i)
		if r.Redirect != "" {
			c.checkLoop(path+".redirect", stop{l, "/*"})
		}
		m, ok := c.pathMaps.at[r.PathMap]
		if !ok {
			continue
		}
		for j, p := range c.g.PathMaps[m].Paths {
			if p.Redirect != "" && len(p.Paths) > 0 {
				at := fmt.Sprintf("pathMaps[%d].paths[%d].redirect", m, j)
				c.checkLoop(at, stop{l, strings.TrimSuffix(p.Paths[0], "*")})
			}
		}
		if c.g.PathMaps[m].Default.Redirect != "" {
			c.checkLoop(fmt.Sprintf("pathMaps[%d].default.redirect", m), stop{l, "/*"})
		}
	}
}

// stop is where a client is on its way: a listener and a path. The path /*
// stands for one that no pattern of a path map mentions: a real path has no
// bare star, and a pattern that takes it takes any path.
type stop struct {
	listener int
	path     string
}

func (c *checker) checkLoop(path string, at stop) {
	if c.failed(path) {
		return // for another listener with the same path map
	}
	been := map[stop]bool{}
	for range maxHops {
		if been[at] {
			c.errorf(path, "redirects for ever: a client comes back to listener %s with the same path; change the target", quote(c.g.Listeners[at.listener].Name))
			return
		}
		been[at] = true
		next, ok := c.follow(at)
		if !ok {
			return
		}
		at = next
	}
	c.errorf(path, "redirects more than %d times in a row; change the target", maxHops)
}

// follow is one hop; ok is false if the client is answered by something else
// or leaves the gateway.
func (c *checker) follow(at stop) (next stop, ok bool) {
	if c.rule[at.listener] < 0 {
		return at, false
	}
	rule := &c.g.Rules[c.rule[at.listener]]
	action := rule.Action
	if m, isMap := c.pathMaps.at[rule.PathMap]; isMap {
		if c.looked += len(c.g.PathMaps[m].Paths); c.looked > maxLooked {
			return at, false
		}
		var sure bool
		if action, sure = c.g.PathMaps[m].action(at.path); !sure {
			return at, false
		}
	}
	i, isRedirect := c.redirects.at[action.Redirect]
	if !isRedirect {
		return at, false
	}
	r := &c.g.Redirects[i]
	if r.TargetURL != "" {
		return c.followURL(at, r)
	}
	l, isListener := c.listeners.at[r.TargetListener]
	if !r.IncludePath {
		at.path = "/"
	}
	return stop{l, at.path}, isListener
}

// action is what the map does with a path; sure is false when that takes more
// than the path to tell.
func (m *PathMap) action(path string) (a Action, sure bool) {
	for _, p := range m.Paths {
		for _, pattern := range p.Paths {
			prefix, wild := strings.CutSuffix(pattern, "*")
			if strings.EqualFold(path, prefix) || wild && len(path) >= len(prefix) && strings.EqualFold(path[:len(prefix)], prefix) {
				return p.Action, m.Order == OrderListed && !p.Match.Given()
			}
		}
	}
	return m.Default, true
}

// followURL follows a URL that leads back to the listener it came from, by
// scheme, port and one of its exact host names. Where else it leads is not
// followed: another listener on the way may be behind another proxy.
func (c *checker) followURL(at stop, r *Redirect) (next stop, ok bool) {
	u, err := url.Parse(r.TargetURL)
	if err != nil || !c.g.Listeners[at.listener].servesURL(u) {
		return at, false
	}
	path := u.EscapedPath()
	if r.IncludePath {
		path = strings.TrimSuffix(path, "/") + at.path
	}
	if path == "" {
		path = "/"
	}
	return stop{at.listener, path}, true
}

func (l *Listener) servesURL(u *url.URL) bool {
	scheme, port := "http", "80"
	if l.Protocol.Layer4() {
		return false
	}
	if l.Protocol == ListenerHTTPS {
		scheme, port = "https", "443"
	}
	if p := u.Port(); p != "" {
		port = p
	}
	return u.Scheme == scheme && port == fmt.Sprint(l.Address.Port()) && l.serves(u.Hostname())
}

// serves says whether a URL's host is certainly this listener: one of its
// host names, or its own address.
func (l *Listener) serves(host string) bool {
	for _, h := range l.HostNames {
		if strings.EqualFold(h, host) {
			return true
		}
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && len(l.HostNames) == 0 && ip == l.Address.Addr()
}
