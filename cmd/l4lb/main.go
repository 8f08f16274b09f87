// Command l4lb is a TCP and UDP load balancer with health probes: what comes
// to a port of a frontend goes to the members of a pool that are well.
package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"gatehouse/config"
	"gatehouse/internal/command"
)

// version is set by the linker.
var version = "devel"

// defaultFile is the configuration that run looks for, and defaultAdmin where
// the operator's HTTP is unless configured otherwise.
const (
	defaultFile  = "l4lb.yaml"
	defaultAdmin = "127.0.0.1:9902"
)

// binary is this one, for the commands that all of them have.
var binary = command.Binary{Name: "l4lb", Thing: "load balancer", DefaultFile: defaultFile, DefaultAdmin: defaultAdmin, Draft: config.LoadLoadBalancerDraft}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run runs one command and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return command.Run(ctx, newRoot(), args, stdout, stderr)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "l4lb",
		Short: "TCP and UDP load balancer: what comes to a port goes to the members of a pool that are well",
		Example: `  l4lb demo                                              look around
  l4lb forward --listen tcp/:5432 --to 10.0.0.4:5432,10.0.0.5:5432 --probe tcp
  l4lb run -c l4lb.yaml                                  serve a configuration`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newRunCommand(), newDemoCommand(), newForwardCommand(), newCheckCommand(), newExplainCommand(), newSchemaCommand(),
		newStatusCommand(), newBackendsCommand(), newFlowsCommand(), newMappingCommand(), newDrainCommand(), newUndrainCommand(),
		binary.NewReload(), binary.NewUpgrade(), command.NewVersion(binary.Name, version))
	root.SetVersionTemplate(command.VersionLine(binary.Name, version) + "\n")
	return root
}
