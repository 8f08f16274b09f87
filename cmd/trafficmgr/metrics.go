package main

import (
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/dnslb"
	"gatehouse/dnslb/authority"
	"gatehouse/dnslb/dnssec"
	"gatehouse/dnslb/doh"
	"gatehouse/dnslb/server"
)

// totals are the counts of configurations that were replaced, by names. The
// last one is added up only when the next is replaced: a query in hand counts
// with the view that it began with.
type totals struct {
	retired *running
	sums    authority.Sums // but for profiles and endpoints
	names   map[string]uint64
}

// Keys of totals.names.
const (
	profileQueries = "profile\x00"
	profileNothing = "nothing\x00"
	endpointCount  = "endpoint\x00"
)

// retire counts a configuration that is replaced.
func (t *totals) retire(r *running) {
	if t.retired != nil {
		t.add(t.retired)
	}
	t.retired = nil
	if r.director != nil {
		t.retired = r
	}
}

// add adds the counts of a configuration.
func (t *totals) add(r *running) {
	s := r.view.Counters.Sum()
	for i := range s.Rcodes {
		t.sums.Rcodes[i] += s.Rcodes[i]
	}
	for i := range s.Types {
		t.sums.Types[i] += s.Types[i]
	}
	for i := range s.Transports {
		t.sums.Transports[i] += s.Transports[i]
	}
	t.sums.ECS += s.ECS
	t.sums.Limited += s.Limited
	t.sums.Slipped += s.Slipped
	t.sums.Unusual += s.Unusual
	if t.names == nil {
		t.names = map[string]uint64{}
	}
	for i, p := range r.director.Profiles {
		t.names[profileQueries+p.Name] += s.Profiles[i]
		t.names[profileNothing+p.Name] += s.Nothing[i]
	}
	for i, e := range r.director.Endpoints {
		t.names[endpointCount+e.Key] += s.Endpoints[i]
	}
}

// now are the totals with the configuration in use.
func (t *totals) now(current *running) totals {
	sum := totals{sums: t.sums, names: map[string]uint64{}}
	for k, v := range t.names {
		sum.names[k] = v
	}
	for _, r := range []*running{t.retired, current} {
		if r != nil && r.director != nil {
			sum.add(r)
		}
	}
	return sum
}

// collector shows what a traffic manager counts.
type collector struct {
	app *app

	queries, responses, types, profile, empty, endpoint, ecs, limited, unusual *prometheus.Desc
	dropped, connections, refused                                              *prometheus.Desc
	state, up, took, signatures, notQueries                                    *prometheus.Desc
}

func newCollector(a *app) *collector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("gatehouse_dns_"+name, help, labels, nil)
	}
	return &collector{app: a,
		queries:     d("queries_total", "Queries that were answered.", "transport"),
		responses:   d("responses_total", "Responses by code.", "rcode"),
		types:       d("query_types_total", "Queries by type.", "type"),
		profile:     d("profile_queries_total", "Queries that a profile answered.", "profile"),
		empty:       d("profile_empty_total", "Queries that a profile answered with nothing.", "profile"),
		endpoint:    d("endpoint_answers_total", "Answers that an endpoint was in (Azure: QpsByEndpoint).", "profile", "endpoint"),
		ecs:         d("client_subnet_queries_total", "Queries with a client subnet that was believed."),
		limited:     d("rate_limited_total", "Responses kept back by the rate limit, or sent truncated.", "action"),
		unusual:     d("unusual_queries_total", "Queries that were not of the usual form."),
		dropped:     d("dropped_total", "Queries without a response.", "transport", "reason"),
		connections: d("connections_open", "Connections of clients.", "transport"),
		refused:     d("connections_refused_total", "Connections that were one too many.", "transport"),
		notQueries:  d("https_refused_total", "HTTP requests that were no queries.", "reason"),
		state:       d("endpoint_state", "1 for the state that an endpoint is in.", "profile", "endpoint", "state"),
		up:          d("endpoint_up", "Whether an endpoint is served: 1 or 0 (Azure: ProbeAgentCurrentEndpointStateByProfileResourceId).", "profile", "endpoint"),
		took:        d("probe_duration_seconds", "How long the last probe took.", "profile", "endpoint"),
		signatures:  d("signatures_total", "Signatures asked for, by what became of it.", "zone", "outcome"),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	a := c.app
	a.mu.Lock()
	r := a.current
	sum := a.totals.now(r)
	a.mu.Unlock()
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	for t := server.UDP; t <= server.HTTPS; t++ {
		count(c.queries, sum.sums.Transports[t], transportName(t))
	}
	for rcode, n := range sum.sums.Rcodes {
		if n > 0 {
			count(c.responses, n, dns.RcodeToString[rcode])
		}
	}
	byName := map[string]uint64{}
	for i, n := range sum.sums.Types {
		name := dns.TypeToString[authority.TypeOf(i)]
		if name == "" || name == "None" {
			name = "other"
		}
		byName[name] += n
	}
	for name, n := range byName {
		if n > 0 {
			count(c.types, n, name)
		}
	}
	count(c.ecs, sum.sums.ECS)
	count(c.unusual, sum.sums.Unusual)
	count(c.limited, sum.sums.Limited, "dropped")
	count(c.limited, sum.sums.Slipped, "truncated")
	if r.director == nil {
		return
	}
	c.collectProfiles(ch, r, &sum)
	c.collectSockets(ch, r)
	c.collectSigners(ch)
}

