package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/proxy/cache"
)

// cacheCollector shows the caches in use. A cache's counters go on over
// reloads, as long as the cache does.
type cacheCollector struct{ a *app }

var (
	cacheRequests = prometheus.NewDesc("gatehouse_cache_requests_total",
		"Requests of rules with a cache, by what it did for them.", []string{"cache", "result"}, nil)
	cacheBytes = prometheus.NewDesc("gatehouse_cache_bytes",
		"Memory that the cache's responses take, with those that are being fetched or sent.", []string{"cache"}, nil)
	cacheMaxBytes = prometheus.NewDesc("gatehouse_cache_max_bytes",
		"The most that it may take.", []string{"cache"}, nil)
	cacheEntries = prometheus.NewDesc("gatehouse_cache_entries",
		"Stored responses.", []string{"cache"}, nil)
	cacheStores = prometheus.NewDesc("gatehouse_cache_stores_total",
		"Responses that were stored.", []string{"cache"}, nil)
	cacheEvictions = prometheus.NewDesc("gatehouse_cache_evictions_total",
		"Responses that were removed to make room.", []string{"cache"}, nil)
	cacheBackgrounds = prometheus.NewDesc("gatehouse_cache_background_validations_total",
		"Stale responses that the backend was asked about while a client got them.", []string{"cache"}, nil)
)

func (c *cacheCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{cacheRequests, cacheBytes, cacheMaxBytes, cacheEntries, cacheStores, cacheEvictions, cacheBackgrounds} {
		ch <- d
	}
}

func (c *cacheCollector) Collect(ch chan<- prometheus.Metric) {
	r := c.a.running()
	if r.conf == nil {
		return
	}
	for _, s := range r.cacheStats() {
		for _, result := range cache.Results() {
			ch <- prometheus.MustNewConstMetric(cacheRequests, prometheus.CounterValue, float64(s.Requests[result.String()]), s.Name, result.String())
		}
		ch <- prometheus.MustNewConstMetric(cacheBytes, prometheus.GaugeValue, float64(s.Bytes), s.Name)
		ch <- prometheus.MustNewConstMetric(cacheMaxBytes, prometheus.GaugeValue, float64(s.MaxBytes), s.Name)
		ch <- prometheus.MustNewConstMetric(cacheEntries, prometheus.GaugeValue, float64(s.Entries), s.Name)
		ch <- prometheus.MustNewConstMetric(cacheStores, prometheus.CounterValue, float64(s.Stores), s.Name)
		ch <- prometheus.MustNewConstMetric(cacheEvictions, prometheus.CounterValue, float64(s.Evictions), s.Name)
		ch <- prometheus.MustNewConstMetric(cacheBackgrounds, prometheus.CounterValue, float64(s.Backgrounds), s.Name)
	}
}
