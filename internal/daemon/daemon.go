package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Daemon is a process: its tasks, and what signals do to them.
//
//	SIGHUP           reload the configuration
//	SIGUSR1          reopen log files
//	SIGUSR2          start the binary on disk, hand it the sockets, drain
//	SIGTERM, SIGINT  drain and stop; the second one exits at once
//
// Fields must not change once Run is called. Every one may be nil or zero but
// Tasks.
type Daemon struct {
	// Log gets what happens to the process, with its id. If nil, discarded.
	Log *slog.Logger

	// Tasks do the work. They are cancelled together.
	Tasks []Task

	// Support is what Tasks lean on while they drain: the operator's HTTP,
	// the configuration watch, log writers. It is cancelled when they have
	// ended.
	Support []Task

	// Reloader is what SIGHUP triggers. It refuses to reload once the process
	// drains.
	Reloader *Reloader

	// Upgrader is what SIGUSR2 triggers, and what learns that the process is
	// ready.
	Upgrader *Upgrader

	// Notifier is told about the process.
	Notifier *Notifier

	// Reopen reopens log files.
	Reopen func() error

	// Drain is how long tasks may take to end once cancelled, asked when they
	// are. They keep that time themselves; the process waits a little longer
	// before it gives them up. If nil, 30 s.
	Drain func() time.Duration

	// Signals replaces the signals of the process, and Exit os.Exit: for
	// tests.
	Signals <-chan os.Signal
	Exit    func(status int)

	mu       sync.Mutex // guards what follows
	phase    phase
	upgrades chan chan<- error
}

// stopGrace is how much longer than it may a task can take to end.
const stopGrace = 5 * time.Second

// phase is where a process stands in its life.
type phase uint8

const (
	phaseStarting phase = iota
	phaseServing
	phaseStopping
)

// Ready returns nil while every task is ready and the process serves, else
// the reason why not.
func (d *Daemon) Ready() error {
	switch d.currentPhase() {
	case phaseServing:
		return nil
	case phaseStopping:
		return errors.New("draining")
	}
	if waiting := unready(append(append([]Task(nil), d.Support...), d.Tasks...)); waiting != "" {
		return fmt.Errorf("starting: waiting for %s", waiting)
	}
	return errors.New("starting")
}

// Upgrade does what SIGUSR2 does and returns once the new process serves and
// this one has begun to drain, or with the reason why neither is the case.
func (d *Daemon) Upgrade(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case d.upgradeRequests() <- reply:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// currentPhase returns the phase.
func (d *Daemon) currentPhase() phase {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.phase
}

// enter changes the phase.
func (d *Daemon) enter(p phase) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.phase = p
}

// upgradeRequests carries the calls of Upgrade to Run.
func (d *Daemon) upgradeRequests() chan chan<- error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.upgrades == nil {
		d.upgrades = make(chan chan<- error)
	}
	return d.upgrades
}

// Run runs the tasks until ctx is cancelled, a signal ends the process, a
// task fails, or none is left. It returns the failure, if that was the
// reason, after everything it started has ended.
func (d *Daemon) Run(ctx context.Context) error {
	log := d.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	// Two processes write one log while one replaces the other.
	log = log.With("pid", os.Getpid())
	signals, release := d.listenSignals()
	defer release()
	r := &run{Daemon: d, log: log, signals: signals, reloads: make(chan struct{}, 1)}
	return r.run(ctx)
}

// listenSignals returns the signals to obey.
func (d *Daemon) listenSignals() (<-chan os.Signal, func()) {
	if d.Signals != nil {
		return d.Signals, func() {}
	}
	c := make(chan os.Signal, 16)
	signal.Notify(c, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2)
	return c, func() { signal.Stop(c) }
}

// run is the state of one Run. Its goroutine owns it.
type run struct {
	*Daemon
	log     *slog.Logger
	signals <-chan os.Signal
	reloads chan struct{} // a SIGHUP that waits to be obeyed

	service, support *group
	helpers          sync.WaitGroup
	asked            int // how often the process was asked to stop

	upgrade       chan upgraded      // where the upgrade under way ends; nil: none
	cancelUpgrade context.CancelFunc // of that
	replies       []chan<- error     // who waits for it
	heir          int                // the process that took over; 0: none
}

// upgraded is how an upgrade ended.
type upgraded struct {
	pid int
	err error
}

