//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"gatehouse/bench/dns/load"
	"gatehouse/bench/proc"
)

// perfResult is what dnsperf says at its end.
type perfResult struct {
	Sent, Completed, Lost uint64
	QPS                   float64
	Rcodes                map[string]uint64
	Reconnections         uint64
}

// Both load generators have as many sockets and outstanding queries: the
// servers share sockets out among their threads by the clients' ports.
const (
	sockets     = 32
	outstanding = 128
	loss        = 2 * time.Second // after which a query is lost
)

// perfArgs are dnsperf's arguments for the same queries as o's.
func perfArgs(o load.Options) ([]string, error) {
	args := []string{
		"-s", o.Addr.Addr().String(), "-p", strconv.Itoa(int(o.Addr.Port())), "-d", o.Queries,
		"-l", strconv.FormatFloat(o.Duration.Seconds(), 'f', -1, 64), "-t", strconv.FormatFloat(o.Timeout.Seconds(), 'f', -1, 64),
		"-c", strconv.Itoa(o.Sockets), "-q", strconv.Itoa(o.Sockets * o.Window),
	}
	if o.TCP {
		args = append(args, "-m", "tcp")
	}
	if o.DO {
		args = append(args, "-D")
	}
	if o.ECS != "" {
		prefix, err := netip.ParsePrefix(o.ECS)
		if err != nil {
			return nil, fmt.Errorf("dnsperf sends one client subnet: %w", err)
		}
		a := prefix.Addr().As4()
		args = append(args, "-E", fmt.Sprintf("8:0001%02x00%x", prefix.Bits(), a[:prefix.Bits()/8]))
	}
	return args, nil
}

// perf runs dnsperf and returns with its result the CPU time that the
// processes have used for a query, in microseconds.
func perf(ctx context.Context, o load.Options) (*perfResult, float64, error) {
	args, err := perfArgs(o)
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Duration+o.Timeout+20*time.Second)
	defer cancel()
	before, err := proc.CPUTime(o.PIDs...)
	if err != nil {
		return nil, 0, err
	}
	text, err := exec.CommandContext(ctx, "dnsperf", args...).CombinedOutput()
	if err != nil {
		return nil, 0, fmt.Errorf("dnsperf: %w: %s", err, tail(text))
	}
	after, err := proc.CPUTime(o.PIDs...)
	if err != nil {
		return nil, 0, err
	}
	r, err := parsePerf(string(text))
	if err != nil {
		return nil, 0, err
	}
	return r, float64((after - before).Nanoseconds()) / 1e3 / float64(r.Completed), nil
}

func tail(text []byte) string { return string(text[max(0, len(text)-600):]) }

// parsePerf reads the statistics that dnsperf ends with.
func parsePerf(text string) (*perfResult, error) {
	r := &perfResult{Rcodes: make(map[string]uint64)}
	var err error
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(strings.TrimSpace(line), ":")
		fields := strings.Fields(value)
		if !found || len(fields) == 0 {
			continue
		}
		var lineErr error
		switch key {
		case "Queries sent":
			r.Sent, lineErr = strconv.ParseUint(fields[0], 10, 64)
		case "Queries completed":
			r.Completed, lineErr = strconv.ParseUint(fields[0], 10, 64)
		case "Queries lost":
			r.Lost, lineErr = strconv.ParseUint(fields[0], 10, 64)
		case "Queries per second":
			r.QPS, lineErr = strconv.ParseFloat(fields[0], 64)
		case "Reconnections":
			r.Reconnections, lineErr = strconv.ParseUint(fields[0], 10, 64)
		case "Response codes":
			lineErr = parseRcodes(value, r.Rcodes)
		}
		err = errors.Join(err, lineErr)
	}
	if err == nil && r.Completed == 0 {
		err = fmt.Errorf("no query was answered: %s", tail([]byte(text)))
	}
	if err != nil {
		return nil, fmt.Errorf("dnsperf: %w", err)
	}
	return r, nil
}

// parseRcodes reads "NOERROR 90 (90.00%), NXDOMAIN 10 (10.00%)".
func parseRcodes(text string, rcodes map[string]uint64) error {
	for part := range strings.SplitSeq(text, ",") {
		fields := strings.Fields(part)
		if len(fields) < 2 {
			return fmt.Errorf("response codes: %q", text)
		}
		n, err := strconv.ParseUint(fields[1], 10, 64)
		if err != nil {
			return fmt.Errorf("response codes: %w", err)
		}
		rcodes[fields[0]] = n
	}
	return nil
}
