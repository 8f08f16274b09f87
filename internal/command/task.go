package command

import (
	"context"

	"gatehouse/internal/daemon"
)

// Closed is a channel that is closed: of tasks that are ready at once.
var Closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// funcTask is a task that is ready at once.
type funcTask struct {
	name string
	run  func(context.Context) error
}

// Task makes a task of a function, which is ready at once.
func Task(name string, run func(context.Context) error) daemon.Task { return &funcTask{name, run} }

func (t *funcTask) String() string                { return t.name }
func (t *funcTask) Ready() <-chan struct{}        { return Closed }
func (t *funcTask) Run(ctx context.Context) error { return t.run(ctx) }
