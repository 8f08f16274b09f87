package telemetry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"gatehouse/internal/tlscert"
)

// scrape returns every series and its value; a histogram shows its count and
// its sum.
func scrape(t testing.TB, m *Metrics) map[string]float64 {
	t.Helper()
	families, err := m.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, s := range f.GetMetric() {
			var labels []string
			for _, l := range s.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			series := f.GetName() + "{" + strings.Join(labels, ",") + "}"
			switch {
			case s.GetCounter() != nil:
				all[series] = s.GetCounter().GetValue()
			case s.GetGauge() != nil:
				all[series] = s.GetGauge().GetValue()
			case s.GetHistogram() != nil:
				all[series+" count"] = float64(s.GetHistogram().GetSampleCount())
				all[series+" sum"] = s.GetHistogram().GetSampleSum()
			}
		}
	}
	return all
}

func expect(t *testing.T, got map[string]float64, want map[string]float64) {
	t.Helper()
	for k, w := range want {
		if g, ok := got[k]; !ok || g != w {
			t.Errorf("%s is %v (present: %v), want %v", k, g, ok, w)
		}
	}
}

func TestObserveCounts(t *testing.T) {
	m := NewMetrics(MetricsOptions{})
	g := m.Begin()
	route := g.Route("web", "main", "shop")
	g.Route("web", "idle", "shop")
	g.Commit()
	if got := scrape(t, m); len(got) == 0 || hasPart(got, "rule=main") {
		t.Error("a route that never served is shown")
	}

	ok := usualRecord()
	ok.Ta, ok.Tr = 3_000_000, 1_000_000
	fresh := usualRecord()
	fresh.Reused, fresh.Tc, fresh.Retries, fresh.Ta = false, 2_000_000, 2, 1_000_000_000
	refused := new(Record)
	refused.Reset()
	refused.Status, refused.BytesIn, refused.Termination = 400, 10, Termination{'P', 'R'}
	gone := usualRecord()
	gone.Status, gone.Termination = 0, Termination{'C', 'D'}
	for shard, r := range []*Record{ok, ok, fresh, refused, gone} {
		route.Observe(uint32(shard), r)
	}
	got := scrape(t, m)
	const l = "{listener=web,pool=shop,rule=main}"
	expect(t, got, map[string]float64{
		"gatehouse_requests_total{code=2xx,listener=web,pool=shop,rule=main}":                   3,
		"gatehouse_requests_total{code=4xx,listener=web,pool=shop,rule=main}":                   1,
		"gatehouse_requests_total{code=5xx,listener=web,pool=shop,rule=main}":                   0,
		"gatehouse_requests_total{code=none,listener=web,pool=shop,rule=main}":                  1,
		"gatehouse_requests_ended_early_total{listener=web,pool=shop,rule=main,termination=PR}": 1,
		"gatehouse_requests_ended_early_total{listener=web,pool=shop,rule=main,termination=CD}": 1,
		"gatehouse_request_bytes_total" + l:                                                     4*412 + 10,
		"gatehouse_response_bytes_total" + l:                                                    4 * 10421,
		"gatehouse_backend_received_bytes_total" + l:                                            4 * 10388,
		"gatehouse_backend_sent_bytes_total" + l:                                                4 * 502,
		"gatehouse_backend_retries_total" + l:                                                   2,
		"gatehouse_backend_connections_opened_total" + l:                                        1,
		"gatehouse_backend_connections_reused_total" + l:                                        3,
		"gatehouse_request_duration_seconds" + l + " count":                                     5,
		"gatehouse_backend_response_seconds" + l + " count":                                     4,
		"gatehouse_backend_connect_seconds" + l + " sum":                                        0.002,
	})
	if hasPart(got, "termination=--") || hasPart(got, "rule=idle") {
		t.Error("series of nothing")
	}
}

