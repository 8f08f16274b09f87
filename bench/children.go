//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"gatehouse/bench/load"
	"gatehouse/bench/origin"
)

// maxHold bounds how long idle connections are held.
const maxHold = 15 * time.Minute

// runOrigin is the command "origin ADDRESS THREADS": it serves until it is
// told to stop.
func runOrigin(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: bench origin ADDRESS THREADS")
	}
	addr, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	threads, err := strconv.Atoi(args[1])
	if err != nil || threads < 1 || threads > 64 {
		return fmt.Errorf("threads %q: want 1 to 64", args[1])
	}
	s, err := origin.Start(addr, threads)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return s.Close()
}

// runLoad is the command "load OPTIONS": it takes load.Options as JSON, and
// writes a load.Result as JSON.
func runLoad(ctx context.Context, args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	// There is next to no garbage, but a collection would stop the loops.
	debug.SetGCPercent(800)
	r, err := load.Run(ctx, o)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// heldReport is what the command "hold" writes, twice: when all connections
// are open, and in answer to a line of input, after having used them again.
type heldReport struct {
	Held  int
	Alive int
}

// runHold is the command "hold OPTIONS": it opens connections, and keeps them
// until its input has a line or ends.
func runHold(ctx context.Context, args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, maxHold)
	defer cancel()
	held, err := load.Hold(ctx, o)
	if err != nil {
		return err
	}
	defer held.Close()
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(heldReport{Held: o.Conns}); err != nil {
		return err
	}
	released := make(chan error, 1)
	go func() {
		_, err := bufio.NewReader(os.Stdin).ReadString('\n')
		released <- err
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-released:
		if err != nil {
			return err
		}
		return out.Encode(heldReport{Held: o.Conns, Alive: held.Alive(ctx)})
	}
}

func parseOptions(args []string) (load.Options, error) {
	var o load.Options
	if len(args) != 1 {
		return o, errors.New("usage: bench load|hold OPTIONS-AS-JSON")
	}
	return o, json.Unmarshal([]byte(args[0]), &o)
}
