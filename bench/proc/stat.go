//go:build linux

// Package proc starts the processes of a benchmark, ends them, and reads what
// they cost from /proc and the kernel's process clocks.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// userHZ is the unit of times in /proc/<pid>/stat: 100 on every architecture
// that Go runs on.
const userHZ = 100

// Stat is what the benchmark needs of /proc/<pid>/stat.
type Stat struct {
	PID, Parent int
	CPU         time.Duration // utime + stime, in steps of 10 ms
}

// ReadStat reads the line of one process.
func ReadStat(pid int) (Stat, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Stat{}, err
	}
	return parseStat(line)
}

// parseStat counts fields from the last parenthesis: the process's name, in
// parentheses, may hold blanks and parentheses of its own.
func parseStat(line []byte) (Stat, error) {
	end := bytes.LastIndexByte(line, ')')
	if end < 0 {
		return Stat{}, errors.New("stat: no process name")
	}
	head, _, _ := bytes.Cut(line, []byte(" "))
	fields := bytes.Fields(line[end+1:])
	if len(fields) < 13 {
		return Stat{}, errors.New("stat: too few fields")
	}
	var numbers [4]int64
	for i, field := range [][]byte{head, fields[1], fields[11], fields[12]} {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return Stat{}, fmt.Errorf("stat: %w", err)
		}
		numbers[i] = n
	}
	ticks := time.Duration(numbers[2] + numbers[3])
	return Stat{PID: int(numbers[0]), Parent: int(numbers[1]), CPU: ticks * time.Second / userHZ}, nil
}

// Tree lists a process and all its descendants.
func Tree(root int) ([]int, error) {
	parents, err := parentsOfAll()
	if err != nil {
		return nil, err
	}
	tree := []int{root}
	for i := 0; i < len(tree); i++ {
		for pid, parent := range parents {
			if parent == tree[i] {
				tree = append(tree, pid)
			}
		}
	}
	return tree, nil
}

func parentsOfAll() (map[int]int, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	parents := make(map[int]int)
	for _, path := range paths {
		line, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended since
		}
		if stat, err := parseStat(line); err == nil {
			parents[stat.PID] = stat.Parent
		}
	}
	return parents, nil
}

// CPUTime is the user and system time that the processes have used so far,
// ended threads included. It comes from each process's CPU clock, which is
// utime + stime of /proc/<pid>/stat in nanoseconds rather than in ticks of 10
// ms; where that clock cannot be read, from stat.
func CPUTime(pids ...int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		cpu, err := cpuClock(pid)
		if err != nil {
			stat, statErr := ReadStat(pid)
			if statErr != nil {
				return 0, statErr
			}
			cpu = stat.CPU
		}
		sum += cpu
	}
	return sum, nil
}

// cpuClock reads the clock that clock_getcpuclockid(3) names.
func cpuClock(pid int) (time.Duration, error) {
	const cpuclockSched = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|cpuclockSched, &ts); err != nil {
		return 0, err
	}
	return time.Duration(ts.Nano()), nil
}

// Memory is the resident memory of one or several processes in bytes.
type Memory struct {
	RSS  int64 // now
	Peak int64 // VmHWM: the most so far, summed over the processes
	PSS  int64 // RSS with shared pages divided among their users; 0 if the kernel does not tell
}

// ReadMemory sums the memory of the processes.
func ReadMemory(pids ...int) (Memory, error) {
	var sum Memory
	for _, pid := range pids {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return Memory{}, err
		}
		sum.RSS += kilobytes(status, "VmRSS")
		sum.Peak += kilobytes(status, "VmHWM")
		if rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)); err == nil {
			sum.PSS += kilobytes(rollup, "Pss")
		}
	}
	return sum, nil
}

// kilobytes finds a line "key:  123 kB" and returns it in bytes, 0 if it is
// not there.
func kilobytes(text []byte, key string) int64 {
	for line := range bytes.Lines(text) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || string(name) != key {
			continue
		}
		n, err := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(value), []byte(" kB"))), 10, 64)
		if err != nil {
			return 0
		}
		return n << 10
	}
	return 0
}
