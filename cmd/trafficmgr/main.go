// Command trafficmgr is an authoritative DNS server that directs traffic: a
// name leads to the endpoints that are well, by priority, weight, latency,
// geography or subnet.
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
	defaultFile  = "trafficmgr.yaml"
	defaultAdmin = "127.0.0.1:9903"
)

// binary is this one, for the commands that all of them have.
var binary = command.Binary{Name: "trafficmgr", Thing: "traffic manager", DefaultFile: defaultFile, DefaultAdmin: defaultAdmin, Draft: config.LoadTrafficManagerDraft}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run runs one command and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return command.Run(ctx, newRoot(), args, stdout, stderr)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "trafficmgr",
		Short: "DNS traffic manager: an authoritative server whose answers follow health, weight, place and latency",
		Example: `  trafficmgr demo                                        look around
  trafficmgr serve --listen :5353 --name www.lab.test --routing priority --to 10.0.0.1,10.0.0.2
  trafficmgr run -c trafficmgr.yaml                      serve a configuration`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newRunCommand(), newDemoCommand(), newServeCommand(), newCheckCommand(), newExplainCommand(), newDSCommand(),
		newSchemaCommand(), newStatusCommand(), newEndpointsCommand(), newEnableCommand(), newDisableCommand(), newResetCommand(),
		binary.NewReload(), binary.NewUpgrade(), command.NewVersion(binary.Name, version))
	root.SetVersionTemplate(command.VersionLine(binary.Name, version) + "\n")
	return root
}
