//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"gatehouse/bench/dns/servers"
)

// settings are the flags.
type settings struct {
	cases    []benchCase
	systems  []string
	rounds   int
	duration time.Duration
	warmup   time.Duration
	timeout  time.Duration
	quick    bool
	list     bool
	json     string
	out      string
	tmp      string
}

func parseSettings(args []string) (*settings, error) {
	s := new(settings)
	f := flag.NewFlagSet("bench/dns", flag.ContinueOnError)
	only := f.String("only", "", "cases to run, separated by commas; default: all (see -list)")
	systems := f.String("systems", strings.Join(servers.Names(), ","), "servers to compare")
	f.IntVar(&s.rounds, "rounds", 0, "rounds, of which the median counts (default 5, with -quick 1)")
	f.DurationVar(&s.duration, "duration", 0, "of each load generator in a round (default 2s, with -quick 500ms)")
	f.DurationVar(&s.warmup, "warmup", 0, "what comes before (default 500ms, with -quick 200ms)")
	f.DurationVar(&s.timeout, "timeout", time.Hour, "when to give up")
	f.BoolVar(&s.quick, "quick", false, "a short run that shows that everything works; writes to bench/out")
	f.BoolVar(&s.list, "list", false, "list the cases")
	f.StringVar(&s.json, "json", "", "file of results (default bench/dns/results.json, with -quick bench/out/dns.json)")
	f.StringVar(&s.out, "out", "", "Markdown file (default bench/dns/RESULTS.md, with -quick bench/out/dns.md)")
	f.StringVar(&s.tmp, "tmp", os.TempDir(), "where the servers' files go")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return s, s.complete(list(*only), list(*systems))
}

func (s *settings) complete(only, systems []string) (err error) {
	if s.cases, err = selectCases(only); err != nil {
		return err
	}
	for _, system := range systems {
		if !slices.Contains(servers.Names(), system) {
			return fmt.Errorf("unknown server %q: want some of %v", system, servers.Names())
		}
	}
	for _, system := range servers.Names() {
		if slices.Contains(systems, system) {
			s.systems = append(s.systems, system)
		}
	}
	s.defaults()
	switch {
	case len(s.systems) == 0:
		return errors.New("no server chosen")
	case s.rounds < 1 || s.rounds > 100:
		return errors.New("rounds: want 1 to 100")
	case s.duration < 0 || s.warmup < 0:
		return errors.New("duration, warmup: want more than 0")
	}
	return nil
}

func (s *settings) defaults() {
	rounds, duration, warmup := 5, 2*time.Second, 500*time.Millisecond
	json, out := "bench/dns/results.json", "bench/dns/RESULTS.md"
	if s.quick {
		rounds, duration, warmup = 1, 500*time.Millisecond, 200*time.Millisecond
		json, out = "bench/out/dns.json", "bench/out/dns.md"
	}
	orDefault(&s.rounds, rounds)
	orDefault(&s.duration, duration)
	orDefault(&s.warmup, warmup)
	orDefault(&s.json, json)
	orDefault(&s.out, out)
}

func orDefault[T comparable](setting *T, value T) {
	var zero T
	if *setting == zero {
		*setting = value
	}
}

func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
