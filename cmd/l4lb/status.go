package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/command"
	"gatehouse/internal/daemon"
	"gatehouse/proxy/l4"
)

// status is what /status shows.
type status struct {
	Version  string          `json:"version"`
	File     string          `json:"file,omitempty"`
	Plane    string          `json:"plane"`
	Reloads  command.Reloads `json:"reloads"`
	Warnings []string        `json:"warnings,omitempty"`
	TCP      int64           `json:"tcpFlows"`
	UDP      int64           `json:"udpFlows"`
	Rules    []ruleStatus    `json:"rules"`
}

type ruleStatus struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind"` // rule or inboundNatRule
	Listen   []string `json:"listen"`
	Pools    []string `json:"pools"`
	Up       int      `json:"up"` // members that get new flows
	Members  int      `json:"members"`
	Flows    int64    `json:"flows"`
	Total    uint64   `json:"total"`
	Refused  uint64   `json:"refused"`
	Sent     uint64   `json:"sent"`     // bytes to members
	Received uint64   `json:"received"` // and from them
}

// status collects what /status shows.
func (a *app) status(r *daemon.Reloader) *status {
	run := a.running()
	s := &status{Version: version, File: a.source.file, Plane: "proxy", Reloads: command.ReloadsOf(r), Warnings: run.warnings,
		TCP: a.state.Flows.TCP.Load(), UDP: a.state.Flows.UDP.Load()}
	listen := map[*l4.Rule][]string{}
	for _, d := range run.balancer.Doors {
		listen[d.Rule] = append(listen[d.Rule], doorText(d.Key()))
	}
	lives := a.carried.read(run.balancer.Rules, &a.state.Flows)
	for i, rule := range run.balancer.Rules {
		rs := ruleStatus{Name: rule.Name, Kind: kindOf(rule), Listen: listen[rule], Flows: rule.Life.Flows.Load(), Total: rule.Life.Total.Load(),
			Sent: lives[i].sent, Received: lives[i].received}
		for _, why := range l4.Refusals() {
			rs.Refused += rule.Life.Refused[why].Load()
		}
		for _, rt := range run.balancer.RoutesOf(rule) {
			up, all := rt.Up()
			rs.Up, rs.Members = rs.Up+up, rs.Members+all
			if !slices.Contains(rs.Pools, rt.Pool) {
				rs.Pools = append(rs.Pools, rt.Pool)
			}
		}
		s.Rules = append(s.Rules, rs)
	}
	return s
}

func kindOf(r *l4.Rule) string {
	if r.NAT {
		return "inboundNatRule"
	}
	return "rule"
}

// doorText is tcp/203.0.113.10:5432, with * for every port.
func doorText(k l4.DoorKey) string {
	if k.Addr.Port() != 0 {
		return k.Protocol.String() + "/" + k.Addr.String()
	}
	if k.Addr.Addr().Is6() {
		return fmt.Sprintf("%s/[%s]:*", k.Protocol, k.Addr.Addr())
	}
	return fmt.Sprintf("%s/%s:*", k.Protocol, k.Addr.Addr())
}

func newStatusCommand() *cobra.Command {
	o := command.Remote{Binary: binary}
	cmd := &cobra.Command{
		Use: "status", Short: "Show what a running load balancer does", Args: command.NoArguments,
		Example: "  l4lb status\n  l4lb status -c /etc/gatehouse/l4lb.yaml --json",
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			var s status
			return o.Get(cmd, "/status", nil, &s, func(w io.Writer) { printStatus(w, &s) })
		}),
	}
	o.Flags(cmd)
	return cmd
}

func printStatus(w io.Writer, s *status) {
	fmt.Fprintf(w, "l4lb %s, plane %s, %s and %s at the moment\n", s.Version, s.Plane, command.Count(int(s.TCP), "TCP flow"), command.Count(int(s.UDP), "UDP flow"))
	s.Reloads.Print(w, s.File, s.Warnings)
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RULE\tLISTEN\tPOOL\tUP\tFLOWS\tTOTAL\tREFUSED\tSENT\tRECEIVED")
	for _, r := range s.Rules {
		listen := r.Listen
		if len(listen) > 3 {
			listen = append(slices.Clone(listen[:3]), fmt.Sprintf("and %d more", len(r.Listen)-3))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d/%d\t%d\t%d\t%d\t%s\t%s\n", r.Name, strings.Join(listen, " "), strings.Join(r.Pools, " "),
			r.Up, r.Members, r.Flows, r.Total, r.Refused, bytesText(r.Sent), bytesText(r.Received))
	}
	t.Flush()
}

