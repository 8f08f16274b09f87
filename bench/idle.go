//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"gatehouse/bench/proc"
	"gatehouse/bench/report"
)

// openLimit is how long it may take to open all idle connections.
const openLimit = 2 * time.Minute

// idler is a contender with idle connections.
type idler struct {
	*contender
	before proc.Memory
	child  *proc.Process
	out    *json.Decoder
}

// runIdle measures the memory of idle connections, for all systems at once:
// resting costs no processor. There is one round, with the first log setting.
func (b *bench) runIdle(ctx context.Context, group []benchCase) (rows []report.Row, err error) {
	var field []*contender
	for i := range group {
		fmt.Printf("%s: %s\n", group[i].name, group[i].title)
		field = append(field, b.field(&group[i])...)
	}
	defer func() { rows = finishAll(field) }()
	if err := startAll(ctx, field); err != nil {
		return nil, err
	}
	if err := pause(ctx, min(b.rest, 3*time.Second)); err != nil { // let them settle
		return nil, err
	}
	var idlers []*idler
	defer func() {
		for _, k := range idlers {
			k.child.Stop()
		}
	}()
	for _, k := range field {
		if i := k.open(ctx); i != nil {
			idlers = append(idlers, i)
		}
	}
	fmt.Printf("  %v of rest\n", b.rest)
	if err := pause(ctx, b.rest); err != nil {
		return nil, err
	}
	for _, k := range idlers {
		k.weigh()
	}
	return nil, ctx.Err()
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// open notes the memory without connections and opens them; nil says that
// the contender takes no part (any more).
func (k *contender) open(ctx context.Context) *idler {
	if !k.takesPart() || ctx.Err() != nil {
		return nil
	}
	before, err := proc.ReadMemory(k.peer.PIDs...)
	if err != nil {
		return k.giveUp(err)
	}
	child, err := k.b.startChild("hold", k.c.options(k.peer.Setup))
	if err != nil {
		return k.giveUp(err)
	}
	i := &idler{contender: k, before: before, child: child, out: json.NewDecoder(child.Stdout)}
	if _, err := i.report(openLimit); err != nil {
		child.Stop()
		return k.giveUp(fmt.Errorf("%w %s", err, k.b.childErrors("hold")))
	}
	return i
}

func (k *contender) giveUp(err error) *idler {
	k.note = "no result"
	k.b.problem("%s: %s: %v", k.c.name, k.system, err)
	return nil
}

// report waits for the next line of the process that holds the connections.
func (i *idler) report(limit time.Duration) (held heldReport, err error) {
	type answer struct {
		held heldReport
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		var a answer
		a.err = i.out.Decode(&a.held)
		answers <- a
	}()
	select {
	case a := <-answers:
		return a.held, a.err
	case <-time.After(limit):
		i.child.Stop() // ends the goroutine above
		return heldReport{}, errors.New("timed out")
	}
}

// weigh reads the memory, and then sees whether the connections still work.
func (i *idler) weigh() {
	after, err := proc.ReadMemory(i.peer.PIDs...)
	if err == nil {
		_, err = io.WriteString(i.child.Stdin, "\n")
	}
	var held heldReport
	if err == nil {
		held, err = i.report(openLimit)
	}
	if err != nil {
		i.giveUp(err)
		return
	}
	conns := i.c.conns
	s := report.Sample{
		IdleKiB:  float64(after.RSS-i.before.RSS) / 1024 / float64(conns),
		RSS:      megabytes(after.Peak),
		PSS:      megabytes(after.PSS),
		Requests: uint64(conns),
		Errors:   make(map[string]int64),
	}
	if dead := conns - held.Alive; dead > 0 {
		s.Errors["connections that did not last"] = int64(dead)
		i.b.problem("%s: %s: %d connections did not last", i.c.name, i.system, dead)
	}
	i.samples = append(i.samples, s)
	fmt.Printf("  %-8s %-12s %6.1f KiB each, %6.1f MB in all\n", i.system, i.c.name, s.IdleKiB, s.RSS)
}
