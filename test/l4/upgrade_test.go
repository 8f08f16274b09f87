package l4

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/testkit"
)

// own gives the balancer a binary of its own that the test may replace.
func (b *balancer) own() {
	b.t.Helper()
	data, err := os.ReadFile(b.binary)
	if err != nil {
		b.t.Fatal(err)
	}
	b.binary = filepath.Join(b.t.TempDir(), "l4lb")
	b.install(string(data))
}

// install puts another program in the place of the binary.
func (b *balancer) install(program string) {
	b.t.Helper()
	testkit.Replace(b.t, b.binary, program)
	if err := os.Chmod(b.binary, 0o755); err != nil {
		b.t.Fatal(err)
	}
}

// upgrade asks for the binary on disk in a way, and waits until it serves.
func (b *balancer) upgrade(ask func()) (old int) {
	b.t.Helper()
	old = b.pid()
	ask()
	line := b.waitLog("upgraded: the new process serves")
	var pid int
	if _, err := fmt.Sscanf(line[strings.Index(line, `"newPid":`):], `"newPid":%d`, &pid); err != nil {
		b.t.Fatalf("%v in %s", err, line)
	}
	b.forks = append(b.forks, pid)
	return old
}

func (b *balancer) gone(pid int) {
	b.t.Helper()
	testkit.Eventually(b.t, soon, "the old process to end", func() bool { return !alive(pid) })
}

// An upgrade, asked for by a signal or a command, turns nobody away: the
// connections that there are go on in the old process, and the datagrams in
// the new one, to the same member.
func TestUpgradesUnderLoadLoseNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	b := prepare(t)
	b.own()
	b.write(strings.Replace(l.fill(ordinary), "drain: 5s", "drain: 1m", 1))
	b.run("run", "-c", b.file)
	b.settled()
	load := startLoad(t, l.door(), 12, 4, 12)
	load.more(50)
	var old []int
	for i := range 3 {
		ask := func() { b.command("upgrade") }
		if i%2 == 0 {
			ask = func() {
				if err := syscall.Kill(b.pid(), syscall.SIGUSR2); err != nil {
					t.Fatal(err)
				}
			}
		}
		old = append(old, b.upgrade(ask))
		load.more(50)
	}
	if !alive(old[0]) {
		t.Error("the first process ended before its connections did")
	}
	load.finish()
	for _, pid := range old {
		b.gone(pid) // as no connection is left
	}
	b.configure(l.fill(ordinary)) // the new process obeys the operator
	if s := open(t, l.door()); s.echo("after it") != nil {
		t.Error("no service after the upgrades")
	}
}

// The old process does not wait for ever, and what the operator and the probes
// said holds in the new one.
func TestAnUpgradeEndsWhatDoesNotEndByItself(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	b := prepare(t)
	b.own()
	b.write(strings.Replace(l.fill(ordinary), "drain: 5s", "drain: 1s", 1))
	b.run("run", "-c", b.file)
	l.members[1].sick.Store(true)
	b.becomes(l.members[1], "down")
	b.command("drain", "c")
	s := openTo(t, l.door(), "a")
	old := b.upgrade(func() { b.command("upgrade") })
	for range 30 {
		if s := open(t, l.door()); s.member != "a" {
			t.Errorf("a connection went to %s", s.member)
		}
	}
	if got := s.end(soon); got != "reset" {
		t.Errorf("a connection that lasts: %s", got)
	}
	b.gone(old)
	b.command("undrain", "c")
	openTo(t, l.door(), "c")
}

// What cannot serve does not take over.
func TestAnUpgradeToWhatCannotServe(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	b := prepare(t)
	b.own()
	b.write(l.fill(ordinary))
	b.run("run", "-c", b.file)
	load := startLoad(t, l.door(), 4, 2, 4)
	b.install("#!/bin/sh\nexit 1\n")
	if out := command(t, 1, "upgrade", "--admin", b.admin); !strings.Contains(out, "exit status 1") {
		t.Errorf("upgrade: %s", out)
	}
	b.waitLog("not upgraded, going on")
	load.more(50)
	load.finish()
}
