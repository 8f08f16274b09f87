package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"gatehouse/config"
	"gatehouse/health"
	"gatehouse/internal/acme"
	"gatehouse/internal/command"
	"gatehouse/internal/daemon"
	"gatehouse/internal/responder"
	"gatehouse/internal/telemetry"
	"gatehouse/internal/tlscert"
	"gatehouse/proxy"
	"gatehouse/proxy/l7"
	"gatehouse/proxy/l7/auth"
	"gatehouse/proxy/l7/compression"
	"gatehouse/waf/bot"
)

// source is where a configuration comes from: a file, flags, or the demo.
type source struct {
	file string // empty: not from a file, and never reloaded
	load func() (*config.Gateway, config.Warnings, error)
}

// fileSource reads a configuration file each time.
func fileSource(file string) source {
	return source{file: file, load: func() (*config.Gateway, config.Warnings, error) { return config.LoadGateway(file) }}
}

// app is the process: what lives across configurations, and the one in use.
type app struct {
	log     *slog.Logger
	source  source
	metrics *telemetry.Metrics
	access  *telemetry.AccessLog
	wafLog  *telemetry.AccessLog
	gateway *l7.Gateway
	health  *health.Table
	drains  *proxy.Drains

	compression *compression.Engine

	tickets   *tlscert.Tickets
	crowd     *auth.Crowd // compares passwords
	acme      *acme.Manager
	responder *responder.Client
	asker     *tlscert.Asker
	upgrader  *daemon.Upgrader // nil in check and explain
	secret    [32]byte         // for affinity cookies when none is configured

	first *config.Gateway // that the process started with; nil: not yet

	mu      sync.Mutex
	current *running
	bots    *bot.Classifier // nil until a policy asks for it
	ids     map[int]bool    // of frontends in use, leaving ones included
	leaving sync.WaitGroup
}

// newApp makes a process that has no configuration yet.
func newApp(log *slog.Logger, src source) *app {
	a := &app{log: log, source: src, health: health.NewTable(health.Options{}), drains: proxy.NewDrains(), compression: compression.NewEngine(), tickets: tlscert.NewTickets(0), crowd: passwordCrowd(),
		metrics: telemetry.NewMetrics(telemetry.MetricsOptions{Version: version}),
		current: &running{}, ids: map[int]bool{}}
	rand.Read(a.secret[:])
	quiet, _ := telemetry.OpenOutput("stderr") // until a configuration says where; stderr needs no opening
	a.access = telemetry.NewAccessLog(quiet, config.AccessOff, telemetry.AccessLogOptions{Logger: log})
	quiet, _ = telemetry.OpenOutput("stderr")
	a.wafLog = telemetry.NewAccessLog(quiet, config.AccessJSON, telemetry.AccessLogOptions{Name: "waf log", Logger: log})
	a.gateway = l7.NewGateway(log, a.access)
	a.responder = responder.New()
	a.asker = tlscert.NewAsker(a.responder, log)
	a.acme = acme.NewManager(acme.Options{Logger: log, Responder: a.responder})
	return a
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
	conf, warnings, err := a.load()
	if err != nil {
		return a.own(nil), err
	}
	prev := a.running()
	b := newBuild(a, conf, prev, false)
	next, err := b.run(ctx)
	if err != nil {
		return a.own(b.next.files), err
	}
	next.warnings = append(warnings, next.warnings...)
	next.warnings = append(next.warnings, startOnly(a.first, conf)...)
	for _, w := range next.warnings {
		a.log.Warn("configuration", "warning", w)
	}
	a.commit(prev, next, b)
	return a.own(next.files), nil
}