// collectProfiles shows profiles and endpoints of the configuration in use.
func (c *collector) collectProfiles(ch chan<- prometheus.Metric, r *running, sum *totals) {
	snapshot := c.app.authority.Snapshot()
	for _, p := range r.director.Profiles {
		ch <- prometheus.MustNewConstMetric(c.profile, prometheus.CounterValue, float64(sum.names[profileQueries+p.Name]), p.Name)
		ch <- prometheus.MustNewConstMetric(c.empty, prometheus.CounterValue, float64(sum.names[profileNothing+p.Name]), p.Name)
	}
	for _, e := range r.director.Endpoints {
		name := e.Profile().Name
		ch <- prometheus.MustNewConstMetric(c.endpoint, prometheus.CounterValue, float64(sum.names[endpointCount+e.Key]), name, e.Name)
		state := dnslb.Disabled
		if snapshot != nil && snapshot.Director() == r.director {
			state = snapshot.State(e)
		}
		up := 0.0
		if state.Served() {
			up = 1
		}
		ch <- prometheus.MustNewConstMetric(c.state, prometheus.GaugeValue, 1, name, e.Name, state.String())
		ch <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, up, name, e.Name)
		if w := r.watches[e.ID]; w != nil {
			if s := w.Status(); !s.Checked.IsZero() {
				ch <- prometheus.MustNewConstMetric(c.took, prometheus.GaugeValue, s.Took.Seconds(), name, e.Name)
			}
		}
	}
}

// collectSockets shows what became of messages before and after answering.
func (c *collector) collectSockets(ch chan<- prometheus.Metric, r *running) {
	var all struct {
		server.Stats
		HTTPS server.TransportStats
	}
	refused := map[string]uint64{}
	for _, d := range r.listening {
		if d.doh != nil {
			h := d.doh.Stats()
			all.HTTPS.Add(h.HTTPS)
			for _, why := range doh.Refusals() {
				refused[why.String()] += h.Refused[why]
			}
			continue
		}
		s := d.dns.Stats()
		all.UDP.Add(s.UDP)
		all.TCP.Add(s.TCP)
		all.TLS.Add(s.TLS)
	}
	for name, s := range map[string]*server.TransportStats{"udp": &all.UDP, "tcp": &all.TCP, "dot": &all.TLS, "doh": &all.HTTPS} {
		for _, why := range server.Drops() {
			ch <- prometheus.MustNewConstMetric(c.dropped, prometheus.CounterValue, float64(s.Dropped[why]), name, why.String())
		}
		if name != "udp" {
			ch <- prometheus.MustNewConstMetric(c.connections, prometheus.GaugeValue, float64(s.Connections), name)
			ch <- prometheus.MustNewConstMetric(c.refused, prometheus.CounterValue, float64(s.Refused), name)
		}
	}
	c.collectRefusals(ch, refused)
}

// collectRefusals shows HTTP requests that were no queries.
func (c *collector) collectRefusals(ch chan<- prometheus.Metric, refused map[string]uint64) {
	for why, n := range refused {
		ch <- prometheus.MustNewConstMetric(c.notQueries, prometheus.CounterValue, float64(n), why)
	}
}

// collectSigners shows the signatures that were made.
func (c *collector) collectSigners(ch chan<- prometheus.Metric) {
	c.app.mu.Lock()
	defer c.app.mu.Unlock()
	byZone := map[string]dnssec.Stats{}
	for key, s := range c.app.signers {
		byZone[key.zone] = s.Stats()
	}
	for zone, stats := range byZone {
		ch <- prometheus.MustNewConstMetric(c.signatures, prometheus.CounterValue, float64(stats.Signed), zone, "made")
		ch <- prometheus.MustNewConstMetric(c.signatures, prometheus.CounterValue, float64(stats.Refused), zone, "refused")
	}
}
