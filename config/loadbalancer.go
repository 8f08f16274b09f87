package config

import (
	"net/netip"
	"time"
)

// LoadBalancer is the whole configuration of one l4lb process: pure data,
// decoded strictly, with every default filled in and every name checked.
//
// It is immutable once LoadLoadBalancer or ParseLoadBalancer returns it.
// File names in it have been joined to the directory of the configuration
// file.
type LoadBalancer struct {
	Admin   Admin
	Metrics Metrics

	Plane Plane

	// HashSeed goes into every choice of a member: instances that are to
	// choose alike have the same ("hashSeed").
	HashSeed uint64

	Frontends       []L4Frontend
	BackendPools    []L4Pool
	Probes          []L4Probe
	Rules           []L4Rule
	InboundNATRules []InboundNATRule
	SecurityGroups  []SecurityGroup
	AddressGroups   []AddressGroup

	Limits  L4Limits
	FlowLog FlowLog

	// Drain bounds how long a shutdown or an upgrade waits for flows
	// ("shutdown.drain").
	Drain time.Duration
}

// Plane is how packets get from clients to members.
type Plane uint8

// The planes.
const (
	PlaneProxy Plane = iota + 1 // sockets at both sides
	PlaneAuto                   // the best that works here; in this version always PlaneProxy
)

// L4Frontend is where clients connect to (Azure: frontendIPConfiguration).
type L4Frontend struct {
	Name string
	// Addresses are the machine's own; an unspecified one is all of its
	// family, and [::] all of both. At least one.
	Addresses []netip.Addr
	Pos       Pos
}

// L4Protocol is what a rule balances.
type L4Protocol uint8

// The protocols of a rule.
const (
	L4TCP L4Protocol = iota + 1
	L4UDP
	L4All // both, on every port (Azure: HA ports)
)

// String is the protocol as the configuration writes it.
func (p L4Protocol) String() string {
	switch p {
	case L4TCP:
		return "tcp"
	case L4UDP:
		return "udp"
	case L4All:
		return "all"
	}
	return "invalid"
}

// L4Pool is a set of members (Azure: backendAddressPool).
type L4Pool struct {
	Name    string
	Members []L4Member
	// Drain is how long flows to a member that was removed may go on
	// (Azure: drainPeriodInSeconds).
	Drain time.Duration
	// Resolve is how often host names are looked up again.
	Resolve time.Duration
	Pos     Pos
}

// L4Member is one of the machines of a pool (Azure: loadBalancerBackendAddress).
type L4Member struct {
	// Name is unique in the pool; the address as it is written by default.
	Name string
	// Exactly one of these is set: an address, or a host name in lower case,
	// each address of which is a member then.
	Address netip.Addr
	Host    string
	// Port replaces the port of rules; 0: it does not.
	Port   int
	Weight int // 1 to 1000
	State  AdminState
	Pos    Pos
}

// AdminState overrides what probes say of a member.
type AdminState uint8

// The administrative states.
const (
	AdminNone AdminState = iota // as probes say
	AdminUp                     // gets new flows whatever probes say
	AdminDown                   // gets no new flow
)

// String is the state as the configuration writes it.
func (s AdminState) String() string {
	switch s {
	case AdminUp:
		return "up"
	case AdminDown:
		return "down"
	}
	return "none"
}

// L4Probe is how members are asked whether they are well (Azure: probe).
type L4Probe struct {
	Name     string
	Protocol L4ProbeProtocol
	// Port is where; 0: the port that the rule sends to.
	Port int
	// Path, Host, Headers and ExpectedStatus are of http and https. Host is
	// the Host field and with https the server name; empty: the member's
	// address. ExpectedStatus is 200 alone by default.
	Path           string
	Host           string
	Headers        []Header
	ExpectedStatus []StatusRange

	Interval time.Duration // from one probe to the next, 100ms to 1h
	Timeout  time.Duration // of one probe, at most Interval
	// Threshold is how many alike results in a row change the verdict, 1 to
	// 20 (Azure: probeThreshold). An explicit refusal counts at once.
	Threshold int
	// Damping holds a member that flaps down for longer each time.
	Damping bool

	// AllUp sends new flows to all members when no one is well (Azure:
	// noHealthyBackendsBehavior).
	AllUp bool
	// Source is the address that probes come from; the zero value: any.
	Source netip.Addr
	Pos    Pos
}

// L4ProbeProtocol is how a probe asks.
type L4ProbeProtocol uint8

// The protocols of a probe.
const (
	L4ProbeTCP L4ProbeProtocol = iota + 1
	L4ProbeHTTP
	L4ProbeHTTPS
)

// String is the protocol as the configuration writes it.
func (p L4ProbeProtocol) String() string {
	switch p {
	case L4ProbeTCP:
		return "tcp"
	case L4ProbeHTTP:
		return "http"
	case L4ProbeHTTPS:
		return "https"
	}
	return "invalid"
}

// Distribution is what of a flow chooses the member (Azure:
// loadDistribution).
type Distribution uint8

// The distributions.
const (
	DistributeFlow             Distribution = iota // the 5-tuple
	DistributeSourceIP                             // source and destination address
	DistributeSourceIPProtocol                     // these and the protocol
)

