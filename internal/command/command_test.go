package command

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
)

// run runs a command under a root called tool.
func run(t *testing.T, cmd *cobra.Command, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	root := &cobra.Command{Use: "tool", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(cmd)
	var out, err bytes.Buffer
	status = Run(t.Context(), root, append([]string{cmd.Name()}, args...), &out, &err)
	return status, out.String(), err.String()
}

// that is a command which does f, with a flag for a configuration.
func that(f func(*cobra.Command, []string) error) *cobra.Command {
	c := &cobra.Command{Use: "do", Args: NoArguments, RunE: f}
	c.Flags().StringP("config", "c", "", "")
	return c
}

func TestExitStatuses(t *testing.T) {
	fails := func(err error) func(*cobra.Command, []string) error {
		return func(*cobra.Command, []string) error { return err }
	}
	tests := []struct {
		name   string
		run    func(*cobra.Command, []string) error
		args   []string
		status int
		stderr string
	}{
		{"well", fails(nil), nil, ExitOK, ""},
		{"work", Work(fails(nil)), nil, ExitOK, ""},
		{"failed work", Work(fails(errors.New("no luck"))), nil, ExitFailed, "tool: no luck\n"},
		{"a failure within", Work(fails(fmt.Errorf("so: %w", &Failed{errors.New("no luck")}))), nil, ExitFailed, "tool: no luck\n"},
		{"all was said", Work(fails(&Failed{})), nil, ExitFailed, ""},
		{"usage", fails(errors.New("what?")), nil, ExitUsage, "tool: what?\nSee 'tool --help'.\n"},
		{"an argument too many", Work(fails(nil)), []string{"file.yaml"}, ExitUsage,
			"tool: tool do takes no argument, \"file.yaml\"; a configuration file is named with -c\nSee 'tool --help'.\n"},
		{"an unknown flag", Work(fails(nil)), []string{"--nothing"}, ExitUsage, "tool: unknown flag: --nothing\nSee 'tool --help'.\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, stdout, stderr := run(t, that(tt.run), tt.args...)
			if status != tt.status || stderr != tt.stderr || stdout != "" {
				t.Errorf("status %d, %q and %q; want %d and %q", status, stdout, stderr, tt.status, tt.stderr)
			}
		})
	}
}

func TestNoArgumentsWithoutAConfigurationSaysNothingOfOne(t *testing.T) {
	_, _, stderr := run(t, NewVersion("tool", "v1"), "x")
	if strings.Contains(stderr, "-c") || !strings.Contains(stderr, `"x"`) {
		t.Error(stderr)
	}
}

func TestVersion(t *testing.T) {
	status, stdout, _ := run(t, NewVersion("tool", "v1.2"))
	if status != ExitOK || stdout != VersionLine("tool", "v1.2")+"\n" || !strings.HasPrefix(stdout, "tool v1.2 (go1.") {
		t.Errorf("status %d, %q", status, stdout)
	}
}

// full is a pipe whose reader is gone.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestWhatCannotBePrintedIsAFailure(t *testing.T) {
	root := &cobra.Command{Use: "tool", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(NewVersion("tool", "v1"))
	if status := Run(t.Context(), root, []string{"version"}, full{}, io.Discard); status != ExitFailed {
		t.Errorf("status %d", status)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 zones", 1: "1 zone", 2: "2 zones"} {
		if got := Count(n, "zone"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPrintJSON(t *testing.T) {
	var b strings.Builder
	if err := PrintJSON(&b, map[string]int{"a": 1}); err != nil || b.String() != "{\n  \"a\": 1\n}\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
	if PrintJSON(&b, func() {}) == nil {
		t.Error("a function was printed")
	}
}

func TestTheDescriptorLimitIsRaised(t *testing.T) {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before) }()
	low := syscall.Rlimit{Cur: min(256, before.Max), Max: before.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	RaiseDescriptorLimit()
	var now syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now); err != nil || now.Cur != now.Max || now.Max != before.Max {
		t.Errorf("%+v, %v; before %+v", now, err, before)
	}
}
