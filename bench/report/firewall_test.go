//go:build linux

package report

import (
	"strings"
	"testing"
)

func firewallStyle() Style {
	return Style{
		Cases: []string{"get128"}, Firewalls: []string{"waf_get", "waf_memory"}, Titles: map[string]string{"waf_get": "a GET"},
		Systems: []string{"appgw", "nginx", "appgw-waf", "appgw-plain", "nginx-modsecurity"},
		Without: map[string]string{"appgw-waf": "appgw", "appgw-plain": "appgw", "nginx-modsecurity": "nginx"},
	}
}

// memory is a row of resident memory.
func memory(system string, mb float64) Row {
	return Row{Case: "waf_memory", System: system, Logs: "on", Loop: "memory", RSS: mb, PSS: mb / 2, Rounds: 1}
}

func TestFirewallsHaveATableOfTheirOwn(t *testing.T) {
	d := new(Document)
	d.Merge(Info{ID: "1"}, []Row{
		row("waf_get", "appgw", "on", 25), row("waf_get", "nginx", "on", 20), row("waf_get", "appgw-waf", "on", 75),
		row("waf_get", "appgw-plain", "on", 1500), row("waf_get", "nginx-modsecurity", "on", 2000), row("get128", "appgw", "on", 20),
		memory("appgw", 20), memory("appgw-waf", 70.5), {Case: "waf_memory", System: "nginx", Logs: "on", Loop: "memory", Note: "did not start"},
	})
	text := string(d.Markdown(firewallStyle()))
	for _, want := range []string{
		"| waf_get | appgw | 25.0 |  | 0.33 | 40.0 |",
		"| waf_get | appgw-waf | 75.0 | 50.0 | 1.00 |",
		"| waf_get | appgw-plain | 1500 | 1475 | 20.0 |",
		"| waf_get | nginx-modsecurity | 2000 | 1980 | 26.7 |",
		"| waf_memory | appgw-waf | 70.5 | 50.5 | 35.2 |",
		"| waf_memory | nginx | did not start |",
		"- waf_get: a GET\n",
		"| waf_get | CPU us/request | 75.0 | 2000 (nginx-modsecurity) | 0.037 | <= 0.067 | met |",
		"| waf_memory | MB of a policy | 50.5 | 64.0 (limit) | 0.79 | <= 1.00 | met |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	before, _, _ := strings.Cut(text, "### Web application firewalls")
	if strings.Contains(before, "| waf_get | appgw |") || !strings.Contains(before, "| get128 | appgw |") {
		t.Errorf("the tables are mixed:\n%s", text)
	}
}

func TestWithoutAFirewallCaseThereIsNoTableOfThem(t *testing.T) {
	d := new(Document)
	d.Merge(Info{ID: "1"}, []Row{row("get128", "appgw", "on", 20)})
	if text := string(d.Markdown(firewallStyle())); strings.Contains(text, "### Web application firewalls") {
		t.Errorf("%s", text)
	}
}

func TestMemoryIsNotComparedAcrossRuns(t *testing.T) {
	d := &Document{Results: []Row{memory("appgw", 20), memory("appgw-waf", 60)}}
	d.Results[1].Run = "2"
	for _, v := range d.Judge(firewallTargets()) {
		if v.State != Unknown {
			t.Errorf("%+v", v)
		}
	}
	if text := string(d.Markdown(firewallStyle())); !strings.Contains(text, "| waf_memory | appgw-waf | 60.0 |  | 30.0 |") {
		t.Errorf("a difference across runs:\n%s", text)
	}
}

func TestFirewallVerdicts(t *testing.T) {
	tests := []struct {
		name string
		rows []Row
		want map[string]State // of baselines
	}{
		{"all met", []Row{row("waf_get", "appgw-waf", "on", 100), row("waf_get", "appgw-plain", "on", 1001), row("waf_get", "nginx-modsecurity", "on", 1501)},
			map[string]State{"appgw-plain": Met, "nginx-modsecurity": Met}},
		{"one missed", []Row{row("waf_get", "appgw-waf", "on", 100), row("waf_get", "appgw-plain", "on", 999), row("waf_get", "nginx-modsecurity", "on", 1501)},
			map[string]State{"appgw-plain": Missed, "nginx-modsecurity": Met}},
		{"memory", []Row{memory("appgw", 20), memory("appgw-waf", 83)}, map[string]State{"limit": Met}},
		{"too much memory", []Row{memory("appgw", 20), memory("appgw-waf", 85)}, map[string]State{"limit": Missed}},
		{"memory without what to compare it with", []Row{memory("appgw-waf", 30)}, map[string]State{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := new(Document)
			d.Merge(Info{ID: "1"}, tt.rows)
			got := make(map[string]State)
			for _, v := range d.Judge(firewallTargets()) {
				if v.State != Unknown {
					got[v.Against] = v.State
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			for against, want := range tt.want {
				if got[against] != want {
					t.Errorf("against %s: %v, want %v", against, got[against], want)
				}
			}
		})
	}
}
