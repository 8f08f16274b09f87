// Package daemon is the skeleton that the three binaries share: a process is
// a list of tasks, and the skeleton starts them, says when they are ready,
// reloads their configuration, hands their sockets to a new binary, drains
// them and joins them.
//
// A main builds its tasks, fills in a Daemon and calls Run. Sockets that must
// survive an upgrade are opened through an Upgrader; configuration is applied
// through a Reloader, which a Watcher triggers when a file changes.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Task is one of the things a process does.
//
// Run works until ctx is cancelled, which asks the task to stop taking new
// work, drain what it has (connections that Accept returned included) within
// the time it was configured with, and return; neither cancellation nor the
// closing of its listeners by a handover is an error. An error that Run returns ends the process; nil before ctx is
// cancelled means that the task had nothing more to do. Run must join every
// goroutine it started, and is called once.
//
// Ready is closed once the task does its work. It must not be closed before
// its sockets accept: readiness makes an old process leave.
//
// String names the task in logs and in the reason for not being ready.
type Task interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
	fmt.Stringer
}

// group runs tasks that start and stop together.
type group struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when every Run has returned
	ready  chan struct{} // closed when every task is ready
	failed chan error    // the first failure; capacity 1

	mu      sync.Mutex // guards what follows
	running []Task     // tasks whose Run has not returned
}

// startGroup starts every task. The group ends by itself only if all tasks
// return; a failure is reported, and the owner decides what it ends.
func startGroup(ctx context.Context, tasks []Task) *group {
	ctx, cancel := context.WithCancel(ctx)
	g := &group{
		cancel:  cancel,
		done:    make(chan struct{}),
		ready:   make(chan struct{}),
		failed:  make(chan error, 1),
		running: append([]Task(nil), tasks...),
	}
	var wg sync.WaitGroup
	ended := make([]chan struct{}, len(tasks))
	for i, t := range tasks {
		ended[i] = make(chan struct{})
		wg.Go(func() {
			defer close(ended[i])
			g.runTask(ctx, t)
		})
	}
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		g.awaitReady(ctx, tasks, ended)
	}()
	go func() {
		wg.Wait()
		cancel() // nothing is left that could become ready
		<-waiting
		close(g.done)
	}()
	return g
}

// runTask runs t and reports its failure.
func (g *group) runTask(ctx context.Context, t Task) {
	err := t.Run(ctx)
	g.mu.Lock()
	for i, r := range g.running {
		if r == t {
			g.running = append(g.running[:i:i], g.running[i+1:]...)
			break
		}
	}
	g.mu.Unlock()
	switch {
	case err != nil && !(ctx.Err() != nil && errors.Is(err, context.Canceled)):
		err = fmt.Errorf("%s: %w", t, err)
	case ctx.Err() == nil && !isClosed(t.Ready()):
		err = fmt.Errorf("%s: ended before it was ready", t)
	default:
		return
	}
	select {
	case g.failed <- err:
	default:
	}
}

// awaitReady closes g.ready when the last task is ready.
func (g *group) awaitReady(ctx context.Context, tasks []Task, ended []chan struct{}) {
	for i, t := range tasks {
		select {
		case <-t.Ready():
		case <-ended[i]:
			if !isClosed(t.Ready()) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
	close(g.ready)
}

// stillRunning names the tasks that have not returned.
func (g *group) stillRunning() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return names(g.running)
}

// unready names the tasks that are not ready yet.
func unready(tasks []Task) string {
	var waiting []Task
	for _, t := range tasks {
		if !isClosed(t.Ready()) {
			waiting = append(waiting, t)
		}
	}
	return names(waiting)
}

// names joins the names of tasks.
func names(tasks []Task) string {
	var all []string
	for _, t := range tasks {
		all = append(all, t.String())
	}
	return strings.Join(all, ", ")
}

// isClosed tells whether c, on which nothing is ever sent, is closed.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
