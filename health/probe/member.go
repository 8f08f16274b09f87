package probe

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"gatehouse/config"
	"gatehouse/health"
)

// MemberPolicy is how often a load balancer's probe asks and what it takes to
// change a verdict.
func MemberPolicy(p *config.L4Probe) health.Policy {
	return health.Policy{
		Interval:           p.Interval,
		Timeout:            p.Timeout,
		UnhealthyThreshold: p.Threshold,
		HealthyThreshold:   p.Threshold,
		RefusedAtOnce:      true,
		Damping:            p.Damping,
	}
}

// MemberSubject says whom the verdicts on a member are about. The key is the
// same after a reload as long as the probe's name, the address that it asks
// and what it asks are.
func MemberSubject(p *config.L4Probe, target netip.AddrPort) health.Subject {
	text := fmt.Sprintf("%d %q %q %q %v %v", p.Protocol, p.Path, p.Host, p.Headers, p.ExpectedStatus, p.Source)
	sum := sha256.Sum256([]byte(text))
	way := fmt.Sprintf("%x", sum[:12])
	return health.Subject{Key: fmt.Sprintf("%q %s %s", p.Name, target, way), Address: target.String(), Way: way}
}

// MemberChecker returns what asks a member as p says, which package config
// has checked. Certificates are not verified (Azure: a self-signed one will
// do).
func MemberChecker(p *config.L4Probe, target netip.AddrPort) (health.Checker, error) {
	dial := dialFrom(p.Source)
	if p.Protocol == config.L4ProbeTCP {
		return &TCP{Network: "tcp", Address: target.String(), Dial: dial}, nil
	}
	path, err := parsePath(p.Path)
	if err != nil {
		return nil, fmt.Errorf("probe %q: %w", p.Name, err)
	}
	host := p.Host
	if host == "" {
		host = hostField(target.Addr().String())
	}
	h := &HTTP{Network: "tcp", Address: target.String(), Host: host, Target: path, Dial: dial, Status: p.ExpectedStatus}
	for _, f := range p.Headers {
		if strings.EqualFold(f.Name, "Host") {
			h.Host = f.Value
		} else {
			h.Header = append(h.Header, f)
		}
	}
	if p.Protocol == config.L4ProbeHTTPS {
		name, _, err := net.SplitHostPort(h.Host)
		if err != nil {
			name = strings.Trim(h.Host, "[]")
		}
		h.TLS = forName(&tls.Config{InsecureSkipVerify: true}, name)
	}
	return h, nil
}

// dialFrom connects from an address of this machine; the zero value: any.
func dialFrom(source netip.Addr) DialFunc {
	if !source.IsValid() {
		return nil
	}
	local := net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	return (&net.Dialer{LocalAddr: local}).DialContext
}
