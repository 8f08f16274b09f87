package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/dnslb"
	"gatehouse/dnslb/zone"
	"gatehouse/internal/admin"
	"gatehouse/internal/command"
	"gatehouse/internal/daemon"
)

// status is what /status shows.
type status struct {
	Version  string           `json:"version"`
	File     string           `json:"file,omitempty"`
	Reloads  command.Reloads  `json:"reloads"`
	Warnings []string         `json:"warnings,omitempty"`
	Listen   []string         `json:"listen"`
	Zones    []zoneStatus     `json:"zones"`
	Places   string           `json:"places"`
	Queries  uint64           `json:"queries"`
	Profiles []profileStatus  `json:"profiles"`
	Endpoint []endpointStatus `json:"endpoints"`
}

type zoneStatus struct {
	Name   string `json:"name"`
	Serial uint32 `json:"serial"`
	Signed bool   `json:"signed"`
}

type profileStatus struct {
	Name    string `json:"name"`
	Answers string `json:"answers,omitempty"` // the name in DNS
	Routing string `json:"routing"`
	State   string `json:"state"`
	Note    string `json:"note,omitempty"`
	Queries uint64 `json:"queries"`
}

// endpointStatus is a line of /endpoints.
type endpointStatus struct {
	Name    string    `json:"name"` // profile/endpoint
	Target  string    `json:"target"`
	State   string    `json:"state"`
	Since   time.Time `json:"since,omitzero"`
	Reason  string    `json:"reason,omitempty"`
	Checked time.Time `json:"checked,omitzero"`
	Took    string    `json:"took,omitempty"`
	Switch  string    `json:"switch,omitempty"` // on or off, if an operator said so
	Answers uint64    `json:"answers"`
}

// status collects what /status shows.
func (a *app) status(r *daemon.Reloader) *status {
	reloads := command.ReloadsOf(r)
	a.mu.Lock()
	defer a.mu.Unlock()
	run := a.current
	s := &status{Version: version, File: a.source.file, Reloads: reloads, Warnings: run.warnings, Places: run.places.Description(), Endpoint: a.endpointsLocked()}
	for key := range run.listening {
		s.Listen = append(s.Listen, key.String())
	}
	slices.Sort(s.Listen)
	for _, z := range run.zones.Zones {
		s.Zones = append(s.Zones, zoneStatus{Name: z.Name, Serial: z.Serial(), Signed: run.view.Signers[z] != nil})
	}
	sums := run.view.Counters.Sum()
	snapshot := a.authority.Snapshot()
	for i, p := range run.director.Profiles {
		ps := profileStatus{Name: p.Name, Answers: zone.NameOf(p), Routing: p.Config().Routing.String(), State: snapshot.ProfileState(p).String(), Queries: sums.Profiles[i]}
		if snapshot.AllDegraded(p) {
			ps.Note = "all degraded: answered as if well"
		}
		s.Profiles = append(s.Profiles, ps)
	}
	for _, n := range sums.Transports {
		s.Queries += n
	}
	return s
}

// endpoints is what /endpoints shows.
func (a *app) endpoints() []endpointStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.endpointsLocked()
}

// endpointsLocked is endpoints for who holds the lock.
func (a *app) endpointsLocked() []endpointStatus {
	r := a.current
	snapshot, sums := a.authority.Snapshot(), r.view.Counters.Sum()
	list := []endpointStatus{}
	for _, e := range r.director.Endpoints {
		s := endpointStatus{Name: e.Key, Target: e.Target(), State: snapshot.State(e).String(), Answers: sums.Endpoints[e.ID]}
		if w := r.watches[e.ID]; w != nil && a.probed(e) {
			h := w.Status()
			s.Since, s.Reason, s.Checked = h.Since, h.Reason, h.Checked
			if !h.Checked.IsZero() {
				s.Took = h.Took.Round(10 * time.Microsecond).String()
			}
		}
		switch a.switches[e.Key] {
		case dnslb.SwitchedOn:
			s.Switch = "on"
		case dnslb.SwitchedOff:
			s.Switch = "off"
		}
		list = append(list, s)
	}
	return list
}

// addEndpoints adds what only a traffic manager has to the operator's HTTP.
func (a *app) addEndpoints(s *admin.Server, d *daemon.Daemon) {
	s.Post("/upgrade", "start the binary on disk and hand it the sockets", func(r *http.Request) (any, error) {
		if err := d.Upgrade(r.Context()); err != nil {
			return nil, err
		}
		return map[string]string{"outcome": "upgraded"}, nil
	})
	s.Get("/endpoints", "state of every endpoint", func(*http.Request) (any, error) { return a.endpoints(), nil })
	s.Get("/explain", "why a client gets an answer: name=, client=, type=", func(r *http.Request) (any, error) {
		x, err := a.explain(r.FormValue("name"), r.FormValue("client"), r.FormValue("type"))
		if err != nil {
			return nil, &admin.Error{Status: 400, Err: err}
		}
		return x, nil
	})
	s.Post("/enable", "serve an endpoint, whatever its configuration says: endpoint=PROFILE/ENDPOINT", a.switchAction(dnslb.SwitchedOn))
	s.Post("/disable", "take an endpoint out of answers: endpoint=PROFILE/ENDPOINT", a.switchAction(dnslb.SwitchedOff))
	s.Post("/reset", "let the configuration decide about an endpoint again: endpoint=PROFILE/ENDPOINT", a.switchAction(dnslb.AsConfigured))
}

