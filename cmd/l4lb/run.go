package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/config"
	"gatehouse/internal/admin"
	"gatehouse/internal/command"
	"gatehouse/internal/daemon"
	"gatehouse/internal/telemetry"
)

func newRunCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "run",
		Short:   "Serve a configuration",
		Example: "  l4lb run -c /etc/gatehouse/l4lb.yaml",
		Args:    command.NoArguments,
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) && !cmd.Flags().Changed("config") {
				return errors.New("there is no " + defaultFile + ` here; name a file with -c, or begin with one of
  l4lb demo                                              to look around
  l4lb forward --listen tcp/:5432 --to 10.0.0.4:5432,10.0.0.5:5432 --probe tcp`)
			}
			return serve(cmd.Context(), fileSource(file), nil)
		}),
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultFile, "configuration file")
	return cmd
}

// serve runs the load balancer until a signal ends it. started, if not nil, is
// called once it serves.
func serve(ctx context.Context, src source, started func(*config.LoadBalancer)) error {
	a := newApp(stderrLogger(), src)
	a.descriptors = forFlows(command.RaiseDescriptorLimit())
	notifier, err := daemon.NewNotifier(os.Getenv)
	if err != nil {
		return err
	}
	if a.upgrader, err = daemon.NewUpgrader(); err != nil {
		return err
	}
	a.upgrader.Word, a.upgrader.Prepare = a.bequeath, a.handFlows
	a.inherit(a.upgrader.Inheritance())
	if err := a.startPlane(); err != nil {
		return err
	}
	defer a.stopPlane()
	defer a.startHosts(ctx)()
	reloader := &daemon.Reloader{Apply: a.apply, Known: a.own(), OnResult: a.reloaded, FreeMemory: true}
	if err := reloader.Reload(ctx, "start"); err != nil {
		return command.StartError(err)
	}
	d := &daemon.Daemon{
		Log: a.log, Tasks: []daemon.Task{&serverTask{a: a, started: started}},
		Reloader: reloader, Upgrader: a.upgrader, Notifier: notifier,
		Reopen: func() error { return reloader.Exclusively(ctx, a.reopenLogs) },
		Drain:  func() time.Duration { return a.running().conf.Drain },
	}
	if d.Support, err = a.support(d, reloader); err != nil {
		return err
	}
	return a.operatorError(d.Run(ctx))
}

// forFlows is how many of the descriptors that a process may have are for
// flows. The others are for probes, which would call every member down without
// them, for the operator, and for reloads.
func forFlows(limit int) int { return limit - min(limit/4, 1024) }

// startHosts looks up host names until the function it returns is called: from
// before the first configuration, which waits for their addresses.
func (a *app) startHosts(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.hosts.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// reopenLogs opens the flow log again, after its file was renamed.
func (a *app) reopenLogs() error {
	if f := a.running().logFile; f != nil {
		return f.Reopen()
	}
	return nil
}

// support are the tasks that the server leans on.
func (a *app) support(d *daemon.Daemon, reloader *daemon.Reloader) ([]daemon.Task, error) {
	tasks := []daemon.Task{
		command.Task("probes", func(ctx context.Context) error { a.health.Run(ctx); return nil }),
		command.Task("flow log", a.flowLog.Run),
		command.Task("host names", func(ctx context.Context) error { return a.follow(ctx, reloader.Exclusive) }),
		command.Task("health events", a.watchEvents),
	}
	if a.source.file != "" {
		tasks = append(tasks, daemon.NewWatcher(reloader, a.log))
	}
	if err := a.metrics.Register(newCollector(a)); err != nil {
		return nil, err
	}
	return a.operatorTasks(tasks, d, reloader)
}

// operatorTasks adds the operator's HTTP.
func (a *app) operatorTasks(tasks []daemon.Task, d *daemon.Daemon, reloader *daemon.Reloader) ([]daemon.Task, error) {
	conf := a.running().conf
	opts := admin.Options{
		Name: binary.Name, Version: version, Listen: a.upgrader.Listen, Ready: d.Ready,
		Gatherer: a.metrics.Gatherer(), Status: func() any { return a.status(reloader) }, Log: a.log,
	}
	if a.source.file != "" {
		opts.Reload = reloader.Reload
	}
	servers, err := admin.Servers(opts, conf.Admin.Address, conf.Metrics.Address, func(s *admin.Server) { a.addEndpoints(s, d) })
	return append(tasks, servers...), err
}

// addEndpoints adds what only a load balancer has to the operator's HTTP.
func (a *app) addEndpoints(s *admin.Server, d *daemon.Daemon) {
	s.Post("/upgrade", "start the binary on disk and hand it the sockets", func(r *http.Request) (any, error) {
		if err := d.Upgrade(r.Context()); err != nil {
			return nil, err
		}
		return map[string]string{"outcome": "upgraded"}, nil
	})
	s.Get("/backends", "state of every member under every rule: pool=", func(r *http.Request) (any, error) { return a.backends(r.FormValue("pool")), nil })
	s.Get("/flows", "flows, or who has most: client=, rule=, member=, protocol=, top=, limit=", a.flowsRequest)
	s.Get("/mapping", "ports of inbound NAT rules and whose they are", func(*http.Request) (any, error) { return a.mappings(), nil })
	s.Get("/explain", "what would become of a flow: from=, to=, protocol=", a.explainRequest)
	s.Post("/drain", "let no new flow go to a member: member=NAME or POOL/NAME", a.drainAction(true))
	s.Post("/undrain", "let new flows go to a member again: member=NAME or POOL/NAME", a.drainAction(false))
}

// reloaded tells the log and the metrics what became of a configuration.
func (a *app) reloaded(r daemon.Result) {
	if r.Err != nil {
		a.metrics.Reloaded(telemetry.ReloadRefused, r.Time)
		if r.Trigger != "start" {
			a.log.Error("configuration refused; the old one runs on", "trigger", r.Trigger, "error", r.Err.Error())
		}
		return
	}
	a.metrics.Reloaded(telemetry.ReloadApplied, r.Time)
	log := a.log
	if a.source.file != "" {
		log = log.With("file", a.source.file)
	}
	log.Info("configuration applied", "trigger", r.Trigger, "took", r.Duration)
}

// operatorError places why the operator's addresses cannot be listened on.
func (a *app) operatorError(err error) error {
	conf := a.running().conf
	key, err := command.OperatorError(err, map[string]string{"admin.address": conf.Admin.Address, "metrics.address": conf.Metrics.Address})
	if key == "" || a.source.file == "" {
		return err
	}
	if draft, failure := config.LoadLoadBalancerDraft(a.source.file); failure == nil {
		return draft.Problem(key, err.Error())
	}
	return err
}

// serverTask is the data path as a task of the process.
type serverTask struct {
	a       *app
	started func(*config.LoadBalancer)
}

func (t *serverTask) String() string { return "server" }

// Ready is closed: the first configuration was applied before there were
// tasks.
func (t *serverTask) Ready() <-chan struct{} { return command.Closed }

func (t *serverTask) Run(ctx context.Context) error {
	if t.started != nil {
		t.started(t.a.running().conf)
	}
	<-ctx.Done()
	t.a.shutdown()
	return nil
}