// String is the distribution as the configuration writes it.
func (d Distribution) String() string {
	switch d {
	case DistributeSourceIP:
		return "sourceIP"
	case DistributeSourceIPProtocol:
		return "sourceIPProtocol"
	}
	return "default"
}

// ProxyProtocol is whether members are told who the client is.
type ProxyProtocol uint8

// The versions of the PROXY protocol.
const (
	ProxyProtocolOff ProxyProtocol = iota
	ProxyProtocolV1
	ProxyProtocolV2
)

// L4Rule sends what comes to a port of a frontend to the members of a pool
// (Azure: loadBalancingRule).
type L4Rule struct {
	Name     string
	Frontend string
	Protocol L4Protocol
	// FrontendPort is 0 with L4All: every port.
	FrontendPort int
	// BackendPort is the members' port; the FrontendPort by default, 0 with
	// L4All: the port that the client asked for.
	BackendPort int
	BackendPool string
	// Probes are names; a member is well if all of them say so. None: members
	// are taken to be well.
	Probes       []string
	Distribution Distribution

	L4FlowSettings

	// SNI chooses the pool by the server name that a TLS client asks for,
	// without opening the connection; what no entry matches goes to
	// BackendPool, which may be empty then: it is refused.
	SNI []SNIRoute

	Limits L4RuleLimits
	Pos    Pos
}

// L4FlowSettings is how the flows of a rule are treated.
type L4FlowSettings struct {
	// IdleTimeout ends a flow without traffic; 1s to 100m, 4m by default
	// (Azure: idleTimeoutInMinutes, 4 to 100).
	IdleTimeout time.Duration
	// TCPReset ends an idle TCP flow with RST to both sides (Azure:
	// enableTcpReset) rather than with FIN.
	TCPReset      bool
	ProxyProtocol ProxyProtocol // tcp only
	// Transparent connects to members from the client's address
	// (IP_TRANSPARENT).
	Transparent bool
	// ConnectTimeout bounds one attempt to connect to a member.
	ConnectTimeout time.Duration
	// Responses ends a UDP flow after so many datagrams from the member; 0:
	// not.
	Responses int
}

// SNIRoute is a pool for some server names.
type SNIRoute struct {
	HostNames   []string // exact, or *.suffix for one label
	BackendPool string
}

// L4RuleLimits bound what the clients of a rule can take.
type L4RuleLimits struct {
	Flows          int // at once; 0: only as all rules
	FlowsPerClient int // at once, of one address; 0: no bound
	// FlowRate is how many new flows a second are let in, FlowRatePerClient
	// how many of one address; 0: no bound. Bursts of one second are let
	// through.
	FlowRate          int
	FlowRatePerClient int
	Backlog           int // connections that wait to be accepted; 0: the system's most
}

// InboundNATRule sends a port of a frontend to one member, or each port of a
// range to one of the members of a pool (Azure: inboundNatRule). It has no
// probe.
type InboundNATRule struct {
	Name     string
	Frontend string
	Protocol L4Protocol // not L4All
	// Ports is the range; one port if First is Last.
	Ports PortRange
	// BackendPool is the pool; Member, with a single port, is the name of its
	// member that gets all. In a range the first port is the first member's.
	BackendPool string
	Member      string
	BackendPort int

	L4FlowSettings
	Pos Pos
}

// PortRange is ports, First and Last included.
type PortRange struct{ First, Last int }

// AddressGroup is a name for some prefixes, which security rules use.
type AddressGroup struct {
	Name      string
	Addresses []netip.Prefix
	Pos       Pos
}

// SecurityGroup decides which packets of a frontend come in (Azure:
// networkSecurityGroup).
type SecurityGroup struct {
	Name string
	// Attach are the frontends that it guards.
	Attach []string
	// Flush ends flows that a reload's rules no longer allow (Azure:
	// flushConnection).
	Flush bool
	Rules []SecurityRule
	Pos   Pos
}

// SecurityRule allows or denies (Azure: securityRule). The one of the lowest
// priority number that matches decides.
type SecurityRule struct {
	Name     string
	Priority int // 100 to 4096, unique in the group
	Allow    bool
	Protocol SecurityProtocol

	Source, Destination           AddressMatch
	SourcePorts, DestinationPorts []PortRange // none: any
	Pos                           Pos
}

// SecurityProtocol is what a security rule is about.
type SecurityProtocol uint8

// The protocols of a security rule.
const (
	SecurityAny SecurityProtocol = iota
	SecurityTCP
	SecurityUDP
)

// AddressMatch is addresses.
type AddressMatch struct {
	Any      bool
	Prefixes []netip.Prefix
	Groups   []string // names of address groups
}

// L4Limits bound what the process holds.
type L4Limits struct {
	TCPFlows int // at once
	UDPFlows int // at once
	// UDPFlowsPerClient are those of one address at once; 0: no bound.
	UDPFlowsPerClient int
}

// FlowLog says where the log of flows goes, in the shape of Azure's VNet flow
// logs, version 4.
type FlowLog struct {
	// Output is "stdout", "stderr" or a file's path (reopened on SIGUSR1).
	// Enabled false: no log.
	Enabled bool
	Output  string
	// Interval is how often a flow that goes on is logged (state C).
	Interval time.Duration
	// MaxSize and MaxFiles rotate a file: at that size it is renamed, and so
	// many old ones are kept. MaxSize 0: not rotated.
	MaxSize  int
	MaxFiles int
}
