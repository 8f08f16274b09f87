//go:build linux

// Command l4 measures l4lb side by side with HAProxy and nginx's stream module
// on loopback, and writes the results as a table, JSON and Markdown.
//
// It starts everything itself: the members and the generators of load are this
// same program under the names of hidden commands. See README.md for how to
// run it and how to read what it says.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench/l4:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) > 0 {
		if command, ok := commands()[args[0]]; ok {
			return command(ctx, args[1:])
		}
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

func printCases(w *os.File) error {
	for _, c := range allCases() {
		if _, err := fmt.Fprintf(w, "%-12s %s\n", c.name, c.title); err != nil {
			return err
		}
	}
	return nil
}
