package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"gatehouse/internal/command"
	"gatehouse/proxy/cache"
)

func newCacheCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Look into the response caches of a running gateway: stats, purge",
		Args:  command.NoArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCacheStatsCommand(), newCachePurgeCommand())
	return cmd
}

func newCacheStatsCommand() *cobra.Command {
	o := command.Remote{Binary: binary}
	cmd := &cobra.Command{
		Use: "stats", Short: "Show what the caches hold, and what they did for requests", Args: command.NoArguments,
		Example: "  appgw cache stats\n  appgw cache stats --json",
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			var all []cache.Stats
			return o.Get(cmd, "/cache", nil, &all, func(w io.Writer) { printCaches(w, all) })
		}),
	}
	o.Flags(cmd)
	return cmd
}

// printCaches writes a table.
func printCaches(w io.Writer, all []cache.Stats) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "CACHE\tRESPONSES\tBYTES\tOF\tSTORED\tEVICTED")
	for _, r := range cache.Results() {
		fmt.Fprintf(t, "\t%s", r)
	}
	fmt.Fprintln(t)
	for _, s := range all {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d", s.Name, s.Entries, s.Bytes, s.MaxBytes, s.Stores, s.Evictions)
		for _, r := range cache.Results() {
			fmt.Fprintf(t, "\t%d", s.Requests[r.String()])
		}
		fmt.Fprintln(t)
	}
	t.Flush()
}

func newCachePurgeCommand() *cobra.Command {
	o := command.Remote{Binary: binary}
	var page, prefix, host, name string
	var all bool
	cmd := &cobra.Command{
		Use: "purge", Short: "Remove responses from the caches", Args: command.NoArguments,
		Long: `Purge removes stored responses: those of a URL as clients ask for it, with its
query; those whose URL begins with another; those of a host; or all. What is being
fetched meanwhile is not stored.`,
		Example: `  appgw cache purge --url "https://shop.example/list?page=2"
  appgw cache purge --prefix https://shop.example/img/
  appgw cache purge --host shop.example --cache pages
  appgw cache purge --all`,
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			args := url.Values{}
			for key, value := range map[string]string{"url": page, "prefix": prefix, "host": host, "cache": name} {
				if value != "" {
					args.Set(key, value)
				}
			}
			if all {
				args.Set("all", "true")
			}
			if what := len(args); what != 1 && name == "" || what != 2 && name != "" {
				return errors.New("say what to remove with exactly one of --url, --prefix, --host and --all")
			}
			if _, err := purgeOf(args.Get); err != nil {
				return err
			}
			var answer purged
			return o.PostFor(cmd, "/cache/purge", args, &answer, func(w io.Writer) { fmt.Fprintf(w, "%s removed\n", command.Count(answer.Responses, "response")) })
		}),
	}
	o.Flags(cmd)
	cmd.Flags().StringVar(&page, "url", "", "remove the responses of this `URL`")
	cmd.Flags().StringVar(&prefix, "prefix", "", "remove those whose URL begins with this `URL`")
	cmd.Flags().StringVar(&host, "host", "", "remove those of a `host`, whatever the port")
	cmd.Flags().BoolVar(&all, "all", false, "remove everything")
	cmd.Flags().StringVar(&name, "cache", "", "only from the cache of this `name`")
	return cmd
}
