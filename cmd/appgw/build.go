package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatehouse/config"
	"gatehouse/dnslb/geo"
	"gatehouse/health"
	"gatehouse/health/probe"
	"gatehouse/internal/acme"
	"gatehouse/internal/cidr"
	"gatehouse/internal/command"
	"gatehouse/internal/smallfile"
	"gatehouse/internal/telemetry"
	"gatehouse/internal/tlscert"
	"gatehouse/proxy"
	"gatehouse/proxy/cache"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/l7"
	"gatehouse/proxy/l7/compression"
	"gatehouse/proxy/l7/rewrite"
	"gatehouse/waf"
)

// poolKey names a pool of the proxy: a backend pool under backend settings.
type poolKey struct{ pool, settings string }

// running is everything one configuration became.
type running struct {
	conf      *config.Gateway
	files     []string // what the configuration depends on
	warnings  []string
	pools     map[poolKey]*proxy.Pool
	addresses []netip.AddrPort // of listeners, each once, in the order of the configuration
	frontends map[netip.AddrPort]*frontend
	quic      map[netip.AddrPort]*quicFrontend // of addresses with HTTP/3
	certs     *tlscert.Store
	clients   map[string]*tlscert.ClientAuth // by listener
	sites     []*acme.Site                   // managed certificates
	stopCerts context.CancelFunc
	snapshot  *l7.Snapshot
	output    *telemetry.Output          // of the access log, when it is to change
	auths     map[string]*authentication // by name
	policies  map[string]*waf.Policy
	caches    map[string]*cache.Cache // that rules use
	limits    map[string]*l7.RateLimit
	mirrors   map[string]*l7.MirrorCounts // by pool
	places    *geo.Database               // of addresses; nil: the built-in one
	wafOutput *telemetry.Output           // of the firewall's log, when it is to change
}

// frontend is an address that is listened on.
type frontend struct {
	*l7.Frontend
	isNew bool // not started yet
}

// build makes running objects of a configuration. It changes nothing that
// runs: sockets that are new are bound, and undo closes them.
type build struct {
	app  *app
	conf *config.Gateway
	next *running
	prev *running // empty at the start

	dry     bool // for check and explain: no sockets, no members
	metrics *telemetry.Generation
	secret  []byte
	errs    []problem
	warn    []problem
	refused func(path string) bool // what of the configuration was refused already; nil: nothing
	undo    []func()

	pools     map[string]*config.BackendPool
	settings  map[string]*config.BackendSettings
	probes    map[string]*config.Probe
	pathMaps  map[string]*config.PathMap
	redirects map[string]*config.Redirect
	listeners map[string]*config.Listener
	compiled  map[poolKey]*l7.Settings
	hosts     map[netip.AddrPort]*l7.Sites // of takers
	rewrites  map[string]*rewrite.Set
	guards    map[string]*l7.Authentication
	cors      map[string]*l7.CORS

	compressions map[string]*compression.Policy

	digests map[string]string              // by settings: connections made under other roots, or another certificate, are not kept
	clients map[string]*tlscert.ClientAuth // by listener; nil: mode off
	sites   map[string]*acme.Site          // by listener, of those that have managed certificates

	ticketKeys map[string]*tlscert.TicketKeys // by listener, of those that share theirs
}

