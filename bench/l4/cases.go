//go:build linux

package main

import (
	"fmt"
	"slices"

	"gatehouse/bench/l4/balancers"
)

// kind is how a case is measured.
type kind string

// The kinds.
const (
	kindHTTP    kind = "http"
	kindStreams kind = "streams"
	kindUDP     kind = "datagrams"
	kindIdle    kind = "idle"
)

// benchCase is one thing to measure.
type benchCase struct {
	name, title string
	kind        kind
	conns       int    // connections, streams, or flows of UDP
	path        string // of HTTP
	perRequest  bool   // a connection for each request
	size        int    // of datagrams
	window      int    // datagrams of one flow under way; 0: one
	rules       int    // of the configuration; the load is on the last one

	// aim is what the case's figure should be at most: as a share of that of
	// the best other one, or, with absolute, by itself. The task counts up to
	// required as good enough; 0: as aim.
	aim, required float64
	absolute      bool
}

const small = "/128"

func allCases() []benchCase {
	http := func(name, title string, c benchCase) benchCase {
		c.name, c.title, c.kind, c.rules = name, title, kindHTTP, max(c.rules, 1)
		if c.aim == 0 {
			c.aim, c.required = 1, 1.15
		}
		return c
	}
	return []benchCase{
		http("http128", "128-byte replies over HTTP on 64 kept connections", benchCase{conns: 64, path: small}),
		http("connclose", "a new connection for each request, 64 at a time", benchCase{conns: 64, path: small, perRequest: true}),
		http("get1m", "1 MiB replies on 16 kept connections", benchCase{conns: 16, path: "/1m", aim: 0.6}),
		{name: "stream1", title: "one stream that sends as fast as it can", kind: kindStreams, conns: 1, rules: 1, aim: 1, required: 1.15},
		{name: "stream32", title: "32 such streams", kind: kindStreams, conns: 32, rules: 1, aim: 1, required: 1.15},
		{name: "udp64", title: "datagrams of 64 bytes that come back, in 512 flows", kind: kindUDP, conns: 512, size: 64, rules: 1, aim: 0.5},
		{name: "udp1200", title: "the same with 1200 bytes", kind: kindUDP, conns: 512, size: 1200, rules: 1, aim: 0.5},
		{name: "udpbulk64", title: "datagrams of 64 bytes that come back, 32 under way in each of 64 flows", kind: kindUDP, conns: 64, size: 64, window: 32, rules: 1, aim: 0.5},
		{name: "udpbulk1200", title: "the same with 1200 bytes", kind: kindUDP, conns: 64, size: 1200, window: 32, rules: 1, aim: 0.5},
		{name: "idle5000", title: "memory of 5 000 idle connections, after a request each and a rest", kind: kindIdle, conns: 5000, path: small, rules: 1, aim: 10, absolute: true},
		http("rules1", "http128 with one rule", benchCase{conns: 64, path: small}),
		http("rules100", "http128 on the last of 100 rules", benchCase{conns: 64, path: small, rules: 100}),
		http("rules1000", "http128 on the last of 1000 rules", benchCase{conns: 64, path: small, rules: 1000}),
	}
}

func (c *benchCase) protocol() balancers.Protocol {
	if c.kind == kindUDP {
		return balancers.UDP
	}
	return balancers.TCP
}

func (c *benchCase) service() service {
	switch c.kind {
	case kindStreams:
		return serviceSink
	case kindUDP:
		return serviceEcho
	}
	return serviceHTTP
}

// figure is the one that decides.
func (c *benchCase) figure() string {
	switch c.kind {
	case kindStreams:
		return figureGigabyte
	case kindUDP:
		return figureDatagram
	case kindIdle:
		return figureIdle
	}
	return figureRequest
}

// systems are those that can do what the case is about.
func (c *benchCase) systems(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(system string) bool { return !balancers.Can(system, c.protocol()) })
}

func caseNames() []string {
	var names []string
	for _, c := range allCases() {
		names = append(names, c.name)
	}
	return names
}

// selectCases returns the chosen ones, all if none is, in the order of
// allCases.
func selectCases(chosen []string) ([]benchCase, error) {
	for _, name := range chosen {
		if !slices.Contains(caseNames(), name) {
			return nil, fmt.Errorf("unknown case %q: want some of %v", name, caseNames())
		}
	}
	if len(chosen) == 0 {
		return allCases(), nil
	}
	return slices.DeleteFunc(allCases(), func(c benchCase) bool { return !slices.Contains(chosen, c.name) }), nil
}
