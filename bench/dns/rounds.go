//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"gatehouse/bench/report"
)

// runTimed measures one case: all servers are running, and in each round all
// take their turns, so that whatever disturbs the machine meets all of them.
func (b *bench) runTimed(ctx context.Context, c *benchCase) (rows []report.Row, err error) {
	field := b.field(c)
	defer func() {
		for _, k := range field {
			rows = append(rows, k.finish())
		}
	}()
	for _, k := range field {
		if err := k.start(ctx); err != nil {
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

func (k *contender) print(round int) {
	if !k.takesPart() {
		return
	}
	s := k.samples[len(k.samples)-1]
	fmt.Printf("  %d %-10s %7.2f us (again %7.2f) %9.0f/s  p50 %7.3f  p99 %7.3f ms  %6.1f MB  (load %.1f us) %s\n",
		round+1, k.system, s.CPU, s.SecondCPU, s.RPS, s.P50, s.P99, s.RSS, s.LoadCPU, k.remark)
}

// reachable keeps an error only if the server did not answer at all: what it
// answers is judged once, afterwards, and not waited for.
func reachable(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}
