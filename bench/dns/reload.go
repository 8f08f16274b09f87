//go:build linux

package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"gatehouse/bench/dns/load"
	"gatehouse/bench/dns/servers"

	"github.com/miekg/dns"
)

// reloadRoom is how long the load goes on before and after a reload, at least.
const reloadRoom = 2 * time.Second

// reloadLimit is how long a reload may take.
const reloadLimit = 30 * time.Second

// newTTL tells answers from the new configuration.
const newTTL = servers.TTL + 1

// reload loads the configuration again, with another TTL, while queries are
// answered.
func (k *contender) reload(ctx context.Context) error {
	o, err := k.b.options(k.c, k.server)
	if err != nil {
		return err
	}
	o.Duration = max(o.Duration, reloadRoom+3*time.Second)
	d, err := k.b.startLoad(o)
	if err != nil {
		return err
	}
	took, err := k.reloadOnce(ctx, o)
	result, loadErr := d.wait(ctx)
	if err != nil {
		return err
	}
	if loadErr != nil {
		return loadErr
	}
	if o.Warmup+reloadRoom/2+took > o.Warmup+o.Duration {
		return fmt.Errorf("the reload took %v, longer than the load", took)
	}
	wrong := result.Answered - result.Rcodes["NOERROR"] - result.Rcodes["NXDOMAIN"]
	k.keep(figureReload, float64(took.Microseconds())/1e3)
	k.keep(figureLost, float64(result.Lost))
	k.keep(figureWrong, float64(wrong))
	k.keep(figureP99, result.P99)
	k.keep(figureQPS, result.QPS)
	return nil
}

// reloadOnce returns how long it took until the new configuration answered.
func (k *contender) reloadOnce(ctx context.Context, o load.Options) (time.Duration, error) {
	if err := pause(ctx, o.Warmup+reloadRoom/2); err != nil {
		return 0, err
	}
	changed := k.setup
	changed.OtherTTL = newTTL
	if err := servers.Rewrite(k.system, changed); err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := syscall.Kill(k.server.Process.PID(), syscall.SIGHUP); err != nil {
		return 0, err
	}
	queries, err := load.ReadQueries(o.Queries)
	if err != nil {
		return 0, err
	}
	for time.Since(begin) < reloadLimit {
		if ttl, err := k.ttl(ctx, queries[0]); err == nil && ttl == newTTL {
			return time.Since(begin), nil
		}
		if err := pause(ctx, pollEach); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("no new answer %v after the signal", reloadLimit)
}

// ttl is that of the answer to a query.
func (k *contender) ttl(ctx context.Context, q load.Query) (uint32, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(q.Name), dns.StringToType[q.Type])
	client := dns.Client{Timeout: time.Second}
	r, _, err := client.ExchangeContext(ctx, m, k.setup.Addr.String())
	if err != nil {
		return 0, err
	}
	if len(r.Answer) == 0 {
		return 0, fmt.Errorf("%s: no answer", q.Name)
	}
	return r.Answer[0].Header().Ttl, nil
}
