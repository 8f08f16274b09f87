package main

import (
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/command"
	"gatehouse/internal/httpmsg"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/l7"
)

// question is a request to explain.
type question struct {
	url     string
	method  string
	headers []string
	from    string
}

func newExplainCommand() *cobra.Command {
	var file string
	var q question
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Say which listener, rule, path and pool a request would meet, and why",
		Long: `Explain takes a request through the gateway's own routing, without sending
anything: the listener that its host leads to, the client after trusted proxies
were asked, access rules, the canonical path, the rule, CORS, authentication, what
rewrite sets do to the request, rate limits, the firewall's policy ("appgw waf explain"
says what it would do), the pool or redirect, cache, compression and copies.
tcp:// and tls:// URLs lead to listeners of layer 4.
The port of the URL is the listener's; without one it is 80 or 443, or else the
only one that listeners of that scheme have.`,
		Example: `  appgw explain -c appgw.yaml --url https://shop.example/images/logo.png --from 203.0.113.9
  appgw explain --url http://shop.example:8080/ --from 10.0.0.1 --header "X-Forwarded-For: 203.0.113.9" --json`,
		Args: command.NoArguments,
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			next, _, err := dryBuild(cmd.Context(), fileSource(file))
			if err != nil {
				return err
			}
			a, err := explain(next, q)
			if err != nil {
				return err
			}
			if asJSON {
				return command.PrintJSON(cmd.OutOrStdout(), a)
			}
			a.print(cmd.OutOrStdout())
			return nil
		}),
	}
	f := cmd.Flags()
	f.StringVarP(&file, "config", "c", defaultFile, "configuration `file`")
	f.StringVar(&q.url, "url", "", "`URL` of the request")
	f.StringVar(&q.method, "method", "GET", "method of the request")
	f.StringArrayVar(&q.headers, "header", nil, "`\"Name: value\"` of a header field; may be repeated")
	f.StringVar(&q.from, "from", "127.0.0.1", "`address` of the client, or of the proxy in front")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.MarkFlagRequired("url")
	return cmd
}

// answer is what would happen, step by step.
type answer struct {
	Steps []l7.Step `json:"steps"`
}

func (a *answer) print(w io.Writer) {
	for _, s := range a.Steps {
		fmt.Fprintf(w, "%-10s %s\n", s.Name, s.Result)
		if s.Why != "" {
			fmt.Fprintf(w, "%-10s   because %s\n", "", s.Why)
		}
	}
}

// explain finds the address that a URL leads to and asks the gateway's own
// routing.
func explain(next *running, q question) (*answer, error) {
	u, err := url.Parse(q.url)
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "tcp", "tls"}, u.Scheme) {
		return nil, fmt.Errorf("--url %q: want http://host/path or https://host/path, or tcp://host:port or tls://host:port for listeners of layer 4", q.url)
	}
	from, err := netip.ParseAddr(q.from)
	if err != nil {
		return nil, fmt.Errorf("--from: %w", err)
	}
	sites, where, err := next.sitesFor(door{scheme: u.Scheme, host: u.Hostname(), port: u.Port()})
	if err != nil {
		return nil, err
	}
	req, err := q.request(u)
	if err != nil {
		return nil, err
	}
	return &answer{append(where, l7.Explain(next.snapshot, sites, req, from.Unmap())...)}, nil
}

// request makes the request as it would arrive.
func (q question) request(u *url.URL) (*httpmsg.Request, error) {
	var b strings.Builder
	target := u.EscapedPath()
	if target == "" {
		target = "/"
	}
	if u.RawQuery != "" {
		target += "?" + u.RawQuery
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", q.method, target, u.Host)
	for _, h := range q.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, fmt.Errorf("--header %q: want Name: value", h)
		}
		fmt.Fprintf(&b, "%s: %s\r\n", name, strings.TrimSpace(value))
	}
	b.WriteString("\r\n")
	req := &httpmsg.Request{}
	err := http1.ParseRequest([]byte(b.String()), req, &http1.Limits{HeadBytes: 64 << 10, Fields: 1000, URLBytes: 32 << 10})
	if err != nil {
		return nil, fmt.Errorf("the request is refused: %w", err)
	}
	return req, nil
}
