package operator

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"gatehouse/internal/testkit"
)

// scrape returns the series of gatehouse by name and labels, as they are written.
func (g *gateway) scrape(t *testing.T) map[string]float64 {
	t.Helper()
	status, text := g.ask(t, http.MethodGet, "/metrics", nil)
	if status != http.StatusOK {
		t.Fatalf("/metrics: %d %s", status, text)
	}
	series := map[string]float64{}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "gatehouse_") {
			continue
		}
		cut := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(strings.TrimSpace(line[cut:]), 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		series[line[:cut]] = v
	}
	return series
}

// expectMetrics waits until the series have these values: what a request counts is counted when it is over.
func (g *gateway) expectMetrics(t *testing.T, want map[string]float64) {
	t.Helper()
	var got map[string]float64
	holds := func() bool {
		got = g.scrape(t)
		for k, v := range want {
			if n, ok := got[k]; !ok || n != v {
				return false
			}
		}
		return true
	}
	for end := time.Now().Add(soon); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			break
		}
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if v, ok := got[k]; !ok || v != want[k] {
			t.Errorf("%s is %v (there: %v), want %v", k, v, ok, want[k])
		}
	}
}

const route = `{listener="web",pool="app",rule="web"}`

// of is the name of a series of the route with one more label, which are in the order of the alphabet.
func of(name, label string) string {
	all := append([]string{label}, `listener="web"`, `pool="app"`, `rule="web"`)
	slices.Sort(all)
	return "gatehouse_" + name + "{" + strings.Join(all, ",") + "}"
}

func TestCountersAreRightAfterKnownTraffic(t *testing.T) {
	g := start(t, "json", "")
	var in, out int
	c := testkit.Dial(t, g.web)
	do := func(method, target, body string) {
		request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: web.test\r\nContent-Length: %d\r\n\r\n%s", method, target, len(body), body)
		c.Send(request)
		r := c.ReadResponse(method)
		in, out = in+len(request), out+len(r.Head)+len(r.Content)
	}
	for range 5 {
		do("GET", "/", "")
	}
	for range 2 {
		do("POST", "/", strings.Repeat("b", 1000))
	}
	for range 3 {
		do("GET", "/missing", "")
	}
	do("GET", "/broken", "")
	g.expectMetrics(t, map[string]float64{
		of("requests_total", `code="2xx"`): 7, of("requests_total", `code="3xx"`): 0,
		of("requests_total", `code="4xx"`): 3, of("requests_total", `code="5xx"`): 1,
		"gatehouse_request_duration_seconds_count" + route:                                                     11,
		`gatehouse_request_duration_seconds_bucket{listener="web",pool="app",rule="web",le="+Inf"}`:            11,
		"gatehouse_backend_response_seconds_count" + route:                                                     11,
		"gatehouse_backend_connect_seconds_count" + route:                                                      1,
		"gatehouse_backend_connections_opened_total" + route:                                                   1,
		"gatehouse_backend_connections_reused_total" + route:                                                   10,
		"gatehouse_backend_retries_total" + route:                                                              0,
		"gatehouse_request_bytes_total" + route:                                                                float64(in),
		"gatehouse_response_bytes_total" + route:                                                               float64(out),
		`gatehouse_connections_accepted_total{listener="web"}`:                                                 1,
		`gatehouse_connections_open{listener="web"}`:                                                           1,
		`gatehouse_requests_in_flight{listener="web"}`:                                                         0,
		`gatehouse_client_connections`:                                                                         1,
		`gatehouse_access_log_lines_total`:                                                                     11,
		`gatehouse_access_log_dropped_lines_total{reason="buffer_full"}`:                                       0,
		fmt.Sprintf(`gatehouse_backend_requests_total{backend="%s",pool="app",settings="plain"}`, g.main.Addr): 11,
	})
	buckets(t, g.scrape(t))
}

// buckets checks that the buckets of the route's durations only grow and end in the count.
func buckets(t *testing.T, series map[string]float64) {
	t.Helper()
	type bucket struct{ le, n float64 }
	var all []bucket
	for k, n := range series {
		m := regexp.MustCompile(`^gatehouse_request_duration_seconds_bucket\{listener="web",pool="app",rule="web",le="([^"]+)"\}$`).FindStringSubmatch(k)
		if m == nil {
			continue
		}
		le, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bucket{le, n})
	}
	slices.SortFunc(all, func(a, b bucket) int {
		if a.le < b.le {
			return -1
		}
		return 1
	})
	if len(all) < 8 {
		t.Fatalf("only %d buckets", len(all))
	}
	for i := 1; i < len(all); i++ {
		if all[i].n < all[i-1].n {
			t.Errorf("bucket %v has %v, less than the one before", all[i].le, all[i].n)
		}
	}
}

