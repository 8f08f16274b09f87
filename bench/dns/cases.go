//go:build linux

package main

import (
	"fmt"
	"slices"

	"gatehouse/bench/dns/load"
	"gatehouse/bench/dns/servers"
)

// benchCase is one thing that is measured.
type benchCase struct {
	name, title string
	method      servers.Method
	names       int
	endpoints   int
	v6          bool   // A and AAAA in turn
	misses      bool   // one query in ten is for a name that does not exist
	ecs         string // as load.Options has it
	signed      bool   // and asked with DO
	do          bool   // asked with DO, signed or not
	tcp         bool
	kind        string // one of special's; empty: queries are timed
}

// The special kinds of cases.
const (
	kindMemory   = "memory"
	kindFailover = "failover"
	kindReload   = "reload"
)

// german is a network that is in Germany in the built-in table.
const german = "53.10.20.0/24"

// many is how many names the large cases have.
const many = 10_000

func allCases() []benchCase {
	return []benchCase{
		{name: "weighted", title: "one name, four addresses by weight, UDP", method: servers.Weighted, names: 1, endpoints: 4},
		{name: "priority", title: "one name, two addresses by priority, UDP", method: servers.Priority, names: 1, endpoints: 2},
		{name: "geographic", title: "one name by country, all queries with the same German client subnet, UDP", method: servers.Geographic, names: 1, ecs: german},
		{name: "ecs", title: "one name by country, each query with another client subnet, UDP", method: servers.Geographic, names: 1, ecs: load.Varied},
		{name: "many", title: "10 000 names by weight, one query in ten for a name that does not exist, UDP", method: servers.Weighted, names: many, endpoints: 2, misses: true},
		{name: "mixed", title: "one name, four addresses of each family by weight, A and AAAA in turn, UDP", method: servers.Weighted, names: 1, endpoints: 4, v6: true},
		{name: "tcp", title: "one name, four addresses by weight, kept TCP connections", method: servers.Weighted, names: 1, endpoints: 4, tcp: true},
		{name: "unsigned", title: "100 names, two addresses by weight, asked with DO, UDP", method: servers.Weighted, names: 100, endpoints: 2, do: true},
		{name: "signed", title: "the same, signed when asked", method: servers.Weighted, names: 100, endpoints: 2, do: true, signed: true},
		{name: "memory", title: "resident memory with 10 000 names, after each was asked", method: servers.Weighted, names: many, endpoints: 2, kind: kindMemory},
		{name: "failover", title: "from a failing backend to another answer", method: servers.Priority, names: 1, endpoints: 2, kind: kindFailover},
		{name: "reload", title: "10 000 names loaded again while queries are answered", method: servers.Weighted, names: many, endpoints: 2, kind: kindReload},
	}
}

// takes tells whether a server takes part. What one cannot do at all is left
// out, and README.md says why.
func (c *benchCase) takes(system string) bool {
	switch {
	case !servers.Can(system, c.method):
		return false
	case c.kind == kindFailover:
		return system == "trafficmgr" || system == "gdnsd"
	case c.kind == kindReload:
		return system == "trafficmgr" || system == "knot"
	case c.signed:
		return system != "gdnsd"
	}
	return true
}

func (c *benchCase) systems(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(system string) bool { return !c.takes(system) })
}

// setup completes a server's setup.
func (c *benchCase) setup(s servers.Setup) servers.Setup {
	s.Method, s.Signed, s.Subnets = c.method, c.signed, c.ecs != ""
	s.Labels = servers.Labels(c.names)
	s.Endpoints = servers.Endpoints(c.endpoints, c.v6)
	if c.method == servers.Geographic {
		s.Endpoints = servers.Countries()
	} else {
		s.Database = ""
	}
	return s
}

// queries are asked in turn.
func (c *benchCase) queries() []load.Query {
	types := []string{"A"}
	if c.v6 {
		types = append(types, "AAAA")
	}
	var all []load.Query
	for i, label := range servers.Labels(c.names) {
		for _, t := range types {
			all = append(all, load.Query{Name: label + "." + servers.Zone, Type: t})
		}
		if c.misses && i%9 == 8 {
			all = append(all, load.Query{Name: fmt.Sprintf("miss%d.%s", i, servers.Zone), Type: "A"})
		}
	}
	return all
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
