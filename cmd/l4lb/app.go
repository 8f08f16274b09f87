package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/config"
	"gatehouse/dnslb/hosts"
	"gatehouse/health"
	"gatehouse/internal/daemon"
	"gatehouse/internal/telemetry"
	"gatehouse/proxy/l4"
	"gatehouse/proxy/l4/flowlog"
	"gatehouse/proxy/l4/udp"
)

// source is where a configuration comes from: a file, flags, or the demo.
type source struct {
	file string // empty: not from a file, and never reloaded
	load func() (*config.LoadBalancer, config.Warnings, error)
}

// fileSource reads a configuration file each time.
func fileSource(file string) source {
	return source{file: file, load: func() (*config.LoadBalancer, config.Warnings, error) { return config.LoadLoadBalancer(file) }}
}

// textSource is a configuration that is no file.
func textSource(name, text string) source {
	return source{load: func() (*config.LoadBalancer, config.Warnings, error) {
		conf, _, err := config.ParseLoadBalancer(name, []byte(text)) // warnings are for who can edit the file
		return conf, nil, err
	}}
}

// app is the process: what lives across configurations, and the one in use.
type app struct {
	log     *slog.Logger
	source  source
	metrics *telemetry.Metrics
	state   *l4.State
	health  *health.Table
	hosts   *hosts.Resolver
	flowLog *flowlog.Log
	plane   plane
	// descriptors is up to which number flows take descriptors; 0: all.
	descriptors int
	upgrader    *daemon.Upgrader // nil in check and explain
	changed     chan struct{}    // capacity 1: host names have other addresses
	udpPorts    map[uint16]bool  // that this process has served, also if it does no more
	settling    settling
	carried     carried
	late        atomic.Bool // flows will be settled again soon

	heirlooms map[string][]udp.FlowRecord // of the process before this one, by door, until they are adopted
	handed    map[string][]udp.FlowRecord // to the next one

	first *config.LoadBalancer // that the process started with; nil: not yet

	mu      sync.Mutex
	current *running
	leaving sync.WaitGroup // doors that end
	stopped bool           // no door is opened any more
}

// running is a configuration that is in use, or about to be.
type running struct {
	conf     *config.LoadBalancer
	balancer *l4.Balancer
	doors    map[l4.DoorKey]*door
	watches  map[*l4.Check]*health.Watch
	logFile  *flowlog.File // nil: no log
	warnings []string
}

func newRunning(conf *config.LoadBalancer, b *l4.Balancer) *running {
	return &running{conf: conf, balancer: b, doors: map[l4.DoorKey]*door{}, watches: map[*l4.Check]*health.Watch{}}
}

// probesAtOnce bounds the probes that run: with members that hang, each holds
// a place for its timeout.
const probesAtOnce = 4096

// newApp makes a process that has no configuration yet.
func newApp(log *slog.Logger, src source) *app {
	a := &app{udpPorts: map[uint16]bool{}, log: log, source: src, state: l4.NewState(), health: health.NewTable(health.Options{Concurrency: probesAtOnce}),
		metrics: telemetry.NewMetrics(telemetry.MetricsOptions{Version: version}), changed: make(chan struct{}, 1), current: &running{}}
	a.flowLog = flowlog.New(flowlog.Options{Flows: &a.state.Flows, Guard: a.guardOf, Log: log})
	a.state.Flows.Log = a.flowLog
	a.state.Flows.Late = a.settleLate
	a.hosts = hosts.New(hosts.Options{Changed: func(string, []netip.Addr) { a.poke() }, Log: log})
	return a
}

// guardOf is the security group of a frontend, for the flow log.
func (a *app) guardOf(frontend string) (string, l4.Guard) {
	if b := a.running().balancer; b != nil {
		return b.Guard(frontend)
	}
	return "", nil
}

// poke notes that host names have other addresses.
func (a *app) poke() {
	select {
	case a.changed <- struct{}{}:
	default: // who comes will see this change too
	}
}

// running is the configuration in use.
func (a *app) running() *running {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current
}

// apply parses, builds and commits the configuration; a refused one changes
// nothing.
func (a *app) apply(ctx context.Context) (files []string, err error) {
	conf, parsed, err := a.source.load()
	if err != nil {
		return a.own(), err
	}
	a.hosts.Set(hostNames(conf))
	if a.running().conf == nil {
		a.settle(ctx)
	}
	next, err := a.build(ctx, conf)
	if err != nil {
		if old := a.running().conf; old != nil {
			a.hosts.Set(hostNames(old))
		}
		return a.own(), err
	}
	for _, w := range parsed {
		next.warnings = append(next.warnings, w.String())
	}
	next.warnings = append(next.warnings, startOnly(a.first, conf)...)
	if a.source.file == "" {
		next.warnings = nil // they are for who can edit the file
	}
	for _, w := range next.warnings {
		a.log.Warn("configuration", "warning", w)
	}
	a.commit(next)
	return a.own(), nil
}

// own is the configuration file itself.
func (a *app) own() []string {
	if a.source.file == "" {
		return nil
	}
	return []string{a.source.file}
}

// startOnly warns of what is read at a start only and has changed since.
func startOnly(first, next *config.LoadBalancer) (warnings []string) {
	if first == nil {
		return nil
	}
	warn := func(key, before, now string) {
		if before != now {
			warnings = append(warnings, fmt.Sprintf("%s: it is read at a start only and stays %q; an upgrade or a restart puts %q to use", key, before, now))
		}
	}
	warn("admin.address", first.Admin.Address, next.Admin.Address)
	warn("metrics.address", first.Metrics.Address, next.Metrics.Address)
	return warnings
}

// hostNames are the members that are names.
func hostNames(conf *config.LoadBalancer) (names []string) {
	for i := range conf.BackendPools {
		for _, m := range conf.BackendPools[i].Members {
			if m.Host != "" {
				names = append(names, m.Host)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// settleTime is how long a start waits for the first addresses of host names.
const settleTime = 3 * time.Second

// settle waits for them: the first flows are then not refused.
func (a *app) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	_ = a.hosts.Settled(ctx) // those that are late come later
}

// commit puts a configuration to work. It cannot fail.
func (a *app) commit(next *running) {
	a.mu.Lock()
	prev := a.current
	if a.first == nil {
		a.first = next.conf
	}
	a.watch(prev, next)
	a.current = next
	a.state.Flows.Use(next.balancer)
	a.state.Forget(next.balancer)
	a.swapDoors(prev, next)
	a.mu.Unlock()
	if next.logFile != prev.logFile {
		a.flowLog.Use(next.logFile, next.conf.FlowLog.Interval)
	}
	a.settleFlows(next)
}

// follow compiles the configuration again, without reading it, when host
// names have other addresses.
func (a *app) follow(ctx context.Context, exclusive func(context.Context, func()) error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.changed:
			if err := exclusive(ctx, func() { a.recompile(ctx) }); err != nil {
				return nil // it is stopping
			}
		}
	}
}

func (a *app) recompile(ctx context.Context) {
	prev := a.running()
	if prev.conf == nil {
		return
	}
	next, err := a.build(ctx, prev.conf)
	if err != nil {
		a.log.Error("new addresses of host names cannot be used; the old ones stay", "error", err)
		return
	}
	next.warnings = prev.warnings
	a.commit(next)
}

// stderrLogger is the process's own log.
func stderrLogger() *slog.Logger { return telemetry.NewLogger(os.Stderr, slog.LevelInfo) }
