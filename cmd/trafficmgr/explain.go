package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"

	"gatehouse/dnslb"
	"gatehouse/dnslb/zone"
	"gatehouse/internal/admin"
	"gatehouse/internal/command"
)

// explanation is what explain prints.
type explanation struct {
	Name string `json:"name"`
	Type string `json:"type"`
	*dnslb.Explanation
	Records []string `json:"records"`
}

func newExplainCommand() *cobra.Command {
	var file, address, name, client, qtype string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Say which endpoints a client would get for a name, and why",
		Long: `Explain takes a query through the server's own routing: the client's prefix and
place, the source of latencies, every endpoint with its state and why it was or
was not chosen, and the answer. With --admin a running trafficmgr is asked, with
the states of the moment; otherwise the configuration is, as at a start, before
any probe.`,
		Example: `  trafficmgr explain -c trafficmgr.yaml --name www.tm.example --client 203.0.113.9
  trafficmgr explain --admin 127.0.0.1:9903 --name www.tm.example --client 2001:db8::1 --type AAAA --json`,
		Args: command.NoArguments,
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			x, err := explainBy(cmd, file, address, name, client, qtype)
			if err != nil {
				return err
			}
			if asJSON {
				return command.PrintJSON(cmd.OutOrStdout(), x)
			}
			x.print(cmd.OutOrStdout())
			return nil
		}),
	}
	f := cmd.Flags()
	f.StringVarP(&file, "config", "c", defaultFile, "configuration `file`")
	f.StringVar(&address, "admin", "", "admin `address` of a running traffic manager to ask instead")
	f.StringVar(&name, "name", "", "`name` that is asked for")
	f.StringVar(&client, "client", "", "`address` of the client, or of its resolver; none: one that is nowhere")
	f.StringVar(&qtype, "type", "A", "`type` that is asked for")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.MarkFlagRequired("name")
	return cmd
}

// explainBy asks a running process or a configuration.
func explainBy(cmd *cobra.Command, file, address, name, client, qtype string) (*explanation, error) {
	if address != "" {
		x := &explanation{}
		c := &admin.Client{Address: address, Name: binary.Name}
		return x, c.Get(cmd.Context(), "/explain", url.Values{"name": {name}, "client": {client}, "type": {qtype}}, x)
	}
	a, _, err := dryBuild(cmd.Context(), fileSource(file))
	if err != nil {
		return nil, err
	}
	return a.explain(name, client, qtype)
}

// explain answers for a name and says why.
func (a *app) explain(name, client, qtype string) (*explanation, error) {
	var addr netip.Addr
	if client != "" {
		var err error
		if addr, err = netip.ParseAddr(strings.Split(client, "/")[0]); err != nil {
			return nil, fmt.Errorf("client %q: want an address such as 203.0.113.9", client)
		}
	}
	if qtype == "" {
		qtype = "A"
	}
	t, ok := dns.StringToType[strings.ToUpper(qtype)]
	if !ok {
		return nil, fmt.Errorf("type %q: want a type such as A, AAAA or HTTPS", qtype)
	}
	snapshot := a.authority.Snapshot()
	p, err := profileOf(snapshot.Director(), name)
	if err != nil {
		return nil, err
	}
	c := p.Locate(addr)
	x := &explanation{Name: dns.Fqdn(name), Type: dns.TypeToString[t], Records: []string{}}
	x.Explanation = snapshot.Explain(p, dnslb.FamilyOf(t), &c, rand.New(rand.NewPCG(rand.Uint64(), 0)))
	for _, key := range x.Answer {
		e := snapshot.Director().Endpoint(key)
		if addresses := snapshot.Known(e).Addresses; e.Flattened() {
			for _, a := range addresses {
				x.Records = append(x.Records, a.String())
			}
			continue
		}
		x.Records = append(x.Records, e.Target())
	}
	return x, nil
}

// profileOf is the profile that answers a name.
func profileOf(d *dnslb.Director, name string) (*dnslb.Profile, error) {
	want := dns.CanonicalName(name)
	var names []string
	for _, p := range d.Profiles {
		if at := zone.NameOf(p); at == want || at == "" && p.Name == strings.TrimSuffix(want, ".") {
			return p, nil
		} else if at != "" {
			names = append(names, strings.TrimSuffix(at, "."))
		}
	}
	const most = 5
	if len(names) > most {
		names = append(names[:most], "...")
	}
	return nil, fmt.Errorf("no profile answers %s; there are %s", want, strings.Join(names, ", "))
}

func (x *explanation) print(w io.Writer) {
	fmt.Fprintf(w, "%s %s\n", x.Name, x.Type)
	if x.Client.IsValid() {
		fmt.Fprintf(w, "client     %s; every client in %s has the same choice\n", x.Client, x.Within)
	} else {
		fmt.Fprintln(w, "client     not known")
	}
	for _, s := range x.Steps {
		fmt.Fprintf(w, "\nprofile    %s: %s, %s\n", s.Profile, s.Routing, s.State)
		if s.Place != "" {
			fmt.Fprintf(w, "place      %s\n", s.Place)
		}
		if s.Note != "" {
			fmt.Fprintf(w, "note       %s\n", s.Note)
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, e := range s.Endpoints {
			mark := " "
			if e.Chosen {
				mark = "*"
			}
			fmt.Fprintf(t, "  %s %s\t%s\t%s\t%s\n", mark, e.Name, e.Target, e.State, e.Why)
		}
		t.Flush()
	}
	switch {
	case x.NXDomain:
		fmt.Fprintln(w, "\nanswer     the name does not exist (NXDOMAIN)")
	case len(x.Records) == 0:
		fmt.Fprintln(w, "\nanswer     empty (NODATA)")
	default:
		fmt.Fprintf(w, "\nanswer     %s for %ds\n", strings.Join(x.Records, ", "), x.TTL)
	}
}
