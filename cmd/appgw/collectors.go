package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/internal/telemetry"
	"gatehouse/proxy"
)

// registerCollectors adds what the process knows beside its counters.
func (a *app) registerCollectors() error {
	a.metrics.SetRetiredSnapshots(a.gateway.Retired)
	a.metrics.SetCertificates(a.certificates)
	if err := a.metrics.Register(a.access); err != nil {
		return err
	}
	if err := a.metrics.Register(a.wafLog); err != nil {
		return err
	}
	if err := a.metrics.Register(&wafCollector{a}); err != nil {
		return err
	}
	return a.metrics.Register(&backendCollector{a})
}

// certificates are those of the configuration in use.
func (a *app) certificates() []telemetry.CertificateExpiry {
	var all []telemetry.CertificateExpiry
	for _, s := range a.running().certs.Status() {
		all = append(all, telemetry.CertificateExpiry{Listener: s.Listener, Name: s.CertFile, NotAfter: s.NotAfter})
	}
	return all
}

// backendCollector shows the members of the pools in use.
type backendCollector struct{ a *app }

var backendLabels = []string{"pool", "settings", "backend"}

var (
	backendUp = prometheus.NewDesc("gatehouse_backend_up",
		"Whether the backend gets new requests: 1 if it is healthy or not tried yet.", backendLabels, nil)
	backendState = prometheus.NewDesc("gatehouse_backend_state",
		"The state of the backend: 1 for the state it is in.", append(backendLabels[:3:3], "state"), nil)
	backendInFlight = prometheus.NewDesc("gatehouse_backend_in_flight_requests",
		"Requests that the backend is working on.", backendLabels, nil)
	backendRequests = prometheus.NewDesc("gatehouse_backend_requests_total",
		"Requests sent to the backend, retries included.", backendLabels, nil)
	panics = prometheus.NewDesc("gatehouse_panics_total",
		"Requests that ran into a bug of the gateway's; each has a log line.", nil, nil)
	connectionsOpen = prometheus.NewDesc("gatehouse_client_connections",
		"Open client connections.", nil, nil)
)

func (c *backendCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{backendUp, backendState, backendInFlight, backendRequests, connectionsOpen, panics} {
		ch <- d
	}
}

func (c *backendCollector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(connectionsOpen, prometheus.GaugeValue, float64(c.a.gateway.Connections()))
	ch <- prometheus.MustNewConstMetric(panics, prometheus.CounterValue, float64(c.a.gateway.Panics()))
	for _, p := range c.a.running().poolStatus() {
		seen := map[string]bool{}
		for _, b := range p.Backends {
			if seen[b.Name] { // one that leaves while its successor is there
				continue
			}
			seen[b.Name] = true
			c.collect(ch, b, p.Pool, p.Settings, b.Name)
		}
	}
}

func (c *backendCollector) collect(ch chan<- prometheus.Metric, b proxy.BackendStatus, labels ...string) {
	up := 0.0
	if b.State == proxy.Healthy || b.State == proxy.Unknown {
		up = 1
	}
	ch <- prometheus.MustNewConstMetric(backendUp, prometheus.GaugeValue, up, labels...)
	ch <- prometheus.MustNewConstMetric(backendState, prometheus.GaugeValue, 1, append(labels[:3:3], b.State.String())...)
	ch <- prometheus.MustNewConstMetric(backendInFlight, prometheus.GaugeValue, float64(b.InFlight), labels...)
	ch <- prometheus.MustNewConstMetric(backendRequests, prometheus.CounterValue, float64(b.Requests), labels...)
}
