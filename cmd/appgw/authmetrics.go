package main

import (
	"github.com/prometheus/client_golang/prometheus"
)

// authCollector shows what the authentications in use have decided. The
// counters go on over reloads.
type authCollector struct{ a *app }

var (
	authDecisions = prometheus.NewDesc("gatehouse_authentications_total",
		"Requests by what an authentication decided: allowed, denied, or failed (nobody could tell).", []string{"authentication", "result"}, nil)
	authKeysFetched = prometheus.NewDesc("gatehouse_authentication_keys_fetched_timestamp_seconds",
		"When the keys of an issuer were last fetched from its URL.", []string{"authentication"}, nil)
)

func (c authCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- authDecisions
	ch <- authKeysFetched
}

func (c authCollector) Collect(ch chan<- prometheus.Metric) {
	for name, au := range c.a.running().auths {
		for result, n := range map[string]uint64{"allowed": au.counts.Allowed.Load(), "denied": au.counts.Denied.Load(), "failed": au.counts.Failed.Load()} {
			ch <- prometheus.MustNewConstMetric(authDecisions, prometheus.CounterValue, float64(n), name, result)
		}
		if k := au.keys; k != nil && k.fetched.Load() > 0 {
			ch <- prometheus.MustNewConstMetric(authKeysFetched, prometheus.GaugeValue, float64(k.fetched.Load()), name)
		}
	}
}
