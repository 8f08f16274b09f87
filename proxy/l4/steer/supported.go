package steer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Supported tells why this process can steer nothing; nil: it can. It loads a
// program that chooses no socket and attaches it for a moment.
func Supported() error {
	s, err := Open()
	if err != nil {
		return err
	}
	defer s.Close()
	t, err := load(nil)
	if err != nil {
		return fmt.Errorf("steer: %w", err)
	}
	defer t.close()
	l, err := link.AttachNetNs(int(s.ns.Fd()), t.program)
	if err != nil {
		return fmt.Errorf("steer: attach the program: %w", explain(err))
	}
	return l.Close()
}

// explain adds to an error of the kernel what to do about it.
func explain(err error) error {
	var cause string
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, unix.EINVAL):
		cause = tooOld(release())
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		cause = notAllowed(readFile("/proc/thread-self/status"), readFile("/sys/kernel/security/lockdown"))
	}
	if cause == "" {
		return err
	}
	return fmt.Errorf("%s: %w", cause, err)
}

// tooOld says what a kernel of a release must have.
func tooOld(release string) string {
	return fmt.Sprintf("the kernel, %s, has no BPF programs of type sk_lookup: it takes Linux 5.9 with CONFIG_BPF_SYSCALL and CONFIG_INET", release)
}

// Capabilities by their numbers. That of administration stands for the others.
const (
	capNetAdmin = 12
	capSysAdmin = 21
	capBPF      = 39 // since Linux 5.8
)

// notAllowed says why a process with that status may not use BPF.
func notAllowed(status, lockdown []byte) string {
	caps, ok := capabilities(status)
	switch {
	case ok && caps&(1<<capNetAdmin|1<<capSysAdmin) == 0:
		return "CAP_NET_ADMIN is missing"
	case ok && caps&(1<<capBPF|1<<capSysAdmin) == 0:
		return "CAP_BPF is missing"
	case bytes.Contains(lockdown, []byte("[confidentiality]")) || bytes.Contains(lockdown, []byte("[integrity]")):
		return "the kernel is locked down (/sys/kernel/security/lockdown)"
	}
	return "a seccomp filter, a security module or a container forbids bpf(2), or RLIMIT_MEMLOCK is too low (kernels before 5.11)"
}

// capabilities are the effective ones by /proc/PID/status.
func capabilities(status []byte) (set uint64, ok bool) {
	for line := range strings.Lines(string(status)) {
		if n, _ := fmt.Sscanf(line, "CapEff: %x", &set); n == 1 {
			return set, true
		}
	}
	return 0, false
}

// readFile is a small file of the kernel's, or nothing.
func readFile(name string) []byte {
	data, _ := os.ReadFile(name)
	return data
}

func release() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return "of unknown release"
	}
	return string(name.Release[:max(0, slices.Index(name.Release[:], 0))])
}
