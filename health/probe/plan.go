// Package probe has the checkers of package health: what it means to ask over
// HTTP, HTTPS or TCP whether something is well.
//
// A [Plan] is compiled once from configuration and gives each backend of a
// gateway its checker; a [Prober] gives each endpoint of a traffic director its
// own. Probes reuse no connection: a probe that succeeds on an old
// connection says nothing about whether a new one would be accepted.
package probe

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/config"
	"gatehouse/health"
)

// maxPattern bounds the text looked for in a body, in characters (Azure).
const maxPattern = 4090

// defaultHost is the Host field of the default probe (Azure). It is never
// used as SNI.
const defaultHost = "127.0.0.1"

// Subject is what is probed: a backend.
type Subject struct {
	Addr   netip.AddrPort
	Unix   string // path of a unix socket, instead of Addr
	Target string // configured host, a name or an IP address; empty for a unix socket
}

// Plan says how the backends of one pool and settings are probed.
type Plan struct {
	probe    config.Probe
	settings config.BackendSettings
	tls      *tls.Config
	target   *url.URL // path and query
}

// Default is the probe of settings that name none (Azure): GET / with Host
// 127.0.0.1 over the settings' protocol, every 30s, healthy on 200-399,
// unhealthy after 3 failures; with tcp and tls it is enough to connect.
func Default(s config.BackendSettings) config.Probe {
	p := config.Probe{
		Host:               defaultHost,
		Path:               "/",
		Interval:           30 * time.Second,
		Timeout:            30 * time.Second,
		UnhealthyThreshold: 3,
		HealthyThreshold:   1,
	}
	switch {
	case s.Protocol.Layer4():
		return config.Probe{Protocol: config.ProbeTCP, Interval: p.Interval, Timeout: p.Timeout,
			UnhealthyThreshold: p.UnhealthyThreshold, HealthyThreshold: p.HealthyThreshold}
	case s.Protocol == config.BackendHTTPS:
		p.Protocol = config.ProbeHTTPS
	}
	return p
}

// Compile makes the plan for a probe; nil means the default probe. verify
// says whom https backends must prove to be (roots, or InsecureSkipVerify);
// the name is for the probe to choose. If verify is nil, the system's roots
// decide.
func Compile(p *config.Probe, s config.BackendSettings, verify *tls.Config) (*Plan, error) {
	plan := &Plan{settings: s, tls: verify}
	if p != nil {
		plan.probe = *p
	} else {
		plan.probe = Default(s)
	}
	if err := plan.compile(); err != nil {
		return nil, fmt.Errorf("probe %q: %w", plan.probe.Name, err)
	}
	return plan, nil
}

func (p *Plan) compile() error {
	var err error
	if p.target, err = parsePath(p.probe.Path); err != nil {
		return err
	}
	if n := utf8.RuneCountInString(p.probe.Match.Body); n > maxPattern {
		return fmt.Errorf("the text to look for in the body has %d characters, more than %d", n, maxPattern)
	}
	if len(p.probe.Match.Status) == 0 {
		p.probe.Match.Status = []config.StatusRange{{From: 200, To: 399}}
	}
	if p.tls == nil {
		p.tls = &tls.Config{}
	}
	return nil
}

// parsePath reads a path with or without a query; empty is /.
func parsePath(path string) (*url.URL, error) {
	if path == "" {
		path = "/"
	}
	target, err := url.ParseRequestURI(path)
	if err != nil || !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("path %q is not a path", path)
	}
	return target, nil
}

// Policy is how often to probe and what it takes to change a verdict.
func (p *Plan) Policy() health.Policy {
	return health.Policy{
		Interval:           p.probe.Interval,
		Timeout:            p.probe.Timeout,
		UnhealthyThreshold: p.probe.UnhealthyThreshold,
		HealthyThreshold:   p.probe.HealthyThreshold,
		StartUnhealthy:     p.probe.StartUnhealthy,
	}
}

// Way stands for what is asked of backends and what counts as well, less what
// the settings have a part in: the same for probes that differ in their names
// and policies only.
func (p *Plan) Way() string {
	q := &p.probe
	return fmt.Sprintf("%v %q %q %q %d %v %q", q.Protocol, q.Host, p.target, q.Service, q.Port, q.Match.Status, q.Match.Body)
}

// Checker returns the checker for one backend.
func (p *Plan) Checker(s Subject) health.Checker {
	network, address := "tcp", s.Addr.String()
	if p.probe.Port != 0 {
		address = netip.AddrPortFrom(s.Addr.Addr(), uint16(p.probe.Port)).String()
	}
	if s.Unix != "" {
		network, address = "unix", s.Unix
	}
	if p.probe.Protocol == config.ProbeTCP {
		return &TCP{Network: network, Address: address}
	}
	if p.probe.Protocol == config.ProbeGRPC {
		return p.grpc(s, network, address)
	}
	h := &HTTP{
		Network: network,
		Address: address,
		Host:    p.host(s),
		Target:  p.target,
		Status:  p.probe.Match.Status,
		Body:    p.probe.Match.Body,
	}
	// A port of the probe's own is not where HTTP/2 was configured.
	h.HTTP2 = p.settings.HTTP2 && p.probe.Port == 0
	if p.probe.Protocol == config.ProbeHTTPS {
		h.TLS = p.tlsFor(s)
		if h.HTTP2 {
			h.TLS.NextProtos = []string{http2Protocol, "http/1.1"}
		}
	}
	return h
}

// grpc asks a backend over TLS if the settings' requests go over it.
func (p *Plan) grpc(s Subject, network, address string) health.Checker {
	g := &GRPC{Network: network, Address: address, Authority: p.host(s), Service: p.probe.Service}
	if p.settings.Protocol.Secure() {
		g.TLS = p.tlsFor(s)
		g.TLS.NextProtos = []string{http2Protocol}
	}
	return g
}

// host is the Host field: the probe's, else the settings', else the target's.
func (p *Plan) host(s Subject) string {
	return hostField(first(p.probe.Host, p.settings.HostName, s.Target, "localhost"))
}

// hostField is a name or an address as a Host field has it: an IPv6 address in
// brackets (RFC 9110 7.2).
func hostField(host string) string {
	if strings.Contains(host, ":") && net.ParseIP(host) != nil {
		return "[" + host + "]"
	}
	return host
}

// tlsFor is the TLS configuration for one backend. The name is the probe's
// own, else that of live traffic, so that a probe fails where traffic would.
// The default probe's Host is no name.
func (p *Plan) tlsFor(s Subject) *tls.Config {
	return forName(p.tls, first(serverName(p.probe.Host), p.settings.TLSName(s.Target), addrName(s.Addr)))
}

// addrName is an address as a name, empty for none.
func addrName(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.Addr().String()
}

// serverName is a Host without its port, and empty if it is an address.
func serverName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return ""
	}
	return host
}

// first is the first text that is not empty.
func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