func hasPart(series map[string]float64, part string) bool {
	for s := range series {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}

func TestShardsAddUp(t *testing.T) {
	route := newRoute(routeKey{}, 4)
	var wg sync.WaitGroup
	for shard := range uint32(8) {
		wg.Go(func() {
			for range 1000 {
				route.Observe(shard, usualRecord())
			}
		})
	}
	wg.Wait()
	if sum, served := route.total(); !served || sum.codes[2] != 8000 || sum.reuses != 8000 {
		t.Errorf("%+v", sum)
	}
}

func TestBucketsAreThoseOfTheBounds(t *testing.T) {
	bounds := bucketBounds()
	slow := func(ns int64) int {
		for i, b := range bounds {
			if ns <= b {
				return i
			}
		}
		return buckets
	}
	check := func(ns int64) {
		if got, want := bucketOf(ns), slow(ns); got != want {
			t.Errorf("%d ns is in bucket %d, want %d", ns, got, want)
		}
	}
	for _, b := range bounds {
		check(b - 1)
		check(b)
		check(b + 1)
	}
	for range 1000 {
		check(rand.Int64N(int64(time.Minute)))
	}
	var h histogram
	var sum tally
	for _, ns := range []int64{-1, 0, 400_000, 600_000, int64(time.Hour)} {
		h.observe(ns)
	}
	sum.add(&h)
	n, seconds, upTo := sum.cumulative()
	if n != 5 || seconds != 3600.001 || upTo[0.0005] != 3 || upTo[0.001] != 4 || upTo[30] != 4 {
		t.Errorf("count %d, sum %v, buckets %v", n, seconds, upTo)
	}
}

func TestReloadsKeepCountersAndForgetTheRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMetrics(MetricsOptions{Retain: time.Minute})
		first := m.Begin()
		stays, goes := first.Route("l", "stays", "p"), first.Route("l", "goes", "p")
		first.Listener("l").Opened(0)
		first.Commit()
		stays.Observe(0, usualRecord())
		goes.Observe(0, usualRecord())

		failed := m.Begin() // a build that is dropped
		failed.Route("l", "never", "p")

		second := m.Begin()
		if second.Route("l", "stays", "p") != stays {
			t.Error("the same names give another route")
		}
		second.Listener("l")
		second.Commit()
		stays.Observe(0, usualRecord())
		got := scrape(t, m)
		expect(t, got, map[string]float64{
			"gatehouse_requests_total{code=2xx,listener=l,pool=p,rule=stays}": 2,
			"gatehouse_requests_total{code=2xx,listener=l,pool=p,rule=goes}":  1,
			"gatehouse_connections_open{listener=l}":                          1,
		})
		time.Sleep(2 * time.Minute)
		if got = scrape(t, m); hasPart(got, "rule=goes") || !hasPart(got, "rule=stays") {
			t.Error("after its time the removed route is shown, or the other is not")
		}
		if n := len(m.routes.old); n != 0 {
			t.Errorf("%d old routes are kept", n)
		}
		goes.Observe(0, usualRecord()) // a tunnel that ends late
	})
}

func TestRemovedRoutesAreBounded(t *testing.T) {
	m := NewMetrics(MetricsOptions{RetainMax: 10})
	var last *Route
	for i := range 100 {
		g := m.Begin()
		for j := range 5 {
			last = g.Route("l", fmt.Sprint(i, "-", j), "p")
			last.Observe(0, usualRecord())
		}
		g.Commit()
	}
	if n := len(m.routes.old); n != 10 {
		t.Errorf("%d removed routes are kept, want 10", n)
	}
	if n := len(m.routes.current); n != 5 {
		t.Errorf("%d routes are current, want 5", n)
	}
	// A big build does not lose what it has not committed yet.
	g := m.Begin()
	first := g.Route("l", "big", "p")
	for i := range 50 {
		g.Route("l", fmt.Sprint("big", i), "p")
	}
	scrape(t, m) // prunes
	g.Commit()
	first.Observe(0, usualRecord())
	if !hasPart(scrape(t, m), "rule=big}") {
		t.Error("a route was forgotten between build and commit")
	}
	g.Route("l", "late", "p").Observe(0, usualRecord()) // must not appear twice
	scrape(t, m)
}

func TestListenerCounts(t *testing.T) {
	m := NewMetrics(MetricsOptions{})
	g := m.Begin()
	l := g.Listener("web")
	g.Commit()
	for shard := range uint32(5) {
		l.Opened(shard)
		l.Began(shard)
		l.TunnelOpened(shard)
	}
	l.Closed(77) // on another core than it was opened
	l.Ended(78)
	l.TunnelClosed(79)
	l.Rejected(0, RejectPerClient)
	l.Rejected(0, Rejection(200))
	l.LimitHit(1, LimitHeadBytes)
	l.LimitHit(1, Limit(200))
	l.Handshake(2, tls.VersionTLS13, true)
	l.Handshake(3, 0x9999, false)
	l.HandshakeFailed(0, TLSFailedNotTLS)
	l.HandshakeFailed(0, TLSFailure(200))
	expect(t, scrape(t, m), map[string]float64{
		"gatehouse_connections_accepted_total{listener=web}":                               5,
		"gatehouse_connections_open{listener=web}":                                         4,
		"gatehouse_requests_in_flight{listener=web}":                                       4,
		"gatehouse_tunnels_open{listener=web}":                                             4,
		"gatehouse_connections_rejected_total{listener=web,reason=connections_per_client}": 1,
		"gatehouse_limits_hit_total{limit=headBytes,listener=web}":                         1,
		"gatehouse_tls_handshakes_total{listener=web,resumed=true,version=TLSv1.3}":        1,
		"gatehouse_tls_handshakes_total{listener=web,resumed=false,version=other}":         1,
		"gatehouse_tls_handshake_failures_total{listener=web,reason=not_tls}":              1,
		"gatehouse_tls_handshake_failures_total{listener=web,reason=other}":                1,
	})
}

