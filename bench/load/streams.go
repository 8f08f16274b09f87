//go:build linux

package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"gatehouse/bench/proc"
)

// h2load is the load generator of nghttp2, which everybody measures HTTP/2
// with. It is told how many requests to make, and what all processes take from
// its start to its end is divided by them.
const h2load = "h2load"

// probeRequests find out how many make up a run of the length that is wanted.
const probeRequests = 2000

// runStreams is Run over HTTP/2.
func runStreams(ctx context.Context, o *Options) (*Result, error) {
	probe, err := o.h2load(ctx, probeRequests)
	if err != nil {
		return nil, err
	}
	warm, err := o.h2load(ctx, requestsFor(probe.RPS, o.Warmup))
	if err != nil {
		return nil, err
	}
	before, err := o.watched()
	if err != nil {
		return nil, err
	}
	r, err := o.h2load(ctx, requestsFor(probe.RPS, o.Duration))
	if err != nil {
		return nil, err
	}
	after, err := o.watched()
	if err != nil {
		return nil, err
	}
	for group, cpu := range after {
		r.CPU[group] = cpu - before[group]
	}
	r.CPUCount = r.Requests
	r.Total += probe.Total + warm.Total
	return r, nil
}

// TryStreams makes one request over HTTP/2.
func TryStreams(ctx context.Context, o Options) error {
	r, err := o.h2load(ctx, 1)
	if err == nil && r.Failed() > 0 {
		err = fmt.Errorf("h2load: %v", r.Errors)
	}
	return err
}

func requestsFor(rate float64, d time.Duration) int {
	return max(probeRequests, int(rate*d.Seconds()))
}

func (o *Options) watched() (map[string]int64, error) {
	cpu := make(map[string]int64)
	for group, pids := range o.Watch {
		t, err := proc.CPUTime(pids...)
		if err != nil {
			return nil, err
		}
		cpu[group] = int64(t)
	}
	return cpu, nil
}

// h2load makes so many requests.
func (o *Options) h2load(ctx context.Context, requests int) (*Result, error) {
	conns := min(o.Conns, requests)
	args := []string{"-n", strconv.Itoa(requests), "-c", strconv.Itoa(conns), "-m", strconv.Itoa(o.Streams), "-t", strconv.Itoa(min(conns, max(1, o.Threads))),
		"-H", ":authority: " + o.Host}
	if o.Body > 0 {
		dir, err := os.MkdirTemp("", "gatehouse-h2load-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		file := filepath.Join(dir, "body")
		if err := os.WriteFile(file, bytes.Repeat([]byte("x"), o.Body), 0o600); err != nil {
			return nil, err
		}
		args = append(args, "-d", file)
	}
	cmd := exec.CommandContext(ctx, h2load, append(args, "http://"+o.Addr.String()+o.Path)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("h2load: %w: %s", err, bytes.TrimSpace(out))
	}
	r, err := parseH2load(out, o.Length)
	if err != nil {
		return nil, err
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if ok {
		r.CPU[self] = usage.Utime.Nano() + usage.Stime.Nano()
	}
	return r, nil
}

var (
	h2Finished = regexp.MustCompile(`finished in ([0-9.]+)(us|ms|s|m), ([0-9.]+) req/s`)
	h2Requests = regexp.MustCompile(`requests: ([0-9]+) total, [0-9]+ started, ([0-9]+) done, ([0-9]+) succeeded, ([0-9]+) failed`)
	h2Bytes    = regexp.MustCompile(`\(([0-9]+)\) data`)
)

// parseH2load reads what h2load reports. It knows statuses and the bytes of all
// bodies together, so that wrong replies show.
func parseH2load(out []byte, length int) (*Result, error) {
	finished, requests, size := h2Finished.FindSubmatch(out), h2Requests.FindSubmatch(out), h2Bytes.FindSubmatch(out)
	if finished == nil || requests == nil || size == nil {
		return nil, fmt.Errorf("h2load said: %s", bytes.TrimSpace(out))
	}
	took, err := time.ParseDuration(string(finished[1]) + string(finished[2]))
	rps, err2 := strconv.ParseFloat(string(finished[3]), 64)
	total, err3 := strconv.ParseUint(string(requests[1]), 10, 64)
	succeeded, err4 := strconv.ParseUint(string(requests[3]), 10, 64)
	data, err5 := strconv.ParseUint(string(size[1]), 10, 64)
	if err = errors.Join(err, err2, err3, err4, err5); err != nil {
		return nil, fmt.Errorf("h2load: %w", err)
	}
	r := &Result{Requests: succeeded, Total: succeeded, Seconds: took.Seconds(), RPS: rps, Errors: map[string]int64{}, CPU: map[string]int64{}}
	if succeeded < total {
		r.Errors["failed"] = int64(total - succeeded)
	}
	if length != AnyLength && data != total*uint64(length) {
		r.Errors["bytes missing"] = int64(total*uint64(length)) - int64(data)
	}
	return r, nil
}