// newBuild indexes a configuration by name. config has checked that names are
// unique and that every reference resolves.
func newBuild(a *app, conf *config.Gateway, prev *running, dry bool) *build {
	b := &build{app: a, conf: conf, prev: prev, dry: dry, metrics: a.metrics.Begin(),
		pools: map[string]*config.BackendPool{}, settings: map[string]*config.BackendSettings{},
		probes: map[string]*config.Probe{}, pathMaps: map[string]*config.PathMap{},
		redirects: map[string]*config.Redirect{}, listeners: map[string]*config.Listener{},
		compiled: map[poolKey]*l7.Settings{}, hosts: map[netip.AddrPort]*l7.Sites{}, digests: map[string]string{},
		guards: map[string]*l7.Authentication{}, cors: map[string]*l7.CORS{},
		rewrites: map[string]*rewrite.Set{}, compressions: map[string]*compression.Policy{}, clients: map[string]*tlscert.ClientAuth{}, sites: map[string]*acme.Site{},
		ticketKeys: map[string]*tlscert.TicketKeys{}}
	b.next = &running{conf: conf, pools: map[poolKey]*proxy.Pool{}, frontends: map[netip.AddrPort]*frontend{},
		quic: map[netip.AddrPort]*quicFrontend{}, caches: map[string]*cache.Cache{}}
	index(b.pools, conf.BackendPools, func(p *config.BackendPool) string { return p.Name })
	index(b.settings, conf.BackendSettings, func(s *config.BackendSettings) string { return s.Name })
	index(b.probes, conf.Probes, func(p *config.Probe) string { return p.Name })
	index(b.pathMaps, conf.PathMaps, func(m *config.PathMap) string { return m.Name })
	index(b.redirects, conf.Redirects, func(r *config.Redirect) string { return r.Name })
	index(b.listeners, conf.Listeners, func(l *config.Listener) string { return l.Name })
	return b
}

func index[T any](m map[string]*T, list []T, name func(*T) string) {
	for i := range list {
		m[name(&list[i])] = &list[i]
	}
}

// problem is something wrong with a part of the configuration, named as in
// listeners[1].address.
type problem struct {
	path string
	err  error
}

// run builds everything; all that is wrong is in the error.
func (b *build) run(ctx context.Context) (*running, error) {
	b.loadSecret()
	b.loadCertificates()
	b.loadClientAuth()
	b.loadAuthentications()
	b.loadTicketKeys()
	b.loadACME()
	b.openAccessLog()
	b.openWAFLog()
	b.loadPolicies()
	b.loadRateLimits()
	b.next.mirrors = map[string]*l7.MirrorCounts{}
	snap := &l7.Snapshot{
		Options: http1.Options{
			Limits:      http1.Limits{HeadBytes: b.conf.Limits.HeadBytes, Fields: b.conf.Limits.Fields, URLBytes: b.conf.Limits.URLBytes},
			HeadTimeout: b.conf.Limits.HeadTimeout, IdleTimeout: b.conf.Limits.IdleTimeout, BodyMinRate: b.conf.Limits.BodyMinRate,
			StreamSilence: b.conf.Limits.TunnelIdleTimeout,
		},
		Limits:       b.conf.Limits,
		HeldBytes:    int64(b.conf.Limits.HeldBytes),
		Trusted:      cidr.Set(b.conf.TrustedProxies),
		ForwardedFor: b.conf.ForwardedFor,
		ErrorPages:   b.loadPages("errorPages", b.conf.ErrorPages),
		Identity:     b.identityFields(),
		Unrouted:     b.metrics.Route("", "", ""),
	}
	if snap.Limits.Connections == 0 {
		snap.Limits.Connections = max((descriptorLimit()-reservedFiles)/2, 1)
	}
	if len(b.next.sites) > 0 {
		snap.Challenges = b.app.acme
	}
	b.next.snapshot = snap
	b.addListeners(snap)
	if len(b.errs) == 0 && !b.dry {
		b.lookUp(ctx)
	}
	draft := b.draft()
	for _, w := range b.warn {
		b.next.warnings = append(b.next.warnings, placed(draft, w).Error())
	}
	if len(b.errs) > 0 {
		b.abandon()
		return nil, refusal(draft, b.errs)
	}
	return b.next, nil
}

// draft is the configuration file with its lines, for problems; nil when
// there are none or there is no file.
func (b *build) draft() *config.Draft {
	if b.app.source.file == "" || len(b.errs)+len(b.warn) == 0 {
		return nil
	}
	draft, err := config.LoadDraft(b.app.source.file)
	if err != nil {
		return nil // gone in the meantime
	}
	return draft
}

// placed is a problem as file:line: path: message, or without file and line.
func placed(draft *config.Draft, p problem) error {
	if draft == nil {
		return fmt.Errorf("%s: %w", p.path, p.err)
	}
	return draft.Problem(p.path, p.err.Error())
}

