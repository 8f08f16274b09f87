package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"

	"github.com/spf13/cobra"

	"gatehouse/config"
	"gatehouse/internal/command"
	"gatehouse/proxy/l4"
)

func newCheckCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Do everything a start does short of serving, and report every error",
		Long: `Check parses the configuration, compiles it, and looks whether this machine
has what it needs, without listening and without probing. Every error is
reported as file:line: path: message. The exit status is 0, or 1 if a start
would fail.`,
		Example: "  l4lb check -c l4lb.yaml",
		Args:    command.NoArguments,
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			return check(file, cmd.OutOrStdout(), cmd.ErrOrStderr())
		}),
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultFile, "configuration file")
	return cmd
}

// check reports on a configuration file.
func check(file string, stdout, stderr io.Writer) error {
	conf, warnings, err := config.LoadLoadBalancer(file)
	for _, w := range warnings {
		fmt.Fprintln(stderr, "warning:", w)
	}
	if err == nil {
		a := newApp(slog.New(slog.DiscardHandler), fileSource(file))
		var b *l4.Balancer
		if b, err = l4.Compile(conf, func(string) []netip.Addr { return nil }, a.state, nil); err == nil {
			for _, w := range advice(b) {
				fmt.Fprintln(stderr, "warning:", w)
			}
			err = needs(conf, nil)
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return &command.Failed{}
	}
	members := 0
	for i := range conf.BackendPools {
		members += len(conf.BackendPools[i].Members)
	}
	_, err = fmt.Fprintf(stdout, "%s is good: %s, %s, %s\n", file, command.Count(len(conf.Rules), "rule"), command.Count(len(conf.InboundNATRules), "inbound NAT rule"), command.Count(members, "member"))
	return err
}

func newSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration, for editors",
		Example: `  l4lb schema > l4lb.schema.json
  # first line of l4lb.yaml, for editors with a YAML language server:
  # yaml-language-server: $schema=l4lb.schema.json`,
		Args: command.NoArguments,
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), string(config.LoadBalancerSchema()))
			return err
		}),
	}
}
