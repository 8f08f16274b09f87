//go:build linux

package report

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Here describes a run that begins now on this machine, without what only its
// harness knows.
func Here() Info {
	now := time.Now().UTC().Truncate(time.Second)
	info := Info{
		ID: now.Format("2006-01-02T15:04:05Z"), Date: now, Commit: commit(),
		Machine: processor(), CPUs: runtime.NumCPU(), Kernel: kernel(), Go: runtime.Version(),
		Versions: make(map[string]string),
	}
	var sys unix.Sysinfo_t
	if unix.Sysinfo(&sys) == nil {
		info.MemoryMB = int64(uint64(sys.Totalram) * uint64(sys.Unit) >> 20)
	}
	return info
}

func commit() string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	text, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(name.Release[:])
}
