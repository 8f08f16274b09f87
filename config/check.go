package config

import (
	"fmt"
	"slices"
	"strings"
)

// finish fills in the defaults that depend on another key.
func finish(g *Gateway) {
	for i := range g.BackendSettings {
		b := &g.BackendSettings[i]
		if !b.Protocol.Layer4() {
			b.IdleTimeout = 0
		}
		switch {
		case b.Port != 0 || b.Protocol.Layer4():
		case b.Protocol == BackendHTTPS:
			b.Port = 443
		default:
			b.Port = 80
		}
	}
	finishActions(g)
	for i := range g.RateLimits {
		finishRateLimit(&g.RateLimits[i])
	}
	for i := range g.WAFPolicies {
		finishPolicy(&g.WAFPolicies[i])
	}
}

// checker is one pass over a whole gateway: what no single key can tell.
type checker struct {
	*report
	g *Gateway

	listeners, pools, settings, probes, pathMaps, redirects, policies, rewriteSets, rateLimits, compressions, caches, authentications, corsPolicies index
	// rule is each listener's rule, by the listener's place; -1: none.
	rule []int
	// looked counts path rules compared while following redirects.
	looked int
	// regexes counts parts of regular expressions compiled.
	regexes int
}

// check reports what is wrong and what is suspicious between keys, and fills
// in what takes two keys to read. Values that were already refused are zero
// here and draw no second error.
func check(g *Gateway, r *report) {
	c := &checker{report: r, g: g}
	c.indexNames()
	c.checkLimits()
	c.checkRules()
	c.checkLayer4()
	c.checkPathMaps()
	c.checkRewriteSets()
	c.checkRateLimits()
	c.checkCompressions()
	c.checkCaches()
	c.checkPools()
	c.checkSettings()
	c.checkProbes()
	c.checkRedirects()
	c.checkListeners()
	c.checkAuthentications()
	c.checkCORSPolicies()
	c.checkACME()
	c.checkPolicies()
	c.checkAddresses()
	c.checkHosts()
	c.checkTargets()
	c.checkLoops()
	c.checkUse()
}

// index finds things of one kind by name.
type index struct {
	kind  string // for messages: backend pool
	path  string // of the list
	at    map[string]int
	names []string
	used  []bool
}

// newIndex reports names that are there twice.
func (r *report) newIndex(kind, path string, n int, name func(i int) string) index {
	x := index{kind: kind, path: path, at: make(map[string]int, n), used: make([]bool, n)}
	for i := range n {
		s := name(i)
		if s == "" {
			continue // missing, and reported
		}
		if first, ok := x.at[s]; ok {
			at := fmt.Sprintf("%s[%d].name", path, i)
			line := r.where(fmt.Sprintf("%s[%d].name", path, first)).Line
			r.errorf(at, "the name %s is already taken on line %d; choose another", quote(s), line)
			continue
		}
		x.at[s] = i
		x.names = append(x.names, s)
	}
	return x
}

func (c *checker) indexNames() {
	g := c.g
	c.listeners = c.newIndex("listener", "listeners", len(g.Listeners), func(i int) string { return g.Listeners[i].Name })
	c.pools = c.newIndex("backend pool", "backendPools", len(g.BackendPools), func(i int) string { return g.BackendPools[i].Name })
	c.settings = c.newIndex("backend settings", "backendSettings", len(g.BackendSettings), func(i int) string { return g.BackendSettings[i].Name })
	c.probes = c.newIndex("probe", "probes", len(g.Probes), func(i int) string { return g.Probes[i].Name })
	c.pathMaps = c.newIndex("path map", "pathMaps", len(g.PathMaps), func(i int) string { return g.PathMaps[i].Name })
	c.redirects = c.newIndex("redirect", "redirects", len(g.Redirects), func(i int) string { return g.Redirects[i].Name })
	c.policies = c.newIndex("WAF policy", "wafPolicies", len(g.WAFPolicies), func(i int) string { return g.WAFPolicies[i].Name })
	c.rewriteSets = c.newIndex("rewrite set", "rewriteSets", len(g.RewriteSets), func(i int) string { return g.RewriteSets[i].Name })
	c.rateLimits = c.newIndex("rate limit", "rateLimits", len(g.RateLimits), func(i int) string { return g.RateLimits[i].Name })
	c.compressions = c.newIndex("compression policy", "compressionPolicies", len(g.CompressionPolicies), func(i int) string { return g.CompressionPolicies[i].Name })
	c.caches = c.newIndex("cache", "caches", len(g.Caches), func(i int) string { return g.Caches[i].Name })
	c.authentications = c.newIndex("authentication", "authentications", len(g.Authentications), func(i int) string { return g.Authentications[i].Name })
	c.corsPolicies = c.newIndex("CORS policy", "corsPolicies", len(g.CORSPolicies), func(i int) string { return g.CORSPolicies[i].Name })
	c.newIndex("rule", "rules", len(g.Rules), func(i int) string { return g.Rules[i].Name })
}

