//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"gatehouse/bench/dns/load"
	"gatehouse/bench/dns/servers"
	"gatehouse/bench/peers"
	"gatehouse/bench/proc"
	"gatehouse/bench/report"
)

// bench is one run of the harness.
type bench struct {
	*settings
	self    string // path of this program, which is also the load generator
	dir     string // temporary, of this run
	ports   peers.Ports
	missing map[string]string // why a server is not there at all
	info    report.Info
	doc     *document
	failed  []string // what went wrong without ending the run
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
	doc, err := loadDocument(s.json)
	if err != nil {
		return nil, err
	}
	b := &bench{settings: s, self: self, doc: doc, missing: make(map[string]string)}
	for _, system := range s.systems {
		if _, err := servers.Find(system); err != nil {
			b.missing[system] = err.Error()
		}
	}
	b.describe()
	if _, err = proc.RaiseFileLimit(); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp(s.tmp, "gatehouse-dns-"); err != nil {
		return nil, err
	}
	return b, b.prepare()
}

// prepare writes what all servers share. They may run as other users.
func (b *bench) prepare() error {
	err := os.Chmod(b.dir, 0o755)
	if err == nil {
		err = servers.WriteDatabase(b.database())
	}
	if err != nil {
		os.RemoveAll(b.dir)
	}
	return err
}

func (b *bench) database() string { return filepath.Join(b.dir, "countries.mmdb") }

func (b *bench) describe() {
	b.info = report.Here()
	b.info.Rounds, b.info.Duration, b.info.Warmup, b.info.Quick = b.rounds, b.duration.String(), b.warmup.String(), b.quick
	for _, system := range b.systems {
		b.info.Versions[system] = servers.Version(system)
	}
}

func (b *bench) save() error {
	if err := b.doc.save(b.json); err != nil {
		return err
	}
	return report.WriteSection(b.out, b.doc.markdown())
}

func (b *bench) runCase(ctx context.Context, c *benchCase) error {
	fmt.Printf("%s: %s\n", c.name, c.title)
	switch c.kind {
	case kindMemory:
		return b.runSpecial(ctx, c, (*contender).weigh)
	case kindFailover:
		return b.runFailover(ctx, c)
	case kindReload:
		return b.runSpecial(ctx, c, (*contender).reload)
	}
	rows, err := b.runTimed(ctx, c)
	if err != nil {
		return err
	}
	b.doc.merge(b.info, rows)
	return nil
}

// problem notes something that makes the run fail in the end.
func (b *bench) problem(format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	b.failed = append(b.failed, text)
	fmt.Println("  !", text)
	return text
}

// newSetup is what a server of a case is started with.
func (b *bench) newSetup(system string) (s servers.Setup, err error) {
	s = servers.Setup{Threads: runtime.NumCPU(), Database: b.database()}
	if s.Dir, err = os.MkdirTemp(b.dir, system+"-"); err != nil {
		return s, err
	}
	if err = os.Chmod(s.Dir, 0o755); err != nil {
		return s, err
	}
	if s.Addr, err = b.ports.Take(); err != nil {
		return s, err
	}
	s.Admin, err = b.ports.Take()
	return s, err
}

// options are those of a load generator in a case.
func (b *bench) options(c *benchCase, s *servers.Server) (load.Options, error) {
	path := filepath.Join(b.dir, c.name+".queries")
	if err := load.WriteQueries(path, c.queries()); err != nil {
		return load.Options{}, err
	}
	return load.Options{
		Addr: s.Setup.Addr, Queries: path, ECS: c.ecs, DO: c.do, TCP: c.tcp, Sockets: sockets, Window: outstanding / sockets,
		Warmup: b.warmup, Duration: b.duration, Timeout: loss, PIDs: s.PIDs,
	}, nil
}
