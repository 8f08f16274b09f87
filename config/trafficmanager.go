package config

import (
	"net/netip"
	"time"
)

// TrafficManager is the whole configuration of one trafficmgr process: pure
// data, decoded strictly, with every default filled in and every name checked.
//
// It is immutable once LoadTrafficManager or ParseTrafficManager returns it.
// File names in it have been joined to the directory of the configuration
// file.
type TrafficManager struct {
	Admin   Admin
	Metrics Metrics

	// Listen is where queries come in; at least one.
	Listen []DNSListener

	Zones    []DNSZone
	Profiles []Profile

	Geo     Geo
	Latency Latency

	// ECSTrusted are the resolvers whose EDNS Client Subnet is believed
	// ("ecs.trusted"). All of them by default: an answer by subnet harms
	// nobody but the client that lies.
	ECSTrusted []netip.Prefix

	Cookies   DNSCookies
	NSID      string // what NSID (RFC 5001) answers; empty: nothing
	RateLimit ResponseRateLimit
	Limits    DNSLimits
	TSIG      []TSIGKey
	QueryLog  QueryLog

	// Drain bounds how long a shutdown or an upgrade waits for TCP
	// connections ("shutdown.drain").
	Drain time.Duration
}

// DNSListener is an address on which queries come in.
type DNSListener struct {
	// Address is an address and port; an unspecified address is all of the
	// machine's.
	Address   netip.AddrPort
	Protocols []DNSProtocol // at least one, each once
	// TLS has the certificates of dot and doh.
	TLS ListenerTLS
	// Path is that of doh, "/dns-query" by default (RFC 8484).
	Path string
}

// DNSProtocol is how queries travel.
type DNSProtocol uint8

// The protocols of a listener.
const (
	DNSOverUDP   DNSProtocol = iota + 1 // RFC 1035
	DNSOverTCP                          // RFC 7766
	DNSOverTLS                          // RFC 7858
	DNSOverHTTPS                        // RFC 8484
)

// DNSZone is a zone that is answered with authority.
type DNSZone struct {
	// Name is in lower case without a trailing dot; "" is not possible.
	Name        string
	NameServers []string // host names; the zone file's win if it has any
	Hostmaster  string   // the SOA's RNAME as a name, such as dns.tm.example

	// File is a zone file (RFC 1035 5) with ordinary records beside the
	// profiles; its SOA and NS win over the keys here. Empty: none.
	File string

	// Serial is the SOA's; 0: computed from the configuration, the same on
	// every instance that has the same.
	Serial uint32

	// TTL is that of the SOA and NS records made from the keys here.
	TTL time.Duration

	// NegativeTTL is the SOA's MINIMUM: how long resolvers may keep that
	// there is no such name or type (RFC 2308).
	NegativeTTL time.Duration

	// TransferKeys are names of TSIG keys with which the zone may be
	// transferred; none: nobody may.
	TransferKeys []string

	DNSSEC DNSSEC
	Pos    Pos
}

// DNSSEC says how a zone is signed.
type DNSSEC struct {
	Enabled bool
	// KeyFile is a private key in BIND's format (ECDSA P-256, algorithm 13);
	// it is made there if it does not exist.
	KeyFile string
}

// Latency says where round-trip times are from.
type Latency struct {
	// Table is a CSV file of prefix,region,rttMs,samples that refines the
	// built-in table; empty: the built-in one alone.
	Table string
}

// DNSCookies configures DNS cookies (RFC 7873, RFC 9018).
type DNSCookies struct {
	Enabled bool
	// SecretFile holds 16 bytes in hexadecimal, the same on every instance
	// that shares an address. Empty: made at each start.
	SecretFile string
}

