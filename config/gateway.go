package config

import (
	"net"
	"net/netip"
	"strings"
	"time"
)

// Gateway is the whole configuration of one appgw process: pure data, decoded
// strictly, with every default filled in and every name checked.
//
// It is immutable once LoadGateway or ParseGateway returns it. File names in
// it are absolute or relative to the working directory: they have been joined
// to the directory of the configuration file. What each key is called, and
// which values it takes, stands in keys.go and docs/configuration.md.
type Gateway struct {
	Admin   Admin
	Metrics Metrics
	Logs    Logs
	Limits  Limits

	// TrustedProxies are the peers whose X-Forwarded-* fields are believed.
	// Nothing is believed from anyone else.
	TrustedProxies []netip.Prefix

	// ForwardedFor is the form of the address appended to X-Forwarded-For.
	ForwardedFor ForwardedFor

	// AffinitySecretFile holds the secret that affinity cookies are derived
	// from ("affinity.secretFile"). If empty, a secret is made at each start
	// and `check` warns that instances will not agree.
	AffinitySecretFile string

	// Drain bounds how long a shutdown or an upgrade waits for requests in
	// flight ("shutdown.drain").
	Drain time.Duration

	// ErrorPages are files served for errors that the gateway itself
	// answers, by status (400 to 599); a listener's own pages win.
	ErrorPages map[int]string

	Listeners       []Listener
	BackendPools    []BackendPool
	BackendSettings []BackendSettings
	Probes          []Probe
	PathMaps        []PathMap
	Redirects       []Redirect
	Rules           []Rule
	RewriteSets     []RewriteSet
	RateLimits      []ClientRateLimit

	CompressionPolicies []CompressionPolicy
	Caches              []Cache
	Authentications     []Authentication
	CORSPolicies        []CORSPolicy

	WAFPolicies []WAFPolicy
	WAFPolicy   string // name of the policy where nothing more specific has one; empty: none
	Geo         Geo
}

// Admin is where the operator's HTTP interface listens: a loopback
// host:port, or "unix:/path". "off" disables it.
type Admin struct {
	Address string
}

// Metrics is an optional read-only health and metrics address that need not
// be loopback. Empty: none.
type Metrics struct {
	Address string
}

// Logs says where logs go and how they look.
type Logs struct {
	Access AccessLog
	WAF    WAFLog
}

// AccessLog configures the access log.
type AccessLog struct {
	// Output is "stdout", "stderr" or a file's path (reopened on SIGUSR1).
	Output string
	Format AccessFormat
}

// AccessFormat is json, combined (Apache's), or off.
type AccessFormat uint8

const (
	AccessJSON AccessFormat = iota
	AccessCombined
	AccessOff
)

// ForwardedFor is the form of X-Forwarded-For entries: the address alone,
// or Azure's address:port.
type ForwardedFor uint8

const (
	ForwardedForIP ForwardedFor = iota
	ForwardedForAzure
)

// Limits bound what one client can make the gateway hold or wait for.
type Limits struct {
	HeadBytes            int           // request head; default 32 KiB, 1 KiB..64 KiB; over: 431
	Fields               int           // header fields in a request; default 100, 1..1000; over: 431
	URLBytes             int           // request target; default 8 KiB, 64..32 KiB; over: 414
	HeadTimeout          time.Duration // first byte of a head to its end, and accept to first byte; default 10s; over: 408
	BodyMinRate          int           // bytes per second a request body must average after 10 s; default 500; 0: no minimum; over: 408
	IdleTimeout          time.Duration // keep-alive idle; default 75s (Azure)
	TunnelIdleTimeout    time.Duration // both directions silent on an upgraded connection; default 1h; 0: never
	WriteStall           time.Duration // a write that makes no progress; default 30s
	Connections          int           // client connections in all; 0 (default): half of the descriptor limit less 128
	ConnectionsPerClient int           // per client address, trusted proxies exempt; default 1000; 0: no limit
	ResponseHeadBytes    int           // a backend's response head; default 64 KiB; over: 502
	HeldBytes            int           // memory for bodies that stages hold, of all requests together; default 256 MiB; over: 503
	HeldBytesPerClient   int           // of it for one client address, trusted proxies exempt; default 32 MiB; over: 503
	MaxBodySize          int           // request body where neither listener nor settings have a bound; 0 (default): none; over: 413
	CompressionCPU       int           // share of all processors, in percent, that compression may take; default 50%; over: not compressed
	CompressionBytes     int           // memory of the encoders in use; default 64 MiB; over: not compressed
}

