package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

func (c *checker) checkListeners() {
	if len(c.g.Listeners) == 0 && !c.failed("") && !c.failed("listeners") {
		c.warnf("", "there are no listeners; nothing is served")
	}
	for i := range c.g.Listeners {
		l, path := &c.g.Listeners[i], fmt.Sprintf("listeners[%d]", i)
		c.checkListenerTLS(path, l)
		c.checkHTTP3(path, l)
		c.checkClientAuth(path+".tls.clientAuth", l.TLS.ClientAuth)
		c.checkAccessRules(path, l)
		c.refer(&c.policies, path+".wafPolicy", l.WAFPolicy)
		c.referRateLimits(path, l.RateLimits, "")
		c.checkCompressionOf(path, l.Compression)
		c.checkGuards(path, l.Authentication, l.CORSPolicy, false)
		if l.Name != "" && c.rule[i] < 0 {
			c.warnf(path, "no rule has listener %s; it answers 404", quote(l.Name))
		}
	}
}

func (c *checker) checkListenerTLS(path string, l *Listener) {
	tls, kind := path+".tls", map[bool]string{false: "https", true: "tls"}[l.Protocol.Layer4()]
	switch {
	case c.failed(path + ".protocol"):
	case !l.Protocol.Secure() && c.has(tls):
		c.errorf(tls, "only %s listeners have it; remove it, or set protocol: %[1]s", kind)
	case l.Protocol.Secure() && len(l.TLS.Certificates) == 0 && !c.has(tls+".acme") && !c.failed(tls) && !c.failed(tls+".certificates"):
		c.errorf(tls, "%s listener needs a certificate; add certificates: [{certFile: FILE, keyFile: FILE}], or acme: {email: ADDRESS}", map[bool]string{false: "an https", true: "a tls"}[l.Protocol.Layer4()])
	}
}

// checkClientAuth refuses what would leave a client unverified whom the
// configuration seems to verify, and files that nobody reads.
func (c *checker) checkClientAuth(path string, a ClientAuth) {
	switch {
	case c.failed(path):
	case a.Mode == ClientAuthOff:
		if a.CAFile != "" || a.CRLFile != "" || a.OCSP != ClientOCSPOff || a.OCSPURL != "" || a.VerifyIssuerDN || a.Forward != ForwardNothing {
			c.errorf(path, "has no effect with mode: off; write mode: strict or passthrough, or remove the rest")
		}
	case a.CAFile == "" && a.Mode == ClientAuthStrict:
		c.errorf(path, "strict needs the CAs of clients; add caFile: FILE")
	case a.CAFile == "" && (a.CRLFile != "" || a.OCSP != ClientOCSPOff || a.VerifyIssuerDN):
		c.errorf(path, "crlFile, ocsp and verifyIssuerDN need caFile")
	case a.OCSP == ClientOCSPOff && a.OCSPURL != "":
		c.errorf(path+".ocspURL", "has no effect with ocsp: off; write ocsp: on or soft, or remove it")
	case a.CAFile == "" && a.Forward == ForwardRFC9440:
		c.errorf(path, "rfc9440 tells of verified certificates only; add caFile, or write forward: fields")
	case a.Mode == ClientAuthPassthrough && a.Forward == ForwardNothing:
		c.warnf(path, "passthrough without forward: backends learn nothing of the certificates")
	}
}

func (c *checker) checkAccessRules(path string, l *Listener) {
	seen := map[int]bool{}
	for j, a := range l.AccessRules {
		if a.Priority != 0 && seen[a.Priority] {
			c.errorf(fmt.Sprintf("%s.accessRules[%d].priority", path, j), "priority %d is taken; each access rule of a listener needs its own", a.Priority)
		}
		seen[a.Priority] = true
	}
}

// bound is one address with everything that listens on it.
type bound struct {
	at        netip.AddrPort
	path      string
	listeners []int
}

// addresses groups listeners by address, in the order of the file.
func (c *checker) addresses() []bound {
	var all []bound
	place := map[netip.AddrPort]int{}
	for i, l := range c.g.Listeners {
		if !l.Address.IsValid() {
			continue
		}
		at, ok := place[l.Address]
		if !ok {
			at = len(all)
			place[l.Address] = at
			all = append(all, bound{at: l.Address, path: fmt.Sprintf("listeners[%d].address", i)})
		}
		all[at].listeners = append(all[at].listeners, i)
	}
	return all
}

