package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"gatehouse/config"
	"gatehouse/dnslb"
	"gatehouse/dnslb/dnssec"
	"gatehouse/internal/command"
)

func newCheckCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Do everything a start does short of serving, and report every error",
		Long: `Check parses the configuration, reads the files it names, and compiles it,
without listening and without probing. Every error is reported as
file:line: path: message. The exit status is 0, or 1 if a start would fail.`,
		Example: "  trafficmgr check -c trafficmgr.yaml",
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
	a, warnings, err := dryBuild(ctx, fileSource(file))
	for _, w := range warnings {
		fmt.Fprintln(stderr, "warning:", w)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return &command.Failed{}
	}
	c := a.current.conf
	_, err = fmt.Fprintf(stdout, "%s is good: %s, %s, %s\n", file, command.Count(len(c.Zones), "zone"), command.Count(len(c.Profiles), "profile"),
		command.Count(len(a.current.director.Endpoints), "endpoint"))
	return err
}

// dryBuild builds a configuration without sockets and probes.
func dryBuild(ctx context.Context, src source) (*app, []string, error) {
	a := newApp(slog.New(slog.DiscardHandler), src)
	conf, parsed, err := src.load()
	var warnings []string
	for _, w := range parsed {
		warnings = append(warnings, w.String())
	}
	if err != nil {
		return nil, warnings, err
	}
	b := &build{app: a, conf: conf, prev: a.current, next: &running{conf: conf}, dry: true}
	next, err := b.run(ctx)
	if err != nil {
		return nil, warnings, err
	}
	a.current = next
	a.authority.Use(next.view, next.director.Snapshot(make([]dnslb.Known, len(next.director.Endpoints))))
	return a, append(warnings, next.warnings...), nil
}

func newSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration, for editors",
		Example: `  trafficmgr schema > trafficmgr.schema.json
  # first line of trafficmgr.yaml, for editors with a YAML language server:
  # yaml-language-server: $schema=trafficmgr.schema.json`,
		Args: command.NoArguments,
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), string(config.TrafficManagerSchema()))
			return err
		}),
	}
}

func newDSCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "ds",
		Short: "Print the DS record of each signed zone, for the zone above",
		Long: `Ds prints the DS record (RFC 4034 5) of each zone with dnssec: {enabled: true}.
The zone above needs it before anybody checks the signatures. The key must be
there: the first start makes it.`,
		Example: "  trafficmgr ds -c trafficmgr.yaml",
		Args:    command.NoArguments,
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			conf, _, err := config.LoadTrafficManager(file)
			if err != nil {
				return command.StartError(err)
			}
			return printDS(cmd.OutOrStdout(), conf)
		}),
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultFile, "configuration file")
	return cmd
}

func printDS(w io.Writer, conf *config.TrafficManager) error {
	signed := false
	for _, z := range conf.Zones {
		if !z.DNSSEC.Enabled {
			continue
		}
		signed = true
		if _, err := os.Stat(z.DNSSEC.KeyFile); err != nil {
			return fmt.Errorf("zone %q: there is no key yet; a start makes it: %w", z.Name, err)
		}
		key, _, err := dnssec.LoadOrCreate(z.DNSSEC.KeyFile, z.Name)
		if err != nil {
			return err
		}
		fmt.Fprintln(w, key.DS())
	}
	if !signed {
		return fmt.Errorf("no zone is signed; write dnssec: {enabled: true, keyFile: FILE}")
	}
	return nil
}
