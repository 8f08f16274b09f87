//go:build linux

// Package servers holds the configurations of the DNS servers that are
// compared, writes the data that they share, and starts them.
package servers

import (
	"cmp"
	"fmt"
	"net/netip"
	"path/filepath"
)

// Zone is the zone that all of them answer.
const Zone = "bench.test"

// Method is how the names of a Setup are answered.
type Method string

// The methods.
const (
	Weighted   Method = "weighted"
	Priority   Method = "priority"
	Geographic Method = "geographic"
)

// Setup is what a configuration depends on besides the server.
type Setup struct {
	Dir     string // of the server's own, existing; absolute
	Addr    netip.AddrPort
	Admin   netip.AddrPort
	Threads int

	Method    Method
	Labels    []string // the names under Zone, all answered alike
	Endpoints []Endpoint
	Database  string // countries, of Geographic
	Subnets   bool   // EDNS Client Subnet is looked at
	Signed    bool

	// OtherTTL is in seconds, instead of TTL if it is not 0.
	OtherTTL uint32

	// MonitorPort is where the endpoints answer probes, each MonitorInterval
	// seconds; 0: they are not probed.
	MonitorPort int
}

// TTL is that of all answers, in seconds.
const TTL uint32 = 30

// What probes are like. gdnsd takes whole seconds, and a timeout below the
// interval.
const (
	MonitorInterval = 2 // seconds
	MonitorTimeout  = 1 // seconds
	MonitorFailures = 2 // in a row, after which an endpoint is down
)

// Endpoint is one of the places that names lead to.
type Endpoint struct {
	Name    string
	V4      netip.Addr
	V6      netip.Addr // not valid: none
	Weight  int
	Country string // of Geographic; "" is everywhere else
}

// IPv6 tells whether the names have addresses of both families.
func (s Setup) IPv6() bool { return len(s.Endpoints) > 0 && s.Endpoints[0].V6.IsValid() }

// Tolerated is MonitorFailures as Azure counts it: how many do not matter.
func (s Setup) Tolerated() int { return MonitorFailures - 1 }

// Interval is MonitorInterval, for templates.
func (s Setup) Interval() int { return MonitorInterval }

// Timeout is MonitorTimeout, for templates.
func (s Setup) Timeout() int { return MonitorTimeout }

// Failures is MonitorFailures, for templates.
func (s Setup) Failures() int { return MonitorFailures }

// File is the path of a file in the server's directory.
func (s Setup) File(name string) string { return filepath.Join(s.Dir, name) }

// TTL is that of the answers, for templates.
func (s Setup) TTL() uint32 { return cmp.Or(s.OtherTTL, TTL) }

// Zone is the zone, for templates.
func (s Setup) Zone() string { return Zone }

// Endpoints makes n endpoints with the weights n, n-1, ... 1.
func Endpoints(n int, v6 bool) []Endpoint {
	all := make([]Endpoint, n)
	for i := range all {
		all[i] = Endpoint{
			Name: fmt.Sprintf("e%d", i+1), Weight: n - i,
			V4: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}),
		}
		if v6 {
			all[i].V6 = netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", i+1))
		}
	}
	return all
}

// Countries are those that Geographic names lead to endpoints of their own;
// the last one is for everywhere else.
func Countries() []Endpoint {
	all := Endpoints(4, false)
	for i, country := range []string{"DE", "US", "JP"} {
		all[i].Country = country
	}
	return all
}

// Labels makes the first of n names.
func Labels(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("h%d", i)
	}
	return all
}