// refer looks a name up and marks what it names as used; -1 if there is none.
// Of a list that was refused as a whole, no name is missed.
func (r *report) refer(x *index, path, name string) int {
	if name == "" {
		return -1
	}
	i, ok := x.at[name]
	if !ok {
		if !r.full() && !r.failed(x.path) {
			r.errorf(path, "there is no %s %s%s", x.kind, quote(name), r.suggest(name, x.names))
		}
		return -1
	}
	x.used[i] = true
	return i
}

// checkAction checks where a rule or path rule sends requests.
func (c *checker) checkAction(path string, a Action, other string) {
	c.refer(&c.pools, path+".backendPool", a.BackendPool)
	c.refer(&c.settings, path+".backendSettings", a.BackendSettings)
	c.refer(&c.redirects, path+".redirect", a.Redirect)
	c.refer(&c.policies, path+".wafPolicy", a.WAFPolicy)
	c.checkCompressionOfAction(path, a)
	c.checkGuards(path, a.Authentication, a.CORSPolicy, true)
	c.checkRewriteOf(path, a, other)
	c.referRateLimits(path, a.RateLimits, other)
	c.checkWeighted(path, a)
	c.checkMirror(path, a, other)
	weighted := c.has(path+".backendPools") || len(a.BackendPools) > 0
	c.checkCacheOf(path, a, other)
	toPool := weighted || c.has(path+".backendPool") || c.has(path+".backendSettings") || a.BackendPool != "" || a.BackendSettings != ""
	toRedirect := c.has(path+".redirect") || a.Redirect != ""
	toMap := c.has(path+".pathMap") || other != ""
	switch {
	case c.failed(path):
		// No mapping: it says nothing about where to.
	case toPool && toRedirect, toPool && toMap, toRedirect && toMap:
		c.errorf(path, "goes to more than one place; keep one of %s", places(path))
	case !toPool && !toRedirect && !toMap:
		c.errorf(path, "goes nowhere; add one of %s", places(path))
	case weighted && (c.has(path+".backendPool") || a.BackendPool != ""):
		c.errorf(path, "has both backendPool and backendPools; keep one")
	case weighted:
		// checkWeighted has looked at it.
	case toPool && !c.given(path+".backendPool", a.BackendPool):
		c.errorf(path, "backendPool is missing; backendSettings need one")
	case toPool && !c.given(path+".backendSettings", a.BackendSettings):
		c.errorf(path, "backendSettings is missing; backendPool needs them")
	case toRedirect && !c.given(path+".redirect", a.Redirect), toMap && !c.given(path+".pathMap", other):
		c.errorf(path, "goes nowhere; name one of %s", places(path))
	}
}

// given says whether a reference has a name, or one that was refused.
func (r *report) given(path, name string) bool {
	return name != "" || r.failed(path)
}

func places(path string) string {
	const either = "backendPool with backendSettings, or redirect"
	if strings.HasPrefix(path, "rules") {
		return "pathMap, " + either
	}
	return either
}

// checkLimits warns when heldBytes was made so small that the bound for each
// client has no effect. Who wants none makes them the same.
func (c *checker) checkLimits() {
	path := "limits.heldBytes"
	if c.has(path + "PerClient") {
		path += "PerClient"
	}
	if l := &c.g.Limits; l.HeldBytes > 0 && l.HeldBytesPerClient > l.HeldBytes {
		c.warnf(path, "one client may take all of heldBytes: heldBytesPerClient, %s, is more", sizeText(l.HeldBytesPerClient))
	}
}

func (c *checker) checkRules() {
	c.rule = slices.Repeat([]int{-1}, len(c.g.Listeners))
	priorities := map[int]int{}
	for i, r := range c.g.Rules {
		path := fmt.Sprintf("rules[%d]", i)
		c.refer(&c.pathMaps, path+".pathMap", r.PathMap)
		c.checkAction(path, r.Action, r.PathMap)
		c.bind(path, i)
		first, taken := priorities[r.Priority]
		if taken && r.Priority != 0 {
			c.errorf(path+".priority", "priority %d is already that of rule %s; each needs its own", r.Priority, quote(c.g.Rules[first].Name))
			continue
		}
		priorities[r.Priority] = i
	}
}

// bind notes a listener's rule: Azure allows exactly one.
func (c *checker) bind(path string, i int) {
	l := c.refer(&c.listeners, path+".listener", c.g.Rules[i].Listener)
	if l < 0 {
		return
	}
	if first := c.rule[l]; first >= 0 {
		c.errorf(path+".listener", "listener %s already belongs to rule %s; a listener has one rule (use a path map)",
			quote(c.g.Rules[i].Listener), quote(c.g.Rules[first].Name))
		return
	}
	c.rule[l] = i
}

