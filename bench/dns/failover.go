//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"gatehouse/bench/dns/load"
	"gatehouse/bench/dns/servers"
)

// pollEach is how often it is asked whether the answer has changed.
const pollEach = 5 * time.Millisecond

// changeLimit is how long it may take until it has.
const changeLimit = 30 * time.Second

// runFailover measures how long a server takes from a backend's failure to
// another answer. Servers take their turns within each round; each has
// backends of its own.
func (b *bench) runFailover(ctx context.Context, c *benchCase) error {
	var field []*failing
	defer func() {
		for _, f := range field {
			f.backends.Close()
			f.stop()
		}
	}()
	for _, k := range b.field(c) {
		f, err := b.newFailing(ctx, k)
		if err != nil {
			return err
		}
		field = append(field, f)
	}
	for round := range b.rounds {
		for _, f := range field {
			if !f.takesPart() {
				continue
			}
			if err := f.round(ctx, round); err != nil && ctx.Err() == nil {
				f.out("%v", err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	var results []special
	for _, f := range field {
		results = append(results, f.special())
	}
	b.doc.mergeSpecial(b.info, results)
	return nil
}

// failing is a contender with backends that can fail.
type failing struct {
	*contender
	backends *backends
}

func (b *bench) newFailing(ctx context.Context, k *contender) (*failing, error) {
	local := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}
	backends, err := startBackends(local)
	if err != nil {
		return nil, err
	}
	f := &failing{contender: k, backends: backends}
	if !k.takesPart() {
		return f, nil
	}
	setup, err := b.newSetup(k.system)
	if err != nil {
		return f, err
	}
	k.setup = k.c.setup(setup)
	k.setup.MonitorPort = backends.port
	for i, a := range local {
		k.setup.Endpoints[i].V4 = a
	}
	if err := k.launch(ctx); err != nil && ctx.Err() == nil {
		k.out("%v", err)
	}
	return f, ctx.Err()
}

// round lets the first backend fail, at another moment between two probes in
// each round, and waits for the answer to change; then it comes back.
func (f *failing) round(ctx context.Context, round int) error {
	interval := servers.MonitorInterval * time.Second
	rest := interval + interval*time.Duration(round%f.b.rounds)/time.Duration(f.b.rounds)
	if err := pause(ctx, rest); err != nil {
		return err
	}
	begin := time.Now()
	f.backends.fail(true)
	changed, err := f.await(ctx, f.setup.Endpoints[1].V4)
	decided := f.backends.failures()
	f.backends.fail(false)
	if err != nil {
		return err
	}
	if len(decided) == 0 {
		return errors.New("the answer changed without a failing probe")
	}
	f.keep(figureDecided, float64(changed.Sub(decided[len(decided)-1]).Microseconds())/1e3)
	f.keep(figureChanged, float64(changed.Sub(begin).Microseconds())/1e3)
	_, err = f.await(ctx, f.setup.Endpoints[0].V4)
	return err
}

// await returns when the answer was the address.
func (f *failing) await(ctx context.Context, want netip.Addr) (time.Time, error) {
	g := &gate{c: f.c, setup: f.setup}
	query := load.Query{Name: f.setup.Labels[0] + "." + servers.Zone, Type: "A"}
	for begin := time.Now(); time.Since(begin) < changeLimit; {
		if got, err := g.ask(ctx, query, netip.Prefix{}, []netip.Addr{want}); err == nil && got == want {
			return time.Now(), nil
		}
		if err := pause(ctx, pollEach); err != nil {
			return time.Time{}, err
		}
	}
	return time.Time{}, fmt.Errorf("the answer is not %s after %v", want, changeLimit)
}
