//go:build linux

package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		want   float64
	}{
		{"none", nil, 0},
		{"one", []float64{7}, 7},
		{"odd, unsorted", []float64{9, 1, 5}, 5},
		{"even", []float64{4, 1, 3, 2}, 2.5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Median(tt.values); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestSummarizeTakesMediansAndSpreadsAndAddsErrors(t *testing.T) {
	got := Summarize(Row{Case: "get128", System: "nginx"}, []Sample{
		{CPU: 18, RPS: 50, P99: 3, RSS: 10, Requests: 100, LogLines: 1},
		{CPU: 17, RPS: 55, P99: 9, RSS: 12, Requests: 110, LogLines: 1, Errors: map[string]int64{"wrong status": 2}},
		{CPU: 21, RPS: 45, P99: 4, RSS: 11, Requests: 90, LogLines: 1, Errors: map[string]int64{"wrong status": 1, "timeout": 1}},
	})
	if got.CPU != 18 || got.RPS != 50 || got.P99 != 4 || got.RSS != 11 || got.LogLines != 1 || got.Rounds != 3 || got.Requests != 300 {
		t.Errorf("%+v", got)
	}
	if got.Spread["cpu_us_per_request"] != [2]float64{17, 21} || got.Spread["rss_mb"] != [2]float64{10, 12} {
		t.Errorf("spread %v", got.Spread)
	}
	if got.Failed() != 4 || got.Errors["wrong status"] != 3 {
		t.Errorf("errors %v", got.Errors)
	}
	if none := Summarize(Row{Note: "why"}, nil); none.Measured() || none.Note != "why" {
		t.Errorf("%+v", none)
	}
}

func row(name, system, logs string, cpu float64) Row {
	return Row{Case: name, System: system, Logs: logs, Loop: "closed", CPU: cpu, RPS: 1000 / cpu, P99: cpu, Rounds: 1}
}

func TestARerunReplacesItsCaseForAllSystems(t *testing.T) {
	d := new(Document)
	first := []Row{row("get128", "appgw", "on", 20), row("get128", "nginx", "on", 18), row("get128", "nginx", "off", 16), row("get10k", "nginx", "on", 30)}
	d.Merge(Info{ID: "1"}, first[:3])
	d.Merge(Info{ID: "1"}, first[3:])
	if len(d.Runs) != 1 {
		t.Errorf("runs %v", d.Runs)
	}
	d.Merge(Info{ID: "2"}, []Row{row("get128", "appgw", "on", 17)})
	if _, ok := d.Row("get128", "nginx", "on"); ok {
		t.Error("nginx's figure of another run is still there")
	}
	if r, _ := d.Row("get128", "appgw", "on"); r.CPU != 17 || r.Run != "2" {
		t.Errorf("%+v", r)
	}
	if _, ok := d.Row("get128", "nginx", "off"); !ok || len(d.Runs) != 2 {
		t.Errorf("more than the case is gone: %+v", d)
	}
	d.Merge(Info{ID: "3"}, []Row{row("get128", "nginx", "off", 1), row("get10k", "nginx", "on", 1)})
	if len(d.Runs) != 2 || d.Runs[0].ID != "2" {
		t.Errorf("a run without rows stays: %v", d.Runs)
	}
}

func TestADocumentSurvivesItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.json")
	empty, err := Load(path)
	if err != nil || len(empty.Results) != 0 {
		t.Fatalf("%+v, %v", empty, err)
	}
	empty.Merge(Info{ID: "1", Commit: "abc"}, []Row{row("get128", "appgw", "on", 17)})
	if err := empty.Save(path); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(path)
	for _, key := range []string{"case", "system", "cpu_us_per_request", "rps", "p50_ms", "p99_ms", "rss_mb"} {
		if !strings.Contains(string(text), `"`+key+`"`) {
			t.Errorf("no %q in\n%s", key, text)
		}
	}
	again, err := Load(path)
	if err != nil || again.Results[0].CPU != 17 || again.Runs[0].Commit != "abc" {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestVerdicts(t *testing.T) {
	cpu := Target{Case: "c", Metric: "cpu_us_per_request", Peers: []string{"nginx", "haproxy"}, Aim: 0.9, Required: 1.05}
	rps := Target{Case: "c", Metric: "rps", Peers: []string{"nginx", "haproxy"}, Aim: 1}
	growth := Target{Case: "c", Metric: "cpu_us_per_request", BaselineCase: "one", Aim: 1.03}
	limit := Target{Case: "c", Metric: "idle_kib_per_connection", Limit: 12, Aim: 1}
	tests := []struct {
		name         string
		target       Target
		ours         Row
		want         State
		wantAgainst  string
		wantBaseline float64
	}{
		{"aim reached", cpu, row("c", "appgw", "on", 18), Met, "haproxy", 20},
		{"between aim and required", cpu, row("c", "appgw", "on", 20), Required, "haproxy", 20},
		{"over required", cpu, row("c", "appgw", "on", 21.1), Missed, "haproxy", 20},
		{"more requests", rps, row("c", "appgw", "on", 19), Met, "haproxy", 50},
		{"fewer requests", rps, row("c", "appgw", "on", 21), Missed, "haproxy", 50},
		{"no growth", growth, row("c", "appgw", "on", 20), Met, "one", 20},
		{"growth", growth, row("c", "appgw", "on", 21), Missed, "one", 20},
		{"under the limit", limit, Row{Case: "c", System: "appgw", Logs: "on", IdleKiB: 11, Rounds: 1}, Met, "limit", 12},
		{"over the limit", limit, Row{Case: "c", System: "appgw", Logs: "on", IdleKiB: 13, Rounds: 1}, Missed, "limit", 12},
		{"errors spoil it", cpu, Row{Case: "c", System: "appgw", Logs: "on", CPU: 1, Rounds: 1, Errors: map[string]int64{"x": 1}}, Missed, "haproxy", 20},
		{"not measured", cpu, Row{Case: "c", System: "appgw", Logs: "on", Note: "did not start"}, Unknown, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := new(Document)
			d.Merge(Info{ID: "1"}, []Row{tt.ours, row("c", "nginx", "on", 25), row("c", "haproxy", "on", 20), row("one", "appgw", "on", 20), row("c", "caddy", "on", 1)})
			v := d.Judge([]Target{tt.target})[0]
			if v.State != tt.want || v.Against != tt.wantAgainst || v.Baseline != tt.wantBaseline {
				t.Errorf("%+v; want %v against %s %v", v, tt.want, tt.wantAgainst, tt.wantBaseline)
			}
		})
	}
}

func TestTargetsAreNotComparedAcrossRuns(t *testing.T) {
	d := new(Document)
	d.Merge(Info{ID: "1"}, []Row{row("hosts1", "appgw", "on", 20)})
	d.Merge(Info{ID: "2"}, []Row{row("hosts10000", "appgw", "on", 20)})
	for _, v := range d.Judge(Targets()) {
		if v.State != Unknown {
			t.Errorf("%+v", v)
		}
	}
}

func styleFor(cases ...string) Style {
	return Style{
		Cases: cases, Systems: []string{"appgw", "nginx"}, Titles: map[string]string{"get128": "small replies"},
		Logging: map[string]string{"nginx": "combined"},
	}
}

func TestTheTablesShowFiguresErrorsAndNotes(t *testing.T) {
	d := new(Document)
	bad := Summarize(Row{Case: "get128", System: "nginx", Logs: "off", Loop: "closed"}, []Sample{
		{CPU: 17.25, RPS: 54321, P50: 1, P99: 2.5, RSS: 24, Errors: map[string]int64{"wrong status": 3}},
		{CPU: 18.25, RPS: 56789, P50: 1, P99: 3.5, RSS: 24, TLS: "TLS 1.3 A"},
	})
	other := Row{Case: "get128", System: "haproxy", Logs: "off", TLS: "TLS 1.3 B", Rounds: 1}
	idle := Summarize(Row{Case: "idle5000", System: "nginx", Logs: "on", Loop: "idle"}, []Sample{{IdleKiB: 2.25, RSS: 30, PSS: 20}})
	d.Merge(Info{ID: "now", Commit: "abc", Rounds: 2, Versions: map[string]string{"nginx": "1.22"}}, []Row{
		bad, idle, other, {Case: "get128", System: "appgw", Logs: "off", Note: "did not start"},
	})
	text := string(d.Markdown(styleFor("get128", "idle5000")))
	for _, want := range []string{
		"| get128 | nginx | 17.8 (17.2-18.2) | 55555 (54321-56789) | 1.00 | 3.00 (2.50-3.50) | 24.0 | **3 wrong status** |",
		"| get128 | appgw | did not start |",
		"| idle5000 | nginx | 2.2 | 30.0 | 20.0 | 0 |",
		"- nginx: 1.22; access log: combined",
		"| get128 | CPU us/request | | | | <= 0.95 | not measured |",
		"- get128: small replies; agreed on TLS 1.3 A and TLS 1.3 B\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestTheTargetTableSaysByHowMuch(t *testing.T) {
	d := new(Document)
	d.Merge(Info{ID: "1"}, []Row{row("get128", "appgw", "on", 22), row("get128", "nginx", "on", 20)})
	text := string(d.Markdown(styleFor("get128")))
	if want := "| get128 | CPU us/request | 22.0 | 20.0 (nginx) | 1.10 | <= 0.95 | **missed** by 16 % |"; !strings.Contains(text, want) {
		t.Errorf("no %q in\n%s", want, text)
	}
}

func TestOnlyTheGeneratedSectionIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "RESULTS.md")
	write := func(text string) {
		t.Helper()
		if err := WriteSection(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	text, _ := os.ReadFile(path)
	os.WriteFile(path, []byte(string(text)+"\nWhy get1m is missed: because.\n"), 0o600)
	write("second\n")
	write("third\n")
	text, _ = os.ReadFile(path)
	got := string(text)
	if strings.Contains(got, "first") || strings.Contains(got, "second") || strings.Count(got, "third") != 1 ||
		strings.Count(got, beginMarker) != 1 || !strings.HasPrefix(got, "# Benchmark results") || !strings.HasSuffix(got, "because.\n") {
		t.Errorf("%s", got)
	}
	os.WriteFile(path, []byte("x "+beginMarker+" y"), 0o600)
	if err := WriteSection(path, nil); err == nil {
		t.Error("a section without an end was replaced")
	}
}

// A figure that the generator of the load does not have is not printed as
// zero.
func TestAFigureNobodyMeasuredIsNone(t *testing.T) {
	samples := []Sample{{CPU: 10, RPS: 100, Requests: 5}, {CPU: 12, RPS: 90, Requests: 5}}
	r := Summarize(Row{Case: "h2_get128", System: "appgw"}, samples)
	if got := latency(r.P99) + Spread(r, "p99_ms"); got != "-" {
		t.Errorf("p99 is %q", got)
	}
	if got := Spread(r, "rps"); got != " (90.0-100)" {
		t.Errorf("the spread of requests/s is %q", got)
	}
}