// refusal is every error by line.
func refusal(draft *config.Draft, problems []problem) error {
	var all []error
	for _, p := range problems {
		all = append(all, placed(draft, p))
	}
	return joined(all)
}

// joined is all errors as one, by line and column.
func joined(all []error) error {
	slices.SortStableFunc(all, func(a, b error) int {
		var x, y config.Error
		errors.As(a, &x)
		errors.As(b, &y)
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column))
	})
	return errors.Join(all...)
}

// lookUpTime bounds the first lookup of names. What is not found by then is
// looked up again once the pool is at work.
const lookUpTime = 5 * time.Second

// lookUp finds the members of all pools at once.
func (b *build) lookUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	var pools sync.WaitGroup
	for _, p := range b.next.pools {
		pools.Go(func() { p.Prepare(ctx) })
	}
	pools.Wait()
}

// reservedFiles are the descriptors that are not for clients and their
// backends: logs, probes, admin.
const reservedFiles = 128

// abandon undoes a build that failed.
func (b *build) abandon() {
	for _, f := range b.undo {
		f()
	}
}

// fail notes an error, once: what several rules lead to is built for each.
func (b *build) fail(path, format string, args ...any) {
	p := problem{path, command.Permission(binary.Name, fmt.Errorf(format, args...))}
	for _, e := range b.errs {
		if e.path == p.path && e.err.Error() == p.err.Error() {
			return
		}
	}
	b.errs = append(b.errs, p)
}

func (b *build) warnf(path, format string, args ...any) {
	b.warn = append(b.warn, problem{path, fmt.Errorf(format, args...)})
}

// listenerPath is where a listener stands in the configuration; the others
// are for what else has a name.
func (b *build) listenerPath(name string) string {
	return place("listeners", b.conf.Listeners, func(l *config.Listener) bool { return l.Name == name })
}

func (b *build) settingsPath(name string) string {
	return place("backendSettings", b.conf.BackendSettings, func(s *config.BackendSettings) bool { return s.Name == name })
}

func (b *build) poolPath(name string) string {
	return place("backendPools", b.conf.BackendPools, func(p *config.BackendPool) bool { return p.Name == name })
}

func (b *build) redirectPath(name string) string {
	return place("redirects", b.conf.Redirects, func(r *config.Redirect) bool { return r.Name == name })
}

func place[T any](list string, all []T, is func(*T) bool) string {
	for i := range all {
		if is(&all[i]) {
			return fmt.Sprintf("%s[%d]", list, i)
		}
	}
	return list
}

// depend notes a file whose change means a reload.
func (b *build) depend(file string) { b.next.files = append(b.next.files, file) }

// loadSecret reads the affinity secret, or takes the process's own.
func (b *build) loadSecret() {
	b.secret = b.app.secret[:]
	file := b.conf.AffinitySecretFile
	if file == "" {
		return
	}
	b.depend(file)
	data, err := smallfile.Read(file, 4<<10)
	switch {
	case err != nil:
		b.fail("affinity.secretFile", "%w", err)
	case len(data) < 16:
		b.fail("affinity.secretFile", "%s has %d bytes; at least 16 are needed", file, len(data))
	default:
		b.secret = data
	}
}

// loadCertificates reads the certificates of every listener.
func (b *build) loadCertificates() {
	var sources []tlscert.Source
	for _, l := range b.conf.Listeners {
		for _, c := range l.TLS.Certificates {
			if c.CertFile != "" && c.KeyFile != "" { // or it was refused
				sources = append(sources, tlscert.Source{Listener: l.Name, CertFile: c.CertFile, KeyFile: c.KeyFile, OCSPFile: c.OCSPFile, Staple: l.TLS.Staple})
			}
		}
	}
	opts := tlscert.Options{Logger: b.app.log, Previous: b.prev.certs, Responder: b.app.responder}
	store, err := tlscert.Load(sources, opts)
	if err == nil {
		b.next.certs = store
		b.checkCertificates(store)
		b.checkCovered(store)
		return
	}
	failed := map[tlscert.Source]bool{}
	for _, e := range unjoin(err) {
		b.certificateFailed(e)
		var of *tlscert.SourceError
		if errors.As(e, &of) {
			failed[of.Source] = true
		}
	}
	sources = slices.DeleteFunc(sources, func(s tlscert.Source) bool { return failed[s] })
	if store, err := tlscert.Load(sources, opts); err == nil { // those beside it may have expired
		b.checkCertificates(store)
	}
}

