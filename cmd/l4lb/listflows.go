package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
	"gatehouse/internal/command"
	"gatehouse/proxy/l4"
)

// flowStatus is a line of /flows.
type flowStatus struct {
	Protocol string    `json:"protocol"`
	Client   string    `json:"client"`
	Frontend string    `json:"frontend"`
	Rule     string    `json:"rule"`
	Member   string    `json:"member"`
	Backend  string    `json:"backend"`
	Started  time.Time `json:"started"`
	Sent     uint64    `json:"sent"` // bytes to the member
	Received uint64    `json:"received"`
}

// talker is one of those that have most: a client, a rule or a member.
type talker struct {
	Name  string `json:"name"`
	Flows int    `json:"flows"`
	Bytes uint64 `json:"bytes"` // both ways, of the flows that there are
}

// flowList is what /flows shows.
type flowList struct {
	Matching int          `json:"matching"` // of all flows
	Flows    []flowStatus `json:"flows,omitempty"`
	Top      []talker     `json:"top,omitempty"`
}

// flowFilter says which flows are meant. The zero value means all.
type flowFilter struct {
	client       netip.Prefix
	rule, member string
	protocol     string
}

func (f *flowFilter) matches(x *l4.Flow) bool {
	return (!f.client.IsValid() || f.client.Contains(x.Client.Addr())) && (f.rule == "" || f.rule == x.Rule.Name) &&
		(f.member == "" || f.member == x.Member.Name || f.member == x.Backend.Addr().String()) && (f.protocol == "" || f.protocol == x.Protocol.String())
}

// mostFlows is how many flows one list has at most.
const mostFlows = 10_000

// flowsRequest answers /flows.
func (a *app) flowsRequest(r *http.Request) (any, error) {
	filter, err := filterOf(r.URL.Query())
	if err != nil {
		return nil, &admin.Error{Status: 400, Err: err}
	}
	limit := 100
	if text := r.FormValue("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > mostFlows {
			return nil, &admin.Error{Status: 400, Err: fmt.Errorf("limit=%q: want 1 to %d", text, mostFlows)}
		}
	}
	if by := r.FormValue("top"); by != "" {
		return a.top(filter, by, limit)
	}
	return a.flows(filter, limit), nil
}

func filterOf(v url.Values) (*flowFilter, error) {
	f := &flowFilter{rule: v.Get("rule"), member: v.Get("member"), protocol: v.Get("protocol")}
	text := v.Get("client")
	if text == "" {
		return f, nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap()
		f.client = netip.PrefixFrom(a, a.BitLen())
		return f, nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return nil, fmt.Errorf("client=%q: want an address or a prefix such as 198.51.100.0/24", text)
	}
	f.client = p.Masked()
	return f, nil
}

// flows lists flows, those first that carried most.
func (a *app) flows(filter *flowFilter, limit int) *flowList {
	list := &flowList{}
	var all []flowStatus
	a.state.Flows.Each(func(x *l4.Flow) bool {
		if !filter.matches(x) {
			return true
		}
		all = append(all, flowStatus{Protocol: x.Protocol.String(), Client: x.Client.String(), Frontend: x.Frontend.String(), Rule: x.Rule.Name,
			Member: x.Member.Name, Backend: x.Backend.String(), Started: x.Started, Sent: x.Sent.Load(), Received: x.Received.Load()})
		return true
	})
	slices.SortStableFunc(all, func(x, y flowStatus) int { return cmp.Compare(y.Sent+y.Received, x.Sent+x.Received) })
	list.Matching = len(all)
	list.Flows = all[:min(len(all), limit)]
	return list
}

// top adds up flows by client, rule or member.
func (a *app) top(filter *flowFilter, by string, limit int) (*flowList, error) {
	name := map[string]func(*l4.Flow) string{
		"client": func(f *l4.Flow) string { return f.Client.Addr().String() },
		"rule":   func(f *l4.Flow) string { return f.Rule.Name },
		"member": func(f *l4.Flow) string { return f.Member.Pool + "/" + f.Member.Name },
	}[by]
	if name == nil {
		return nil, &admin.Error{Status: 400, Err: fmt.Errorf("top=%q: want client, rule or member", by)}
	}
	list := &flowList{}
	sums := map[string]*talker{}
	a.state.Flows.Each(func(x *l4.Flow) bool {
		if !filter.matches(x) {
			return true
		}
		list.Matching++
		n := name(x)
		if sums[n] == nil {
			sums[n] = &talker{Name: n}
		}
		sums[n].Flows++
		sums[n].Bytes += x.Sent.Load() + x.Received.Load()
		return true
	})
	for _, t := range sums {
		list.Top = append(list.Top, *t)
	}
	slices.SortFunc(list.Top, func(x, y talker) int {
		return cmp.Or(cmp.Compare(y.Flows, x.Flows), cmp.Compare(y.Bytes, x.Bytes), strings.Compare(x.Name, y.Name))
	})
	list.Top = list.Top[:min(len(list.Top), limit)]
	return list, nil
}

