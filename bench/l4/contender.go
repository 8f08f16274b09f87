//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"gatehouse/bench/l4/balancers"
	flows "gatehouse/bench/l4/load"
	"gatehouse/bench/load"
	"gatehouse/bench/origin"
	"gatehouse/bench/proc"
	"gatehouse/bench/report"
)

// readyLimit is how long a balancer may take to start.
const readyLimit = 60 * time.Second

// The groups of processes that load.Run is told to watch.
const (
	watched        = "balancer"
	watchedMembers = "members"
)

// contender is a balancer in a case, and what has been measured of it.
type contender struct {
	b        *bench
	c        *benchCase
	system   string
	pool     []netip.AddrPort
	members  int // their process
	balancer *balancers.Balancer
	setup    balancers.Setup
	samples  []sample
	absent   string // why it takes no part
}

// sample is what one round has found out.
type sample struct {
	figures map[string]float64
	errors  map[string]int64
}

func newSample() *sample {
	return &sample{figures: make(map[string]float64), errors: make(map[string]int64)}
}

func (s *sample) count(what string, n uint64) {
	if n > 0 {
		s.errors[what] += int64(n)
	}
}

func (b *bench) field(c *benchCase, pool []netip.AddrPort, members int) []*contender {
	var field []*contender
	for _, system := range c.systems(b.systems) {
		field = append(field, &contender{b: b, c: c, system: system, pool: pool, members: members, absent: b.missing[system]})
	}
	return field
}

func (k *contender) takesPart() bool { return k.absent == "" }

// target is where the load goes: the last rule.
func (k *contender) target() netip.AddrPort { return k.setup.Rules[len(k.setup.Rules)-1] }

// start starts the balancer and checks its answers. One that cannot take part
// says why; only an interrupt is an error.
func (k *contender) start(ctx context.Context) error {
	if !k.takesPart() {
		return nil
	}
	if err := k.launch(ctx); err != nil && ctx.Err() == nil {
		k.out("%v", err)
	}
	return ctx.Err()
}

func (k *contender) launch(ctx context.Context) (err error) {
	if k.setup, err = k.b.newSetup(k.system, k.c, k.pool); err != nil {
		return err
	}
	if k.balancer, err = k.b.programs.Start(k.system, k.setup); err != nil {
		return err
	}
	g := newGate(k.c)
	if err := k.balancer.AwaitReady(ctx, readyLimit, func() error { return reachable(g.one(k.target())) }); err != nil {
		return err
	}
	if err := g.check(ctx, k.setup.Rules); err != nil {
		return fmt.Errorf("wrong answer: %w", err)
	}
	return nil
}

// out takes the contender out of the case.
func (k *contender) out(format string, args ...any) {
	k.absent = fmt.Sprintf(format, args...)
	k.b.problem("%s: %s: %s", k.c.name, k.system, k.absent)
}

// measure runs one round.
func (k *contender) measure(ctx context.Context) (s *sample, err error) {
	switch k.c.kind {
	case kindStreams:
		s, err = k.measureStreams(ctx)
	case kindUDP:
		s, err = k.measureDatagrams(ctx)
	default:
		s, err = k.measureHTTP(ctx)
	}
	if err != nil {
		return nil, err
	}
	memory, err := proc.ReadMemory(k.balancer.PIDs...)
	s.figures[figurePeak] = megabytes(memory.Peak)
	return s, err
}

func (k *contender) measureHTTP(ctx context.Context) (*sample, error) {
	r, err := generated[load.Result](ctx, k.b, commandHTTP, k.httpOptions())
	if err != nil {
		return nil, err
	}
	if r.CPUCount == 0 {
		return nil, errTooFew
	}
	s := newSample()
	s.figures[figureRequest] = r.PerRequest(watched)
	s.figures[figureMembers] = r.PerRequest(watchedMembers)
	s.figures[figureLoad] = r.PerRequest("load")
	s.figures[figureRate], s.figures[figureP50], s.figures[figureP99] = r.RPS, r.P50, r.P99
	for what, n := range r.Errors {
		s.count(what, uint64(n))
	}
	s.count("connections closed early", uint64(r.Reconnects))
	return s, nil
}

func (k *contender) measureStreams(ctx context.Context) (*sample, error) {
	r, err := generated[flows.Streamed](ctx, k.b, commandStreams, flows.Streams{
		To: k.target(), Streams: k.c.conns, Warmup: k.b.warmup, Duration: k.b.duration, PIDs: k.balancer.PIDs,
	})
	if err != nil {
		return nil, err
	}
	s := newSample()
	s.figures[figureGigabyte], s.figures[figureLoad] = r.CPU, r.LoadCPU
	s.figures[figureGigabits] = float64(r.Bytes) * 8 / 1e9 / r.Seconds
	return s, nil
}

// tolerated is the share of datagrams that may be lost: a balancer that drops
// more saves work.
const tolerated = 0.01

func (k *contender) measureDatagrams(ctx context.Context) (*sample, error) {
	r, err := generated[flows.Echoed](ctx, k.b, commandDatagrams, flows.Datagrams{
		To: k.target(), Clients: k.c.conns, Size: k.c.size, Window: k.c.window, Warmup: k.b.warmup, Duration: k.b.duration, PIDs: k.balancer.PIDs,
	})
	if err != nil {
		return nil, err
	}
	if r.Received == 0 {
		return nil, errTooFew
	}
	s := newSample()
	s.figures[figureDatagram], s.figures[figureLoad] = r.CPU, r.LoadCPU
	s.figures[figureRate] = float64(r.Received) / r.Seconds
	share := float64(r.Lost) / float64(r.Sent)
	s.figures[figureLoss] = 100 * share
	if share > tolerated {
		s.count("lost", r.Lost)
	}
	s.count("wrong", r.Wrong)
	return s, nil
}

// note keeps the sample of a round.
func (k *contender) note(round int, s *sample) {
	k.samples = append(k.samples, *s)
	if len(s.errors) > 0 {
		k.b.problem("%s: %s: %v", k.c.name, k.system, s.errors)
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(s.figures)) {
		parts = append(parts, name+" "+report.Number(s.figures[name]))
	}
	fmt.Printf("  %d %-8s %s\n", round+1, k.system, strings.Join(parts, ", "))
}

func megabytes(n int64) float64 { return float64(n) / (1 << 20) }

func bodyLength(path string) int { return origin.Sizes()[path] }

// stop ends the balancer.
func (k *contender) stop() {
	if k.balancer != nil {
		k.balancer.Stop()
		k.balancer = nil
	}
	if k.setup.Dir != "" {
		os.RemoveAll(k.setup.Dir)
	}
}

// result sums up the rounds. One that was taken out has no figures.
func (k *contender) result() result {
	if !k.takesPart() {
		return result{Case: k.c.name, System: k.system, Note: k.absent}
	}
	return summarize(result{Case: k.c.name, System: k.system}, k.samples)
}