func TestEveryLabelValueHasAName(t *testing.T) {
	for i := range rejections {
		if s := Rejection(i).String(); s == "other" {
			t.Errorf("rejection %d has no name", i)
		}
	}
	for i := range limits {
		if s := Limit(i).String(); s == "other" {
			t.Errorf("limit %d has no name", i)
		}
	}
	for i := range reloadOutcomes {
		if i.String() == "other" {
			t.Errorf("reload outcome %d has no name", i)
		}
	}
	for i := 1; i < tlsFailures; i++ {
		if s := TLSFailure(i).String(); s == "other" {
			t.Errorf("TLS failure %d has no name", i)
		}
	}
	if labelOf(-1, nil) != "other" || labelOf(9, nil) != "other" {
		t.Error("a value out of range has a name")
	}
	for i := range terminations - 1 {
		if got := (Termination([]byte(terminationLabel(i)))).index(); got != i {
			t.Errorf("termination %s has index %d, want %d", terminationLabel(i), got, i)
		}
	}
	if (Termination{}).index() != 0 || (Termination{}).String() != "--" || (Termination{'x', 'R'}).index() != terminations-1 {
		t.Error("odd terminations are misplaced")
	}
}

func TestHostileNamesDoNotBreakTheScrape(t *testing.T) {
	m := NewMetrics(MetricsOptions{})
	g := m.Begin()
	long := strings.Repeat("x", 1000)
	for _, name := range []string{"a\"b\n", "\xff", "\xfe", long, long + "y", "é" + long} {
		g.Listener(name).Opened(0)
		g.Route(name, name, name).Observe(0, usualRecord())
	}
	g.Commit()
	got := scrape(t, m)
	n := 0
	for s := range got {
		if strings.HasPrefix(s, "gatehouse_connections_open") {
			n++
			if len(s) > 200 {
				t.Errorf("label of %d bytes", len(s))
			}
		}
	}
	if n != 6 {
		t.Errorf("%d listeners, want 6", n)
	}
}

func TestProcessState(t *testing.T) {
	m := NewMetrics(MetricsOptions{Version: "1.2.3"})
	expiry := time.Unix(1_800_000_000, 0)
	m.SetCertificates(func() []CertificateExpiry {
		return []CertificateExpiry{{"web", "a.crt", expiry.Add(time.Hour)}, {"web", "a.crt", expiry}}
	})
	m.SetRetiredSnapshots(func() int { return 2 })
	at := time.Unix(1_700_000_000, 500_000_000)
	m.Reloaded(ReloadApplied, at)
	m.Reloaded(ReloadRefused, at.Add(time.Hour))
	extra := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "gatehouse_extra"}, func() float64 { return 3 })
	if err := m.Register(extra); err != nil {
		t.Fatal(err)
	}
	if err := m.Register(extra); err == nil {
		t.Error("the same collector was registered twice")
	}
	got := scrape(t, m)
	expect(t, got, map[string]float64{
		"gatehouse_certificate_expiry_timestamp_seconds{listener=web,name=a.crt}": 1_800_000_000,
		"gatehouse_config_snapshots_retired{}":                                    2,
		"gatehouse_config_reloads_total{outcome=applied}":                         1,
		"gatehouse_config_reloads_total{outcome=refused}":                         1,
		"gatehouse_config_reloads_total{outcome=unchanged}":                       0,
		"gatehouse_config_last_reload_successful{}":                               0,
		"gatehouse_config_last_reload_success_timestamp_seconds{}":                1_700_000_000.5,
		"gatehouse_extra{}": 3,
	})
	for _, part := range []string{"gatehouse_build_info{", "version=1.2.3", "go_goroutines", "process_resident_memory_bytes"} {
		if !hasPart(got, part) {
			t.Errorf("%s is missing", part)
		}
	}
	if !m.Unregister(extra) || hasPart(scrape(t, m), "gatehouse_extra") {
		t.Error("Unregister left the collector")
	}
}