// ListenerProtocol is what a listener speaks.
type ListenerProtocol uint8

const (
	ListenerHTTP ListenerProtocol = iota
	ListenerHTTPS
	ListenerL4TCP // bytes, which nobody looks at
	ListenerL4TLS // the same within TLS
)

// Layer4 reports whether the listener carries bytes and knows no requests.
func (p ListenerProtocol) Layer4() bool { return p == ListenerL4TCP || p == ListenerL4TLS }

// Secure reports whether clients speak TLS.
func (p ListenerProtocol) Secure() bool { return p == ListenerHTTPS || p == ListenerL4TLS }

// Listener accepts connections on an address. Several listeners may share an
// address when their host names differ (Azure: multi-site listeners); one
// without host names takes what no other wants (basic listener).
type Listener struct {
	Name string
	// Address has port 0, any free port, on loopback addresses only.
	Address  netip.AddrPort // unspecified address (":8080"): Addr() is the IPv6 unspecified address, all families
	Protocol ListenerProtocol
	// HostNames are exact names or patterns with * and ?, in lower case
	// without a trailing dot. Empty: any host.
	HostNames []string
	HTTP2     bool // by ALPN, or by prior knowledge on http
	// HTTP3 adds UDP on the same port; with HTTP3EarlyData a request may come
	// before the end of the handshake (RFC 8470). Listeners that share an
	// address have the same.
	HTTP3, HTTP3EarlyData bool
	TLS                   ListenerTLS
	ErrorPages            map[int]string
	AccessRules           []AccessRule
	ProxyProtocol         []netip.Prefix // peers that must start with a PROXY v1 or v2 header ("proxyProtocol.accept")
	EncodedSlash          EncodedSlash
	// DuplicateSlashes: merge (default) or keep.
	DuplicateSlashes DuplicateSlashes
	// WAFPolicy names the policy of its requests; empty: the gateway's.
	WAFPolicy string
	// RateLimits names limits on all of its requests, besides those of rules.
	RateLimits []string
	// MaxBodySize bounds bodies of its requests where the backend settings do
	// not; 0: the gateway's limit counts.
	MaxBodySize int
	// Compression names the policy that its responses are compressed by; empty
	// or CompressionOff: none are.
	Compression string
	// Authentication and CORSPolicy are for requests whose action names none;
	// empty: neither.
	Authentication string
	CORSPolicy     string
	Pos            Pos
}

// EncodedSlash says what becomes of %2F in a path: 400, or kept as it is.
type EncodedSlash uint8

const (
	EncodedSlashReject EncodedSlash = iota
	EncodedSlashKeep
)

// DuplicateSlashes says what becomes of // in a path.
type DuplicateSlashes uint8

const (
	DuplicateSlashesMerge DuplicateSlashes = iota
	DuplicateSlashesKeep
)

// ListenerTLS configures TLS offload of an https listener.
type ListenerTLS struct {
	Certificates  []Certificate
	ACME          *ACME // certificates from an authority, for the host names; nil: none
	Policy        TLSPolicy
	ClientAuth    ClientAuth // mutual TLS; off in listeners of trafficmgr
	Staple        bool       // answers of OCSP responders are fetched and sent ("ocspStapling")
	TicketKeyFile string     // keys of session tickets that instances share ("ticketKeys.file"); empty: one's own
}

// ClientAuth says what becomes of clients' certificates (Azure:
// trustedClientCertificates and clientAuthConfiguration of an SSL profile).
// The files are watched; a change takes effect by a reload.
type ClientAuth struct {
	Mode    ClientAuthMode
	CAFile  string // PEM: root CAs, and intermediate ones that clients need not send
	CRLFile string // PEM or DER: one list for each CA that issues; empty: nobody is asked
	OCSP    ClientOCSP
	OCSPURL string // of the responder that is asked; empty: that of the certificate
	// VerifyIssuerDN wants a certificate's issuer to be the lowest CA of the
	// longest chain in CAFile (Azure: verifyClientCertIssuerDN).
	VerifyIssuerDN bool
	Forward        ClientCertForward
}

// ClientAuthMode is off, strict or passthrough.
type ClientAuthMode uint8

