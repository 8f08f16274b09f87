package main

import (
	"fmt"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/command"
)

// forwardFlags are those of forward.
type forwardFlags struct {
	listen, probe, distribution, idle, proxy, admin string
	to                                              []string
	print                                           bool
}

func newForwardCommand() *cobra.Command {
	var f forwardFlags
	cmd := &cobra.Command{
		Use:   "forward",
		Short: "Balance one port without a configuration file",
		Example: `  l4lb forward --listen tcp/:5432 --to 10.0.0.4:5432,10.0.0.5:5432 --probe tcp
  l4lb forward --listen udp/:53 --to 10.0.0.4,10.0.0.5 --print-config > l4lb.yaml`,
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
	fl.StringVar(&f.listen, "listen", "", "tcp/ADDRESS:PORT or udp/ADDRESS:PORT; without an address: all of this machine's")
	fl.StringSliceVar(&f.to, "to", nil, "`members`: addresses or host names with or without a port, separated by commas")
	fl.StringVar(&f.probe, "probe", "none", "tcp, http:/PATH, https:/PATH or none")
	fl.StringVar(&f.distribution, "distribution", "default", "default, sourceIP or sourceIPProtocol")
	fl.StringVar(&f.idle, "idle-timeout", "4m", "how long a flow may be without traffic")
	fl.StringVar(&f.proxy, "proxy-protocol", "off", "v1, v2 or off")
	fl.StringVar(&f.admin, "admin", defaultAdmin, "admin `address`, or off")
	fl.BoolVar(&f.print, "print-config", false, "print the configuration instead of serving it")
	cmd.MarkFlagRequired("listen")
	cmd.MarkFlagRequired("to")
	return cmd
}

// yaml is the configuration that the flags stand for.
func (f *forwardFlags) yaml() (string, error) {
	protocol, address, ok := strings.Cut(f.listen, "/")
	host, port, err := net.SplitHostPort(address)
	if !ok || err != nil || protocol != "tcp" && protocol != "udp" {
		return "", fmt.Errorf("--listen %q: want tcp/ADDRESS:PORT or udp/ADDRESS:PORT, such as tcp/:5432", f.listen)
	}
	if host == "" {
		host = "::"
	}
	probe, use, err := f.probeYAML()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "admin: {address: %q}\nfrontends:\n  - {name: here, address: %q}\nbackendPools:\n  - name: members\n    members:\n", f.admin, host)
	for _, to := range f.to {
		fmt.Fprintf(&b, "      - %q\n", strings.TrimSpace(to))
	}
	b.WriteString(probe)
	fmt.Fprintf(&b, "rules:\n  - name: forward\n    frontend: here\n    protocol: %s\n    frontendPort: %s\n    backendPool: members\n%s    distribution: %s\n    idleTimeout: %s\n", protocol, port, use, f.distribution, f.idle)
	if f.proxy != "off" {
		fmt.Fprintf(&b, "    proxyProtocol: %s\n", f.proxy)
	}
	return b.String(), nil
}

// probeYAML is the probe that --probe stands for, and how the rule uses it.
func (f *forwardFlags) probeYAML() (probe, use string, err error) {
	use = "    probe: members\n"
	protocol, path, hasPath := strings.Cut(f.probe, ":")
	switch {
	case f.probe == "none":
		return "", "", nil
	case f.probe == "tcp":
		return "probes:\n  - {name: members, protocol: tcp}\n", use, nil
	case (protocol == "http" || protocol == "https") && hasPath && strings.HasPrefix(path, "/"):
		return fmt.Sprintf("probes:\n  - {name: members, protocol: %s, path: %q}\n", protocol, path), use, nil
	}
	return "", "", fmt.Errorf("--probe %q: want tcp, http:/healthz, https:/healthz or none", f.probe)
}
