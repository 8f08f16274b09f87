package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/config"
	"gatehouse/internal/admin"
	"gatehouse/internal/daemon"
	"gatehouse/proxy"
)

// status is what /status shows.
type status struct {
	Version     string           `json:"version"`
	File        string           `json:"file,omitempty"`
	Reloads     reloads          `json:"reloads"`
	Warnings    []string         `json:"warnings,omitempty"`
	Connections int64            `json:"connections"`
	Listeners   []listenerStatus `json:"listeners"`
	Pools       []proxy.Status   `json:"pools"`
	Retired     int              `json:"retiredSnapshots"`
}

type reloads struct {
	Applied uint64    `json:"applied"`
	Refused uint64    `json:"refused"`
	Last    time.Time `json:"last"`
	Outcome string    `json:"outcome"`
	Trigger string    `json:"trigger"`
	Error   string    `json:"error,omitempty"`
}

type listenerStatus struct {
	Name        string   `json:"name"`
	Address     string   `json:"address"`
	Protocol    string   `json:"protocol"`
	HostNames   []string `json:"hostNames,omitempty"`
	Connections int      `json:"connections"` // of the address, which listeners may share
}

// status collects what /status shows.
func (a *app) status(r *daemon.Reloader) *status {
	run := a.running()
	stats := r.Stats()
	s := &status{Version: version, File: a.source.file, Connections: a.gateway.Connections(), Retired: a.gateway.Retired(),
		Warnings: run.warnings,
		Reloads: reloads{Applied: stats.Applied, Refused: stats.Refused, Last: stats.Last.Time,
			Outcome: stats.Last.Outcome(), Trigger: stats.Last.Trigger}}
	if stats.Last.Err != nil {
		s.Reloads.Error = stats.Last.Err.Error()
	}
	for _, l := range run.conf.Listeners {
		s.Listeners = append(s.Listeners, listenerStatus{Name: l.Name, Address: listenAddress(l.Address),
			Protocol: protocolName(l.Protocol), HostNames: l.HostNames, Connections: run.frontends[l.Address].Connections()})
	}
	s.Pools = run.poolStatus()
	return s
}

func protocolName(p config.ListenerProtocol) string {
	if p == config.ListenerHTTPS {
		return "https"
	}
	return "http"
}

// poolStatus is the state of every pool, in the order of the configuration.
func (r *running) poolStatus() []proxy.Status {
	var all []proxy.Status
	for _, p := range r.conf.BackendPools {
		for _, s := range r.conf.BackendSettings {
			if pool := r.pools[poolKey{p.Name, s.Name}]; pool != nil {
				all = append(all, pool.Status())
			}
		}
	}
	return all
}

// addEndpoints adds what only a gateway has to the operator's HTTP.
func (a *app) addEndpoints(s *admin.Server, d *daemon.Daemon) {
	s.Post("/upgrade", "start the binary on disk and hand it the sockets", func(r *http.Request) (any, error) {
		if err := d.Upgrade(r.Context()); err != nil {
			return nil, err
		}
		return map[string]string{"outcome": "upgraded"}, nil
	})
	s.Get("/backends", "state of every backend", func(*http.Request) (any, error) { return a.running().poolStatus(), nil })
	s.Post("/drain", "take a backend out of use: backend=ADDRESS", a.backendAction(func(name string, pools []*proxy.Pool) (int, bool) {
		n := a.drains.Drain(name, pools...)
		return n, n > 0
	}))
	s.Post("/undrain", "bring a drained backend back: backend=ADDRESS", a.backendAction(func(name string, pools []*proxy.Pool) (int, bool) {
		return a.drains.Undrain(name, pools...)
	}))
}

var errHanding = &admin.Error{Status: 409, Err: errors.New("a new process is taking over and would not hear of it; try again when it has")}

