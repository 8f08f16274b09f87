package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gatehouse/internal/daemon"
	"gatehouse/internal/testkit"
)

// patience is how long what has to come is waited for.
const patience = 20 * time.Second

// answers is what the tests ask for: www.t.example is 192.0.2.1.
const answers = `
zones: [{name: t.example, nameServers: [ns.t.example]}]
profiles:
  - name: www
    zone: t.example
    routing: priority
    monitor: {protocol: none}
    endpoints:
      - {name: one, target: 192.0.2.1}
`

// second is another endpoint, to be put behind.
const second = "      - {name: two, target: 192.0.2.2}\n"

// site is a traffic manager within the test's process.
type site struct {
	*app
	t    *testing.T
	file string
}

// start applies a configuration, without admin, and serves until the test ends.
func start(t *testing.T, text string) *site {
	t.Helper()
	s := &site{t: t, file: testkit.Config(t, "")}
	s.app = newApp(slog.New(slog.DiscardHandler), fileSource(s.file))
	var err error
	if s.upgrader, err = daemon.NewUpgrader(); err != nil {
		t.Fatal(err)
	}
	s.openQueryLog()
	if err := s.metrics.Register(newCollector(s.app)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !s.stopped {
			s.shutdown()
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.queryLog.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	s.reload(text)
	return s
}

// reload applies another configuration.
func (s *site) reload(text string) {
	s.t.Helper()
	testkit.Replace(s.t, s.file, "admin: {address: \"off\"}\n"+text)
	if _, err := s.apply(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// ask asks for a type of www.t.example and returns the response's code.
func ask(t *testing.T, network, address string, kind uint16) string {
	t.Helper()
	c := &dns.Client{Net: network, Timeout: patience}
	r, _, err := c.Exchange(new(dns.Msg).SetQuestion("www.t.example.", kind), address)
	if err != nil {
		t.Fatal(err)
	}
	return dns.RcodeToString[r.Rcode]
}

// metric is the value of a metric, by name and the values of its labels in the
// order of their names; -1: there is none.
func (s *site) metric(name string, labels ...string) float64 {
	s.t.Helper()
	for _, m := range s.family(name) {
		if strings.Join(m.labels, " ") == strings.Join(labels, " ") {
			return m.value
		}
	}
	return -1
}

// sample is a value of a metric.
type sample struct {
	labels []string
	value  float64
}

// family are the values of a metric.
func (s *site) family(name string) (list []sample) {
	s.t.Helper()
	families, err := s.metrics.Gatherer().Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			x := sample{value: m.GetCounter().GetValue() + m.GetGauge().GetValue()}
			for _, l := range m.GetLabel() {
				x.labels = append(x.labels, l.GetValue())
			}
			list = append(list, x)
		}
	}
	return list
}
