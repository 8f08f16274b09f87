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
	if err := a.metrics.Register(&cacheCollector{a}); err != nil {
		return err
	}
	if err := a.metrics.Register(authCollector{a}); err != nil {
		return err
	}
	if err := a.metrics.Register(listCollector{a}); err != nil {
		return err
	}
	if err := a.metrics.Register(limitCollector{a}); err != nil {
		return err
	}
	if err := a.metrics.Register(mirrorCollector{a}); err != nil {
		return err
	}
	if err := a.metrics.Register(compressionCollector{a.compression}); err != nil {
		return err
	}
	if err := a.metrics.Register(stapleCollector{a}); err != nil {
		return err
	}
	if err := a.metrics.Register(acmeCollector{a}); err != nil {
		return err
	}
	return a.metrics.Register(&backendCollector{a})
}

// listCollector shows when revocation lists end: from then on, clients of
// their CAs are refused.
type listCollector struct{ a *app }

var listExpiry = prometheus.NewDesc("gatehouse_crl_expiry_timestamp_seconds",
	"When the revocation list of a CA of clients ends; after that, certificates that it issued are refused.", []string{"listener", "ca"}, nil)

func (c listCollector) Describe(ch chan<- *prometheus.Desc) { ch <- listExpiry }

func (c listCollector) Collect(ch chan<- prometheus.Metric) {
	for listener, auth := range c.a.running().clients {
		seen := map[string]bool{}
		for _, l := range auth.Lists() {
			if !seen[l.CA] { // CAs of one name and several keys: the first
				seen[l.CA] = true
				ch <- prometheus.MustNewConstMetric(listExpiry, prometheus.GaugeValue, float64(l.NextUpdate.Unix()), listener, l.CA)
			}
		}
	}
}

// certificates are those of the configuration in use.
func (a *app) certificates() []telemetry.CertificateExpiry {
	var all []telemetry.CertificateExpiry
	for _, s := range a.running().certs.Status() {
		all = append(all, telemetry.CertificateExpiry{Listener: s.Listener, Name: s.CertFile, NotAfter: s.NotAfter})
	}
	return append(all, a.managedCertificates()...)
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
	backendLimit = prometheus.NewDesc("gatehouse_backend_limit",
		"How many requests the backend may be working on: maxConnections, or the adaptive limit.", backendLabels, nil)
	backendEjections = prometheus.NewDesc("gatehouse_backend_ejections_total",
		"Times the backend was taken out of use after failures of requests.", backendLabels, nil)
	backendWeight = prometheus.NewDesc("gatehouse_backend_weight",
		"What the backend's weight counts now: less in slow start, 0 if the balancer picks others only.", backendLabels, nil)
	backendResponseAverage = prometheus.NewDesc("gatehouse_backend_response_average_seconds",
		"The response time (peak EWMA) that balance: ewma goes by.", backendLabels, nil)
	poolPanic = prometheus.NewDesc("gatehouse_pool_panic",
		"Whether all backends of the pool are used because too few are healthy.", backendLabels[:2], nil)
	poolOverBudget = prometheus.NewDesc("gatehouse_pool_retries_over_budget_total",
		"Retries and hedges that were not made because the pool's budget for them was spent.", backendLabels[:2], nil)
	poolHedges = prometheus.NewDesc("gatehouse_pool_hedges_total",
		"Requests that were sent to a second member because the first took long.", backendLabels[:2], nil)
	poolHedgesWon = prometheus.NewDesc("gatehouse_pool_hedges_won_total",
		"Requests that a second member answered first.", backendLabels[:2], nil)
	queueWaiting = prometheus.NewDesc("gatehouse_pool_queue_waiting_requests",
		"Requests that wait for a member of the pool.", backendLabels[:2], nil)
	queueRefused = prometheus.NewDesc("gatehouse_pool_queue_full_total",
		"Requests that were refused because the queue of the pool was full.", backendLabels[:2], nil)
	queueEnded = prometheus.NewDesc("gatehouse_pool_queue_ended_total",
		"Requests that waited in the queue of the pool, by how that ended.", append(backendLabels[:2:2], "outcome"), nil)
	queueSeconds = prometheus.NewDesc("gatehouse_pool_queue_seconds",
		"How long requests waited in the queue of the pool.", backendLabels[:2], nil)
	panics = prometheus.NewDesc("gatehouse_panics_total",
		"Requests that ran into a bug of the gateway's; each has a log line.", nil, nil)
	connectionsOpen = prometheus.NewDesc("gatehouse_client_connections",
		"Open client connections.", nil, nil)
)

