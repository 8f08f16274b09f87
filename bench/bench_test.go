//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/bench/peers"
	"gatehouse/bench/report"
	"gatehouse/bench/traffic"
)

// The harness starts itself as origin and load generator; under test "itself"
// is the test binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"origin", "load", "hold"}, os.Args[1]) {
		main()
		return
	}
	os.Exit(m.Run())
}

func parse(t *testing.T, args ...string) *settings {
	t.Helper()
	s, err := parseSettings(args)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestARunStaysWithinItsBudget(t *testing.T) {
	if got := parse(t).estimate(); got > 50*time.Minute {
		t.Errorf("a whole run takes %v", got)
	}
	if got := parse(t, "-quick").estimate(); got > 6*time.Minute {
		t.Errorf("a quick run takes %v", got)
	}
}

func TestCasesReferToEachOtherByNamesThatExist(t *testing.T) {
	names := caseNames()
	for _, c := range allCases() {
		if base := slices.Index(names, c.openOf); c.openOf != "" && (base < 0 || base > slices.Index(names, c.name)) {
			t.Errorf("%s is the open loop of %q, which does not come before", c.name, c.openOf)
		}
	}
	for _, target := range report.Targets() {
		for _, name := range []string{target.Case, target.BaselineCase} {
			if name != "" && !slices.Contains(names, name) {
				t.Errorf("there is a target for %q, but no such case", name)
			}
		}
	}
}

func TestSettings(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string // part of the error, or cases, systems and logs
	}{
		{"some", []string{"-cases", "get10k,get128", "-systems", "nginx,appgw", "-logs", "on"}, "[get128 get10k] [appgw nginx] [on]"},
		{"a group", []string{"-cases", "waf,get128", "-systems", "caddy"}, "[get128 waf_get waf_get_same waf_form200 waf_form2k waf_json200 waf_json20k waf_attack waf_html10k waf_memory] [caddy] [on off]"},
		{"a name that others begin with", []string{"-cases", "handshake"}, "[handshake] [appgw nginx haproxy caddy appgw-waf appgw-plain nginx-modsecurity] [on off]"},
		{"unknown case", []string{"-cases", "get1"}, "unknown case"},
		{"unknown system", []string{"-systems", "apache"}, "unknown system"},
		{"no system", []string{"-systems", ","}, "no system"},
		{"unknown log setting", []string{"-logs", "json"}, "unknown log setting"},
		{"no rounds", []string{"-rounds", "-1"}, "rounds"},
		{"stray argument", []string{"get128"}, "unexpected argument"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := parseSettings(tt.args)
			got := fmt.Sprint(err)
			if err == nil {
				var names []string
				for _, c := range s.cases {
					names = append(names, c.name)
				}
				got = fmt.Sprint(names, " ", s.systems, " ", s.logs)
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestIdleCasesRestTogether(t *testing.T) {
	all := groups(allCases())
	last := all[len(all)-1]
	if len(last) != 2 || !last[0].idle || !last[1].idle {
		t.Errorf("last group: %+v", last)
	}
	for _, group := range all[:len(all)-1] {
		if len(group) != 1 || group[0].idle {
			t.Errorf("group: %+v", group)
		}
	}
}

func TestTheCommonRateIsHalfOfTheSlowestRival(t *testing.T) {
	tests := []struct {
		name string
		most map[string]float64
		want float64
	}{
		{"caddy does not count", map[string]float64{"appgw": 60, "nginx": 50, "haproxy": 55, "caddy": 10}, 25},
		{"caddy alone", map[string]float64{"caddy": 10}, 5},
		{"nobody", nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := commonRate(tt.most); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestWhoCannotKeepUpTakesNoPart(t *testing.T) {
	k := new(contender)
	if k.setRate(25, 60); k.rate != 25 || !k.takesPart() {
		t.Errorf("%+v", k)
	}
	if k.setRate(25, 26); k.takesPart() {
		t.Error("takes part at a rate that it cannot serve")
	}
}

// A run with nginx, from the flags to the files: closed loop, open loop, idle.
func TestAWholeRun(t *testing.T) {
	if _, err := peers.Find("nginx", ""); err != nil {
		t.Skip(err)
	}
	out, tmp := t.TempDir(), t.TempDir()
	s := parse(t, "-systems", "nginx", "-cases", "get128,open_get128,handshake_hybrid,idle5000", "-rounds", "2",
		"-duration", "400ms", "-warmup", "50ms", "-rest", "50ms", "-out", out, "-tmp", tmp)
	s.cases[slices.IndexFunc(s.cases, func(c benchCase) bool { return c.idle })].conns = 200
	if err := runBench(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	doc, err := report.Load(filepath.Join(out, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"get128", "open_get128"} {
		for _, logs := range []string{"on", "off"} {
			checkRow(t, doc, name, logs)
		}
	}
	if row, ok := doc.Row("idle5000", "nginx", "on"); !ok || row.Failed() != 0 || row.RSS == 0 {
		t.Errorf("idle: %+v", row)
	}
	if text, err := os.ReadFile(filepath.Join(out, "RESULTS.md")); err != nil || !strings.Contains(string(text), "no X25519MLKEM768") {
		t.Errorf("%v: %s", err, text)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func checkRow(t *testing.T, doc *report.Document, name, logs string) {
	t.Helper()
	row, ok := doc.Row(name, "nginx", logs)
	if !ok || row.Failed() != 0 || row.Rounds != 2 || row.CPU <= 0 || row.RPS <= 0 || row.P99 <= 0 || row.RSS <= 0 || row.OriginCPU <= 0 {
		t.Errorf("%s, logs %s: %+v", name, logs, row)
	}
	if logged := row.LogLines >= 0.99; logged != (logs == "on") {
		t.Errorf("%s, logs %s: %v lines for each request", name, logs, row.LogLines)
	}
	if (row.Rate > 0) != strings.HasPrefix(name, "open") {
		t.Errorf("%s: rate %v", name, row.Rate)
	}
}

func TestCasesTakeTheSystemsThatTheyAreFor(t *testing.T) {
	all := peers.Names()
	tests := []struct{ name, systems, logs string }{
		{"get128", "[appgw nginx haproxy caddy]", "[off on]"},
		{"h3_get128", "[appgw caddy]", "[on]"},
		{"idle5000", "[appgw nginx haproxy caddy]", "[off]"},
		{"waf_get", "[appgw nginx appgw-waf appgw-plain nginx-modsecurity]", "[on]"},
		{"waf_memory", "[appgw nginx appgw-waf appgw-plain nginx-modsecurity]", "[on]"},
	}
	for _, tt := range tests {
		cases, err := selectCases([]string{tt.name})
		if err != nil || len(cases) != 1 {
			t.Fatalf("%s: %v, %v", tt.name, cases, err)
		}
		c := &cases[0]
		if got := fmt.Sprint(c.systems(all)); got != tt.systems || len(all) != len(peers.Names()) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.systems)
		}
		if got := fmt.Sprint(c.settings([]string{"off", "on"})); got != tt.logs {
			t.Errorf("%s: logs %s, want %s", tt.name, got, tt.logs)
		}
	}
}

func TestEveryFirewallCaseHasATarget(t *testing.T) {
	for _, c := range firewallCases() {
		if !slices.ContainsFunc(report.Targets(), func(target report.Target) bool { return target.Case == c.name }) {
			t.Errorf("%s has none", c.name)
		}
		s := peers.Setup{Firewall: peers.Indexed}
		if o := c.options(s); (o.Status == 403) != c.attack || !slices.Contains(traffic.Kinds(), o.Traffic) || o.Length == 0 {
			t.Errorf("%s: %+v", c.name, o)
		}
		s.Firewall = peers.NoFirewall
		if o := c.options(s); o.Status != 0 || o.Length <= 0 {
			t.Errorf("%s without a firewall: %+v", c.name, o)
		}
	}
}

// A run with ModSecurity, from the flags to the tables: every attack is
// refused, and nothing else.
func TestARunOfFirewalls(t *testing.T) {
	if _, err := peers.Find("nginx-modsecurity", ""); err != nil {
		t.Skip(err)
	}
	out, tmp := t.TempDir(), t.TempDir()
	s := parse(t, "-systems", "nginx,nginx-modsecurity", "-cases", "waf_attack,waf_memory", "-rounds", "1",
		"-duration", "100ms", "-warmup", "50ms", "-rest", "50ms", "-out", out, "-tmp", tmp)
	if err := runBench(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	doc, err := report.Load(filepath.Join(out, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"waf_attack", "waf_memory"} {
		with, ok := doc.Row(name, "nginx-modsecurity", "on")
		without, also := doc.Row(name, "nginx", "on")
		if !ok || !also || with.Failed()+without.Failed() != 0 || with.Requests == 0 || with.RSS <= without.RSS {
			t.Errorf("%s: %+v, without %+v", name, with, without)
		}
		if name != "waf_memory" && (with.CPU < 2*without.CPU || with.LogLines < 0.5) {
			t.Errorf("%s: %+v, without %+v", name, with, without)
		}
	}
	text, err := os.ReadFile(filepath.Join(out, "RESULTS.md"))
	if err != nil || !strings.Contains(string(text), "### Web application firewalls") || !strings.Contains(string(text), "ModSecurity 3.") {
		t.Errorf("%v: %s", err, text)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAnInterruptEndsEverything(t *testing.T) {
	if _, err := peers.Find("nginx", ""); err != nil {
		t.Skip(err)
	}
	out, tmp := t.TempDir(), t.TempDir()
	s := parse(t, "-systems", "nginx", "-cases", "get128", "-duration", "30s", "-out", out, "-tmp", tmp)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	start := time.Now()
	if err := runBench(ctx, s); err == nil {
		t.Error("the run says that it is complete")
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("took %v", took)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(out, "results.json")); err == nil {
		t.Error("half a case was saved")
	}
}
