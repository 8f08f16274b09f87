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
	message     int  // bytes of WebSocket messages, in the place of requests
	streams     int  // HTTP/2 without TLS, with so many on each connection; 0: HTTP/1.1
	quic        bool // HTTP/3 with those streams
	gzip        bool // replies are compressed on the way

	cache     bool   // replies come from the response cache, of those that have one
	firewall  bool   // for the systems with a firewall, and the same without
	traffic   string // kind of request; see package traffic
	attack    bool   // firewalls are to refuse it
	responses bool   // firewalls look at responses
	memory    bool   // what a firewall takes
	atLeast   uint64 // requests of a round, however long they take
}

func allCases() []benchCase { return append(proxyCases(), firewallCases()...) }

func proxyCases() []benchCase {
	return []benchCase{
		{name: "get128", title: "128-byte replies on 64 keep-alive connections", path: "/128", conns: 64},
		{name: "get10k", title: "10 KiB replies on 64 keep-alive connections", path: "/10k", conns: 64},
		{name: "compress_10k", title: "10 KiB of JSON, compressed with gzip at level 1, on 64 keep-alive connections", path: "/catalogue", conns: 64, gzip: true},
		{name: "get100k", title: "100 KiB replies on 64 keep-alive connections", path: "/100k", conns: 64},
		{name: "get1m", title: "1 MiB replies on 16 keep-alive connections", path: "/1m", conns: 16},
		{name: "post10k", title: "POST of 10 KiB, 128-byte replies, 64 keep-alive connections", path: "/post", body: 10 << 10, conns: 64},
		{name: "connclose", title: "a connection for each request, 64 at a time", path: "/128", conns: 64, perRequest: true},
		{name: "https128", title: "128-byte replies on 64 keep-alive TLS connections", path: "/128", conns: 64, tls: true},
		{name: "https10k", title: "10 KiB replies on 64 keep-alive TLS connections", path: "/10k", conns: 64, tls: true},
		{name: "handshake", title: "a full TLS handshake (X25519, P-256 certificate) for each request, 64 at a time", path: "/128", conns: 64, tls: true, perRequest: true},
		{name: "handshake_hybrid", title: "the same with X25519MLKEM768", path: "/128", conns: 64, tls: true, hybrid: true, perRequest: true},
		{name: "ws_messages", title: "WebSocket messages of 128 bytes there and back, on 64 connections", path: "/128", conns: 64, message: 128},
		{name: "h2_get128", title: "128-byte replies over HTTP/2, 16 connections with 16 streams", path: "/128", conns: 16, streams: 16},
		{name: "h2_get100k", title: "100 KiB replies over HTTP/2, likewise", path: "/100k", conns: 16, streams: 16},
		{name: "h2_post10k", title: "POST of 10 KiB over HTTP/2, 128-byte replies, likewise", path: "/post", body: 10 << 10, conns: 16, streams: 16},
		{name: "h3_get128", title: "128-byte replies over HTTP/3, 16 connections with 4 streams", path: "/128", conns: 16, streams: 4, tls: true, quic: true},
		{name: "h3_get100k", title: "100 KiB replies over HTTP/3, likewise", path: "/100k", conns: 16, streams: 4, tls: true, quic: true},
		{name: "cache_hit", title: "get10k out of a response cache (nginx: proxy_cache, files)", path: "/10k", conns: 64, cache: true},
		{name: "hosts1", title: "get128 through one host listener", path: "/128", conns: 64, hosts: 1},
		{name: "hosts10000", title: "get128 through 10 000 host listeners, all in turn", path: "/128", conns: 64, hosts: 10_000},
		{name: "open_get128", title: "get128 at a fixed rate, half of the slowest of appgw, nginx and haproxy", path: "/128", conns: 64, openOf: "get128"},
		{name: "open_get10k", title: "get10k at a fixed rate, likewise", path: "/10k", conns: 64, openOf: "get10k"},
		{name: "open_https128", title: "https128 at a fixed rate, likewise", path: "/128", conns: 64, tls: true, openOf: "https128"},
		{name: "idle5000", title: "5 000 idle connections after a request each and a rest", path: "/128", conns: 5000, idle: true},
		{name: "idle5000_tls", title: "the same with TLS", path: "/128", conns: 5000, tls: true, idle: true},
	}
}

const (
	// firewallConns keep two processors busy; more would only wait.
	firewallConns = 16
	// largeConns are fewer, so that of the few large requests of a round only
	// few are cut in two by its ends.
	largeConns = 4
	// firewallAtLeast is enough for a figure that the ends of a round do not
	// decide.
	firewallAtLeast = 50
)