// run is Run.
func (r *run) run(ctx context.Context) error {
	// The groups end in order, not when ctx does.
	tasks := context.WithoutCancel(ctx)
	helpers, stopHelpers := context.WithCancel(tasks)
	watchdog, stopWatchdog := context.WithCancel(tasks)
	if r.Reloader != nil {
		r.Reloader.hook(r.announceReload)
	}
	if r.Upgrader != nil {
		r.Upgrader.announce = func(pid int) { r.tell(r.Notifier.MainPID(pid)) }
	}
	r.support = startGroup(tasks, r.Support)
	r.service = startGroup(tasks, r.Tasks)
	ready := make(chan error, 1)
	r.helpers.Go(func() { r.becomeReady(helpers, ready) })
	r.helpers.Go(func() { r.obeyReloads(helpers) })
	r.helpers.Go(func() { r.Notifier.Watchdog(watchdog) })

	err := r.serve(ctx, ready)
	r.enter(phaseStopping)
	if r.Reloader != nil {
		r.Reloader.stop()
	}
	r.endUpgrade()
	if r.heir != 0 {
		stopWatchdog() // it is the new process's now
	}
	err = errors.Join(err, r.drain())
	stopHelpers()
	stopWatchdog()
	r.helpers.Wait()
	return err
}

// serve obeys until there is a reason to stop, and returns it if it is a
// failure.
func (r *run) serve(ctx context.Context, ready <-chan error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ready:
			if err != nil {
				return err
			}
			r.serving()
		case err := <-r.service.failed:
			return err
		case err := <-r.support.failed:
			return err
		case <-r.service.done:
			return firstFailure(r.service)
		case reply := <-r.upgradeRequests():
			r.startUpgrade(reply)
		case u := <-r.upgrade:
			if r.finishUpgrade(u) {
				return nil
			}
		case s := <-r.signals:
			r.obey(s)
			if r.asked > 0 {
				return nil
			}
		}
	}
}

// firstFailure returns the first failure in a group that nobody has seen yet.
func firstFailure(g *group) error {
	select {
	case err := <-g.failed:
		return err
	default:
		return nil
	}
}

// obey does what a signal asks for; what ends serving is only counted.
func (r *run) obey(s os.Signal) {
	switch s {
	case syscall.SIGHUP:
		select {
		case r.reloads <- struct{}{}:
		default: // one that has not begun yet will see the same files
		}
	case syscall.SIGUSR1:
		r.reopen()
	case syscall.SIGUSR2:
		r.startUpgrade(nil)
	case syscall.SIGTERM, syscall.SIGINT:
		r.asked++
		if r.asked > 1 {
			r.log.Warn("stopping at once", "signal", s.String())
			r.exit(1)
			return
		}
		r.log.Info("draining", "signal", s.String())
	}
}

// exit ends the process.
func (r *run) exit(status int) {
	if r.Exit != nil {
		r.Exit(status)
		return
	}
	os.Exit(status)
}

// reopen reopens the log files.
func (r *run) reopen() {
	if r.Reopen == nil {
		return
	}
	if err := r.Reopen(); err != nil {
		r.log.Error("reopening log files", "error", err)
		return
	}
	r.log.Info("log files reopened")
}

// tell logs a notification that failed: the service manager may think ill of
// the process, but that is no reason to stop.
func (r *run) tell(err error) {
	if err != nil {
		r.log.Warn("notification failed", "error", err)
	}
}

// becomeReady waits for all tasks and makes an old process let go.
func (r *run) becomeReady(ctx context.Context, result chan<- error) {
	for _, g := range []*group{r.support, r.service} {
		select {
		case <-g.ready:
		case <-ctx.Done():
			return
		}
	}
	if r.Upgrader == nil {
		result <- nil
		return
	}
	result <- r.Upgrader.Ready(ctx)
}

// serving tells that the process serves.
func (r *run) serving() {
	r.enter(phaseServing)
	r.log.Info("ready")
	// Of a process that was not started by an upgrade the service manager
	// knows the id, and this says nothing new.
	r.tell(r.Notifier.ReadyAs(os.Getpid(), "serving"))
}