// backendAction makes an endpoint of what is done to a named backend: do tells
// how many it changed, and whether the name meant anything to it.
func (a *app) backendAction(do func(name string, pools []*proxy.Pool) (int, bool)) admin.Func {
	return func(r *http.Request) (any, error) {
		name := r.FormValue("backend")
		if name == "" {
			return nil, &admin.Error{Status: 400, Err: fmt.Errorf("backend=ADDRESS is missing")}
		}
		if a.upgrader.Handing() {
			return nil, errHanding
		}
		n, known := do(name, slices.Collect(maps.Values(a.running().pools)))
		if a.upgrader.Handing() { // it may have begun, and been told, in between
			return nil, errHanding
		}
		if n == 0 && !known && !a.knows(name) {
			return nil, &admin.Error{Status: 404, Err: fmt.Errorf("no backend is called %q; `appgw backends` lists them", name)}
		}
		return map[string]int{"backends": n}, nil
	}
}

// knows says whether a backend has the name.
func (a *app) knows(name string) bool {
	for _, p := range a.running().poolStatus() {
		for _, b := range p.Backends {
			if b.Name == name || b.Target == name {
				return true
			}
		}
	}
	return false
}

// remote holds the flags of the commands that talk to a running gateway.
type remote struct {
	admin string
	file  string
	json  bool
}

func (o *remote) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.admin, "admin", "", "admin `address` of the running gateway: host:port or unix:/path (default: that of the configuration, or 127.0.0.1:9901)")
	cmd.Flags().StringVarP(&o.file, "config", "c", "", "configuration `file` to take the admin address from (default: appgw.yaml if it is here)")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
}

// defaultAdmin is where the operator's HTTP is unless configured otherwise.
const defaultAdmin = "127.0.0.1:9901"

// client finds the running gateway.
func (o *remote) client() (*admin.Client, error) {
	address, err := o.address()
	if err != nil {
		return nil, err
	}
	return &admin.Client{Address: address, Name: "appgw"}, nil
}

// address is that of --admin, else that of the configuration, which may be a
// refused one: that is when its gateway is asked most.
func (o *remote) address() (string, error) {
	if o.admin != "" {
		return o.admin, nil
	}
	file := o.file
	if file == "" {
		file = defaultFile
	}
	draft, err := config.LoadDraft(file)
	switch {
	case err != nil && o.file == "":
		return defaultAdmin, nil // none here, or none that could be read
	case err != nil:
		return "", fmt.Errorf("%w\nname the admin address with --admin", err)
	case draft.AdminAddress == "":
		return "", fmt.Errorf("%s has no valid admin.address; name the admin address with --admin", file)
	case draft.AdminAddress == "off":
		return "", fmt.Errorf("%s has admin.address: off, so that there is nobody to ask", file)
	}
	return draft.AdminAddress, nil
}

func newStatusCommand() *cobra.Command {
	var o remote
	cmd := &cobra.Command{
		Use: "status", Short: "Show what a running gateway does", Args: noArguments,
		Example: "  appgw status\n  appgw status -c /etc/gatehouse/appgw.yaml --json",
		RunE: work(func(cmd *cobra.Command, _ []string) error {
			var s status
			return o.get(cmd, "/status", &s, func(w io.Writer) { printStatus(w, &s) })
		}),
	}
	o.flags(cmd)
	return cmd
}

func newBackendsCommand() *cobra.Command {
	var o remote
	cmd := &cobra.Command{
		Use: "backends", Short: "Show the backends: address, state, since when, why, requests in flight", Args: noArguments,
		Example: "  appgw backends\n  appgw backends --admin unix:/run/gatehouse/admin.sock",
		RunE: work(func(cmd *cobra.Command, _ []string) error {
			var pools []proxy.Status
			return o.get(cmd, "/backends", &pools, func(w io.Writer) { printBackends(w, pools) })
		}),
	}
	o.flags(cmd)
	return cmd
}

func newReloadCommand() *cobra.Command {
	var o remote
	cmd := &cobra.Command{
		Use: "reload", Short: "Make a running gateway read its configuration again", Args: noArguments,
		Long:    "Reload makes a running gateway read its configuration again and waits for the\nresult. A refused one changes nothing; every error is printed and the exit\nstatus is 1.",
		Example: "  appgw reload\n  appgw reload -c /etc/gatehouse/appgw.yaml",
		RunE: work(func(cmd *cobra.Command, _ []string) error {
			return o.post(cmd, "/reload", nil, "configuration applied")
		}),
	}
	o.flags(cmd)
	return cmd
}

