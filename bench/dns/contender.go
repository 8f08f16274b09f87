//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"gatehouse/bench/dns/load"
	"gatehouse/bench/dns/servers"
	"gatehouse/bench/proc"
	"gatehouse/bench/report"
)

// readyLimit is how long a server may take to start.
const readyLimit = 60 * time.Second

// contender is a running server in a case, and what has been measured of it.
type contender struct {
	b       *bench
	c       *benchCase
	system  string
	server  *servers.Server
	setup   servers.Setup
	samples []report.Sample
	figures map[string][]float64 // of special cases
	note    string               // why it takes no part
	remark  string               // what one has to know of its figures
}

func (b *bench) field(c *benchCase) []*contender {
	var field []*contender
	for _, system := range c.systems(b.systems) {
		k := &contender{b: b, c: c, system: system, figures: make(map[string][]float64)}
		k.note = b.missing[system]
		field = append(field, k)
	}
	return field
}

func (k *contender) takesPart() bool { return k.note == "" }

// start starts the server and checks its answers. One that cannot take part
// says why in its note; only an interrupt is an error.
func (k *contender) start(ctx context.Context) error {
	if !k.takesPart() {
		return nil
	}
	setup, err := k.b.newSetup(k.system)
	if err == nil {
		k.setup = k.c.setup(setup)
		err = k.launch(ctx)
	}
	if err != nil && ctx.Err() == nil {
		k.out("%v", err)
	}
	return ctx.Err()
}

// launch starts the server with the setup that it has.
func (k *contender) launch(ctx context.Context) (err error) {
	if k.server, err = servers.Start(ctx, k.system, k.setup); err != nil {
		return err
	}
	g := &gate{c: k.c, setup: k.setup}
	first := k.c.queries()[0]
	if err := k.server.AwaitReady(ctx, readyLimit, func() error { return reachable(g.one(ctx, first)) }); err != nil {
		return err
	}
	k.remark, err = g.check(ctx)
	if err != nil {
		return fmt.Errorf("wrong answer: %w", err)
	}
	return nil
}

// out takes the contender out of the case.
func (k *contender) out(format string, args ...any) {
	k.note = fmt.Sprintf(format, args...)
	k.b.problem("%s: %s: %s", k.c.name, k.system, k.note)
}

// measure runs one round: dnsperf, which says what a query costs, and our own
// load generator, which says how long answers take, and again what they cost.
func (k *contender) measure(ctx context.Context) error {
	s, err := k.sample(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		k.out("no result: %v", err)
		return nil
	}
	if len(s.Errors) > 0 {
		k.b.problem("%s: %s: %v", k.c.name, k.system, s.Errors)
	}
	k.samples = append(k.samples, *s)
	return nil
}

func (k *contender) sample(ctx context.Context) (*report.Sample, error) {
	o, err := k.b.options(k.c, k.server)
	if err != nil {
		return nil, err
	}
	own, err := k.b.drive(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &report.Sample{
		CPU: own.CPU, RPS: own.QPS, P50: own.P50, P99: own.P99, LoadCPU: own.LoadCPU, Requests: own.Answered, Errors: make(map[string]int64),
	}
	k.blame(s, own.Lost, own.Rcodes)
	count(s.Errors, "answers to nothing", own.Stray)
	if !k.c.misses {
		count(s.Errors, "empty", own.Empty)
	}
	if k.c.ecs != load.Varied {
		r, cpu, err := perf(ctx, o)
		if err != nil {
			return nil, err
		}
		s.SecondCPU, s.CPU, s.RPS = own.CPU, cpu, r.QPS
		s.Requests += r.Completed
		k.blame(s, r.Lost, r.Rcodes)
		count(s.Errors, "reconnections", r.Reconnections)
	}
	memory, err := proc.ReadMemory(k.server.PIDs...)
	s.RSS, s.PSS = megabytes(memory.Peak), megabytes(memory.PSS)
	return s, err
}

// blame counts what a load generator did not get as it should.
func (k *contender) blame(s *report.Sample, lost uint64, rcodes map[string]uint64) {
	count(s.Errors, "lost", lost)
	for code, n := range rcodes {
		if code != "NOERROR" && !(code == "NXDOMAIN" && k.c.misses) {
			count(s.Errors, code, n)
		}
	}
}

func count(errors map[string]int64, what string, n uint64) {
	if n > 0 {
		errors[what] += int64(n)
	}
}

func megabytes(n int64) float64 { return float64(n) / (1 << 20) }

// stop ends the server.
func (k *contender) stop() {
	if k.server != nil {
		k.server.Stop()
	}
	if k.setup.Dir != "" {
		os.RemoveAll(k.setup.Dir)
	}
}

// finish stops the server and returns its row.
func (k *contender) finish() report.Row {
	k.stop()
	row := report.Row{Case: k.c.name, System: k.system, Logs: "off", Loop: "closed", Note: k.note}
	if !k.takesPart() {
		return row
	}
	row.Note = k.remark
	return report.Summarize(row, k.samples)
}
