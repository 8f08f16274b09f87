package main

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/config"
	"gatehouse/proxy/l7/compression"
)

// compression is the policy of what an action leads to: its own, or the
// listener's; nil for none.
func (b *build) compression(l *config.Listener, a config.Action) *compression.Policy {
	name := cmp.Or(a.Compression, l.Compression)
	if name == "" || name == config.CompressionOff {
		return nil
	}
	p := b.compressions[name]
	if p == nil {
		i := slices.IndexFunc(b.conf.CompressionPolicies, func(p config.CompressionPolicy) bool { return p.Name == name })
		p = b.app.compression.NewPolicy(&b.conf.CompressionPolicies[i])
		b.compressions[name] = p
	}
	return p
}

// compressionCollector shows what was compressed.
type compressionCollector struct{ engine *compression.Engine }

var (
	compressedResponses = prometheus.NewDesc("gatehouse_compressed_responses_total",
		"Responses that were compressed, by encoding.", []string{"encoding"}, nil)
	compressionIn = prometheus.NewDesc("gatehouse_compression_input_bytes_total",
		"Bytes of response bodies before compression, by encoding.", []string{"encoding"}, nil)
	compressionOut = prometheus.NewDesc("gatehouse_compression_output_bytes_total",
		"Bytes of response bodies after compression, by encoding.", []string{"encoding"}, nil)
	compressionSkipped = prometheus.NewDesc("gatehouse_compression_skipped_total",
		"Responses that have a compression policy and went out as they were, by reason.", []string{"reason"}, nil)
	compressionEncoders = prometheus.NewDesc("gatehouse_compression_encoders",
		"Encoders in use.", nil, nil)
	compressionMemory = prometheus.NewDesc("gatehouse_compression_memory_bytes",
		"What of limits.compressionBytes is in use.", nil, nil)
)

func (c compressionCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{compressedResponses, compressionIn, compressionOut, compressionSkipped, compressionEncoders, compressionMemory} {
		ch <- d
	}
}

func (c compressionCollector) Collect(ch chan<- prometheus.Metric) {
	for _, u := range c.engine.Usage() {
		ch <- prometheus.MustNewConstMetric(compressedResponses, prometheus.CounterValue, float64(u.Responses), u.Coding)
		ch <- prometheus.MustNewConstMetric(compressionIn, prometheus.CounterValue, float64(u.In), u.Coding)
		ch <- prometheus.MustNewConstMetric(compressionOut, prometheus.CounterValue, float64(u.Out), u.Coding)
	}
	for _, s := range c.engine.Skipped() {
		ch <- prometheus.MustNewConstMetric(compressionSkipped, prometheus.CounterValue, float64(s.Responses), s.Reason)
	}
	encoders, memory := c.engine.InUse()
	ch <- prometheus.MustNewConstMetric(compressionEncoders, prometheus.GaugeValue, float64(encoders))
	ch <- prometheus.MustNewConstMetric(compressionMemory, prometheus.GaugeValue, float64(memory))
}
