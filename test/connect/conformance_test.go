package connect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// within is how long all runs of the suite may take together. They take a quarter of
// it on two cores.
const within = 5 * time.Minute

// TestMain is also the server under test: the runner starts this binary again.
func TestMain(m *testing.M) {
	if backend := os.Getenv(backendVariable); backend != "" {
		if err := serve(backendKind(backend)); err != nil {
			fmt.Fprintf(os.Stderr, "%s%v\n", serverTrouble, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestConformance runs the suite before each kind of backend.
func TestConformance(t *testing.T) {
	bin := buildAll(t)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for _, run := range []struct {
		name    string
		backend backendKind
		atLeast int // cases; fewer are not the suite
	}{
		{"backends of the client's version", same, 4000},
		{"backends of the other version", crossed, 1500},
		{"backends that know gRPC for clients of gRPC-Web", web, 1500},
		{"firewall, compression and buffering", guarded, 1500},
	} {
		t.Run(run.name, func(t *testing.T) {
			began := time.Now()
			out, err := conformance(ctx, t, bin, run.backend)
			sum := totals(out)
			t.Logf("%d cases, %d passed, %d failed, %d failed as listed, in %v", sum.cases, sum.passed, sum.failed, sum.listed, time.Since(began).Round(100*time.Millisecond))
			if err != nil || sum.failed > 0 || sum.cases < run.atLeast || strings.Contains(out, serverTrouble) {
				t.Errorf("at least %d cases were expected to pass, or to fail as listed: %v\n%s", run.atLeast, err, shortened(out))
			}
		})
	}
}

// buildAll builds the runner, the reference server and appgw into a directory.
func buildAll(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	build := func(in string, packages ...string) {
		cmd := exec.Command("go", append([]string{"build", "-o", dir + string(filepath.Separator)}, packages...)...)
		cmd.Dir = in
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
	}
	build(".", "connectrpc.com/conformance/cmd/connectconformance", "connectrpc.com/conformance/cmd/referenceserver")
	build(filepath.Join("..", ".."), "./cmd/appgw")
	return dir
}

// conformance runs the suite's runner and returns what it has printed.
func conformance(ctx context.Context, t *testing.T, bin string, backend backendKind) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--mode", "server", "--conf", string(backend) + ".yaml", "--max-servers", "2", "--parallel", "4", "-v"}
	for _, f := range knownFailures[backend] {
		for _, pattern := range f.patterns {
			args = append(args, "--known-failing", pattern)
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "connectconformance"), append(args, "--", self)...)
	cmd.Env = append(os.Environ(), backendVariable+"="+string(backend), binVariable+"="+bin)
	// A runner that is stopped takes its servers with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = errors.Join(err, fmt.Errorf("the runs were not done within %v", within))
	}
	return string(out), err
}

var (
	summary  = regexp.MustCompile(`(?m)^Total cases: (\d+)\n(\d+) passed, (\d+) failed`)
	expected = regexp.MustCompile(`(?m)^\(Another (\d+) failed as expected`)
)

// sum is what has become of the cases of a run.
type sum struct{ cases, passed, failed, listed int }

// totals reads the runner's last lines.
func totals(out string) (s sum) {
	for _, m := range summary.FindAllStringSubmatch(out, -1) {
		s.cases, _ = strconv.Atoi(m[1])
		s.passed, _ = strconv.Atoi(m[2])
		s.failed, _ = strconv.Atoi(m[3])
	}
	for _, m := range expected.FindAllStringSubmatch(out, -1) {
		s.listed, _ = strconv.Atoi(m[1])
	}
	return s
}

// listedFailure is what the runner says of a case that has failed as listed.
var listedFailure = regexp.MustCompile(`(?m)^INFO: .* failed \(as expected\):\n(?:\t.*\n)*`)

// shortened is the beginning and the end of a long output, without the failures
// that are listed.
func shortened(out string) string {
	out = listedFailure.ReplaceAllString(out, "")
	const most = 8 << 10
	if len(out) <= 2*most {
		return out
	}
	return out[:most] + "\n...\n" + out[len(out)-most:]
}
