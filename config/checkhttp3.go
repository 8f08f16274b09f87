package config

import "crypto/tls"

// checkHTTP3 refuses what QUIC cannot do, and what early data would undo.
func (c *checker) checkHTTP3(path string, l *Listener) {
	if !l.HTTP3 {
		if l.HTTP3EarlyData {
			c.errorf(path+".http3EarlyData", "has no effect without http3: true; add it, or remove this")
		}
		return
	}
	policy := l.TLS.Policy
	switch {
	case c.failed(path + ".protocol"):
	case l.Protocol == ListenerHTTP:
		c.errorf(path+".http3", "only https listeners have it: QUIC is always encrypted; remove it, or set protocol: https")
	case policy.MaxVersion != 0 && policy.MaxVersion < tls.VersionTLS13 && !c.failed(path+".tls.policy"):
		c.errorf(path+".http3", "needs TLS 1.3, which the policy of the listener does not allow; use another policy")
	}
	if len(l.ProxyProtocol) > 0 {
		c.errorf(path+".http3", "cannot be used with proxyProtocol: nothing says who the client is on UDP; remove one")
	}
	if l.HTTP3EarlyData && l.TLS.ClientAuth.Mode != ClientAuthOff {
		c.errorf(path+".http3EarlyData", "cannot be used with tls.clientAuth: who the client is is not proven before the end of the handshake; remove one")
	}
}

// checkSharedHTTP3 compares a listener with another one of its address: what
// QUIC begins with is decided before a host name is known.
func (c *checker) checkSharedHTTP3(path string, l, first *Listener) {
	if l.HTTP3 != first.HTTP3 {
		c.errorf(path+".http3", "differs from that of listener %s, which has the same address; use the same in both", quote(first.Name))
	} else if l.HTTP3EarlyData != first.HTTP3EarlyData {
		c.errorf(path+".http3EarlyData", "differs from that of listener %s, which has the same address; use the same in both", quote(first.Name))
	}
}
