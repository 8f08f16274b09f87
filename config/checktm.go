package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// tmChecker is one pass over a whole traffic manager: what no single key can
// tell. Values that were already refused are zero here and draw no second
// error.
type tmChecker struct {
	*report
	t *TrafficManager

	zones, profiles, keys index
}

// checkTrafficManager reports what is wrong and what is suspicious between
// keys.
func checkTrafficManager(t *TrafficManager, r *report) {
	c := &tmChecker{report: r, t: t}
	c.zones = c.newIndex("zone", "zones", len(t.Zones), func(i int) string { return t.Zones[i].Name })
	c.profiles = c.newIndex("profile", "profiles", len(t.Profiles), func(i int) string { return t.Profiles[i].Name })
	c.keys = c.newIndex("TSIG key", "tsig", len(t.TSIG), func(i int) string { return t.TSIG[i].Name })
	c.checkListen()
	c.checkZones()
	for i := range t.Profiles {
		if c.full() {
			return // nobody will read what else is wrong
		}
		c.checkProfile(fmt.Sprintf("profiles[%d]", i), &t.Profiles[i])
	}
	c.checkNesting()
	c.checkUse()
}

// socket is one thing that is bound to an address.
type socket struct {
	at   netip.AddrPort
	udp  bool
	path string
	what string // for messages
}

// checkListen checks each listener, and what would collide when it is bound.
func (c *tmChecker) checkListen() {
	var bound []socket
	for path, address := range map[string]string{"admin.address": c.t.Admin.Address, "metrics.address": c.t.Metrics.Address} {
		if a, err := netip.ParseAddrPort(address); err == nil {
			bound = append(bound, socket{at: a, path: path, what: path})
		}
	}
	slices.SortFunc(bound, func(a, b socket) int { return strings.Compare(a.path, b.path) })
	if len(bound) == 2 {
		c.checkSocket(bound[:1], bound[1])
	}
	for i := range c.t.Listen {
		path := fmt.Sprintf("listen[%d]", i)
		c.checkListener(path, &c.t.Listen[i])
		sockets := c.sockets(path, &c.t.Listen[i])
		for _, s := range sockets {
			c.checkSocket(bound, s)
		}
		bound = append(bound, sockets...)
	}
}

// sockets are those of a listener: one for UDP, and one for TCP and what is
// on top of it.
func (c *tmChecker) sockets(path string, l *DNSListener) (out []socket) {
	udp := slices.Contains(l.Protocols, DNSOverUDP)
	tcp := slices.ContainsFunc(l.Protocols, func(p DNSProtocol) bool { return p > DNSOverUDP })
	for _, s := range []socket{{l.Address, true, path + ".address", path + " over UDP"}, {l.Address, false, path + ".address", path + " over TCP"}} {
		if s.udp && udp || !s.udp && tcp {
			out = append(out, s)
		}
	}
	return out
}

// checkSocket reports the first of the sockets that takes what s would.
func (c *tmChecker) checkSocket(bound []socket, s socket) {
	for _, b := range bound {
		if s.udp == b.udp && s.at.Port() == b.at.Port() && s.at.Port() != 0 && s.at.IsValid() && overlap(s.at.Addr(), b.at.Addr()) {
			c.errorf(s.path, "%s overlaps with %s (%s); use another port", written(s.at), written(b.at), b.what)
			return
		}
	}
}

func (c *tmChecker) checkListener(path string, l *DNSListener) {
	protocols := path + ".protocols"
	if c.failed(path) || c.failed(protocols) || slices.Contains(l.Protocols, 0) {
		return
	}
	streams, secure, doh := 0, false, false
	for i, p := range l.Protocols {
		if slices.Contains(l.Protocols[:i], p) {
			c.errorf(fmt.Sprintf("%s[%d]", protocols, i), "is there twice; remove one")
			return
		}
		if p != DNSOverUDP {
			streams++
		}
		secure = secure || p == DNSOverTLS || p == DNSOverHTTPS
		doh = doh || p == DNSOverHTTPS
	}
	if streams > 1 {
		c.errorf(protocols, "tcp, dot and doh cannot share a port; make a listener for each, such as :53, :853 and :443")
	}
	if !doh && c.has(path+".path") {
		c.errorf(path+".path", "only doh has a path; remove it, or add doh to protocols")
	}
	tls := path + ".tls"
	switch {
	case !secure && c.has(tls):
		c.errorf(tls, "only dot and doh have it; remove it, or add one of them to protocols")
	case secure && len(l.TLS.Certificates) == 0 && !c.failed(tls) && !c.failed(tls+".certificates"):
		c.errorf(tls, "dot and doh need a certificate; add certificates: [{certFile: FILE, keyFile: FILE}]")
	}
}

