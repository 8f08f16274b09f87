package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/proxy/l7"
)

// loadRateLimits makes the rate limits, which go on counting where those of
// the same names are.
func (b *build) loadRateLimits() {
	b.next.limits = map[string]*l7.RateLimit{}
	for _, c := range b.conf.RateLimits {
		b.next.limits[c.Name] = l7.NewRateLimit(c, b.prev.limits[c.Name])
	}
}

// rateLimits are those of some names. A name that was refused is not there.
func (b *build) rateLimits(names []string) (all []*l7.RateLimit) {
	for _, name := range names {
		if l := b.next.limits[name]; l != nil {
			all = append(all, l)
		}
	}
	return all
}

// limitCollector shows what the rate limits in use have done. Their counters
// go on over reloads.
type limitCollector struct{ a *app }

var (
	limitRequests = prometheus.NewDesc("gatehouse_rate_limit_requests_total",
		"Requests that a rate limit was asked about: passed, refused, or spared because of dryRun.", []string{"limit", "outcome"}, nil)
	limitKeys = prometheus.NewDesc("gatehouse_rate_limit_keys",
		"Keys that a rate limit knows now, those that are idle and not cleared away yet among them.", []string{"limit"}, nil)
	limitEvicted = prometheus.NewDesc("gatehouse_rate_limit_evicted_keys_total",
		"Keys that a rate limit has forgotten for want of room while they were in use.", []string{"limit"}, nil)
)

func (c limitCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{limitRequests, limitKeys, limitEvicted} {
		ch <- d
	}
}

func (c limitCollector) Collect(ch chan<- prometheus.Metric) {
	total := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	for name, l := range c.a.running().limits {
		s := l.Limiter.Stats()
		total(limitRequests, s.Passed, name, "passed")
		total(limitRequests, s.Refused, name, "refused")
		total(limitRequests, s.Spared, name, "spared")
		total(limitEvicted, s.Evicted, name)
		ch <- prometheus.MustNewConstMetric(limitKeys, prometheus.GaugeValue, float64(s.Keys), name)
	}
}
