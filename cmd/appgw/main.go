// Command appgw is an application gateway: an HTTP reverse proxy with host and
// path routing, cookie affinity, TLS offload and health probes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "devel"

// The exit statuses of every command.
const (
	exitOK     = 0
	exitFailed = 1 // a refused configuration, or a command that failed
	exitUsage  = 2 // wrong usage
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run runs one command and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var failed *failedError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &failed):
		if failed.err != nil {
			fmt.Fprintln(stderr, "appgw:", failed.err)
		}
		return exitFailed
	}
	fmt.Fprintf(stderr, "appgw: %v\nSee 'appgw --help'.\n", err)
	return exitUsage
}

// failedError is a failure of the command's work, not of its usage. With a
// nil err everything was said already.
type failedError struct{ err error }

func (e *failedError) Error() string { return fmt.Sprint(e.err) }

// work makes a command's function one whose errors are failures, not usage.
func work(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := f(cmd, args); err != nil {
			var failed *failedError
			if errors.As(err, &failed) {
				return err
			}
			return &failedError{err}
		}
		return nil
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "appgw",
		Short: "Application gateway: an HTTP reverse proxy with routing, affinity, TLS offload and probes",
		Example: `  appgw demo                                            look around
  appgw proxy --from :8080 --to http://127.0.0.1:3000   put it in front of an application
  appgw run -c appgw.yaml                               serve a configuration`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newRunCommand(), newDemoCommand(), newProxyCommand(), newCheckCommand(), newExplainCommand(), newWAFCommand(),
		newSchemaCommand(), newStatusCommand(), newBackendsCommand(), newReloadCommand(),
		newDrainCommand(), newUndrainCommand(), newUpgradeCommand(), newVersionCommand())
	root.SetVersionTemplate(versionLine() + "\n")
	return root
}

// noArguments refuses arguments of a command that has only flags.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if cmd.Flags().Lookup("config") != nil {
		hint = "; a configuration file is named with -c"
	}
	return fmt.Errorf("%s takes no argument, %q%s", cmd.CommandPath(), args[0], hint)
}

// versionLine says which build this is.
func versionLine() string { return fmt.Sprintf("appgw %s (%s)", version, goVersion()) }

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  appgw version",
		Args:    noArguments,
		RunE: work(func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionLine())
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
