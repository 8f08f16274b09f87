//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"

	"gatehouse/bench/report"
)

// groups puts the idle cases together, since they can rest together; every
// other case is a group of its own.
func groups(cases []benchCase) [][]benchCase {
	var all [][]benchCase
	var idle []benchCase
	for _, c := range cases {
		if c.idle {
			idle = append(idle, c)
		} else {
			all = append(all, []benchCase{c})
		}
	}
	if len(idle) > 0 {
		all = append(all, idle)
	}
	return all
}

func (b *bench) runGroup(ctx context.Context, group []benchCase) ([]report.Row, error) {
	switch {
	case group[0].idle:
		return b.runIdle(ctx, group)
	case group[0].memory:
		return b.runMemory(ctx, &group[0])
	}
	return b.runTimed(ctx, &group[0])
}

// runTimed measures one case: all systems are running, and in each round all
// take their turns, so that whatever disturbs the machine meets all of them.
func (b *bench) runTimed(ctx context.Context, c *benchCase) (rows []report.Row, err error) {
	fmt.Printf("%s: %s\n", c.name, c.title)
	field := b.field(c)
	defer func() { rows = finishAll(field) }()
	if err := startAll(ctx, field); err != nil {
		return nil, err
	}
	if c.openOf != "" {
		if err := b.setRates(ctx, c, field); err != nil {
			return nil, err
		}
	}
	for round := range b.rounds {
		for i := range field {
			k := field[(i+round)%len(field)] // nobody is always first
			if !k.takesPart() {
				continue
			}
			if err := k.measure(ctx); err != nil {
				return nil, err
			}
			k.print(round)
		}
	}
	return nil, nil
}

// field lists the contenders of a case, those with the same log setting next
// to each other.
func (b *bench) field(c *benchCase) []*contender {
	var field []*contender
	for _, setting := range c.settings(b.logs) {
		for _, system := range c.systems(b.systems) {
			field = append(field, &contender{b: b, c: c, system: system, logs: setting})
		}
	}
	return field
}

func startAll(ctx context.Context, field []*contender) error {
	for _, k := range field {
		if err := k.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// finishAll stops all contenders and returns their rows.
func finishAll(field []*contender) []report.Row {
	rows := make([]report.Row, 0, len(field))
	for _, k := range field {
		rows = append(rows, k.finish())
	}
	return rows
}

func (k *contender) print(round int) {
	if !k.takesPart() {
		return
	}
	s := k.samples[len(k.samples)-1]
	fmt.Printf("  %d %-17s logs %-3s %8.2f us %9.0f/s  p50 %7.3f  p99 %7.3f ms  %6.1f MB  (origin %.1f us, load %.1f us)\n",
		round+1, k.system, k.logs, s.CPU, s.RPS, s.P50, s.P99, s.RSS, s.OriginCPU, s.LoadCPU)
}

// setRates gives the contenders of an open loop the rate of their log
// setting. One that could not keep up takes no part: its latencies would only
// say how long the run was.
func (b *bench) setRates(ctx context.Context, c *benchCase, field []*contender) error {
	for _, logs := range b.logs {
		most := make(map[string]float64)
		for _, k := range field {
			if k.logs != logs || !k.takesPart() {
				continue
			}
			rps, err := b.maximum(ctx, c, k)
			if err != nil {
				return err
			}
			most[k.system] = rps
		}
		rate := commonRate(most)
		fmt.Printf("  logs %s: %.0f requests/s\n", logs, rate)
		for _, k := range field {
			if k.logs == logs && k.takesPart() {
				k.setRate(rate, most[k.system])
			}
		}
	}
	return nil
}

func (k *contender) setRate(rate, most float64) {
	switch {
	case rate <= 0:
		k.note = "no rate: nothing to compare with"
	case most < 1.1*rate:
		k.note = fmt.Sprintf("cannot serve %.0f requests/s: its maximum is %.0f", rate, most)
	default:
		k.rate = rate
	}
}

// maximum is what a system reached in the closed loop: in this run, or else
// in a short one now.
func (b *bench) maximum(ctx context.Context, c *benchCase, k *contender) (float64, error) {
	if row, ok := b.doc.Row(c.openOf, k.system, k.logs); ok && row.Run == b.info.ID {
		return row.RPS, nil
	}
	o := k.options()
	o.Watch = nil
	r, err := b.drive(ctx, o)
	if err != nil {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		k.note = "no maximum"
		b.problem("%s: %s (logs %s): %v", c.name, k.system, k.logs, err)
		return 0, nil
	}
	k.total += r.Total
	return r.RPS, nil
}

// commonRate is half of the slowest maximum among the systems that are
// compared in earnest. Caddy is not: at half of its maximum the others would
// be all but idle.
func commonRate(most map[string]float64) float64 {
	var rivals, all []float64
	for system, rps := range most {
		all = append(all, rps)
		if system != "caddy" {
			rivals = append(rivals, rps)
		}
	}
	if len(rivals) == 0 {
		rivals = all
	}
	if len(rivals) == 0 {
		return 0
	}
	return slices.Min(rivals) / 2
}
