package testkit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a program under test, in a process group of its own so that what it starts (a binary upgrade) ends with it.
type Process struct {
	Pid int

	t      testing.TB
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended and its output is complete
	err    error         // valid after exited

	mu      sync.Mutex
	all     bytes.Buffer
	out     bytes.Buffer
	changed chan struct{} // closed and replaced at each new output
}

// Run builds a command of this module (see Build) and starts it with these arguments.
func Run(t testing.TB, pkg string, args ...string) *Process {
	t.Helper()
	return Start(t, exec.Command(Build(t, pkg), args...))
}

// Start starts a command and has it stopped when the test ends: SIGTERM, then SIGKILL after ten seconds. Its output is shown
// if the test failed.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{t: t, cmd: cmd, exited: make(chan struct{}), changed: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = output{p, &p.out}, output{p, nil}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.WaitDelay = 5 * time.Second // a child of the child may hold the pipes open
	if err := cmd.Start(); err != nil {
		t.Fatalf("testkit: %v", err)
	}
	p.Pid = cmd.Process.Pid
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.cleanUp)
	return p
}

// output collects one stream into the common log and, if it has one, its own buffer.
type output struct {
	p   *Process
	own *bytes.Buffer
}

func (o output) Write(b []byte) (int, error) {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	o.p.all.Write(b)
	if o.own != nil {
		o.own.Write(b)
	}
	close(o.p.changed)
	o.p.changed = make(chan struct{})
	return len(b), nil
}

func (p *Process) cleanUp() {
	if p.Running() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-p.exited:
	case <-time.After(10 * time.Second):
		p.t.Errorf("testkit: %s did not stop within ten seconds of SIGTERM", p.cmd.Path)
	}
	// The group outlives its leader when the leader handed over to a new binary.
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
	<-p.exited
	if p.t.Failed() {
		p.t.Logf("output of %s:\n%s", strings.Join(p.cmd.Args, " "), p.Output())
	}
}

// Running says whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Output returns what it wrote to stdout and stderr so far.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all.String()
}

// Stdout returns what it wrote to stdout so far.
func (p *Process) Stdout() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// Signal sends a signal to the process.
func (p *Process) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("testkit: signal: %v", err)
	}
}

// Wait waits for the end and returns the exit status, -1 if a signal ended it; the test fails if it takes longer.
func (p *Process) Wait(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		p.t.Fatalf("testkit: %s still runs after %v", p.cmd.Path, within)
		return -1
	}
}

// Stop sends SIGTERM and waits for the end.
func (p *Process) Stop(within time.Duration) int {
	p.t.Helper()
	if p.Running() {
		p.Signal(syscall.SIGTERM)
	}
	return p.Wait(within)
}

// WaitLine waits for a line of output that contains text and returns the first one. The test fails when the process ends
// or the time is over before that.
func (p *Process) WaitLine(text string, within time.Duration) string {
	p.t.Helper()
	timeout := time.After(within)
	for {
		p.mu.Lock()
		line, found := lineWith(p.all.Bytes(), text)
		changed := p.changed
		p.mu.Unlock()
		if found {
			return line
		}
		select {
		case <-changed:
		case <-p.exited:
			if line, found := lineWith([]byte(p.Output()), text); found {
				return line
			}
			p.t.Fatalf("testkit: %s ended (%v) without a line with %q", p.cmd.Path, p.err, text)
		case <-timeout:
			p.t.Fatalf("testkit: no line with %q within %v", text, within)
		}
	}
}

func lineWith(log []byte, text string) (string, bool) {
	lines := bufio.NewScanner(bytes.NewReader(log))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return lines.Text(), true
		}
	}
	return "", false
}

// WaitReady waits until a GET of the URL answers 200; the test fails when the process ends or the time is over before that.
func (p *Process) WaitReady(url string, within time.Duration) {
	p.t.Helper()
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	last := errors.New("not tried")
	ready := holds(within, func() bool {
		last = probe(client, url)
		return last == nil || !p.Running()
	})
	if !ready || last != nil {
		p.t.Fatalf("testkit: %s is not ready: %v (running: %v)", p.cmd.Path, last, p.Running())
	}
}

func probe(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// Descriptors counts the open descriptors of the process.
func (p *Process) Descriptors() int {
	p.t.Helper()
	return Descriptors(p.t, p.Pid)
}

// RSS is the resident memory of the process in bytes.
func (p *Process) RSS() int64 {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid))
	if err != nil {
		p.t.Fatalf("testkit: %v", err)
	}
	line, _ := lineWith(status, "VmRSS:")
	var kib int64
	if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err != nil {
		p.t.Fatalf("testkit: %q: %v", line, err)
	}
	return kib << 10
}
