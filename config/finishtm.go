package config

import (
	"net/netip"
	"time"
)

// finishTrafficManager fills in the defaults that depend on another key.
func finishTrafficManager(t *TrafficManager, r *report) {
	if len(t.Listen) == 0 && !r.has("listen") {
		t.Listen = []DNSListener{{
			Address:   netip.AddrPortFrom(netip.IPv6Unspecified(), 53),
			Protocols: []DNSProtocol{DNSOverUDP, DNSOverTCP},
			Path:      "/dns-query",
		}}
	}
	for i := range t.Zones {
		if z := &t.Zones[i]; z.Hostmaster == "" && z.Name != "" {
			z.Hostmaster = "hostmaster." + z.Name
		}
	}
	for i := range t.Profiles {
		finishProfile(&t.Profiles[i])
	}
}

func finishProfile(p *Profile) {
	finishMonitor(&p.Monitor)
	if p.Label == "" {
		p.Label = p.Name
	}
	last := 0
	for i := range p.Endpoints {
		last = max(last, p.Endpoints[i].Priority)
	}
	for i := range p.Endpoints {
		e := &p.Endpoints[i]
		if e.Priority == 0 {
			last++
			e.Priority = last
		}
		if e.Monitor != nil {
			finishMonitor(e.Monitor)
		}
	}
}

// finishMonitor leaves a protocol that was refused alone.
func finishMonitor(m *Monitor) {
	const most = 10 * time.Second // Azure's default; 9 seconds at an interval of 10
	switch {
	case m.Timeout != 0:
	case m.Interval <= most:
		m.Timeout = m.Interval * 9 / 10
	default:
		m.Timeout = most
	}
	switch m.Protocol {
	case MonitorHTTP:
		m.Port = defaultPort(m.Port, 80)
	case MonitorHTTPS:
		m.Port = defaultPort(m.Port, 443)
	case MonitorTCP, MonitorNone:
		m.Path = ""
	}
}

func defaultPort(port, def int) int {
	if port == 0 {
		return def
	}
	return port
}