func TestMetricNamesFollowTheConventions(t *testing.T) {
	m := NewMetrics(MetricsOptions{})
	g := m.Begin()
	route, l := g.Route("l", "r", "p"), g.Listener("l")
	g.Commit()
	r := usualRecord()
	r.Termination = Termination{'S', 'H'}
	route.Observe(0, r)
	l.Opened(0)
	l.Rejected(0, RejectConnections)
	l.LimitHit(0, LimitFields)
	l.Handshake(0, tls.VersionTLS12, false)
	l.HandshakeFailed(0, TLSFailedClosed)
	m.SetCertificates(func() []CertificateExpiry { return []CertificateExpiry{{"l", "c", time.Now()}} })
	m.SetRetiredSnapshots(func() int { return 0 })
	problems, err := testutil.GatherAndLint(m.Gatherer())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "gatehouse_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	for _, name := range []string{
		"gatehouse_requests_total", "gatehouse_request_duration_seconds", "gatehouse_backend_response_seconds",
		"gatehouse_backend_connect_seconds", "gatehouse_requests_in_flight", "gatehouse_connections_open",
		"gatehouse_connections_accepted_total", "gatehouse_connections_rejected_total", "gatehouse_limits_hit_total",
		"gatehouse_request_bytes_total", "gatehouse_response_bytes_total", "gatehouse_backend_retries_total",
		"gatehouse_requests_ended_early_total", "gatehouse_tls_handshakes_total", "gatehouse_tls_handshake_failures_total",
		"gatehouse_config_reloads_total", "gatehouse_config_last_reload_success_timestamp_seconds",
		"gatehouse_config_snapshots_retired", "gatehouse_certificate_expiry_timestamp_seconds", "gatehouse_build_info",
	} {
		if n, err := testutil.GatherAndCount(m.Gatherer(), name); err != nil || n == 0 {
			t.Errorf("%s: %d series, %v", name, n, err)
		}
	}
}

func TestTLSErrorsAreClassified(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want TLSFailure
	}{
		{"plain HTTP", handshakeError(t, func(c net.Conn) { io.WriteString(c, "GET / HTTP/1.1\r\n\r\n") }), TLSFailedNotTLS},
		{"closed", handshakeError(t, func(c net.Conn) {}), TLSFailedClosed},
		{"old version", handshakeError(t, func(c net.Conn) {
			tls.Client(c, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}).Handshake()
		}), TLSFailedNoneInCommon},
		{"no certificate", handshakeErrorOf(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert, Certificates: []tls.Certificate{selfSigned(t)}}, func(c net.Conn) {
			conn := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			conn.Handshake()
			conn.Read(make([]byte, 1))
		}), TLSFailedCertMissing},
		{"revoked", fmt.Errorf("handshake: %w", &tlscert.ClientError{Why: tlscert.ClientCertRevoked}), TLSFailedCertRevoked},
		{"expired", &tlscert.ClientError{Why: tlscert.ClientCertExpired}, TLSFailedCertExpired},
		{"unknown CA", &tlscert.ClientError{Why: tlscert.ClientCertUnknownCA}, TLSFailedCertUnknownCA},
		{"usage", &tlscert.ClientError{Why: tlscert.ClientCertUsage}, TLSFailedCertUsage},
		{"issuer", &tlscert.ClientError{Why: tlscert.ClientCertIssuer}, TLSFailedCertIssuer},
		{"no list", &tlscert.ClientError{Why: tlscert.ClientCertCRL}, TLSFailedCertCRL},
		{"no responder", &tlscert.ClientError{Why: tlscert.ClientCertOCSP}, TLSFailedCertOCSP},
		{"invalid", &tlscert.ClientError{Why: tlscert.ClientCertInvalid}, TLSFailedCertInvalid},
		{"timeout", fmt.Errorf("read: %w", os.ErrDeadlineExceeded), TLSFailedTimeout},
		{"context", context.DeadlineExceeded, TLSFailedTimeout},
		{"anything", errors.New("tls: bad"), TLSFailedOther},
		{"alert", tls.AlertError(42), TLSFailedOther},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ClassifyTLSError(tt.err); got != tt.want {
				t.Errorf("%v is %v, want %v", tt.err, got, tt.want)
			}
		})
	}
}

// handshakeError is what a TLS 1.3 server says of a client.
func handshakeError(t *testing.T, client func(net.Conn)) error {
	t.Helper()
	return handshakeErrorOf(t, &tls.Config{MinVersion: tls.VersionTLS13}, client)
}

// handshakeErrorOf is what a server says of a client.
func handshakeErrorOf(t *testing.T, server *tls.Config, client func(net.Conn)) error {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	raw.SetDeadline(time.Now().Add(10 * time.Second))
	go func() {
		defer raw.Close()
		client(raw)
	}()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return tls.Server(conn, server).Handshake()
}

// selfSigned is a certificate for a server that nobody need trust.
func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	cert, key, err := tlscert.SelfSigned([]string{"a.example"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}