// checkAddresses checks what shares an address, and what would collide.
func (c *checker) checkAddresses() {
	all := c.addresses()
	for _, b := range all {
		c.checkShared(b)
	}
	all = append(all, c.operatorAddresses()...)
	// By port, those for all addresses first.
	slices.SortStableFunc(all, func(a, b bound) int {
		return cmp.Or(cmp.Compare(a.at.Port(), b.at.Port()), -compareBool(a.at.Addr().IsUnspecified(), b.at.Addr().IsUnspecified()))
	})
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && all[to].at.Port() == all[from].at.Port() {
			to++
		}
		c.checkOverlap(all[from:to])
		from = to
	}
}

// operatorAddresses are the addresses of admin and metrics.
func (c *checker) operatorAddresses() []bound {
	var out []bound
	for path, address := range map[string]string{"admin.address": c.g.Admin.Address, "metrics.address": c.g.Metrics.Address} {
		if a, err := netip.ParseAddrPort(address); err == nil {
			out = append(out, bound{at: a, path: path})
		}
	}
	slices.SortFunc(out, func(a, b bound) int { return strings.Compare(a.path, b.path) })
	return out
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// checkOverlap reports addresses of one port that take each other's
// connections: equal ones, and any beside an unspecified one.
func (c *checker) checkOverlap(same []bound) {
	if same[0].at.Port() == 0 {
		return
	}
	seen := map[netip.Addr]bound{}
	for _, b := range same {
		for _, rival := range []netip.Addr{b.at.Addr(), netip.IPv6Unspecified(), netip.IPv4Unspecified()} {
			a, ok := seen[rival]
			if ok && overlap(rival, b.at.Addr()) {
				way := "use another port"
				if len(a.listeners) > 0 && len(b.listeners) > 0 {
					way = "use the same address in both, or another port"
				}
				c.errorf(b.path, "%s overlaps with %s (%s); %s", written(b.at), written(a.at), a.path, way)
				break
			}
		}
		seen[b.at.Addr()] = b
	}
}

// written is an address as one writes it: ":8080" for all.
func written(a netip.AddrPort) string {
	if a.Addr() == netip.IPv6Unspecified() {
		return fmt.Sprintf(":%d", a.Port())
	}
	return a.String()
}

func overlap(a, b netip.Addr) bool {
	wide := netip.IPv6Unspecified() // ":8080" accepts IPv4 as well
	return a == b || a == wide || b == wide ||
		a.Is4() && b.Is4() && (a.IsUnspecified() || b.IsUnspecified())
}

// checkShared checks that listeners on one address agree on what is decided
// before a host name is known, and differ in their host names.
func (c *checker) checkShared(b bound) {
	first := b.listeners[0]
	basic := -1
	names := map[string]int{}
	for _, i := range b.listeners {
		l, path := &c.g.Listeners[i], fmt.Sprintf("listeners[%d]", i)
		if l.Protocol != c.g.Listeners[first].Protocol && !c.failed(path+".protocol") {
			c.errorf(path+".protocol", "listener %s has the same address and another protocol; use another port", quote(c.g.Listeners[first].Name))
		}
		if !samePrefixes(l.ProxyProtocol, c.g.Listeners[first].ProxyProtocol) {
			c.errorf(path, "proxyProtocol.accept differs from that of listener %s, which has the same address; use the same in both", quote(c.g.Listeners[first].Name))
		}
		c.checkSharedHTTP3(path, l, &c.g.Listeners[first])
		if len(l.HostNames) == 0 && !c.has(path+".hostNames") {
			if basic >= 0 {
				c.errorf(path, "listener %s has the same address and no hostNames either; add hostNames to one", quote(c.g.Listeners[basic].Name))
			}
			basic = i
		}
		c.checkNames(path, i, names)
	}
}

// samePrefixes compares without regard to order.
func samePrefixes(a, b []netip.Prefix) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, netip.Prefix.Compare)
	slices.SortFunc(b, netip.Prefix.Compare)
	return slices.Equal(a, b)
}

func (c *checker) checkNames(path string, i int, names map[string]int) {
	for j, h := range c.g.Listeners[i].HostNames {
		if h == "" {
			continue
		}
		if other, ok := names[h]; ok {
			c.errorf(fmt.Sprintf("%s.hostNames[%d]", path, j), "%s is already a host name of listener %s on this address; remove one", quote(h), quote(c.g.Listeners[other].Name))
			continue
		}
		names[h] = i
	}
}
