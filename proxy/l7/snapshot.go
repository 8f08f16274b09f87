package l7

import (
	"crypto/tls"
	"strings"
	"sync/atomic"
	"time"

	"gatehouse/config"
	"gatehouse/internal/cidr"
	"gatehouse/internal/telemetry"
	"gatehouse/internal/tlscert"
	"gatehouse/proxy"
	"gatehouse/proxy/http1"
	"gatehouse/proxy/l7/compression"
	"gatehouse/proxy/l7/rewrite"
)

// Snapshot is one compiled configuration: immutable, used by any number of
// exchanges, replaced as a whole.
type Snapshot struct {
	// Sites are what each frontend serves, by Frontend.ID. A nil entry is a
	// frontend that was removed: its connections are sent away.
	Sites []*Sites
	// Options bound the requests of client connections.
	Options http1.Options
	Limits  config.Limits
	// HeldBytes bounds the memory that bodies held for stages take, of all
	// exchanges together. If zero, 256 MiB.
	HeldBytes int64
	// Trusted are the peers whose forwarding fields are believed.
	Trusted      *cidr.Table[struct{}]
	ForwardedFor config.ForwardedFor
	// ErrorPages are served for errors of the gateway's own, by status.
	ErrorPages map[int]*Page
	// Identity are the fields, in lower case, by which authentications tell
	// backends who asks: no client may send them. Nil: there are none.
	Identity []string
	// Challenges answers certificate authorities; nil: none is asked for
	// certificates.
	Challenges Challenges
	// Unrouted counts requests that no listener took.
	Unrouted *telemetry.Route
	// Closed runs once the snapshot is retired and its last exchange has let
	// go of it. Nil: nothing.
	Closed func()

	tunnelLinger time.Duration // zero: the constant; tests have no time

	refs    [refShards]refCount
	retired atomic.Bool
	closed  atomic.Bool
}

const refShards = 16

// refCount has a cache line to itself.
type refCount struct {
	n atomic.Int64
	_ [56]byte
}

// acquire returns the current snapshot for an exchange; release must follow.
func (g *Gateway) acquire(shard uint32) *Snapshot {
	for {
		s := g.current.Load()
		s.refs[shard%refShards].n.Add(1)
		if g.current.Load() == s {
			return s
		}
		s.release(shard) // replaced in between: it may be closed already
	}
}

func (s *Snapshot) release(shard uint32) {
	if s.refs[shard%refShards].n.Add(-1) == 0 && s.retired.Load() {
		s.closeIfUnused()
	}
}

// retire marks a snapshot that was replaced.
func (s *Snapshot) retire() {
	s.retired.Store(true)
	s.closeIfUnused()
}

func (s *Snapshot) closeIfUnused() {
	for i := range s.refs {
		if s.refs[i].n.Load() != 0 {
			return
		}
	}
	if s.closed.CompareAndSwap(false, true) && s.Closed != nil {
		s.Closed()
	}
}

// InUse reports whether an exchange still holds the snapshot.
func (s *Snapshot) InUse() bool { return !s.closed.Load() }

// Listener is a configured listener with the rule that is bound to it.
type Listener struct {
	Name     string
	Rule     string // empty: no rule is bound; every request is answered 404
	HTTPS    bool   // TLS from clients
	Layer4   bool   // bytes, and no requests; listeners of an address agree on it
	HTTP2    bool   // also without TLS, to clients that begin with it
	Port     uint16
	Priority int // the rule's; 0: none

	Access           *AccessTable  // nil: everybody may
	ErrorPages       map[int]*Page // win over the snapshot's
	EncodedSlash     config.EncodedSlash
	DuplicateSlashes config.DuplicateSlashes
	// ProxyFrom are the peers that must begin with a PROXY protocol header;
	// listeners that share an address have the same.
	ProxyFrom *cidr.Table[struct{}]
	// TLSGroup tells listeners apart whose TLS settings differ: a connection
	// made for one must not carry requests for the other (421).
	TLSGroup string
	// TLS is what crypto/tls serves the listener with; nil for http.
	TLS *tls.Config
	// QUIC is TLS for HTTP/3; nil: there is none. EarlyData says that requests
	// are taken before the end of the handshake; listeners that share an
	// address have the same. AltSvc tells the clients of TCP; empty: nothing.
	QUIC      *tls.Config
	EarlyData bool
	AltSvc    string
	// ClientAuth judges the certificates that TLS asks clients for; nil: it
	// asks for none. ForwardCert is how backends are told.
	ClientAuth  *tlscert.ClientAuth
	ForwardCert config.ClientCertForward

	RateLimits []*RateLimit // on all of its requests, asked first
	// MaxBodySize bounds request bodies where backend settings do not; 0: the
	// snapshot's limit does.
	MaxBodySize int

	// Exactly one of Target and Paths is set when there is a rule.
	Target *Target
	Paths  *PathMap

	// Metrics counts the listener's connections, Unrouted its requests that
	// met no rule or were refused before.
	Metrics  *telemetry.Listener
	Unrouted *telemetry.Route
}

// Target is where a rule or a path rule leads: to a pool, or to a redirect.
type Target struct {
	PathRule string // the pattern; empty for a basic rule or a map's default
	Strip    string // what a path override replaces: the pattern without its *

	Pool     *proxy.Pool // nil for a redirect, and with Split
	Settings *Settings
	Redirect *Redirect
	Split    *Split // among these, instead of Pool and Settings
	Mirror   *Mirror

	// Stages of two targets are compared: makers of the same stages are equal.
	// A redirect has them for requests that a rewrite gives a path of its own.
	Stages  []StageMaker
	Rewrite *rewrite.Set    // nil: nothing is rewritten
	Auth    *Authentication // nil: nothing must be shown
	CORS    *CORS           // nil: the backend's affair
	// RateLimits are asked once the target is certain, before the stages.
	RateLimits []*RateLimit
	Caching    *Caching // nil: nothing is cached
	Metrics    *telemetry.Route

	Compression *compression.Policy // nil: responses are not compressed
}

// SetPathRule notes the path pattern that leads to the target.
func (t *Target) SetPathRule(pattern string) {
	t.PathRule, t.Strip = pattern, strings.TrimSuffix(pattern, "*")
	if t.Split != nil {
		for _, p := range t.Split.parts {
			p.target.SetPathRule(pattern)
		}
	}
}

// Settings are compiled backend settings.
type Settings struct {
	config.BackendSettings
	Pool string // the backend pool they are used with

	host       string // Host to send; empty: the client's, or the member's
	corsCookie string
	patience   int64 // with a backend, until somebody looks for what else there is to do
}

// NewSettings compiles backend settings for their use with a pool.
func NewSettings(s config.BackendSettings, pool string) *Settings {
	return &Settings{BackendSettings: s, Pool: pool, host: hostInField(s.HostName), corsCookie: s.Affinity.Cookie + corsSuffix, patience: patienceWith(&s)}
}

// AccessTable decides by client address: the rule with the lowest priority
// that contains it.
type AccessTable struct {
	rules *cidr.Table[*config.AccessRule]
}

// NewAccessTable compiles access rules; nil for none.
func NewAccessTable(rules []config.AccessRule) *AccessTable {
	if len(rules) == 0 {
		return nil
	}
	t := &AccessTable{rules: &cidr.Table[*config.AccessRule]{}}
	for i := range rules {
		for _, p := range rules[i].Sources {
			t.rules.Insert(p, &rules[i])
		}
	}
	return t
}
