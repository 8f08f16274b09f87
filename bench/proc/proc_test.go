//go:build linux

package proc

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	tests := []struct {
		name, line string
		want       Stat
		ok         bool
	}{
		{"ordinary", "12 (nginx) S 7 12 12 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 1", Stat{12, 7, 3 * time.Second}, true},
		{"a name like fields", "12 (a) R 1 2 (b) S 7 12 12 0 -1 4194560 1 0 0 0 1 2 0 0", Stat{12, 7, 30 * time.Millisecond}, true},
		{"cut short", "12 (nginx) S 7 12", Stat{}, false},
		{"no name", "12 nginx S 7", Stat{}, false},
		{"not a number", "12 (x) S y 12 12 0 -1 4194560 1 0 0 0 1 2", Stat{}, false},
		{"empty", "", Stat{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseStat([]byte(tt.line))
			if got != tt.want || (err == nil) != tt.ok {
				t.Errorf("got %+v, %v; want %+v, ok %v", got, err, tt.want, tt.ok)
			}
		})
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("12 (nginx) S 7 12 12 0 -1 4194560 1 0 0 0 250 50 0 0"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if stat, err := parseStat(line); err != nil && stat != (Stat{}) {
			t.Errorf("%+v beside %v", stat, err)
		}
	})
}

func TestKilobytes(t *testing.T) {
	text := []byte("Name:\tVmRSS\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\nThreads:\t3\nOdd: x kB\n")
	for key, want := range map[string]int64{"VmRSS": 1 << 20, "VmHWM": 2 << 20, "Pss": 0, "Odd": 0} {
		if got := kilobytes(text, key); got != want {
			t.Errorf("%s: %d, want %d", key, got, want)
		}
	}
}

func TestTheProcessClockAgreesWithStat(t *testing.T) {
	for start := time.Now(); time.Since(start) < 100*time.Millisecond; {
		strings.NewReplacer("a", "b").Replace("burn")
	}
	stat, err := ReadStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	clock, err := cpuClock(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// stat counts in ticks, and is read first.
	if diff := clock - stat.CPU; diff < -30*time.Millisecond || diff > 100*time.Millisecond {
		t.Errorf("clock %v, stat %v", clock, stat.CPU)
	}
	twice, err := CPUTime(os.Getpid(), os.Getpid())
	if err != nil || twice < 2*clock {
		t.Errorf("twice: %v, %v", twice, err)
	}
}

func TestMemoryOfThisProcess(t *testing.T) {
	m, err := ReadMemory(os.Getpid())
	if err != nil || m.RSS < 1<<20 || m.Peak < m.RSS/2 {
		t.Errorf("%+v, %v", m, err)
	}
}

// A shell with a child that ignores the polite signal: both must end.
func TestStopEndsTheWholeTree(t *testing.T) {
	p, err := Start("shell", Command{
		Argv:  []string{"/bin/sh", "-c", `trap "" TERM; sleep 600 & echo $!; wait`},
		Piped: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	if _, err := bufio.NewReader(p.Stdout).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	tree, err := Tree(p.PID())
	if err != nil || len(tree) != 2 || tree[0] != p.PID() {
		t.Fatalf("tree %v, %v", tree, err)
	}
	p.Stop()
	for deadline := time.Now().Add(5 * time.Second); lives(tree[1]); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the child %d lives on", tree[1])
		}
	}
	if p.Err() == nil {
		t.Error("no word of how it ended")
	}
}

// lives says whether a process runs: it may be a zombie, if whoever has
// inherited it does not care.
func lives(pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(line), ") Z ")
}

func TestAPinnedProcessStaysOnItsProcessor(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	if _, err := exec.LookPath("grep"); err != nil {
		t.Skip("no grep")
	}
	p, err := Start("grep", Command{Argv: []string{"grep", "Cpus_allowed_list", "/proc/self/status"}, CPUs: []int{0}, Output: out})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	text, err := os.ReadFile(out)
	if err != nil || !slices.Equal(strings.Fields(string(text)), []string{"Cpus_allowed_list:", "0"}) {
		t.Errorf("%q, %v", text, err)
	}
}
