package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/config"
	"gatehouse/internal/command"
)

// serveFlags are those of serve.
type serveFlags struct {
	listen, name, routing, probe, ttl, admin string
	to                                       []string
	print                                    bool
}

func newServeCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve one name without a configuration file",
		Long: `Serve answers one name with the endpoints given. The zone is what follows the
name's first label. Endpoints are taken in order (priority), by lot (weighted)
or all together (multiValue).`,
		Example: `  trafficmgr serve --listen :5353 --name www.lab.test --to 10.0.0.1,10.0.0.2 --probe http:80/healthz
  trafficmgr serve --listen :5353 --name www.lab.test --routing multiValue --to 10.0.0.1,10.0.0.2 --print-config > trafficmgr.yaml`,
		Args: command.NoArguments,
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			text, err := f.yaml()
			if err != nil {
				return err
			}
			if f.print {
				_, err := fmt.Fprint(cmd.OutOrStdout(), text)
				return err
			}
			return serve(cmd.Context(), textSource("the flags", text), nil)
		}),
	}
	fl := cmd.Flags()
	fl.StringVar(&f.listen, "listen", ":53", "`address` to answer on, over UDP and TCP")
	fl.StringVar(&f.name, "name", "", "`name` to answer")
	fl.StringVar(&f.routing, "routing", "priority", "priority, weighted or multiValue")
	fl.StringSliceVar(&f.to, "to", nil, "`endpoints`: addresses or host names, separated by commas")
	fl.StringVar(&f.probe, "probe", "none", "http:PORT/PATH, https:PORT/PATH, tcp:PORT or none")
	fl.StringVar(&f.ttl, "ttl", "10s", "how long answers hold")
	fl.StringVar(&f.admin, "admin", defaultAdmin, "admin `address`, or off")
	fl.BoolVar(&f.print, "print-config", false, "print the configuration instead of serving it")
	cmd.MarkFlagRequired("name")
	cmd.MarkFlagRequired("to")
	return cmd
}

// textSource is a configuration that is no file.
func textSource(name, text string) source {
	return source{load: func() (*config.TrafficManager, config.Warnings, error) {
		conf, _, err := config.ParseTrafficManager(name, []byte(text)) // warnings are for who can edit the file
		return conf, nil, err
	}}
}

// yaml is the configuration that the flags stand for.
func (f *serveFlags) yaml() (string, error) {
	label, zone, ok := strings.Cut(strings.TrimSuffix(f.name, "."), ".")
	if !ok || zone == "" {
		return "", fmt.Errorf("--name %q: want a name of at least two labels, such as www.lab.test", f.name)
	}
	switch f.routing {
	case "priority", "weighted", "multiValue":
	default:
		return "", fmt.Errorf("--routing %q: want priority, weighted or multiValue; the others need a configuration file", f.routing)
	}
	monitor, err := monitorYAML(f.probe)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "admin: {address: %q}\nlisten: [{address: %q}]\nzones:\n  - {name: %q, nameServers: [%q]}\n", f.admin, f.listen, zone, "ns."+zone)
	fmt.Fprintf(&b, "profiles:\n  - name: %q\n    zone: %q\n    routing: %s\n    ttl: %s\n    maxReturn: 10\n    monitor: %s\n    endpoints:\n", label, zone, f.routing, f.ttl, monitor)
	for i, to := range f.to {
		fmt.Fprintf(&b, "      - {name: \"%d\", target: %q}\n", i+1, strings.TrimSpace(to))
	}
	return b.String(), nil
}

// monitorYAML is the monitor that --probe stands for.
func monitorYAML(probe string) (string, error) {
	if probe == "none" {
		return "{protocol: none}", nil
	}
	protocol, rest, _ := strings.Cut(probe, ":")
	port, path, hasPath := strings.Cut(rest, "/")
	switch {
	case (protocol == "http" || protocol == "https") && port != "":
		return fmt.Sprintf("{protocol: %s, port: %s, path: %q, interval: 10s, timeout: 5s, toleratedFailures: 1}", protocol, port, "/"+path), nil
	case protocol == "tcp" && port != "" && !hasPath:
		return fmt.Sprintf("{protocol: tcp, port: %s, interval: 10s, timeout: 5s, toleratedFailures: 1}", port), nil
	}
	return "", fmt.Errorf("--probe %q: want http:80/healthz, https:443/, tcp:5432 or none", probe)
}
