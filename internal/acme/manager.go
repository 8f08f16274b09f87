// Package acme obtains certificates from authorities that speak ACME (RFC
// 8555), and renews them.
//
// A [Manager] lives as long as the process. For each configuration, sites are
// prepared with [Manager.Prepare], whose certificates a listener can serve, and
// put to work with [Manager.Use]: a certificate that the configuration before
// had as well goes on as it is. What an authority asks while it checks that a
// name is ours is answered by [Manager.KeyAuthorization] and
// [Manager.ChallengeConfig].
package acme

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"gatehouse/config"
	"gatehouse/internal/tlscert"
)

// Account is with whom, as whom and how certificates are obtained. It is
// comparable: equal ones share an account and certificates.
type Account struct {
	Directory  string // URL
	Roots      string // PEM: what to trust when the directory is asked; empty: the system's
	Email      string
	Storage    string // a directory
	KeyType    config.ACMEKeyType
	Challenges config.ACMEChallenges
	KeyID, MAC string // external account binding (RFC 8555 7.3.4), MAC in base64url; empty: none
	DNS        DNS
	Staple     bool // OCSP answers are fetched and sent with certificates
}

// Options configure a Manager. The zero value works.
type Options struct {
	Logger *slog.Logger // if nil, slog.Default

	// Responder asks OCSP responders for what is sent with certificates. If
	// nil, none is asked.
	Responder tlscert.Responder
}

// Manager obtains and renews certificates. It is safe for use by any number
// of goroutines.
type Manager struct {
	log *slog.Logger

	responder tlscert.Responder // nil: none is asked
	slots     chan struct{}     // certificates that are being obtained
	looks     chan struct{}     // files of other instances' challenges that are being read
	open      challenges
	// names are the certificates at work by name: whose challenges may be
	// looked for.
	names   atomic.Pointer[map[string]*managed]
	counts  [3]atomic.Int64 // by Result
	working sync.WaitGroup

	mu      sync.Mutex // guards what follows
	cache   *certmagic.Cache
	live    map[identity]*managed // at work
	ready   map[identity]*managed // prepared, for sites that are not in use yet
	issuers map[Account]*issuer
	sites   []*Site // in use
}

// identity is what one certificate is for.
type identity struct {
	Account
	name string
}

// Result is how an attempt to get a certificate ended.
type Result uint8

const (
	Obtained    Result = iota // or renewed
	Refused                   // the authority said no
	Unreachable               // anything else
)

// String returns the label value.
func (r Result) String() string { return [...]string{"obtained", "refused", "unreachable"}[r] }

// NewManager returns a Manager that has nothing to do.
func NewManager(opts Options) *Manager {
	m := &Manager{log: opts.Logger, responder: opts.Responder, slots: make(chan struct{}, 4), looks: make(chan struct{}, 8),
		live: map[identity]*managed{}, ready: map[identity]*managed{}, issuers: map[Account]*issuer{}}
	if m.log == nil {
		m.log = slog.Default()
	}
	return m
}

// Prepare makes the certificates of a listener ready to be served: those that
// are at work, or in the storage. Nothing is asked for before [Manager.Use].
func (m *Manager) Prepare(listener string, account Account, names []string) (*Site, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := makeStorage(account.Storage); err != nil {
		return nil, err
	}
	s := newSite(listener)
	for _, name := range names {
		s.add(m.certificate(identity{account, name}))
	}
	return s, nil
}

// certificate is what manages a certificate: the same for all listeners.
func (m *Manager) certificate(id identity) *managed {
	c := m.live[id]
	if c == nil {
		c = m.ready[id]
	}
	if c == nil {
		c = m.manage(id)
		c.load()
		m.ready[id] = c
	}
	return c
}

// manage makes what manages one certificate.
func (m *Manager) manage(id identity) *managed {
	i := m.issuers[id.Account]
	if i == nil {
		i = newIssuer(id.Account, &m.open)
		m.issuers[id.Account] = i
	}
	c := &managed{identity: id, m: m, issuer: i}
	c.magic = certmagic.New(m.emptyCache(), certmagic.Config{
		Storage: i.storage, Issuers: []certmagic.Issuer{i}, KeySource: keySource(id.KeyType),
		Logger: zap.NewNop(), DisableARI: true, OCSP: certmagic.OCSPConfig{DisableStapling: true},
	})
	return c
}

// emptyCache is the cache that certmagic insists on: certificates are kept
// here.
func (m *Manager) emptyCache() *certmagic.Cache {
	if m.cache == nil {
		m.cache = certmagic.NewCache(certmagic.CacheOptions{
			GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return nil, nil },
			RenewCheckInterval: 1000 * time.Hour, OCSPCheckInterval: 1000 * time.Hour, Logger: zap.NewNop(),
		})
	}
	return m.cache
}

// Use puts the sites of a configuration to work, and ends what no site has any
// more.
func (m *Manager) Use(sites []*Site) {
	m.mu.Lock()
	defer m.mu.Unlock()
	live, names, issuers := map[identity]*managed{}, map[string]*managed{}, map[Account]*issuer{}
	for _, s := range sites {
		for _, c := range s.all {
			live[c.identity], names[c.name], issuers[c.Account] = c, c, c.issuer
		}
	}
	for id, c := range m.live {
		if live[id] != c {
			c.cancel()
		}
	}
	for _, c := range live {
		m.start(c)
	}
	for a, i := range m.issuers {
		if issuers[a] != i {
			i.client.HTTPClient.CloseIdleConnections()
		}
	}
	m.live, m.issuers, m.sites, m.ready = live, issuers, sites, map[identity]*managed{}
	m.names.Store(&names)
}

// start lets a certificate be managed, unless it is already.
func (m *Manager) start(c *managed) {
	if c.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	m.working.Go(func() { c.run(ctx) })
}

// Close ends all work, and returns when it has ended.
func (m *Manager) Close() {
	m.Use(nil)
	m.working.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cache != nil {
		m.cache.Stop()
		m.cache = nil
	}
}

// Attempts is how many attempts ended with a result.
func (m *Manager) Attempts(r Result) int64 { return m.counts[r].Load() }