const (
	ClientAuthOff         ClientAuthMode = iota // none is asked for
	ClientAuthStrict                            // without a good one there is no connection
	ClientAuthPassthrough                       // asked for; the backend decides
)

// ClientCertForward is how backends are told of a client's certificate.
type ClientCertForward uint8

const (
	ForwardNothing ClientCertForward = iota
	ForwardRFC9440                   // Client-Cert, of certificates that were verified
	ForwardFields                    // X-Client-Cert-*, as Azure's server variables
)

// Certificate names the PEM files of a certificate chain and its key. The
// files are watched; renewed ones are used without a reload.
type Certificate struct {
	CertFile string
	KeyFile  string
	OCSPFile string // DER: what is stapled to it, on listeners of appgw; empty: what its responder says
}

// TLSPolicy is a predefined Azure policy by name, or a custom minimum
// version and suites. After Load, MinVersion and CipherSuites are what
// crypto/tls is to use in either case.
type TLSPolicy struct {
	Name         string   // e.g. AppGwSslPolicy20220101 (default); empty for a custom policy
	MinVersion   uint16   // crypto/tls version number
	MaxVersion   uint16   // 0: the newest
	CipherSuites []uint16 // TLS 1.2 and below; crypto/tls chooses the order
}

// AccessRule allows or denies client addresses; the lowest priority that
// matches decides, and without a match the request is allowed.
type AccessRule struct {
	Name     string // optional, for logs
	Priority int    // 1..65535, unique within the listener
	Deny     bool
	Sources  []netip.Prefix
}

// BackendPool is a named set of targets and how to choose among them.
type BackendPool struct {
	Name    string
	Targets []Target
	Balance Balance
	Hash    HashKey // with balance: hash
	// SlowStart is how long the weight of a member that comes, or comes
	// back, takes to rise; 0 (default): no time. 0..1h.
	SlowStart time.Duration
	// MinHealthy is the share of a priority group, in percent, that must be
	// healthy for it to serve without the next one; 0 (default): one is
	// enough.
	MinHealthy int
	// PanicThreshold is the share of members, in percent, below which all
	// are used, healthy or not; 0 (default): never.
	PanicThreshold int
	// Resolve is how often names are looked up again; default 30s.
	Resolve time.Duration
	Pos     Pos
}

// Target is one configured backend address: an IP address, a name that is
// looked up, or a unix socket.
type Target struct {
	Host     string // IP literal or DNS name in lower case; empty for a unix socket
	Port     int    // 0: the backend settings' port
	Unix     string // path of a unix socket ("unix:/run/app.sock")
	Weight   int    // 1..1000, default 1; no target is twice in a pool
	Priority int    // 1..1000, default 1: the lowest number serves first
}

// BackendProtocol is how the gateway speaks to a backend.
type BackendProtocol uint8

const (
	BackendHTTP BackendProtocol = iota
	BackendHTTPS
	BackendL4TCP // for listeners of layer 4, as the next
	BackendL4TLS
)

// Layer4 reports whether the settings are for listeners that know no requests.
func (p BackendProtocol) Layer4() bool { return p == BackendL4TCP || p == BackendL4TLS }

// Secure reports whether backends speak TLS.
func (p BackendProtocol) Secure() bool { return p == BackendHTTPS || p == BackendL4TLS }

// BackendSettings say how requests are sent to the members of a pool.
type BackendSettings struct {
	Name           string
	Protocol       BackendProtocol
	HTTP2          bool          // to backends: by ALPN on https, at once on http
	GRPCWeb        bool          // becomes gRPC to backends; with HTTP2 only
	Port           int           // default 80, or 443 for https; 0: with tcp and tls every target has its own
	RequestTimeout time.Duration // until the response head, and between two pieces of its body; default 20s, 1ms..24h; over: 504
	ConnectTimeout time.Duration // default 5s
	// IdleTimeout is how long both sides of a connection may be silent, with
	// tcp and tls (Azure: timeout of L4 backend settings); default 4m, 1s..24h; 0 with others.
	IdleTimeout time.Duration
	// ProxyProtocol tells backends who the client is, with tcp and tls.
	ProxyProtocol ProxyProtocol
	Affinity      Affinity
	Drain         time.Duration // for requests in flight to a removed or drained member; default 30s, 0..1h
	HostName      string        // Host sent to the backend; empty: the client's
	// PickHostFromBackend sends the target's own name as Host.
	PickHostFromBackend bool
	PathOverride        string // begins with /; replaces the part matched by the path rule; empty: none
	Probe               string // a Probe's name; empty: the default probe; "off": none
	Retries             Retries
	MaxConnections      int // requests in flight per member; 0: no limit
	MaxRequests         int // in flight to a pool; 0: no limit
	Adaptive            Adaptive
	Queue               Queue
	Hedge               Hedge
	MaxBodySize         int // of a request; 0: the listener's, or the gateway's
	// RequestBuffering holds a request's body before a member is asked, so
	// that slow clients occupy none; ResponseBuffering takes a response from
	// the member as fast as that sends it (Azure: enableRequestBuffering,
	// enableResponseBuffering of the whole gateway, both true by default).
	RequestBuffering  BodyBuffering
	ResponseBuffering BodyBuffering
	TLS               BackendTLS
	Ejection          Ejection
	Pos               Pos
}