// loadClientAuth reads the CAs and revocation lists of every listener's
// clients.
func (b *build) loadClientAuth() {
	loaded := map[config.ClientAuth]*tlscert.ClientAuth{} // listeners that ask the same share lists, which may be large
	for _, l := range b.conf.Listeners {
		c := l.TLS.ClientAuth
		c.Forward = config.ForwardNothing // is not their affair
		if auth, ok := loaded[c]; ok {
			b.clients[l.Name] = auth
			continue
		}
		for _, file := range []string{c.CAFile, c.CRLFile} {
			if file != "" {
				b.depend(file)
			}
		}
		auth, warnings, err := tlscert.LoadClientAuth(c, time.Now())
		path := b.listenerPath(l.Name) + ".tls.clientAuth"
		if err != nil {
			b.fail(path, "%w", err)
			continue
		}
		for _, w := range warnings {
			b.warnf(path, "%s", w)
		}
		auth.AskWith(b.app.asker)
		b.clients[l.Name], loaded[c] = auth, auth
	}
	b.next.clients = b.clients
}

// unjoin takes apart what errors.Join joined.
func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// certificateFailed finds where the certificate stands.
func (b *build) certificateFailed(err error) {
	var e *tlscert.SourceError
	if !errors.As(err, &e) {
		b.fail("listeners", "%w", err)
		return
	}
	path := b.certificatePath(e.Source.Listener, e.Source.CertFile, e.Source.KeyFile)
	if text := e.Err.Error(); strings.Contains(text, e.Source.CertFile) || strings.Contains(text, e.Source.KeyFile) {
		b.fail(path, "%w", e.Err)
		return
	}
	b.fail(path, "certificate %s: %w", e.Source.CertFile, e.Err)
}

func (b *build) certificatePath(listener, cert, key string) string {
	return b.listenerPath(listener) + ".tls." + place("certificates", b.listeners[listener].TLS.Certificates,
		func(c *config.Certificate) bool { return c.CertFile == cert && c.KeyFile == key })
}

// checkCertificates warns of certificates that clients will not accept.
func (b *build) checkCertificates(store *tlscert.Store) {
	for _, s := range store.Status() {
		for _, w := range s.Warnings {
			b.warnf(b.certificatePath(s.Listener, s.CertFile, s.KeyFile), "certificate %s: %s", s.CertFile, w)
		}
	}
}

// checkCovered warns of host names that no certificate of their listener is
// for.
func (b *build) checkCovered(store *tlscert.Store) {
	for i := range b.conf.Listeners {
		l := &b.conf.Listeners[i]
		set := store.Set(l.Name)
		if set == nil || l.TLS.ACME != nil { // whose names are managed
			continue
		}
		for j, host := range l.HostNames {
			path := fmt.Sprintf("listeners[%d].hostNames[%d]", i, j)
			if b.refused != nil && b.refused(path) {
				continue
			}
			if certifiable(host) && !set.Covers(host) {
				b.warnf(path, "no certificate of the listener is for %s; clients will refuse it", host)
			}
		}
	}
}

// certifiable says whether a certificate can have the host name: exactly, or
// with a star for its first label.
func certifiable(host string) bool {
	return !strings.ContainsAny(strings.TrimPrefix(host, "*."), "*?")
}

// openAccessLog opens the access log's output when it is not the one in use.
func (b *build) openAccessLog() {
	want := b.conf.Logs.Access
	if b.prev.conf != nil && b.prev.conf.Logs.Access == want {
		return
	}
	if b.dry {
		b.checkLogPlace("logs.access.output", want.Output)
		return
	}
	out, err := telemetry.OpenOutput(want.Output)
	if err != nil {
		b.fail("logs.access.output", "%w", err)
		return
	}
	b.next.output = out
	b.undo = append(b.undo, func() { out.Close() })
}

