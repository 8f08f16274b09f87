//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"time"

	"gatehouse/bench/load"
	"gatehouse/bench/proc"
)

// runTimed measures one case: all balancers are running, and in each round all
// take their turns, so that whatever disturbs the machine meets all of them.
func (b *bench) runTimed(ctx context.Context, field []*contender) error {
	defer func() {
		for _, k := range field {
			k.stop()
		}
	}()
	for _, k := range field {
		if err := k.start(ctx); err != nil {
			return err
		}
	}
	return b.eachRound(ctx, field, (*contender).measure)
}

// runIdle measures memory: anew in each round, since a start is what differs.
func (b *bench) runIdle(ctx context.Context, field []*contender) error {
	return b.eachRound(ctx, field, func(k *contender, ctx context.Context) (*sample, error) {
		defer k.stop()
		if err := k.start(ctx); err != nil || !k.takesPart() {
			return nil, err
		}
		return k.weigh(ctx)
	})
}

// eachRound has everybody take turns. No sample without an error is somebody
// who takes no part any more.
func (b *bench) eachRound(ctx context.Context, field []*contender, measure func(*contender, context.Context) (*sample, error)) error {
	for round := range b.rounds {
		for i := range field {
			k := field[(i+round)%len(field)] // nobody is always first
			if !k.takesPart() {
				continue
			}
			s, err := measure(k, ctx)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				k.out("no result: %v", err)
			}
			if err == nil && s != nil {
				k.note(round, s)
			}
		}
	}
	return nil
}

// openLimit is how long it may take to open all idle connections.
const openLimit = 2 * time.Minute

// weigh compares the memory with and without idle connections.
func (k *contender) weigh(ctx context.Context) (*sample, error) {
	if err := pause(ctx, min(k.b.rest, 3*time.Second)); err != nil { // let it settle
		return nil, err
	}
	before, err := proc.ReadMemory(k.balancer.PIDs...)
	if err != nil {
		return nil, err
	}
	holder, err := k.b.startChild(commandHold, k.httpOptions())
	if err != nil {
		return nil, err
	}
	defer holder.process.Stop()
	var held, alive int
	if err := holder.report(ctx, &held, openLimit); err != nil {
		return nil, err
	}
	if err := pause(ctx, k.b.rest); err != nil {
		return nil, err
	}
	after, err := proc.ReadMemory(k.balancer.PIDs...)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(holder.process.Stdin, "\n"); err != nil {
		return nil, err
	}
	if err := holder.report(ctx, &alive, openLimit); err != nil {
		return nil, err
	}
	s := newSample()
	s.figures[figureIdle] = float64(after.RSS-before.RSS) / 1024 / float64(held)
	s.figures[figurePeak] = megabytes(after.Peak)
	s.count("connections that did not last", uint64(held-alive))
	return s, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// httpOptions are those of a load of HTTP in a case.
func (k *contender) httpOptions() load.Options {
	return load.Options{
		Addr: k.target(), Path: k.c.path, Host: "bench.test", Length: bodyLength(k.c.path), Conns: k.c.conns, PerRequest: k.c.perRequest,
		Warmup: k.b.warmup, Duration: k.b.duration, Watch: map[string][]int{watched: k.balancer.PIDs, watchedMembers: {k.members}},
	}
}

// errTooFew says that a round has no result that one could divide by.
var errTooFew = errors.New("hardly anything was answered")
