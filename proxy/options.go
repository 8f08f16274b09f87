package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"gatehouse/config"
	"gatehouse/health"
)

// Options describe a Pool. What is zero works as said.
type Options struct {
	Name     string // of the backend pool
	Settings string // name of the backend settings

	// Fingerprint stands for everything in the settings that makes a
	// connection, or a verdict, of no use under other settings: protocol,
	// TLS, Host. A backend lives on across a reload only if it is
	// unchanged. See [Fingerprint].
	Fingerprint string

	Targets     []config.Target // may be empty: then every pick fails
	DefaultPort int             // for targets without a port, 1..65535; 0: there are none
	Balance     config.Balance
	Hash        config.HashKey // with config.Hash; what is hashed is up to AcquireFor's caller

	// SlowStart is how long the weight of a member that was away rises; if
	// zero, it is there at once.
	SlowStart time.Duration
	// MinHealthy is the share of the members of a priority group, in
	// percent, that must be well for it to serve without the next group; if
	// zero, one is enough.
	MinHealthy int
	// PanicThreshold is the share of members, in percent, below which all
	// are used, well or not; if zero, never.
	PanicThreshold int

	// Resolve is how often names are looked up; if zero, 30s.
	Resolve time.Duration
	// Resolver looks names up; if nil, net.DefaultResolver.
	Resolver Resolver

	MaxConnections int             // requests in flight per backend; if zero, no limit
	Adaptive       config.Adaptive // of requests in flight per backend, within MaxConnections
	MaxRequests    int             // requests in flight to the pool; if zero, no limit
	QueueLength    int             // requests that may wait for a backend; if zero, none
	Drain          time.Duration   // what requests in flight to a removed or drained backend have left; if zero, nothing
	Ejection       config.Ejection

	// Drains is what operators have drained; the pools of a process share
	// it. If nil, nothing is.
	Drains *Drains

	// AffinitySecret is what tokens are derived from. Instances that share
	// it agree. If empty, there are no tokens.
	AffinitySecret []byte

	// Attach, if not nil, is called once for each backend before it is
	// first used, and after an operator's drain again. What it returns is
	// closed when the backend is drained: nothing is in flight any more,
	// or the drain time is over, and then Close must end what is left. A
	// backend that lives on across a reload keeps what it has.
	//
	// Attach and Probe.Checker must call nothing of the Pool, and of the
	// Backend not State.
	Attach func(*Backend) io.Closer

	// Probe, if not nil, watches each backend.
	Probe *Probe

	// Logger is told of changes. If nil, slog.Default.
	Logger *slog.Logger
}

// Probe says how the backends of a pool are probed.
type Probe struct {
	Table   *health.Table
	Policy  health.Policy
	Checker func(*Backend) health.Checker
	// Way stands for what Checker asks, beside what Fingerprint stands for.
	Way string
}

// Resolver looks up the addresses of a name; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Fingerprint is the Options.Fingerprint of backend settings: what kept
// connections, and the way to new ones, depend on. more is what the settings
// only name, such as the contents of a CA file.
func Fingerprint(s config.BackendSettings, more ...string) string {
	return fmt.Sprintf("%d %t %q %t %+v %q", s.Protocol, s.HTTP2, s.HostName, s.PickHostFromBackend, s.TLS, more)
}

// check validates what a picker or a dialler could choke on.
func (o *Options) check() error {
	if o.DefaultPort < 0 || o.DefaultPort > 65535 {
		return fmt.Errorf("port %d is not 1..65535", o.DefaultPort)
	}
	for _, t := range o.Targets {
		if t.Host == "" && t.Unix == "" {
			return errors.New("a target has no address")
		}
		if t.Port < 0 || t.Port > 65535 || t.Unix == "" && t.Port == 0 && o.DefaultPort == 0 {
			return fmt.Errorf("target %q: port %d is not 1..65535", t.Host, t.Port)
		}
	}
	if o.Probe != nil && (o.Probe.Table == nil || o.Probe.Checker == nil) {
		return errors.New("a probe needs a table and a checker")
	}
	return nil
}

func (o *Options) setDefaults() {
	if o.Ejection.Time <= 0 {
		o.Ejection.Time = defaultEjection
	}
	if o.Resolve <= 0 {
		o.Resolve = 30 * time.Second
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Drains == nil {
		o.Drains = NewDrains()
	}
	o.Logger = o.Logger.With("pool", o.Name, "settings", o.Settings)
}