// obeyReloads reloads for each SIGHUP, once the process serves.
func (r *run) obeyReloads(ctx context.Context) {
	for {
		select {
		case <-r.reloads:
		case <-ctx.Done():
			return
		}
		if r.Reloader == nil {
			continue
		}
		// Not before all tasks are up: what is being built is current then.
		select {
		case <-r.service.ready:
		case <-ctx.Done():
			return
		}
		// The result is kept, and told, by the Reloader.
		_ = r.Reloader.Reload(ctx, "SIGHUP")
	}
}

// announceReload tells the service manager of a reload.
func (r *run) announceReload(string) (after func(error)) {
	if r.currentPhase() != phaseServing {
		return func(error) {}
	}
	r.tell(r.Notifier.Reloading())
	return func(err error) {
		status := "serving"
		if err != nil {
			status = "serving the previous configuration; the new one was refused: " + err.Error()
		}
		r.tell(r.Notifier.Ready(status))
	}
}

// startUpgrade begins an upgrade, or joins the one under way. reply may be
// nil.
func (r *run) startUpgrade(reply chan<- error) {
	if reply != nil {
		r.replies = append(r.replies, reply)
	}
	if r.upgrade != nil {
		return
	}
	if err := r.upgradable(); err != nil {
		r.finishUpgrade(upgraded{err: err})
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan upgraded, 1)
	r.upgrade, r.cancelUpgrade = result, cancel
	r.log.Info("upgrading: starting the binary on disk")
	r.helpers.Go(func() { result <- r.doUpgrade(ctx) })
}

// upgradable tells why there can be no upgrade now.
func (r *run) upgradable() error {
	if r.Upgrader == nil {
		return errors.New("upgrade: not possible for this process")
	}
	if err := r.Ready(); err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	return nil
}

// doUpgrade upgrades while no reload changes the set of sockets.
func (r *run) doUpgrade(ctx context.Context) (u upgraded) {
	f := func() { u.pid, u.err = r.Upgrader.Upgrade(ctx) }
	if r.Reloader == nil {
		f()
		return u
	}
	if err := r.Reloader.exclusive(ctx, f); err != nil {
		return upgraded{err: fmt.Errorf("upgrade: %w", err)}
	}
	return u
}

// finishUpgrade tells how an upgrade ended, and whether it handed over.
func (r *run) finishUpgrade(u upgraded) bool {
	if r.cancelUpgrade != nil {
		r.cancelUpgrade()
	}
	if u.err != nil {
		r.log.Error("not upgraded, going on", "error", u.err)
	} else {
		r.heir = u.pid
		r.log.Info("upgraded: the new process serves, draining", "newPid", u.pid)
	}
	for _, reply := range r.replies {
		reply <- u.err
	}
	r.upgrade, r.cancelUpgrade, r.replies = nil, nil, nil
	return u.err == nil
}

// endUpgrade breaks off an upgrade that is under way when the process stops.
// If it is too late for that the new process is asked to stop as well.
func (r *run) endUpgrade() {
	if r.upgrade == nil {
		return
	}
	r.cancelUpgrade()
	for r.upgrade != nil {
		select {
		case u := <-r.upgrade:
			if r.finishUpgrade(u) {
				_ = syscall.Kill(u.pid, syscall.SIGTERM) // or it has ended already
			}
		case s := <-r.signals:
			r.obey(s)
		}
	}
}

// drain ends the tasks, then what supports them.
func (r *run) drain() error {
	if r.heir == 0 {
		// A process that was replaced is not the service any more.
		r.tell(r.Notifier.Stopping("draining"))
	}
	r.service.cancel()
	if r.heir != 0 {
		r.Upgrader.Retire()
	}
	most := 30 * time.Second
	if r.Drain != nil {
		most = r.Drain()
	}
	err := r.await(r.service, most+stopGrace)
	r.support.cancel()
	return errors.Join(err, r.await(r.support, stopGrace))
}

// await waits for a group to end, while signals are obeyed.
func (r *run) await(g *group, most time.Duration) error {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		select {
		case <-g.done:
			return firstFailure(g)
		case <-timer.C:
			return fmt.Errorf("gave up waiting after %v for: %s", most, g.stillRunning())
		case reply := <-r.upgradeRequests():
			reply <- ErrStopping
		case s := <-r.signals:
			if s != syscall.SIGUSR2 && s != syscall.SIGHUP {
				r.obey(s)
			}
		}
	}
}
