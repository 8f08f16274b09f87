package telemetry

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// trafficCollector gathers the routes and listeners when it is scraped.
type trafficCollector struct {
	m     *Metrics
	descs trafficDescs
}

type trafficDescs struct {
	requests, duration, response, connect                *prometheus.Desc
	received, sent, backendReceived, backendSent         *prometheus.Desc
	retries, connects, reuses, ended                     *prometheus.Desc
	accepted, open, inFlight, tunnels, rejected, limited *prometheus.Desc
	handshakes, failures                                 *prometheus.Desc
}

func newTrafficDescs() trafficDescs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("gatehouse_"+name, help, labels, nil)
	}
	route := func(name, help string, more ...string) *prometheus.Desc {
		return desc(name, help, append([]string{"listener", "rule", "pool"}, more...)...)
	}
	listener := func(name, help string, more ...string) *prometheus.Desc {
		return desc(name, help, append([]string{"listener"}, more...)...)
	}
	return trafficDescs{
		requests:        route("requests_total", "Requests, by class of the status sent to the client.", "code"),
		duration:        route("request_duration_seconds", "First byte of the request to last byte of the response."),
		response:        route("backend_response_seconds", "Request head sent to the backend to its response head."),
		connect:         route("backend_connect_seconds", "Connecting to a backend, TLS included; new connections only."),
		received:        route("request_bytes_total", "Bytes read from clients, heads included."),
		sent:            route("response_bytes_total", "Bytes written to clients, heads included."),
		backendReceived: route("backend_received_bytes_total", "Bytes read from backends."),
		backendSent:     route("backend_sent_bytes_total", "Bytes written to backends."),
		retries:         route("backend_retries_total", "Further attempts after a failed one."),
		connects:        route("backend_connections_opened_total", "Requests sent on a new backend connection."),
		reuses:          route("backend_connections_reused_total", "Requests sent on a reused backend connection."),
		ended:           route("requests_ended_early_total", "Requests that did not end normally, by HAProxy's termination letters.", "termination"),

		accepted:   listener("connections_accepted_total", "Client connections accepted."),
		open:       listener("connections_open", "Client connections open."),
		inFlight:   listener("requests_in_flight", "Requests being served."),
		tunnels:    listener("tunnels_open", "Upgraded connections (WebSocket) open."),
		rejected:   listener("connections_rejected_total", "Client connections closed before a request was read.", "reason"),
		limited:    listener("limits_hit_total", "Times a limit was reached.", "limit"),
		handshakes: listener("tls_handshakes_total", "TLS handshakes completed.", "version", "resumed"),
		failures:   listener("tls_handshake_failures_total", "TLS handshakes that failed.", "reason"),
	}
}