// checkPools refuses a target that is there twice: its health, its requests
// in flight and its affinity are one. A pool without targets is allowed, as in
// Azure, whose gateway answers 502 for it.
func (c *checker) checkPools() {
	for i, b := range c.g.BackendPools {
		if path := fmt.Sprintf("backendPools[%d]", i); len(b.Targets) == 0 && !c.failed(path) && !c.failed(path+".targets") {
			c.warnf(path+".targets", "backend pool %s is empty: every request that is sent to it is answered 502; add a target", quote(b.Name))
		}
		c.checkBalance(fmt.Sprintf("backendPools[%d]", i), &b)
		seen := make(map[Target]int, len(b.Targets))
		for j, t := range b.Targets {
			t.Weight, t.Priority = 0, 0
			if t == (Target{}) {
				continue // reported
			}
			path := fmt.Sprintf("backendPools[%d].targets", i)
			if first, ok := seen[t]; ok {
				c.errorf(fmt.Sprintf("%s[%d]", path, j), "is the same as targets[%d]; remove one (weight gives a target more requests)", first)
				continue
			}
			seen[t] = j
		}
	}
}

func (c *checker) checkSettings() {
	for i, b := range c.g.BackendSettings {
		path := fmt.Sprintf("backendSettings[%d]", i)
		if b.HostName != "" && b.PickHostFromBackend {
			c.errorf(path+".hostName", "excludes pickHostFromBackend; keep one")
		}
		if b.Probe != "off" {
			c.checkProbeOf(path+".probe", b)
		}
		if b.Affinity.Enabled && c.g.AffinitySecretFile == "" && !c.has("affinity.secretFile") {
			c.warnf(path+".affinity", "without affinity.secretFile several instances will not agree, and a restart pins every client anew")
		}
		c.checkResilience(path, &b)
		if !b.Protocol.Secure() && (b.TLS.CAFile != "" || b.TLS.ServerName != "" || !b.TLS.Verify || b.TLS.ClientCertificate != (Certificate{})) && c.has(path+".tls") {
			c.warnf(path+".tls", "has no effect with protocol: %s", map[bool]string{false: "http", true: "tcp"}[b.Protocol.Layer4()])
		}
	}
}

// checkProbeOf keeps Azure's rule that a probe speaks the settings' protocol.
// A tcp probe asks less and fits both, and so does grpc, which takes the
// settings' TLS.
func (c *checker) checkProbeOf(path string, b BackendSettings) {
	i := c.refer(&c.probes, path, b.Probe)
	if i < 0 {
		return
	}
	speaks := c.g.Probes[i].Protocol
	if b.Protocol.Layer4() {
		return // what stands behind it may be anything
	}
	if speaks == ProbeHTTPS && b.Protocol == BackendHTTP || speaks == ProbeHTTP && b.Protocol == BackendHTTPS {
		c.errorf(path, "probe %s has another protocol than these settings; use one with the same, or with tcp", quote(b.Probe))
	}
}

func (c *checker) checkProbes() {
	for i, p := range c.g.Probes {
		path := fmt.Sprintf("probes[%d]", i)
		if p.Name == "off" {
			c.errorf(path+".name", "off is what settings write for no probe; choose another name")
		}
		c.checkProbeKeys(path, p.Protocol)
	}
}

// checkProbeKeys refuses what a probe's protocol has no use for.
func (c *checker) checkProbeKeys(path string, protocol ProbeProtocol) {
	useless, why := []string{"service"}, "only a grpc probe asks about a service; remove it, or set protocol: grpc"
	switch protocol {
	case ProbeTCP:
		useless, why = []string{"host", "path", "service", "match"}, "a tcp probe only connects; remove it, or set protocol: http"
	case ProbeGRPC:
		useless, why = []string{"path", "match"}, "a grpc probe asks about a service; remove it, or set protocol: http"
	}
	for _, key := range useless {
		if c.has(path + "." + key) {
			c.errorf(path+"."+key, "%s", why)
		}
	}
}

// checkUse warns of what nothing refers to: a renamed reference often leaves
// one behind. Settings that no rule uses are not probed either.
func (c *checker) checkUse() {
	for _, u := range []struct {
		x    *index
		path string
	}{{&c.pools, "backendPools"}, {&c.settings, "backendSettings"}, {&c.probes, "probes"}, {&c.pathMaps, "pathMaps"}, {&c.redirects, "redirects"}, {&c.policies, "wafPolicies"}, {&c.rewriteSets, "rewriteSets"}, {&c.rateLimits, "rateLimits"}, {&c.compressions, "compressionPolicies"}, {&c.caches, "caches"},
		{&c.authentications, "authentications"}, {&c.corsPolicies, "corsPolicies"}} {
		for _, name := range u.x.names {
			if i := u.x.at[name]; !u.x.used[i] {
				c.warnf(fmt.Sprintf("%s[%d]", u.path, i), "%s %s is not used", u.x.kind, quote(name))
			}
		}
	}
}