func (c *backendCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{backendUp, backendState, backendInFlight, backendRequests, backendLimit, backendEjections, backendWeight, backendResponseAverage,
		poolPanic, poolOverBudget, poolHedges, poolHedgesWon, queueWaiting, queueRefused, queueEnded, queueSeconds, connectionsOpen, panics} {
		ch <- d
	}
}

func (c *backendCollector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(connectionsOpen, prometheus.GaugeValue, float64(c.a.gateway.Connections()))
	ch <- prometheus.MustNewConstMetric(panics, prometheus.CounterValue, float64(c.a.gateway.Panics()))
	for _, p := range c.a.running().poolStatus() {
		ch <- prometheus.MustNewConstMetric(poolPanic, prometheus.GaugeValue, boolean(p.Panic), p.Pool, p.Settings)
		ch <- prometheus.MustNewConstMetric(poolOverBudget, prometheus.CounterValue, float64(p.RetriesOverBudget), p.Pool, p.Settings)
		ch <- prometheus.MustNewConstMetric(poolHedges, prometheus.CounterValue, float64(p.Hedges), p.Pool, p.Settings)
		ch <- prometheus.MustNewConstMetric(poolHedgesWon, prometheus.CounterValue, float64(p.HedgesWon), p.Pool, p.Settings)
		if p.Queue != nil {
			collectQueue(ch, p.Queue, p.Pool, p.Settings)
		}
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

func collectQueue(ch chan<- prometheus.Metric, q *proxy.QueueStatus, labels ...string) {
	ch <- prometheus.MustNewConstMetric(queueWaiting, prometheus.GaugeValue, float64(q.Waiting), labels...)
	ch <- prometheus.MustNewConstMetric(queueRefused, prometheus.CounterValue, float64(q.Full), labels...)
	for how, n := range map[proxy.WaitOutcome]uint64{proxy.WaitServed: q.Served, proxy.WaitTimedOut: q.TimedOut,
		proxy.WaitLeft: q.Left, proxy.WaitFailed: q.Failed} {
		ch <- prometheus.MustNewConstMetric(queueEnded, prometheus.CounterValue, float64(n), append(labels[:2:2], how.String())...)
	}
	ch <- prometheus.MustNewConstHistogram(queueSeconds, q.Waits, q.WaitSeconds, q.Buckets, labels...)
}

func (c *backendCollector) collect(ch chan<- prometheus.Metric, b proxy.BackendStatus, labels ...string) {
	up := boolean(b.State == proxy.Healthy || b.State == proxy.Unknown)
	ch <- prometheus.MustNewConstMetric(backendUp, prometheus.GaugeValue, up, labels...)
	ch <- prometheus.MustNewConstMetric(backendState, prometheus.GaugeValue, 1, append(labels[:3:3], b.State.String())...)
	ch <- prometheus.MustNewConstMetric(backendInFlight, prometheus.GaugeValue, float64(b.InFlight), labels...)
	ch <- prometheus.MustNewConstMetric(backendRequests, prometheus.CounterValue, float64(b.Requests), labels...)
	ch <- prometheus.MustNewConstMetric(backendEjections, prometheus.CounterValue, float64(b.Ejections), labels...)
	ch <- prometheus.MustNewConstMetric(backendWeight, prometheus.GaugeValue, b.EffectiveWeight, labels...)
	if b.Limit > 0 {
		ch <- prometheus.MustNewConstMetric(backendLimit, prometheus.GaugeValue, float64(b.Limit), labels...)
	}
	if b.ResponseSeconds > 0 {
		ch <- prometheus.MustNewConstMetric(backendResponseAverage, prometheus.GaugeValue, b.ResponseSeconds, labels...)
	}
}

// boolean is 1 for true.
func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