func firewallCases() []benchCase {
	timed := func(name, path, kind, title string) benchCase {
		return benchCase{name: name, title: title, path: path, traffic: kind, conns: firewallConns, firewall: true, atLeast: firewallAtLeast}
	}
	cases := []benchCase{
		timed("waf_get", "/shop/search", "get", "a browser's GET with cookies and a query, both different each time (8192 of them in turn)"),
		timed("waf_get_same", "/shop/search", "get_same", "the same GET, byte for byte, again and again"),
		timed("waf_form200", "/shop/contact", "form200", "a form POST of 200 bytes (8192 different ones)"),
		timed("waf_form2k", "/shop/contact", "form2k", "a form POST of 2 KiB (4096 different ones)"),
		timed("waf_json200", "/api/ratings", "json200", "a JSON POST of 200 bytes (8192 different ones)"),
		timed("waf_json20k", "/api/orders", "json20k", "a JSON POST of 20 KiB with 200 values (512 different ones)"),
		timed("waf_attack", "/shop/search", "attack", "a GET with SQL in its query (4096 different ones), which firewalls answer with 403"),
		timed("waf_html10k", "/shop/item", "page", "a GET of a 10 KiB HTML page, with the rules for responses (8192 different ones)"),
		timed("waf_memory", "/shop/search", "get_same", "resident memory after the first request and a rest"),
	}
	for i := range cases {
		c := &cases[i]
		if c.name == "waf_json20k" {
			c.conns = largeConns
		}
		c.attack, c.responses, c.memory = c.name == "waf_attack", c.name == "waf_html10k", c.name == "waf_memory"
	}
	return cases
}

// selectCases picks cases by name, or all of those that begin with a name and
// an underscore, in their own order; all for an empty list.
func selectCases(names []string) ([]benchCase, error) {
	all := allCases()
	if len(names) == 0 {
		return all, nil
	}
	chosen := make(map[string]bool)
	for _, name := range names {
		found := named(all, name)
		if len(found) == 0 {
			return nil, fmt.Errorf("unknown case %q: want some of %s", name, strings.Join(caseNames(), ","))
		}
		for _, c := range found {
			chosen[c.name] = true
		}
	}
	return slices.DeleteFunc(all, func(c benchCase) bool { return !chosen[c.name] }), nil
}

// named is the case of a name, or else those whose names begin with it.
func named(all []benchCase, name string) (found []benchCase) {
	for _, c := range all {
		if c.name == name {
			return []benchCase{c}
		}
		if strings.HasPrefix(c.name, name+"_") {
			found = append(found, c)
		}
	}
	return found
}

// systems are those of the chosen ones that the case is for.
func (c *benchCase) systems(chosen []string) []string {
	able := peers.Proxies()
	if c.quic {
		able = peers.WithQUIC()
	}
	if c.cache {
		able = peers.WithCache()
	}
	if c.firewall {
		able = peers.WithFirewall()
		for _, system := range able {
			able = append(able, peers.Base(system))
		}
	}
	return slices.DeleteFunc(slices.Clone(chosen), func(system string) bool { return !slices.Contains(able, system) })
}

// settings are those of the log settings that the case is measured with. A log
// is nothing beside what a firewall or QUIC costs: there is always one.
func (c *benchCase) settings(logs []string) []string {
	switch {
	case c.firewall, c.quic:
		return []string{"on"}
	case c.idle:
		return logs[:1]
	}
	return logs
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
	case c.memory:
		return "memory"
	case c.openOf != "":
		return "open"
	default:
		return "closed"
	}
}

// setup is what the case asks of a proxy's configuration.
func (c *benchCase) setup(s peers.Setup) peers.Setup {
	s.Single, s.Responses, s.Compress, s.WebSocket, s.Cache = c.hosts == 0, c.responses, c.gzip, c.message > 0, c.cache
	s.HostNames = []string{peers.SingleHost}
	if !s.Single {
		s.HostNames = peers.HostNames(c.hosts)
	}
	return s
}

// options are the load that the case puts on a proxy.
func (c *benchCase) options(s peers.Setup) load.Options {
	o := load.Options{
		Addr: s.HTTP, Path: c.path, Host: peers.SingleHost, Body: c.body, Traffic: c.traffic,
		Length: origin.Sizes()[c.path], Conns: c.conns, PerRequest: c.perRequest, AtLeast: c.atLeast, Message: c.message,
	}
	if c.gzip {
		o.Gzip, o.Length = true, load.AnyLength
	}
	if c.attack && s.Firewall.On() {
		o.Status, o.Length = 403, load.AnyLength
	}
	if c.hosts > 0 {
		o.Host, o.Hosts = peers.HostPattern, c.hosts
	}
	if c.streams > 0 && !c.quic {
		o.Addr, o.Streams = s.H2, c.streams
	}
	if c.tls {
		o.Addr = s.HTTPS
		o.TLS = &load.TLSOptions{ServerName: peers.SingleHost, CertFile: s.Cert, Hybrid: c.hybrid}
	}
	if c.quic {
		o.Addr, o.Streams, o.QUIC = s.H3, c.streams, true
	}
	return o
}