func (c *tmChecker) checkZones() {
	for i := range c.t.Zones {
		z, path := &c.t.Zones[i], fmt.Sprintf("zones[%d]", i)
		if len(z.NameServers) == 0 && z.File == "" && !c.failed(path) && !c.failed(path+".nameServers") && !c.failed(path+".file") {
			c.errorf(path, "needs nameServers, such as [ns1.%s], or a file that has them", zoneText(z.Name))
		}
		for j, ns := range z.NameServers {
			if ns != "" && slices.Contains(z.NameServers[:j], ns) {
				c.errorf(fmt.Sprintf("%s.nameServers[%d]", path, j), "%s is there twice; remove one", quote(ns))
			}
		}
		for j, key := range z.TransferKeys {
			c.refer(&c.keys, fmt.Sprintf("%s.transfer.keys[%d]", path, j), key)
		}
		if s := z.DNSSEC; s.Enabled && s.KeyFile == "" && !c.failed(path+".dnssec.keyFile") {
			c.errorf(path+".dnssec", "needs keyFile, where the key is or is to be made")
		}
	}
}

// zoneText is a zone in a proposal.
func zoneText(name string) string {
	if isDNSName(name) != nil {
		return "example"
	}
	return name
}

// checkUse warns of what nothing refers to.
func (c *tmChecker) checkUse() {
	for i, z := range c.t.Zones {
		if z.Name != "" && !c.zones.used[i] && z.File == "" {
			c.warnf(fmt.Sprintf("zones[%d]", i), "zone %s has neither profiles nor a file", quote(z.Name))
		}
	}
	for i, k := range c.t.TSIG {
		if k.Name != "" && !c.keys.used[i] {
			c.warnf(fmt.Sprintf("tsig[%d]", i), "TSIG key %s is not used", quote(k.Name))
		}
	}
	for i, p := range c.t.Profiles {
		path := fmt.Sprintf("profiles[%d]", i)
		if p.Zone == "" && p.Name != "" && !c.profiles.used[i] && !c.failed(path+".zone") {
			c.warnf(path, "profile %s has no zone and no profile nests it: it answers nothing", quote(p.Name))
		}
	}
}

// longTTL is how long a TTL may be before it is worth a word.
const longTTL = 5 * time.Minute

func (c *tmChecker) checkProfile(path string, p *Profile) {
	c.checkProfileName(path, p)
	if p.TTL > longTTL {
		c.warnf(path+".ttl", "clients keep an answer for up to %s after an endpoint has failed", short(p.TTL))
	}
	if p.DegradedTTL > p.TTL && !c.failed(path+".ttl") {
		c.errorf(path+".degradedTTL", "%s is more than ttl, %s; it can only shorten it", short(p.DegradedTTL), short(p.TTL))
	}
	if p.RecordType == RecordCNAME && (p.Routing == RouteMultiValue || p.Flatten || p.Label == "@") {
		c.errorf(path+".recordType", "answers here are addresses (multiValue, flatten and the name @ see to that); use a, aaaa or any")
	}
	c.checkEffect(path, p)
	c.checkMonitor(path+".monitor", &p.Monitor)
	if len(p.Endpoints) == 0 && !c.failed(path) && !c.failed(path+".endpoints") {
		c.warnf(path, "profile %s has no endpoints: it answers nothing", quote(p.Name))
	}
	c.checkEndpoints(path, p)
}

// checkEffect warns of keys that only one method looks at.
func (c *tmChecker) checkEffect(path string, p *Profile) {
	if p.Routing == 0 {
		return // missing or refused
	}
	for _, k := range []struct {
		key string
		by  RoutingMethod
	}{{"maxReturn", RouteMultiValue}, {"sticky", RouteWeighted}, {"onUnhealthy", RouteGeographic}, {"unmatched", RouteSubnet}} {
		if p.Routing != k.by && c.has(path+"."+k.key) {
			c.warnf(path+"."+k.key, "has no effect with routing: %s, only with %s", p.Routing, k.by)
		}
	}
}

// checkProfileName checks the name that the profile has in DNS.
func (c *tmChecker) checkProfileName(path string, p *Profile) {
	if p.Label == "@" && p.Zone == "" && !c.failed(path+".zone") {
		c.errorf(path+".name", "@ is the zone itself; add zone, or choose another name")
	}
	if c.refer(&c.zones, path+".zone", p.Zone) < 0 || p.Label == "" || p.Label == "@" {
		return
	}
	full := fullName(p)
	if len(full) > 253 {
		c.errorf(path+".name", "makes a name of %d characters with the zone; at most 253 are possible", len(full))
		return
	}
	for rest := full; rest != p.Zone; {
		if _, ok := c.zones.at[rest]; ok {
			c.errorf(path+".name", "%s is in zone %s, which is nearer; set zone: %s", full, rest, rest)
			return
		}
		_, after, ok := strings.Cut(rest, ".")
		if !ok {
			return
		}
		rest = after
	}
}

// fullName is a profile's name in DNS, empty if it has none.
func fullName(p *Profile) string {
	switch {
	case p.Zone == "" || p.Label == "":
		return ""
	case p.Label == "@":
		return p.Zone
	}
	return p.Label + "." + p.Zone
}
