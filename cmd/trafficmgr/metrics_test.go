package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/internal/testkit"
)

// Clients choose the type that they ask for: those without a name are one
// label together, or a client could make 65535.
func TestTypesWithoutANameAreOneLabel(t *testing.T) {
	testkit.NoLeak(t)
	address := testkit.FreeAddr(t)
	s := start(t, fmt.Sprintf("listen: [{address: %q}]\n", address)+answers)
	unnamed := []uint16{12345, 54, 66, 110, 127, 4711, 65280, 65534, 0}
	for _, kind := range append([]uint16{dns.TypeA, dns.TypeA, dns.TypeHTTPS}, unnamed...) {
		ask(t, "udp", address, kind)
	}
	var labels []string
	for _, m := range s.family("gatehouse_dns_query_types_total") {
		labels = append(labels, m.labels...)
	}
	slices.Sort(labels)
	if want := []string{"A", "HTTPS", "other"}; !slices.Equal(labels, want) {
		t.Errorf("labels %q, want %q", labels, want)
	}
	if a, other := s.metric("gatehouse_dns_query_types_total", "A"), s.metric("gatehouse_dns_query_types_total", "other"); a != 2 || other != float64(len(unnamed)) {
		t.Errorf("%v of A, %v others", a, other)
	}
}

// Every label has a name, whatever is asked and answered.
func TestEveryLabelHasAValue(t *testing.T) {
	testkit.NoLeak(t)
	address := testkit.FreeAddr(t)
	s := start(t, fmt.Sprintf("listen: [{address: %q}]\n", address)+answers)
	for kind := range uint16(300) {
		ask(t, "udp", address, kind)
	}
	for _, name := range []string{"gatehouse_dns_query_types_total", "gatehouse_dns_responses_total"} {
		list := s.family(name)
		if len(list) == 0 || len(list) > 100 {
			t.Errorf("%s has %d values", name, len(list))
		}
		for _, m := range list {
			if slices.Contains(m.labels, "") {
				t.Errorf("%s has a value without a label: %v", name, m)
			}
		}
	}
}

// What the query log loses can be seen.
func TestTheQueryLogIsCounted(t *testing.T) {
	testkit.NoLeak(t)
	address := testkit.FreeAddr(t)
	dir := t.TempDir()
	s := start(t, fmt.Sprintf("listen: [{address: %q}]\nqueryLog: {output: %q, dnstap: %q}\n", address, dir+"/log", dir+"/tap")+answers)
	ask(t, "udp", address, dns.TypeA)
	ask(t, "tcp", address, dns.TypeA)
	testkit.Eventually(t, 20*time.Second, "two queries to be logged", func() bool {
		// a slow answer is asked for again
		lines := s.metric("gatehouse_dns_query_log_lines_total")
		return lines >= 2 && s.metric("gatehouse_dns_dnstap_frames_total") == 2*lines
	})
	s.reload(fmt.Sprintf("listen: [{address: %q}]\nqueryLog: {output: /dev/full}\n", address) + answers)
	testkit.Eventually(t, 20*time.Second, "a line to be lost", func() bool {
		ask(t, "udp", address, dns.TypeA) // again, as the first may still go to the old file
		return s.metric("gatehouse_dns_query_log_dropped_total", "write") >= 1
	})
	if n := s.metric("gatehouse_dns_query_log_dropped_total", "behind"); n != 0 {
		t.Errorf("%v lines had no room", n)
	}
	if n := s.metric("gatehouse_dns_dnstap_dropped_total"); n != 0 {
		t.Errorf("%v frames lost", n)
	}
}

// interrupted is a collector during whose work something happens.
type interrupted struct {
	*collector
	by func()
}

func (i interrupted) Collect(ch chan<- prometheus.Metric) {
	all := make(chan prometheus.Metric)
	go func() {
		defer close(all)
		i.collector.Collect(all)
	}()
	ch <- <-all
	i.by()
	for m := range all {
		ch <- m
	}
}

// An endpoint that is well is not said to be down because a reload comes
// between.
func TestMetricsAreOfOneConfiguration(t *testing.T) {
	testkit.NoLeak(t)
	s := start(t, fmt.Sprintf("listen: [{address: %q}]\n", testkit.FreeAddr(t))+answers)
	var applied error
	registry := prometheus.NewRegistry()
	registry.MustRegister(interrupted{newCollector(s.app), func() { _, applied = s.apply(t.Context()) }})
	families, err := registry.Gather()
	if err != nil || applied != nil {
		t.Fatal(err, applied)
	}
	up := -1.0
	for _, f := range families {
		if f.GetName() == "gatehouse_dns_endpoint_up" {
			up = f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	if up != 1 {
		t.Errorf("up is %v", up)
	}
}

// The query log has the address that was asked with its port.
func TestTheQueryLogTellsWhichListenerWasAsked(t *testing.T) {
	testkit.NoLeak(t)
	address, file := testkit.FreeAddr(t), filepath.Join(t.TempDir(), "log")
	s := start(t, fmt.Sprintf("listen: [{address: %q}]\nqueryLog: {output: %q}\n", address, file)+answers)
	ask(t, "udp", address, dns.TypeA)
	ask(t, "tcp", address, dns.TypeA)
	testkit.Eventually(t, patience, "two lines", func() bool { return s.metric("gatehouse_dns_query_log_lines_total") == 2 })
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), fmt.Sprintf(`"local":%q`, address)); n != 2 {
		t.Errorf("%d of two lines tell %s:\n%s", n, address, text)
	}
}
