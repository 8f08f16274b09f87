package hosts

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"gatehouse/internal/smallfile"
)

const (
	// systemTTL is how long addresses hold that come from a source without
	// times to live.
	systemTTL = 30 * time.Second

	maxConfigFile = 64 << 10 // bytes of resolv.conf
	maxServers    = 3        // as in resolv.conf(5); more are ignored
)

// SystemLookup returns the Lookup of the machine. As elsewhere on it, an entry
// of /etc/hosts comes before what the name servers say, and holds for 30 s.
// The name servers of /etc/resolv.conf are asked in their order for A and
// AAAA, twice each, and waited for 3 s each time. The file is read anew for
// each lookup; its search list is not used: a host is its whole name. When it
// is missing or names no server, package net looks for the addresses, and
// those hold for 30 s.
//
// Addresses hold for the shortest time to live of their records and of the
// aliases that lead to them. Those aliases must be in the same answer.
func SystemLookup() Lookup {
	c := &client{timeout: queryTimeout}
	s := &system{
		file:     "/etc/resolv.conf",
		ask:      c.lookup,
		static:   lookupStatic,
		fallback: net.DefaultResolver.LookupNetIP,
	}
	return s.lookup
}

// netLookup is how package net finds addresses.
type netLookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

// system is the configuration of the machine.
type system struct {
	file     string    // as resolv.conf(5)
	static   netLookup // /etc/hosts
	fallback netLookup // when the file is missing

	// ask asks name servers, addresses with ports.
	ask func(ctx context.Context, servers []string, host string) ([]netip.Addr, time.Duration, error)
}

func (s *system) lookup(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	if addrs, err := s.static(ctx, "ip", absolute(host)); err == nil && len(addrs) > 0 {
		return addrs, systemTTL, nil
	}
	servers, err := nameServers(s.file)
	if err != nil {
		return nil, 0, err
	}
	if len(servers) == 0 {
		addrs, err := s.fallback(ctx, "ip", absolute(host))
		return addrs, systemTTL, err
	}
	return s.ask(ctx, servers, host)
}

// absolute is a name as package net takes it for a whole one. A single label
// must do without the dot: with it, it is not found in /etc/hosts.
func absolute(host string) string {
	if strings.Contains(host, ".") {
		return host + "."
	}
	return host
}

// nameServers reads a file as resolv.conf(5); it may be missing.
func nameServers(file string) ([]string, error) {
	text, err := smallfile.Read(file, maxConfigFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	conf, err := dns.ClientConfigFromReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	var servers []string
	for _, s := range conf.Servers {
		if _, err := netip.ParseAddr(s); err == nil && len(servers) < maxServers {
			servers = append(servers, net.JoinHostPort(s, conf.Port))
		}
	}
	return servers, nil
}

// errFilesOnly keeps package net from asking name servers.
var errFilesOnly = errors.New("not in the hosts file")

// lookupStatic is what package net finds without a network: /etc/hosts.
func lookupStatic(ctx context.Context, network, host string) ([]netip.Addr, error) {
	files := net.Resolver{
		PreferGo: true,
		Dial:     func(context.Context, string, string) (net.Conn, error) { return nil, errFilesOnly },
	}
	return files.LookupNetIP(ctx, network, host)
}
