// Package command is what the commands of the three binaries share: exit
// statuses, errors of work and of usage, the way to a running process, and
// what to do about an address that cannot be listened on.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit statuses of every command.
const (
	ExitOK     = 0
	ExitFailed = 1 // a refused configuration, or a command that failed
	ExitUsage  = 2 // wrong usage
)

// Run runs one command of a binary and returns the exit status.
func Run(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var failed *Failed
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &failed):
		if failed.Err != nil {
			fmt.Fprintf(stderr, "%s: %v\n", root.Name(), failed.Err)
		}
		return ExitFailed
	}
	fmt.Fprintf(stderr, "%s: %v\nSee '%s --help'.\n", root.Name(), err, root.Name())
	return ExitUsage
}

// Failed is a failure of a command's work, not of its usage. With a nil Err
// everything was said already.
type Failed struct{ Err error }

func (e *Failed) Error() string { return fmt.Sprint(e.Err) }

// Work makes a command's function one whose errors are failures, not usage.
func Work(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := f(cmd, args); err != nil {
			var failed *Failed
			if errors.As(err, &failed) {
				return err
			}
			return &Failed{err}
		}
		return nil
	}
}

// NoArguments refuses arguments of a command that has only flags.
func NoArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if cmd.Flags().Lookup("config") != nil {
		hint = "; a configuration file is named with -c"
	}
	return fmt.Errorf("%s takes no argument, %q%s", cmd.CommandPath(), args[0], hint)
}

// VersionLine says which build of a binary this is.
func VersionLine(binary, version string) string {
	return fmt.Sprintf("%s %s (%s)", binary, version, goVersion())
}

// NewVersion is the command that prints the version.
func NewVersion(binary, version string) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  " + binary + " version",
		Args:    NoArguments,
		RunE: Work(func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), VersionLine(binary, version))
			return err
		}),
	}
}

func goVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.GoVersion
	}
	return "unknown Go"
}

// PrintJSON prints a value for programs.
func PrintJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// Count is a number of things, in words.
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// RaiseDescriptorLimit allows as many open files as the system does, and
// returns how many; 0: that is not known.
func RaiseDescriptorLimit() int {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return 0
	}
	if old := r.Cur; r.Cur < r.Max {
		if r.Cur = r.Max; syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
			r.Cur = old
		}
	}
	return int(min(r.Cur, 1<<30))
}