// checkLogPlace looks, without making the file, whether there is a place for
// it.
func (b *build) checkLogPlace(path, output string) {
	if output == "stdout" || output == "stderr" {
		return
	}
	if info, err := os.Stat(output); err == nil && info.IsDir() {
		b.fail(path, "%s is a directory; name a file in it", output)
		return
	}
	if info, err := os.Stat(filepath.Dir(output)); err != nil {
		b.fail(path, "%w", err)
	} else if !info.IsDir() {
		b.fail(path, "%s is not a directory", filepath.Dir(output))
	}
}

// maxPage bounds an error page (Azure: 1 MB).
const maxPage = 1 << 20

func (b *build) loadPages(path string, files map[int]string) map[int]*l7.Page {
	pages := map[int]*l7.Page{}
	for status, file := range files {
		b.depend(file)
		body, err := smallfile.Read(file, maxPage)
		if err != nil {
			b.fail(fmt.Sprintf("%s.%d", path, status), "%w", err)
			continue
		}
		kind := mime.TypeByExtension(filepath.Ext(file))
		if kind == "" {
			kind = "text/html; charset=utf-8"
		}
		pages[status] = &l7.Page{ContentType: kind, Body: body}
	}
	return pages
}

// addListeners compiles the listeners and binds the addresses that are new.
func (b *build) addListeners(snap *l7.Snapshot) {
	rules := map[string]*config.Rule{}
	for i := range b.conf.Rules {
		rules[b.conf.Rules[i].Listener] = &b.conf.Rules[i]
	}
	sites := map[netip.AddrPort]*l7.Sites{}
	for i := range b.conf.Listeners {
		c := &b.conf.Listeners[i]
		if sites[c.Address] == nil {
			sites[c.Address] = l7.NewSites()
			b.next.addresses = append(b.next.addresses, c.Address)
			b.addFrontend(c)
			b.addQUIC(c)
		}
		sites[c.Address].Add(b.listener(c, rules[c.Name]), c.HostNames)
	}
	for _, addr := range b.next.addresses {
		if fe := b.next.frontends[addr]; fe != nil {
			for len(snap.Sites) <= fe.ID {
				snap.Sites = append(snap.Sites, nil)
			}
			snap.Sites[fe.ID] = sites[addr]
		} else if b.dry {
			snap.Sites = append(snap.Sites, sites[addr])
		}
	}
	b.placeQUIC(snap, sites)
}

// addFrontend keeps the frontend of an address, or binds a new one.
func (b *build) addFrontend(c *config.Listener) {
	if b.dry {
		return
	}
	if fe := b.prev.frontends[c.Address]; fe != nil {
		b.next.frontends[c.Address] = fe
		return
	}
	ln, err := b.app.listen(c.Address)
	if err != nil {
		b.fail(b.listenerPath(c.Name)+".address", "%w", err)
		return
	}
	id := b.app.takeID()
	fe, err := b.app.gateway.NewFrontend(id, ln)
	if err != nil {
		ln.Close()
		b.app.giveID(id)
		b.fail(b.listenerPath(c.Name)+".address", "%w", err)
		return
	}
	b.undo = append(b.undo, func() {
		fe.Close()
		b.app.giveID(id)
	})
	b.next.frontends[c.Address] = &frontend{Frontend: fe, isNew: true}
}

