package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/config"
	"gatehouse/internal/admin"
	"gatehouse/internal/command"
	"gatehouse/internal/daemon"
	"gatehouse/internal/telemetry"
)

// defaultFile is the configuration that run looks for.
const defaultFile = "appgw.yaml"

func newRunCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "run",
		Short:   "Serve a configuration",
		Example: "  appgw run -c /etc/gatehouse/appgw.yaml",
		Args:    command.NoArguments,
		RunE: command.Work(func(cmd *cobra.Command, _ []string) error {
			if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) && !cmd.Flags().Changed("config") {
				return errors.New("there is no " + defaultFile + ` here; name a file with -c, or begin with one of
  appgw demo                                            to look around
  appgw proxy --from :8080 --to http://127.0.0.1:3000   to put it in front of an application`)
			}
			return serve(cmd.Context(), fileSource(file), nil)
		}),
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultFile, "configuration file")
	return cmd
}

// serve runs the gateway until a signal ends it. started, if not nil, is
// called once it serves.
func serve(ctx context.Context, src source, started func(*config.Gateway)) error {
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
	reloader := &daemon.Reloader{Apply: a.apply, Known: a.own(nil), OnResult: a.reloaded}
	if err := reloader.Reload(ctx, "start"); err != nil {
		return command.StartError(err)
	}
	d := &daemon.Daemon{
		Log: a.log, Tasks: []daemon.Task{&gatewayTask{a: a, started: started}},
		Reloader: reloader, Upgrader: a.upgrader, Notifier: notifier, Reopen: a.reopenLogs,
		Drain: func() time.Duration { return a.running().conf.Drain },
	}
	if d.Support, err = a.support(d, reloader); err != nil {
		return err
	}
	return a.operatorError(d.Run(ctx))
}

// reopenLogs opens the files of the logs again, after they were renamed.
func (a *app) reopenLogs() error { return errors.Join(a.access.Reopen(), a.wafLog.Reopen()) }

// support are the tasks that the gateway leans on.
func (a *app) support(d *daemon.Daemon, reloader *daemon.Reloader) ([]daemon.Task, error) {
	tasks := []daemon.Task{a.access, a.wafLog, a.tickets,
		command.Task("housekeeping", a.gateway.Run),
		command.Task("probes", func(ctx context.Context) error { a.health.Run(ctx); return nil }),
	}
	if a.source.file != "" {
		tasks = append(tasks, daemon.NewWatcher(reloader, a.log))
	}
	if err := a.registerCollectors(); err != nil {
		return nil, err
	}
	conf := a.running().conf
	opts := admin.Options{
		Name: "appgw", Version: version, Listen: a.upgrader.Listen, Ready: d.Ready,
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

// gatewayTask is the data path as a task of the process.
type gatewayTask struct {
	a       *app
	started func(*config.Gateway)
}

func (t *gatewayTask) String() string { return "gateway" }

// Ready is closed: the first configuration was applied before there were
// tasks.
func (t *gatewayTask) Ready() <-chan struct{} { return command.Closed }

func (t *gatewayTask) Run(ctx context.Context) error {
	if t.started != nil {
		t.started(t.a.running().conf)
	}
	<-ctx.Done()
	t.a.shutdown()
	return nil
}