// TLSName is the name that a backend must prove to be, and that it is asked
// for unless it is an address: the configured one, else that of the Host that
// is sent, else the target's own. Empty for a unix socket without either.
func (s *BackendSettings) TLSName(target string) string {
	if s.TLS.ServerName != "" {
		return s.TLS.ServerName
	}
	if s.HostName == "" {
		return strings.Trim(target, "[]")
	}
	if host, _, err := net.SplitHostPort(s.HostName); err == nil {
		return host
	}
	return strings.Trim(s.HostName, "[]")
}

// Affinity pins a client to a member by cookie.
type Affinity struct {
	Enabled bool
	Cookie  string // default ApplicationGatewayAffinity; with CORS appended for the twin
}

// Retries say when a request may be sent again to another member.
type Retries struct {
	OnConnectFailure bool // default true
	// The others are off by default, and for idempotent requests whose body is
	// still held.
	OnTimeout bool  // no response head in time
	OnReset   bool  // the connection was closed before any byte of a response
	OnStatus  []int // a response with one of these
	Attempts  int   // further attempts, 0..5, default 1
	// PerTry is how long an attempt that may be followed by another may take
	// until its response head; 0 (default): RequestTimeout. If set,
	// RequestTimeout is for all attempts together.
	PerTry time.Duration
	// Backoff is the pause before the second attempt, at random from half of it
	// up; doubled before each further one. 0 (default): none.
	Backoff time.Duration
	Budget  int // share of the requests in flight, in percent, that may be retries; default 20
}

// Adaptive finds the limit of requests in flight per member by response times.
type Adaptive struct {
	Max       int // 0 (default): off
	Min       int // default 5
	Tolerance int // what the mean may be, in percent of the lowest; default 200
}

// Queue is where requests wait when every member that may be used is at its
// limit.
type Queue struct {
	Length  int           // how many may wait; 0 (default): none
	Timeout time.Duration // how long each may; default 5s
}

// Hedge asks a second member when the first takes long, for GET and HEAD
// requests without a body; what comes first is the answer.
type Hedge struct {
	After time.Duration // 0 (default): never
}

// BackendTLS configures verification of https backends.
type BackendTLS struct {
	CAFile     string // empty: the system's roots
	ServerName string // SNI and verified name; empty: HostName without its port, else the target's name or address
	Verify     bool   // default true
	// ClientCertificate is shown to backends that ask for one; empty: none.
	ClientCertificate Certificate
}

// Ejection takes a member out after consecutive failures of requests.
type Ejection struct {
	ConnectFailures int           // consecutive; default 5; 0: off
	ServerErrors    int           // consecutive 5xx responses, or none in time; 0 (default): off
	Time            time.Duration // how long it stays out the first time; default 10s
	MaxTime         time.Duration // each ejection in a row is twice as long, up to this; default 1m
	MaxShare        int           // of a pool's members, in percent, that may be out at once, 1..100, default 100
}

// ProbeProtocol is how a probe asks.
type ProbeProtocol uint8

const (
	ProbeHTTP ProbeProtocol = iota
	ProbeHTTPS
	ProbeTCP
	// ProbeGRPC asks grpc.health.v1.Health/Check, over TLS where the settings
	// are https.
	ProbeGRPC
)

