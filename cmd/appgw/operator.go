package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/config"
	"gatehouse/internal/admin"
	"gatehouse/internal/command"
	"gatehouse/internal/daemon"
	"gatehouse/proxy"
	"gatehouse/proxy/cache"
)

// status is what /status shows.
type status struct {
	Version      string              `json:"version"`
	File         string              `json:"file,omitempty"`
	Reloads      command.Reloads     `json:"reloads"`
	Warnings     []string            `json:"warnings,omitempty"`
	Connections  int64               `json:"connections"`
	Listeners    []listenerStatus    `json:"listeners"`
	Certificates []certificateStatus `json:"certificates,omitempty"`
	Pools        []proxy.Status      `json:"pools"`
	Caches       []cache.Stats       `json:"caches,omitempty"`
	Retired      int                 `json:"retiredSnapshots"`
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
	s := &status{Version: version, File: a.source.file, Connections: a.gateway.Connections(), Retired: a.gateway.Retired(),
		Warnings: run.warnings,
		Reloads:  command.ReloadsOf(r)}
	for _, l := range run.conf.Listeners {
		s.Listeners = append(s.Listeners, listenerStatus{Name: l.Name, Address: listenAddress(l.Address),
			Protocol: protocolName(l.Protocol), HostNames: l.HostNames, Connections: run.connections(l.Address)})
	}
	s.Certificates = a.certificateStatus(run)
	s.Pools = run.poolStatus()
	s.Caches = run.cacheStats()
	return s
}

func protocolName(p config.ListenerProtocol) string {
	return map[config.ListenerProtocol]string{config.ListenerHTTP: "http", config.ListenerHTTPS: "https",
		config.ListenerL4TCP: "tcp", config.ListenerL4TLS: "tls"}[p]
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
	a.addCacheEndpoints(s)
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

// defaultAdmin is where the operator's HTTP is unless configured otherwise.
const defaultAdmin = "127.0.0.1:9901"

func newStatusCommand() *cobra.Command {
	o := command.Remote{Binary: binary}
	cmd := &cobra.Command{
		Use: "status", Short: "Show what a running gateway does", Args: command.NoArguments,
		Example: "  appgw status\n  appgw status -c /etc/gatehouse/appgw.yaml --json",
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			var s status
			return o.Get(cmd, "/status", nil, &s, func(w io.Writer) { printStatus(w, &s) })
		}),
	}
	o.Flags(cmd)
	return cmd
}

func newBackendsCommand() *cobra.Command {
	o := command.Remote{Binary: binary}
	cmd := &cobra.Command{
		Use: "backends", Short: "Show the backends: address, state, since when, why, requests in flight", Args: command.NoArguments,
		Example: "  appgw backends\n  appgw backends --admin unix:/run/gatehouse/admin.sock",
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			var pools []proxy.Status
			return o.Get(cmd, "/backends", nil, &pools, func(w io.Writer) { printBackends(w, pools) })
		}),
	}
	o.Flags(cmd)
	return cmd
}

func newDrainCommand() *cobra.Command {
	return backendCommand("drain", "Send no new requests to a backend; those in flight finish", "draining")
}

func newUndrainCommand() *cobra.Command {
	return backendCommand("undrain", "Use a drained backend again", "in use again")
}

func backendCommand(use, short, done string) *cobra.Command {
	o := command.Remote{Binary: binary}
	cmd := &cobra.Command{
		Use: use + " BACKEND", Short: short, Args: cobra.ExactArgs(1), Example: "  appgw " + use + " 10.0.0.4:80",
		Long: short + ".\nBACKEND is its address, or the target as the configuration has it; `appgw backends` lists them.",
		RunE: command.Work(func(cmd *cobra.Command, args []string) error {
			return o.Post(cmd, "/"+use, url.Values{"backend": args}, args[0]+" "+done)
		}),
	}
	o.Flags(cmd)
	return cmd
}

func printStatus(w io.Writer, s *status) {
	fmt.Fprintf(w, "appgw %s, %d connections\n", s.Version, s.Connections)
	s.Reloads.Print(w, s.File, s.Warnings)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nLISTENER\tADDRESS\tPROTOCOL\tHOSTS\tCONNECTIONS")
	for _, l := range s.Listeners {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\n", l.Name, l.Address, l.Protocol, hostList(l.HostNames), l.Connections)
	}
	t.Flush()
	fmt.Fprintln(w)
	printCertificates(w, s.Certificates)
	printBackends(w, s.Pools)
	if len(s.Caches) > 0 {
		fmt.Fprintln(w)
		printCaches(w, s.Caches)
	}
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

// responseTime is what balance: ewma goes by, as text.
func responseTime(b proxy.BackendStatus) string {
	if b.ResponseSeconds == 0 {
		return "-"
	}
	return time.Duration(b.ResponseSeconds * float64(time.Second)).Round(10 * time.Microsecond).String()
}

func printBackends(w io.Writer, pools []proxy.Status) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "POOL\tSETTINGS\tBACKEND\tSTATE\tSINCE\tWEIGHT\tIN FLIGHT\tREQUESTS\tRESPONSE\tREASON")
	for _, p := range pools {
		for _, b := range p.Backends {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%v\t%s\t%d\t%s\t%s\n", p.Pool, p.Settings, b.Name, b.State,
				b.Since.Format(time.DateTime), b.EffectiveWeight, inFlight(b), b.Requests, responseTime(b), b.Reason)
		}
		for _, n := range p.Names {
			if n.Addresses == 0 {
				fmt.Fprintf(t, "%s\t%s\t%s\tunresolved\t\t\t\t\t\t%s\n", p.Pool, p.Settings, n.Name, n.Reason)
			}
		}
	}
	t.Flush()
	printQueues(w, pools)
}

// inFlight is the requests in flight, of how many there may be.
func inFlight(b proxy.BackendStatus) string {
	if b.Limit == 0 {
		return strconv.Itoa(b.InFlight)
	}
	return fmt.Sprintf("%d/%d", b.InFlight, b.Limit)
}

// printQueues tells of the requests that wait for members.
func printQueues(w io.Writer, pools []proxy.Status) {
	for _, p := range pools {
		if q := p.Queue; q != nil {
			fmt.Fprintf(w, "queue of %s with %s: %d/%d waiting; %d served, %d refused, %d too late, %d left, %d without a member\n",
				p.Pool, p.Settings, q.Waiting, q.Length, q.Served, q.Full, q.TimedOut, q.Left, q.Failed)
		}
	}
}
