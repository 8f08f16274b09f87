// Command appgw is an application gateway: an HTTP reverse proxy with host and
// path routing, cookie affinity, TLS offload and health probes.
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

// binary is this one, for the commands that all of them have.
var binary = command.Binary{Name: "appgw", Thing: "gateway", DefaultFile: defaultFile, DefaultAdmin: defaultAdmin, Draft: config.LoadDraft}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run runs one command and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return command.Run(ctx, newRoot(), args, stdout, stderr)
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
	root.AddCommand(newRunCommand(), newDemoCommand(), newProxyCommand(), newCheckCommand(), newExplainCommand(), newWAFCommand(), newCacheCommand(),
		newSchemaCommand(), newStatusCommand(), newBackendsCommand(), binary.NewReload(),
		newDrainCommand(), newUndrainCommand(), binary.NewUpgrade(), command.NewVersion(binary.Name, version))
	root.SetVersionTemplate(command.VersionLine(binary.Name, version) + "\n")
	return root
}
