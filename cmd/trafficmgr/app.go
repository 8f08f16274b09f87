package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"gatehouse/config"
	"gatehouse/dnslb"
	"gatehouse/dnslb/authority"
	"gatehouse/dnslb/dnssec"
	"gatehouse/dnslb/hosts"
	"gatehouse/dnslb/querylog"
	"gatehouse/dnslb/server"
	"gatehouse/health"
	"gatehouse/internal/daemon"
	"gatehouse/internal/telemetry"
	"gatehouse/internal/tlscert"
)

// source is where a configuration comes from: a file, flags, or the demo.
type source struct {
	file string // empty: not from a file, and never reloaded
	load func() (*config.TrafficManager, config.Warnings, error)
}

// fileSource reads a configuration file each time.
func fileSource(file string) source {
	return source{file: file, load: func() (*config.TrafficManager, config.Warnings, error) { return config.LoadTrafficManager(file) }}
}

// app is the process: what lives across configurations, and the one in use.
type app struct {
	log       *slog.Logger
	source    source
	metrics   *telemetry.Metrics
	authority *authority.Authority
	health    *health.Table
	hosts     *hosts.Resolver
	bounds    *server.Connections
	tickets   *tlscert.Tickets
	queryLog  *querylog.Logger // nil in check and explain
	lanes     lanes
	upgrader  *daemon.Upgrader // likewise
	changes   *changes

	cookieSecret []byte // of DNS cookies when none is configured
	cookies      *authority.Cookies

	first *config.TrafficManager // that the process started with; nil: not yet

	mu       sync.Mutex
	current  *running
	signers  map[signerKey]*dnssec.Signer
	switches map[string]dnslb.Switch // by key of the endpoint: what operators said
	totals   totals                  // of configurations that were replaced
	gone     departures
	leaving  sync.WaitGroup
	stopped  bool // no listener is started any more
}

// signerKey is what a signer depends on. It is kept across reloads, with the
// signatures that it has made.
type signerKey struct{ zone, file string }

// probesAtOnce bounds the probes that run: with endpoints that hang, each holds
// a place for its timeout.
const probesAtOnce = 4096

// newApp makes a process that has no configuration yet.
func newApp(log *slog.Logger, src source) *app {
	a := &app{log: log, source: src, authority: authority.New(), health: health.NewTable(health.Options{Concurrency: probesAtOnce}),
		metrics: telemetry.NewMetrics(telemetry.MetricsOptions{Version: version}), tickets: tlscert.NewTickets(0),
		bounds: server.NewConnections(config.DNSLimits{}), current: &running{}, signers: map[signerKey]*dnssec.Signer{}, switches: map[string]dnslb.Switch{}}
	secret := make([]byte, authority.CookieSecret)
	rand.Read(secret)
	a.useCookieSecret(secret)
	a.gone.under = map[*door]struct{}{}
	a.changes = newChanges(a)
	a.hosts = hosts.New(hosts.Options{Changed: func(host string, _ []netip.Addr) { a.changes.host(host) }, Log: log})
	return a
}

func (a *app) useCookieSecret(secret []byte) {
	a.cookieSecret, a.cookies = secret, authority.NewCookies(secret)
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
		return a.own(nil), err
	}
	b := &build{app: a, conf: conf, prev: a.running(), next: &running{conf: conf}}
	next, err := b.run(ctx)
	if err != nil {
		return a.own(b.next.files), err
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
	a.commit(ctx, next)
	return a.own(next.files), nil
}

// own puts the configuration file itself before what it depends on.
func (a *app) own(files []string) []string {
	if a.source.file == "" {
		return nil
	}
	return append([]string{a.source.file}, files...)
}

// startOnly warns of what is read at a start only and has changed since.
func startOnly(first, next *config.TrafficManager) (warnings []string) {
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

// commit puts a configuration to work. It cannot fail.
func (a *app) commit(ctx context.Context, next *running) {
	a.mu.Lock()
	prev := a.current
	if a.first == nil {
		a.first = next.conf
	}
	a.watch(prev, next)
	a.hosts.Set(next.flattened())
	a.bounds.SetLimits(next.conf.Limits)
	a.totals.retire(prev)
	a.signers = next.signers
	a.authority.Use(next.view, next.director.Snapshot(a.known(next)))
	a.current = next
	for key, l := range prev.listening {
		if next.listening[key] != l {
			a.gone.leave(l)
		}
	}
	for _, renew := range next.renew {
		renew()
	}
	next.renew = nil
	certs, cancel := context.WithCancel(context.Background())
	next.stopCerts = cancel
	if a.stopped {
		cancel() // shutdown stops those that it knew
	}
	a.mu.Unlock()

	a.queryLog.Use(next.output(), next.conf.QueryLog.Sample, next.conf.QueryLog.Dnstap)
	go next.certs.Run(certs)
	if prev.stopCerts != nil {
		prev.stopCerts()
	}
	if prev.conf == nil {
		a.settle(ctx, next)
	}
	a.swapDoors(prev, next)
	if prev.places != nil && prev.places != next.places {
		time.AfterFunc(graceful, prev.places.Close) // queries in hand may still ask it
	}
}

// graceful is longer than any query is in hand.
const graceful = 10 * time.Second

// swapDoors starts the listeners that are new and stops those that are gone;
// nothing is started any more once the process stops.
func (a *app) swapDoors(prev, next *running) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range next.listening {
		switch {
		case !a.stopped:
			a.start(l)
		case l.cancel == nil:
			l.close()
		}
	}
	for key, l := range prev.listening {
		if next.listening[key] != l {
			a.log.Info("listener removed", "address", key.String())
			l.stop()
		}
	}
}

// settleTime is how long a start waits for the first addresses of host names
// that are answered with their addresses.
const settleTime = 3 * time.Second

// settle waits for them: the first answers are then no empty ones.
func (a *app) settle(ctx context.Context, next *running) {
	if len(next.flattened()) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	a.hosts.Settled(ctx)
	a.changes.apply()
}

// known is what is known of the endpoints of a configuration. The caller holds
// the lock.
func (a *app) known(r *running) []dnslb.Known {
	known := make([]dnslb.Known, len(r.director.Endpoints))
	for i, e := range r.director.Endpoints {
		known[i] = a.knownOf(r, e)
	}
	return known
}

func (a *app) knownOf(r *running, e *dnslb.Endpoint) dnslb.Known {
	k := dnslb.Known{Switch: a.switches[e.Key]}
	if w := r.watches[e.ID]; w != nil {
		k.Health = w.Status().State
	}
	if e.Flattened() {
		k.Addresses = a.hosts.Addresses(e.Config().Host)
	}
	return k
}

// shutdown ends every listener.
func (a *app) shutdown() {
	a.mu.Lock()
	r := a.current
	a.stopped = true
	for _, l := range r.listening {
		l.stop()
	}
	a.mu.Unlock()
	if r.conf == nil {
		return
	}
	a.leaving.Wait()
	r.stopCerts()
}

// stderrLogger is the process's own log.
func stderrLogger() *slog.Logger { return telemetry.NewLogger(os.Stderr, slog.LevelInfo) }
