package probe

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"gatehouse/config"
	"gatehouse/health"
)

// Prober makes the checkers of a traffic director's endpoints. The zero value
// works.
type Prober struct {
	// Resolver finds the addresses of endpoints that are names, anew for each
	// probe and within its timeout; nil: the system's.
	Resolver *net.Resolver
	// Roots are the authorities for monitors that verify certificates; nil:
	// the system's.
	Roots *x509.CertPool
}

// MonitorOf is how an endpoint of p is probed: its own monitor, else that of
// the profile.
func MonitorOf(p config.Profile, e config.Endpoint) config.Monitor {
	if e.Monitor != nil {
		return *e.Monitor
	}
	return p.Monitor
}

// Monitored tells whether an endpoint is probed at all. A nested profile is as
// well as its own endpoints are; one that is always served, or whose monitor's
// protocol is none, is taken to be well.
func Monitored(m config.Monitor, e config.Endpoint) bool {
	return e.Profile == "" && !e.AlwaysServe && m.Protocol != config.MonitorNone
}

// MonitorPolicy is how often a monitor asks and what it takes to change a
// verdict: the failure after those that are tolerated degrades an endpoint
// (Azure: toleratedNumberOfFailures + 1).
func MonitorPolicy(m config.Monitor) health.Policy {
	return health.Policy{
		Interval:           m.Interval,
		Timeout:            m.Timeout,
		Steady:             true,
		UnhealthyThreshold: m.ToleratedFailures + 1,
		HealthyThreshold:   m.Successes,
		HoldDown:           m.HoldDown,
	}
}

// MonitorSubject says whom the verdicts on an endpoint are about. The key is
// the same after a reload as long as the endpoint's names, its target and what
// is asked of it are; intervals and thresholds are no part of it. So a new
// endpoint begins with what is known of the target from others: to begin it
// without, call Reset on the watch.
func MonitorSubject(p config.Profile, e config.Endpoint) health.Subject {
	m := MonitorOf(p, e)
	address, way := monitorAddress(m, e), monitorWay(m)
	return health.Subject{
		Key:     fmt.Sprintf("%q %q %q %q %s", p.Zone, p.Name, e.Name, address, way),
		Address: address,
		Way:     way,
	}
}

// monitorWay stands for what is asked and what counts as well: a digest,
// because header fields may be secrets and keys are shown.
func monitorWay(m config.Monitor) string {
	text := fmt.Sprintf("%d %q %q %v %t %q", m.Protocol, m.Path, m.Headers, m.ExpectedStatus, m.VerifyTLS, m.ServerName)
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("%x", sum[:12])
}

// monitorAddress is host:port.
func monitorAddress(m config.Monitor, e config.Endpoint) string {
	return net.JoinHostPort(endpointHost(e), strconv.Itoa(m.Port))
}

// endpointHost is the name or the address of an endpoint.
func endpointHost(e config.Endpoint) string {
	if e.Address.IsValid() {
		return e.Address.String()
	}
	return e.Host
}

// Checker returns what asks e as m says: MonitorOf's, as package config has
// checked it. It is an error if the endpoint is not [Monitored], or if it or
// the monitor cannot be asked.
func (p Prober) Checker(m config.Monitor, e config.Endpoint) (health.Checker, error) {
	c, err := p.checker(m, e)
	if err != nil {
		return nil, fmt.Errorf("endpoint %q: %w", e.Name, err)
	}
	return c, nil
}

func (p Prober) checker(m config.Monitor, e config.Endpoint) (health.Checker, error) {
	switch {
	case !Monitored(m, e):
		return nil, errors.New("is not probed")
	case endpointHost(e) == "":
		return nil, errors.New("has neither an address nor a name")
	case m.Port < 1 || m.Port > 65535:
		return nil, fmt.Errorf("port %d is none", m.Port)
	}
	switch m.Protocol {
	case config.MonitorTCP:
		return &TCP{Network: "tcp", Address: monitorAddress(m, e), Dial: dialNames(p.Resolver)}, nil
	case config.MonitorHTTP, config.MonitorHTTPS:
		return p.http(m, e)
	}
	return nil, fmt.Errorf("monitor protocol %d is unknown", m.Protocol)
}

// http makes the checker for http and https. The Host field has no port, like
// that of Azure.
func (p Prober) http(m config.Monitor, e config.Endpoint) (*HTTP, error) {
	target, err := parsePath(m.Path)
	if err != nil {
		return nil, err
	}
	h := &HTTP{
		Network: "tcp",
		Address: monitorAddress(m, e),
		Host:    hostField(endpointHost(e)),
		Target:  target,
		Dial:    dialNames(p.Resolver),
		Status:  m.ExpectedStatus,
	}
	if len(h.Status) == 0 {
		h.Status = []config.StatusRange{{From: 200, To: 200}}
	}
	for _, f := range m.Headers {
		if strings.EqualFold(f.Name, "Host") {
			h.Host = f.Value
		} else {
			h.Header = append(h.Header, f)
		}
	}
	if m.Protocol == config.MonitorHTTPS {
		verify := &tls.Config{RootCAs: p.Roots, InsecureSkipVerify: !m.VerifyTLS}
		h.TLS = forName(verify, first(m.ServerName, endpointHost(e)))
	}
	return h, nil
}
