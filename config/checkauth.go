package config

import (
	"fmt"
	"slices"
	"strings"
)

func (c *checker) checkAuthentications() {
	for i := range c.g.Authentications {
		a, path := &c.g.Authentications[i], fmt.Sprintf("authentications[%d]", i)
		c.checkNotOff(path+".name", a.Name)
		c.checkKind(path, a)
		switch a.Kind {
		case AuthJWT:
			c.checkJWT(path+".jwt", &a.JWT)
		case AuthExternal:
			c.refer(&c.pools, path+".external.backendPool", a.External.BackendPool)
			c.checkAskedWith(path+".external.backendSettings", a.External.BackendSettings)
			c.checkLayer(path+".external", Action{BackendSettings: a.External.BackendSettings}, false)
		}
	}
}

func (c *checker) checkNotOff(path, name string) {
	if name == Off {
		c.errorf(path, "off is what path rules write for none; choose another name")
	}
}

// checkKind wants exactly one kind.
func (c *checker) checkKind(path string, a *Authentication) {
	var given []string
	for _, kind := range []string{"basic", "jwt", "external"} {
		if c.has(path + "." + kind) {
			given = append(given, kind)
		}
	}
	switch {
	case c.failed(path):
	case len(given) == 0:
		c.errorf(path, "asks for nothing; add one of basic, jwt, external")
	case len(given) > 1:
		c.errorf(path, "has %s; keep one", strings.Join(given, " and "))
	}
}

func (c *checker) checkJWT(path string, j *JWTAuth) {
	k := &j.Keys
	keys := path + ".keys"
	switch {
	case c.failed(path) || c.failed(keys) || c.failed(keys+".url") || c.failed(keys+".file") || !c.has(keys):
	case k.File == "" && k.URL == "":
		c.errorf(keys, "no token could be verified; add file or url")
	case k.URL == "" && (k.CAFile != "" || c.has(keys+".refresh")):
		c.errorf(keys, "caFile and refresh belong to url; add it, or remove them")
	case k.File == "":
		c.warnf(keys+".url", "until it has answered, requests are answered 503; a file with the keys of today spares that")
	}
	for i, m := range j.Claims {
		at := fmt.Sprintf("%s.claims[%d]", path, i)
		equals, contains := c.has(at+".equals"), c.has(at+".contains")
		switch {
		case c.failed(at):
		case equals && contains:
			c.errorf(at, "has equals and contains; keep one")
		case !equals && !contains || m.Equals == "" && m.Contains == "" && !c.failed(at+".equals") && !c.failed(at+".contains"):
			c.errorf(at, "wants nothing; add equals or contains")
		}
	}
	for _, f := range j.ForwardClaims {
		if strings.EqualFold(f.Field, "authorization") {
			c.errorf(path+".forwardClaims", "Authorization is for credentials; use a name such as X-User")
		}
	}
}

// checkAskedWith refuses settings that make no sense for a service that is
// asked on its own.
func (c *checker) checkAskedWith(path, name string) {
	i := c.refer(&c.settings, path, name)
	if i < 0 {
		return
	}
	s := &c.g.BackendSettings[i]
	if s.Affinity.Enabled {
		c.errorf(path, "settings %s have affinity, which would set cookies for who is asked; use settings without", quote(name))
	}
	if s.PathOverride != "" {
		c.errorf(path, "settings %s have a pathOverride; the authentication has a path of its own", quote(name))
	}
}

func (c *checker) checkCORSPolicies() {
	for i := range c.g.CORSPolicies {
		p, path := &c.g.CORSPolicies[i], fmt.Sprintf("corsPolicies[%d]", i)
		c.checkNotOff(path+".name", p.Name)
		every := slices.Index(p.AllowOrigins, "*")
		if every >= 0 && p.AllowCredentials {
			c.errorf(fmt.Sprintf("%s.allowOrigins[%d]", path, every), "with allowCredentials every page of the world could act as the user; name the origins")
		}
		if every >= 0 && len(p.AllowOrigins) > 1 {
			c.warnf(path+".allowOrigins", "* is every origin; the others have no effect")
		}
	}
}

// checkGuards checks what a listener, or an action, names of both.
func (c *checker) checkGuards(path, authentication, corsPolicy string, action bool) {
	for _, r := range []struct {
		x    *index
		key  string
		name string
	}{{&c.authentications, ".authentication", authentication}, {&c.corsPolicies, ".corsPolicy", corsPolicy}} {
		if r.name != Off {
			c.refer(r.x, path+r.key, r.name)
		} else if !action {
			c.errorf(path+r.key, "a listener has none unless it names one; remove it")
		}
	}
}
