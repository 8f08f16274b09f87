//go:build linux

package load

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	web "gatehouse/bench/load"
	"gatehouse/bench/proc"

	"github.com/miekg/dns"
)

// Run sends queries for Warmup and Duration. It takes up to Timeout longer.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	packets, err := prepare(&o)
	if err != nil {
		return nil, err
	}
	windows := make([]*window, o.Sockets)
	for i := range windows {
		if windows[i], err = newWindow(&o, packets, i); err != nil {
			for _, w := range windows[:i] {
				w.wire.Close()
			}
			return nil, err
		}
	}
	from := time.Now().Add(o.Warmup)
	errs := make([]error, len(windows))
	var all sync.WaitGroup
	for i, w := range windows {
		all.Go(func() { errs[i] = w.run(from, from.Add(o.Duration)) })
	}
	server, own, err := watch(ctx, &o, from)
	if err != nil {
		for _, w := range windows {
			w.wire.Close()
		}
	}
	all.Wait()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return summarize(&o, windows, server, own), nil
}

func prepare(o *Options) ([]packet, error) {
	queries, err := ReadQueries(o.Queries)
	if err != nil {
		return nil, err
	}
	packets := make([]packet, len(queries))
	for i, q := range queries {
		if packets[i], err = pack(q, o); err != nil {
			return nil, err
		}
	}
	return packets, nil
}

// watch returns the CPU time that the server and this process use within the
// time that counts.
func watch(ctx context.Context, o *Options, from time.Time) (server, own time.Duration, err error) {
	if err := sleep(ctx, time.Until(from)); err != nil {
		return 0, 0, err
	}
	server0, err := proc.CPUTime(o.PIDs...)
	own0, ownErr := proc.CPUTime(os.Getpid())
	if err := errors.Join(err, ownErr); err != nil {
		return 0, 0, err
	}
	if err := sleep(ctx, time.Until(from.Add(o.Duration))); err != nil {
		return 0, 0, err
	}
	server1, err := proc.CPUTime(o.PIDs...)
	own1, ownErr := proc.CPUTime(os.Getpid())
	return server1 - server0, own1 - own0, errors.Join(err, ownErr)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func summarize(o *Options, windows []*window, server, own time.Duration) *Result {
	r := &Result{Rcodes: make(map[string]uint64)}
	var latencies web.Histogram
	for _, w := range windows {
		r.Answered += w.answered
		r.Lost += w.lost
		r.Stray += w.stray
		r.Empty += w.empty
		latencies.Add(&w.latencies)
		for code, n := range w.rcodes {
			if n > 0 {
				r.Rcodes[dns.RcodeToString[code]] += n
			}
		}
	}
	r.QPS = float64(r.Answered) / o.Duration.Seconds()
	r.P50 = milliseconds(latencies.Quantile(0.5))
	r.P99 = milliseconds(latencies.Quantile(0.99))
	if r.Answered > 0 {
		r.CPU = float64(server.Nanoseconds()) / 1e3 / float64(r.Answered)
		r.LoadCPU = float64(own.Nanoseconds()) / 1e3 / float64(r.Answered)
	}
	return r
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
