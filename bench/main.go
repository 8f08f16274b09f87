//go:build linux

// Command bench measures appgw side by side with nginx, HAProxy and Caddy on
// loopback, and its firewall with ModSecurity, and writes the results as a
// table, JSON and Markdown.
//
// It starts everything itself: the origin and the load generator are this
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
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) > 0 {
		switch args[0] {
		case "origin":
			return runOrigin(ctx, args[1:])
		case "load":
			return runLoad(ctx, args[1:])
		case "hold":
			return runHold(ctx, args[1:])
		}
	}
	s, err := parseSettings(args)
	if err != nil {
		return err
	}
	switch {
	case s.list:
		return printCases(os.Stdout)
	case s.render:
		return renderAgain(s)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("not done after %v (-timeout)", s.timeout))
	defer cancel()
	return runBench(ctx, s)
}

func printCases(w *os.File) error {
	for _, c := range allCases() {
		if _, err := fmt.Fprintf(w, "%-18s %s\n", c.name, c.title); err != nil {
			return err
		}
	}
	return nil
}
