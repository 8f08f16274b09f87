package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/config"
	"gatehouse/dnslb/querylog"
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
		Example: "  trafficmgr run -c /etc/gatehouse/trafficmgr.yaml",
		Args:    command.NoArguments,
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) && !cmd.Flags().Changed("config") {
				return errors.New("there is no " + defaultFile + ` here; name a file with -c, or begin with one of
  trafficmgr demo                                        to look around
  trafficmgr serve --listen :5353 --name www.lab.test --routing priority --to 10.0.0.1,10.0.0.2`)
			}
			return serve(cmd.Context(), fileSource(file), nil)
		}),
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultFile, "configuration file")
	return cmd
}

// serve runs the traffic manager until a signal ends it. started, if not nil,
// is called once it serves.
func serve(ctx context.Context, src source, started func(*config.TrafficManager)) error {
	command.RaiseDescriptorLimit()
	a := newApp(stderrLogger(), src)
	notifier, err := daemon.NewNotifier(os.Getenv)
	if err != nil {
		return err
	}
	if a.upgrader, err = daemon.NewUpgrader(); err != nil {
		return err
	}
	a.upgrader.Word = a.bequeath
	a.inherit(a.upgrader.Inheritance())
	a.openQueryLog()
	defer a.startHosts(ctx)()
	reloader := &daemon.Reloader{Apply: a.apply, Known: a.own(nil), OnResult: a.reloaded, FreeMemory: true}
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

// openQueryLog starts the query log. Where it goes, a configuration says.
func (a *app) openQueryLog() {
	host, _ := os.Hostname()
	a.queryLog = querylog.New(querylog.Options{Identity: host, Version: binary.Name + " " + version, Logger: a.log})
	a.lanes.log = a.queryLog
	a.authority.Log = a.lanes.logger
}

// reopenLogs opens the files of the query log again, after they were renamed.
func (a *app) reopenLogs() error {
	a.queryLog.ReopenDnstap()
	conf := a.running().conf
	if !conf.QueryLog.Enabled || conf.QueryLog.Output == "" {
		return nil
	}
	out, err := telemetry.OpenOutput(conf.QueryLog.Output)
	if err != nil {
		return err
	}
	a.queryLog.Use(out, conf.QueryLog.Sample, conf.QueryLog.Dnstap)
	return nil
}

// support are the tasks that the server leans on.
func (a *app) support(d *daemon.Daemon, reloader *daemon.Reloader) ([]daemon.Task, error) {
	tasks := []daemon.Task{a.tickets,
		command.Task("probes", func(ctx context.Context) error { a.health.Run(ctx); return nil }),
		command.Task("changes", a.changes.run),
		command.Task("query log", func(ctx context.Context) error {
			<-ctx.Done()
			closing, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			return a.queryLog.Close(closing)
		}),
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
	if draft, failure := config.LoadTrafficManagerDraft(a.source.file); failure == nil {
		return draft.Problem(key, err.Error())
	}
	return err
}

// serverTask is the data path as a task of the process.
type serverTask struct {
	a       *app
	started func(*config.TrafficManager)
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
