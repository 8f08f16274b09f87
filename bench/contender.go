//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"gatehouse/bench/load"
	"gatehouse/bench/peers"
	"gatehouse/bench/proc"
	"gatehouse/bench/report"
)

// readyLimit is how long a proxy may take to start: with 10 000 hosts it has
// something to do.
const readyLimit = 60 * time.Second

// contender is a running system in a case, and what has been measured of it.
type contender struct {
	b       *bench
	c       *benchCase
	system  string
	logs    string
	peer    *peers.Peer
	samples []report.Sample
	total   uint64 // requests of all rounds, warm-up included
	note    string // why it takes no part
	rate    float64
}

// start starts the system. One that cannot take part says why in its note;
// only an interrupt is an error.
func (k *contender) start(ctx context.Context) error {
	err := k.launch(ctx)
	if err == nil {
		err = k.awaitReady(ctx)
	}
	if err != nil && ctx.Err() == nil {
		k.note = "did not start"
		k.b.problem("%s: %s (logs %s): %v", k.c.name, k.system, k.logs, err)
		return nil
	}
	if err == nil && k.c.hybrid {
		k.probeHybrid(ctx)
	}
	return ctx.Err()
}

func (k *contender) launch(ctx context.Context) (err error) {
	b := k.b
	s := peers.Setup{
		Origin: b.originAt, Logs: k.logs == "on", Forwarded: b.forward, Splice: b.splice, Format: b.format, Cert: b.cert, Key: b.key,
		Workers: workers(b.proxyCPU), MaxFiles: b.maxFiles, Root: os.Getuid() == 0,
	}
	if s.Dir, err = os.MkdirTemp(b.dir, k.system+"-"); err != nil {
		return err
	}
	if s.HTTP, err = b.ports.Take(); err != nil {
		return err
	}
	if s.HTTPS, err = b.ports.Take(); err != nil {
		return err
	}
	if s.H2, err = b.ports.Take(); err != nil {
		return err
	}
	if s.H3, err = b.ports.Take(); err != nil {
		return err
	}
	if s.Admin, err = b.ports.Take(); err != nil {
		return err
	}
	k.peer, err = peers.Start(k.system, b.programs[peers.Base(k.system)], k.c.setup(s), b.proxyCPU)
	return err
}

func workers(cpus []int) int {
	if len(cpus) > 0 {
		return len(cpus)
	}
	return runtime.NumCPU()
}

// awaitReady waits until the case's own kind of request is answered.
func (k *contender) awaitReady(ctx context.Context) error {
	o := k.c.options(k.peer.Setup)
	if k.c.hybrid {
		plain := *k.c
		plain.tls = false
		o = plain.options(k.peer.Setup)
	}
	o.Conns, o.Message = 1, 0
	if o.QUIC {
		return k.peer.AwaitReady(ctx, readyLimit, func() error { return load.TryQUIC(ctx, o) })
	}
	if o.Streams > 0 {
		return k.peer.AwaitReady(ctx, readyLimit, func() error { return load.TryStreams(ctx, o) })
	}
	return k.peer.AwaitReady(ctx, readyLimit, func() error { return tryOnce(ctx, o) })
}

func tryOnce(ctx context.Context, o load.Options) error {
	held, err := load.Hold(ctx, o)
	if err == nil {
		held.Close()
	}
	return err
}

// probeHybrid finds out whether the system can do the key exchange at all.
func (k *contender) probeHybrid(ctx context.Context) {
	o := k.c.options(k.peer.Setup)
	o.Conns = 1
	if err := tryOnce(ctx, o); err != nil {
		k.note = fmt.Sprintf("no X25519MLKEM768 in this version (%v)", err)
		k.peer.Stop()
	}
}

func (k *contender) takesPart() bool { return k.note == "" }

// measure runs one round.
func (k *contender) measure(ctx context.Context) error {
	o := k.options()
	r, err := k.b.drive(ctx, o)
	if err == nil && r.Requests == 0 {
		err = fmt.Errorf("no reply counts: %v", r.Errors)
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		k.note = "no result"
		k.b.problem("%s: %s (logs %s): %v", k.c.name, k.system, k.logs, err)
		return nil
	}
	memory, err := proc.ReadMemory(k.peer.PIDs...)
	if err != nil {
		k.note = "ended during the run"
		k.b.problem("%s: %s (logs %s): %v", k.c.name, k.system, k.logs, err)
		return nil
	}
	if failed := r.Failed(); failed > 0 {
		k.b.problem("%s: %s (logs %s): %d requests failed: %v", k.c.name, k.system, k.logs, failed, r.Errors)
	}
	k.total += r.Total
	k.samples = append(k.samples, sample(r, memory))
	return nil
}

func (k *contender) options() load.Options {
	o := k.c.options(k.peer.Setup)
	o.Warmup, o.Duration, o.Threads, o.Rate = k.b.warmup, k.b.duration, k.b.loadThreads, k.rate
	o.Watch = map[string][]int{"proxy": k.peer.PIDs, "origin": {k.b.origin.PID()}}
	return o
}

func sample(r *load.Result, memory proc.Memory) report.Sample {
	s := report.Sample{
		CPU: r.PerRequest("proxy"), LoadCPU: r.PerRequest("load"), OriginCPU: r.PerRequest("origin"),
		RPS: r.RPS, P50: r.P50, P99: r.P99, Requests: r.Requests, TLS: r.TLS,
		RSS: megabytes(memory.Peak), PSS: megabytes(memory.PSS), Errors: maps.Clone(r.Errors),
	}
	if r.Unanswered > 0 {
		s.Errors["unanswered"] = r.Unanswered
	}
	if r.Reconnects > 0 {
		s.Errors["connections closed by the proxy"] = r.Reconnects
	}
	return s
}

func megabytes(n int64) float64 { return float64(n) / (1 << 20) }

// finish stops the system and returns its row.
func (k *contender) finish() report.Row {
	row := report.Row{Case: k.c.name, System: k.system, Logs: k.logs, Loop: k.c.loop(), Rate: k.rate, Note: k.note}
	if k.peer == nil {
		return row
	}
	k.peer.Stop()
	if k.logs == "on" && k.total > 0 {
		lines, err := countLines(k.peer.Setup.Log())
		if err != nil {
			k.b.problem("%s: %s: access log: %v", k.c.name, k.system, err)
		}
		for i := range k.samples {
			k.samples[i].LogLines = float64(lines) / float64(k.total)
		}
	}
	os.RemoveAll(k.peer.Setup.Dir)
	if !k.takesPart() {
		return row
	}
	return report.Summarize(row, k.samples)
}

func countLines(path string) (int, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf := make([]byte, 256<<10)
	for lines := 0; ; {
		n, err := f.Read(buf)
		lines += bytes.Count(buf[:n], []byte("\n"))
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
	}
}