func newUpgradeCommand() *cobra.Command {
	var o remote
	cmd := &cobra.Command{
		Use: "upgrade", Short: "Make a running gateway start the binary on disk and hand it the sockets", Args: noArguments,
		Long:    "Upgrade makes a running gateway start the binary that is now on disk and hand it\nthe sockets; the old process drains. SIGUSR2 does the same. No connection is\nrefused meanwhile.",
		Example: "  appgw upgrade",
		RunE: work(func(cmd *cobra.Command, _ []string) error {
			return o.post(cmd, "/upgrade", nil, "the new process serves; the old one drains")
		}),
	}
	o.flags(cmd)
	return cmd
}

func newDrainCommand() *cobra.Command {
	return backendCommand("drain", "Send no new requests to a backend; those in flight finish", "draining")
}

func newUndrainCommand() *cobra.Command {
	return backendCommand("undrain", "Use a drained backend again", "in use again")
}

func backendCommand(use, short, done string) *cobra.Command {
	var o remote
	cmd := &cobra.Command{
		Use: use + " BACKEND", Short: short, Args: cobra.ExactArgs(1), Example: "  appgw " + use + " 10.0.0.4:80",
		Long: short + ".\nBACKEND is its address, or the target as the configuration has it; `appgw backends` lists them.",
		RunE: work(func(cmd *cobra.Command, args []string) error {
			return o.post(cmd, "/"+use, url.Values{"backend": args}, args[0]+" "+done)
		}),
	}
	o.flags(cmd)
	return cmd
}

// get fetches and prints.
func (o *remote) get(cmd *cobra.Command, path string, into any, text func(io.Writer)) error {
	c, err := o.client()
	if err != nil {
		return err
	}
	if err := c.Get(cmd.Context(), path, nil, into); err != nil {
		return err
	}
	if o.json {
		return printJSON(cmd.OutOrStdout(), into)
	}
	text(cmd.OutOrStdout())
	return nil
}

// post does something and says that it was done.
func (o *remote) post(cmd *cobra.Command, path string, args url.Values, done string) error {
	c, err := o.client()
	if err != nil {
		return err
	}
	var answer any
	if err := c.Post(cmd.Context(), path, args, &answer); err != nil {
		return err
	}
	if o.json {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), done)
	return err
}

func printStatus(w io.Writer, s *status) {
	fmt.Fprintf(w, "appgw %s, %d connections\n", s.Version, s.Connections)
	name := "configuration"
	if s.File != "" {
		name += " " + s.File
	}
	fmt.Fprintf(w, "%s: %s at %s (%s); %d applied, %d refused\n", name, s.Reloads.Outcome,
		s.Reloads.Last.Format(time.DateTime), s.Reloads.Trigger, s.Reloads.Applied, s.Reloads.Refused)
	if s.Reloads.Error != "" {
		fmt.Fprintln(w, s.Reloads.Error)
	}
	for _, warning := range s.Warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nLISTENER\tADDRESS\tPROTOCOL\tHOSTS\tCONNECTIONS")
	for _, l := range s.Listeners {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\n", l.Name, l.Address, l.Protocol, hostList(l.HostNames), l.Connections)
	}
	t.Flush()
	fmt.Fprintln(w)
	printBackends(w, s.Pools)
}

func hostList(names []string) string {
	switch len(names) {
	case 0:
		return "any"
	case 1:
		return names[0]
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
}

func printBackends(w io.Writer, pools []proxy.Status) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "POOL\tSETTINGS\tBACKEND\tSTATE\tSINCE\tIN FLIGHT\tREQUESTS\tREASON")
	for _, p := range pools {
		for _, b := range p.Backends {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", p.Pool, p.Settings, b.Name, b.State,
				b.Since.Format(time.DateTime), b.InFlight, b.Requests, b.Reason)
		}
		for _, n := range p.Names {
			if n.Addresses == 0 {
				fmt.Fprintf(t, "%s\t%s\t%s\tunresolved\t\t\t\t%s\n", p.Pool, p.Settings, n.Name, n.Reason)
			}
		}
	}
	t.Flush()
}
