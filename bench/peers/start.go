//go:build linux

package peers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"gatehouse/bench/proc"
)

// Peer is a running proxy.
type Peer struct {
	System  string
	Setup   Setup
	Process *proc.Process
	PIDs    []int // the process and its workers
}

// Start writes a system's configuration and starts it with the given program
// (empty: the default). The caller has to Stop it.
func Start(system, program string, s Setup, cpus []int) (*Peer, error) {
	k, err := kindOf(system)
	if err != nil {
		return nil, err
	}
	if program, err = Find(system, program); err != nil {
		return nil, err
	}
	s.Firewall = k.firewall
	files, err := Render(system, s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", system, err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.Dir, name), text, 0o600); err != nil {
			return nil, err
		}
	}
	output := filepath.Join(s.Dir, "output.log")
	if system == "haproxy" && s.Logs {
		output = s.Log()
	}
	p, err := proc.Start(system, proc.Command{
		Argv: append([]string{program}, k.args(s.Dir)...), Dir: s.Dir, Output: output, CPUs: cpus,
		// Caddy keeps its state, and a copy of its configuration, at home.
		Env: []string{"HOME=" + s.Dir, "XDG_CONFIG_HOME=" + s.Dir, "XDG_DATA_HOME=" + s.Dir},
	})
	if err != nil {
		return nil, err
	}
	return &Peer{System: system, Setup: s, Process: p}, nil
}

// Find returns the path of a system's program; given overrides the default.
func Find(system, given string) (string, error) {
	k, err := kindOf(system)
	if err != nil {
		return "", err
	}
	if given == "" {
		given = k.program
	}
	path, err := exec.LookPath(given)
	if err == nil && k.module != "" {
		_, err = os.Stat(k.module)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w (appgw: `go build -o bin/appgw ./cmd/appgw`; ModSecurity: the Debian package %s; the others: those of their names)", system, err, modSecurityPackage)
	}
	return filepath.Abs(path)
}

// Version is what a system says of itself, in one line.
func Version(system, program string) string {
	k, err := kindOf(system)
	if err != nil {
		return "unknown"
	}
	path, err := Find(system, program)
	if err != nil {
		return "not installed"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	text, err := exec.CommandContext(ctx, path, k.version...).CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if err != nil || line == "" {
		return "unknown"
	}
	if k.firewall == ModSecurity {
		line += ", ModSecurity " + packageVersion(ctx, "libmodsecurity3")
	}
	return line
}

// packageVersion is the version of an installed Debian package.
func packageVersion(ctx context.Context, name string) string {
	text, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Version}", name).Output()
	if err != nil || len(text) == 0 {
		return "of unknown version"
	}
	return string(text)
}

// AwaitReady calls try until it succeeds, the peer ends, or time is up, and
// then notes the peer's processes.
func (p *Peer) AwaitReady(ctx context.Context, limit time.Duration, try func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := try()
		if err == nil {
			err = p.listProcesses()
		}
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready after %v: %w", p.System, limit, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.Process.Done():
			return fmt.Errorf("%s has ended (%v): %s", p.System, p.Process.Err(), p.lastWords())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// listProcesses notes the peer's processes. The first worker may answer before
// the last one is there: with 10 000 hosts a fork takes its time. CPU time
// measured without that worker would flatter the peer.
func (p *Peer) listProcesses() (err error) {
	if p.PIDs, err = proc.Tree(p.Process.PID()); err != nil {
		return err
	}
	want, helpers := 1, 0
	if k, err := kindOf(p.System); err == nil && k.workers {
		want += p.Setup.Workers
		if p.Setup.Cache {
			helpers = 2 // nginx's cache manager, and its loader for a minute
		}
	}
	if n := len(p.PIDs); n < want || n > want+helpers {
		return fmt.Errorf("%d processes, want %d", len(p.PIDs), want)
	}
	return nil
}

// lastWords are the end of what the peer has written.
func (p *Peer) lastWords() string {
	for _, name := range []string{"output.log", "error.log", "access.log"} {
		text, err := os.ReadFile(filepath.Join(p.Setup.Dir, name))
		if err == nil && len(text) > 0 {
			return string(text[max(0, len(text)-600):])
		}
	}
	return "no output"
}

// Stop ends the peer.
func (p *Peer) Stop() { p.Process.Stop() }
