package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"gatehouse/config"
	"gatehouse/dnslb"
	"gatehouse/dnslb/authority"
	"gatehouse/dnslb/dnssec"
	"gatehouse/dnslb/geo"
	"gatehouse/dnslb/latency"
	"gatehouse/dnslb/zone"
	"gatehouse/health"
	"gatehouse/internal/cidr"
	"gatehouse/internal/command"
	"gatehouse/internal/smallfile"
	"gatehouse/internal/telemetry"
	"gatehouse/internal/tlscert"
)

// build makes running objects of a configuration. It changes nothing that
// runs: sockets that are new are bound, and undo closes them.
type build struct {
	app  *app
	conf *config.TrafficManager
	prev *running // empty at the start
	next *running
	dry  bool // for check and explain: no sockets, no keys made
	errs []problem
	undo []func()
}

// problem is something wrong with a part of the configuration, named as in
// listen[1].tls.
type problem struct {
	path string
	err  error
}

func (b *build) fail(path string, err error) {
	b.errs = append(b.errs, problem{path, command.Permission(binary.Name, err)})
}

// depend notes a file whose change means a reload.
func (b *build) depend(file string) { b.next.files = append(b.next.files, file) }

// run builds everything; all that is wrong is in the error.
func (b *build) run(ctx context.Context) (*running, error) {
	next := b.next
	next.listening, next.watches, next.signers = map[doorKey]*door{}, map[int]*health.Watch{}, map[signerKey]*dnssec.Signer{}
	next.view = &authority.View{NSID: []byte(b.conf.NSID), UDPSize: b.conf.Limits.UDPSize, ECSTrusted: cidr.Set(b.conf.ECSTrusted),
		Limit: authority.NewRateLimit(b.conf.RateLimit), TCPIdle: b.conf.Limits.TCPIdle}
	if b.conf.NSID == "" {
		next.view.NSID = nil
	}
	b.loadPlaces()
	b.loadLatencies()
	b.compile()
	b.loadCookies()
	b.loadKeys()
	b.loadCertificates()
	b.openQueryLog()
	if len(b.errs) == 0 && !b.dry {
		b.listen(ctx)
	}
	if len(b.errs) > 0 {
		b.abandon()
		return nil, b.refusal()
	}
	return next, nil
}

// abandon undoes a build that failed.
func (b *build) abandon() {
	for _, f := range b.undo {
		f()
	}
}

// refusal is every error, by the line where it belongs.
func (b *build) refusal() error {
	var draft *config.Draft
	if b.app.source.file != "" {
		draft, _ = config.LoadTrafficManagerDraft(b.app.source.file)
	}
	var all []error
	for _, p := range b.errs {
		if draft == nil {
			all = append(all, fmt.Errorf("%s: %w", p.path, p.err))
			continue
		}
		all = append(all, draft.Problem(p.path, p.err.Error()))
	}
	slices.SortStableFunc(all, func(a, b error) int {
		var x, y config.Error
		errors.As(a, &x)
		errors.As(b, &y)
		return cmp.Compare(x.Line, y.Line)
	})
	return errors.Join(all...)
}

// needs tells whether some profile has a routing method.
func (b *build) needs(m config.RoutingMethod) bool {
	return slices.ContainsFunc(b.conf.Profiles, func(p config.Profile) bool { return p.Routing == m })
}

// loadPlaces opens the database of places.
func (b *build) loadPlaces() {
	b.next.places = geo.Builtin()
	file := b.conf.Geo.Database
	if file == "" {
		return
	}
	b.depend(file)
	db, err := geo.Open(file)
	if err != nil {
		b.fail("geo.database", err)
		return
	}
	b.next.places = db
	b.undo = append(b.undo, db.Close)
}

// maxTable bounds the file of latencies.
const maxTable = 64 << 20

// loadLatencies builds the table of latencies, which remembers the one before.
func (b *build) loadLatencies() {
	if !b.needs(config.RoutePerformance) {
		return
	}
	var csv io.Reader
	if file := b.conf.Latency.Table; file != "" {
		b.depend(file)
		data, err := smallfile.Read(file, maxTable)
		if err != nil {
			b.fail("latency.table", err)
			return
		}
		csv = bytes.NewReader(data)
	}
	table, err := latency.Build(b.next.places, csv, b.prev.latencies)
	if err != nil {
		b.fail("latency.table", err)
		return
	}
	b.next.latencies = table
}

// compile compiles profiles and zones.
func (b *build) compile() {
	if len(b.errs) > 0 {
		return
	}
	var latencies dnslb.Latencies
	if b.next.latencies != nil {
		latencies = b.next.latencies
	}
	d, err := dnslb.Compile(b.conf, b.next.places, latencies)
	if err != nil {
		b.fail("profiles", err)
		return
	}
	b.next.director = d
	zones, err := zone.Build(b.conf, d)
	if zones != nil {
		for _, f := range zones.Files {
			b.depend(f)
		}
	}
	if err != nil {
		b.fail("zones", err)
		return
	}
	b.next.zones = zones
	b.next.warnings = append(b.next.warnings, zones.Warnings...)
	b.next.view.Zones, b.next.view.Counters = zones.Set, authority.NewCounters(d)
	b.next.view.Signers, b.next.view.Transfers = map[*zone.Zone]authority.Signer{}, map[*zone.Zone][]string{}
	for i, z := range zones.Zones {
		for _, key := range b.conf.Zones[i].TransferKeys {
			b.next.view.Transfers[z] = append(b.next.view.Transfers[z], dns.Fqdn(key))
		}
		if b.conf.Zones[i].DNSSEC.Enabled {
			if err := b.sign(z, b.conf.Zones[i].DNSSEC.KeyFile); err != nil {
				b.fail(fmt.Sprintf("zones[%d].dnssec.keyFile", i), err)
			}
		}
	}
}

