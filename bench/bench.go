//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"gatehouse/bench/load"
	"gatehouse/bench/peers"
	"gatehouse/bench/proc"
	"gatehouse/bench/report"
)

// bench is one run of the harness.
type bench struct {
	*settings
	self     string // path of this program, which is also the origin and the load generator
	dir      string // temporary, of this run
	ports    peers.Ports
	maxFiles uint64
	cert     string
	key      string
	origin   *proc.Process
	originAt netip.AddrPort
	proxyCPU []int // empty: not pinned
	otherCPU []int
	info     report.Info
	doc      *report.Document
	failed   []string // what went wrong without ending the run
}

// runBench runs the cases. Each is saved once it is complete, so that an error
// or an interrupt costs only the one under way.
func runBench(ctx context.Context, s *settings) error {
	b, err := newBench(s)
	if err != nil {
		return err
	}
	defer b.cleanUp()
	if err := b.startOrigin(ctx); err != nil {
		return err
	}
	fmt.Printf("%d cases, %v, logs %v: about %v\n", len(s.cases), s.systems, s.logs, s.estimate().Round(time.Minute))
	for _, group := range groups(s.cases) {
		rows, err := b.runGroup(ctx, group)
		if err != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		if err := b.keep(rows); err != nil {
			return err
		}
	}
	b.doc.Table(os.Stdout, style(), "on")
	b.doc.Table(os.Stdout, style(), "off")
	b.doc.Firewalls(os.Stdout, style())
	if len(b.failed) > 0 {
		return fmt.Errorf("%d problems: %v", len(b.failed), b.failed)
	}
	return nil
}

func newBench(s *settings) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.out, 0o755); err != nil {
		return nil, err
	}
	doc, err := report.Load(filepath.Join(s.out, "results.json"))
	if err != nil {
		return nil, err
	}
	b := &bench{settings: s, self: self, doc: doc, info: describe(s)}
	if b.maxFiles, err = proc.RaiseFileLimit(); err != nil {
		return nil, err
	}
	if s.pin {
		if b.proxyCPU, b.otherCPU, err = halves(); err != nil {
			return nil, err
		}
	}
	if b.dir, err = os.MkdirTemp(s.tmp, "gatehouse-bench-"); err != nil {
		return nil, err
	}
	if b.cert, b.key, err = peers.WriteCertificate(b.dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(b.dir))
	}
	return b, nil
}

func (b *bench) cleanUp() {
	if b.origin != nil {
		b.origin.Stop()
	}
	os.RemoveAll(b.dir)
}

func (b *bench) startOrigin(ctx context.Context) (err error) {
	if b.originAt, err = b.ports.Take(); err != nil {
		return err
	}
	b.origin, err = proc.Start("origin", proc.Command{
		Argv: []string{b.self, "origin", b.originAt.String(), strconv.Itoa(b.originThreads)},
		Dir:  b.dir, Output: filepath.Join(b.dir, "origin.log"), CPUs: b.otherCPU,
	})
	if err != nil {
		return err
	}
	for range 250 {
		conn, err := net.DialTimeout("tcp4", b.originAt.String(), time.Second)
		if err == nil {
			return conn.Close()
		}
		if ctx.Err() != nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.New("the origin does not start")
}

// keep merges rows into the results and writes these.
func (b *bench) keep(rows []report.Row) error {
	b.doc.Merge(b.info, rows)
	return save(b.settings, b.doc)
}

func save(s *settings, doc *report.Document) error {
	if err := doc.Save(filepath.Join(s.out, "results.json")); err != nil {
		return err
	}
	return report.WriteSection(filepath.Join(s.out, "RESULTS.md"), doc.Markdown(style()))
}

// renderAgain is -render.
func renderAgain(s *settings) error {
	doc, err := report.Load(filepath.Join(s.out, "results.json"))
	if err != nil {
		return err
	}
	return save(s, doc)
}

func style() report.Style {
	st := report.Style{
		Systems: peers.Names(), Titles: make(map[string]string), Logging: make(map[string]string), Without: make(map[string]string),
	}
	for _, c := range allCases() {
		st.Titles[c.name] = c.title
		if c.firewall {
			st.Firewalls = append(st.Firewalls, c.name)
		} else {
			st.Cases = append(st.Cases, c.name)
		}
	}
	for _, system := range peers.Names() {
		st.Logging[system] = peers.LogStyle(system)
	}
	for _, system := range peers.WithFirewall() {
		st.Without[system] = peers.Base(system)
	}
	return st
}

// problem notes something that makes the run fail in the end.
func (b *bench) problem(format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	b.failed = append(b.failed, text)
	fmt.Println("  !", text)
	return text
}

// drive runs the load generator in a process of its own.
func (b *bench) drive(ctx context.Context, o load.Options) (*load.Result, error) {
	p, err := b.startChild("load", o)
	if err != nil {
		return nil, err
	}
	defer p.Stop()
	answer := make(chan error, 1)
	result := new(load.Result)
	go func() { answer <- json.NewDecoder(p.Stdout).Decode(result) }()
	select {
	case err = <-answer:
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(o.Warmup + o.Duration + 20*time.Second):
		err = errors.New("the load generator does not come to an end")
	}
	if err != nil {
		return nil, fmt.Errorf("load: %w %s", err, b.childErrors("load"))
	}
	return result, nil
}

func (b *bench) startChild(command string, o load.Options) (*proc.Process, error) {
	options, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	output := filepath.Join(b.dir, command+".log")
	if err := os.WriteFile(output, nil, 0o600); err != nil {
		return nil, err
	}
	return proc.Start(command, proc.Command{
		Argv: []string{b.self, command, string(options)}, Dir: b.dir, Output: output, CPUs: b.otherCPU, Piped: true,
	})
}

func (b *bench) childErrors(command string) string {
	text, err := os.ReadFile(filepath.Join(b.dir, command+".log"))
	if err != nil {
		return ""
	}
	return string(text)
}

// halves splits the processors that we may use.
func halves() (first, second []int, err error) {
	all, err := proc.Processors()
	if err != nil {
		return nil, nil, err
	}
	if len(all) < 2 {
		return nil, nil, errors.New("-pin needs two processors")
	}
	return all[:len(all)/2], all[len(all)/2:], nil
}
