package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// maxManaged bounds the certificates that are managed: each has its timer, and
// authorities limit how many may be asked for.
const maxManaged = 1000

// checkACME checks that there are names to ask for, and a way to prove that
// they are ours.
func (c *checker) checkACME() {
	managed := 0
	for i := range c.g.Listeners {
		l := &c.g.Listeners[i]
		a, path := l.TLS.ACME, fmt.Sprintf("listeners[%d].tls.acme", i)
		if a == nil || !l.Protocol.Secure() {
			continue
		}
		c.checkACMEDNS(path, a)
		c.checkACMEChallenges(path, a)
		if len(l.HostNames) == 0 && !c.has(fmt.Sprintf("listeners[%d].hostNames", i)) {
			c.errorf(path, "needs hostNames, the names to get certificates for; add them to the listener")
		}
		for j, host := range l.HostNames {
			c.checkManagedName(fmt.Sprintf("listeners[%d].hostNames[%d]", i, j), host, a)
		}
		if managed += len(l.HostNames); managed > maxManaged && managed-len(l.HostNames) <= maxManaged {
			c.errorf(path, "at most %d names can be managed; give the others certificates", maxManaged)
		}
	}
}

func (c *checker) checkACMEChallenges(path string, a *ACME) {
	if !a.Challenges.HTTP01 || a.Challenges.TLSALPN01 || a.Challenges.DNS01 {
		return
	}
	for i := range c.g.Listeners {
		if c.g.Listeners[i].Protocol == ListenerHTTP {
			return
		}
	}
	c.errorf(path+".challenges", "http-01 is answered by http listeners, and there is none; add one on port 80, or tls-alpn-01")
}

func (c *checker) checkACMEDNS(path string, a *ACME) {
	d := a.DNS
	switch {
	case c.failed(path + ".dns"):
	case a.Challenges.DNS01 && !c.has(path+".dns"):
		c.errorf(path, "dns-01 needs dns, where to set records; add dns: {server: HOST:PORT}")
	case !a.Challenges.DNS01 && c.has(path+".dns"):
		c.errorf(path+".dns", "has no effect without dns-01; add it to challenges")
	case (d.KeyName == "") != (d.KeyFile == "") && !c.failed(path+".dns.keyName") && !c.failed(path+".dns.keyFile"):
		c.errorf(path+".dns", "keyName and keyFile go together; add the other one")
	case d.Server != "" && d.KeyName == "":
		c.warnf(path+".dns", "updates are not signed; give them a key with keyName and keyFile")
	}
}

// checkManagedName refuses what no authority can certify by these challenges.
func (c *checker) checkManagedName(path, host string, a *ACME) {
	rest, wild := strings.CutPrefix(host, "*.")
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	switch {
	case host == "": // refused
	case strings.ContainsAny(rest, "*?"):
		c.errorf(path, "%s is not a name that a certificate can have; with tls.acme it must be exact, or begin with *. and have no other wildcard", quote(host))
	case err == nil:
		c.errorf(path, "%s is an address; tls.acme gets certificates for names", host)
	case wild && !a.Challenges.DNS01:
		c.errorf(path, "%s needs dns-01 (RFC 8555 8.4), which is not among tls.acme.challenges", quote(host))
	}
}
