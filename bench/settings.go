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

	"gatehouse/bench/peers"
)

// settings are the flags.
type settings struct {
	cases    []benchCase
	systems  []string
	logs     []string
	rounds   int
	duration time.Duration
	warmup   time.Duration
	rest     time.Duration // of idle connections
	timeout  time.Duration
	quick    bool
	pin      bool
	forward  bool
	splice   bool
	format   string // of appgw's access log
	list     bool
	render   bool
	out, tmp string
	programs map[string]string

	originThreads, loadThreads int
}

func parseSettings(args []string) (*settings, error) {
	s := &settings{programs: make(map[string]string)}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	cases := f.String("cases", "", "cases to run, separated by commas; waf: all waf_*; default: all (see -list)")
	systems := f.String("systems", strings.Join(peers.Names(), ","), "systems to compare")
	logs := f.String("logs", "on,off", "access logs: on, off, or both")
	f.IntVar(&s.rounds, "rounds", 0, "rounds, of which the median counts (default 5, with -quick 1)")
	f.DurationVar(&s.duration, "duration", 0, "what counts of a round (default 2s, with -quick 600ms)")
	f.DurationVar(&s.warmup, "warmup", 0, "what comes before (default 500ms, with -quick 200ms)")
	f.DurationVar(&s.rest, "rest", 0, "how long idle connections rest (default 60s, with -quick 15s)")
	f.DurationVar(&s.timeout, "timeout", time.Hour, "when to give up")
	f.BoolVar(&s.quick, "quick", false, "a short run that shows that everything works; writes to bench/out")
	f.BoolVar(&s.pin, "pin", false, "proxies on one half of the processors, origin and load on the other")
	f.BoolVar(&s.forward, "forwarded", false, "nginx and HAProxy add X-Forwarded-* as appgw and Caddy do")
	f.StringVar(&s.format, "appgw-log", "combined", "format of appgw's access log: combined, as nginx writes, or json, its default")
	f.BoolVar(&s.splice, "haproxy-splice", true, "HAProxy with option splice-response")
	f.BoolVar(&s.list, "list", false, "list the cases")
	f.BoolVar(&s.render, "render", false, "write RESULTS.md again from results.json, without a run")
	f.StringVar(&s.out, "out", "", "directory of results.json and RESULTS.md (default bench, with -quick bench/out)")
	f.StringVar(&s.tmp, "tmp", os.TempDir(), "where the proxies' files and logs go")
	f.IntVar(&s.originThreads, "origin-threads", 1, "threads of the origin")
	f.IntVar(&s.loadThreads, "load-threads", 1, "threads of the load generator")
	for _, system := range peers.Proxies() {
		f.Func(system, "program of "+system, func(path string) error { s.programs[system] = path; return nil })
	}
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return s, s.complete(*cases, *systems, *logs)
}

func (s *settings) complete(cases, systems, logs string) (err error) {
	if s.cases, err = selectCases(list(cases)); err != nil {
		return err
	}
	if s.systems, err = selected("system", list(systems), peers.Names()); err != nil {
		return err
	}
	if s.logs, err = selected("log setting", list(logs), []string{"on", "off"}); err != nil {
		return err
	}
	s.defaults()
	if s.rounds < 1 || s.rounds > 100 || s.originThreads < 1 || s.loadThreads < 1 {
		return errors.New("rounds: want 1 to 100; threads: at least 1")
	}
	return nil
}

func (s *settings) defaults() {
	rounds, out := 5, "bench"
	duration, warmup, rest := 2*time.Second, 500*time.Millisecond, time.Minute
	if s.quick {
		rounds, out = 1, "bench/out"
		duration, warmup, rest = 600*time.Millisecond, 200*time.Millisecond, 15*time.Second
	}
	orDefault(&s.rounds, rounds)
	orDefault(&s.out, out)
	orDefault(&s.duration, duration)
	orDefault(&s.warmup, warmup)
	orDefault(&s.rest, rest)
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

// selected returns the chosen ones in the order of all.
func selected(what string, chosen, all []string) ([]string, error) {
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no %s chosen: want some of %v", what, all)
	}
	for _, name := range chosen {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("unknown %s %q: want some of %v", what, name, all)
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !slices.Contains(chosen, name) }), nil
}

// estimate is about how long the run will take.
func (s *settings) estimate() time.Duration {
	var total time.Duration
	idle := false
	for _, c := range s.cases {
		contenders := time.Duration(len(c.systems(s.systems)) * len(c.settings(s.logs)))
		idle = idle || c.idle
		switch {
		case c.idle:
		case c.memory:
			total += time.Duration(s.rounds) * (contenders*memoryStart + min(s.rest, memoryRest))
		default:
			start := 300 * time.Millisecond
			round := s.duration + s.warmup + 150*time.Millisecond
			total += contenders * (start + time.Duration(s.rounds)*round)
		}
	}
	if idle {
		total += s.rest + 40*time.Second
	}
	return total
}
