package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/waf"
)

// wafCollector shows what the firewall policies in use have done. A policy's
// counters go on over reloads.
type wafCollector struct{ a *app }

var (
	wafMessages = prometheus.NewDesc("gatehouse_waf_messages_total",
		"Requests, and inspected responses, by what became of them.", []string{"policy", "outcome"}, nil)
	wafMatches = prometheus.NewDesc("gatehouse_waf_rule_matches_total",
		"Managed rules that matched, by group.", []string{"policy", "group"}, nil)
	wafAsked = prometheus.NewDesc("gatehouse_waf_engine_messages_total",
		"Messages for which the rule engine was asked, since the candidate index could not tell alone.", []string{"policy"}, nil)
	wafErrors = prometheus.NewDesc("gatehouse_waf_errors_total",
		"Messages that could not be judged, because of an error of the firewall.", []string{"policy"}, nil)
	wafVerified = prometheus.NewDesc("gatehouse_waf_verified_messages_total",
		"Messages judged a second time without the candidate index (acceleration: verify).", []string{"policy"}, nil)
	wafDifferences = prometheus.NewDesc("gatehouse_waf_verify_differences_total",
		"Verified messages that the candidate index would have had judged otherwise.", []string{"policy"}, nil)
	wafPartial = prometheus.NewDesc("gatehouse_waf_partial_bodies_total",
		"Messages of which a part was not inspected, mostly the end of a long body.", []string{"policy"}, nil)
	wafSeconds = prometheus.NewDesc("gatehouse_waf_evaluation_seconds_total",
		"Time spent on inspecting messages.", []string{"policy"}, nil)
)

func (c *wafCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{wafMessages, wafMatches, wafAsked, wafErrors, wafVerified, wafDifferences, wafPartial, wafSeconds} {
		ch <- d
	}
}

func (c *wafCollector) Collect(ch chan<- prometheus.Metric) {
	for name, p := range c.a.running().policies {
		c.collect(ch, name, p.Metrics)
	}
}

func (c *wafCollector) collect(ch chan<- prometheus.Metric, policy string, m *waf.Metrics) {
	total := func(d *prometheus.Desc, n float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, n, append([]string{policy}, labels...)...)
	}
	for o := range m.Outcomes {
		total(wafMessages, float64(m.Outcomes[o].Load()), waf.Outcome(o).String())
	}
	m.Groups.Each(func(group string, n uint64) { total(wafMatches, float64(n), group) })
	total(wafAsked, float64(m.Asked.Load()))
	total(wafErrors, float64(m.Errors.Load()))
	total(wafVerified, float64(m.Verified.Load()))
	total(wafDifferences, float64(m.Differences.Load()))
	total(wafPartial, float64(m.Partial.Load()))
	total(wafSeconds, float64(m.Nanoseconds.Load())/1e9)
}
