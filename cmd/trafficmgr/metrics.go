package main

import (
	"maps"

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
	retired *counted       // nil: none
	sums    authority.Sums // but for profiles and endpoints
	names   map[string]uint64
}

// counted is what is left to count of a configuration, which it does not hold.
type counted struct {
	counters  *authority.Counters
	profiles  []string // by index
	endpoints []string // by ID: the keys
}

func (r *running) counted() *counted {
	if r == nil || r.director == nil {
		return nil
	}
	c := &counted{counters: r.view.Counters}
	for _, p := range r.director.Profiles {
		c.profiles = append(c.profiles, p.Name)
	}
	for _, e := range r.director.Endpoints {
		c.endpoints = append(c.endpoints, e.Key)
	}
	return c
}

// Keys of totals.names.
const (
	profileQueries = "profile\x00"
	profileNothing = "nothing\x00"
	endpointCount  = "endpoint\x00"
)

// retire counts a configuration that is replaced.
func (t *totals) retire(r *running) {
	t.add(t.retired)
	t.retired = r.counted()
}

// add adds the counts of a configuration; nil: none.
func (t *totals) add(c *counted) {
	if c == nil {
		return
	}
	s := c.counters.Sum()
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
	for i, name := range c.profiles {
		t.addNamed(profileQueries, name, s.Profiles[i])
		t.addNamed(profileNothing, name, s.Nothing[i])
	}
	for i, key := range c.endpoints {
		t.addNamed(endpointCount, key, s.Endpoints[i])
	}
}

func (t *totals) addNamed(kind, name string, n uint64) {
	if n > 0 {
		t.names[kind+name] += n
	}
}

// now are the totals with the configuration in use.
func (t *totals) now(current *running) totals {
	sum := totals{sums: t.sums, names: maps.Clone(t.names)}
	sum.add(t.retired)
	sum.add(current.counted())
	return sum
}

// collector shows what a traffic manager counts.
type collector struct {
	app *app

	queries, responses, types, profile, empty, endpoint, ecs, limited, unusual *prometheus.Desc
	dropped, connections, refused                                              *prometheus.Desc
	state, up, took, signatures, notQueries                                    *prometheus.Desc
	logged, unlogged, tapped, untapped                                         *prometheus.Desc
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
		logged:      d("query_log_lines_total", "Lines written to the query log."),
		unlogged:    d("query_log_dropped_total", "Queries that the query log has no line of: it was behind, or a write failed.", "reason"),
		tapped:      d("dnstap_frames_total", "Frames written to dnstap: one for a query, another for its response."),
		untapped:    d("dnstap_dropped_total", "Frames that found no room, or were lost with a connection."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.queries, c.responses, c.types, c.profile, c.empty, c.endpoint, c.ecs, c.limited, c.unusual,
		c.dropped, c.connections, c.refused,
		c.state, c.up, c.took, c.signatures, c.notQueries,
		c.logged, c.unlogged, c.tapped, c.untapped,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	a := c.app
	a.mu.Lock()
	r := a.current
	sum := a.totals.now(r)
	all := a.traffic()
	snapshot := a.authority.Snapshot() // of the same configuration only under the lock
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
	c.collectProfiles(ch, r, snapshot, &sum)
	c.collectSockets(ch, &all)
	c.collectLog(ch)
	c.collectSigners(ch)
}

// collectProfiles shows profiles and endpoints of a configuration and its
// snapshot.
func (c *collector) collectProfiles(ch chan<- prometheus.Metric, r *running, snapshot *dnslb.Snapshot, sum *totals) {
	for _, p := range r.director.Profiles {
		ch <- prometheus.MustNewConstMetric(c.profile, prometheus.CounterValue, float64(sum.names[profileQueries+p.Name]), p.Name)
		ch <- prometheus.MustNewConstMetric(c.empty, prometheus.CounterValue, float64(sum.names[profileNothing+p.Name]), p.Name)
	}
	for _, e := range r.director.Endpoints {
		name := e.Profile().Name
		ch <- prometheus.MustNewConstMetric(c.endpoint, prometheus.CounterValue, float64(sum.names[endpointCount+e.Key]), name, e.Name)
		state := snapshot.State(e)
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
func (c *collector) collectSockets(ch chan<- prometheus.Metric, all *traffic) {
	for name, s := range map[string]*server.TransportStats{"udp": &all.UDP, "tcp": &all.TCP, "dot": &all.TLS, "doh": &all.https.HTTPS} {
		for _, why := range server.Drops() {
			ch <- prometheus.MustNewConstMetric(c.dropped, prometheus.CounterValue, float64(s.Dropped[why]), name, why.String())
		}
		if name != "udp" {
			ch <- prometheus.MustNewConstMetric(c.connections, prometheus.GaugeValue, float64(s.Connections), name)
			ch <- prometheus.MustNewConstMetric(c.refused, prometheus.CounterValue, float64(s.Refused), name)
		}
	}
	for _, why := range doh.Refusals() {
		ch <- prometheus.MustNewConstMetric(c.notQueries, prometheus.CounterValue, float64(all.https.Refused[why]), why.String())
	}
}

// collectLog shows what became of records of queries.
func (c *collector) collectLog(ch chan<- prometheus.Metric) {
	s := c.app.queryLog.Stats()
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	count(c.logged, s.Written)
	count(c.unlogged, s.Dropped, "behind")
	count(c.unlogged, s.Failed, "write")
	count(c.tapped, s.DnstapWritten)
	count(c.untapped, s.DnstapDropped)
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
