//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"

	"gatehouse/bench/load"
	"gatehouse/bench/origin"
	"gatehouse/bench/peers"
)

// benchCase is one thing that is measured for every system.
type benchCase struct {
	name, title string
	path        string
	body        int // bytes of a POST body
	conns       int
	perRequest  bool
	tls, hybrid bool
	hosts       int    // 0: one host, on HTTP and HTTPS
	openOf      string // open loop at half of what this case reached
	idle        bool
}

func allCases() []benchCase {
	return []benchCase{
		{name: "get128", title: "128-byte replies on 64 keep-alive connections", path: "/128", conns: 64},
		{name: "get10k", title: "10 KiB replies on 64 keep-alive connections", path: "/10k", conns: 64},
		{name: "get100k", title: "100 KiB replies on 64 keep-alive connections", path: "/100k", conns: 64},
		{name: "get1m", title: "1 MiB replies on 16 keep-alive connections", path: "/1m", conns: 16},
		{name: "post10k", title: "POST of 10 KiB, 128-byte replies, 64 keep-alive connections", path: "/post", body: 10 << 10, conns: 64},
		{name: "connclose", title: "a connection for each request, 64 at a time", path: "/128", conns: 64, perRequest: true},
		{name: "https128", title: "128-byte replies on 64 keep-alive TLS connections", path: "/128", conns: 64, tls: true},
		{name: "https10k", title: "10 KiB replies on 64 keep-alive TLS connections", path: "/10k", conns: 64, tls: true},
		{name: "handshake", title: "a full TLS handshake (X25519, P-256 certificate) for each request, 64 at a time", path: "/128", conns: 64, tls: true, perRequest: true},
		{name: "handshake_hybrid", title: "the same with X25519MLKEM768", path: "/128", conns: 64, tls: true, hybrid: true, perRequest: true},
		{name: "hosts1", title: "get128 through one host listener", path: "/128", conns: 64, hosts: 1},
		{name: "hosts10000", title: "get128 through 10 000 host listeners, all in turn", path: "/128", conns: 64, hosts: 10_000},
		{name: "open_get128", title: "get128 at a fixed rate, half of the slowest of appgw, nginx and haproxy", path: "/128", conns: 64, openOf: "get128"},
		{name: "open_get10k", title: "get10k at a fixed rate, likewise", path: "/10k", conns: 64, openOf: "get10k"},
		{name: "open_https128", title: "https128 at a fixed rate, likewise", path: "/128", conns: 64, tls: true, openOf: "https128"},
		{name: "idle5000", title: "5 000 idle connections after a request each and a rest", path: "/128", conns: 5000, idle: true},
		{name: "idle5000_tls", title: "the same with TLS", path: "/128", conns: 5000, tls: true, idle: true},
	}
}

// selectCases picks cases by name, in their own order; all for an empty list.
func selectCases(names []string) ([]benchCase, error) {
	all := allCases()
	if len(names) == 0 {
		return all, nil
	}
	for _, name := range names {
		if !slices.ContainsFunc(all, func(c benchCase) bool { return c.name == name }) {
			return nil, fmt.Errorf("unknown case %q: want some of %s", name, strings.Join(caseNames(), ","))
		}
	}
	return slices.DeleteFunc(all, func(c benchCase) bool { return !slices.Contains(names, c.name) }), nil
}

func caseNames() []string {
	var names []string
	for _, c := range allCases() {
		names = append(names, c.name)
	}
	return names
}

// loop is the kind of a case in the results.
func (c *benchCase) loop() string {
	switch {
	case c.idle:
		return "idle"
	case c.openOf != "":
		return "open"
	default:
		return "closed"
	}
}

// setup is what the case asks of a proxy's configuration.
func (c *benchCase) setup(s peers.Setup) peers.Setup {
	s.Single = c.hosts == 0
	s.HostNames = []string{peers.SingleHost}
	if !s.Single {
		s.HostNames = peers.HostNames(c.hosts)
	}
	return s
}

// options are the load that the case puts on a proxy.
func (c *benchCase) options(s peers.Setup) load.Options {
	o := load.Options{
		Addr: s.HTTP, Path: c.path, Host: peers.SingleHost, Body: c.body,
		Length: origin.Sizes()[c.path], Conns: c.conns, PerRequest: c.perRequest,
	}
	if c.hosts > 0 {
		o.Host, o.Hosts = peers.HostPattern, c.hosts
	}
	if c.tls {
		o.Addr = s.HTTPS
		o.TLS = &load.TLSOptions{ServerName: peers.SingleHost, CertFile: s.Cert, Hybrid: c.hybrid}
	}
	return o
}
