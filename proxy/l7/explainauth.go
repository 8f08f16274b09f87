package l7

import (
	"gatehouse/internal/httpmsg"
)

// explainGuards says what becomes of a preflight, and what a client must show;
// false when the request ends there.
func (e *explainer) explainGuards(t *Target) bool {
	if t.CORS != nil && !e.explainCORS(t.CORS) {
		return false
	}
	if t.Auth != nil {
		e.add("asked for", "", "%s", t.Auth.describe())
	}
	return true
}

// explainClientAuth says what certificate the listener asks clients for.
func (e *explainer) explainClientAuth() {
	if a := e.f.listener.ClientAuth; a != nil {
		e.add("client TLS", "the listener has clientAuth", "%s", a.Describe())
	}
}

// explainOtherGuards says what else must be shown since a rewrite leads to
// other rules.
func (e *explainer) explainOtherGuards(first *Target, others ...*Target) {
	said := []*Authentication{first.Auth}
	for _, t := range others {
		if t == nil || t.Auth == nil {
			continue
		}
		again := false
		for _, a := range said {
			again = again || a == t.Auth
		}
		if said = append(said, t.Auth); !again {
			e.add("asked for", "the new path belongs to "+nameOfPathRule(t), "%s", t.Auth.describe())
		}
	}
}

// explainCORS says what the policy makes of the request's origin.
func (e *explainer) explainCORS(c *CORS) bool {
	origin, ok := e.f.req.Lookup("Origin")
	method, asked := e.f.req.Lookup("Access-Control-Request-Method")
	switch {
	case !ok:
		e.add("CORS", "the request has no Origin", "%s: nothing", c.Name)
	case e.f.req.Method == httpmsg.OPTIONS && asked:
		if why := e.f.forbidden(c, origin, method); why != "" {
			e.add("CORS", why, "%s: the preflight is refused: 403", c.Name)
		} else {
			e.add("CORS", "", "%s: the preflight is answered: 204", c.Name)
		}
		return false
	case c.allows(origin):
		e.add("CORS", "", "%s: pages of %s may read the response", c.Name, origin)
	default:
		e.add("CORS", "the origin is not among those that are allowed", "%s: pages of %s may not read the response", c.Name, origin)
	}
	return true
}

// describe says what a client must show.
func (a *Authentication) describe() string {
	switch {
	case a.Basic != nil:
		return a.Name + ": user and password"
	case a.External != nil:
		return a.Name + ": what the pool " + a.External.Target.Settings.Pool + " allows at " + a.External.Path
	case a.Header != "authorization":
		return a.Name + ": a token in " + a.Header
	}
	return a.Name + ": a bearer token"
}
