//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gatehouse/bench/proc"
)

// child is this program under the name of a hidden command, in a process of
// its own.
type child struct {
	process *proc.Process
	name    string
	out     *json.Decoder
	errors  string // file
}

func (b *bench) startChild(command string, argument any) (*child, error) {
	text, err := json.Marshal(argument)
	if err != nil {
		return nil, err
	}
	c := &child{name: command, errors: filepath.Join(b.dir, command+".log")}
	if err := os.WriteFile(c.errors, nil, 0o600); err != nil {
		return nil, err
	}
	c.process, err = proc.Start(command, proc.Command{
		Argv: []string{b.self, command, string(text)}, Dir: b.dir, Output: c.errors, Piped: true,
	})
	if err != nil {
		return nil, err
	}
	c.out = json.NewDecoder(c.process.Stdout)
	return c, nil
}

// report waits for the next thing that the child has to say.
func (c *child) report(ctx context.Context, into any, limit time.Duration) error {
	answer := make(chan error, 1)
	go func() { answer <- c.out.Decode(into) }()
	var err error
	select {
	case err = <-answer:
	case <-ctx.Done():
		err = ctx.Err()
		c.process.Stop() // ends the goroutine above
	case <-time.After(limit):
		err = errors.New("does not come to an end")
		c.process.Stop()
	}
	if err != nil {
		text, _ := os.ReadFile(c.errors)
		return fmt.Errorf("%s: %w %s", c.name, err, text)
	}
	return nil
}

// generated runs a generator of load from start to end.
func generated[R any](ctx context.Context, b *bench, command string, options any) (r R, err error) {
	c, err := b.startChild(command, options)
	if err != nil {
		return r, err
	}
	defer c.process.Stop()
	return r, c.report(ctx, &r, b.warmup+b.duration+20*time.Second)
}