var errHanding = &admin.Error{Status: 409, Err: errors.New("a new process is taking over and would not hear of it; try again when it has")}

func (a *app) switchAction(to dnslb.Switch) admin.Func {
	return func(r *http.Request) (any, error) {
		name := r.FormValue("endpoint")
		if name == "" {
			return nil, &admin.Error{Status: 400, Err: errors.New("endpoint=PROFILE/ENDPOINT is missing")}
		}
		if a.upgrader.Handing() {
			return nil, errHanding
		}
		if err := a.turn(name, to); err != nil {
			return nil, &admin.Error{Status: 404, Err: err}
		}
		if a.upgrader.Handing() { // it may have begun, and been told, in between
			return nil, errHanding
		}
		return map[string]string{"endpoint": name}, nil
	}
}

func newStatusCommand() *cobra.Command {
	o := command.Remote{Binary: binary}
	cmd := &cobra.Command{
		Use: "status", Short: "Show what a running traffic manager does", Args: command.NoArguments,
		Example: "  trafficmgr status\n  trafficmgr status -c /etc/gatehouse/trafficmgr.yaml --json",
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			var s status
			return o.Get(cmd, "/status", nil, &s, func(w io.Writer) { printStatus(w, &s) })
		}),
	}
	o.Flags(cmd)
	return cmd
}

func printStatus(w io.Writer, s *status) {
	fmt.Fprintf(w, "trafficmgr %s, %d queries answered since its configuration was applied\n", s.Version, s.Queries)
	s.Reloads.Print(w, s.File, s.Warnings)
	fmt.Fprintf(w, "listening on %s; places from %s\n\n", strings.Join(s.Listen, ", "), s.Places)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ZONE\tSERIAL\tSIGNED")
	for _, z := range s.Zones {
		fmt.Fprintf(t, "%s\t%d\t%t\n", z.Name, z.Serial, z.Signed)
	}
	fmt.Fprintln(t, "\nPROFILE\tANSWERS\tROUTING\tSTATE\tQUERIES\tNOTE")
	for _, p := range s.Profiles {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\n", p.Name, p.Answers, p.Routing, p.State, p.Queries, p.Note)
	}
	t.Flush()
	fmt.Fprintln(w)
	printEndpoints(w, s.Endpoint)
}

func newEndpointsCommand() *cobra.Command {
	o := command.Remote{Binary: binary}
	cmd := &cobra.Command{
		Use: "endpoints", Short: "Show the endpoints: target, state, since when, why, last probe", Args: command.NoArguments,
		Example: "  trafficmgr endpoints\n  trafficmgr endpoints --admin unix:/run/gatehouse/dns.sock",
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			var list []endpointStatus
			return o.Get(cmd, "/endpoints", nil, &list, func(w io.Writer) { printEndpoints(w, list) })
		}),
	}
	o.Flags(cmd)
	return cmd
}

func printEndpoints(w io.Writer, list []endpointStatus) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ENDPOINT\tTARGET\tSTATE\tSINCE\tPROBED\tTOOK\tANSWERS\tREASON")
	for _, e := range list {
		reason := e.Reason
		if e.Switch != "" {
			reason = strings.TrimSpace("switched " + e.Switch + " by an operator " + reason)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", e.Name, e.Target, e.State, clock(e.Since), clock(e.Checked), e.Took, e.Answers, reason)
	}
	t.Flush()
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.DateTime)
}

func newEnableCommand() *cobra.Command {
	return switchCommand("enable", "Serve an endpoint, whatever its configuration says", "enabled")
}

func newDisableCommand() *cobra.Command {
	return switchCommand("disable", "Take an endpoint out of answers and end its probes", "disabled")
}

func newResetCommand() *cobra.Command {
	return switchCommand("reset", "Let the configuration decide about an endpoint again", "as configured")
}

func switchCommand(use, short, done string) *cobra.Command {
	o := command.Remote{Binary: binary}
	cmd := &cobra.Command{
		Use: use + " PROFILE/ENDPOINT", Short: short, Args: cobra.ExactArgs(1), Example: "  trafficmgr " + use + " www/west",
		Long: short + ".\nIt holds until `trafficmgr reset`, over reloads and upgrades, but not over a restart.\n`trafficmgr endpoints` lists the endpoints.",
		RunE: command.Work(func(cmd *cobra.Command, args []string) error {
			return o.Post(cmd, "/"+use, url.Values{"endpoint": args}, args[0]+" "+done)
		}),
	}
	o.Flags(cmd)
	return cmd
}