// ResponseRateLimit bounds how many responses of one kind a network gets over
// UDP, so that the server is of no use to whoever forges source addresses.
type ResponseRateLimit struct {
	// PerSecond is how many alike responses one network gets in a second;
	// 0: no limit. Slip: every so many of the refused ones is answered with
	// TC, which a real client asks again over TCP; 0: none is.
	PerSecond int
	Slip      int
	// IPv4Prefix and IPv6Prefix are the lengths that make one network.
	IPv4Prefix, IPv6Prefix int
	// Exempt are networks without a limit.
	Exempt []netip.Prefix
}

// DNSLimits bound what clients can take.
type DNSLimits struct {
	UDPSize           int           // the largest response over UDP, 512 to 4096
	TCPConnections    int           // at once, over all listeners
	TCPPerClient      int           // at once, for one address
	TCPIdle           time.Duration // without a query
	TCPQueries        int           // on one connection
	WaitingForWriting int           // bytes of answers not yet taken by one connection
}

// TSIGKey is a shared secret (RFC 8945).
type TSIGKey struct {
	Name       string // in lower case without a trailing dot
	Algorithm  string // "hmac-sha256", "hmac-sha384" or "hmac-sha512"
	SecretFile string // holds the secret in base64
	Pos        Pos
}

// QueryLog says which queries are logged and where.
type QueryLog struct {
	// Output is "stdout", "stderr" or a file's path (reopened on SIGUSR1).
	// Enabled false: no log there; Dnstap is independent of it.
	Enabled bool
	Output  string
	// Sample is one in how many queries is logged: 1 logs all.
	Sample int
	// Dnstap is a file, or "unix:/path" of a socket that listens, which gets
	// the same queries as dnstap frames; empty: none.
	Dnstap string
}

// Profile is a name whose answer is directed (Azure: a Traffic Manager
// profile).
type Profile struct {
	// Name is unique; other profiles, metrics and logs know it by that.
	Name string
	// Label is a label or several under the zone, or "@" for the zone itself:
	// the Name unless it is set. A profile without a zone is for nesting
	// only, and has no name in DNS.
	Label string
	Zone  string

	Enabled bool // profileStatus
	Routing RoutingMethod
	TTL     time.Duration // of answers; 0 to 24h
	// DegradedTTL is the TTL while an endpoint that is enabled is degraded;
	// never above TTL. Equal to TTL by default.
	DegradedTTL time.Duration

	// MaxReturn is how many addresses multiValue answers with, 1 to 10.
	MaxReturn int

	// RecordType restricts every endpoint to one kind (Azure: recordType).
	RecordType RecordType

	// LateMatch picks an endpoint first and looks then whether it has the
	// type that was asked for, as Azure does ("match: late"). Otherwise only
	// those endpoints are candidates that have it.
	LateMatch bool

	// Sticky makes weighted choose by the client's network instead of by
	// lot; StickyIPv4 and StickyIPv6 are the lengths of that.
	Sticky                 bool
	StickyIPv4, StickyIPv6 int

	// NXDomain answers that the name does not exist while the profile is
	// disabled or has no enabled endpoint, as Azure does ("disabled:
	// nxdomain"). Otherwise the answer is empty.
	NXDomain bool

	// UnmatchedNXDomain is the same for a client that no endpoint of a
	// subnet profile is for ("unmatched: nxdomain").
	UnmatchedNXDomain bool

	// OnUnhealthy says what a geographic profile does when the endpoint of
	// the client's region is degraded.
	OnUnhealthy OnUnhealthy

	// Flatten answers A and AAAA queries with the addresses of endpoints
	// that are names, instead of with a CNAME. A profile at the zone's apex
	// always does.
	Flatten bool

	Monitor   Monitor
	Endpoints []Endpoint
	Pos       Pos
}

// RoutingMethod is how a profile chooses (Azure: trafficRoutingMethod).
type RoutingMethod uint8

// The routing methods.
const (
	RoutePriority RoutingMethod = iota + 1
	RouteWeighted
	RoutePerformance
	RouteGeographic
	RouteMultiValue
	RouteSubnet
)

