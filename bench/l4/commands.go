//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	flows "gatehouse/bench/l4/load"
	"gatehouse/bench/load"
	"gatehouse/bench/origin"
)

// The hidden commands. Each takes one argument and writes JSON.
const (
	commandServe     = "serve"     // the members of a pool; the argument is a service
	commandHTTP      = "http"      // load.Options to load.Result
	commandHold      = "hold"      // load.Options to two numbers of connections
	commandStreams   = "streams"   // flows.Streams to flows.Streamed
	commandDatagrams = "datagrams" // flows.Datagrams to flows.Echoed
)

// maxHold bounds how long idle connections are held.
const maxHold = 15 * time.Minute

func commands() map[string]func(context.Context, []string) error {
	return map[string]func(context.Context, []string) error{
		commandServe: runServe,
		commandHold:  runHold,
		commandHTTP: func(ctx context.Context, args []string) error {
			return generate(args, func(o load.Options) (*load.Result, error) { return load.Run(ctx, o) })
		},
		commandStreams: func(_ context.Context, args []string) error { return generate(args, flows.Streams.Run) },
		commandDatagrams: func(_ context.Context, args []string) error {
			return generate(args, flows.Datagrams.Run)
		},
	}
}

// generate is a command that makes a load: options in, result out.
func generate[O, R any](args []string, run func(O) (R, error)) error {
	var o O
	if err := parseArgument(args, &o); err != nil {
		return err
	}
	// There is next to no garbage, but a collection would stop the loops.
	debug.SetGCPercent(800)
	r, err := run(o)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func parseArgument(args []string, o any) error {
	if len(args) != 1 {
		return errors.New("usage: bench/l4 COMMAND ARGUMENT-AS-JSON")
	}
	return json.Unmarshal([]byte(args[0]), o)
}

// service is what members do.
type service string

// The services.
const (
	serviceHTTP service = "http"
	serviceSink service = "sink"
	serviceEcho service = "echo"
)

// memberHosts are the addresses of the members of every pool.
func memberHosts() []netip.AddrPort {
	return []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("127.0.0.2:0")}
}

// runServe is the command "serve": it writes the addresses of the members, and
// serves until it is told to stop.
func runServe(ctx context.Context, args []string) error {
	var what service
	if err := parseArgument(args, &what); err != nil {
		return err
	}
	if what == serviceHTTP {
		// A thread of a member keeps its processor while it waits.
		runtime.GOMAXPROCS(len(memberHosts()) + runtime.NumCPU())
	}
	var all []netip.AddrPort
	for _, host := range memberHosts() {
		at, end, err := what.start(host)
		if err != nil {
			return err
		}
		defer end()
		all = append(all, at)
	}
	if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// start starts one member.
func (s service) start(at netip.AddrPort) (netip.AddrPort, func(), error) {
	switch s {
	case serviceHTTP:
		server, err := origin.Start(at, 1)
		if err != nil {
			return at, nil, err
		}
		return server.Addr(), func() { server.Close() }, nil
	case serviceSink:
		sink, err := flows.NewSink(at)
		if err != nil {
			return at, nil, err
		}
		return sink.Addr(), sink.Close, nil
	case serviceEcho:
		echo, err := flows.NewEcho(at)
		if err != nil {
			return at, nil, err
		}
		return echo.Addr, echo.Close, nil
	}
	return at, nil, fmt.Errorf("unknown service %q", s)
}

// runHold is the command "hold": it opens connections, says how many, keeps
// them until its input has a line, and says then how many still work.
func runHold(ctx context.Context, args []string) error {
	var o load.Options
	if err := parseArgument(args, &o); err != nil {
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
	if err := out.Encode(o.Conns); err != nil {
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
		if err != nil && err != io.EOF {
			return err
		}
		return out.Encode(held.Alive(ctx))
	}
}