// listener compiles a listener with its rule, which may be nil.
func (b *build) listener(c *config.Listener, rule *config.Rule) *l7.Listener {
	l := &l7.Listener{
		Name: c.Name, HTTPS: c.Protocol.Secure(), Layer4: c.Protocol.Layer4(), HTTP2: c.HTTP2, Port: c.Address.Port(),
		Access:       l7.NewAccessTable(c.AccessRules),
		EncodedSlash: c.EncodedSlash, DuplicateSlashes: c.DuplicateSlashes,
		ProxyFrom: cidr.Set(c.ProxyProtocol), Metrics: b.metrics.Listener(c.Name),
		RateLimits: b.rateLimits(c.RateLimits), MaxBodySize: c.MaxBodySize,
	}
	if len(c.ErrorPages) > 0 {
		l.ErrorPages = b.loadPages(b.listenerPath(c.Name)+".errorPages", c.ErrorPages)
	}
	if l.HTTPS {
		b.addTLS(l, c)
	}
	if rule == nil {
		l.Unrouted = b.metrics.Route(c.Name, "", "")
		return l
	}
	l.Rule, l.Priority = rule.Name, rule.Priority
	l.Unrouted = b.metrics.Route(c.Name, rule.Name, "")
	if rule.PathMap == "" {
		l.Target = b.target(c, rule, rule.Action)
		return l
	}
	m := b.pathMaps[rule.PathMap]
	l.Paths = l7.NewPathMap(b.target(c, rule, m.Default))
	b.addPaths(l.Paths, m, func(a config.Action) *l7.Target { return b.target(c, rule, a) })
	return l
}

// addPaths adds the path rules of a map.
func (b *build) addPaths(to *l7.PathMap, m *config.PathMap, target func(config.Action) *l7.Target) {
	for i := range m.Paths {
		p := &m.Paths[i]
		match, err := l7.NewMatch(&p.Match)
		if err != nil {
			b.fail(fmt.Sprintf("%s.paths[%d].match", place("pathMaps", b.conf.PathMaps, func(x *config.PathMap) bool { return x == m }), i), "%w", err)
		}
		for _, pattern := range p.Paths {
			t := target(p.Action)
			t.SetPathRule(pattern)
			if t.Caching != nil {
				t.Caching.ID += fmt.Sprintf("\n%s\n%v", pattern, p.Match)
			}
			to.Add(pattern, match, t)
		}
	}
	if m.Order == config.OrderSpecific {
		to.MostSpecificFirst()
	}
}

func (b *build) addTLS(l *l7.Listener, c *config.Listener) {
	if b.next.certs == nil {
		return // its error is reported
	}
	set := b.certificates(c.Name)
	var protocols []string
	if c.HTTP2 {
		protocols = []string{"h2", "http/1.1"}
	}
	l.ClientAuth, l.ForwardCert = b.clients[c.Name], c.TLS.ClientAuth.Forward
	l.TLS = tlscert.ServerConfig(set, c.TLS.Policy, l.ClientAuth, b.tickets(c), protocols...)
	b.serveManaged(l, c)
	b.addHTTP3(l, c, set)
	l.TLSGroup = fmt.Sprint(c.TLS.Policy.MinVersion, c.TLS.Policy.MaxVersion, c.TLS.Policy.CipherSuites, l.ClientAuth.Digest())
}

// target compiles where an action leads.
func (b *build) target(c *config.Listener, rule *config.Rule, a config.Action) *l7.Target {
	if a.Redirect != "" {
		return b.addGuards(&l7.Target{Redirect: b.redirect(b.redirects[a.Redirect]), Stages: b.stages(c, a), RateLimits: b.rateLimits(a.RateLimits), Metrics: b.metrics.Route(c.Name, rule.Name, "")}, c, a)
	}
	rates, rewrites := b.rateLimits(a.RateLimits), b.rewriteSet(a.RewriteSet)
	if len(a.BackendPools) == 0 {
		t := b.toPool(c, rule, a, config.WeightedPool{Pool: a.BackendPool, Settings: a.BackendSettings})
		t.RateLimits, t.Rewrite = rates, rewrites
		return t
	}
	t := b.addGuards(&l7.Target{Split: &l7.Split{}, Stages: b.stages(c, a), RateLimits: rates, Rewrite: rewrites, Metrics: b.metrics.Route(c.Name, rule.Name, "")}, c, a)
	for _, w := range a.BackendPools {
		t.Split.Add(b.toPool(c, rule, a, w), w.Weight)
	}
	return t
}

// toPool compiles an action, as far as a request is concerned whose pool is
// known.
func (b *build) toPool(c *config.Listener, rule *config.Rule, a config.Action, w config.WeightedPool) *l7.Target {
	key := poolKey{w.Pool, w.Settings}
	return b.addGuards(&l7.Target{Pool: b.pool(key), Settings: b.compiled[key], Stages: b.stages(c, a), Mirror: b.mirror(a.Mirror),
		Caching: b.caching(c, rule, a, w), Compression: b.compression(c, a),
		Metrics: b.metrics.Route(c.Name, rule.Name, w.Pool)}, c, a)
}

