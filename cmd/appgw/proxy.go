package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/config"
	"gatehouse/internal/command"
)

func newProxyCommand() *cobra.Command {
	var flags config.ProxyFlags
	var show bool
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Put the gateway in front of an application, without a configuration file",
		Example: `  appgw proxy --from :8080 --to http://127.0.0.1:3000
  appgw proxy --from :8080 --to http://10.0.0.4:3000,http://10.0.0.5:3000 --affinity
  appgw proxy --from :8080 --to http://127.0.0.1:3000 --waf prevention
  appgw proxy --from :443 --to http://127.0.0.1:3000 --path /api=http://127.0.0.1:4000 --tls-cert site.crt --tls-key site.key`,
		Args: command.NoArguments,
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			if show {
				return printProxyConfig(cmd.OutOrStdout(), flags)
			}
			src := source{load: func() (*config.Gateway, config.Warnings, error) { return config.SimpleProxy(flags) }}
			return serve(cmd.Context(), src, func(*config.Gateway) {
				fmt.Fprintf(cmd.ErrOrStderr(), "Forwarding %s to %s. Ctrl-C stops.\n", flags.From, strings.Join(flags.To, ", "))
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&flags.From, "from", ":8080", "address to listen on")
	f.StringSliceVar(&flags.To, "to", nil, "backend URL; several, separated by commas, share the load")
	f.StringArrayVar(&flags.Paths, "path", nil, "/path=URL[,URL...]: send a path elsewhere; may be repeated")
	f.BoolVar(&flags.Affinity, "affinity", false, "keep each client on one backend by a cookie")
	f.StringVar(&flags.TLSCert, "tls-cert", "", "PEM file with the certificate chain: listen with HTTPS")
	f.StringVar(&flags.TLSKey, "tls-key", "", "PEM file with the key of --tls-cert")
	f.StringVar(&flags.WAF, "waf", "off", "web application firewall: prevention, detection or off")
	f.StringVar(&flags.Admin, "admin", "", "admin address (default 127.0.0.1:9901, or off)")
	f.BoolVar(&show, "print-config", false, "print the configuration that the flags stand for, and exit")
	cmd.MarkFlagRequired("to")
	cmd.RegisterFlagCompletionFunc("waf", cobra.FixedCompletions([]string{"off", "prevention", "detection"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// printProxyConfig shows what to save and grow.
func printProxyConfig(w io.Writer, flags config.ProxyFlags) error {
	text, err := flags.YAML()
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}
