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

	"gatehouse/bench/l4/balancers"
)

// settings are the flags.
type settings struct {
	cases    []benchCase
	systems  []string
	programs balancers.Programs
	rounds   int
	duration time.Duration
	warmup   time.Duration
	rest     time.Duration // of idle connections
	timeout  time.Duration
	quick    bool
	list     bool
	json     string
	out      string
	tmp      string
}

func parseSettings(args []string) (*settings, error) {
	s := &settings{programs: balancers.Programs{Paths: make(map[string]string)}}
	f := flag.NewFlagSet("bench/l4", flag.ContinueOnError)
	only := f.String("only", "", "cases to run, separated by commas; default: all (see -list)")
	systems := f.String("systems", strings.Join(balancers.Names(), ","), "balancers to compare")
	f.IntVar(&s.rounds, "rounds", 0, "rounds, of which the median counts (default 5, with -quick 1)")
	f.DurationVar(&s.duration, "duration", 0, "what counts of a round (default 2s, with -quick 500ms)")
	f.DurationVar(&s.warmup, "warmup", 0, "what comes before (default 500ms, with -quick 200ms)")
	f.DurationVar(&s.rest, "rest", 0, "how long idle connections rest (default 10s, with -quick 1s)")
	f.DurationVar(&s.timeout, "timeout", time.Hour, "when to give up")
	f.BoolVar(&s.quick, "quick", false, "a short run that shows that everything works; writes to bench/out")
	f.BoolVar(&s.list, "list", false, "list the cases")
	f.StringVar(&s.json, "json", "", "file of results (default bench/l4/results.json, with -quick bench/out/l4.json)")
	f.StringVar(&s.out, "out", "", "Markdown file (default bench/l4/RESULTS.md, with -quick bench/out/l4.md)")
	f.StringVar(&s.tmp, "tmp", os.TempDir(), "where the balancers' files go")
	f.StringVar(&s.programs.Module, "stream-module", "", "file of nginx's stream module (default "+balancers.DefaultModule+")")
	for _, system := range balancers.Names() {
		f.Func(system, "program of "+system, func(path string) error { s.programs.Paths[system] = path; return nil })
	}
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
		if !slices.Contains(balancers.Names(), system) {
			return fmt.Errorf("unknown balancer %q: want some of %v", system, balancers.Names())
		}
	}
	for _, system := range balancers.Names() {
		if slices.Contains(systems, system) {
			s.systems = append(s.systems, system)
		}
	}
	s.defaults()
	switch {
	case len(s.systems) == 0:
		return errors.New("no balancer chosen")
	case s.rounds < 1 || s.rounds > 100:
		return errors.New("rounds: want 1 to 100")
	case s.duration < 0 || s.warmup < 0 || s.rest < 0:
		return errors.New("duration, warmup, rest: want more than 0")
	}
	return nil
}

func (s *settings) defaults() {
	rounds, duration, warmup, rest := 5, 2*time.Second, 500*time.Millisecond, 10*time.Second
	json, out := "bench/l4/results.json", "bench/l4/RESULTS.md"
	if s.quick {
		rounds, duration, warmup, rest = 1, 500*time.Millisecond, 200*time.Millisecond, time.Second
		json, out = "bench/out/l4.json", "bench/out/l4.md"
	}
	orDefault(&s.rounds, rounds)
	orDefault(&s.duration, duration)
	orDefault(&s.warmup, warmup)
	orDefault(&s.rest, rest)
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
