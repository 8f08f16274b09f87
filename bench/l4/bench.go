//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"gatehouse/bench/l4/balancers"
	"gatehouse/bench/peers"
	"gatehouse/bench/proc"
	"gatehouse/bench/report"
)

// bench is one run of the harness.
type bench struct {
	*settings
	self     string // path of this program, which is also members and generators
	dir      string // temporary, of this run
	maxFiles uint64
	ports    peers.Ports
	missing  map[string]string // why a balancer is not there at all
	info     report.Info
	doc      *document
	failed   []string // what went wrong without ending the run
}

// runBench runs the cases. Each is saved once it is complete.
func runBench(ctx context.Context, s *settings) error {
	b, err := newBench(s)
	if err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	for system, why := range b.missing {
		fmt.Printf("%s takes no part: %s\n", system, why)
	}
	for i := range s.cases {
		if err := b.runCase(ctx, &s.cases[i]); err != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		if err := b.save(); err != nil {
			return err
		}
	}
	b.doc.tables(os.Stdout)
	if len(b.failed) > 0 {
		return fmt.Errorf("%d problems: %s", len(b.failed), strings.Join(b.failed, "; "))
	}
	return nil
}

func newBench(s *settings) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for _, path := range []string{s.json, s.out} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
	}
	b := &bench{settings: s, self: self, missing: make(map[string]string)}
	if b.doc, err = loadDocument(s.json); err != nil {
		return nil, err
	}
	for _, system := range s.systems {
		if _, err := s.programs.Find(system); err != nil {
			b.missing[system] = err.Error()
		}
	}
	b.describe()
	if b.maxFiles, err = proc.RaiseFileLimit(); err != nil {
		return nil, err
	}
	b.dir, err = os.MkdirTemp(s.tmp, "gatehouse-l4-")
	return b, err
}

func (b *bench) describe() {
	b.info = report.Here()
	b.info.Rounds, b.info.Duration, b.info.Warmup, b.info.Quick = b.rounds, b.duration.String(), b.warmup.String(), b.quick
	for _, system := range b.systems {
		b.info.Versions[system] = b.programs.Version(system)
	}
}

func (b *bench) save() error {
	if err := b.doc.save(b.json); err != nil {
		return err
	}
	return report.WriteSection(b.out, b.doc.markdown())
}

// problem notes something that makes the run fail in the end.
func (b *bench) problem(format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	b.failed = append(b.failed, text)
	fmt.Println("  !", text)
	return text
}

// runCase measures one case: its members are one process for all balancers.
func (b *bench) runCase(ctx context.Context, c *benchCase) error {
	fmt.Printf("%s: %s\n", c.name, c.title)
	server, err := b.startChild(commandServe, c.service())
	if err != nil {
		return err
	}
	defer server.process.Stop()
	var members []netip.AddrPort
	if err := server.report(ctx, &members, 20*time.Second); err != nil {
		return err
	}
	field := b.field(c, members, server.process.PID())
	if c.kind == kindIdle {
		err = b.runIdle(ctx, field)
	} else {
		err = b.runTimed(ctx, field)
	}
	if err != nil {
		return err
	}
	var results []result
	for _, k := range field {
		results = append(results, k.result())
	}
	b.doc.merge(b.info, results)
	return nil
}

// newSetup is what a balancer of a case is started with.
func (b *bench) newSetup(system string, c *benchCase, members []netip.AddrPort) (s balancers.Setup, err error) {
	s = balancers.Setup{
		Protocol: c.protocol(), Members: members, Workers: runtime.NumCPU(), MaxFiles: b.maxFiles, Module: b.programs.StreamModule(),
		Bulk: c.kind == kindStreams || c.path == "/1m",
	}
	if s.Dir, err = os.MkdirTemp(b.dir, system+"-"); err != nil {
		return s, err
	}
	if err = os.Chmod(s.Dir, 0o755); err != nil {
		return s, err
	}
	if s.Admin, err = b.ports.Take(); err != nil {
		return s, err
	}
	for range c.rules {
		at, err := b.ports.Take()
		if err != nil {
			return s, err
		}
		s.Rules = append(s.Rules, at)
	}
	return s, nil
}