func TestWhatEndsEarlyIsCounted(t *testing.T) {
	g := start(t, "off", "")
	for range 2 {
		g.get(t, "away.test", "/")
	}
	g.get(t, "unknown.test", "/")
	g.get(t, "denied.test", "/")
	g.get(t, "refused.test", "/")
	g.get(t, "slow.test", "/stall")
	g.get(t, "web.test", "/retry/1")
	g.get(t, "web.test", "/"+strings.Repeat("x", 600))
	g.expectMetrics(t, map[string]float64{
		`gatehouse_requests_total{code="3xx",listener="away",pool="",rule="away"}`:                             2,
		`gatehouse_requests_total{code="4xx",listener="",pool="",rule=""}`:                                     2,
		`gatehouse_requests_total{code="4xx",listener="denied",pool="",rule="denied"}`:                         1,
		`gatehouse_requests_total{code="5xx",listener="refused",pool="dead",rule="refused"}`:                   1,
		`gatehouse_requests_total{code="5xx",listener="slow",pool="app",rule="slow"}`:                          1,
		`gatehouse_requests_total{code="2xx",listener="web",pool="half",rule="web"}`:                           1,
		`gatehouse_backend_retries_total{listener="web",pool="half",rule="web"}`:                               1,
		`gatehouse_requests_ended_early_total{listener="away",pool="",rule="away",termination="P-"}`:           2,
		`gatehouse_requests_ended_early_total{listener="denied",pool="",rule="denied",termination="PR"}`:       1,
		`gatehouse_requests_ended_early_total{listener="refused",pool="dead",rule="refused",termination="SC"}`: 1,
		`gatehouse_requests_ended_early_total{listener="slow",pool="app",rule="slow",termination="SH"}`:        1,
		`gatehouse_limits_hit_total{limit="urlBytes",listener="web"}`:                                          1,
		`gatehouse_access_log_lines_total`:                                                                     0,
	})
}

func TestGaugesFollow(t *testing.T) {
	g := start(t, "off", "")
	var clients []*testkit.Client
	for range 3 {
		c := testkit.Dial(t, g.web)
		c.Send("GET /stall HTTP/1.1\r\nHost: web.test\r\n\r\n")
		clients = append(clients, c)
	}
	idle := testkit.Dial(t, g.web)
	idle.Send("GET / HTTP/1.1\r\nHost: web.test\r\n\r\n")
	idle.ReadResponse("GET")
	inFlight := fmt.Sprintf(`gatehouse_backend_in_flight_requests{backend="%s",pool="app",settings="plain"}`, g.main.Addr)
	g.expectMetrics(t, map[string]float64{
		`gatehouse_requests_in_flight{listener="web"}`: 3, inFlight: 3,
		`gatehouse_connections_open{listener="web"}`: 4, `gatehouse_client_connections`: 4,
	})
	for _, c := range append(clients, idle) {
		c.Conn.Close()
	}
	g.expectMetrics(t, map[string]float64{
		`gatehouse_requests_in_flight{listener="web"}`: 0, inFlight: 0,
		`gatehouse_connections_open{listener="web"}`: 0, `gatehouse_client_connections`: 0,
		of("requests_ended_early_total", `termination="CH"`): 3,
	})
}

func TestStateOfBackendsAndCertificates(t *testing.T) {
	g := start(t, "off", "")
	state := func(pool, settings, state string) string {
		return fmt.Sprintf(`gatehouse_backend_state{backend="%s",pool="%s",settings="%s",state="%s"}`, g.main.Addr, pool, settings, state)
	}
	up := func(pool, settings string) string {
		return fmt.Sprintf(`gatehouse_backend_up{backend="%s",pool="%s",settings="%s"}`, g.main.Addr, pool, settings)
	}
	g.expectMetrics(t, map[string]float64{
		up("app", "plain"): 1, state("app", "plain", "untried"): 1, up("app", "waiting"): 0, state("app", "waiting", "unhealthy"): 1,
	})
	if status, text := g.ask(t, http.MethodPost, "/drain?backend="+g.main.Addr, nil); status != 200 {
		t.Fatalf("drain: %d %s", status, text)
	}
	g.expectMetrics(t, map[string]float64{up("app", "plain"): 0, state("app", "plain", "drained"): 1})

	found := false
	for k, v := range g.scrape(t) {
		if strings.HasPrefix(k, `gatehouse_certificate_expiry_timestamp_seconds{listener="secure",name="`) {
			left := time.Until(time.Unix(int64(v), 0))
			found = left > 23*time.Hour && left < 25*time.Hour
		}
	}
	if !found {
		t.Error("the expiry of the certificate is not there, or wrong")
	}
}

