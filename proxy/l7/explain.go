package l7

import (
	"fmt"
	"net/netip"
	"strings"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
)

// Step is one decision on the way of a request, for people.
type Step struct {
	Name   string `json:"name"`
	Result string `json:"result"`
	Why    string `json:"why,omitempty"`
}

// Explain says what a snapshot would do with a request to an address, by the
// same code that does it.
func Explain(snap *Snapshot, sites *Sites, req *httpmsg.Request, from netip.Addr) []Step {
	e := &explainer{f: flow{snap: snap, req: req, client: Client{Addr: netip.AddrPortFrom(from, 0), Peer: netip.AddrPortFrom(from, 0)}}}
	e.f.trusted = snap.Trusted.Contains(from)
	e.explain(sites)
	return e.steps
}

type explainer struct {
	f     flow
	steps []Step
}

func (e *explainer) add(name, why, result string, args ...any) {
	e.steps = append(e.steps, Step{name, fmt.Sprintf(result, args...), why})
}

func (e *explainer) explain(sites *Sites) {
	host := string(e.f.req.Bytes(e.f.req.HostName))
	st := sites.lookup([]byte(host))
	if st == nil {
		e.add("listener", "no listener on this port takes the host, and none takes every host", "none: 404")
		return
	}
	e.f.listener = st.listener
	e.add("listener", st.why(host), "%s", st.listener.Name)
	if st.listener.Layer4 {
		e.explainLayer4()
		return
	}
	e.explainClientAuth()
	e.explainClient()
	if e.f.snap.Identity != nil {
		e.f.dropIdentity(&e.f.req.Fields)
	}
	if !e.explainAccess() {
		return
	}
	path, same, err := e.f.canonicalPath()
	if err != nil {
		e.add("path", err.Error(), "refused: 400")
		return
	}
	why := ""
	if !same {
		why = fmt.Sprintf("it is the canonical form of %q", e.f.req.Bytes(e.f.req.RawPath))
	}
	e.add("path", why, "%s", path)
	e.f.req.Path = e.f.req.Keep(path)
	e.explainTarget(path)
}

// explainAccess says which access rule lets the client in, or not.
func (e *explainer) explainAccess() bool {
	l := e.f.listener
	if l.Access == nil {
		return true
	}
	const why = "it has the lowest priority of the access rules that contain the address"
	switch rule := l.Access.first(e.f.client.Addr.Addr()); {
	case rule == nil:
		e.add("access", "no access rule contains the address", "allowed")
	case rule.Deny:
		e.add("access", why, "denied by %s: 403", nameOf(rule))
		return false
	default:
		e.add("access", why, "allowed by %s", nameOf(rule))
	}
	return true
}

func nameOf(r *config.AccessRule) string {
	if r.Name == "" {
		return "the rule " + ruleLabel(r)
	}
	return r.Name
}

// explainClient says who the client is taken to be.
func (e *explainer) explainClient() {
	e.f.findClient()
	why := "it is the peer of the connection"
	_, forwarded := e.f.req.Get(httpmsg.XForwardedFor)
	switch {
	case e.f.client.Addr != e.f.client.Peer:
		why = fmt.Sprintf("the trusted proxy %s says so in X-Forwarded-For", e.f.client.Peer.Addr())
	case forwarded && !e.f.trusted:
		why += ", which is no trusted proxy: its X-Forwarded-For is not believed"
	}
	e.add("client", why, "%s", e.f.client.Addr.Addr())
}

func (e *explainer) explainTarget(path []byte) {
	l := e.f.listener
	t, why := l.Target, "the rule is basic"
	if l.Paths != nil {
		var ambiguous bool
		if t, ambiguous = l.Paths.Find(e.f.req, path, e.f.trusted); ambiguous {
			e.add("rule", errPathParams.Error(), "refused: 400")
			return
		}
		why = "no path pattern matches: the path map's default"
	}
	if t == nil {
		e.add("rule", "no rule is bound to the listener", "none: 404")
		return
	}
	if t.PathRule != "" {
		why = "the first pattern in listed order that matches is " + t.PathRule
		if l.Paths.specific {
			why = "the most specific pattern that matches is " + t.PathRule
		}
	}
	e.add("rule", why, "%s", l.Rule)
	e.f.target = t
	if !e.explainGuards(t) {
		return
	}
	if t.Redirect == nil && t.Rewrite != nil {
		if !e.explainRewrite() {
			return
		}
		e.explainOtherGuards(t, e.f.target, e.f.also)
		t = e.f.target
	}
	e.explainLimits(t)
	e.explainStages(t)
	if t.Redirect != nil {
		e.explainRedirect(t.Redirect)
		return
	}
	if t.Split != nil {
		if t = e.explainSplit(t.Split); t == nil {
			return
		}
		e.f.target = t
	}
	e.explainForward(t)
	e.explainBody()
	e.explainMirror(t.Mirror)
}

