package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"net/netip"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"gatehouse/config"
	"gatehouse/internal/command"
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/smallfile"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/l7"
	"gatehouse/waf"
)

func newWAFCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "waf",
		Short: "Look into the web application firewall: explain, rules",
		Args:  command.NoArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newWAFExplainCommand(), newWAFRulesCommand())
	return cmd
}

// wafQuestion is a request to explain: a file, or what curl would send.
type wafQuestion struct {
	file, policy, request string
	url, method, data     string
	headers               []string
	from                  string
	verifyBots            bool
}

func newWAFExplainCommand() *cobra.Command {
	var q wafQuestion
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Say what a firewall policy thinks of a request, and what would silence it",
		Long: `Explain judges a request by a policy without sending it anywhere: every rule
that matches, what it matched and where, the anomaly score, and for each the line
of configuration that would silence it. What the policy refuses before it asks
its rules is shown too: a body over its limit, or one that can be read in two ways,
and what the bot rules make of the client.

The request is a file with a raw HTTP/1.1 request (- is standard input; lines may
end without CR), or is put together from --url, --method, --header and --data.
Without -c, the policy is the default one: balanced, in prevention. With it, the
path is read as the listener does that the request would meet.`,
		Example: `  appgw waf explain --url "http://shop.example/search?q=<script>alert(1)</script>"
  appgw waf explain -c appgw.yaml --policy shop --method POST --header "Content-Type: application/json" --data '{"name":"O'"'"'Brien"}' --url http://shop.example/
  appgw waf explain -c appgw.yaml --request blocked.http --json`,
		Args: command.NoArguments,
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			next, p, err := policyOf(cmd, q.file, q.policy)
			if err != nil {
				return err
			}
			x, note, err := q.explain(next, p, cmd.InOrStdin())
			if err != nil {
				return err
			}
			if note != "" {
				fmt.Fprintln(cmd.ErrOrStderr(), "note:", note)
			}
			if asJSON {
				return command.PrintJSON(cmd.OutOrStdout(), x)
			}
			printExplanation(cmd.OutOrStdout(), x)
			return nil
		}),
	}
	f := cmd.Flags()
	f.StringVarP(&q.file, "config", "c", "", "configuration `file`; none: the default policy")
	f.StringVar(&q.policy, "policy", "", "`name` of the policy; may be left out where there is one")
	f.StringVar(&q.request, "request", "", "`file` with a raw request; - is standard input")
	f.StringVar(&q.url, "url", "", "`URL` of the request")
	f.StringVar(&q.method, "method", "", "method of the request (default GET, or POST with --data)")
	f.StringArrayVar(&q.headers, "header", nil, "`\"Name: value\"` of a header field; may be repeated")
	f.StringVar(&q.data, "data", "", "body of the request; a form unless a Content-Type is given")
	f.StringVar(&q.from, "from", "127.0.0.1", "`address` of the client")
	f.BoolVar(&q.verifyBots, "verify-bots", false, "look up host names of who says that it is a crawler, as bot rules do")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.MarkFlagsOneRequired("url", "request")
	cmd.MarkFlagsMutuallyExclusive("url", "request")
	return cmd
}

// policyOf compiles the policy that a command is about, and what is around it.
func policyOf(cmd *cobra.Command, file, name string) (*running, *waf.Policy, error) {
	src := defaultPolicySource()
	if file != "" {
		src = fileSource(file)
	}
	next, _, err := dryBuild(cmd.Context(), src)
	if err != nil {
		return nil, nil, err
	}
	var names []string
	for n := range next.policies {
		names = append(names, n)
	}
	switch {
	case len(names) == 0:
		return nil, nil, errors.New("the configuration has no wafPolicies")
	case name == "" && len(names) > 1:
		return nil, nil, fmt.Errorf("name one of the policies with --policy: %s", strings.Join(names, ", "))
	case name == "":
		name = names[0]
	}
	p := next.policies[name]
	if p == nil {
		return nil, nil, fmt.Errorf("no policy %q; there are: %s", name, strings.Join(names, ", "))
	}
	return next, p, nil
}

// explain puts the request together and asks the policy. The note, if there is
// one, is what had to be assumed.
func (q *wafQuestion) explain(next *running, p *waf.Policy, stdin io.Reader) (x *waf.Explanation, note string, err error) {
	from, err := netip.ParseAddr(q.from)
	if err != nil {
		return nil, "", fmt.Errorf("--from: %w", err)
	}
	head, data, err := q.message(stdin)
	if err != nil {
		return nil, "", err
	}
	req := &httpmsg.Request{}
	if e := http1.ParseRequest(head, req, &http1.Limits{HeadBytes: 64 << 10, Fields: 1000, URLBytes: 32 << 10}); e != nil {
		return nil, "", fmt.Errorf("the gateway itself refuses the request: %w", e)
	}
	if data, err = bodyOf(req, data); err != nil {
		return nil, "", err
	}
	if note, err = q.readPath(next, req); err != nil {
		return nil, "", err
	}
	addr := netip.AddrPortFrom(from.Unmap(), 0)
	x, err = p.Explain(req, data, waf.Client{Addr: addr, Peer: addr, Proto: "HTTP/1.1", Trace: "explain"}, waf.ExplainOptions{VerifyBots: q.verifyBots})
	return x, note, err
}

