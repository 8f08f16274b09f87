//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gatehouse/bench/proc"
	"gatehouse/bench/report"
)

// runSpecial measures something of each server by itself, started anew in each
// round.
func (b *bench) runSpecial(ctx context.Context, c *benchCase, measure func(*contender, context.Context) error) error {
	figures := make(map[string]*contender)
	for range b.rounds {
		for _, k := range b.field(c) {
			if first := figures[k.system]; first != nil {
				k.figures = first.figures
			}
			if err := k.once(ctx, measure); err != nil {
				return err
			}
			figures[k.system] = k
		}
	}
	var results []special
	for _, system := range c.systems(b.systems) {
		results = append(results, figures[system].special())
	}
	b.doc.mergeSpecial(b.info, results)
	return nil
}

// once starts the server, measures and stops it.
func (k *contender) once(ctx context.Context, measure func(*contender, context.Context) error) error {
	defer k.stop()
	if err := k.start(ctx); err != nil || !k.takesPart() {
		return err
	}
	if err := measure(k, ctx); err != nil && ctx.Err() == nil {
		k.out("%v", err)
	}
	return ctx.Err()
}

// keep keeps a figure of a round.
func (k *contender) keep(name string, value float64) {
	k.figures[name] = append(k.figures[name], value)
	fmt.Printf("  %-10s %-20s %s\n", k.system, name, report.Number(value))
}

// special is the result of all rounds.
func (k *contender) special() special {
	s := special{Case: k.c.name, System: k.system, Note: k.note}
	if !k.takesPart() {
		return s
	}
	s.Figures = make(map[string][3]float64)
	for name, values := range k.figures {
		s.Rounds = max(s.Rounds, len(values))
		s.Figures[name] = [3]float64{report.Median(values), slices.Min(values), slices.Max(values)}
	}
	return s
}

// memoryRest is how long a server rests before its memory is read: what its
// start has left behind may be given back by then.
const memoryRest = 5 * time.Second

// weigh asks every name for the time of a round, and reads the memory after a
// rest.
func (k *contender) weigh(ctx context.Context) error {
	o, err := k.b.options(k.c, k.server)
	if err != nil {
		return err
	}
	if _, err := k.b.drive(ctx, o); err != nil {
		return err
	}
	if err := pause(ctx, memoryRest); err != nil {
		return err
	}
	memory, err := proc.ReadMemory(k.server.PIDs...)
	if err != nil {
		return err
	}
	k.keep(figureRSS, megabytes(memory.RSS))
	if memory.PSS > 0 {
		k.keep(figurePSS, megabytes(memory.PSS))
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
