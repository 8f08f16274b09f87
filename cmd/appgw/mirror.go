package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/config"
	"gatehouse/proxy/l7"
)

// mirror compiles where copies of requests go; nil: nowhere. What mirrors of
// one pool count goes on over reloads.
func (b *build) mirror(c config.Mirror) *l7.Mirror {
	if c.BackendPool == "" {
		return nil
	}
	key := poolKey{c.BackendPool, c.BackendSettings}
	counts := b.next.mirrors[c.BackendPool]
	if counts == nil {
		if counts = b.prev.mirrors[c.BackendPool]; counts == nil {
			counts = &l7.MirrorCounts{}
		}
		b.next.mirrors[c.BackendPool] = counts
	}
	return &l7.Mirror{Pool: b.pool(key), Settings: b.compiled[key], Share: c.Share, MaxBody: c.MaxBodySize, Counts: counts}
}

// mirrorCollector shows what became of copies of requests.
type mirrorCollector struct{ a *app }

var mirroredRequests = prometheus.NewDesc("gatehouse_mirrored_requests_total",
	"Requests to be copied to the pool of a mirror: answered, failed, tooLarge (their bodies), noMemory, dropped (too many waited, or the body did not come to its end).",
	[]string{"pool", "outcome"}, nil)

func (c mirrorCollector) Describe(ch chan<- *prometheus.Desc) { ch <- mirroredRequests }

func (c mirrorCollector) Collect(ch chan<- prometheus.Metric) {
	for pool, n := range c.a.running().mirrors {
		total := func(outcome string, n uint64) {
			ch <- prometheus.MustNewConstMetric(mirroredRequests, prometheus.CounterValue, float64(n), pool, outcome)
		}
		total("answered", n.Answered.Load())
		total("failed", n.Failed.Load())
		total("tooLarge", n.TooLarge.Load())
		total("noMemory", n.NoMemory.Load())
		total("dropped", n.Dropped.Load())
	}
}