// Describe implements prometheus.Collector.
func (c *trafficCollector) Describe(ch chan<- *prometheus.Desc) {
	d := &c.descs
	for _, desc := range []*prometheus.Desc{
		d.requests, d.duration, d.response, d.connect, d.received, d.sent, d.backendReceived, d.backendSent,
		d.retries, d.connects, d.reuses, d.ended,
		d.accepted, d.open, d.inFlight, d.tunnels, d.rejected, d.limited, d.handshakes, d.failures,
	} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector. Routes and listeners that
// never served show nothing: ten thousand idle hosts must not make a scrape of megabytes. Once
// a route has served, all its code classes show, zeros included, so that
// rate() sees the first error.
func (c *trafficCollector) Collect(ch chan<- prometheus.Metric) {
	now := time.Now()
	c.m.mu.Lock()
	routes, listeners := c.m.routes.all(now), c.m.listeners.all(now)
	c.m.mu.Unlock()
	for _, r := range routes {
		if sum, served := r.total(); served {
			c.collectRoute(ch, r.key, sum)
		}
	}
	for _, l := range listeners {
		if sum, served := l.total(); served {
			c.collectListener(ch, l.name, sum)
		}
	}
}

// routeTotal is a Route summed up over shards.
type routeTotal struct {
	codes                                    [codeClasses]uint64
	bytesIn, bytesOut, backendIn, backendOut uint64
	retries, connects, reuses                uint64
	duration, response, connect              tally
	ended                                    [terminations]uint64
}

// total sums up; served is false when the route never counted anything.
func (t *Route) total() (sum *routeTotal, served bool) {
	sum = new(routeTotal)
	for i := range t.shards {
		s := t.shards[i].Load()
		if s == nil {
			continue
		}
		served = true
		addAll(sum.codes[:], s.codes[:])
		addAll(sum.ended[:], s.ended[:])
		sum.bytesIn += s.bytesIn.Load()
		sum.bytesOut += s.bytesOut.Load()
		sum.backendIn += s.backendIn.Load()
		sum.backendOut += s.backendOut.Load()
		sum.retries += s.retries.Load()
		sum.connects += s.connects.Load()
		sum.reuses += s.reuses.Load()
		sum.duration.add(&s.duration)
		sum.response.add(&s.response)
		sum.connect.add(&s.connect)
	}
	return sum, served
}

func addAll(dst []uint64, src []atomic.Uint64) {
	for i := range src {
		dst[i] += src[i].Load()
	}
}

func (c *trafficCollector) collectRoute(ch chan<- prometheus.Metric, k routeKey, t *routeTotal) {
	d := &c.descs
	counter := func(desc *prometheus.Desc, v uint64, more ...string) {
		ch <- count(desc, v, append([]string{k.listener, k.rule, k.pool}, more...)...)
	}
	for class, n := range t.codes {
		if n > 0 || class >= 1 && class <= 5 {
			counter(d.requests, n, codeLabel(class))
		}
	}
	for i, n := range t.ended {
		if n > 0 {
			counter(d.ended, n, terminationLabel(i))
		}
	}
	counter(d.received, t.bytesIn)
	counter(d.sent, t.bytesOut)
	counter(d.backendReceived, t.backendIn)
	counter(d.backendSent, t.backendOut)
	counter(d.retries, t.retries)
	counter(d.connects, t.connects)
	counter(d.reuses, t.reuses)
	for desc, h := range map[*prometheus.Desc]*tally{d.duration: &t.duration, d.response: &t.response, d.connect: &t.connect} {
		n, sum, upTo := h.cumulative()
		ch <- prometheus.MustNewConstHistogram(desc, n, sum, upTo, k.listener, k.rule, k.pool)
	}
}

// listenerTotal is a Listener summed up over shards.
type listenerTotal struct {
	accepted                uint64
	open, inFlight, tunnels int64
	rejected                [rejections]uint64
	limits                  [limits]uint64
	full, resumed           [tlsVersions]uint64
	failures                [tlsFailures]uint64
}

// total sums up; served is false when the listener never counted anything.
func (l *Listener) total() (t *listenerTotal, served bool) {
	t = new(listenerTotal)
	for i := range l.shards {
		s := l.shards[i].Load()
		if s == nil {
			continue
		}
		served = true
		t.accepted += s.accepted.Load()
		t.open += s.open.Load()
		t.inFlight += s.inFlight.Load()
		t.tunnels += s.tunnels.Load()
		addAll(t.rejected[:], s.rejected[:])
		addAll(t.limits[:], s.limits[:])
		addAll(t.failures[:], s.failures[:])
		for v := range s.handshakes {
			t.full[v] += s.handshakes[v][0].Load()
			t.resumed[v] += s.handshakes[v][1].Load()
		}
	}
	return t, served
}

func (c *trafficCollector) collectListener(ch chan<- prometheus.Metric, name string, t *listenerTotal) {
	d := &c.descs
	ch <- count(d.accepted, t.accepted, name)
	ch <- gauge(d.open, float64(max(t.open, 0)), name)
	ch <- gauge(d.inFlight, float64(max(t.inFlight, 0)), name)
	ch <- gauge(d.tunnels, float64(max(t.tunnels, 0)), name)
	labelled := func(desc *prometheus.Desc, values []uint64, label func(int) string) {
		for i, n := range values {
			if n > 0 {
				ch <- count(desc, n, name, label(i))
			}
		}
	}
	labelled(d.rejected, t.rejected[:], func(i int) string { return Rejection(i).String() })
	labelled(d.limited, t.limits[:], func(i int) string { return Limit(i).String() })
	labelled(d.failures, t.failures[:], func(i int) string { return TLSFailure(i).String() })
	for v := range t.full {
		if t.full[v]+t.resumed[v] > 0 {
			ch <- count(d.handshakes, t.full[v], name, tlsVersionLabel(v), "false")
			ch <- count(d.handshakes, t.resumed[v], name, tlsVersionLabel(v), "true")
		}
	}
}

// stateCollector shows what is asked for when it is scraped.
type stateCollector struct {
	m     *Metrics
	descs stateDescs
}

type stateDescs struct{ certificate, retired *prometheus.Desc }

func newStateDescs() stateDescs {
	return stateDescs{
		certificate: prometheus.NewDesc("gatehouse_certificate_expiry_timestamp_seconds",
			"When a served certificate expires.", []string{"listener", "name"}, nil),
		retired: prometheus.NewDesc("gatehouse_config_snapshots_retired",
			"Replaced configurations that still serve exchanges.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.descs.certificate
	ch <- c.descs.retired
}

// Collect implements prometheus.Collector.
func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	if f := c.m.retiredSnaps.Load(); f != nil {
		ch <- gauge(c.descs.retired, float64((*f)()))
	}
	f := c.m.certificates.Load()
	if f == nil {
		return
	}
	// One listener may name a file twice; the same series twice would fail
	// the scrape. The earlier expiry wins.
	type key struct{ listener, name string }
	soonest := map[key]time.Time{}
	for _, e := range (*f)() {
		k := key{labelValue(e.Listener), labelValue(e.Name)}
		if t, ok := soonest[k]; !ok || e.NotAfter.Before(t) {
			soonest[k] = e.NotAfter
		}
	}
	for k, t := range soonest {
		ch <- gauge(c.descs.certificate, float64(t.Unix()), k.listener, k.name)
	}
}

func count(d *prometheus.Desc, v uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func gauge(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}