// Probe is a health probe. The default probe (settings without one) is GET /
// with Host 127.0.0.1 over the settings' protocol every 30s, healthy on
// 200-399, unhealthy after 3 failures (Azure's default probe).
type Probe struct {
	Name               string
	Protocol           ProbeProtocol
	Host               string // Host field and SNI; empty: the settings' host name, else the target's
	Path               string // default /
	Service            string // of a ProbeGRPC; empty: the whole server
	Port               int    // 0: the member's
	Interval           time.Duration
	Timeout            time.Duration
	UnhealthyThreshold int // 1..20, default 3
	HealthyThreshold   int // successes needed to come back, 1..20, default 1
	// StartUnhealthy keeps a member out until its first success (Azure);
	// by default an untried member is used.
	StartUnhealthy bool
	Match          ProbeMatch
	Pos            Pos
}

// ProbeMatch is what a healthy answer looks like.
type ProbeMatch struct {
	Status []StatusRange // default 200-399
	Body   string        // substring; empty: any body
}

// StatusRange is an inclusive range of status codes.
type StatusRange struct {
	From, To int
}

// PathMap routes by path, and by what path rules want besides.
type PathMap struct {
	Name    string
	Order   PathOrder
	Default Action
	Paths   []PathRule
	Pos     Pos
}

// PathOrder says which of the path rules that match takes a request.
type PathOrder uint8

const (
	// OrderListed is the first as listed (Azure).
	OrderListed PathOrder = iota
	// OrderSpecific is the most specific (Gateway API): an exact path, then the
	// longest one, then methods, then more headers, then more of the query.
	OrderSpecific
)

// PathRule sends the paths it lists somewhere.
type PathRule struct {
	Paths []string // start with /, * only at the very end; ASCII, matched without regard to case
	Match RouteMatch
	Action
	Pos Pos
}

// RouteMatch is what a path rule wants of a request beside its path: all of
// it. The zero value wants nothing.
type RouteMatch struct {
	Methods []string // one of them
	Headers []ValueMatch
	Query   []ValueMatch
}

// Given reports whether anything is wanted.
func (m *RouteMatch) Given() bool { return len(m.Methods)+len(m.Headers)+len(m.Query) > 0 }

// ValueMatch wants a field or a query parameter to have a value.
type ValueMatch struct {
	Name       string
	Value      string // Valid iff Pattern is empty: exactly that
	Pattern    string // RE2, found anywhere unless anchored
	IgnoreCase bool   // of Pattern
}

// Regexp is the pattern as package regexp takes it.
func (m *ValueMatch) Regexp() string { return regexpOf(m.Pattern, m.IgnoreCase) }

// Action is where a rule or path rule sends requests: a pool with settings,
// or a redirect.
type Action struct {
	BackendPool     string
	BackendSettings string
	// BackendPools, instead of BackendPool, share the requests by weight.
	BackendPools []WeightedPool
	Redirect     string // exclusive with BackendPool
	Mirror       Mirror // copies of the requests
	// WAFPolicy, of a path rule or a path map's default, names the policy of
	// these requests; empty: the listener's. A rule has none of its own.
	WAFPolicy string
	// RewriteSet names what changes these requests and their responses; empty:
	// nothing does. Redirects have none.
	RewriteSet string
	// RateLimits names limits on these requests, besides the listener's.
	RateLimits []string
	// Compression, of a path rule or a path map's default, names the policy of
	// these responses; CompressionOff: none, empty: the listener's. A rule has
	// none of its own.
	Compression string
	// Cache names where their responses are kept; empty: nowhere. Redirects
	// have none.
	Cache string
	// Authentication and CORSPolicy, of a path rule or a path map's default,
	// win over the listener's; Off: there is none. A rule has none of its own.
	Authentication string
	CORSPolicy     string
}

// Redirect answers with a Location.
type Redirect struct {
	Name           string
	Status         int    // 301 permanent, 302 found (default), 303 seeOther, 307 temporary, 308 permanent308
	TargetURL      string // absolute http or https URL without query and fragment; exclusive with TargetListener
	TargetListener string
	IncludePath    bool // default true
	IncludeQuery   bool // default true
	Pos            Pos
}

// Rule binds a listener to a path map or an action.
type Rule struct {
	Name string
	// Priority is 1..20000, 1 first; 0: none. Of the listeners on an address,
	// those whose rule has a priority come before those whose rule has none,
	// of which the most specific host wins.
	Priority int
	Listener string
	PathMap  string // exclusive with the action
	Action
	Pos Pos
}

// Pos is where in its file a thing is written; both count from 1.
type Pos struct {
	Line, Column int
}
