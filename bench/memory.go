//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"gatehouse/bench/proc"
	"gatehouse/bench/report"
)

const (
	// memoryRest is how long a system rests before its memory is read: what
	// its start has left behind may be given back by then.
	memoryRest  = 5 * time.Second
	memoryStart = time.Second // how long one takes to start, about
)

// runMemory reads what the systems take when they have served a request: anew
// in each round, since a start is what differs.
func (b *bench) runMemory(ctx context.Context, c *benchCase) ([]report.Row, error) {
	fmt.Printf("%s: %s\n", c.name, c.title)
	rows := make(map[string]report.Row)
	samples := make(map[string][]report.Sample)
	systems := c.systems(b.systems)
	for range b.rounds {
		field := b.field(c)
		err := startAll(ctx, field)
		if err == nil {
			err = pause(ctx, min(b.rest, memoryRest))
		}
		for _, k := range field {
			if err == nil {
				k.readMemory()
			}
			rows[k.system] = k.finish()
			samples[k.system] = append(samples[k.system], k.samples...)
		}
		if err != nil {
			return nil, err
		}
	}
	var all []report.Row
	for _, system := range systems {
		row := rows[system]
		if row.Note == "" {
			row = report.Summarize(row, samples[system])
			fmt.Printf("  %-17s %6.1f MB\n", system, row.RSS)
		}
		all = append(all, row)
	}
	return all, nil
}

// readMemory takes the memory of a contender that has started.
func (k *contender) readMemory() {
	if !k.takesPart() {
		return
	}
	memory, err := proc.ReadMemory(k.peer.PIDs...)
	if err != nil {
		k.giveUp(err)
		return
	}
	k.samples = append(k.samples, report.Sample{RSS: megabytes(memory.RSS), PSS: megabytes(memory.PSS), Requests: 1})
}
