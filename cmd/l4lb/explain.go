package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"gatehouse/internal/admin"
	"gatehouse/internal/command"
	"gatehouse/proxy/l4"
)

// explanation is what /explain shows: what would become of a flow (Azure: IP
// flow verify, and then what no other product tells).
type explanation struct {
	Flow     string          `json:"flow"`
	Access   string          `json:"access"`          // Allow or Deny
	Group    string          `json:"group,omitempty"` // the security group
	Rule     string          `json:"securityRule,omitempty"`
	Steps    []string        `json:"steps,omitempty"` // rules before it, and why they did not match
	Balanced string          `json:"rule,omitempty"`
	Routes   []explainedPool `json:"routes,omitempty"`
	Outcome  string          `json:"outcome"`
}

// explainedPool is a pool that a flow may go to.
type explainedPool struct {
	Names   []string          `json:"serverNames,omitempty"` // none: all others
	Pool    string            `json:"pool"`
	Members []explainedMember `json:"members"`
	Order   []string          `json:"order"` // who is tried, in turn
}

type explainedMember struct {
	Name     string `json:"name"`
	Target   string `json:"target"`
	State    string `json:"state"`
	Eligible bool   `json:"eligible"`
}

// explainRequest answers /explain.
func (a *app) explainRequest(r *http.Request) (any, error) {
	t, err := tupleOf(r.FormValue("protocol"), r.FormValue("from"), r.FormValue("to"))
	if err != nil {
		return nil, &admin.Error{Status: 400, Err: err}
	}
	return explain(a.running().balancer, t), nil
}

func tupleOf(protocol, from, to string) (*l4.Tuple, error) {
	t := &l4.Tuple{Protocol: l4.TCP}
	switch protocol {
	case "", "tcp":
	case "udp":
		t.Protocol = l4.UDP
	default:
		return nil, fmt.Errorf("protocol=%q: want tcp or udp", protocol)
	}
	var err error
	if t.Client, err = addrPort("from", from); err != nil {
		return nil, err
	}
	t.Frontend, err = addrPort("to", to)
	return t, err
}

func addrPort(what, text string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		return a, fmt.Errorf("%s=%q: want an address and a port, such as 198.51.100.7:40000 or [2001:db8::7]:40000", what, text)
	}
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()), nil
}

// explain asks everybody whom a flow would ask, and changes nothing.
func explain(b *l4.Balancer, t *l4.Tuple) *explanation {
	x := &explanation{Flow: fmt.Sprintf("%s %s -> %s", t.Protocol, t.Client, t.Frontend), Access: "Allow"}
	d := b.Door(t.Frontend, t.Protocol)
	if d == nil {
		x.Access, x.Outcome = "Deny", "no rule has that address, port and protocol: the system answers"
		return x
	}
	x.Balanced = d.Rule.Name
	if name, g := b.Guard(d.Rule.Frontend); g != nil {
		x.Group = name
		x.Steps = g.Explain(t)
		allow, rule := g.Decide(t)
		if x.Rule = rule; !allow {
			x.Access, x.Outcome = "Deny", fmt.Sprintf("denied by rule %s of security group %s", rule, name)
			return x
		}
	}
	if rt := d.Route(); rt != nil {
		x.addRoute(nil, rt, t)
	}
	for i, s := range d.Rule.SNI {
		x.addRoute(s.HostNames, d.Rule.RouteFor(i), t)
	}
	x.Outcome = x.outcome(d)
	return x
}

func (x *explanation) addRoute(names []string, rt *l4.Route, t *l4.Tuple) {
	p := explainedPool{Names: names, Pool: rt.Pool, Members: []explainedMember{}, Order: []string{}}
	for _, m := range rt.Status() {
		p.Members = append(p.Members, explainedMember{m.Name, rt.Target(m.Member, t).String(), m.State.String(), m.Eligible})
	}
	pick := rt.Pick(t)
	for m := pick.Next(); m != nil; m = pick.Next() {
		p.Order = append(p.Order, m.Name)
	}
	x.Routes = append(x.Routes, p)
}

func (x *explanation) outcome(d *l4.Door) string {
	if len(d.Rule.SNI) > 0 {
		return "goes by the server name that the client asks for"
	}
	if order := x.Routes[0].Order; len(order) > 0 {
		return fmt.Sprintf("goes to %s of pool %s", order[0], x.Routes[0].Pool)
	}
	return fmt.Sprintf("refused: no member of pool %s gets new flows", x.Routes[0].Pool)
}

func newExplainCommand() *cobra.Command {
	o := command.Remote{Binary: binary}
	var from, to, protocol string
	cmd := &cobra.Command{
		Use: "explain", Short: "Show what would become of a flow: let in or not and by which rule, then where it goes and why", Args: command.NoArguments,
		Example: "  l4lb explain --from 198.51.100.7:40000 --to 203.0.113.10:5432 --protocol tcp",
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			if from == "" || to == "" {
				return errors.New("--from and --to are needed, each an address and a port")
			}
			var x explanation
			return o.Get(cmd, "/explain", url.Values{"from": {from}, "to": {to}, "protocol": {protocol}}, &x, func(w io.Writer) { printExplanation(w, &x) })
		}),
	}
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "`address` and port of the client")
	f.StringVar(&to, "to", "", "`address` and port of the frontend")
	f.StringVar(&protocol, "protocol", "tcp", "tcp or udp")
	o.Flags(cmd)
	return cmd
}

func printExplanation(w io.Writer, x *explanation) {
	fmt.Fprintln(w, x.Flow)
	if x.Group != "" {
		fmt.Fprintf(w, "access: %s, by rule %s of security group %s\n", x.Access, x.Rule, x.Group)
		for _, s := range x.Steps {
			fmt.Fprintln(w, "  "+s)
		}
	} else {
		fmt.Fprintf(w, "access: %s\n", x.Access)
	}
	if x.Balanced != "" {
		fmt.Fprintf(w, "rule: %s\n", x.Balanced)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range x.Routes {
		fmt.Fprintf(t, "pool: %s", p.Pool)
		if p.Names != nil {
			fmt.Fprintf(t, " for %v", p.Names)
		}
		fmt.Fprintf(t, ", tried in this order: %v\n", p.Order)
		for _, m := range p.Members {
			fmt.Fprintf(t, "  %s\t%s\t%s\tnew flows: %s\n", m.Name, m.Target, m.State, yesNo(m.Eligible))
		}
	}
	t.Flush()
	fmt.Fprintf(w, "outcome: %s\n", x.Outcome)
}