// explainStages says what judges the request before a backend gets it. A
// redirect has stages for requests that a rewrite gives another path only.
func (e *explainer) explainStages(t *Target) {
	if t.Redirect != nil {
		return
	}
	for _, m := range t.Stages {
		if s, ok := m.(fmt.Stringer); ok {
			e.add("firewall", "", "%s", s)
		}
	}
}

// explainForward says to whom the request goes, and how.
func (e *explainer) explainForward(t *Target) {
	e.add("pool", "", "%s with settings %s", t.Settings.Pool, t.Settings.Name)
	if !e.f.overridePath() {
		e.add("forwarded", "the path is not canonical once it is overridden", "refused: 400")
		return
	}
	why := ""
	if override := t.Settings.PathOverride; override != "" {
		why = fmt.Sprintf("the path override %s replaces %q", override, t.Strip)
	}
	e.add("forwarded", why, "%s", e.f.req.Bytes(e.f.req.Path))
	if c := t.Caching; c != nil {
		e.add("cache", "its responses are kept as far as RFC 9111 lets a shared cache keep them", "%s", c.Cache.Name())
	}
	e.explainBalance()
	e.explainCompression(t)
}

// explainCompression says how the response may be compressed.
func (e *explainer) explainCompression(t *Target) {
	if t.Compression == nil {
		return
	}
	if coding := t.Compression.Want(e.f.req).Coding(); coding != "" {
		e.add("compress", "the client accepts it", "%s, if the response is fit for it", coding)
		return
	}
	e.add("compress", "the client accepts no encoding of the policy's, or wants no change", "not at all")
}

// explainBalance says what the member is picked by; who is well enough to be
// picked only a running gateway knows.
func (e *explainer) explainBalance() {
	t, why := e.f.target, ""
	if t.Settings.Affinity.Enabled {
		e.add("affinity", "", "cookie %s", t.Settings.Affinity.Cookie)
		why = "it is asked when no affinity cookie names a member"
	}
	k := t.Pool.HashKey()
	if k == nil {
		e.add("balance", why, "%s", t.Pool.Balance())
		return
	}
	by := *k
	if k.Name != "" && len(e.f.hashed(k)) == 0 {
		by = config.HashKey{}
		why = fmt.Sprintf("the request has no %s", strings.Replace(k.String(), ":", " ", 1))
	}
	e.add("balance", why, "hash of %s", by)
}

// explainRewrite says which rules of rewrite sets match and what becomes of
// the request; false when it is refused.
func (e *explainer) explainRewrite() bool {
	first := e.f.target
	refused := e.f.runRewrites()
	for _, r := range e.f.rewrite.Rules() {
		switch {
		case !r.Holds:
			e.add("rewrite", "its conditions do not hold", "%s: rule %s does nothing", r.Set, r.Name)
		case r.Later:
			e.add("rewrite", "", "%s: rule %s matches; what it does to the response depends on that", r.Set, r.Name)
		default:
			e.add("rewrite", "", "%s: rule %s matches", r.Set, r.Name)
		}
	}
	for _, c := range e.f.rewrite.Changes() {
		e.add("field", "", "%s", c)
	}
	if refused != nil {
		e.add("rewrite", refused.Reason, "refused: %d", refused.Status)
		return false
	}
	if q := e.f.req; q.Rewritten {
		target := string(q.Bytes(q.Path))
		if q.HasQuery {
			target += "?" + string(q.Bytes(q.Query))
		}
		e.add("path", "it was rewritten", "%s", target)
	}
	if t := e.f.target; t != first {
		e.add("rule", "the path map was looked at once more, by the new path", "%s", nameOfPathRule(t))
	}
	if t := e.f.also; t != nil {
		e.add("firewall", "the new path belongs there, though another rule serves it", "the policy of %s judges it, too", nameOfPathRule(t))
	}
	return true
}

func nameOfPathRule(t *Target) string {
	if t.PathRule == "" {
		return "the path map's default"
	}
	return "path rule " + t.PathRule
}

func (e *explainer) explainRedirect(d *Redirect) {
	if loc := e.f.appendLocation(nil, d); loc != nil {
		e.add("redirect", "", "%d to %s", d.Status, loc)
		return
	}
	e.add("redirect", "it leads to the request's host, and there is none", "refused: 400")
}

// why says why a site was chosen.
func (st *site) why(host string) string {
	if st.rank.priority != noPriority {
		return fmt.Sprintf("its rule has the best priority (%d) of those that take %q", st.rank.priority, host)
	}
	switch st.rank.kind {
	case 0:
		return fmt.Sprintf("it has exactly the host name %q", host)
	case 1:
		return fmt.Sprintf("it has the longest wildcard that matches %q", host)
	}
	return "it takes every host that no other listener takes"
}