// rewriteSet compiles a rewrite set once; nil for none.
func (b *build) rewriteSet(name string) *rewrite.Set {
	if s, done := b.rewrites[name]; done || name == "" {
		return s
	}
	i := slices.IndexFunc(b.conf.RewriteSets, func(s config.RewriteSet) bool { return s.Name == name })
	s, err := rewrite.Compile(&b.conf.RewriteSets[i])
	if err != nil {
		b.fail(fmt.Sprintf("rewriteSets[%d]", i), "%w", err)
	}
	b.rewrites[name] = s
	return s
}

// redirect compiles a redirect.
func (b *build) redirect(c *config.Redirect) *l7.Redirect {
	if c.TargetListener == "" {
		u, err := url.Parse(c.TargetURL)
		if err != nil {
			b.fail(b.redirectPath(c.Name)+".target.url", "%w", err)
			return nil
		}
		return &l7.Redirect{Status: c.Status, Scheme: u.Scheme, Host: u.Host, Path: u.EscapedPath(), Query: u.RawQuery,
			IncludePath: c.IncludePath, IncludeQuery: c.IncludeQuery}
	}
	to := b.listeners[c.TargetListener]
	r := &l7.Redirect{Status: c.Status, Scheme: "http", Port: to.Address.Port(), IncludePath: c.IncludePath, IncludeQuery: c.IncludeQuery}
	if to.Protocol == config.ListenerHTTPS {
		r.Scheme = "https"
	}
	r.Hosts = b.takers(to.Address)
	if i := slices.IndexFunc(to.HostNames, func(h string) bool { return !strings.ContainsAny(h, "*?") }); i >= 0 {
		r.Name = to.HostNames[i]
	}
	return r
}

// takers are the host names that the listeners of an address take, nil if they
// take all.
func (b *build) takers(address netip.AddrPort) *l7.Sites {
	if hosts, known := b.hosts[address]; known {
		return hosts
	}
	hosts := l7.NewSites()
	for i := range b.conf.Listeners {
		switch l := &b.conf.Listeners[i]; {
		case l.Address != address:
		case len(l.HostNames) == 0:
			b.hosts[address] = nil
			return nil
		default:
			hosts.Add(&l7.Listener{Name: l.Name}, l.HostNames)
		}
	}
	b.hosts[address] = hosts
	return hosts
}

// pool makes the pool of a key once.
func (b *build) pool(key poolKey) *proxy.Pool {
	if p := b.next.pools[key]; p != nil {
		return p
	}
	s := b.settings[key.settings]
	b.compiled[key] = l7.NewSettings(*s, key.pool)
	backendTLS, err := b.backendTLS(s)
	if err == nil && backendTLS != nil && s.TLS.Verify {
		err = nameKnown(s, b.pools[key.pool].Targets)
	}
	if err != nil {
		b.fail(b.settingsPath(s.Name)+".tls.caFile", "%w", err)
		return nil
	}
	p, err := proxy.NewPool(b.poolOptions(b.pools[key.pool], s, backendTLS), b.prev.pools[key])
	if err != nil {
		b.fail(b.poolPath(key.pool), "%w", err)
		return nil
	}
	b.next.pools[key] = p
	return p
}

func (b *build) poolOptions(c *config.BackendPool, s *config.BackendSettings, backendTLS *tls.Config) proxy.Options {
	gateway := b.app.gateway
	return proxy.Options{
		Name: c.Name, Settings: s.Name, Fingerprint: proxy.Fingerprint(*s, b.digests[s.Name]),
		Targets: c.Targets, DefaultPort: s.Port, Balance: c.Balance, Hash: c.Hash, Resolve: c.Resolve,
		SlowStart: c.SlowStart, MinHealthy: c.MinHealthy, PanicThreshold: c.PanicThreshold,
		MaxConnections: s.MaxConnections, Adaptive: s.Adaptive, MaxRequests: s.MaxRequests, QueueLength: s.Queue.Length, Drain: s.Drain, Ejection: s.Ejection, Drains: b.app.drains,
		AffinitySecret: b.secret, Logger: b.app.log,
		Attach: func(m *proxy.Backend) io.Closer {
			t := gateway.NewTransport(m, tlsFor(backendTLS, s, m.Target()))
			if s.HTTP2 {
				t.UseHTTP2()
			}
			return t
		},
		Probe: b.probe(s, backendTLS),
	}
}