func newFlowsCommand() *cobra.Command {
	o := command.Remote{Binary: binary}
	var client, rule, member, protocol, top string
	var limit int
	cmd := &cobra.Command{
		Use: "flows", Short: "Show the flows that there are, or who has most of them", Args: command.NoArguments,
		Example: "  l4lb flows --client 198.51.100.0/24 --rule db\n  l4lb flows --top client",
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			args := url.Values{"limit": {strconv.Itoa(limit)}}
			for key, v := range map[string]string{"client": client, "rule": rule, "member": member, "protocol": protocol, "top": top} {
				if v != "" {
					args.Set(key, v)
				}
			}
			var list flowList
			return o.Get(cmd, "/flows", args, &list, func(w io.Writer) { printFlows(w, &list) })
		}),
	}
	f := cmd.Flags()
	f.StringVar(&client, "client", "", "only those of an `address` or prefix")
	f.StringVar(&rule, "rule", "", "only those of a `rule`")
	f.StringVar(&member, "member", "", "only those to a `member`, by name or address")
	f.StringVar(&protocol, "protocol", "", "only tcp or udp")
	f.StringVar(&top, "top", "", "add them up by client, rule or member")
	f.IntVar(&limit, "limit", 100, "how many lines at most")
	o.Flags(cmd)
	return cmd
}

func printFlows(w io.Writer, list *flowList) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if list.Top != nil {
		fmt.Fprintln(t, "NAME\tFLOWS\tBYTES")
		for _, x := range list.Top {
			fmt.Fprintf(t, "%s\t%d\t%s\n", x.Name, x.Flows, bytesText(x.Bytes))
		}
		t.Flush()
		return
	}
	fmt.Fprintln(t, "PROTOCOL\tCLIENT\tFRONTEND\tRULE\tMEMBER\tSINCE\tSENT\tRECEIVED")
	for _, f := range list.Flows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Protocol, f.Client, f.Frontend, f.Rule, f.Member, clock(f.Started), bytesText(f.Sent), bytesText(f.Received))
	}
	t.Flush()
	if more := list.Matching - len(list.Flows); more > 0 {
		fmt.Fprintf(w, "and %d more; --limit shows them\n", more)
	}
}

// mapping is a line of /mapping: a port of an inbound NAT rule (Azure:
// queryInboundNatRulePortMapping).
type mapping struct {
	Rule     string `json:"rule"`
	Protocol string `json:"protocol"`
	Frontend string `json:"frontend"`
	Member   string `json:"member"`
	Backend  string `json:"backend"`
}

// mappings lists the ports of inbound NAT rules.
func (a *app) mappings() []mapping {
	list := []mapping{}
	for _, d := range a.running().balancer.Doors {
		if !d.Rule.NAT {
			continue
		}
		for _, m := range d.Route().Status() {
			list = append(list, mapping{d.Rule.Name, d.Protocol.String(), d.Addr.String(), m.Name, m.Target.String()})
		}
	}
	return list
}

func newMappingCommand() *cobra.Command {
	o := command.Remote{Binary: binary}
	cmd := &cobra.Command{
		Use: "mapping", Short: "Show which port of an inbound NAT rule leads to which member", Args: command.NoArguments,
		Example: "  l4lb mapping\n  l4lb mapping --json",
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			var list []mapping
			return o.Get(cmd, "/mapping", nil, &list, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "RULE\tPROTOCOL\tFRONTEND\tMEMBER\tBACKEND")
				for _, m := range list {
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", m.Rule, m.Protocol, m.Frontend, m.Member, m.Backend)
				}
				t.Flush()
			})
		}),
	}
	o.Flags(cmd)
	return cmd
}

var errHanding = &admin.Error{Status: 409, Err: errors.New("a new process is taking over and would not hear of it; try again when it has")}

// drainAction takes a member out of new flows, or puts it back.
func (a *app) drainAction(drained bool) admin.Func {
	return func(r *http.Request) (any, error) {
		name := r.FormValue("member")
		if name == "" {
			return nil, &admin.Error{Status: 400, Err: errors.New("member=NAME or member=POOL/NAME is missing")}
		}
		if a.upgrader.Handing() {
			return nil, errHanding
		}
		n := a.setDrained(name, drained)
		if n == 0 {
			return nil, &admin.Error{Status: 404, Err: fmt.Errorf("there is no member %q; `l4lb backends` lists them", name)}
		}
		return map[string]any{"member": name, "members": n}, nil
	}
}

func (a *app) setDrained(name string, drained bool) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	set := a.current.balancer.Undrain
	if drained {
		set = a.current.balancer.Drain
	}
	if n := set("", name); n > 0 {
		return n
	}
	pool, member, ok := strings.Cut(name, "/")
	if !ok {
		return 0
	}
	return set(pool, member)
}

func newDrainCommand() *cobra.Command {
	return drainCommand("drain", "Let no new flow go to a member; those that there are go on", "gets no new flows")
}

func newUndrainCommand() *cobra.Command {
	return drainCommand("undrain", "Let new flows go to a member again", "gets new flows again, if it is well")
}

func drainCommand(use, short, done string) *cobra.Command {
	o := command.Remote{Binary: binary}
	cmd := &cobra.Command{
		Use: use + " MEMBER", Short: short, Args: cobra.ExactArgs(1), Example: "  l4lb " + use + " 10.0.0.4\n  l4lb " + use + " db/10.0.0.4",
		Long: short + ".\nMEMBER is a name or an address, in all pools, or POOL/MEMBER. It holds over reloads\nand upgrades, but not over a restart. `l4lb backends` lists the members.",
		RunE: command.Work(func(cmd *cobra.Command, args []string) error {
			return o.Post(cmd, "/"+use, url.Values{"member": args}, args[0]+" "+done)
		}),
	}
	o.Flags(cmd)
	return cmd
}