// String is the method as the configuration writes it.
func (m RoutingMethod) String() string {
	switch m {
	case RoutePriority:
		return "priority"
	case RouteWeighted:
		return "weighted"
	case RoutePerformance:
		return "performance"
	case RouteGeographic:
		return "geographic"
	case RouteMultiValue:
		return "multiValue"
	case RouteSubnet:
		return "subnet"
	}
	return "invalid"
}

// RecordType is what the endpoints of a profile may be.
type RecordType uint8

// The record types of a profile.
const (
	RecordAny   RecordType = iota // endpoints of every kind
	RecordA                       // IPv4 addresses
	RecordAAAA                    // IPv6 addresses
	RecordCNAME                   // host names
)

// OnUnhealthy is what a geographic profile does with a degraded endpoint.
type OnUnhealthy uint8

// What a geographic profile can do when the endpoint of a region is degraded.
const (
	UnhealthyClimb  OnUnhealthy = iota // ask the next larger region; serve it if there is none
	UnhealthyServe                     // answer with it all the same (Azure)
	UnhealthyNoData                    // answer with nothing
)

// Monitor is how the endpoints of a profile are probed (Azure: monitorConfig).
type Monitor struct {
	Protocol MonitorProtocol
	Port     int
	Path     string // of http and https; empty for tcp

	Interval          time.Duration // from one probe to the next
	Timeout           time.Duration // of one probe, at most Interval
	ToleratedFailures int           // in a row that do not count yet, 0 to 9

	// Successes is how many in a row bring a degraded endpoint back (Azure:
	// always 1).
	Successes int
	// HoldDown is the least time that an endpoint stays degraded.
	HoldDown time.Duration

	// Headers are sent with each probe, at most 8; Host sets the host.
	Headers []Header
	// ExpectedStatus are the good ones, at most 8 ranges.
	ExpectedStatus []StatusRange

	// VerifyTLS checks the certificate of https endpoints against the
	// system's authorities, for ServerName or else the endpoint's name.
	// Azure does not; neither does this by default.
	VerifyTLS  bool
	ServerName string
}

// MonitorProtocol is how an endpoint is probed.
type MonitorProtocol uint8

// The protocols of a monitor.
const (
	MonitorHTTP MonitorProtocol = iota + 1
	MonitorHTTPS
	MonitorTCP
	MonitorNone // endpoints are taken to be well
)

// Header is a header field of a probe.
type Header struct{ Name, Value string }

// Endpoint is one of the places that a profile directs to.
type Endpoint struct {
	Name string // unique in the profile

	// Exactly one of these is set: an address, a host name in lower case
	// without a trailing dot, or the name of a nested profile.
	Address netip.Addr
	Host    string
	Profile string

	Enabled     bool // endpointStatus
	AlwaysServe bool // never probed, always well

	Weight   int // 1 to 1000; 1 by default
	Priority int // 1 to 1000, unique in the profile; by default the place in the list

	// Location is an Azure region, such as "West Europe" or "westeurope",
	// for performance routing. Empty: none.
	Location string

	// Geo are codes of the geographic hierarchy: WORLD, GEO-EU, DE, US-CA.
	Geo []string

	// Subnets are the clients that are led here before the method is asked;
	// for subnet routing they are the method. An endpoint of a subnet
	// profile without any takes what no other does.
	Subnets []AddressRange

	// MinChildEndpoints is how many endpoints of the nested profile must be
	// well, in all and of each address family; 0 in the latter: any number.
	MinChildEndpoints, MinChildIPv4, MinChildIPv6 int

	// Port goes into SVCB and HTTPS records; 0: none.
	Port int

	// Monitor, if not nil, replaces the profile's.
	Monitor *Monitor
	Pos     Pos
}

// AddressRange is a range of addresses of one family, both ends included.
type AddressRange struct{ First, Last netip.Addr }
