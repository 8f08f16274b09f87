// Package netns gives tests hosts of their own: network namespaces joined by
// virtual cables, in which sockets are made and programs run as on separate
// machines.
//
// A namespace has no name anywhere: it lasts while the test holds its
// descriptor, so nothing is left behind even by a test that is killed. It
// takes root and the command ip; without them New skips the test.
package netns

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/internal/testkit"
)

// commandTime bounds one command.
const commandTime = 10 * time.Second

// Host is a network namespace with its loopback interface up.
type Host struct {
	Name string

	t  testing.TB
	mu sync.RWMutex // goroutines of the test may outlast it
	ns *os.File     // nil: the test has ended
}

// New makes a host. It lasts until the test ends.
func New(t testing.TB, name string) *Host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces take root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("network namespaces are set up with the command ip, which is not installed")
	}
	h := &Host{Name: name, t: t}
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		var err error
		h.ns, err = os.Open(current)
		return err
	})
	if err != nil {
		t.Skipf("no network namespaces here: %v", err)
	}
	t.Cleanup(h.leave)
	h.IP("link set lo up")
	// Interfaces can be used at once: nobody is asked first whether another
	// has their addresses. A kernel without IPv6 has no such files.
	if _, err := os.Stat("/proc/sys/net/ipv6"); err == nil {
		h.Sysctl("ipv6/conf/default/accept_dad", "0")
		h.Sysctl("ipv6/conf/default/dad_transmits", "0")
	}
	return h
}

// current is the namespace of the calling thread. That of the process is the
// one of its first thread, which may be another.
const current = "/proc/thread-self/ns/net"

// onOwnThread runs fn on a thread that may change its namespace, and puts the
// thread back. One that cannot be put back ends with its goroutine.
func onOwnThread(fn func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		before, err := os.Open(current)
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer before.Close()
		defer func() { done <- err }() // also when fn ends the goroutine
		defer func() {
			if unix.Setns(int(before.Fd()), unix.CLONE_NEWNET) == nil {
				runtime.UnlockOSThread()
			}
		}()
		err = fmt.Errorf("ended early") // unless fn returns
		err = fn()
	}()
	return <-done
}

// Do runs fn in the host: the sockets that fn itself makes and the programs
// that it starts belong to the host, and go on doing so. What fn starts as a
// goroutine does not run there. fn must not end the test.
func (h *Host) Do(fn func() error) error {
	return onOwnThread(func() error {
		if err := h.enter(); err != nil {
			return fmt.Errorf("setns: %w", err)
		}
		return fn()
	})
}

// enter puts the calling thread into the host.
func (h *Host) enter() error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.ns == nil {
		return os.ErrClosed
	}
	return unix.Setns(int(h.ns.Fd()), unix.CLONE_NEWNET)
}

// leave gives the host up, which goes with its last socket and program.
func (h *Host) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ns.Close()
	h.ns = nil
}

// Must is Do for what has to succeed.
func (h *Host) Must(fn func() error) {
	h.t.Helper()
	if err := h.Do(fn); err != nil {
		h.t.Fatalf("%s: %v", h.Name, err)
	}
}

// Run runs a command in the host, with spaces between its words, and returns
// what it prints. The test fails when the command does.
func (h *Host) Run(command string) string {
	h.t.Helper()
	words := strings.Fields(command)
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	var out []byte
	err := h.Do(func() (err error) {
		out, err = exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
		return err
	})
	if err != nil {
		h.t.Fatalf("%s: %s: %v\n%s", h.Name, command, err, out)
	}
	return string(out)
}

// Start starts a program in the host, which ends with the test, as
// [testkit.Start] does.
func (h *Host) Start(cmd *exec.Cmd) (p *testkit.Process) {
	h.t.Helper()
	h.Must(func() error {
		p = testkit.Start(h.t, cmd)
		return nil
	})
	return p
}

// Document runs a block of a page of docs, whose first line says that it is to
// be run as somebody: the commands of a manual, as its readers run them.
func (h *Host) Document(page, runAs string) {
	h.t.Helper()
	data, err := os.ReadFile(testkit.ModuleRoot(h.t) + "/docs/" + page)
	if err != nil {
		h.t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(data), ", as "+runAs+"\"\n")
	if !ok {
		h.t.Fatalf("%s has nothing to run as %s", page, runAs)
	}
	text, _, _ = strings.Cut(text, "```")
	h.Must(func() error {
		if out, err := exec.Command("sh", "-euc", text).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// IP runs ip with these arguments.
func (h *Host) IP(arguments string) string {
	h.t.Helper()
	return h.Run("ip " + arguments)
}

// Sysctl sets what is in a file below /proc/sys/net.
func (h *Host) Sysctl(name, value string) {
	h.t.Helper()
	h.Must(func() error { return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o644) })
}
