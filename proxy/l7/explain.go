package l7

import (
	"fmt"
	"net/netip"

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
	e.explainClient()
	if rule := e.f.listener.Access.deniedBy(e.f.client.Addr.Addr()); rule != nil {
		e.add("access", "the access rule with the lowest priority that contains the address denies it", "denied by %s: 403", ruleLabel(rule))
		return
	}
	path, _, err := e.f.canonicalPath()
	if err != nil {
		e.add("path", err.Error(), "refused: 400")
		return
	}
	e.add("path", "", "%s", path)
	e.explainTarget(path)
}

// explainClient says who the client is taken to be.
func (e *explainer) explainClient() {
	e.f.findClient()
	why := "it is the peer of the connection"
	if e.f.client.Addr != e.f.client.Peer {
		why = "a trusted proxy says so in X-Forwarded-For"
	}
	e.add("client", why, "%s", e.f.client.Addr.Addr())
}

func (e *explainer) explainTarget(path []byte) {
	l := e.f.listener
	t, why := l.Target, "the rule is basic"
	if l.Paths != nil {
		t = l.Paths.Find(path)
		why = "no path pattern matches: the path map's default"
	}
	if t == nil {
		e.add("rule", "no rule is bound to the listener", "none: 404")
		return
	}
	if t.PathRule != "" {
		why = "the first pattern in listed order that matches is " + t.PathRule
	}
	e.add("rule", why, "%s", l.Rule)
	if t.Redirect != nil {
		e.add("redirect", "", "%d to %s", t.Redirect.Status, t.Redirect)
		return
	}
	e.add("pool", "", "%s with settings %s", t.Settings.Pool, t.Settings.Name)
	e.f.target = t
	e.f.req.Path = e.f.req.Keep(path)
	e.f.overridePath()
	e.add("forwarded", "", "%s", e.f.req.Bytes(e.f.req.Path))
	if t.Settings.Affinity.Enabled {
		e.add("affinity", "", "cookie %s", t.Settings.Affinity.Cookie)
	}
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

// String is the redirect's target with placeholders for what the request
// adds.
func (d *Redirect) String() string {
	host := d.Host
	if host == "" {
		host = fmt.Sprintf("{host}:%d", d.Port)
	}
	s := d.Scheme + "://" + host + d.Path
	if d.IncludePath {
		s += "{path}"
	}
	if d.IncludeQuery {
		s += "{?query}"
	}
	return s
}
