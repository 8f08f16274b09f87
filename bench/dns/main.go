//go:build linux

// Command dns measures trafficmgr side by side with gdnsd, Knot DNS and
// PowerDNS on loopback, and writes the results as a table, JSON and Markdown.
//
// It starts everything itself: the servers, dnsperf, and a load generator of
// its own, which is this same program under the name of a hidden command. See
// README.md for how to run it and how to read what it says.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"gatehouse/bench/dns/load"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench/dns:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) > 0 && args[0] == "load" {
		return runLoad(ctx, args[1:])
	}
	s, err := parseSettings(args)
	if err != nil {
		return err
	}
	if s.list {
		return printCases(os.Stdout)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("not done after %v (-timeout)", s.timeout))
	defer cancel()
	return runBench(ctx, s)
}

// runLoad is the command "load OPTIONS": it takes load.Options as JSON, and
// writes a load.Result as JSON.
func runLoad(ctx context.Context, args []string) error {
	var o load.Options
	if len(args) != 1 {
		return errors.New("usage: bench/dns load OPTIONS-AS-JSON")
	}
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return err
	}
	// There is next to no garbage, but a collection would stop the loops.
	debug.SetGCPercent(800)
	r, err := load.Run(ctx, o)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func printCases(w *os.File) error {
	for _, c := range allCases() {
		if _, err := fmt.Fprintf(w, "%-12s %s\n", c.name, c.title); err != nil {
			return err
		}
	}
	return nil
}