// startOnly warns of what is read at a start only and has changed since.
func startOnly(first, next *config.Gateway) (warnings []string) {
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

func texts(warnings config.Warnings) []string {
	var all []string
	for _, w := range warnings {
		all = append(all, w.String())
	}
	return all
}

// own puts the configuration file itself before what it depends on.
func (a *app) own(files []string) []string {
	if a.source.file == "" {
		return nil
	}
	return append([]string{a.source.file}, files...)
}

// commit puts a configuration to work. It cannot fail: members first, then
// the routes that lead to them, then the sockets.
func (a *app) commit(prev, next *running, b *build) {
	for _, p := range next.pools {
		p.Commit()
	}
	next.commitCaches()
	if next.output != nil {
		a.access.Use(next.output, next.conf.Logs.Access.Format)
	}
	if next.wafOutput != nil {
		a.wafLog.Use(next.wafOutput, config.AccessJSON)
	}
	ctx, cancel := context.WithCancel(context.Background())
	next.stopCerts = cancel
	go next.certs.Run(ctx)
	if prev.snapshot != nil {
		prev.snapshot.Closed = func() {
			a.closePools(prev)
			prev.closePolicies()
		}
	}
	a.compression.Limit(next.conf.Limits.CompressionCPU, int64(next.conf.Limits.CompressionBytes))
	a.startKeys(next)
	a.gateway.Use(next.snapshot)
	b.metrics.Commit()
	for _, fe := range next.frontends {
		a.start(fe)
	}
	for addr, fe := range prev.frontends {
		if next.frontends[addr] != fe {
			a.stopLater(fe, prev.conf.Drain)
		}
	}
	a.commitQUIC(prev, next)
	if prev.stopCerts != nil {
		prev.stopCerts()
	}
	prev.stopKeys(next)
	a.acme.Use(next.sites) // now that challenges are answered
	if a.first == nil {
		a.first = next.conf
	}
	a.mu.Lock()
	a.current = next
	a.mu.Unlock()
	if len(next.policies) > 0 {
		debug.FreeOSMemory() // compiling rules leaves several times what they take
	}
}

// start runs a frontend that is new.
func (a *app) start(fe *frontend) {
	if !fe.isNew {
		return
	}
	fe.isNew = false
	a.leaving.Add(1)
	go func() {
		defer a.leaving.Done()
		fe.Serve()
		a.giveID(fe.ID)
	}()
	a.log.Info("listening", "address", fe.Addr().String())
}

// stopLater drains a frontend that the configuration no longer has.
func (a *app) stopLater(fe *frontend, drain time.Duration) {
	a.log.Info("listener removed", "address", fe.Addr().String(), "drain", drain)
	a.leaving.Add(1)
	go func() {
		defer a.leaving.Done()
		ctx, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		fe.Stop(ctx)
	}()
}

// closePools closes the pools of a configuration that nobody uses any more;
// those that were taken over are not touched by it.
func (a *app) closePools(old *running) {
	for _, p := range old.pools {
		a.leaving.Add(1)
		go func() {
			defer a.leaving.Done()
			p.Close(context.Background()) // bounded by the pool's drain time
		}()
	}
}

// closePolicies gives up the firewall policies of a configuration that nobody
// uses any more, and its database of places.
func (r *running) closePolicies() {
	for _, p := range r.policies {
		p.Close()
	}
	if r.places != nil {
		r.places.Close()
	}
}

// shutdown drains every frontend, then the pools.
func (a *app) shutdown() {
	r := a.running()
	if r.conf == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.conf.Drain)
	defer cancel()
	var stopping sync.WaitGroup
	for _, fe := range r.frontends {
		stopping.Go(func() { fe.Stop(ctx) })
	}
	for _, fe := range r.quic {
		stopping.Go(func() { fe.Stop(ctx) })
	}
	stopping.Wait()
	for _, p := range r.pools {
		stopping.Go(func() { p.Close(ctx) })
	}
	stopping.Wait()
	r.stopCerts()
	r.stopKeys(nil)
	if a.bots != nil {
		a.bots.Close()
	}
	a.leaving.Go(a.acme.Close)
	a.waitLeaving(time.Second)
}

// waitLeaving joins what is still going, but not for ever.
func (a *app) waitLeaving(most time.Duration) {
	done := make(chan struct{})
	go func() {
		a.leaving.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(most):
	}
}

// takeID gives a frontend a place in the snapshots; giveID takes it back when
// its last connection has ended.
func (a *app) takeID() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id := 0; ; id++ {
		if !a.ids[id] {
			a.ids[id] = true
			return id
		}
	}
}

func (a *app) giveID(id int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.ids, id)
}

// listen binds an address, or takes it over from an older process.
func (a *app) listen(addr netip.AddrPort) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	lc := &net.ListenConfig{KeepAlive: -1, Control: keepAlives}
	lc.SetMultipathTCP(false) // on by default, and paid for with each connection
	ln, err := a.upgrader.Listen(ctx, lc, "tcp", listenAddress(addr))
	return ln, command.ListenError(err)
}

// keepAlives sets TCP keep-alives on a listening socket: the connections it
// accepts inherit them, without system calls for each.
func keepAlives(_, _ string, c syscall.RawConn) error {
	alive := l7.KeepAlive()
	return c.Control(func(fd uintptr) {
		for _, o := range [...][3]int{
			{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, int(alive.Idle.Seconds())},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, int(alive.Interval.Seconds())},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, alive.Count},
		} {
			syscall.SetsockoptInt(int(fd), o[0], o[1], o[2]) // a refusal costs nothing but the keep-alive
		}
	})
}

// descriptorLimit is how many files the process may have open.
func descriptorLimit() int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil || r.Cur > 1<<20 {
		return 1 << 20
	}
	return int(r.Cur)
}

// stderrLogger is the process's own log.
func stderrLogger() *slog.Logger { return telemetry.NewLogger(os.Stderr, slog.LevelInfo) }