// readPath makes the path what the listener of the request makes of it. When
// there is no such listener, the defaults of listeners apply, which the note
// says if it makes a difference.
func (q *wafQuestion) readPath(next *running, req *httpmsg.Request) (note string, err error) {
	l, missing := q.listenerOf(next, req)
	if l == nil {
		l = &l7.Listener{} // the zero values are the defaults
	}
	read := func(o httpmsg.PathOptions) ([]byte, error) {
		path, _, err := httpmsg.CanonicalPath(nil, req.Bytes(req.RawPath), o)
		return path, err
	}
	path, err := read(httpmsg.PathOptions{
		KeepEncodedSlash:     l.EncodedSlash == config.EncodedSlashKeep,
		KeepDuplicateSlashes: l.DuplicateSlashes == config.DuplicateSlashesKeep,
	})
	if missing != nil {
		kept, failure := read(httpmsg.PathOptions{KeepEncodedSlash: true, KeepDuplicateSlashes: true})
		if failure != err || !bytes.Equal(kept, path) {
			note = fmt.Sprintf("the path is read with encodedSlash: reject and duplicateSlashes: merge, the defaults: %v", missing)
		}
	}
	switch {
	case err != nil && note != "":
		return "", fmt.Errorf("the gateway itself refuses the path: %w; %s", err, note)
	case err != nil && l.Name != "":
		return "", fmt.Errorf("the gateway itself refuses the path: listener %s: %w", l.Name, err)
	case err != nil:
		return "", fmt.Errorf("the gateway itself refuses the path: %w", err)
	}
	req.Path = req.Keep(path)
	return note, nil
}

// listenerOf is the listener that would serve the request, or why it is not
// known. Without a configuration there is only one.
func (q *wafQuestion) listenerOf(next *running, req *httpmsg.Request) (*l7.Listener, error) {
	if q.file == "" {
		return next.snapshot.Sites[0].First(), nil
	}
	host := req.Bytes(req.HostName)
	d := door{host: strings.Trim(string(host), "[]")}
	d.scheme, _, _ = strings.Cut(q.url, "://")
	if req.Port != 0 {
		d.port = strconv.Itoa(int(req.Port))
	}
	sites, _, err := next.sitesFor(d)
	if err != nil {
		return nil, err
	}
	if l := sites.Find(host); l != nil {
		return l, nil
	}
	return nil, fmt.Errorf("no listener takes the host %s", printable(string(host)))
}

// bodyOf is the body of a request as it was written: out of its chunks, and no
// longer than it says.
func bodyOf(req *httpmsg.Request, data []byte) ([]byte, error) {
	switch {
	case req.Body == httpmsg.BodyChunked:
		whole, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(data)))
		if err != nil {
			return nil, fmt.Errorf("the body: %w; with Transfer-Encoding: chunked it must be in chunks", err)
		}
		return whole, nil
	case req.Body == httpmsg.BodyLength && int64(len(data)) > req.ContentLength:
		return data[:req.ContentLength], nil
	}
	return data, nil
}