// sign finds or makes the key of a zone, and puts its records at the apex.
func (b *build) sign(z *zone.Zone, file string) error {
	b.depend(file)
	if _, err := os.Stat(file); b.dry && errors.Is(err, os.ErrNotExist) {
		b.next.warnings = append(b.next.warnings, fmt.Sprintf("zone %q: there is no key %s yet; a start makes one", z.Name, file))
		return nil
	}
	signer, err := b.signer(z, file)
	if err != nil {
		return err
	}
	key, ttl := signer.Key(), z.SOA.TTL
	for _, rr := range []dns.RR{key.DNSKEY(ttl), key.CDS(ttl), key.CDNSKEY(ttl)} {
		set, err := zone.NewRRset(rr)
		if err != nil {
			return err
		}
		z.Apex.Sets = append(z.Apex.Sets, set)
	}
	b.next.view.Signers[z] = signer
	return nil
}

// signer is that of a zone, the one in use if it has the same key.
func (b *build) signer(z *zone.Zone, file string) (*dnssec.Signer, error) {
	key, made, err := dnssec.LoadOrCreate(file, z.Name)
	if err != nil {
		return nil, err
	}
	if made {
		b.app.log.Info("key made", "zone", z.Name, "file", file, "ds", key.DS().String())
	}
	at := signerKey{z.Name, file}
	b.app.mu.Lock()
	s := b.app.signers[at]
	b.app.mu.Unlock()
	if s != nil && s.Key().Tag() == key.Tag() && s.Key().DNSKEY(0).PublicKey == key.DNSKEY(0).PublicKey {
		b.next.signers[at] = s
		return s, nil
	}
	s, err = dnssec.NewSigner(key, z.Name, dnssec.Options{})
	b.next.signers[at] = s
	return s, err
}

// maxSecret bounds the files of secrets.
const maxSecret = 4 << 10

// loadCookies reads the secret of DNS cookies.
func (b *build) loadCookies() {
	if !b.conf.Cookies.Enabled {
		return
	}
	file := b.conf.Cookies.SecretFile
	if file == "" {
		b.next.view.Cookies = b.app.cookies
		return
	}
	b.depend(file)
	data, err := smallfile.Read(file, maxSecret)
	if err != nil {
		b.fail("cookies.secretFile", err)
		return
	}
	secret, err := hex.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(secret) != authority.CookieSecret {
		b.fail("cookies.secretFile", fmt.Errorf("%s does not hold %d bytes in hexadecimal; `openssl rand -hex %[2]d` makes such", file, authority.CookieSecret))
		return
	}
	b.next.view.Cookies = authority.NewCookies(secret)
}

// loadKeys reads the secrets of TSIG keys.
func (b *build) loadKeys() {
	b.next.view.Keys = map[string]authority.Key{}
	for i, k := range b.conf.TSIG {
		b.depend(k.SecretFile)
		data, err := smallfile.Read(k.SecretFile, maxSecret)
		path := fmt.Sprintf("tsig[%d].secretFile", i)
		if err != nil {
			b.fail(path, err)
			continue
		}
		text := strings.TrimSpace(string(data))
		if secret, err := base64.StdEncoding.DecodeString(text); err != nil || len(secret) < 16 {
			b.fail(path, fmt.Errorf("%s does not hold at least 16 bytes in base64; `openssl rand -base64 32` makes such", k.SecretFile))
			continue
		}
		b.next.view.Keys[dns.Fqdn(k.Name)] = authority.Key{Algorithm: dns.Fqdn(k.Algorithm), Secret: text}
	}
}

// listenName is what the certificates of a listener go by.
func listenName(i int) string { return fmt.Sprintf("listen[%d]", i) }

// loadCertificates reads the certificates of DNS over TLS and HTTPS.
func (b *build) loadCertificates() {
	var sources []tlscert.Source
	for i, l := range b.conf.Listen {
		for _, c := range l.TLS.Certificates {
			sources = append(sources, tlscert.Source{Listener: listenName(i), CertFile: c.CertFile, KeyFile: c.KeyFile})
		}
	}
	store, err := tlscert.Load(sources, tlscert.Options{Logger: b.app.log, Previous: b.prev.certs})
	if err == nil {
		b.next.certs = store
		return
	}
	for i := range b.conf.Listen {
		for _, e := range leaves(err) {
			var bad *tlscert.SourceError
			if errors.As(e, &bad) && bad.Source.Listener == listenName(i) {
				b.fail(listenName(i)+".tls.certificates", fmt.Errorf("%s: %w", bad.Source.CertFile, bad.Err))
			}
		}
	}
}

// leaves takes a join apart.
func leaves(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// openQueryLog opens where the query log goes.
func (b *build) openQueryLog() {
	if !b.conf.QueryLog.Enabled || b.conf.QueryLog.Output == "" || b.dry {
		return
	}
	out, err := telemetry.OpenOutput(b.conf.QueryLog.Output)
	if err != nil {
		b.fail("queryLog.output", err)
		return
	}
	b.next.logOutput = out
	b.undo = append(b.undo, func() { out.Close() })
}

// tlsConfig is the TLS side of a listener.
func (b *build) tlsConfig(i int, protos ...string) *tls.Config {
	return tlscert.ServerConfig(b.next.certs.Set(listenName(i)), b.conf.Listen[i].TLS.Policy, nil, b.app.tickets, protos...)
}