// backendTLS is the TLS configuration for https backends, nil for others.
func (b *build) backendTLS(s *config.BackendSettings) (*tls.Config, error) {
	if !s.Protocol.Secure() {
		return nil, nil
	}
	t := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"http/1.1"},
		InsecureSkipVerify: !s.TLS.Verify,
		ClientSessionCache: tls.NewLRUClientSessionCache(256),
	}
	if s.Protocol.Layer4() {
		t.NextProtos = nil // nobody knows what it is
	}
	t.Certificates = b.ownCertificate(s)
	if s.TLS.CAFile == "" {
		return t, nil
	}
	b.depend(s.TLS.CAFile)
	pem, err := smallfile.Read(s.TLS.CAFile, 1<<20)
	if err != nil {
		return nil, err
	}
	b.digests[s.Name] += fmt.Sprintf("%x", sha256.Sum256(pem))
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no PEM certificate", s.TLS.CAFile)
	}
	return t, nil
}

// ownCertificate is what the gateway shows to backends that ask who it is.
func (b *build) ownCertificate(s *config.BackendSettings) []tls.Certificate {
	_, again := b.digests[s.Name] // with another pool
	b.digests[s.Name] = ""
	c := s.TLS.ClientCertificate
	if c.CertFile == "" || c.KeyFile == "" { // or it was refused
		return nil
	}
	b.depend(c.CertFile)
	b.depend(c.KeyFile)
	path := b.settingsPath(s.Name) + ".tls.clientCertificate"
	cert, digest, warnings, err := tlscert.LoadClientCertificate(c, time.Now())
	if err != nil {
		b.fail(path, "%w", err)
		return nil
	}
	for _, w := range warnings {
		if !again {
			b.warnf(path, "certificate %s: %s", c.CertFile, w)
		}
	}
	b.digests[s.Name] = digest
	return []tls.Certificate{cert}
}

// nameKnown refuses targets whose certificate could not be verified for want
// of a name.
func nameKnown(s *config.BackendSettings, targets []config.Target) error {
	for _, t := range targets {
		if t.Unix != "" && s.TLSName("") == "" {
			return fmt.Errorf("serverName: the certificate of unix:%s cannot be verified without it (or hostName)", t.Unix)
		}
	}
	return nil
}

// tlsFor adds the name to ask for and to verify: the configured one, else the
// Host that is sent, else the target's own.
func tlsFor(t *tls.Config, s *config.BackendSettings, target string) *tls.Config {
	if t == nil {
		return nil
	}
	t = t.Clone()
	t.ServerName = s.TLSName(target)
	return t
}

// probe says how the members under some settings are probed; nil: not at all.
func (b *build) probe(s *config.BackendSettings, backendTLS *tls.Config) *proxy.Probe {
	if s.Probe == "off" {
		return nil
	}
	plan, err := probe.Compile(b.probes[s.Probe], *s, backendTLS)
	if err != nil {
		b.fail(b.settingsPath(s.Name)+".probe", "%w", err)
		return nil
	}
	return &proxy.Probe{Table: b.app.health, Policy: plan.Policy(), Way: plan.Way(), Checker: func(m *proxy.Backend) health.Checker {
		return plan.Checker(probe.Subject{Addr: m.Addr(), Unix: m.Unix(), Target: m.Target()})
	}}
}

// listenAddress is an address as package net wants it.
func listenAddress(a netip.AddrPort) string {
	if a.Addr().IsUnspecified() && a.Addr().Is6() {
		return net.JoinHostPort("", strconv.Itoa(int(a.Port())))
	}
	return a.String()
}