// message is the head and the body of the request.
func (q *wafQuestion) message(stdin io.Reader) (head, data []byte, err error) {
	if q.request != "" {
		return q.read(stdin)
	}
	method := q.method
	if method == "" {
		method = map[bool]string{true: "GET", false: "POST"}[q.data == ""]
	}
	target, host, err := targetOf(q.url)
	if err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, host)
	kind := q.data != ""
	agent := true
	for _, h := range q.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, nil, fmt.Errorf("--header %q: want Name: value", h)
		}
		kind = kind && !strings.EqualFold(name, "content-type")
		agent = agent && !strings.EqualFold(name, "user-agent")
		fmt.Fprintf(&b, "%s: %s\r\n", name, strings.TrimSpace(value))
	}
	if agent {
		b.WriteString("User-Agent: appgw-explain\r\nAccept: */*\r\n")
	}
	if kind {
		b.WriteString("Content-Type: application/x-www-form-urlencoded\r\n")
	}
	if q.data != "" {
		b.WriteString("Content-Length: " + strconv.Itoa(len(q.data)) + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes(), []byte(q.data), nil
}

// targetOf is the request target and the host of a URL, the target as it is
// written: what is to be explained must not be tidied up. Blanks become %20,
// since nothing with a blank can be sent.
func targetOf(url string) (target, host string, err error) {
	rest, ok := strings.CutPrefix(url, "http://")
	if !ok {
		rest, ok = strings.CutPrefix(url, "https://")
	}
	i := strings.IndexAny(rest, "/?")
	switch {
	case !ok || i == 0 || rest == "":
		return "", "", fmt.Errorf("--url %q: want http://host/path or https://host/path", url)
	case i < 0:
		return "/", rest, nil
	}
	host, target = rest[:i], rest[i:]
	if target[0] == '?' {
		target = "/" + target
	}
	target, _, _ = strings.Cut(target, "#")
	return strings.ReplaceAll(target, " ", "%20"), host, nil
}

// defaultPolicySource is a configuration with the policy that appgw proxy
// --waf prevention has.
func defaultPolicySource() source {
	return source{load: func() (*config.Gateway, config.Warnings, error) {
		return config.SimpleProxy(config.ProxyFlags{From: "127.0.0.1:0", To: []string{"http://127.0.0.1:1"}, WAF: "prevention", Admin: "off"})
	}}
}

// read reads a raw request. Files written in an editor have no carriage
// returns; the head gets them.
func (q *wafQuestion) read(stdin io.Reader) (head, data []byte, err error) {
	var raw []byte
	if q.request == "-" {
		raw, err = io.ReadAll(io.LimitReader(stdin, 16<<20))
	} else {
		raw, err = smallfile.Read(q.request, 16<<20)
	}
	if err != nil {
		return nil, nil, err
	}
	if head, data, ok := bytes.Cut(raw, []byte("\r\n\r\n")); ok {
		return append(head[:len(head):len(head)], "\r\n\r\n"...), data, nil
	}
	text, data, _ := bytes.Cut(raw, []byte("\n\n"))
	text = bytes.ReplaceAll(bytes.TrimRight(text, "\n"), []byte("\n"), []byte("\r\n"))
	return append(text, "\r\n\r\n"...), data, nil
}

// printExplanation is an explanation for people.
func printExplanation(w io.Writer, x *waf.Explanation) {
	fmt.Fprintf(w, "policy   %s (%s)\nverdict  %s: %s\n", x.Policy, x.Mode, x.Verdict, x.Reason)
	if !x.Asked && len(x.Custom) == 0 && len(x.Matches) == 0 {
		fmt.Fprintln(w, "         decided by the candidate index: no managed rule could match")
	}
	if x.Inspected > 0 {
		fmt.Fprintf(w, "         the body is inspected up to %d bytes; what follows is not\n", x.Inspected)
	}
	if b := x.Bot; b != nil {
		fmt.Fprintf(w, "\nbot rule %s (%s, %s): %s\n  because %s\n", b.RuleID, b.Class, printable(b.Name), b.Action, printable(b.Reason))
	}
	for _, c := range x.Custom {
		fmt.Fprintf(w, "\ncustom rule %s: %s\n", c.Rule, c.Action)
		for _, why := range c.Why {
			fmt.Fprintf(w, "  because %s\n", printable(why))
		}
	}
	for _, m := range x.Matches {
		fmt.Fprintf(w, "\nrule %d (%s, level %d, %s, +%d): %s\n", m.RuleID, m.Group, m.Level, m.Severity, m.Score, m.Message)
		for _, f := range m.Found {
			fmt.Fprintf(w, "  matched %s: %s\n", printable(f.Variable), printable(f.Value))
		}
		if m.Evidence != "" {
			fmt.Fprintf(w, "  evidence %s\n", m.Evidence)
		}
		if m.Doubt != "" {
			fmt.Fprintf(w, "  doubt   %s: it does not count\n", m.Doubt)
			continue
		}
		for _, e := range m.Exclusions {
			fmt.Fprintf(w, "  silence %s\n", e)
		}
	}
}

// printable is a text that a terminal shows as it is.
func printable(text string) string {
	if len(text) > 300 {
		text = text[:300] + "..."
	}
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

func newWAFRulesCommand() *cobra.Command {
	var file, policy, group string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "rules",
		Short:   "List the managed rules, with what a policy makes of each",
		Example: "  appgw waf rules --group sqli\n  appgw waf rules -c appgw.yaml --policy shop --json",
		Args:    command.NoArguments,
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			_, p, err := policyOf(cmd, file, policy)
			if err != nil {
				return err
			}
			rules := p.Rules()
			kept := rules[:0]
			for _, r := range rules {
				if group == "" || r.Group == group {
					kept = append(kept, r)
				}
			}
			if len(kept) == 0 {
				return fmt.Errorf("no rules in group %q", group)
			}
			if asJSON {
				return command.PrintJSON(cmd.OutOrStdout(), kept)
			}
			return printRules(cmd.OutOrStdout(), kept)
		}),
	}
	f := cmd.Flags()
	f.StringVarP(&file, "config", "c", "", "configuration `file`; none: the default policy")
	f.StringVar(&policy, "policy", "", "`name` of the policy; may be left out where there is one")
	f.StringVar(&group, "group", "", "only the rules of a `group`, such as sqli or xss")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printRules(w io.Writer, rules []waf.RuleState) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RULE\tGROUP\tLEVEL\tSEVERITY\tSTATE\tACTION\tMESSAGE")
	for _, r := range rules {
		fmt.Fprintf(t, "%d\t%s\t%d\t%s\t%s\t%s\t%s\n", r.ID, r.Group, r.Level, r.Severity, r.State, r.Action, r.Message)
	}
	return t.Flush()
}
