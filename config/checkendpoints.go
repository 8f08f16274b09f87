package config

import "fmt"

func (c *tmChecker) checkEndpoints(path string, p *Profile) {
	path += ".endpoints"
	c.newIndex("endpoint", path, len(p.Endpoints), func(i int) string { return p.Endpoints[i].Name })
	for i := range p.Endpoints {
		e, at := &p.Endpoints[i], fmt.Sprintf("%s[%d]", path, i)
		if c.failed(at) {
			continue // no mapping: it says nothing
		}
		c.checkPlace(at, e)
		if e.Profile != "" {
			c.checkNested(at, p, e)
		}
		c.checkKind(at, p, e)
		if e.Monitor != nil {
			c.checkMonitor(at+".monitor", e.Monitor)
		}
		if p.Routing == RoutePerformance && e.Location == "" && !c.failed(at+".location") {
			c.errorf(at, "needs location, the Azure region that it is in or near, as routing is performance")
		}
	}
	c.checkPriorities(path, p)
	c.checkGeo(path, p)
	c.checkSubnets(path, p)
}

// checkPlace checks that an endpoint leads to one thing, and that it has the
// keys of that only.
func (c *tmChecker) checkPlace(at string, e *Endpoint) {
	target, nested := c.has(at+".target") || e.Address.IsValid() || e.Host != "", c.has(at+".profile") || e.Profile != ""
	switch {
	case target && nested:
		c.errorf(at, "has both a target and a profile; keep one")
	case !target && !nested:
		c.errorf(at, "leads nowhere; add target, an address or a host name, or profile")
	}
	keys, why := []string{"alwaysServe", "monitor", "port"}, "not of a nested profile, whose own endpoints have it; remove it"
	if !nested {
		keys, why = []string{"minChildEndpoints", "minChildIPv4", "minChildIPv6"}, "only of a nested profile; remove it"
	}
	for _, key := range keys {
		if target != nested && c.has(at+"."+key) {
			c.errorf(at+"."+key, "%s", why)
		}
	}
}

// checkNested checks a nested endpoint by itself; checkNesting sees to what
// they make together.
func (c *tmChecker) checkNested(at string, p *Profile, e *Endpoint) {
	k := c.refer(&c.profiles, at+".profile", e.Profile)
	if p.Routing == RouteMultiValue {
		c.errorf(at+".profile", "a multiValue profile cannot nest others; use targets, or another routing")
	}
	for _, least := range []struct {
		key string
		n   int
	}{{"minChildIPv4", e.MinChildIPv4}, {"minChildIPv6", e.MinChildIPv6}} {
		if least.n > e.MinChildEndpoints && !c.failed(at+".minChildEndpoints") {
			c.errorf(at+"."+least.key, "%d is more than minChildEndpoints, %d, which counts all; raise that", least.n, e.MinChildEndpoints)
		}
	}
	if k < 0 || c.failed(at+".minChildEndpoints") {
		return
	}
	if n := len(c.t.Profiles[k].Endpoints); e.MinChildEndpoints > max(n, 1) {
		c.warnf(at+".minChildEndpoints", "profile %s has only %d: this endpoint is never well", quote(e.Profile), n)
	}
}

// checkKind checks an endpoint against the profile's recordType and name.
func (c *tmChecker) checkKind(at string, p *Profile, e *Endpoint) {
	if full := fullName(p); full != "" && e.Host == full {
		c.errorf(at+".target", "is the name of the profile itself")
	}
	want := p.RecordType
	fits := true
	path := at + ".target"
	switch {
	case want == RecordAny:
	case e.Address.IsValid():
		fits = want == RecordA && e.Address.Is4() || want == RecordAAAA && e.Address.Is6()
	case e.Host != "":
		fits = want == RecordCNAME
	case e.Profile != "":
		path = at + ".profile"
		k, ok := c.profiles.at[e.Profile]
		fits = !ok || c.t.Profiles[k].RecordType == want
	}
	if !fits {
		c.errorf(path, "does not fit recordType of the profile, which wants %s", recordWords[want])
	}
}

var recordWords = [...]string{
	RecordAny:   "anything",
	RecordA:     "an IPv4 address, or a profile of recordType a",
	RecordAAAA:  "an IPv6 address, or a profile of recordType aaaa",
	RecordCNAME: "a host name, or a profile of recordType cname",
}

// checkPriorities refuses a priority that is there twice. Endpoints without one
// come after all that have one.
func (c *tmChecker) checkPriorities(path string, p *Profile) {
	first := map[int]int{} // endpoints by the priority they give
	for i, e := range p.Endpoints {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch k, taken := first[e.Priority]; {
		case c.failed(at) || c.failed(at+".priority") || !c.has(at+".priority"):
		case taken:
			c.errorf(at+".priority", "priority %d is already that of endpoint %s; each needs its own", e.Priority, quote(p.Endpoints[k].Name))
		default:
			first[e.Priority] = i
		}
	}
}