func TestReloadsAreCounted(t *testing.T) {
	g := start(t, "off", "")
	g.settle(t)
	before := g.scrape(t)
	good := g.read(t)
	g.write(t, "listeners: nonsense\n")
	g.ask(t, http.MethodPost, "/reload", nil)
	got := g.scrape(t)
	if got[`gatehouse_config_last_reload_successful`] != 0 || got[`gatehouse_config_reloads_total{outcome="refused"}`] < 1 {
		t.Errorf("a refused reload is not seen: %v", got[`gatehouse_config_reloads_total{outcome="refused"}`])
	}
	g.write(t, good)
	g.ask(t, http.MethodPost, "/reload", nil)
	got = g.scrape(t)
	const success = `gatehouse_config_last_reload_success_timestamp_seconds`
	if got[`gatehouse_config_last_reload_successful`] != 1 || got[success] <= before[success] ||
		got[`gatehouse_config_reloads_total{outcome="applied"}`] <= before[`gatehouse_config_reloads_total{outcome="applied"}`] {
		t.Errorf("an applied reload is not seen: %v", got)
	}
}

// settle waits until the gateway has seen that its file is as it was: one that was written just before the start is read again.
func (g *gateway) settle(t *testing.T) {
	t.Helper()
	last := -1.0
	testkit.Eventually(t, soon, "no more reloads", func() bool {
		n := g.scrape(t)[`gatehouse_config_reloads_total{outcome="applied"}`]
		if n == last {
			return true
		}
		last = n
		time.Sleep(300 * time.Millisecond)
		return false
	})
}

// A request that is under way holds the configuration that it began with, and that can be seen.
func TestRetiredConfigurationsAreSeen(t *testing.T) {
	g := start(t, "off", "")
	g.settle(t)
	const retired = `gatehouse_config_snapshots_retired`
	g.expectMetrics(t, map[string]float64{retired: 0})
	c := testkit.Dial(t, g.web)
	c.Send("GET /stall HTTP/1.1\r\nHost: web.test\r\n\r\n")
	g.expectMetrics(t, map[string]float64{`gatehouse_requests_in_flight{listener="web"}`: 1})
	g.Signal(syscall.SIGHUP)
	g.expectMetrics(t, map[string]float64{retired: 1})
	c.Conn.Close()
	g.expectMetrics(t, map[string]float64{retired: 0})
}

func TestMetricsArePromlintClean(t *testing.T) {
	g := start(t, "json", "")
	g.get(t, "web.test", "/")
	g.get(t, "web.test", "/retry/1")
	g.get(t, "unknown.test", "/")
	c := testkit.DialTLS(t, g.tls, g.ca.ClientConfig("secure.test"))
	c.Send("GET / HTTP/1.1\r\nHost: secure.test\r\n\r\n")
	c.ReadResponse("GET")
	_, text := g.ask(t, http.MethodGet, "/metrics", nil)
	problems, err := promlint.New(bytes.NewReader([]byte(text))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "gatehouse_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	for _, name := range []string{"go_goroutines", "process_open_fds", "gatehouse_build_info", `gatehouse_tls_handshakes_total{listener="secure"`} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("%s is missing", name)
		}
	}
}

// Nobody outside chooses the value of a label: a thousand of everything add no series.
func TestLabelsAreBounded(t *testing.T) {
	g := start(t, "off", "")
	wave := func(from int) {
		c := testkit.Dial(t, g.web)
		for i := from; i < from+1000; i++ {
			method := []string{"GET", "POST", "OPTIONS", fmt.Sprintf("M%d", i)}[i%4]
			host := []string{"web.test", fmt.Sprintf("h%d.many.test", i), fmt.Sprintf("h%d.test", i)}[i%3]
			c.Send(fmt.Sprintf("%s /%d?%d HTTP/1.1\r\nHost: %s\r\nUser-Agent: a%d\r\nContent-Length: 0\r\n\r\n", method, i, i, host, i))
			if r := c.ReadResponse(method); r.Close {
				c = testkit.Dial(t, g.web)
			}
		}
	}
	wave(0)
	before := g.scrape(t)
	wave(5000)
	after := g.scrape(t)
	for k := range after {
		if _, there := before[k]; !there {
			t.Errorf("a new series: %s", k)
		}
	}
	if n := len(after); n > 400 {
		t.Errorf("%d series", n)
	}
	total := 0.0
	for k, v := range after {
		if strings.HasPrefix(k, "gatehouse_requests_total{") {
			total += v
		}
	}
	if total < 1990 {
		t.Errorf("%v of 2000 requests are counted", total)
	}
}
