package telemetry

import (
	"fmt"
	"hash/fnv"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// MetricsOptions configure NewMetrics. The zero value works.
type MetricsOptions struct {
	Version string // gatehouse_build_info; if empty, "unknown"
	Commit  string // gatehouse_build_info

	// Retain is how long the series of a removed route or listener stay
	// visible, so that the last scrape interval is not lost. If zero, 15
	// minutes.
	Retain time.Duration

	// RetainMax bounds how many removed routes, and how many removed
	// listeners, are kept at all; the oldest go first. If zero, 1000.
	RetainMax int
}

// Metrics are the counters of one process and the Prometheus registry that
// shows them.
//
// Routes and listeners are found by name, so that a reload goes on counting
// where it was: see [Metrics.Begin].
type Metrics struct {
	registry *prometheus.Registry
	shards   int
	opts     MetricsOptions

	mu        sync.Mutex
	routes    retained[routeKey, *Route]
	listeners retained[string, *Listener]

	certificates atomic.Pointer[func() []CertificateExpiry]
	retiredSnaps atomic.Pointer[func() int]
	reloads      reloadMetrics
}

// NewMetrics returns metrics with the collectors of the process, the Go
// runtime and the build already registered.
func NewMetrics(opts MetricsOptions) *Metrics {
	if opts.Version == "" {
		opts.Version = "unknown"
	}
	if opts.Retain == 0 {
		opts.Retain = 15 * time.Minute
	}
	if opts.RetainMax == 0 {
		opts.RetainMax = 1000
	}
	m := &Metrics{
		registry:  prometheus.NewRegistry(),
		shards:    shardCount(),
		opts:      opts,
		routes:    newRetained[routeKey, *Route](opts),
		listeners: newRetained[string, *Listener](opts),
		reloads:   newReloadMetrics(),
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(opts),
		m.reloads.outcomes, m.reloads.lastSuccess, m.reloads.lastOK,
		&trafficCollector{m: m, descs: newTrafficDescs()},
		&stateCollector{m: m, descs: newStateDescs()},
	)
	return m
}

// Register adds a collector of another package, such as the members of the
// pools. It fails when one of its series is already registered.
func (m *Metrics) Register(c prometheus.Collector) error {
	if err := m.registry.Register(c); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// Unregister removes a collector and says whether it was there.
func (m *Metrics) Unregister(c prometheus.Collector) bool { return m.registry.Unregister(c) }

// Gatherer is what a metrics endpoint serves.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

func buildInfo(opts MetricsOptions) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gatehouse_build_info",
		Help: "Always 1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{
			"version": labelValue(opts.Version), "commit": labelValue(opts.Commit), "goversion": runtime.Version(),
		},
	}, func() float64 { return 1 })
}

// CertificateExpiry is one certificate that the process serves.
type CertificateExpiry struct {
	Listener string
	Name     string // what tells it from others of the listener, such as its file
	NotAfter time.Time
}

// SetCertificates says where a scrape finds the certificates in use. f is
// called by scrapes, possibly by several at once.
func (m *Metrics) SetCertificates(f func() []CertificateExpiry) { m.certificates.Store(&f) }

// SetRetiredSnapshots says where a scrape finds how many replaced
// configurations still serve exchanges.
func (m *Metrics) SetRetiredSnapshots(f func() int) { m.retiredSnaps.Store(&f) }

// reloadMetrics count what became of attempts to change the configuration.
type reloadMetrics struct {
	outcomes    *prometheus.CounterVec
	lastSuccess prometheus.Gauge
	lastOK      prometheus.Gauge
}

// ReloadOutcome is what became of an attempt to load a configuration.
type ReloadOutcome uint8

const (
	ReloadApplied   ReloadOutcome = iota // in use now
	ReloadUnchanged                      // the same as before; nothing was done
	ReloadRefused                        // invalid, or could not be built; the old one runs on
	reloadOutcomes
)

// String returns the label value.
func (o ReloadOutcome) String() string {
	return labelOf(int(o), []string{"applied", "unchanged", "refused"})
}

func newReloadMetrics() reloadMetrics {
	r := reloadMetrics{
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_config_reloads_total",
			Help: "Attempts to load the configuration, the first one included, by outcome.",
		}, []string{"outcome"}),
		lastSuccess: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gatehouse_config_last_reload_success_timestamp_seconds",
			Help: "When a configuration was last applied or found unchanged.",
		}),
		lastOK: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gatehouse_config_last_reload_successful",
			Help: "1 when the last attempt to load the configuration was not refused, else 0.",
		}),
	}
	for o := range reloadOutcomes {
		r.outcomes.WithLabelValues(o.String())
	}
	return r
}

// Reloaded counts an attempt to load the configuration.
func (m *Metrics) Reloaded(o ReloadOutcome, at time.Time) {
	m.reloads.outcomes.WithLabelValues(o.String()).Inc()
	if o == ReloadRefused {
		m.reloads.lastOK.Set(0)
		return
	}
	m.reloads.lastOK.Set(1)
	m.reloads.lastSuccess.Set(float64(at.UnixMilli()) / 1e3)
}

// labelOf returns names[i], or "other" for a value that is not in the list,
// so that a label never gets an open set of values.
func labelOf(i int, names []string) string {
	if i < 0 || i >= len(names) {
		return "other"
	}
	return names[i]
}

// maxLabel bounds a label value in bytes.
const maxLabel = 128

// labelValue makes s fit for a label: valid UTF-8 (the exposition format has
// no other) and bounded. What had to be changed ends in a hash of s, so that
// two names never become one series, which would fail the whole scrape.
func labelValue(s string) string {
	v := strings.ToValidUTF8(s, "\uFFFD")
	if len(v) <= maxLabel && v == s {
		return s
	}
	if len(v) > maxLabel {
		v = strings.ToValidUTF8(v[:maxLabel], "")
	}
	h := fnv.New32a()
	h.Write([]byte(s))
	return fmt.Sprintf("%s~%08x", v, h.Sum32())
}