// bytesText is a number of bytes for people.
func bytesText(n uint64) string {
	const units = "KMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1000, 0
	for f >= 1000 && i < len(units)-1 {
		f, i = f/1000, i+1
	}
	return fmt.Sprintf("%.1f %cB", f, units[i])
}

// backendStatus is a line of /backends: a member under a rule.
type backendStatus struct {
	Rule     string    `json:"rule"`
	Pool     string    `json:"pool"`
	Member   string    `json:"member"`
	Target   string    `json:"target"`
	State    string    `json:"state"` // up, untried, down, drained, up (admin), down (admin)
	Reason   string    `json:"reason"`
	Detail   string    `json:"detail,omitempty"` // what the last probe said
	Eligible bool      `json:"eligible"`         // gets new flows
	Since    time.Time `json:"since,omitzero"`
	Checked  time.Time `json:"checked,omitzero"`
	Took     string    `json:"took,omitempty"`
	Weight   int       `json:"weight"`
	Flows    int64     `json:"flows"` // of the member, over all rules
	Total    uint64    `json:"total"`
	Failed   uint64    `json:"failed"` // attempts to connect
}

// backends is what /backends shows.
func (a *app) backends(pool string) []backendStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := []backendStatus{}
	for _, rule := range a.current.balancer.Rules {
		for _, rt := range a.current.balancer.RoutesOf(rule) {
			if pool != "" && rt.Pool != pool {
				continue
			}
			for _, m := range rt.Status() {
				list = append(list, a.backend(rule, rt, &m))
			}
		}
	}
	return list
}

func (a *app) backend(rule *l4.Rule, rt *l4.Route, m *l4.MemberStatus) backendStatus {
	b := backendStatus{Rule: rule.Name, Pool: rt.Pool, Member: m.Name, Target: m.Target.String(), State: m.State.String(), Eligible: m.Eligible, Weight: m.Weight,
		Flows: m.Life.Flows.Load(), Total: m.Life.Total.Load(), Failed: m.Life.Failed.Load()}
	if m.Target.Port() == 0 {
		b.Target = m.Target.Addr().String() + ":*"
	}
	b.Reason = "Up_Platform" // nobody asks it
	for _, c := range m.Checks {
		w := a.current.watches[c]
		if w == nil {
			continue
		}
		s := w.Status()
		if b.Detail == "" {
			b.Since, b.Checked, b.Detail, b.Reason = s.Since, s.Checked, s.Reason, reasonCode(c.Probe, s)
			if !s.Checked.IsZero() {
				b.Took = s.Took.Round(10 * time.Microsecond).String()
			}
		}
	}
	switch {
	case m.State == l4.StateUpAdmin:
		b.Reason = "Up_Admin"
	case m.State == l4.StateDownAdmin, m.State == l4.StateDrained:
		b.Reason = "Down_Admin"
	case m.State == l4.StateDown && m.Eligible:
		b.Reason = "Up_Probe_AllDownIsUp"
	}
	return b
}

func newBackendsCommand() *cobra.Command {
	o := command.Remote{Binary: binary}
	var pool string
	cmd := &cobra.Command{
		Use: "backends", Short: "Show the members of pools: state, since when, why, last probe, flows", Args: command.NoArguments,
		Example: "  l4lb backends\n  l4lb backends --pool db --json",
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			var list []backendStatus
			return o.Get(cmd, "/backends", map[string][]string{"pool": {pool}}, &list, func(w io.Writer) { printBackends(w, list) })
		}),
	}
	cmd.Flags().StringVar(&pool, "pool", "", "only that `pool`")
	o.Flags(cmd)
	return cmd
}

func printBackends(w io.Writer, list []backendStatus) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RULE\tMEMBER\tTARGET\tSTATE\tNEW FLOWS\tSINCE\tPROBED\tTOOK\tFLOWS\tTOTAL\tFAILED\tREASON")
	for _, b := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", b.Rule, b.Member, b.Target, b.State, yesNo(b.Eligible), clock(b.Since), clock(b.Checked), b.Took,
			b.Flows, b.Total, b.Failed, strings.TrimSpace(b.Reason+" "+b.Detail))
	}
	t.Flush()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.DateTime)
}
