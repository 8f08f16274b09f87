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

	"gatehouse/bench/dns/load"
	"gatehouse/bench/proc"
)

// driven is a load generator at work, in a process of its own.
type driven struct {
	process *proc.Process
	limit   time.Duration
	errors  string // file
}

func (b *bench) startLoad(o load.Options) (*driven, error) {
	options, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	d := &driven{limit: o.Warmup + o.Duration + o.Timeout + 20*time.Second, errors: filepath.Join(b.dir, "load.log")}
	if err := os.WriteFile(d.errors, nil, 0o600); err != nil {
		return nil, err
	}
	d.process, err = proc.Start("load", proc.Command{
		Argv: []string{b.self, "load", string(options)}, Dir: b.dir, Output: d.errors, Piped: true,
	})
	return d, err
}

// wait returns what the load generator has measured once it is done.
func (d *driven) wait(ctx context.Context) (*load.Result, error) {
	defer d.process.Stop()
	result := new(load.Result)
	answer := make(chan error, 1)
	go func() { answer <- json.NewDecoder(d.process.Stdout).Decode(result) }()
	var err error
	select {
	case err = <-answer:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(d.limit):
		return nil, errors.New("the load generator does not come to an end")
	}
	if err != nil {
		text, _ := os.ReadFile(d.errors)
		return nil, fmt.Errorf("load: %w %s", err, text)
	}
	return result, nil
}

// drive runs a load generator from start to end.
func (b *bench) drive(ctx context.Context, o load.Options) (*load.Result, error) {
	d, err := b.startLoad(o)
	if err != nil {
		return nil, err
	}
	return d.wait(ctx)
}
