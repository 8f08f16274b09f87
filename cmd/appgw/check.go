package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"gatehouse/config"
	"gatehouse/internal/command"
)

func newCheckCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Do everything a start does short of serving, and report every error",
		Long: `Check parses the configuration, reads the files it names, and compiles it,
without listening and without contacting a backend. Every error is reported,
those of files beside those of keys, as file:line: path: message. The exit
status is 0, or 1 if a start would fail.`,
		Example: "  appgw check -c appgw.yaml",
		Args:    command.NoArguments,
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			return check(cmd.Context(), file, cmd.OutOrStdout(), cmd.ErrOrStderr())
		}),
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultFile, "configuration file")
	return cmd
}

// check reports on a configuration file.
func check(ctx context.Context, file string, stdout, stderr io.Writer) error {
	next, warnings, err := dryBuild(ctx, fileSource(file))
	for _, w := range warnings {
		fmt.Fprintln(stderr, "warning:", w)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return &command.Failed{}
	}
	c := next.conf
	_, err = fmt.Fprintf(stdout, "%s is good: %s, %s, %s\n", file, command.Count(len(c.Listeners), "listener"),
		command.Count(len(c.Rules), "rule"), command.Count(len(c.BackendPools), "backend pool"))
	return err
}

// dryBuild builds a configuration without sockets and members.
func dryBuild(ctx context.Context, src source) (next *running, warnings []string, err error) {
	a := newApp(slog.New(slog.DiscardHandler), src)
	conf, warnings, err := a.load()
	if err != nil {
		return nil, warnings, err
	}
	b := newBuild(a, conf, &running{}, true)
	next, err = b.run(ctx)
	return next, append(warnings, b.next.warnings...), err
}

func newSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration, for editors",
		Example: `  appgw schema > appgw.schema.json
  # first line of appgw.yaml, for editors with a YAML language server:
  # yaml-language-server: $schema=appgw.schema.json`,
		Args: command.NoArguments,
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), string(config.Schema()))
			return err
		}),
	}
}
